"""The engine alone: conv 3x3 16->16 on 32x32, 4-bit powers of two, half of them zero, 16 lanes: area, cycles,
utilisation, for activations of 8 and of 4 bits, on lanes of lookup tables and in DSP slices.

The baseline beside it is the same layer as a multiply-accumulate array that cannot skip zeros: one 4-bit multiplier (by
Booth's digits, which take half of what yosys makes of `*`) and accumulator per lane, same lanes, same synthesis,
counted by the same tool in the same run.
"""

import json
import tempfile
from pathlib import Path

import click
import numpy as np
import torch
from torch import nn

from benchmarks.kinds import lanes_of
from benchmarks.netlist import synthesize
from benchmarks.price import MAC_V
from benchmarks.spatial.tables import table, write_document
from hwgen import BuildConfig, build, simulate
from hwgen.board import CONSTRAINTS, load_board
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant
from hwgen.synth import yosys

CHANNELS, SIZE = 16, 32
ROWS = {"lut-8": ("lut", 8), "lut-4": ("lut", 4), "dsp-8": ("dsp", 8), "dsp-4": ("dsp", 4)}
WORDS = {"lut": "LUT lanes", "dsp": "DSP lanes"}
README = Path(__file__).parents[1] / "README.md"
COUNTS = ("LUT", "FF", "CARRY8", "BRAM36", "DSP")
HEAD = ("design", *COUNTS, "cycles", "utilisation", "LUT per useful term per cycle")
LANES = 16
LANE_V = """
module lane (
    input wire clk, input wire clear, input wire enable, input wire [{x_w}-1:0] x,
    input wire [1:0] one, input wire [1:0] two, input wire [1:0] negate, output wire [{w}-1:0] sum
);
    mac #(.X_W({x_w}), .DIGITS(2), .W({w})) u_mac (
        .clk(clk), .clear(clear), .enable(enable), .x(x), .one(one), .two(two), .negate(negate), .sum(sum)
    );
endmodule
"""


def layer(channels: int, size: int, sparsity: float, seed: int, bits: int = 8) -> nn.Sequential:
    """ActQuant -> Conv 3x3 -> ReLU -> ActQuant, of `bits` bits, weights +-2^0 to 2^6 times 2^-8, `sparsity` of them
    zero."""
    rng = np.random.default_rng(seed)
    conv = nn.Conv2d(channels, channels, 3, padding=1)
    shape = conv.weight.shape
    magnitude = 2.0 ** (rng.integers(0, 7, shape) - 8) * rng.choice([-1.0, 1.0], shape)
    keep = np.ones(magnitude.size, bool)
    keep[rng.permutation(magnitude.size)[: int(sparsity * magnitude.size)]] = False
    conv.weight.data = torch.tensor(magnitude * keep.reshape(shape), dtype=torch.float32)
    conv.bias = nn.Parameter(torch.tensor(rng.integers(-128, 128, channels) / 2.0**8, dtype=torch.float32))
    return nn.Sequential(ActQuant(bits, -bits), conv, nn.ReLU(), ActQuant(bits, 2 - bits))


def engine(folder: Path, name: str, lanes: int) -> dict:
    """Builds and synthesizes the layer of a row; what hwgen.json says of its engine, with what yosys counted.

    Behind the engine stands a reordering to raster, which a network has once at its border: that is left out.
    """
    kind, bits = ROWS[name]
    module = layer(CHANNELS, SIZE, 0.5, 0, bits)
    example = (torch.zeros(1, CHANNELS, SIZE, SIZE),)
    with lanes_of(kind):
        build(module, example, out=folder, config=BuildConfig(lanes=lanes, name="conv"))
    manifest = read_manifest(folder)
    unit = next(unit for unit in manifest["units"] if unit["module"] == "term_lanes")
    netlist = synthesize(folder, unit["name"])
    return unit | {"counts": netlist.counts, "tool": netlist.tool}


