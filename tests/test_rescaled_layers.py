"""Layers whose sums are requantized by any factor or any thresholds: moved before a max pool, and in spatial layers."""

import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from hwgen.adders.netlist import adder_netlist
from hwgen.config import BuildConfig
from hwgen.devices import devices
from hwgen.emit import instantiated, library
from hwgen.engines import Limits
from hwgen.engines.spatial import Spatial, SpatialEngine
from hwgen.ir import Graph, TensorType
from hwgen.ops.conv import Conv
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Rescale, Steps
from hwgen.passes import run_passes
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units import adder_graph
from hwgen.units.adder_graph import AdderGraph
from tests.graphs import check_design, frames_of, graph_of, scheduled
from tests.proofs import yosys
from tests.test_netlist import check_netlist
from tests.test_spatial import GOLD, MITER

X = TensorType((3, 5, 6), QType(-100, 120), 0)


def rescale(multipliers, biases, ties, shift, low, high):
    return Rescale(*(np.array(values, np.int64) for values in (multipliers, biases, ties)), shift, low, high)


@pytest.mark.parametrize(
    ("op", "first"),
    [
        (rescale([3, 11, 5], [1, 5, -9], [0, 0, 0], 3, -9, 40), True),
        (rescale([1], [2], [1], 2, -9, 40), True),
        (Steps(np.sort(np.random.default_rng(1).integers(-100, 120, (3, 6))), -2), True),
        (rescale([3, -11, 5], [1, 5, -9], [0, 0, 0], 3, -9, 40), False),
    ],
    ids=("factors", "half even", "thresholds", "a negative factor"),
)
def test_what_keeps_the_order_comes_before_a_max_pool(op, first):
    pool = MaxPool((2, 2), (2, 2), (0, 0, 0, 0))
    graph = graph_of(X, ("pool", pool, ("x",)), ("y", op, ("pool",)))
    after, x = run_passes(graph), frames_of(X)
    assert isinstance(after.nodes[0].op, MaxPool) != first
    assert torch.equal(graph.eval(x)[0], after.eval(x)[0])


