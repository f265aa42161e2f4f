"""What only moves activations: the RTL sends what the index says, whatever the order of the streams."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from hwgen import BuildConfig, build, simulate
from hwgen.beatmap import ZERO, BeatMap, Nest
from hwgen.board import load_board
from hwgen.engines import Limits
from hwgen.engines.move import MoveEngine
from hwgen.ir import TensorType
from hwgen.lower import lower
from hwgen.nn import ActQuant
from hwgen.ops.move import Move
from hwgen.pace import interval_of
from hwgen.qtype import QType
from hwgen.stream import Order
from tests.graphs import check_design, graph_of, placed


def places(shape):
    return np.arange(int(np.prod(shape))).reshape(shape)


def expected(beats: BeatMap, index: np.ndarray, frame: np.ndarray) -> bool:
    """Whether what the map says of a frame's beats is what the index says of its activations."""
    comes = beats.taken.indices()
    stream = np.where(comes < 0, -99, frame.reshape(-1)[comes]).reshape(-1, beats.taken.side)
    wires = np.array(beats.wires)
    sent = np.where((beats.source < 0)[:, None] | (wires < 0)[None, :], 0, stream[beats.source][:, wires])
    leaves = beats.sent.indices()
    picked = np.where(index < 0, 0, frame.reshape(-1)[index]).reshape(-1)
    return bool((sent.reshape(-1) == picked[leaves])[leaves >= 0].all())


def walked(beats: BeatMap) -> list[int]:
    """The beats that a walk of the map's loops sends, by hand."""
    sent, at = [], 0
    assert beats.steps is not None
    outer, middle, inner = beats.steps.loops
    for o in outer:
        for m in middle:
            for i in inner:
                if o[1] and m[1] and i[1]:
                    sent.append(ZERO if o[2] or m[2] or i[2] else at)
                at += o[0] and m[0] and i[0]
    assert at == beats.taken.beats
    return sent


@st.composite
def moves(draw):
    """(shape, index) of a Move: views of numpy, composed at random; zeros and repetitions among them."""
    shape = draw(st.tuples(*[st.integers(1, 5)] * 3))
    index = places(shape)
    for _ in range(draw(st.integers(0, 3))):
        index = draw(st.sampled_from([_permuted, _sliced, _flipped, _repeated, _padded, _split, _shuffled]))(
            draw, index
        )
    return shape, index


def _permuted(draw, index):
    return index.transpose(draw(st.permutations(range(3))))


def _sliced(draw, index):
    axis = draw(st.integers(0, 2))
    first = draw(st.integers(0, index.shape[axis] - 1))
    last = draw(st.integers(first + 1, index.shape[axis]))
    slices = [slice(None)] * 3
    slices[axis] = slice(first, last, draw(st.integers(1, 2)))
    return index[tuple(slices)]


def _flipped(draw, index):
    return np.flip(index, draw(st.integers(0, 2)))


def _repeated(draw, index):
    axis = draw(st.integers(0, 2))
    return draw(st.sampled_from([np.repeat, lambda x, n, axis: np.concatenate([x] * n, axis)]))(index, 2, axis=axis)


def _padded(draw, index):
    sides = [(draw(st.integers(0, 1)), draw(st.integers(0, 2))) for _ in range(3)]
    return np.pad(index, sides, constant_values=-1)


def _split(draw, index):
    """Channels into pixels, or another view."""
    shape = draw(st.permutations(index.shape))
    return index.reshape(shape)


def _shuffled(draw, index):
    if draw(st.booleans()):
        return index[draw(st.permutations(range(len(index))))]
    return np.array(draw(st.permutations(index.reshape(-1).tolist()))).reshape(index.shape)


def orders(shape):
    own = Order(shape)
    pixels = [own.by_pixels(n) for n in (1, 2, 3) if shape[2] % n == 0]
    return [own, *pixels, *(own.by_lanes(n) for n in (2, 3) if shape[2] in (n, 2 * n - 1, 2 * n))]


