"""Prices of the lane engine: random units through yosys, and the FACTORS of TermLanes that fit them best.

What was counted is in fit_lanes.jsonl, by seed. DIR are builds that hwgen synth has counted, of which the fit sees
nothing. Prints the factors, and how far the estimate that is in the code is off, by unit and in
total, on the random units and on each build; and how far those of a fifth of the random units are off, fitted on the
others. A unit that is there twice counts once. docs/schedule.md says what was measured.
"""

import json
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.optimize import linprog

from benchmarks import counting
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.errors import DoesNotFit, HwgenError
from hwgen.flow import read_design
from hwgen.ir import TensorType
from hwgen.lanes.fold import Fold, legal_groups, legal_lanes, takes
from hwgen.lanes.kinds import lane_kinds
from hwgen.lanes.price import FACTORS, features
from hwgen.lanes.unit import TermLanes
from hwgen.ops.conv import Conv
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Steps
from hwgen.qtype import QType
from hwgen.requantize import requantize
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.sums import ExactSums

SMALL = 100  # LUTs
COMMON = 86  # seeds
MEMORIES = "rom", "bram", "uram"  # of a list that can be loaded
MOST_BITS, MOST_WIRES = 1 << 20, 512  # of a list, which yosys reads slowly, and of a beat
FIFTHS = 5
OTHER_NAMES = 2
TRUST = 0.7  # units of SMALL LUTs that what is expected of a factor is worth
# LUTs of one of each of `features`, by the Verilog and by what was seen of a few netlists
EXPECTED = {
    "sequencer": 8,
    "short list, counter": 1.2,
    "long list, counter": 0.7,
    "list of up to 4": 1,
    "list of up to 16": 1,
    "list of up to 64": 2,
    "list that is loaded": 0,
    "list that is loaded, counter": 4,
    "list of all channels": 4,
    "column": 1,
    "row": 1,
    "row of padding": 0.5,
    "slot": 1,
    "group": 2,
    "group, column": 1,
    "group, column that is a sum": 1,
    "group, slot": 1,
    "group, padding": 1,
    "group, columns of padding": 4,
    "group, distance": 2,
    "line memory": 8,
    "padding above or below": 2,
    "channels": 1,
    "banks": 2,
    "columns one by one": 1,
    "phases": 0.2,
    "beats": 0.5,
    "phases of a table": 1.5,
    "copies": 0.5,
    "results of several groups": 1,
}
KNOWN = Path(__file__).parent / "fit_lanes.jsonl"
WRAPPER = """
module wrapped (
    input wire clk, input wire rst,
    input wire [{taken}:0] s, input wire s_valid, output wire s_ready,
    output wire [{sent}:0] m, output wire m_valid, input wire m_ready,
    input wire load_select, input wire [33:0] load, output wire loaded
);
    term_lanes #({parameters}) u_term_lanes (
        .clk(clk), .rst(rst),
        .s_axis_tdata(s), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
        .m_axis_tdata(m), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready),
        .load_select(load_select), .load(load), .loaded(loaded)
    );
endmodule
"""


def unit(seed: int) -> TermLanes:
    """A layer, its fold, and the stream that it reads, drawn from a seed: the first COMMON are of common layers, the
    others of all kinds, the first of the draws that hwgen can build; four in ten of these take an activation a beat."""
    if seed < COMMON:
        return _common(seed)
    random, numbers = Random(seed), np.random.default_rng(seed)
    while True:
        try:
            return _drawn(random, numbers)
        except HwgenError:  # of numbers that are too wide
            continue


