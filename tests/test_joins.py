"""Units of several inputs: concatenations, products, differences, and joins that wait for a frame; constants by
place."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hwgen import BuildConfig, build, design, flow, simulate
from hwgen.devices import devices
from hwgen.errors import DoesNotFit, ToolFailed, UnsupportedLayer
from hwgen.ir import Graph, Input, Node, Output, TensorType
from hwgen.nn import ActQuant
from hwgen.ops.add import Add
from hwgen.ops.concat import Concat
from hwgen.ops.mul import Mul
from hwgen.ops.offset import Offset
from hwgen.ops.quantize import Quantize
from hwgen.pace import Pace, interval_of
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.concat import Concat as ConcatUnit
from hwgen.units.offset import Offset as OffsetUnit
from hwgen.units.stream_fifo import StreamFifo
from tests.networks import Fork

QUICK = settings(deadline=None, derandomize=True, database=None, max_examples=60)


@st.composite
def types(draw, shape):
    bits, signed = draw(st.integers(1, 9)), draw(st.booleans())
    low = -(1 << (bits - 1)) if signed else 0
    return TensorType(shape, QType(low, low + (1 << bits) - 1), draw(st.integers(-5, 5)))


def values(kind, seed):
    """A batch with the ends of the range, then anything."""
    rng = np.random.default_rng(seed)
    q = kind.qtype
    some = rng.integers(q.low, q.high + 1, (4, *kind.shape))
    some[0], some[1], some[2] = q.low, q.high, rng.choice([q.low, q.high], kind.shape)
    return torch.from_numpy(some)


def reals(kind, q):
    return q.double() * 2.0**kind.exponent


@QUICK
@given(st.data(), st.integers(0, 99))
def test_the_golden_integers_are_those_of_torch(data, seed):
    shape = data.draw(st.tuples(*[st.integers(1, 4)] * 3))
    axis = data.draw(st.integers(0, 2))
    other = list(shape)
    other[axis] = data.draw(st.integers(1, 4))
    a, b, c = data.draw(types(shape)), data.draw(types(shape)), data.draw(types(tuple(other)))
    cases = {
        (Add(), a, b): torch.add,
        (Add(multipliers=(1, -1)), a, b): torch.sub,
        (Mul(), a, b): torch.mul,
        (Concat(axis), a, c): lambda x, y: torch.cat([x, y], 1 + axis),
    }
    for (op, *kinds), function in cases.items():
        inputs = [values(kind, seed + i) for i, kind in enumerate(kinds)]
        y, result = op.infer(*kinds), op.eval(kinds, *inputs)
        assert torch.equal(reals(y, result), function(*map(reals, kinds, inputs)))
        assert result.shape[1:] == y.shape and y.qtype.low <= result.min() and result.max() <= y.qtype.high


@QUICK
@given(st.data(), st.integers(0, 99))
def test_constants_are_added_exactly(data, seed):
    shape = data.draw(st.tuples(*[st.integers(1, 4)] * 3))
    kind = data.draw(types(shape))
    rng = np.random.default_rng(seed)
    constants = rng.integers(-50, 50, shape) * 2.0 ** data.draw(st.integers(-6, 4)) * data.draw(st.sampled_from((0, 1)))
    op, x = Offset.of(constants), values(kind, seed)
    assert torch.equal(reals(op.infer(kind), op.eval([kind], x)), reals(kind, x) + torch.from_numpy(constants))


def test_what_does_not_fit_is_named():
    kind = TensorType((2, 3, 4), QType(-128, 127), 0)
    with pytest.raises(UnsupportedLayer, match="along rows"):
        Concat(1).infer(kind, replace(kind, shape=(1, 3, 4)))
    with pytest.raises(UnsupportedLayer, match="multiplying"):
        Mul().infer(kind, replace(kind, shape=(2, 3, 1)))
    for op, far in ((Concat(0), 60), (Mul(), 0), (Add(multipliers=(1, -1)), 60)):
        wide = replace(kind, qtype=QType(-(1 << 45), 1 << 45), exponent=far)
        with pytest.raises(DoesNotFit):
            op.infer(kind, wide)
    with pytest.raises(DoesNotFit, match="constants"):
        Offset.of(np.array([[[1.0, 2.0**-60]]]))


@pytest.mark.parametrize(
    ("axis", "lanes", "pixels"), [(0, 1, 0), (0, 3, 0), (0, 1, 2), (1, 3, 0), (1, 1, 2), (2, 1, 2)]
)
def test_a_concatenation_says_what_its_beats_need(axis, lanes, pixels):
    """Walked through beat by beat: each is of the side whose turn it is, and holds what the golden integers hold."""
    shapes = [[2, 2, 8], [2, 2, 8]]
    shapes[1][axis] = 4
    kinds = [TensorType((*shape,), QType(0, 255), 0) for shape in shapes]
    op = Concat(axis)
    orders = tuple(
        Order(kind.shape).by_pixels(pixels) if pixels else Order(kind.shape).by_lanes(lanes) for kind in kinds
    )
    if axis == 0:
        orders = (replace(orders[0], channels=(1, 0)), orders[1])
    unit = ConcatUnit(Stage("y", op, None, ("a", "b"), (*kinds,), "y", op.infer(*kinds)), orders, pixels)
    frames = [values(kind, i) for i, kind in enumerate(kinds)]
    streams = [order.flatten(x).reshape(4, -1, order.side) for order, x in zip(orders, frames, strict=True)]
    needs = [np.concatenate(([0], unit.needs(i))) for i in range(2)]
    beats = []
    for n in range(unit.out_order.beats):
        parts = [streams[i][:, needs[i][n] : needs[i][n + 1]] for i in range(2)]
        assert sum(part.shape[1] for part in parts) == (2 if unit.together else 1)
        whole = [part.reshape(4, max(1, pixels) if unit.together else 1, -1) for part in parts]
        beats.append(np.concatenate(whole, axis=2).reshape(4, -1))
    assert [int(need[-1]) for need in needs] == [order.beats for order in orders]
    assert np.array_equal(np.concatenate(beats, axis=1), unit.out_order.flatten(op.eval(kinds, *frames)))


def test_constants_that_come_again_are_kept_once():
    kind = TensorType((3, 4, 5), QType(0, 15), 0)
    of_a_pixel = np.broadcast_to(np.arange(3)[:, None, None], kind.shape)
    of_a_row = np.broadcast_to(np.arange(15).reshape(3, 1, 5), kind.shape)
    device = devices()["ultrascale_plus"]
    for constants, words in ((of_a_pixel, 3), (of_a_row, 15), (np.arange(60).reshape(kind.shape), 60)):
        op = Offset(constants.astype(np.int64), 0)
        assert OffsetUnit(Stage.alone("y", op, None, kind), Order(kind.shape), device).rom.depth == words


# hardware


def built(module, folder, x, **options):
    return build(module.eval(), (x[:1],), out=folder, config=BuildConfig(**options))


def ran(module, placed, folder, x, simulator="icarus", stall=0.0):
    y, run = simulate(folder, x.numpy(), simulator=simulator, stall=stall)
    with torch.no_grad():
        assert np.array_equal(y, module.double()(x.double()).numpy())
    module.float()
    if not stall:
        assert run.interval <= interval_of(placed)
    return run


def conv(inputs, outputs, kernel, seed=0, **options):
    layer = nn.Conv2d(inputs, outputs, kernel, **({"padding": kernel // 2} | options))
    chosen = torch.Generator().manual_seed(seed)
    layer.weight.data = torch.randint(-3, 4, layer.weight.shape, generator=chosen).float() / 4
    layer.bias.data = torch.randint(-3, 4, layer.bias.shape, generator=chosen).float() / 4
    return layer


def frames(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3


ENGINES = [{}, {"lanes": 8}, {"engine": "spatial"}, {"engine": "spatial", "pixels": 2}]
HOW = [("cat", 1), ("cat", 2), ("cat", 3), ("mul", 1), ("sub", 1)]
# each join in two ways to compute it at least, that of channels in all
JOINS = [(*how, options) for i, how in enumerate(HOW) for options in (ENGINES if not i else ENGINES[i % 2 :: 2])]


@pytest.mark.sim
@pytest.mark.parametrize(("how", "dim", "options"), JOINS, ids=str)
def test_joins_of_branches_equal_the_module(how, dim, options, tmp_path):
    first, second = conv(2, 2, 3), conv(2, 3 if (how, dim) == ("cat", 1) else 2, 5)
    rounded = nn.Sequential(second, ActQuant(6, -1))
    module = nn.Sequential(ActQuant(5, -2, True), Fork(first, rounded, how=how, dim=dim), ActQuant(7, -2, True))
    x = frames(9, 2, 4, 6)
    placed = built(module, tmp_path / "net", x, **options)
    ran(module, placed, tmp_path / "net", x)
    ran(module, placed, tmp_path / "net", x, stall=0.5)


@pytest.mark.sim
def test_a_tensor_joined_to_itself(tmp_path):
    twice = {"mul": 1, "sub": 1, "cat": 2}
    for how, dim in twice.items():
        module = nn.Sequential(ActQuant(4, -1, True), Fork(nn.Identity(), nn.Identity(), how=how, dim=dim))
        x = frames(9, 2, 3, 4)
        placed = built(module, tmp_path / how, x)
        ran(module, placed, tmp_path / how, x)
        ran(module, placed, tmp_path / how, x, stall=0.5)


def graph_of(op, kind, quantize=None):
    nodes = (Node("y", op, ("input",)),)
    if quantize is not None:
        nodes += (Node("rounded", quantize, ("y",)),)
    output = Output(nodes[-1].name, op.infer(kind).shape)
    return Graph((Input("input", kind, kind.shape),), nodes, (output,))


@pytest.mark.sim
@pytest.mark.parametrize("options", [{}, {"engine": "spatial"}], ids=str)
@pytest.mark.parametrize("finer", [-3, 0, 3])
def test_constants_by_place_equal_the_golden_integers(finer, options, tmp_path, monkeypatch):
    kind = TensorType((3, 3, 4), QType(-8, 7), -2)
    op = Offset(np.random.default_rng(3).integers(-9, 10, kind.shape), -2 + finer)
    graph = graph_of(op, kind, Quantize(-1, -6, 9))
    monkeypatch.setattr(flow, "read_model", lambda *_: (graph, []))
    x = frames(9, *kind.shape)
    folder = tmp_path / "net"
    build(nn.Identity(), out=folder, config=BuildConfig(**options))
    want = graph.golden(x)[0].numpy()
    for stall in (0.0, 0.5):
        y, _ = simulate(folder, x.numpy(), simulator="icarus", stall=stall)
        assert np.array_equal(y, want)


class Gate(nn.Module):
    """Squeeze and excitation: each channel times a sigmoid of two layers over the average of all."""

    def __init__(self, channels):
        super().__init__()
        self.input = ActQuant(6, -3, True)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            ActQuant(8, -5, True),
            conv(channels, 2, 1),
            nn.ReLU(),
            ActQuant(6, -3),
            conv(2, channels, 1),
            ActQuant(7, -4, True),
            nn.Sigmoid(),
            ActQuant(6, -6),
        )
        self.output = ActQuant(6, -2, True)

    def forward(self, x):
        x = self.input(x)
        return self.output(x * self.gate(x))


def fifos(design):
    return {placed.unit.name: placed.unit for placed in design.placed if isinstance(placed.unit, StreamFifo)}


@pytest.mark.sim
@pytest.mark.parametrize("options", [{}, {"lanes": 8}, {"engine": "spatial"}], ids=str)
def test_a_gate_waits_for_the_whole_frame(options, tmp_path):
    """The FIFO holds the frame and what comes while the gate is computed, so frames follow each other without a gap."""
    module, x = Gate(4), frames(10, 4, 4, 8)
    placed = built(module, tmp_path / "net", x, **options)
    held = fifos(placed)["output_0"]
    assert held.depth > held.order.beats
    assert f"up to {held.depth} beats" in held.note()
    if not options.get("engine"):  # else the sums of a frame wait for those of the frame before
        assert interval_of(placed) == placed.slowest()
    ran(module, placed, tmp_path / "net", x)
    ran(module, placed, tmp_path / "net", x, stall=0.5)


@pytest.mark.sim
def test_a_gate_with_a_smaller_fifo_never_ends(tmp_path, monkeypatch):
    """So the depth that is counted is needed: all but a few beats of the frame are too few."""
    depth = design._depth

    def short(placed, i, *rest):
        found = depth(placed, i, *rest)
        return min(found, placed.inputs[i].order.beats - 4) if i == 0 else found

    monkeypatch.setattr(design, "_depth", short)
    for module in ("emit", "manifest"):  # whose pace says that no frame ends
        monkeypatch.setattr(f"hwgen.{module}.pace_of", lambda design: Pace(1, 1))
    module, x = Gate(4), frames(3, 4, 4, 8)
    built(module, tmp_path / "net", x, lanes=1)
    with pytest.raises(ToolFailed):
        simulate(tmp_path / "net", x.numpy(), simulator="icarus")
