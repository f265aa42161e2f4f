"""Functions of one activation as a table: what hwgen/engines/lookup.py says that they take, and what yosys counts."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks import counting
from hwgen.engines.lookup import Lookup
from hwgen.functions import Levels
from hwgen.ir import TensorType
from hwgen.ops.lookup import Lookup as LookupOp
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.stream import Order

LANES = 4
BITS = ((4, 4), (5, 5), (6, 6), (7, 7), (8, 8), (8, 4), (9, 8), (10, 8))  # of an activation, and of a result
# each with the exponent of its greatest value, and whether it may be negative
FUNCTIONS = {
    "sigmoid": (torch.sigmoid, 0, False),
    "tanh": (torch.tanh, 0, True),
    "silu": (torch.nn.functional.silu, 2, True),
    "gelu": (torch.nn.functional.gelu, 2, True),
}
WRAPPER = """module wrapped (
    input wire clk, input wire rst, input wire [{taken}:0] s, input wire s_valid, output wire s_ready,
    output wire [{sent}:0] m, output wire m_valid, input wire m_ready
);
    lookup #({parameters}) u_lookup (
        .clk(clk), .rst(rst), .s_axis_tdata(s), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
        .m_axis_tdata(m), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
    );
endmodule
"""


def unit(name: str, bits: int, out_bits: int) -> Lookup:
    """A table of signed activations from -4 to 4, on LANES lanes."""
    function, top, signed = FUNCTIONS[name]
    x = TensorType((4, 4, LANES), QType(-(1 << (bits - 1)), (1 << (bits - 1)) - 1), 3 - bits)
    values = function(torch.arange(x.qtype.low, x.qtype.high + 1).double() * 2.0**x.exponent).numpy()
    least, most = (-(1 << (out_bits - 1)), (1 << (out_bits - 1)) - 1) if signed else (0, (1 << out_bits) - 1)
    exponent = top - out_bits + signed
    op = LookupOp.of(name, values, Levels.of(Quantize(exponent, least, most)), exponent, x, name)
    return Lookup(Stage.alone("table", op, None, x), Order(x.shape).by_lanes(LANES))


def count(table: Lookup) -> dict[str, float]:
    """What yosys counts of it."""
    parameters = table.parameters()
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in table.files().items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        given = counting.given(parameters)
        taken, sent = LANES * table.stage.x.qtype.bits - 1, LANES * table.stage.y.qtype.bits - 1
        (folder / "wrapped.v").write_text(WRAPPER.format(taken=taken, sent=sent, parameters=given))
        return counting.count(folder, "wrapped", ["wrapped.v"])


@click.command(help=__doc__)
def main():
    shown = Table("function", "bits in", "bits out", "LUT: estimate", "yosys", "error", "BRAM36", box=MARKDOWN)
    for bits, out_bits in BITS:
        for name in FUNCTIONS:
            table = unit(name, bits, out_bits)
            says, found = table.estimate()["LUT"], count(table)
            cells = (name, bits, out_bits, says, found["LUT"], f"{says / found['LUT'] - 1:+.0%}", found["BRAM36"])
            shown.add_row(*map(str, cells))
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
