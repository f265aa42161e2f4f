"""Additions of multiples, requantized by any factor: golden against Fractions, RTL against golden, and what must
fail."""

import re
from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.adders.netlist import adder_netlist
from hwgen.config import BuildConfig
from hwgen.errors import DoesNotFit
from hwgen.ir import Graph, Input, Node, Output, TensorType
from hwgen.ops.add import Add
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Quantizer, Rescale
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.add import AddGraph, add_unit
from tests.graphs import check_design, scheduled
from tests.test_netlist import check_netlist

A, B = TensorType((2, 3, 4), QType(0, 200), 0), TensorType((2, 3, 4), QType(-136, 119), 0)


def rescale(multiplier: int, bias: int, ties: int, shift: int, low: int, high: int) -> Rescale:
    return Rescale(*(np.array([value]) for value in (multiplier, bias, ties)), shift, low, high)


def sum_of(op: Add, quantize: Quantizer | None, a: TensorType = A, b: TensorType = B) -> Graph:
    nodes = (Node("sum", op, ("a", "b")), *([Node("y", quantize, ("sum",))] if quantize else []))
    inputs = Input("a", a, a.shape), Input("b", b, b.shape)
    return Graph(inputs, nodes, (Output(nodes[-1].name, a.shape),))


# operands of different scales; of the same one; half even; both; a difference, rounded half up
SCALES = Add(multipliers=(70235, -5531)), rescale(1, 1 << 19, 0, 17, 0, 255)
SAME = Add(), rescale(2805, 2048, 0, 13, -40, 100)
EVEN = Add(multipliers=(1, -1)), rescale(1, 4, 1, 3, -30, 30)
TIES = Add(multipliers=(3, 5)), rescale(7, 24, 7, 5, -64, 255)
PLAIN = Add(multipliers=(5, -2)), Quantize(2, -60, 250)


@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(st.data())
def test_the_datapath_is_the_golden_sum(data):
    """Its netlist, the bits that it drops, ties and the clamp, in Fractions."""
    multiplier = st.integers(-(1 << 12), 1 << 12)
    op = Add(multipliers=(data.draw(multiplier), data.draw(multiplier)))
    factor, shift = data.draw(multiplier.filter(bool)), data.draw(st.integers(0, 20))
    ties = data.draw(st.sampled_from([0, 1, min(abs(factor), 1 << shift)]))
    quantize = rescale(factor, data.draw(st.integers(-(1 << 20), 1 << 20)), ties, shift, -50, 99)
    a, b = replace(A, exponent=data.draw(st.integers(-3, 3))), replace(B, exponent=data.draw(st.integers(-3, 3)))
    exact = op.infer(a, b)
    x = np.random.default_rng(1).integers((A.qtype.low, B.qtype.low), (A.qtype.high + 1, B.qtype.high + 1), (20, 2))
    stage = Stage("s", op, quantize, ("a", "b"), (a, b), "s", quantize.infer(exact))
    path = AddGraph(stage, Order(A.shape), 3).datapath
    sums = path.netlist.evaluate(x)[:, 0]
    want = op.eval([a, b], *torch.from_numpy(x.T[:, :, None, None, None]))
    for total, level, (one, other) in zip(sums, quantize.eval([exact], want).reshape(-1).tolist(), x, strict=True):
        found = floor(Fraction(int(total), 1 << path.drop))
        if int(total) % (1 << path.drop) < path.ties[0]:
            found &= ~1
        assert min(max(found, -50), 99) == level
        lowest = min(a.exponent, b.exponent)
        real = sum(
            Fraction(int(v)) * times * Fraction(2) ** (kind.exponent - lowest)
            for v, times, kind in zip((one, other), op.multipliers, (a, b), strict=True)
        )
        scaled = (real * factor + int(quantize.biases[0])) / 2**shift
        level_of = floor(scaled) & ~1 if scaled - floor(scaled) < Fraction(ties, 2**shift) else floor(scaled)
        assert min(max(level_of, -50), 99) == level


