"""Emitted Verilog against numpy: a vector a clock edge through Icarus, every result compared."""

import shutil
import subprocess
from pathlib import Path

import numpy as np

from hwgen.errors import MissingTool, ToolFailed

BENCH = """`timescale 1ns / 1ps
module bench;
    reg clk = 0;
    reg [{input_width}-1:0] x;
    wire [{output_width}-1:0] y;
    reg [{input_width}-1:0] vectors [0:{count}-1];
    integer i;
    reg reset = 1;
    {top} dut (.clk(clk), .{input}(x), .{output}(y){tied});
    initial begin
        $readmemh("vectors.hex", vectors);
        x = vectors[0];
        for (i = 0; i < {before}; i = i + 1) begin
            #1 reset = i < 2;
            #1 clk = 1;
            #1 clk = 0;
        end
        for (i = 0; i < {count} + {latency}; i = i + 1) begin
            x = vectors[i < {count} ? i : 0];
            #1 if (i >= {latency}) $display("%h", y);
            #1 clk = 1;
            #1 clk = 0;
        end
    end
endmodule
"""


def check(design: dict, x: np.ndarray, expected: np.ndarray, work: Path) -> int:
    """Runs the vectors x (n, inputs) through a design as peers/common.py describes it; returns n.

    design may have `ties`, {port: value}, ports to hold constant, `reset`, a port that is high for two clocks, behind
    which vectors begin when the pipeline is full, and `models`, files of cells for simulation only.
    Raises ToolFailed if a result is not as expected (n, outputs), `latency` edges after its vector.
    """
    if not shutil.which("iverilog"):
        raise MissingTool("the simulator Icarus is not installed", hint="install the Debian package iverilog")
    work.mkdir(parents=True, exist_ok=True)
    words = pack(x, design["input_fields"])
    (work / "vectors.hex").write_text("".join(f"{word:x}\n" for word in words))
    ties = "".join(f", .{port}({value})" for port, value in design.get("ties", {}).items())
    if "reset" in design:
        ties += f", .{design['reset']}(reset)"
    bench = BENCH.format(
        **{key: design[key] for key in ("top", "latency", "input", "output")},
        input_width=sum(width for width, _, _ in design["input_fields"]),
        output_width=sum(width for width, _, _ in design["output_fields"]),
        count=len(x),
        before=2 * design["latency"] + 4 if "reset" in design else 0,
        tied=ties,
    )
    (work / "bench.v").write_text(bench)
    sources = [str(Path(source).resolve()) for source in [*design["sources"], *design.get("models", ())]]
    _run(["iverilog", "-g2005-sv", "-s", "bench", "-o", "bench.vvp", "bench.v", *sources], work)
    lines = _run(["vvp", "-n", "bench.vvp"], work).split()
    if len(lines) != len(x):
        raise ToolFailed(f"{len(lines)} results for {len(x)} vectors", str(work))
    bad = [line for line in lines if set(line.lower()) & set("xz")]
    if bad:
        raise ToolFailed(f"{len(bad)} of {len(lines)} results have unknown bits", str(work))
    found = unpack([int(line, 16) for line in lines], design["output_fields"])
    if not np.array_equal(found, expected):
        wrong = (found != expected).any(axis=1)
        raise ToolFailed(
            f"{wrong.sum()} of {len(x)} vectors differ from numpy, the first is {int(wrong.argmax())}", str(work)
        )
    return len(x)


def pack(x: np.ndarray, fields: list[list[int]]) -> list[int]:
    """Each row as one word; a field of no bits belongs to an input that nothing reads."""
    words = []
    for row in x.tolist():
        word = at = 0
        for value, (width, _, exponent) in zip(row, fields, strict=True):
            value = value >> exponent if exponent > 0 else value << -exponent
            word |= (value & ((1 << width) - 1)) << at
            at += width
        words.append(word)
    return words


def unpack(words: list[int], fields: list[list[int]]) -> np.ndarray:
    rows = []
    for word in words:
        row = []
        for width, signed, exponent in fields:
            value = word & ((1 << width) - 1)
            word >>= width
            if signed and width and value >> (width - 1):
                value -= 1 << width
            if exponent < 0 and value & ((1 << -exponent) - 1):
                raise ToolFailed("a result is not an integer")
            row.append(value << exponent if exponent > 0 else value >> -exponent)
        rows.append(row)
    return np.array(rows, np.int64)


def _run(command: list[str], work: Path) -> str:
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolFailed(f"{command[0]} failed", str(work), (done.stderr or done.stdout)[-2000:])
    return done.stdout
