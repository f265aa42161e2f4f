"""Functions that are two lines: exactly their tables, and the engine that is less of the board computes them."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from hwgen import BuildConfig, build, simulate
from hwgen.engines import engines
from hwgen.engines.two_lines import TwoLines, lines_of
from hwgen.functions import Levels
from hwgen.ir import TensorType
from hwgen.nn import ActQuant
from hwgen.ops.lookup import Lookup
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.stream import Order


def stage_of(table: np.ndarray, low: int) -> Stage:
    x = TensorType((3, 2, 4), QType(low, low + len(table) - 1), 0)
    return Stage.alone("lines", Lookup(table.astype(np.int64), low, 0, "any"), None, x)


def results(unit: TwoLines) -> np.ndarray:
    """What the parameters of rtl/two_lines.v make of every activation."""
    lines, x = unit.lines, np.arange(unit.stage.x.qtype.low, unit.stage.x.qtype.high + 1)
    side = (x >= 0).astype(int)
    sums = (x * np.array(lines.slopes)[side] + np.array(lines.starts)[side]) >> lines.drop
    return np.clip(sums, unit.ends["LOW"], unit.ends["HIGH"])


@settings(deadline=None, max_examples=200)
@given(
    st.tuples(st.integers(-3, 4), st.sampled_from((-1, 0, 1)), st.integers(-40, 40)),
    st.tuples(st.integers(-3, 4), st.sampled_from((-1, 0, 1)), st.integers(-40, 40)),
    st.integers(-200, 0),
    st.integers(1, 300),
    st.integers(-130, 0),
    st.integers(1, 130),
)
@example((-3, -1, -1), (0, -1, 0), -12, 10, -1, 1)  # one level between both ends, for long
def test_clamped_lines_are_found_and_give_the_table(below, above, low, count, least, most):
    """Slopes that are powers of two, or zero, rounded half up, with any start and clamp."""
    x = np.arange(low, low + count)
    exact = [sign * 2.0**shift * x + start for shift, sign, start in (below, above)]
    table = np.clip(np.floor(np.where(x < 0, *exact) + 0.5), least, most).astype(np.int64)
    stage = stage_of(table, low)
    lines = lines_of(stage)
    assert lines is not None
    unit = TwoLines(stage, Order(stage.x.shape))
    assert np.array_equal(results(unit), table)
    sums = lines.sums(low, low + count - 1)
    half = 1 << (unit.bits - 1)
    assert -half <= min(sums) and max(sums) < half


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=12), st.integers(-12, 0))
def test_any_table_is_exactly_met_or_refused(table, low):
    stage = stage_of(np.array(table), low)
    if lines_of(stage) is not None:
        assert results(TwoLines(stage, Order(stage.x.shape))).tolist() == table


@pytest.mark.parametrize(
    ("function", "able"),
    [
        (lambda x: functional.leaky_relu(x, 0.125), True),
        (torch.abs, True),
        (torch.relu, True),
        (lambda x: functional.hardtanh(x, -1.5, 0.75), True),
        (torch.sign, True),  # a constant, and what a clamp makes of a steep line
        (lambda x: functional.hardshrink(x, 0.5), False),
        (torch.sigmoid, False),
        (torch.square, False),
    ],
)
def test_which_functions_are_two_lines(function, able):
    x = TensorType((4, 1, 4), QType(-128, 127), -4)
    values = function(torch.arange(-128, 128).double() / 16).numpy()
    stage = Stage.alone("t", Lookup.of("f", values, Levels.of(Quantize(-4, -128, 127)), -4, x, ""), None, x)
    assert (engines()["two_lines"].obstacle(stage) is None) == able
    assert engines()["lookup"].obstacle(stage) is None


class Net(nn.Module):
    """Leaky ReLUs of a slope that is a power of two, and of one that is none."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.into, self.conv1, self.conv2 = ActQuant(6, -4, True), nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 3, 1)
        self.quant = nn.ModuleList(ActQuant(8, -5, True) for _ in range(2))
        self.after = nn.ModuleList((ActQuant(8, -5, True), ActQuant(7, -4, True)))
        for layer in (self.conv1, self.conv2):
            layer.weight.data = torch.randint(-3, 4, layer.weight.shape) / 8
            layer.bias.data = torch.randint(-8, 8, layer.bias.shape) / 16

    def forward(self, x):
        x = self.after[0](functional.leaky_relu(self.quant[0](self.conv1(self.into(x))), 0.125))
        return self.after[1](functional.leaky_relu(self.quant[1](self.conv2(x)), 0.1))


@pytest.mark.sim
@pytest.mark.parametrize("options", [{"lanes": 4}, {"engine": "spatial", "pixels": 3}])
def test_the_lesser_of_table_and_lines_equals_pytorch(options, tmp_path):
    net, x = Net().eval(), torch.randn(6, 2, 5, 6) * 2
    design = build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(**options))
    kinds = [placed.unit.kind for placed in design.placed]
    assert kinds.count("two_lines") == 1 and kinds.count("lookup") == 1
    y, _ = simulate(tmp_path / "net", x.numpy(), simulator="icarus", stall=0.3)
    assert np.array_equal(y, net.double()(x.double()).detach().numpy())