def conv(seed, outputs, inputs, taps, span, groups=1):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-span, span + 1, (outputs, inputs // groups, taps, taps)).astype(np.float64)
    return Conv(weight, rng.integers(-40, 40, outputs).astype(np.float64), padding=(taps // 2,) * 4, groups=groups)


def drawn(seed, kind, channels, reach):
    """A requantization of `channels` sums that reach so far, of each kind."""
    rng, pick = np.random.default_rng(seed), random.Random(seed)
    low = pick.choice((-8, 0, -5))
    high = low + pick.choice((6, 15, 100))
    count = pick.choice((1, channels))
    if kind == "thresholds":
        spread = pick.choice((reach // 2, 2 * reach))
        return Steps(np.sort(rng.integers(-spread, spread, (count, pick.choice((1, 6, 15, 200)))), axis=1), low)
    shift = pick.choice((3, 9, 16))
    if kind == "powers":
        multipliers = 1 << rng.integers(0, 3, count)
    else:  # levels change in a part of the reach, or all over it
        part = pick.choice((0.1, 0.7, 3))
        middle = max(1, int((high - low) / part / reach * 2**shift))
        multipliers = rng.integers(max(1, middle // 2), 2 * middle + 1, count) * rng.choice((1, 1, -1), count)
        multipliers[rng.random(count) < 0.1] = 0
    ties = pick.choice((np.zeros(count), np.ones(count), np.minimum(abs(multipliers), 1 << shift)))
    return rescale(multipliers, rng.integers(-(4 << shift), 4 << shift, count), ties, shift, low, high)


CASES = [(seed, kind) for seed in range(11) for kind in ("factors", "powers", "thresholds")]


@pytest.mark.parametrize(("seed", "kind"), CASES, ids=str)
def test_the_netlist_of_requantized_sums_is_exact(seed, kind):
    pick = random.Random(seed)
    groups, taps = pick.choice(((1, 3), (1, 1), (4, 1), (4, 3)))
    op = conv(seed, 4, 4, taps, pick.choice((1, 7, 100)), groups)
    x = TensorType((4, 4, 4), QType(*pick.choice(((0, 15), (-8, 7), (0, 255), (3, 9), (-8, -5)))), 0)
    exact = op.infer(x)
    quantize = drawn(seed, kind, 4, max(exact.qtype.high, -exact.qtype.low))
    stage = Stage.alone("y", op, quantize, x)
    unit = AdderGraph(stage, Order(x.shape).by_pixels(1), 3, devices()["ultrascale_plus"], bool(seed % 2))
    frames = frames_of(x, 6, seed)
    windows = functional.unfold(frames.double(), taps, padding=taps // 2).reshape(6, 4, taps * taps, 16).long()
    read = windows.permute(0, 3, 2, 1).reshape(6 * 16, -1).numpy()
    path = unit.datapath
    found = path.evaluate(read).reshape(6, 16, 4)
    want = quantize.eval([exact], op.eval([x], frames)).reshape(6, 4, 16).numpy()
    assert np.array_equal(found.transpose(0, 2, 1), want)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("kind", "seed", "levels", "simulator"),
    [("factors", 4, 3, "verilator"), ("thresholds", 5, 2, "icarus")],
)
def test_spatial_layers_equal_the_golden_integers(kind, seed, levels, simulator, tmp_path):
    x = TensorType((3, 4, 6), QType(-8, 7), 0)
    op = conv(seed, 4, 3, 3, 7)
    exact = op.infer(x)
    quantize = drawn(seed, kind, 4, max(exact.qtype.high, -exact.qtype.low))
    graph = graph_of(x, ("sum", op, ("x",)), ("y", quantize, ("sum",)))
    design = scheduled(graph, BuildConfig(engine="spatial", levels=levels))
    (unit,) = (placed.unit for placed in design.placed if isinstance(placed.unit, AdderGraph))
    wanted = {"factors": "Row", "thresholds": "Compare"}[kind]
    assert wanted in {type(row).__name__ for row in unit.netlist.rows}
    check_design(tmp_path / "a", design, simulator, stall=0.4)
    if simulator == "icarus":
        check_design(tmp_path / "b", design)


def test_a_large_layer_is_priced_by_a_few_of_its_outputs(monkeypatch):
    x, op = TensorType((8, 6, 6), QType(0, 15), 0), conv(1, 24, 8, 3, 7)
    reach = op.infer(x).qtype.high
    for quantize in (drawn(4, "factors", 24, reach), drawn(2, "thresholds", 24, reach)):
        stage = Stage.alone("y", op, quantize, x)
        units = [AdderGraph(stage, Order(x.shape).by_pixels(1), n, devices()["ultrascale_plus"]) for n in (3, 4)]
        exact = units[0].estimate()["LUT"]
        monkeypatch.setattr(adder_graph, "EXACT_TERMS", len(units[0].sums.terms) // 2)
        assert abs(units[1].estimate()["LUT"] / exact - 1) < 0.1
        monkeypatch.undo()


# what must fail

FEW = TensorType((3, 4, 6), QType(-8, 7), 0)
FACTORS = rescale([11, -7, 13, 9], [7, 3, -60, 4], [0, 7, 0, 1], 5, -9, 20)
THRESHOLDS = Steps(np.sort(np.random.default_rng(3).integers(-60, 60, (4, 6)), axis=1), -2)


def spatial(quantize):
    """A layer that multiplies its sums, or compares them."""
    graph = graph_of(FEW, ("sum", conv(3, 4, 3, 3, 1), ("x",)), ("y", quantize, ("sum",)))
    return scheduled(graph, BuildConfig(engine="spatial", levels=1))


def changed(then, name, change):
    values = [list(value) if isinstance(value, list) else value for value in getattr(then, name)]
    return replace(then, **{name: change(values)})


def one_more(values):
    return [values[0] + 1, *values[1:]]


def one_later(values):
    return [[*row[:3], row[3] + 1, *row[4:]] for row in values]


BROKEN = {
    "a multiplier off by one": (FACTORS, lambda then: changed(then, "multipliers", one_more)),
    "a bias off by one": (FACTORS, lambda then: changed(then, "constants", one_more)),
    "a threshold off by one": (THRESHOLDS, lambda then: changed(then, "thresholds", one_later)),
    "one threshold less": (THRESHOLDS, lambda then: replace(then, thresholds=[row[1:] for row in then.thresholds])),
}


@pytest.mark.sim
@pytest.mark.parametrize("quantize", [FACTORS, THRESHOLDS], ids=("factors", "thresholds"))
def test_the_layer_is_right_unchanged(quantize, tmp_path):
    check_design(tmp_path, spatial(quantize))


@pytest.mark.sim
@pytest.mark.parametrize("broken", BROKEN)
def test_a_layer_is_wrong_with(broken, monkeypatch, tmp_path):
    quantize, change = BROKEN[broken]

    def made(table, constants, inputs, sums, then):
        return adder_netlist(table, constants, inputs, sums, change(then))

    monkeypatch.setattr(adder_graph, "adder_netlist", made)
    with pytest.raises(AssertionError):
        check_design(tmp_path, spatial(quantize))


# pattern, replacement, in the file of the layer
MUTANTS = {
    "no ties": (FACTORS, r"wire tie(\d) = .*;", r"wire tie\1 = 1'b0;"),
    "ties one too many": (FACTORS, r"< 5'd7;", "< 5'd8;"),
    "no clamp before the product": (
        FACTORS,
        r"clamp #\((.*)\)\n    u_s",
        r"clamp #(.NO_LOW(1), .NO_HIGH(1), \1)\n    u_s",
    ),
    "another threshold": (THRESHOLDS, r"_all\[\{(\w+), ", r"_all[{~\1, "),
    "as large as a threshold": (THRESHOLDS, " >= ", " > "),
}


@pytest.mark.sim
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_layer_does_not_simulate_with(mutant, monkeypatch, tmp_path):
    quantize, pattern, instead = MUTANTS[mutant]
    files = AdderGraph.files

    def broken(self):
        ((path, text),) = files(self).items()
        assert re.search(pattern, text), f"{path} holds no {pattern}: give the mutant its new text"
        return {path: re.sub(pattern, instead, text)}

    monkeypatch.setattr(AdderGraph, "files", broken)
    with pytest.raises(AssertionError):
        check_design(tmp_path, spatial(quantize))


@pytest.mark.sim
def test_an_average_over_whole_frames_has_an_adder_a_channel(tmp_path):
    """Of 15 pixels, half even, and by thresholds."""
    x = TensorType((3, 3, 5), QType(-100, 120), 0)
    average = Conv(np.ones((3, 1, 3, 5)), np.zeros(3), groups=3)
    for n, quantize in enumerate((rescale([17477], [1 << 17], [0], 18, -90, 70), drawn(3, "thresholds", 3, 400))):
        design = scheduled(
            graph_of(x, ("sum", average, ("x",)), ("y", quantize, ("sum",))), BuildConfig(engine="spatial")
        )
        assert "pixel_sum" in {placed.unit.kind for placed in design.placed}
        check_design(tmp_path / f"{n}", design)
        check_design(tmp_path / f"{n}_stalls", design, stall=0.4)


# proven, and clean


def levels_of(quantize, output):
    """The level of sum{output} as Verilog, from the fields of the op."""
    if isinstance(quantize, Steps):
        counted = " + ".join(f"(sum{output} >= {threshold})" for threshold in quantize.thresholds[output])
        return f"{counted} + ({quantize.low})"
    multiplier, bias, ties = (int(v[output]) for v in (quantize.multipliers, quantize.biases, quantize.ties))
    scaled = f"(sum{output} * ({multiplier}) + ({bias}))"
    level = f"({scaled} >>> {quantize.shift})"
    tie = f"(({scaled} & {(1 << quantize.shift) - 1}) < {ties})"
    level = f"({tie} ? ({level} & ~1) : {level})"
    return f"{level} < ({quantize.low}) ? ({quantize.low}) : {level} > {quantize.high} ? {quantize.high} : {level}"


def proof(folder, quantize, broken=lambda text: text):
    """Proves a layer of 3 inputs of 3 bits and 2 outputs, from its reset on, whatever comes and whoever stalls."""
    x = TensorType((3, 1, 1), QType(-4, 3), 0)
    op = Conv(np.array([[23.0, -6, 24], [-23, 13, 1]])[:, :, None, None], np.array([5.0, -60]))
    stage = Stage.alone("layer", op, quantize, x)
    unit = AdderGraph(stage, Order(x.shape).by_pixels(1), 1, devices()["ultrascale_plus"])
    ((path, text),) = unit.files().items()
    files = library(instantiated(text)) | {path: broken(text)}
    y_bits = stage.y.qtype.bits
    inputs = [f"    wire signed [31:0] x{i} = $signed(s_axis_tdata[{3 * i} +: 3]);" for i in range(3)]
    sums = []
    for n, (weights, bias) in enumerate(zip(op.weight[:, :, 0, 0], op.bias, strict=True)):
        products = " + ".join(f"({int(weight)}) * x{i}" for i, weight in enumerate(weights))
        sums.append(f"    wire signed [31:0] sum{n} = {products} + ({int(bias)});")
        sums.append(f"    wire signed [31:0] level{n} = {levels_of(quantize, n)};")
        sums.append(f"    wire [{y_bits - 1}:0] y{n} = level{n}[{y_bits - 1}:0];")
    last, bits = unit.stages - 1, 2 * y_bits - 1
    gold = GOLD.format(x=8, y=bits, inputs="\n".join(inputs), sums="\n".join(sums), last=last, results="{y1, y0}")
    files |= {"gold.v": gold, "miter.v": MITER.format(x=8, y=bits, gate=unit.module)}
    for name, text in files.items():
        (folder / Path(name).name).write_text(text)
    return yosys(
        folder,
        "read_verilog +/xilinx/cells_sim.v",  # without -lib: the cells' behaviour counts
        *(f"read_verilog {Path(name).name}" for name in files),
        "hierarchy -check -top miter",
        "proc",
        "flatten",
        "select -assert-min 4 w:*carry_i*",
        "select -clear",
        "memory",
        "opt",
        f"sat -verify -seq {unit.stages + 2} -set-at 1 rst 1 -prove-skip 1 -prove trigger 0 miter",
    )


PROVEN = {
    "factors": rescale([11, -21], [20, -9], [11, 0], 6, -9, 9),
    "thresholds": Steps(np.array([[-90, -31, -30, 8, 55], [-100, -90, -60, -10, 3]]), -2),
}


@pytest.mark.parametrize("kind", PROVEN)
def test_a_layer_of_primitives_is_proven(kind, tmp_path):
    done = proof(tmp_path, PROVEN[kind])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "SUCCESS!" in done.stdout


def test_a_layer_with_a_wrong_tie_is_refuted(tmp_path):
    done = proof(tmp_path, PROVEN["factors"], lambda text: text.replace("< 6'd11", "< 6'd12"))
    assert done.returncode != 0 and "model found: FAIL" in done.stdout


# some sums wide and factors narrow, some the other way round; one factor that is folded into its weights
SLICED = rescale(
    [-100003, 0x2D6B5AD, 9697, 1 << 20, 8191], [1 << 23, 3, -(1 << 22), 0, 9], [0, 0, 1, 0, 0], 24, -90, 90
)


def sliced(monkeypatch) -> Graph:
    """A layer whose factors are in DSP slices, but for one."""
    monkeypatch.setattr(SpatialEngine, "choices", lambda *_: [Spatial(1, 1)])
    spans = np.array([40, 1, 300, 5, 900])[:, None, None, None]
    weight = np.random.default_rng(1).integers(-4, 5, (5, 3, 3, 3)) * spans
    op = Conv(weight.astype(np.float64), np.arange(5.0), padding=(1, 1, 1, 1))
    return graph_of(FEW, ("sum", op, ("x",)), ("y", SLICED, ("sum",)))


@pytest.mark.sim
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_factors_in_slices_equal_the_golden_integers(simulator, tmp_path, monkeypatch):
    design = scheduled(sliced(monkeypatch), BuildConfig(engine="spatial", levels=1))
    (unit,) = (placed.unit for placed in design.placed if isinstance(placed.unit, AdderGraph))
    assert unit.estimate()["DSP"] == 4 and {one.narrow_constant for one in unit.sums.slices.values()} == {True, False}
    check_design(tmp_path / "a", design, simulator, stall=0.4)
    if simulator == "icarus":
        check_design(tmp_path / "b", design)


def test_slices_are_offered_where_they_may_save_much():
    x, ours = TensorType((4, 6, 6), QType(0, 255), 0), devices()
    factors = rescale([700001, 523, 345679, 987653], [0, 5, -9, 1], [0] * 4, 26, 0, 255)
    engine = SpatialEngine()

    def offered(op, quantize, dsp, family):
        stage = Stage.alone("y", op, quantize, x)
        limits = Limits(None, 8, 1, dsp, [], {}, ours[family])
        return {choice.slices for choice in engine.choices(stage, limits, list)}

    depthwise = conv(1, 4, 4, 3, 100, 4)
    assert offered(depthwise, factors, True, "ultrascale_plus") == {0, 1}
    assert offered(depthwise, factors, False, "ultrascale_plus") == {0}
    assert offered(depthwise, factors, True, "series7") == {0}
    assert offered(depthwise, Quantize(5, 0, 255), True, "ultrascale_plus") == {0}
    assert offered(conv(1, 4, 4, 3, 100), factors, True, "ultrascale_plus") == {0}


@pytest.mark.sim
def test_the_netlist_of_factors_in_slices_is_the_module(tmp_path, monkeypatch):
    netlist = check_netlist(tmp_path, monkeypatch, sliced(monkeypatch), engine="spatial")
    assert netlist.count(" DSP48E2 ") == 4


@pytest.mark.sim
def test_the_netlist_of_thresholds_is_the_module(tmp_path, monkeypatch):
    graph = graph_of(FEW, ("sum", conv(3, 4, 3, 1, 5), ("x",)), ("y", THRESHOLDS, ("sum",)))
    check_netlist(tmp_path, monkeypatch, graph, "pynq-z2", engine="spatial")
