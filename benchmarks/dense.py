"""What lanes that multiply are worth where weights are dense and of 8 bits: the table of docs/schedule.md.

An autoencoder of Linear layers and three convolutions, weights and biases random, all layers folded: for the least area
at a rate, and for the most speed in a twentieth of the board, with more kinds of lanes allowed from row to row. Areas
are hwgen's own estimates.
"""

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import click
import torch
from torch import nn

from benchmarks.spatial.tables import table, write_document
from hwgen import BuildConfig, build
from hwgen.errors import DoesNotFit
from hwgen.lanes.kinds import lane_kinds
from hwgen.nn import ActQuant
from hwgen.pace import interval_of

DOCUMENT = Path(__file__).parents[1] / "docs/schedule.md"
HEAD = ("network", "asked", "lanes in", "cycles a frame", "LUT", "BRAM36", "DSP")
ALLOWED = {"LUTs": ("lut",), "and DSP lanes": ("lut", "dsp"), "and MAC lanes": ("lut", "dsp", "mac")}


def dense(*layers: nn.Module) -> nn.Sequential:
    """Weights are any integers of 8 bits but -128."""
    generator = torch.Generator().manual_seed(1)
    for layer in layers:
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layer.weight.data = torch.randint(-127, 128, layer.weight.shape, generator=generator).float()
            layer.bias.data = torch.randint(-5000, 5000, layer.bias.shape, generator=generator).float()
    return nn.Sequential(*layers).eval()


def networks() -> dict[str, tuple[nn.Module, torch.Tensor, float]]:
    """By name: the network, an input, and frames a second to ask for."""
    code = [nn.Linear(128, 64), nn.ReLU(), ActQuant(8, 9), nn.Linear(64, 8), ActQuant(8, 16)]
    decode = [nn.Linear(8, 64), nn.ReLU(), ActQuant(8, 24), nn.Linear(64, 128), ActQuant(8, 33)]
    convolutions = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), ActQuant(8, 9)]
    convolutions += [nn.Conv2d(16, 16, 3, padding=1, stride=2), nn.ReLU(), ActQuant(8, 18)]
    convolutions += [nn.Conv2d(16, 32, 3, padding=1), ActQuant(8, 27)]
    return {
        "Linear 128-64-8-64-128": (dense(ActQuant(8, 0), *code, *decode), torch.zeros(1, 128), 100_000),
        "conv 3-16-16-32 on 16x16": (dense(ActQuant(8, 0), *convolutions), torch.zeros(1, 3, 16, 16), 10_000),
    }


def cells(net: nn.Module, x: torch.Tensor, config: BuildConfig, allowed: tuple[str, ...]) -> list[str]:
    """What a build takes whose lanes are of the kinds allowed."""
    refused = [one for name, one in lane_kinds().items() if one.slices and name not in allowed]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as patches:
        for one in refused:
            patches.enter_context(patch.object(one, "obstacle", lambda stage: "not in this row"))
        try:
            design = build(net, (x,), out=Path(folder) / "net", config=config)
        except DoesNotFit:
            return ["does not fit", "", "", ""]
    takes = design.estimate()
    return [f"{interval_of(design):,}", f"{takes['LUT']:,.0f}", f"{takes['BRAM36']:g}", f"{takes['DSP']:g}"]


@click.command(help=__doc__)
def main():
    rows = []
    for name, (net, x, fps) in networks().items():
        folded = BuildConfig(engine="lanes", lanes=4096)
        for asked, config in (
            (f"{fps:,} frames/s", replace(folded, fps=fps)),
            ("5 % of the board", replace(folded, budget="5%")),
        ):
            rows += [(name, asked, words, *cells(net, x, config, allowed)) for words, allowed in ALLOWED.items()]
    text = table(HEAD, rows)
    write_document("dense", text, DOCUMENT)
    click.echo(text)


if __name__ == "__main__":
    main()
