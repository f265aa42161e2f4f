"""The AXI border of a network: what hwgen/units/border.py says that it takes, and what yosys counts."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks import counting
from hwgen.design import Stream
from hwgen.emit import ends
from hwgen.ir import TensorType
from hwgen.qtype import QType
from hwgen.stream import Order
from hwgen.templates import render
from hwgen.units import border

# bits and activations of a beat in, of one out; beats of a frame in and out; layers that can be loaded
ONE_OF_EACH = (
    *((8, 1, 20, 1, 784, 10, layers) for layers in (0, 1, 4, 16)),
    *((8, 1, 8, 1, 784, 10, 0), (8, 3, 12, 10, 1024, 1, 0), (4, 64, 16, 10, 1, 1, 0), (1, 1, 1, 1, 12, 12, 0)),
    *(
        (16, 1, 32, 1, 100_000, 1000, 0),
        (8, 1, 40, 1, 16, 10, 0),
        (8, 16, 8, 16, 3000, 3000, 2),
        (8, 1, 8, 32, 64, 64, 0),
    ),
)
# and streams in and out
CASES = (
    *((*case, 1, 1) for case in ONE_OF_EACH),
    *((8, 1, 20, 1, 784, 10, 0, inputs, outputs) for inputs, outputs in ((2, 1), (1, 2), (3, 2), (1, 6), (6, 1))),
)
CORE = """(* blackbox *)
module border_core #(parameter XILINX = 0) (
    input wire clk, input wire rst{load}{streams}
);
endmodule
"""
LOAD = ", input wire [{last}:0] load_select, input wire [33:0] load, output wire [{last}:0] loaded"
IN = ", input wire {range}{port}_tdata, input wire {port}_tvalid, output wire {port}_tready"
OUT = ", output wire {range}{port}_tdata, output wire {port}_tvalid, input wire {port}_tready"


def stream(name: str, bits: int, side: int, beats: int, signed: bool = True) -> Stream:
    """A stream of so many beats a frame, in each so many activations of so many bits."""
    low = -(1 << bits - 1) if signed else 0
    shape = (side, 1, beats)
    kind = TensorType(shape, QType(low, low + (1 << bits) - 1), 0)
    return Stream(name, name, kind, Order(shape).by_pixels(1))


def count(in_bits, in_side, out_bits, out_side, in_beats, out_beats, layers, inputs, outputs) -> dict[str, float]:
    """What yosys counts of a border around an empty box."""
    taken = ends("in", [stream("x", in_bits, in_side, in_beats)] * inputs)
    sent = ends("out", [stream("y", out_bits, out_side, out_beats)] * outputs)
    top = render(
        "top.v.j2",
        top="border_top",
        core="border_core",
        inputs=taken,
        outputs=sent,
        build_id=0x12345678,
        layers=layers,
        load_stream=False,
        watched=0,
        tmr=0,
        modes=1,
        mode_bits=0,
        version=0x100,
    )
    streams = [IN.format(**end) for end in taken] + [OUT.format(**end) for end in sent]
    core = CORE.format(load=LOAD.format(last=layers - 1) if layers else "", streams="".join(streams))
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.v").write_text(top)
        (folder / "core.v").write_text(core)
        return counting.count(folder, "border_top", ["core.v", "top.v"], boxes=("border_core",))


@click.command(help=__doc__)
def main():
    headers = ("in, bits", "out, bits", "beats in, out", "layers", "LUT: estimate", "yosys", "error")
    table = Table(*headers, box=MARKDOWN)
    for case in CASES:
        in_bits, in_side, out_bits, out_side, in_beats, out_beats, layers, inputs, outputs = case
        says = border.estimate([in_bits * in_side] * inputs, [out_bits * out_side] * outputs, layers)["LUT"]
        found = count(*case)["LUT"]
        beats = f"{in_beats:,}, {out_beats:,}"
        sides = (f"{inputs} of {in_side} x {in_bits}", f"{outputs} of {out_side} x {out_bits}")
        table.add_row(*map(str, (*sides, beats, layers, says, found)), f"{says / found - 1:+.1%}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
