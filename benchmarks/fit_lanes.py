"""Prices of the lane engine: random units through yosys, and the factors of TermLanes.estimate that fit them best.

Units that are in fit_lanes.jsonl are not synthesized again. Prints the factors, and how far the estimate that is in the code is
off: by unit and in total.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.optimize import nnls

from hwgen.ir import TensorType
from hwgen.ops.conv import Conv
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType, ceil_log2
from hwgen.share import share
from hwgen.stream import Order
from hwgen.synth import yosys
from hwgen.units.layer import Layer
from hwgen.units.term_lanes import Fold, TermLanes, legal_groups, legal_lanes, takes
from hwgen.units.unit import LUTRAM_DEPTH, literal

KNOWN = Path(__file__).parent / "fit_lanes.jsonl"
WRAPPER = """
module wrapped (
    input wire clk, input wire rst,
    input wire [{taken}:0] s, input wire s_valid, output wire s_ready,
    output wire [{sent}:0] m, output wire m_valid, input wire m_ready
);
    term_lanes #({parameters}) u_term_lanes (
        .clk(clk), .rst(rst),
        .s_axis_tdata(s), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
        .m_axis_tdata(m), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
    );
endmodule
"""


def unit(seed: int) -> TermLanes:
    """A layer of common size, its fold, and the stream that it reads, drawn from a seed."""
    random, numbers = Random(seed), np.random.default_rng(seed)
    kind = random.choice(["conv", "conv", "pointwise", "depthwise", "linear", "flat", "pool", "pool"])
    bits, size = random.choice([4, 8, 8]), random.choice([7, 8, 14, 16, 28, 32])
    inputs, outputs = random.choice([8, 16, 32, 64, 128]), random.choice([8, 16, 32, 64, 128])
    if kind == "linear":
        size, inputs = 1, random.choice([64, 128, 256, 640])
    if kind == "flat":  # a Linear behind a map
        size, inputs = random.choice([4, 5, 7]), random.choice([8, 16])
    if kind in ("depthwise", "pool"):
        outputs = inputs
    kernel = {"conv": 3, "depthwise": 3, "pool": 2, "flat": size}.get(kind, 1)
    stride, pad = random.choice([1, 1, 2]) if size > 1 else 1, int(kernel == 3)
    if kind == "flat":
        stride = 1
    x = TensorType((inputs, size, size), QType(0, (1 << bits) - 1), 0)
    quantize = None
    if kind == "pool":
        op = MaxPool((2, 2), (2, 2), (0, 0))
    else:
        shape = (outputs, 1 if kind == "depthwise" else inputs, kernel, kernel)
        weight = 2.0 ** numbers.integers(0, 7, shape) * numbers.choice([-1, 1], shape)
        weight *= numbers.random(shape) > random.choice([0.5, 0.8])
        bias = numbers.integers(-100, 100, outputs).astype(float)
        groups = inputs if kind == "depthwise" else 1
        op = Conv(weight, bias, stride=(stride, stride), padding=(pad,) * 4, groups=groups)
        quantize = Quantize(9, 0, (1 << bits) - 1)
    y = op.infer(x)
    layer = Layer("layer", op, quantize, x, quantize.infer(y) if quantize else y)
    lanes = random.choice(legal_lanes(layer, 32))
    groups = random.choice(legal_groups(layer, min(12, max(1, 64 // lanes)))) if random.random() < 0.6 else 1
    raster = Order(x.shape)
    orders = [
        raster,
        *(raster.by_lanes(n) for n in sorted({lanes, lanes * stride, -(-size // 2), size}) if 1 < n <= size),
    ]
    fold = Fold(lanes, groups, random.choice(layer.kinds) if random.random() < 0.4 else "lut")
    return TermLanes(layer, fold, random.choice([order for order in orders if takes(layer, lanes, order)]), sort=True)


def synthesize(chosen: TermLanes) -> dict[str, float]:
    """LUT, BRAM36 and DSP by the flags of hwgen synth."""
    parameters = chosen.parameters()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in chosen.files().items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        text = WRAPPER.format(
            taken=chosen.order.side * parameters["X_W"] - 1,
            sent=chosen.fold.lanes * parameters["OUT_W"] - 1,
            parameters=", ".join([*(f".{key}({literal(value)})" for key, value in parameters.items()), ".XILINX(1)"]),
        )
        (folder / "wrapped.v").write_text(text)
        script = [
            *yosys.LIBRARY,
            *(f"read_verilog -defer {path}" for path in [*sorted(share("rtl").glob("*.v")), "wrapped.v"]),
            "hierarchy -check -top wrapped",
            f"{yosys.FLAGS} -run prepare:",
            "tee -q -o stat.json stat -json",
        ]
        (folder / "script.ys").write_text("\n".join(script) + "\n")
        with (folder / "log").open("w") as log:
            subprocess.run(
                [sys.executable, "-c", yosys._WORKER, "script.ys"], cwd=folder, stdout=log, stderr=log, check=True
            )
        cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    counts = Counter()
    for cell, number in cells.items():
        for key, each in yosys.CELLS[cell].items():
            counts[key] += each * number
    return {key: counts[key] for key in ("LUT", "BRAM36", "DSP")}


def features(chosen: TermLanes) -> dict[str, float]:
    """What TermLanes.estimate multiplies by its factors; what it takes as it is comes in `known`."""
    layer, program, windows, rows, fold = chosen.layer, chosen.program, chosen.windows, chosen.rows, chosen.fold
    bits, sent, fields, legs = layer.x.qtype.bits, layer.y.qtype.bits, chosen.fields, chosen.windows.legs
    words, width = chosen.rom_shape
    pool = isinstance(layer.op, MaxPool)
    depth = rows.ring << (fields["COLUMN_BITS"] + fields["CHANNEL_BITS"])
    return {
        "known": 0 if pool or fold.kind != "lut" else fold.size * program.accumulator,
        "place in the list": ceil_log2(words),
        "more rows than one": rows.out_rows > 1,
        "position table": chosen.order.beats / rows.rows / layer.x.shape[0],
        "group": fold.groups,
        "group, address": fold.groups * (fields["ROW_BITS"] + fields["COLUMN_BITS"] + fields["CHANNEL_BITS"]),
        "group, legs": fold.groups * (legs - 1) * (fields["COLUMN_BITS"] + 1),
        "group, padded rows": fold.groups * rows.ring * (rows.pad_top + rows.pad_bottom > 0),
        "group, ring no power of two": fold.groups * (rows.ring & (rows.ring - 1) > 0),
        "lane, result": 0 if pool else fold.size * sent,
        "lane, up to 3 legs": fold.size * bits * (1 < legs <= 3),
        "lane, more legs": fold.size * bits * (legs > 3),
        "lane, maximum": fold.size * program.accumulator * pool,
        "memory of LUTs": fold.groups * windows.stripes * bits * (depth <= LUTRAM_DEPTH),
        "list of LUTs": words * width / 64 * (words <= LUTRAM_DEPTH),
        "deep list": width * (-(-words // 4096) - 1),
    }


@click.command(help=__doc__)
@click.option("--units", default=60, show_default=True)
def main(units):
    console = Console(width=140)
    counted = dict(json.loads(line) for line in KNOWN.read_text().splitlines()) if KNOWN.is_file() else {}
    for seed in track(range(units), "yosys", console=Console(stderr=True)):
        if seed not in counted:
            counted[seed] = synthesize(unit(seed))
            KNOWN.write_text("".join(json.dumps([key, value]) + "\n" for key, value in sorted(counted.items())))
    chosen = [unit(seed) for seed in range(units)]
    rows = [features(one) for one in chosen]
    luts = np.array([counted[seed]["LUT"] for seed in range(units)])
    names = [name for name in rows[0] if name != "known"]
    matrix = np.array([[row[name] for name in names] for row in rows], float)
    known = np.array([row["known"] for row in rows])
    factors, _ = nnls(matrix / luts[:, None], (luts - known) / luts)
    table = Table("factor", "LUT")
    for name, factor in zip(names, factors, strict=True):
        table.add_row(name, f"{factor:.2f}")
    console.print(table)
    for key in ("LUT", "BRAM36", "DSP"):
        have = np.array([one.estimate()[key] for one in chosen], float)
        want = np.array([counted[seed][key] for seed in range(units)], float)
        off = have[want > 0] / want[want > 0] - 1
        console.print(
            f"{key}: the estimate is off by {have.sum() / want.sum() - 1:+.1%} in total; by unit {np.abs(off).mean():.1%} on average, "
            f"within 10 % for {np.mean(np.abs(off) <= 0.1):.0%} of {len(off)}, at worst {off[np.abs(off).argmax()]:+.1%}",
            highlight=False,
        )


if __name__ == "__main__":
    main()
