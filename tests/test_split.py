"""A layer's channels on two kinds of lanes: the same numbers, the best split, and when the schedule takes it."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from hwgen import BuildConfig, build, simulate
from hwgen.engines.concat import ChannelBeats
from hwgen.errors import BadInput, HwgenError, UnsupportedLayer
from hwgen.ir import TensorType
from hwgen.lanes.fold import Fold
from hwgen.lower import lower
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant
from hwgen.ops.concat import Concat
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Rescale, Steps
from hwgen.pace import interval_of
from hwgen.qtype import QType
from hwgen.split import prefix, split_channels, splits
from tests.graphs import check_design, frames_of, graph_of, placed

CHANNELS = 7


def quantizer(rng, kind):
    """One of each kind; those by channel differ in each."""
    if kind == "shift":
        return Quantize(-2, -8, 7)
    if kind == "rescale":
        zeros = np.zeros(CHANNELS, np.int64)
        return Rescale(rng.integers(1, 15, CHANNELS), rng.integers(-99, 99, CHANNELS), zeros, 9, -8, 7)
    return Steps(np.sort(rng.integers(-600, 600, (CHANNELS, 7)), axis=1), -3)


def layers(seed, kind="shift", size=(3, 4, 6), reader=True):
    """A convolution whose channels have few terms or many, and one that reads it."""
    rng = np.random.default_rng(seed)
    few = np.exp2(rng.integers(-4, 0, (CHANNELS, size[0], 3, 3))) * rng.choice([-1, 0, 1], (CHANNELS, size[0], 3, 3))
    many = rng.integers(-31, 32, few.shape) / 32
    weight = np.where((rng.permutation(CHANNELS) % 2)[:, None, None, None] > 0, few, many)
    bias = rng.integers(-9, 10, CHANNELS) / 16
    stride = tuple(rng.integers(1, 3, 2).tolist())
    nodes = [("conv", Conv(weight, bias, stride, (1, 1, 1, 1)), ("x",))]
    if kind:
        nodes.append(("rounded", quantizer(rng, kind), ("conv",)))
    if reader:
        taps = rng.integers(-3, 4, (2, CHANNELS, 1, 1)) / 4
        nodes += [("next", Conv(taps, np.zeros(2), activations_limited=False), (nodes[-1][0],))]
    return graph_of(TensorType(size, QType(0, 15), -3), *nodes)


@pytest.mark.parametrize("kind", ["", "shift", "rescale", "steps"])
@pytest.mark.parametrize("reader", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_split_layer_has_the_same_values(seed, reader, kind):
    graph = layers(seed, kind, reader=reader)
    parted = split_channels(graph, "conv", sorted(np.random.default_rng(seed).permutation(CHANNELS)[:3].tolist()))
    assert parted.types()[graph.outputs[0].name] == graph.types()[graph.outputs[0].name]
    q = frames_of(graph.inputs[0].type)
    assert torch.equal(parted.eval(q)[0], graph.eval(q)[0])


def test_no_other_channels_would_be_faster_by_more_than_one_of_them():
    rng = np.random.default_rng(1)
    for share in (1.0, 2.0, 0.5) * 5:
        weights = rng.integers(1, 40, CHANNELS)
        terms = weights + rng.integers(0, 60, CHANNELS)

        def slower(first, terms=terms, weights=weights, share=share):
            rest = [channel for channel in range(CHANNELS) if channel not in first]
            return max(terms[list(first)].sum(), weights[rest].sum() / share)

        every = [set(some) for count in range(1, CHANNELS) for some in combinations(range(CHANNELS), count)]
        one = np.minimum(terms, weights / share).max()
        assert min(map(slower, every)) <= slower(prefix(terms, weights, share)) <= min(map(slower, every)) + one


FOLDS = [
    ((3, 1, "lut"), (3, 1, "mac")),
    ((6, 1, "lut"), (6, 2, "mac")),
    ((1, 2, "lut"), (1, 1, "dsp")),
]


def split_design(folds, kind="shift", seed=3):
    graph = layers(seed, kind)
    first = next(splits(lower(graph)[0]))
    parted = split_channels(graph, "conv", first)
    chosen = dict(zip(("rounded_first", "rounded_second"), (Fold(*fold) for fold in folds), strict=True))
    lanes = folds[0][0]
    return parted, chosen | {"rounded": ChannelBeats(lanes=lanes), "next": Fold(lanes)}


@pytest.mark.sim
@pytest.mark.parametrize(("folds", "kind"), [*((folds, "shift") for folds in FOLDS), (FOLDS[0], "rescale")], ids=str)
def test_both_kinds_of_lanes_equal_the_golden_integers(folds, kind, tmp_path):
    parted, chosen = split_design(folds, kind)
    design, _ = placed(parted, chosen)
    simulator = "verilator" if folds == FOLDS[1] else "icarus"
    run = check_design(tmp_path, design, simulator)
    assert run.interval <= interval_of(design)
    check_design(tmp_path, design, simulator, stall=0.5)


@pytest.mark.sim
def test_a_join_in_another_order_is_found(tmp_path, monkeypatch):
    """The bench fails where the two sides come the other way round."""
    parted, chosen = split_design(FOLDS[0])
    design, _ = placed(parted, chosen)
    swapped = next(one for one in design.placed if one.unit.name == "rounded")
    object.__setattr__(swapped, "inputs", swapped.inputs[::-1])
    with pytest.raises((AssertionError, HwgenError)):
        check_design(tmp_path, design)


def network():
    """One convolution of 8 channels of dense integers and 8 of a few powers of two."""
    rng = torch.Generator().manual_seed(0)
    layer = nn.Conv2d(4, 16, 3, padding=1)
    dense = torch.randint(-127, 128, layer.weight.shape, generator=rng).float() / 128
    few = torch.exp2(-torch.randint(0, 7, layer.weight.shape, generator=rng).float())
    few *= torch.randint(-1, 2, layer.weight.shape, generator=rng)
    layer.weight.data = torch.where((torch.arange(16) % 2 == 0)[:, None, None, None], dense, few)
    layer.bias.data = torch.randint(-8, 8, (16,), generator=rng).float() / 16
    return nn.Sequential(ActQuant(8, -8), layer, nn.ReLU(), ActQuant(4, -1)).eval()


@pytest.mark.sim
def test_the_schedule_takes_a_split_where_the_network_is_faster_by_it(tmp_path):
    x = torch.rand(6, 4, 6, 8)
    budget = "LUT=1300,DSP=8,BRAM36=4"
    intervals = {}
    for split in (None, "layer_1"):
        build(network(), (x[:1],), out=tmp_path / "net", config=BuildConfig(budget=budget, split=split, engine="lanes"))
        known = read_manifest(tmp_path / "net")
        intervals[split] = known["interval"]
        assert ("layer_1_first" in {unit["name"] for unit in known["units"]}) == (split is not None)
    assert intervals["layer_1"] < 0.8 * intervals[None]
    y, run = simulate(tmp_path / "net", x.numpy(), simulator="icarus")
    assert np.array_equal(y, network().double()(x.double()).detach().numpy())
    assert run.interval <= intervals["layer_1"]


def test_a_split_that_does_not_pay_is_not_taken(tmp_path):
    """At a rate that one kind reaches with less."""
    config = BuildConfig(fps=1000, split="*")
    design = build(network(), (torch.zeros(1, 4, 6, 8),), out=tmp_path / "net", config=config)
    assert not any(isinstance(node.op, Concat) for node in design.graph.nodes)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"split": "layer_1"}, BadInput, "give --fps or --budget"),
        ({"split": "layer_1", "fps": 10.0, "dsp": False}, BadInput, "without --no-dsp"),
        ({"split": "conv9", "fps": 10.0}, BadInput, "no layer matches 'conv9'"),
        ({"split": "", "fps": 10.0}, BadInput, "names or patterns"),
        ({"split": "pool", "fps": 10.0}, UnsupportedLayer, "it has no weights"),
        ({"split": "layer_1", "fps": 10.0, "loadable": "layer_1"}, UnsupportedLayer, "can be loaded"),
    ],
    ids=str,
)
def test_what_cannot_be_split_is_named(options, error, text, tmp_path):
    module = network()
    module.add_module("pool", nn.MaxPool2d(2))
    with pytest.raises(error, match=text):
        build(module, (torch.zeros(1, 4, 6, 8),), out=tmp_path / "net", config=BuildConfig(**options))
    assert not (tmp_path / "net").exists()


def test_a_graph_is_parted_in_two(tmp_path):
    graph = layers(0)
    for first in ([], list(range(CHANNELS)), [9]):
        with pytest.raises(UnsupportedLayer, match="name some, not all"):
            split_channels(graph, "conv", first)
    with pytest.raises(UnsupportedLayer, match="split a convolution"):
        split_channels(graph, "rounded", [0])