def _drawn(random: Random, numbers: np.random.Generator) -> TermLanes:
    kind = random.choice(["lut"] * 5 + ["dsp"] * 3 + ["mac"] * 3 + ["max"] * 2)
    layer = _layer(random, numbers, kind)
    legal = legal_lanes(layer, random.choice([4, 8, 16, 16, 16, 32]))
    lanes = legal[-1] if random.random() < 0.6 else random.choice(legal)
    most = min(16, max(1, 48 // lanes)) if lanes == legal[-1] or random.random() < 0.2 else 1
    groups = random.choice(legal_groups(layer, most)) if random.random() < 0.5 else 1
    kinds = [name for name, one in lane_kinds().items() if one.obstacle(layer) is None]
    kind = kind if kind in kinds else kinds[0]
    memory = random.choice(MEMORIES) if layer.loadable else "rom"
    fold = Fold(lanes, groups, kind, memory, random.choice(["lut", "dsp"]))
    order = _order(random, layer, lanes)
    if random.random() < 0.3:
        order = replace(order, channels=tuple(random.sample(range(layer.x.shape[0]), layer.x.shape[0])))
    chosen = TermLanes(layer, fold, order, DEVICE, sort=random.random() < 0.8)
    if chosen.rom.width * chosen.depth > MOST_BITS or chosen.order.side * chosen.stage.x.qtype.bits > MOST_WIRES:
        raise DoesNotFit("its list is long to read", "layer", "draw another")
    return chosen


def _order(random: Random, layer: Stage, lanes: int) -> Order:
    """In which the layer's input comes: raster, or as lanes before it send it, side by side or one by one."""
    raster, size = Order(layer.x.shape), layer.x.shape[2]
    widths = {lanes, lanes * layer.window.stride[1], -(-size // 2), -(-size // 4), size}
    orders = [raster.by_lanes(n) for n in sorted(widths) if 1 < n <= size]
    able = [order for order in orders if takes(layer, lanes, order)]
    if random.random() < 0.4 or not orders:
        return raster
    if able and random.random() < 0.85:
        return random.choice(able)
    return random.choice(orders).serial


def _layer(random: Random, numbers: np.random.Generator, lanes: str) -> Stage:
    """Of the weights that such lanes are for: a pool, dense integers, or powers of two and sums of few."""
    bits = random.choice([4, 4, 4, 8, 8, 8, random.randint(2, 8)])
    few, many = random.choice([1, 3, 8, 12, 16]), random.choice([16, 24, 32, 64, 128])
    inputs, outputs = random.choice([(few, few), (few, many), (many, few), (many, 16), (many, many)])
    maps = ["conv"] * 4 + ["pointwise"] * 2 + ["depthwise"] * 2 + ["linear", "flat", "average", "identity", "row"]
    kind = "pool" if lanes == "max" else random.choice(maps)
    rows = columns = random.choice([5, 6, 7, 8, 10, 13, 14, 16, 20, 26, 28, 32])
    if random.random() < 0.2:
        rows = random.choice([1, 2, 4, 9, 12, 25, 49])
    if kind == "linear":
        rows = columns = 1
        inputs, outputs = random.choice([64, 100, 128, 256, 640]), random.choice([10, 16, 64, 120])
    if kind == "flat":  # a Linear behind a map
        rows = columns = random.choice([3, 4, 5, 7])
        inputs, outputs = random.choice([8, 16, 32]), random.choice([10, 16, 64])
    if kind == "row":
        rows, columns = 1, random.choice([16, 30, 48, 64, 100])
    if kind in ("depthwise", "pool", "average", "identity"):
        outputs = inputs = random.choice([few, many])
    low = -(1 << (bits - 1)) if random.random() < 0.15 else 0
    x = TensorType((inputs, rows, columns), QType(low, low + (1 << bits) - 1), 0)
    if kind == "pool":
        reach = random.choice([(2, 2), (2, 2), (3, 3), (1, 2)])
        reach = (min(reach[0], rows), reach[1])
        pad = (reach[0] // 2, reach[0] // 2, reach[1] // 2, reach[1] // 2) if reach == (3, 3) else (0, 0, 0, 0)
        return Stage.alone("layer", MaxPool(reach, (min(2, rows), 2), pad), None, x)
    op = _conv(random, numbers, lanes, kind, x, outputs)
    levels = random.choice([bits, bits, 4, 8])
    return Stage.alone("layer", op, _quantizer(random, numbers, op, x, levels), x, loadable=random.random() < 0.2)


def _conv(random: Random, numbers: np.random.Generator, lanes: str, kind: str, x: TensorType, outputs: int) -> Conv:
    inputs, rows, columns = x.shape
    high, wide = {
        "conv": random.choice([(3, 3), (3, 3), (3, 3), (5, 5), (1, 3), (4, 4)]),
        "depthwise": random.choice([(3, 3), (3, 3), (5, 5)]),
        "average": random.choice([(2, 2), (rows, columns)]),
        "flat": (rows, columns),
        "row": (1, random.choice([3, 5, 9])),
    }.get(kind, (1, 1))
    kernel = min(high, rows), min(wide, columns)
    alone = kind in ("depthwise", "average", "identity")
    stride = random.choice([1, 1, 1, 2]) if kind not in ("flat", "linear", "average", "identity") else 1
    down, right = (kernel[0] // 2, kernel[1] // 2) if random.random() < 0.75 else (0, 0)
    pad = (down, down, right, right) if kind in ("conv", "depthwise", "row") else (0, 0, 0, 0)
    if sum(pad) and random.random() < 0.15:
        pad = (0, down, 0, right)
    steps = kernel if kind == "average" and kernel == (2, 2) else (min(stride, rows), stride)
    shape = (outputs, 1 if alone else inputs, *kernel)
    if kind in ("average", "identity"):
        return Conv(np.ones(shape), np.zeros(outputs), stride=steps, groups=inputs, activations_limited=False)
    sign = numbers.choice([-1, 1], shape)
    most = random.choice([7, 127])
    if lanes == "mac" or random.random() < 0.25:
        weight = numbers.integers(-most, most + 1, shape).astype(float)
    else:
        weight = 2.0 ** numbers.integers(0, random.choice([1, 3, 7]), shape) * sign
        if random.random() < 0.2:
            weight += 2.0 ** numbers.integers(0, 7, shape) * sign
    weight *= numbers.random(shape) > random.choice([0.0, 0.5, 0.5, 0.8, 0.95])
    spread = random.choice([0, 10, 100, 1000])
    bias = numbers.integers(-spread, spread + 1, outputs).astype(float)
    return Conv(weight, bias, stride=steps, padding=pad, groups=inputs if alone else 1)


def _quantizer(random: Random, numbers: np.random.Generator, op: Conv, x: TensorType, levels: int):
    """None, a shift and a clamp, or the levels of a scale for each channel or for all."""
    low = -(1 << (levels - 1)) if random.random() < 0.25 else 0
    high = low + (1 << levels) - 1
    acc = op.infer(x).qtype
    shift = max(0, min(random.choice([3, 5, 7, 9]), acc.bits - 2))
    kind = random.choice(["none"] + ["shift"] * 7 + ["scale"] * 3 + ["steps", "even"])
    if kind == "none":
        return None
    if kind == "shift":
        return Quantize(shift, low, high)
    channels = random.choice([1, op.weight.shape[0]])
    reach = np.array([[one.low, one.high] for one in ExactSums.of(op, x, None).ranges])
    if channels == 1:
        reach = np.array([[reach[:, 0].min(), reach[:, 1].max()]])
    if kind == "steps":
        count = min(high - low, 1 << random.choice([2, 3, 4]))
        thresholds = numbers.integers(acc.low, acc.high + 1, (channels, count))
        return Steps(np.sort(thresholds, axis=1), low)
    scale = [Fraction(1, 1 << shift)] * channels
    if kind == "scale":
        scale = [Fraction(float(np.float32(one))) / (1 << shift) for one in numbers.uniform(0.5, 1, channels)]
    return requantize(scale, [Fraction(0)] * channels, reach, low, high, "half_even").op


def _common(seed: int) -> TermLanes:
    """A half of them read an activation a beat, in raster order, whatever the lanes."""
    random, numbers = Random(seed), np.random.default_rng(seed)
    kind = random.choice(["lut", "lut", "lut", "dsp", "dsp", "mac", "mac", "max"])
    layer = _common_layer(random, numbers, kind)
    legal = legal_lanes(layer, random.choice([8, 16, 16, 32]))
    lanes = legal[-1] if random.random() < 0.5 else random.choice(legal)
    most = min(8, max(1, 48 // lanes))
    groups = random.choice(legal_groups(layer, most)) if random.random() < 0.4 else 1
    raster, size = Order(layer.x.shape), layer.x.shape[2]
    widths = {lanes, lanes * layer.window.stride[1], -(-size // 2), size}
    orders = [raster.by_lanes(n) for n in sorted(widths) if 1 < n <= size]
    able = [order for order in orders if takes(layer, lanes, order)]
    order = raster if random.random() < 0.5 or not able else random.choice(able)
    kinds = [name for name, one in lane_kinds().items() if one.obstacle(layer) is None]
    fold = Fold(
        lanes, groups, kind if kind in kinds else kinds[0], MEMORIES[1 + (layer.loadable and random.random() < 0.5)]
    )
    return TermLanes(layer, replace(fold, memory=fold.memory if layer.loadable else "rom"), order, DEVICE, sort=True)


def _common_layer(random: Random, numbers: np.random.Generator, lanes: str) -> Stage:
    """Of the weights that such lanes are for: a pool, dense integers, or powers of two."""
    bits, size = random.choice([4, 8]), random.choice([6, 7, 8, 14, 16, 28, 32])
    few, many = random.choice([1, 3, 8, 16]), random.choice([16, 32, 64, 128])
    inputs, outputs = random.choice([(few, few), (few, many), (many, few), (many, 16)])
    maps = ["conv", "conv", "conv", "pointwise", "depthwise", "linear", "flat"]
    kind = "pool" if lanes == "max" else random.choice(maps)
    if kind == "linear":
        size, inputs, outputs = 1, random.choice([64, 128, 256, 640]), random.choice([10, 16, 64])
    if kind == "flat":  # a Linear behind a map
        size, inputs, outputs = random.choice([4, 5, 7]), random.choice([8, 16]), random.choice([10, 16, 64])
    if kind in ("depthwise", "pool"):
        outputs = inputs = many
    x = TensorType((inputs, size, size), QType(0, (1 << bits) - 1), 0)
    if kind == "pool":
        reach = random.choice([2, 2, 3])
        return Stage.alone("layer", MaxPool((reach, reach), (2, 2)), None, x)
    kernel = {"conv": random.choice([3, 3, 3, 5]), "depthwise": 3, "flat": size}.get(kind, 1)
    stride = random.choice([1, 1, 1, 2]) if kind not in ("flat", "linear") else 1
    pad = kernel // 2 if kind in ("conv", "depthwise") and random.random() < 0.8 else 0
    shape = (outputs, 1 if kind == "depthwise" else inputs, kernel, kernel)
    weight = 2.0 ** numbers.integers(0, 7, shape) * numbers.choice([-1, 1], shape)
    if lanes == "mac":
        most = random.choice([7, 127])
        weight = numbers.integers(-most, most + 1, shape).astype(float)
    weight *= numbers.random(shape) > random.choice([0.5, 0.5, 0.8])
    bias = numbers.integers(-100, 100, outputs).astype(float)
    op = Conv(
        weight, bias, stride=(stride, stride), padding=(pad, pad, pad, pad), groups=inputs if kind == "depthwise" else 1
    )
    quantize = None if random.random() < 0.15 else Quantize(random.choice([5, 9]), 0, (1 << bits) - 1)
    return Stage.alone("layer", op, quantize, x, loadable=random.random() < 0.25)


def synthesize(chosen: TermLanes, names: int = 0) -> dict[str, float]:
    """LUT, BRAM36 and DSP by the flags of hwgen synth; names -- as in `counting.count`."""
    parameters = chosen.parameters()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in chosen.files().items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        text = WRAPPER.format(
            taken=chosen.order.side * parameters["X_W"] - 1,
            sent=chosen.fold.lanes * parameters["OUT_W"] - 1,
            parameters=counting.given(parameters | {"XILINX": 1}),
        )
        (folder / "wrapped.v").write_text(text)
        counts = counting.count(folder, "wrapped", ["wrapped.v"], names=names)
    return {key: counts[key] for key in ("LUT", "BRAM36", "DSP")}


def of_builds(folders: list[Path]) -> list[tuple[TermLanes, dict[str, float]]]:
    """The lane units of builds, each with what hwgen synth counted."""
    found = []
    for folder in folders:
        counts = {
            unit["name"]: unit["resources"] for unit in json.loads((folder / "synth/yosys.json").read_text())["units"]
        }
        units = [placed.unit for placed in read_design(folder).placed]
        found += [(one, counts[one.name]) for one in units if isinstance(one, TermLanes)]
    return found


Counted = tuple[TermLanes, dict[str, float]]


def distinct(pairs: list[Counted]) -> list[Counted]:
    """Each unit once: those of equal parameters, whatever is in their lists, that took as much."""
    known = {}
    for one, count in pairs:
        parameters = {key: value for key, value in one.parameters().items() if key not in ("FILE", "CHECK")}
        known.setdefault(json.dumps([parameters, count["LUT"]]), (one, count))
    return list(known.values())


def fitted(pairs: list[Counted]) -> dict[str, float]:
    """The factors of least error on average, relative to the LUTs of a unit or SMALL, whichever is more; what few units
    tell stays near what the Verilog suggests (EXPECTED)."""
    rows, luts = [features(one) for one, _ in pairs], np.array([count["LUT"] for _, count in pairs])
    names, expected = list(EXPECTED), np.array(list(EXPECTED.values()))
    counts = np.array([[row.get(name, 0) for name in names] for row in rows], float)
    usual = np.diag(counts.sum(axis=0) / np.maximum(1, np.count_nonzero(counts, axis=0)))
    weight = np.concatenate([1 / np.maximum(luts, SMALL), np.full(len(names), TRUST / SMALL)])
    matrix = weight[:, None] * np.concatenate([counts, usual])
    rest = weight * np.concatenate([luts - np.array([row["exact"] for row in rows], float), usual @ expected])
    # the factors, and of each unit an error that is no less than it is off
    off, cost = np.eye(len(rest)), np.repeat([0.0, 1.0], [len(names), len(rest)])
    found = linprog(cost, np.block([[matrix, -off], [-matrix, -off]]), np.concatenate([rest, -rest]))
    return {"exact": 1.0, **dict(zip(names, found.x[: len(names)].tolist(), strict=True))}


def held_out(pairs: list[Counted]) -> tuple[np.ndarray, np.ndarray]:
    """LUTs of each unit by the factors of the four fifths of the units that it is not in, and as counted."""
    fifth = np.random.default_rng(0).permutation(len(pairs)) % FIFTHS
    have = np.empty(len(pairs))
    for k in range(FIFTHS):
        factors = fitted([pair for pair, other in zip(pairs, fifth != k, strict=True) if other])
        for i in np.flatnonzero(fifth == k):
            have[i] = sum(factors[name] * count for name, count in features(pairs[i][0]).items())
    return have, np.array([count["LUT"] for _, count in pairs], float)


def errors(have: np.ndarray, want: np.ndarray) -> str:
    off = have[want > 0] / want[want > 0] - 1
    return (
        f"off by {have.sum() / want.sum() - 1:+.1%} in total; by unit {np.abs(off).mean():.1%} on average, "
        f"within 5 % for {np.mean(np.abs(off) <= 0.05):.0%} and 10 % for {np.mean(np.abs(off) <= 0.1):.0%} "
        f"of {len(off)}, at worst {off[np.abs(off).argmax()]:+.1%}"
    )


@click.command(help=__doc__)
@click.argument("folders", metavar="[DIR]...", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--more", default=0, help="Random units that are counted too, and kept.")
@click.option(
    "--renamed", type=int, help="Of one unit, by its seed, LUTs under its own and under other names, no more."
)
def main(folders, more, renamed):
    console = Console(width=140)
    if renamed is not None:
        luts = [f"{synthesize(unit(renamed), names)['LUT']}" for names in range(1 + OTHER_NAMES)]
        console.print(f"unit {renamed}: {luts[0]} LUT, under other names {', '.join(luts[1:])}", highlight=False)
        return
    counted = dict(json.loads(line) for line in KNOWN.read_text().splitlines())
    for seed in track(range(max(counted) + 1, max(counted) + 1 + more), "yosys", console=Console(stderr=True)):
        counted[seed] = synthesize(unit(seed))
        KNOWN.write_text("".join(json.dumps([key, value]) + "\n" for key, value in sorted(counted.items())))
    random = [(unit(seed), count) for seed, count in sorted(counted.items())]
    builds = {folder.name: of_builds([folder]) for folder in folders}
    chosen = distinct(random)
    table = Table("feature", "LUTs of one: fitted", "in the code")
    for name, factor in fitted(chosen).items():
        table.add_row(name, f"{factor:.2f}", f"{FACTORS[name]:.2f}")
    console.print(table)
    unseen = distinct([pair for pairs in builds.values() for pair in pairs])
    for what, pairs in {"random": random, **builds, "builds, each unit once": unseen}.items():
        for key in ("LUT", "BRAM36", "DSP") if what == "random" else ("LUT", "BRAM36"):
            have = np.array([one.estimate()[key] for one, _ in pairs], float)
            want = np.array([count[key] for _, count in pairs], float)
            if want.any():
                console.print(f"{what}, {key}: {errors(have, want)}", highlight=False)
    console.print(f"held out, LUT: {errors(*held_out(chosen))}", highlight=False)


if __name__ == "__main__":
    main()
