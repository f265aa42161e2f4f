"""Recurrent cells in integers against torch's float layers: the error of a hidden state, in units of its range of 2.

Float layers of torch's own initial weights, times GAIN, and their cells by `of`, the weights as they are: what is left
is the rounding of gates, their functions, states and hidden states. Inputs are normal, quantized to 8 bits of 2^-5.
"""

import click
import torch
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from torch import nn

from hwgen.nn import GRU, LSTM, RNN

GAIN = 2.0
SHAPES = ((8, 16, 20), (16, 32, 50), (32, 64, 100))  # inputs, units, steps
EIGHT = {"gate_bits": 8, "gate_exponent": -4, "input_bits": 10, "input_exponent": -6}
SIX = {"gate_bits": 6, "gate_exponent": -3, "input_bits": 8, "input_exponent": -5}
FORMATS = {
    "default": {},
    "10-bit values and states": {"activation_bits": 10, "hidden_bits": 10, "hidden_exponent": -9},
    "8-bit gates": EIGHT,
    "6-bit gates, values and states": SIX | {"activation_bits": 6, "hidden_bits": 6, "hidden_exponent": -5},
}


@torch.no_grad()
def errors(layer: type, cell: type, sizes: tuple[int, int, int], formats: dict[str, int]) -> tuple[float, float, float]:
    """The root mean square error, the greatest, and the former of the last step alone."""
    torch.manual_seed(1)
    inputs, units, steps = sizes
    float_layer = layer(inputs, units, batch_first=True)
    for parameter in float_layer.parameters():
        parameter *= GAIN
    x = (torch.randn(64, steps, inputs) * 32).round().clamp(-128, 127) / 32
    error = cell.of(float_layer, **formats)(x)[0] - float_layer(x)[0]
    return float(error.square().mean().sqrt()), float(error.abs().max()), float(error[:, -1].square().mean().sqrt())


@click.command(help=__doc__)
def main():
    shown = Table("cell", "inputs, units, steps", "formats", "error, rms", "greatest", "last step, rms", box=MARKDOWN)
    for layer, cell in ((nn.LSTM, LSTM), (nn.GRU, GRU), (nn.RNN, RNN)):
        for sizes in SHAPES:
            for name, formats in FORMATS.items():
                found = errors(layer, cell, sizes, formats)
                shown.add_row(cell.__name__, ", ".join(map(str, sizes)), name, *(f"{value:.4f}" for value in found))
    Console(width=140).print(shown)


if __name__ == "__main__":
    main()
