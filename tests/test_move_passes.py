"""Rewrites of what only moves activations, and of tables: the same numbers, and less hardware."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hwgen.config import BuildConfig
from hwgen.errors import UnsupportedLayer
from hwgen.ir import Output, TensorType
from hwgen.ops.add import Add
from hwgen.ops.concat import Concat
from hwgen.ops.conv import Conv
from hwgen.ops.lookup import Lookup
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.move import Move, composed, is_bijection, joined, keeps_order, separated
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.passes import PASSES, run_passes
from hwgen.qtype import QType
from tests.graphs import check_design, frames_of, graph_of, scheduled
from tests.test_moves import RTL, _flipped, _padded, _permuted, _repeated, _shuffled, _sliced, _split, moves, places

S4 = QType(-8, 7)


def conv(outputs, channels, kernel=(1, 1), seed=1, **others):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-3, 4, (outputs, channels, *kernel)).astype(float)
    return Conv(weight, rng.integers(-4, 5, outputs).astype(float), **others)


def floats_of(graph):
    """What a user gives a graph that `graph_of` made."""
    (one,) = graph.inputs
    return frames_of(one.type, 4) * 2.0**one.type.exponent


def kept(graph, *kinds):
    """The graph after all passes, whose values are checked after each; its ops must be of these kinds."""
    (one,) = graph.inputs
    graph = replace(graph, outputs=(*graph.outputs, Output(one.name, one.shape)))  # no host brings it as a Move would
    x = floats_of(graph)
    want = graph.golden(x)
    for rewrite in PASSES:
        graph = rewrite(graph)
        assert all(map(torch.equal, graph.golden(x), want)), f"{rewrite.__name__}\n{graph}"
    found = [type(node.op) for node in graph.nodes]
    assert found == list(kinds), f"{graph}"
    return graph


@st.composite
def graphs(draw):
    """A few ops of all kinds, each on tensors before it, most of them on the last; the output may have other
    readers."""
    shape = draw(st.tuples(*[st.integers(1, 4)] * 3))
    x = TensorType(shape, draw(st.sampled_from([S4, QType(0, 15), QType(2, 9)])), draw(st.integers(-2, 0)))
    nodes, types = [], {"x": x}

    def some():
        return draw(st.sampled_from([list(types)[-1], list(types)[-1], *types]))

    for number in range(draw(st.integers(1, 6))):
        name, source = f"n{number}", some()
        kind = types[source]
        op, inputs = _op(draw, kind, types, source)
        try:
            result = op.infer(*(types[i] for i in inputs))
        except Exception:
            continue
        if min(result.shape) < 1 or np.prod(result.shape) > 400 or result.qtype.bits > 24:
            continue
        types[name] = result
        nodes.append((name, op, inputs))
    if not nodes:
        nodes.append(("n", Quantize(0, -4, 3), ("x",)))
    return graph_of(x, *nodes)


def _op(draw, kind, types, source):
    what = draw(
        st.sampled_from(["move"] * 5 + ["quantize", "table", "add", "concat", "conv", "pool", "linear", "crop"])
    )
    index = places(kind.shape)
    if what == "move":
        makers = [_permuted, _sliced, _flipped, _repeated, _padded, _split, _shuffled]
        return Move(draw(st.sampled_from(makers))(draw, index)), (source,)
    if what == "crop":
        axis = draw(st.integers(0, 2))
        return Move(np.take(index, range(index.shape[axis] // 2, index.shape[axis]), axis=axis)), (source,)
    if what == "quantize":
        low, high = draw(st.sampled_from([(0, UNBOUNDED), (-8, 7), (1, 6), (-UNBOUNDED, UNBOUNDED)]))
        return Quantize(kind.exponent + draw(st.integers(-1, 2)), low, high), (source,)
    if what == "table" and kind.qtype.bits <= 10:
        span = np.arange(kind.qtype.low, kind.qtype.high + 1)
        table = draw(st.sampled_from([span, span**2 % 13 - 3, abs(span), span * 0 + 5]))
        return Lookup(table, kind.qtype.low, kind.exponent, "some"), (source,)
    if what in ("add", "concat"):
        axis = draw(st.integers(0, 2))
        others = [name for name, other in types.items() if other.shape == kind.shape]
        other = draw(st.sampled_from(others))
        return (Add() if what == "add" else Concat(axis)), (source, other)
    if what == "pool":
        sides = draw(st.sampled_from([(0, 0, 0, 0), (0, 1, 0, 1), (1, 1, 1, 0)]))
        return MaxPool((2, 2), draw(st.sampled_from([(1, 1), (2, 1)])), sides), (source,)
    if what == "linear":
        return Move(index.reshape(-1, 1, 1)), (source,)
    kernel = draw(st.sampled_from([(1, 1), (2, 1), (3, 2)]))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    stride = draw(st.tuples(*[st.integers(1, 2)] * 2))
    groups = draw(st.sampled_from([1, 1, kind.shape[0]]))
    outputs = groups * draw(st.integers(1, 3))
    op = conv(outputs, kind.shape[0] // groups, kernel, padding=padding, stride=stride, groups=groups)
    return op, (source,)


@settings(deadline=None, max_examples=200)
@given(graphs())
def test_no_pass_changes_what_a_graph_computes(graph):
    x = floats_of(graph)
    want = graph.golden(x)
    for rewrite in PASSES:
        graph = rewrite(graph)
        types = graph.types()
        assert all(map(torch.equal, graph.golden(x), want)), f"{rewrite.__name__}\n{graph}"
        for name, tensor in graph.trace(*graph.quantize_inputs(x)):
            kind = types[name]
            assert tensor.shape[1:] == kind.shape, name
            assert kind.qtype.low <= tensor.min() and tensor.max() <= kind.qtype.high, f"{name}: {kind}"
        assert len({node.name for node in graph.nodes}) == len(graph.nodes)


@settings(deadline=None)
@given(moves(), st.data())
def test_what_is_said_of_an_index(move, data):
    shape, index = move
    frame = np.arange(1, 1 + int(np.prod(shape)))
    axes = separated(index, shape)
    if axes is not None:
        assert np.array_equal(joined(axes, shape), index)
    _, then = data.draw(moves())
    then = np.where(then < 0, -1, then % index.size)
    picked = np.where(index < 0, 0, frame[index]).reshape(-1)
    assert np.array_equal(
        np.where(then < 0, 0, picked[then]), np.where((both := composed(index, then)) < 0, 0, frame[both])
    )
    assert is_bijection(index, shape) == (sorted(index.reshape(-1).tolist()) == list(range(int(np.prod(shape)))))
    assert keeps_order(index, shape) == (index.reshape(-1).tolist() == list(range(int(np.prod(shape)))))


@pytest.mark.sim
@settings(RTL, max_examples=8)
@given(graphs(), st.data())
def test_the_rtl_of_a_graph_after_all_passes(tmp_path_factory, graph, data):
    """Moves among layers on lanes or spatial ones, joins and forks."""
    engine = data.draw(st.sampled_from(["lanes", "spatial", "auto"]))
    lanes = data.draw(st.sampled_from([1, 3, 16]))
    config = BuildConfig(engine=engine, lanes=lanes, pixels=data.draw(st.sampled_from([1, 2])))
    stall = data.draw(st.sampled_from([0.0, 0.0, 0.4]))
    try:
        design = scheduled(graph, config)
    except UnsupportedLayer as error:  # a window that no spatial layer has
        assume("--engine" not in str(error))
        raise
    check_design(tmp_path_factory.mktemp("graph"), design, "icarus", stall)


def x_of(*shape, qtype=S4):
    return TensorType(shape, qtype, 0)


def test_a_move_and_its_reverse_are_nothing():
    index = places((3, 4, 5)).transpose(2, 0, 1)
    back = places((5, 3, 4)).transpose(1, 2, 0)
    nodes = ("a", Move(index), ("x",)), ("b", Quantize(0, 0, 7), ("a",)), ("c", Move(back), ("b",))
    kept(graph_of(x_of(3, 4, 5), *nodes), Quantize)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat_then_split_is_the_identity(axis):
    shape = [4, 4, 4]
    whole = list(shape)
    whole[axis] = 8
    first, second = np.split(places(whole), 2, axis=axis)
    nodes = [("q", Quantize(0, -4, 3), ("x",)), ("cat", Concat(axis), ("x", "q"))]
    kept(graph_of(x_of(*shape), *nodes, ("a", Move(first), ("cat",)), ("y", Quantize(1, 0, 9), ("a",))), Quantize)
    graph = kept(
        graph_of(x_of(*shape), *nodes, ("a", Move(second), ("cat",)), ("y", Quantize(1, 0, 9), ("a",))), Quantize
    )
    assert graph.nodes[0].inputs == ("x",)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_split_then_concat_is_the_identity(axis):
    first, second = np.split(places((4, 4, 4)), 2, axis=axis)
    nodes = ("a", Move(first), ("x",)), ("b", Move(second), ("x",)), ("cat", Concat(axis), ("a", "b"))
    kept(graph_of(x_of(4, 4, 4), *nodes, ("y", Quantize(1, 0, 9), ("cat",))), Quantize)


def test_a_part_on_a_coarser_grid_goes_where_any_will_do():
    """A table's results depend on the grid: there the concatenation stays."""
    first, _ = np.split(places((4, 2, 2)), 2, axis=0)
    nodes = [("q", Quantize(2, -2, 1), ("x",)), ("cat", Concat(0), ("q", "x")), ("a", Move(first), ("cat",))]
    kept(graph_of(x_of(2, 2, 2), *nodes, ("y", conv(2, 2), ("a",))), Quantize, Conv)
    table = Lookup(np.arange(-8, 8) ** 2, -8, 0, "square")
    kept(
        graph_of(x_of(2, 2, 2), *nodes, ("y", table, ("a",)), ("z", conv(2, 2), ("y",))),
        Quantize,
        Concat,
        Lookup,
        Move,
        Conv,
    )


