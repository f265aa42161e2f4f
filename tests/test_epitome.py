"""Outputs that share lists: found by value, in 1/R of the memory, and exact; and nothing else is taken for them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from graphs import check_design, graph_of, scheduled
from torch import nn

from hwgen import build, verify
from hwgen.config import BuildConfig
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.ir import TensorType
from hwgen.lanes.epitome import Epitome, epitome_of
from hwgen.lanes.fold import Fold, legal_groups
from hwgen.lanes.unit import TermLanes
from hwgen.nn import ActQuant
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.stream import Order

RNG = np.random.default_rng(5)


def turned(weight: np.ndarray, bias: np.ndarray, times: int, step: int) -> Conv:
    parts = [np.roll(weight, -i * step, axis=1) for i in range(times)]
    return Conv(np.concatenate(parts), np.tile(bias, times))


def conv(times: int, step: int, outputs: int = 3, channels: int = 6, kernel=(1, 1)) -> Conv:
    weight = RNG.choice([0.0, 1, -1, 2, -4], (outputs, channels, *kernel)) + np.eye(outputs, channels)[:, :, None, None]
    return turned(weight, RNG.integers(-9, 9, outputs).astype(float), times, step)


def stage_of(op: Conv, **more) -> Stage:
    x = TensorType((op.weight.shape[1], 1, 3), QType(0, 15), 0)
    return Stage.alone("layer", op, Quantize(2, 0, 15), x, **more)


def unit_of(stage: Stage, groups: int = 1) -> TermLanes:
    return TermLanes(stage, Fold(3, groups), Order(stage.x.shape).by_lanes(3), DEVICE, sort=True)


@pytest.mark.parametrize(("times", "step"), [(2, 3), (2, 1), (4, 5), (6, 1)])
def test_an_epitome_is_found_by_value(times, step):
    assert epitome_of(stage_of(conv(times, step))) == Epitome(times, step)


def test_the_list_is_that_of_the_first_outputs_and_every_output_reads_what_it_should():
    op = conv(4, 5, outputs=4, channels=6, kernel=(1, 2))
    stage = stage_of(op)
    shared, own = unit_of(stage), unit_of(replace(stage, loadable=True))
    first, whole = shared.program, own.program
    assert shared.rom.depth * 4 == own.rom.depth
    assert np.array_equal(np.tile(first.lengths, 4), whole.lengths)
    # expanded, in the order of an output's places
    starts = np.cumsum(whole.lengths) - whole.lengths
    for output, start in enumerate(starts):
        times, one = divmod(output, 4)
        begin, length = starts[one], whole.lengths[output]
        turn = times * (6 - 5)
        entries = [
            sorted(
                zip(
                    each.flags[at : at + length] & ~8,
                    np.where(each.flags[at : at + length] & 1, 0, (each.channel[at : at + length] + more) % 6),
                    each.tap_column[at : at + length],
                    each.immediate[at : at + length],
                    strict=True,
                )
            )
            for each, at, more in ((first, begin, turn), (whole, start, 0))
        ]
        count = [[entry[0] & 4 for entry in each].count(4) for each in entries]
        places = [[(entry[0] & ~4, *entry[1:]) for entry in each] for each in entries]
        assert sorted(places[0]) == sorted(places[1]) and count[0] == count[1]


def one_changed(op: Conv) -> Conv:
    weight = op.weight.copy()
    weight[-1, 0, 0, 0] += 1
    return replace(op, weight=weight)


def two_exchanged(op: Conv) -> Conv:
    """Of the last output, so that its weights have the same sum."""
    weight = op.weight.copy()
    weight[-1] = np.roll(weight[-1], 1, axis=0)
    return replace(op, weight=weight)


def one_bias(op: Conv) -> Conv:
    bias = op.bias.copy()
    bias[0] += 1
    return replace(op, bias=bias)


@pytest.mark.parametrize("broken", [one_changed, two_exchanged, one_bias])
def test_what_is_not_quite_one_is_not_shared(broken):
    op = conv(2, 1)
    assert epitome_of(stage_of(op)) == Epitome(2, 1)
    stage = stage_of(broken(op))
    assert epitome_of(stage) is None
    assert unit_of(stage).parameters().get("REPEAT") is None


def test_loadable_layers_and_depthwise_ones_keep_their_own_lists():
    assert epitome_of(stage_of(conv(2, 1), loadable=True)) is None
    pool = Conv(np.ones((6, 1, 1, 1)), np.zeros(6), groups=6)
    assert epitome_of(stage_of(pool)) is None


def test_all_groups_have_a_channel_in_each_round():
    stage = stage_of(conv(2, 1, outputs=6))
    assert legal_groups(stage, 16) == [1, 2, 3, 6]
    unit = unit_of(stage, 3)
    assert unit.rounds.final == 3 and sorted(unit.channels) == list(range(12))
    assert unit.rounds.cycles == 2 * unit.once.cycles
    assert [m % 6 for m in unit.channels[6:]] == [m % 6 for m in unit.channels[:6]]


@pytest.mark.sim
@pytest.mark.parametrize("lanes", [1, 12])
def test_layers_before_and_behind_an_epitome_are_exact(lanes, tmp_path):
    """Channels before it come as they are numbered, those behind it in any order."""
    x = TensorType((3, 3, 4), QType(0, 15), 0)
    first = Conv(RNG.integers(-3, 4, (6, 3, 1, 1)).astype(float), np.zeros(6))
    last = Conv(RNG.integers(-1, 2, (3, 12, 1, 1)).astype(float), np.zeros(3))
    middle = conv(4, 5, outputs=3, kernel=(3, 3))
    graph = graph_of(
        x,
        ("first", first, ("x",)),
        ("first_q", Quantize(2, 0, 15), ("first",)),
        ("middle", replace(middle, padding=(1, 1, 1, 1)), ("first_q",)),
        ("middle_q", Quantize(4, 0, 15), ("middle",)),
        ("last", last, ("middle_q",)),
    )
    design = scheduled(graph, BuildConfig(lanes=lanes))
    units: dict[str, Any] = {placed.unit.name: placed.unit for placed in design.placed}
    assert units["middle"].times == 4 and not units["middle"].order.channels
    check_design(tmp_path, design, stall=0.2 if lanes > 1 else 0.0)


@pytest.mark.sim
def test_a_build_with_an_epitome_verifies(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.linear = ActQuant(4, -4, False), nn.Linear(8, 12)
            op = conv(3, 3, outputs=4, channels=8)
            self.linear.weight.data = torch.from_numpy(op.weight.reshape(12, 8) / 4).float()
            self.linear.bias.data = torch.from_numpy(op.bias / 4).float()

        def forward(self, x):
            return self.linear(self.q(x))

    design = build(Net(), (torch.zeros(1, 8),), out=tmp_path / "net")
    units: list[Any] = [placed.unit for placed in design.placed]
    assert [unit.times for unit in units] == [3]
    assert verify(tmp_path / "net", torch.rand(6, 8), simulator="icarus", stall=0.3)["equal"] == 6
