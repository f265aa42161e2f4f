"""The engine alone: conv 3x3 16->16 on 32x32, 4-bit powers of two, half of them zero, 16 lanes: area, cycles,
utilisation.

The baseline beside it is the same layer as a multiply-accumulate array that cannot skip zeros: one 4-bit multiplier (by
Booth's digits, which take half of what yosys makes of `*`) and accumulator per lane, same lanes, same synthesis,
counted by the same tool in the same run.
"""

import json
import shutil
import tempfile
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.price import MAC_V
from hwgen import BuildConfig, build, simulate
from hwgen.board import CONSTRAINTS, load_board
from hwgen.flow import read_manifest
from hwgen.nn import ActQuant
from hwgen.synth import yosys

LANE_V = """
module {name} (
    input wire clk, input wire clear, input wire enable, input wire [7:0] x,
    input wire [1:0] one, input wire [1:0] two, input wire [1:0] negate, output wire [19:0] sum
);
    mac #(.X_W(8), .DIGITS(2), .W(20)) u_mac (
        .clk(clk), .clear(clear), .enable(enable), .x(x), .one(one), .two(two), .negate(negate), .sum(sum)
    );
endmodule
"""


def layer(channels: int, size: int, sparsity: float, seed: int) -> nn.Module:
    """ActQuant(8) -> Conv 3x3 -> ReLU -> ActQuant(8), weights +-2^0 to 2^6 times 2^-8, `sparsity` of them zero."""
    rng = np.random.default_rng(seed)
    conv = nn.Conv2d(channels, channels, 3, padding=1)
    shape = conv.weight.shape
    magnitude = 2.0 ** (rng.integers(0, 7, shape) - 8) * rng.choice([-1.0, 1.0], shape)
    keep = np.ones(magnitude.size, bool)
    keep[rng.permutation(magnitude.size)[: int(sparsity * magnitude.size)]] = False
    conv.weight.data = torch.tensor(magnitude * keep.reshape(shape), dtype=torch.float32)
    conv.bias.data = torch.tensor(rng.integers(-128, 128, channels) / 2.0**8, dtype=torch.float32)
    return nn.Sequential(ActQuant(8, -8), conv, nn.ReLU(), ActQuant(8, -6))


@click.command(help=__doc__)
@click.option("--lanes", default=16, show_default=True)
@click.option("--frames", default=4, show_default=True, help="Frames simulated: all are compared with PyTorch.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the build; default: a temporary one.")
def main(lanes, frames, keep):
    folder = keep or Path(tempfile.mkdtemp())
    module, channels, size = layer(16, 32, 0.5, 0), 16, 32
    build(
        module,
        (torch.zeros(1, channels, size, size),),
        out=folder / "conv",
        config=BuildConfig(lanes=lanes, name="conv"),
    )
    x = np.random.default_rng(1).random((frames, channels, size, size))
    y, run = simulate(folder / "conv", x)
    with torch.no_grad():
        equal = bool((y == module.double()(torch.from_numpy(x)).numpy()).all())
    manifest = read_manifest(folder / "conv")
    # the layer's own engine; behind it stands a reordering to raster, which a network has once at its border
    unit = next(u for u in manifest["units"] if u["module"] == "term_lanes")
    areas = yosys.synthesize(folder / "conv", jobs=2, top=manifest["core"])
    area = next(u for u in areas["units"] if u["name"] == unit["name"])["resources"]
    mac = baseline(folder, "lane")
    interval = run.interval
    useful = unit["useful"] / interval
    table = Table(
        "design",
        "lanes",
        "LUT",
        "FF",
        "CARRY8",
        "BRAM36",
        "cycles",
        "utilisation",
        "LUT per useful term per cycle",
    )
    cells = [area[key] for key in ("LUT", "FF", "CARRY8", "BRAM36")]
    row = [
        "term_lanes, all included",
        unit["lanes"],
        *cells,
        interval,
        f"{useful / unit['lanes']:.1%}",
        f"{area['LUT'] / useful:.1f}",
    ]
    table.add_row(*map(str, row))
    positions = size * size // lanes
    dense = channels * channels * 9 * positions
    sparse_useful = unit["useful"] / dense
    row = [
        "4-bit MACs alone, dense",
        lanes,
        *(lanes * mac[key] for key in ("LUT", "FF", "CARRY8", "BRAM36")),
        dense,
        f"{sparse_useful / lanes:.1%}",
        f"{lanes * mac['LUT'] / sparse_useful:.1f}",
    ]
    table.add_row(*map(str, row))
    console = Console(width=140)
    console.print(table)
    console.print(f"equal to PyTorch on {frames} frames: {equal}; yosys {areas['version']}; {areas['flags']}")
    if not keep:
        shutil.rmtree(folder)
    raise SystemExit(not equal)


def baseline(folder: Path, name: str) -> dict:
    """Counts of one multiply-accumulate lane, without memory, control, or clamp."""
    work = folder / name
    (work / "rtl").mkdir(parents=True, exist_ok=True)
    (work / f"rtl/{name}.v").write_text(MAC_V + LANE_V.format(name=name))
    board = load_board("zcu104")
    manifest = {
        "core": name,
        "top": name,
        "sources": [f"rtl/{name}.v"],
        "roms": {},
        "units": [],
        "board": board.record(),
    }
    (work / CONSTRAINTS).write_text(board.constraints)
    (work / "hwgen.json").write_text(json.dumps(manifest))
    return yosys.synthesize(work)["total"]


if __name__ == "__main__":
    main()
