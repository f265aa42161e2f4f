"""The AXI border of a network: what hwgen/units/border.py says that it takes, and what yosys counts."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks import counting
from hwgen.templates import render
from hwgen.units import border

# bits and activations of a beat in, of one out; beats of a frame in and out; layers that can be loaded
CASES = (
    *((8, 1, 20, 1, 784, 10, layers) for layers in (0, 1, 4, 16)),
    *((8, 1, 8, 1, 784, 10, 0), (8, 3, 12, 10, 1024, 1, 0), (4, 64, 16, 10, 1, 1, 0), (1, 1, 1, 1, 12, 12, 0)),
    *(
        (16, 1, 32, 1, 100_000, 1000, 0),
        (8, 1, 40, 1, 16, 10, 0),
        (8, 16, 8, 16, 3000, 3000, 2),
        (8, 1, 8, 32, 64, 64, 0),
    ),
)
CORE = """(* blackbox *)
module border_core #(parameter XILINX = 0) (
    input wire clk, input wire rst, {load}
    input wire [{taken}:0] s_axis_tdata, input wire s_axis_tvalid, output wire s_axis_tready,
    output wire [{sent}:0] m_axis_tdata, output wire m_axis_tvalid, input wire m_axis_tready
);
endmodule
"""
LOAD = "input wire [{last}:0] load_select, input wire [33:0] load, output wire [{last}:0] loaded,"


def count(in_bits, in_side, out_bits, out_side, in_beats, out_beats, layers) -> dict[str, float]:
    """What yosys counts of a border around an empty box."""
    top = render(
        "top.v.j2",
        top="border_top",
        core="border_core",
        in_bits=in_bits,
        in_side=in_side,
        out_bits=out_bits,
        out_side=out_side,
        out_signed=True,
        in_beats=in_beats,
        out_beats=out_beats,
        build_id=0x12345678,
        layers=layers,
        version=0x100,
    )
    load = LOAD.format(last=layers - 1) if layers else ""
    core = CORE.format(load=load, taken=in_side * in_bits - 1, sent=out_side * out_bits - 1)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.v").write_text(top)
        (folder / "core.v").write_text(core)
        return counting.count(folder, "border_top", ["core.v", "top.v"], boxes=("border_core",))


@click.command(help=__doc__)
def main():
    table = Table("in, bits", "out, bits", "beats in, out", "layers", "LUT: estimate", "yosys", "error", box=MARKDOWN)
    for case in CASES:
        in_bits, in_side, out_bits, out_side, in_beats, out_beats, layers = case
        says = border.estimate([in_bits * in_side, out_bits * out_side], layers)["LUT"]
        found = count(*case)["LUT"]
        beats = f"{in_beats:,}, {out_beats:,}"
        cells = (f"{in_side} x {in_bits}", f"{out_side} x {out_bits}", beats, layers, says, found)
        table.add_row(*map(str, cells), f"{says / found - 1:+.1%}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
