"""The AXI border of a network, around an empty core: what hwgen/units/border.py says that it takes, and yosys counts.

python -m benchmarks.border          counts what border.json lacks, and writes the table of docs/board.md
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks import counting
from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.tables import table, write_document
from hwgen.design import Stream
from hwgen.emit import ends, library
from hwgen.ir import TensorType
from hwgen.ports import Ports
from hwgen.qtype import QType, ceil_log2
from hwgen.stream import Order
from hwgen.templates import render
from hwgen.units import border

RESULTS = Path(__file__).with_name("border.json")
DOCUMENT = Path(__file__).parents[1] / "docs" / "board.md"


@dataclass(frozen=True)
class Case:
    """bits, side -- of an activation, and activations of a beat of the network, in and out; beats -- of a frame
    streams -- in and out; port -- bits of each to the host, 0: as a beat has
    layers -- that can be loaded, also over a stream; watched -- units that tell of flipped bits
    """

    bits: tuple[int, int] = (8, 20)
    side: tuple[int, int] = (1, 1)
    beats: tuple[int, int] = (784, 10)
    streams: tuple[int, int] = (1, 1)
    port: int = 0
    layers: int = 0
    load_stream: bool = False
    watched: int = 0
    tmr: int = 0
    modes: int = 1

    def sides(self) -> list[list[dict]]:
        """The streams in and out as a build has them."""
        ports = Ports(self.port or None, self.load_stream)
        both = zip(("in", "out"), self.bits, self.side, self.beats, self.streams, strict=True)
        return [ends(way, [stream(way, bits, side, beats)] * count, ports) for way, bits, side, beats, count in both]

    def estimate(self) -> float:
        inputs, outputs = ([(end["bits"], end["beat"], end["port_bits"]) for end in ends] for ends in self.sides())
        options = {"load_stream": self.load_stream, "watched": self.watched, "tmr": self.tmr, "modes": self.modes}
        return border.estimate(inputs, outputs, self.layers, **options)["LUT"]


CASES = (
    *(Case(layers=layers) for layers in (0, 1, 2, 4, 16)),
    Case((8, 8)),
    Case((8, 12), (3, 10), (1024, 1)),
    Case((4, 16), (64, 10), (1, 1)),
    Case((1, 1), beats=(12, 12)),
    Case((16, 32), beats=(100_000, 1000)),
    Case((8, 40), beats=(16, 10)),
    Case((8, 8), (16, 16), (3000, 3000), layers=2),
    Case((8, 8), (1, 32), (64, 64)),
    *(Case(streams=streams) for streams in ((2, 1), (1, 2), (3, 2), (1, 6), (6, 1))),
    *(Case(port=port) for port in (8, 64, 128, 1024)),
    Case((8, 8), (16, 16), (3000, 3000), port=32),
    Case((8, 8), (16, 16), (3000, 3000), port=512),
    Case((4, 4), (4, 4), (196, 196), port=128),
    *(Case(layers=layers, load_stream=True) for layers in (1, 4)),
    *(Case(watched=watched) for watched in (1, 8, 20)),
    *(Case(watched=watched, tmr=1) for watched in (1, 8)),
    *(Case(modes=modes) for modes in (2, 8)),
)
MODULES = ("axil_registers", "dataflow_controller", "port_in", "port_out", "stream_reg")
CORE = """(* blackbox *)
module border_core #(parameter XILINX = 0) (
    input wire clk, input wire rst{more}
);
endmodule
"""
LOAD = ", input wire [{last}:0] load_select, input wire [33:0] load, output wire [{last}:0] loaded"
IN = ", input wire {range}{port}_tdata, input wire {port}_tvalid, output wire {port}_tready"
OUT = ", output wire {range}{port}_tdata, output wire {port}_tvalid, input wire {port}_tready"
WATCHED = ", output wire [{last}:0] fault, output wire [{last}:0] repaired"
MODE = ", input wire [{last}:0] mode"


def stream(name: str, bits: int, side: int, beats: int, signed: bool = True) -> Stream:
    """A stream of so many beats a frame, in each so many activations of so many bits."""
    low = -(1 << bits - 1) if signed else 0
    shape = (side, 1, beats)
    kind = TensorType(shape, QType(low, low + (1 << bits) - 1), 0)
    return Stream(name, name, kind, Order(shape).by_pixels(1))


def name(case: Case) -> str:
    """What it is in the results: where it is no plain one."""
    return json.dumps({key: value for key, value in asdict(case).items() if value != getattr(Case(), key)})


def made(case: Case) -> dict[str, str]:
    """The Verilog of a border around an empty box."""
    inputs, outputs = case.sides()
    mode_bits = ceil_log2(case.modes)
    options = {"load_stream": case.load_stream, "watched": case.watched, "tmr": case.tmr, "modes": case.modes}
    top = render(
        "top.v.j2",
        top="border_top",
        core="border_core",
        inputs=inputs,
        outputs=outputs,
        build_id=0x12345678,
        layers=case.layers,
        mode_bits=mode_bits,
        version=0x100,
        watchdog=100_000,
        early=1,
        **options,
    )
    more = "".join([IN.format(**end) for end in inputs] + [OUT.format(**end) for end in outputs])
    several = ((case.layers, LOAD), (case.watched, WATCHED), (mode_bits, MODE))
    more += "".join(text.format(last=count - 1) for count, text in several if count)
    return {"top.v": top, "core.v": CORE.format(more=more)}


def measure(case: Case, known: dict) -> dict:
    """LUTs as yosys counts them; known -- what was measured before, which stays where the Verilog is the same."""
    files = made(case)
    sources = hashlib.sha256("".join([*files.values(), *library(MODULES).values()]).encode()).hexdigest()
    if known.get("sources") == sources:
        return known
    with TemporaryDirectory() as folder:
        for path, text in files.items():
            (Path(folder) / path).write_text(text)
        counts = counting.count(Path(folder), "border_top", ["core.v", "top.v"], boxes=("border_core",))
    return {"sources": sources, "LUT": counts["LUT"], "FF": counts["FF"]}


def row(case: Case, found: dict) -> tuple[str, ...]:
    inputs, outputs = case.sides()
    more = [f"{case.layers} loadable{', over a stream' if case.load_stream else ''}"] if case.layers else []
    more += [f"{case.watched} protected{', control thrice' if case.tmr else ''}"] if case.watched else []
    more += [f"{case.modes} modes"] if case.modes > 1 else []
    sides = (
        f"{len(side)} of {n} x {bits}" for side, n, bits in zip((inputs, outputs), case.side, case.bits, strict=True)
    )
    ports = f"{inputs[0]['port_bits']}, {outputs[0]['port_bits']}"
    says = case.estimate()
    error = f"{says / found['LUT'] - 1:+.1%}"
    return (
        *sides,
        f"{case.beats[0]:,}, {case.beats[1]:,}",
        ports,
        "; ".join(more),
        f"{says:,}",
        f"{found['LUT']:,}",
        error,
    )


HEAD = ("in, bits", "out, bits", "beats in, out", "bits of the streams", "more", "LUT: estimate", "yosys", "error")


@click.command(help=__doc__)
def main():
    results = {}
    for case in CASES:
        results[case] = measure(case, read(RESULTS).get(name(case), {}))
        record(RESULTS, name(case), results[case])
    text = table(HEAD, [row(case, found) for case, found in zip(CASES, results.values(), strict=True)])
    write_document("border", text, DOCUMENT)
    click.echo(text)


if __name__ == "__main__":
    main()
