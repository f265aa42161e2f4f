"""Layer normalization and softmax in integers: how far they are from the float layers, and what their units take."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from benchmarks import counting
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.ir import Op, TensorType
from hwgen.nn import ActQuant, LayerNorm, Softmax, limits
from hwgen.nn_sequence import exponentials, integer_eps
from hwgen.ops.layernorm import LayerNorm as LayerNormOp
from hwgen.ops.softmax_int import Softmax as SoftmaxOp
from hwgen.ops.topk import TopK as TopKOp
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.units.channels import ChannelUnit
from hwgen.units.layer_norm import LayerNorm as LayerNormUnit
from hwgen.units.softmax import Softmax as SoftmaxUnit
from hwgen.units.topk import TopK as TopKUnit

VECTORS = 20_000
CHANNELS = (4, 16, 64, 256)
SPREADS = (0.25, 1.0, 3.0)  # deviations of the float activations, of which 8 is the greatest
# of what is priced: channels, bits of an activation, whether it is signed
SHAPES = (
    (3, 8, True),
    (16, 4, True),
    (16, 8, False),
    (48, 8, True),
    (64, 8, True),
    (64, 6, True),
    (256, 8, True),
    (64, 12, True),
)
WRAPPER = """module wrapped (
    input wire clk, input wire rst, input wire [{taken}:0] s, input wire s_valid, output wire s_ready,
    output wire [{sent}:0] m, output wire m_valid, input wire m_ready
);
    {module} #({parameters}) u_unit (
        .clk(clk), .rst(rst), .s_axis_tdata(s), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
        .m_axis_tdata(m), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
    );
endmodule
"""


def errors(bits: int) -> Table:
    """Against the float64 layer of the same activations, in units of the result's last bit: the greatest and the mean
    of the absolute error. What the clamp of a LayerNorm cuts off is none of it."""
    table = Table(
        "layer", "channels", "deviation", "max error", "mean error", title=f"{bits} bits in and out", box=MARKDOWN
    )
    torch.manual_seed(1)
    for channels in CHANNELS:
        for spread in SPREADS:
            x = ActQuant(bits, 4 - bits, True)(torch.randn(VECTORS, channels, dtype=torch.float64) * spread)
            low, high = limits(bits, True)
            want = functional.layer_norm(x, (channels,)).mul(2.0 ** (bits - 3)).clamp(low, high)
            _row(
                table, "LayerNorm", channels, spread, LayerNorm(4 - bits, bits, 3 - bits)(x) * 2.0 ** (bits - 3) - want
            )
            shares = Softmax(4 - bits, bits)(x) - x.softmax(-1)
            _row(table, "Softmax", channels, spread, shares * 2.0**bits)
    return table


def _row(table: Table, layer: str, channels: int, spread: float, error: torch.Tensor) -> None:
    table.add_row(layer, str(channels), str(spread), f"{error.abs().max():.2f}", f"{error.abs().mean():.2f}")


def units() -> list[ChannelUnit]:
    """What is priced."""
    found: list[ChannelUnit] = []

    def add(unit: type[ChannelUnit], op: Op, channels: int, bits: int, signed: bool) -> None:
        x = TensorType((channels, 1, 8), QType(*limits(bits, signed)), 4 - bits)
        plain = unit(Stage.alone("unit", op, None, x), DEVICE)
        found.extend([plain, replace(plain, slices=True)] if plain.fits_slices and channels == 64 else [plain])

    for channels, bits, signed in SHAPES:
        eps = integer_eps(1e-5, channels, 4 - bits)
        add(LayerNormUnit, LayerNormOp(eps, bits, 3 - bits), channels, bits, signed)
        if bits <= 8:
            add(SoftmaxUnit, SoftmaxOp(exponentials(4 - bits, bits + 4).numpy(), bits), channels, bits, signed)
    for channels, k, bits, values in ((10, 1, 8, False), (10, 1, 16, False), (100, 5, 8, False), (64, 8, 12, True)):
        add(TopKUnit, TopKOp(k, values), channels, bits, True)
    return found


def count(unit: ChannelUnit) -> dict[str, float]:
    """What yosys counts of it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in unit.files().items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        values = unit.parameters() | (DEVICE.synthesis if unit.primitives else {})
        given = counting.given(values)
        taken, sent = unit.stage.x.qtype.bits - 1, unit.stage.y.qtype.bits - 1
        text = WRAPPER.format(module=unit.module, taken=taken, sent=sent, parameters=given)
        (folder / "wrapped.v").write_text(text)
        return counting.count(folder, "wrapped", ["wrapped.v"])


def prices() -> Table:
    """The estimates of the units beside yosys's counts."""
    table = Table(
        "unit", "input", "cycles a pixel", "LUT: estimate", "yosys", "error", "BRAM36", "DSP", "FF", box=MARKDOWN
    )
    for unit in units():
        says, found = unit.estimate(), count(unit)
        error = f"{says['LUT'] / found['LUT'] - 1:+.0%}"
        what = f"{unit.module}, {unit.stage.y}", str(unit.stage.x), unit.pixel_cycles
        table.add_row(*map(str, (*what, says["LUT"], found["LUT"], error, found["BRAM36"], found["DSP"], found["FF"])))
    return table


@click.command(help=__doc__)
@click.option("--bits", default=8, show_default=True, help="Of activations and results.")
@click.option("--prices/--no-prices", "priced", default=True, show_default=True, help="Takes minutes.")
def main(bits, priced):
    console = Console(width=140)
    console.print(errors(bits))
    if priced:
        console.print(prices())


if __name__ == "__main__":
    main()