@settings(deadline=None, max_examples=150)
@given(moves(), st.data())
def test_beats_of_any_move_are_what_its_index_says(move, data):
    shape, index = move
    frame = np.arange(1, 1 + int(np.prod(shape)))
    serial = BeatMap.of(index, Order(shape), Order(index.shape))
    other = BeatMap.of(
        index, data.draw(st.sampled_from(orders(shape))), data.draw(st.sampled_from(orders(index.shape)))
    )
    assert serial is not None
    for beats in filter(None, (serial, other)):
        assert expected(beats, index, frame)
        if beats.steps is not None:
            assert walked(beats) == beats.source.tolist()
        if beats.taken.beats > 1:
            blocks = beats.blocks
            assert (blocks.nest.places() == blocks.order).all()
            first = np.arange(blocks.count)[:, None] * blocks.taken
            assert (np.where(blocks.order < 0, ZERO, blocks.order + first).reshape(-1) == beats.source).all()


@given(st.lists(st.integers(-1, 9), min_size=1, max_size=40))
def test_any_sequence_is_a_nest_of_loops(sequence):
    order = np.array(sequence)
    assert (Nest.of(order).places() == order).all()


def test_a_transposition_is_two_loops():
    nest = Nest.of(places((4, 1, 6)).transpose(2, 1, 0).reshape(-1))
    assert nest.counts == (4, 6) and nest.steps == (6, 1) and nest.starts.tolist() == [0]


def moved(shape, index):
    return graph_of(TensorType(shape, QType(-8, 7), 0), ("y", Move(index), ("x",)))


def choices_of(graph):
    """Whatever a stream may be that a Move reads."""
    (stage,) = lower(graph)
    sides = [own for own in orders(stage.x.shape) if own.lanes == 1 or own.side > 1]
    limits = Limits(None, 64, 4, False, ("rom",), {}, load_board("zcu104").device)
    return MoveEngine().choices(stage, limits, lambda: sides)


RTL = settings(
    deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)


@pytest.mark.sim
@settings(RTL, max_examples=12)
@given(moves(), st.data())
def test_the_rtl_of_any_move_sends_what_its_index_says(tmp_path_factory, move, data):
    graph = moved(*move)
    choice = data.draw(st.sampled_from(choices_of(graph)))
    design, _ = placed(graph, {"y": choice})
    stall = data.draw(st.sampled_from([0.0, 0.0, 0.3, 0.7]))
    check_design(tmp_path_factory.mktemp("move"), design, "icarus", stall)


class Net(nn.Module):
    """A gate over a whole frame, a map upsampled and reflected at its sides, channels shuffled, and channels last."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.gate, self.last = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 3)
        self.linear = nn.Linear(2 * 5 * 13, 3)
        for layer in (self.conv, self.gate, self.last, self.linear):
            layer.weight.data = torch.randint(-3, 4, layer.weight.shape) / 8
            layer.bias.data = torch.randint(-8, 8, layer.bias.shape) / 16
        self.into, self.wide = ActQuant(4, -3, True), ActQuant(6, -3, True)

    def forward(self, x):
        x = self.wide(self.conv(self.into(x)))
        x = self.wide(x * self.wide(torch.sigmoid(self.wide(self.gate(self.wide(x.mean((2, 3), keepdim=True)))))))
        x = functional.interpolate(functional.channel_shuffle(x, 2), scale_factor=2)
        x = self.wide(functional.max_pool2d(functional.pad(x, (1, 1, 1, 1), mode="reflect")[:, :, 1:], 2, 1))
        return self.linear(self.wide(self.last(x))[:, :, 1:, 2:].permute(0, 2, 3, 1).flatten(1))


@pytest.mark.sim
@pytest.mark.parametrize(
    ("options", "simulator"),
    [
        ({"lanes": 4}, "verilator"),
        ({"engine": "spatial", "pixels": 2}, "icarus"),
    ],
)
def test_a_network_full_of_moves_equals_pytorch(options, simulator, tmp_path):
    net, x = Net().eval(), torch.randn(3, 2, 4, 8)
    design = build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(**options))
    assert "gather" in {placed.unit.kind for placed in design.placed}
    want = net.double()(x.double()).detach().numpy()
    for stall in (0.0, 0.4):
        y, run = simulate(tmp_path / "net", x.numpy(), simulator=simulator, stall=stall)
        assert np.array_equal(y, want)
        assert stall or (run.interval is not None and run.interval <= interval_of(design))