def test_features_fold_into_the_kernel_over_their_frame():
    index = places((3, 4, 5)).transpose(1, 2, 0).reshape(-1, 1, 1)  # as if channels came last
    nodes = ("a", Move(index), ("x",)), ("b", Quantize(0, 0, 7), ("a",)), ("y", conv(2, 60), ("b",))
    graph = kept(graph_of(x_of(3, 4, 5), *nodes), Quantize, Conv)
    assert graph.nodes[-1].op.kernel == (4, 5)


def test_the_last_step_is_left_out_of_nothing_but_what_it_needs():
    """A Linear of the last column: the rest is not kept for it."""
    nodes = ("a", Move(places((3, 1, 9))[:, :, -1:]), ("x",)), ("y", conv(2, 3), ("a",))
    kept(graph_of(x_of(3, 1, 9), *nodes), Move, Conv)


def test_chomp_is_padding_on_the_left_alone():
    nodes = (
        ("a", conv(2, 3, (1, 3), padding=(0, 0, 4, 4), dilation=(1, 2)), ("x",)),
        ("b", Move(places((2, 1, 13))[:, :, :-4]), ("a",)),
        ("y", Quantize(2, 0, 15), ("b",)),
    )
    graph = kept(graph_of(x_of(3, 1, 9), *nodes), Conv, Quantize)
    assert graph.nodes[0].op.padding == (0, 0, 4, 0)