def simulated(folder: Path, bits: int, frames: int) -> tuple[int, bool]:
    """Cycles from frame to frame of a build, and whether all frames equal PyTorch."""
    x = np.random.default_rng(1).random((frames, CHANNELS, SIZE, SIZE))
    y, run = simulate(folder, x)
    with torch.no_grad():
        want = layer(CHANNELS, SIZE, 0.5, 0, bits).double()(torch.from_numpy(x)).numpy()
    assert run.interval  # there are three frames or more
    return run.interval, bool((y == want).all())


def cells(what: str, lanes: int, counts: dict, cycles: int, useful: int) -> tuple[str, ...]:
    """A row of the table; useful -- terms of a frame, times the pixels that each makes."""
    rate = useful / cycles
    used = [f"{rate / lanes:.1%}", f"{counts['LUT'] / rate:.1f}"]
    return what, *(f"{counts[key]:g}" for key in COUNTS), str(cycles), *used


def words_of(name: str) -> str:
    """What a row is called in the table."""
    kind, bits = ROWS[name]
    return f"{WORDS[kind]}, {bits}-bit activations"


@click.command(help=__doc__)
@click.option("--lanes", default=LANES, show_default=True)
@click.option(
    "--frames", type=click.IntRange(3), default=4, show_default=True, help="Frames simulated, compared with PyTorch."
)
@click.option("--row", "rows", type=click.Choice(list(ROWS)), multiple=True, help="Only these rows; default: all.")
@click.option("--count-only", is_flag=True, help="No simulation: the cycles are those that hwgen predicts.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the builds; default: a temporary one.")
@click.option("--write", is_flag=True, help="Put the table into README.md; for all rows, simulated.")
def main(lanes, frames, rows, count_only, keep, write):
    if write and (rows or count_only or lanes != LANES):
        raise click.UsageError("README.md has all rows, simulated")
    chosen = [name for name in ROWS if name in (rows or ROWS)]
    found, equal, said = [], True, ""
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        for name in chosen:
            unit = engine(folder / name, name, lanes)
            cycles, equals = unit["cycles"], True
            if not count_only:
                cycles, equals = simulated(folder / name, ROWS[name][1], frames)
            equal, said = equal and equals, unit["tool"]
            found.append(cells(words_of(name), lanes, unit["counts"], cycles, unit["useful"]))
        for bits in sorted({ROWS[name][1] for name in chosen}, reverse=True):
            mac = {key: lanes * number for key, number in baseline(folder / f"mac-{bits}", bits).items()}
            dense = CHANNELS * CHANNELS * 9 * SIZE * SIZE
            what = f"4-bit multiply-accumulate lanes alone, no zero skipped, no DSP, {bits}-bit activations"
            found.append(cells(what, lanes, mac, dense // lanes, dense // 2))
    click.echo(table(HEAD, found))
    checked = "not simulated" if count_only else f"equal to PyTorch on {frames} frames: {equal}"
    click.echo(f"{checked}; {said}")
    if write and equal:
        write_document("lanes", table(HEAD, found), README)
    raise SystemExit(not equal)


def baseline(work: Path, bits: int) -> dict:
    """Counts of one multiply-accumulate lane for activations of so many bits, without memory, control, or clamp."""
    (work / "rtl").mkdir(parents=True, exist_ok=True)
    (work / "rtl/lane.v").write_text(MAC_V + LANE_V.format(x_w=bits, w=bits + 12))
    board = load_board("zcu104")
    manifest = {
        "core": "lane",
        "top": "lane",
        "sources": ["rtl/lane.v"],
        "roms": {},
        "units": [],
        "board": board.record(),
    }
    (work / CONSTRAINTS).write_text(board.constraints)
    (work / "hwgen.json").write_text(json.dumps(manifest))
    return yosys.synthesize(work)["total"]


if __name__ == "__main__":
    main()