def test_multipliers_that_do_not_fit_are_named():
    with pytest.raises(DoesNotFit, match="more than 26 bits"):
        Add("sum", (1 << 26, 1)).infer(A, B)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("op", "quantize", "options", "simulator"),
    [
        (*SCALES, {"engine": "spatial", "levels": 1}, "icarus"),
        (*SAME, {"engine": "lanes"}, "icarus"),
        (*EVEN, {"engine": "lanes"}, "icarus"),
        (*TIES, {"engine": "spatial"}, "icarus"),
        (*PLAIN, {"engine": "lanes"}, "icarus"),
    ],
    ids=("scales", "same", "even", "ties", "plain"),
)
def test_additions_equal_the_golden_integers(op, quantize, options, simulator, tmp_path):
    """In one unit, which takes a beat a clock."""
    design = scheduled(sum_of(op, quantize), BuildConfig(**options))
    (unit,) = (placed.unit for placed in design.placed if len(placed.inputs) == 2)
    assert isinstance(unit, AddGraph) and unit.cycles() == unit.order.beats
    assert not any(placed.unit.kind in ("term_lanes", "adder_graph") for placed in design.placed)
    check_design(tmp_path / "a", design, simulator, stall=0.4)
    if simulator == "icarus":
        check_design(tmp_path / "b", design, simulator)


def test_shifts_are_added_by_add_v():
    for op, quantize in ((Add(multipliers=(4, -2)), None), (Add(), rescale(8, 1 << 5, 0, 6, 0, 40))):
        exact = op.infer(A, B)
        y = exact if quantize is None else quantize.infer(exact)
        assert add_unit(Stage("s", op, quantize, ("a", "b"), (A, B), "s", y), Order(A.shape), 3).module == "add"


@pytest.mark.sim
def test_the_netlist_of_an_addition_is_the_module(tmp_path, monkeypatch):
    check_netlist(tmp_path, monkeypatch, sum_of(*TIES))


def a_multiplier_off_by_one(table, constants, inputs, sums):
    terms = [np.append(getattr(table, name), 0) for name in ("output", "input", "exponent", "negative")]
    return adder_netlist(type(table)(*terms), constants, inputs, [QType(sums[0].low - 999, sums[0].high + 999)])


def a_bias_off_by_one(table, constants, inputs, sums):
    return adder_netlist(table, [constants[0] + 1], inputs, [QType(sums[0].low, sums[0].high + 1)])


@pytest.mark.sim
@pytest.mark.parametrize("broken", [a_multiplier_off_by_one, a_bias_off_by_one])
def test_an_addition_is_wrong_with(broken, monkeypatch, tmp_path):
    monkeypatch.setattr("hwgen.units.add.adder_netlist", broken)
    design = scheduled(sum_of(*TIES), BuildConfig())
    with pytest.raises(AssertionError):
        check_design(tmp_path, design)


# pattern, replacement, in the file of the layer
MUTANTS = {
    "no tie": (r"wire tie0 = .*;", "wire tie0 = 1'b0;"),
    "a tie one wider": (r"< 5'd7;", "< 5'd8;"),
    "registers that do not wait": (r"if \(enable\) begin", "begin"),
}


@pytest.mark.sim
@pytest.mark.parametrize("mutant", MUTANTS)
def test_an_addition_does_not_simulate_with(mutant, monkeypatch, tmp_path):
    pattern, instead = MUTANTS[mutant]
    files = AddGraph.files

    def broken(self):
        ((path, text),) = files(self).items()
        assert re.search(pattern, text), f"{path} holds no {pattern}: give the mutant its new text"
        return {path: re.sub(pattern, instead, text)}

    monkeypatch.setattr(AddGraph, "files", broken)
    with pytest.raises(AssertionError):
        check_design(tmp_path, scheduled(sum_of(*TIES), BuildConfig()), stall=0.4)