def test_every_second_pixel_is_a_stride_and_some_channels_are_fewer_outputs():
    nodes = (
        ("a", conv(4, 3, (3, 3), padding=(1, 1, 1, 1)), ("x",)),
        ("q", Quantize(2, 0, 15), ("a",)),
        ("y", Move(places((4, 8, 6))[[3, 1]][:, ::2, 2::2]), ("q",)),
    )
    graph = kept(graph_of(x_of(3, 8, 6), *nodes), Conv, Quantize, Move)
    assert graph.types()["a"].shape == (2, 4, 6)
    nodes = (*nodes[:2], ("y", Move(places((4, 8, 6))[[3, 1]][:, ::2, ::2]), ("q",)))
    graph = kept(graph_of(x_of(3, 8, 6), *nodes), Conv, Quantize)
    assert graph.types()["a"].shape == (2, 4, 3)


def test_rows_of_a_pool_are_padding():
    nodes = ("p", MaxPool((2, 2), (1, 2), (1, 1, 1, 1)), ("x",)), ("y", Move(places((3, 9, 4))[:, 1:-1, :2]), ("p",))
    graph = kept(graph_of(x_of(3, 8, 6), *nodes), MaxPool, Move)
    assert graph.nodes[0].op.padding == (0, 0, 1, 1)  # columns that would be left out beside no padding are still there


def test_zeros_around_a_frame_and_channels_of_zeros_are_padding_and_no_weights():
    index = np.pad(places((3, 4, 5))[::-1], ((1, 2), (0, 1), (2, 0)), constant_values=-1)
    nodes = ("a", Move(index), ("x",)), ("b", Quantize(0, 0, 7), ("a",)), ("y", conv(2, 6, (3, 3)), ("b",))
    graph = kept(graph_of(x_of(3, 4, 5), *nodes), Quantize, Conv)
    assert graph.nodes[-1].op.padding == (0, 1, 2, 0) and graph.nodes[-1].op.weight.shape == (2, 3, 3, 3)


def test_zeros_stay_where_a_function_makes_something_of_them():
    index = np.pad(places((2, 2, 2)), ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    one = Lookup(np.arange(-8, 8) + 8, -8, 0, "plus eight")
    nodes = ("a", Move(index), ("x",)), ("b", one, ("a",)), ("y", conv(2, 2, (3, 3)), ("b",))
    kept(graph_of(x_of(2, 2, 2), *nodes), Move, Lookup, Conv)


def test_a_sum_of_two_moves_is_a_move_of_the_sum():
    index = places((3, 4, 5)).transpose(1, 2, 0)
    nodes = (
        ("q", conv(3, 3), ("x",)),
        ("a", Move(index), ("x",)),
        ("b", Move(index), ("q",)),
        ("s", Add(), ("a", "b")),
        ("y", Quantize(1, -8, 7), ("s",)),
    )
    graph = kept(graph_of(x_of(3, 4, 5), *nodes), Conv, Add, Quantize)
    assert graph.outputs[0].view is not None  # a Move that is left to the host


def test_another_shape_of_the_pixels_goes_past_what_works_pixel_by_pixel():
    """Tokens of a map, a layer on each, and back: no reordering."""
    nodes = (
        ("tokens", Move(places((3, 4, 5)).reshape(3, 1, 20)), ("x",)),
        ("each", conv(6, 3), ("tokens",)),
        ("q", Quantize(2, 0, 15), ("each",)),
        ("y", Move(places((6, 1, 20)).reshape(6, 4, 5)), ("q",)),
        ("z", conv(2, 6, (3, 3)), ("y",)),
    )
    kept(graph_of(x_of(3, 4, 5), *nodes), Conv, Quantize, Conv)


# tables


def table(function, kind=S4, exponent=0):
    return Lookup(np.array([function(v) for v in range(kind.low, kind.high + 1)]), kind.low, exponent, "f")


def test_a_table_of_the_identity_costs_nothing():
    nodes = ("a", table(lambda v: v), ("x",)), ("y", Quantize(1, 0, 3), ("a",))
    kept(graph_of(x_of(2, 3, 4), *nodes), Quantize)
    kept(graph_of(x_of(2, 3, 4), ("a", table(lambda v: v, exponent=1), ("x",))), Lookup)  # it doubles


def test_two_tables_in_a_row_become_one_and_take_the_quantizers_around_them():
    nodes = (
        ("q", Quantize(1, -4, 3), ("x",)),
        ("a", table(lambda v: v * v, QType(-4, 3)), ("q",)),
        ("b", table(lambda v: 20 - v, QType(0, 16)), ("a",)),
        ("y", Quantize(2, 0, 3), ("b",)),
    )
    graph = kept(graph_of(x_of(2, 3, 4), *nodes), Lookup)
    assert str(graph.nodes[0].op) == "Lookup[f, f]"


def test_a_quantizer_that_rides_on_its_layer_stays_there():
    nodes = ("c", conv(2, 2), ("x",)), ("q", Quantize(1, -8, 7), ("c",)), ("y", table(abs), ("q",))
    kept(graph_of(x_of(2, 3, 4), *nodes), Conv, Quantize, Lookup)


def test_a_table_that_others_read_too_stays():
    nodes = ("a", table(abs), ("x",)), ("q", Quantize(1, 0, 3), ("a",)), ("b", Quantize(0, 0, 5), ("a",))
    kept(graph_of(x_of(2, 3, 4), *nodes, ("y", Add(), ("q", "b"))), Lookup, Quantize, Quantize, Add)


def test_a_bijection_at_either_border_is_left_to_the_host():
    index = places((3, 4, 5)).transpose(1, 2, 0)
    nodes = ("a", Move(index), ("x",)), ("b", conv(2, 4), ("a",)), ("y", Move(places((2, 5, 3))[::-1, ::-1]), ("b",))
    graph = graph_of(x_of(3, 4, 5), *nodes)
    x = floats_of(graph)
    want = graph.golden(x)
    graph = run_passes(graph)
    assert [type(node.op) for node in graph.nodes] == [Conv] and torch.equal(graph.golden(x)[0], want[0])
    assert graph.inputs[0].view is not None and graph.outputs[0].view is not None


def test_two_cycles_are_found_to_be_enough():
    """The search for the best rate ended where 0.95 times what it found was, rounded, just below two cycles."""
    layer = Conv(np.zeros((1, 1, 2, 1)), np.array([2.0]), stride=(2, 2), padding=(0, 2, 0, 2))
    graph = graph_of(TensorType((1, 1, 1), QType(0, 15), -1), ("a", layer, ("x",)), ("b", Add(), ("a", "a")))
    assert len(scheduled(graph, BuildConfig(engine="lanes", lanes=3)).placed) >= 3
