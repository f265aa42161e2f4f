"""One layer's output channels on two kinds of lanes, which work side by side and whose results are joined.

The split of ODiMO (Risso et al.), whose two accelerators are two kinds of lanes here: those that add a term a cycle,
for channels of few terms, and those that multiply, a weight a cycle, for channels of many. A channel costs the one kind
its terms and the other its weights that are not zero. In the order of their quotient the channels of the first kind
come first: could a channel be divided, no split would be faster than a prefix of that order, so the best prefix of
whole channels exceeds the best split by the cycles of one channel at most.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hwgen.config import BuildConfig
from hwgen.errors import UnsupportedLayer
from hwgen.ir import Graph, Node
from hwgen.lanes.kinds import lane_kinds
from hwgen.lanes.unit import entries_of
from hwgen.ops.concat import Concat
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Quantizer
from hwgen.stage import Stage
from hwgen.stream import Order

TERMS, WEIGHTS = "lut", "mac"  # the kinds of lanes: by terms, and by weights
SHARES = (1, 2, 0.5, 4, 0.25)  # accumulators of the second side for one of the first, that are tried


def obstacle(stage: Stage) -> str | None:
    """Why the channels of a stage cannot be parted; None where they can."""
    op = stage.op
    if not isinstance(op, Conv) or not op.has_weights:
        return "it has no weights"
    if op.groups > 1:
        return "its channels read different inputs"
    if len(op.weight) < 2:
        return "it has one output channel"
    if stage.loadable:
        return "its weights can be loaded, and others may have other terms"
    found = [lane_kinds()[kind].obstacle(stage) for kind in (TERMS, WEIGHTS)]
    return next((why for why in found if why is not None), None)


def parted(stages: list[Stage], config: BuildConfig) -> Iterator[tuple[str, list[list[int]]]]:
    """The layers that `config.split` names, those of most terms a frame first, and the channels to try on lanes of
    terms.

    Raises BadInput for a pattern without a layer, UnsupportedLayer for a layer whose channels cannot be parted.
    """
    named = [stage for stage in stages if config.is_split(stage.name)]
    config.check_split([stage.name for stage in stages])
    for stage in named:
        if (why := obstacle(stage)) is not None and config.names_split(stage.name):
            raise UnsupportedLayer(f"its channels cannot be parted: {why}", stage.name, "leave it out of --split")
    able = [stage for stage in named if obstacle(stage) is None]
    for stage in sorted(able, key=lambda one: -one.y.shape[1] * one.y.shape[2] * int(lengths(one)[0].sum())):
        yield stage.name, list(splits(stage))


def lengths(stage: Stage) -> tuple[np.ndarray, np.ndarray]:
    """int64 [channels] each: the cycles that a position of each channel takes on lanes of terms and on those of
    weights, biases counted."""
    order = Order(stage.x.shape)
    terms, weights = (entries_of(stage, lane_kinds()[kind], order).lengths for kind in (TERMS, WEIGHTS))
    return np.asarray(terms, np.int64), np.asarray(weights, np.int64)


def prefix(terms: np.ndarray, weights: np.ndarray, share: float = 1.0) -> list[int]:
    """The channels for lanes of terms, ascending: those of the best prefix where the other side has `share` times their
    accumulators; neither side is empty."""
    order = np.argsort(terms / np.maximum(1, weights), kind="stable")
    first = np.cumsum(terms[order])[:-1]
    second = (weights.sum() - np.cumsum(weights[order])[:-1]) / share
    count = int(np.argmin(np.maximum(first, second))) + 1
    return sorted(order[:count].tolist())


def splits(stage: Stage) -> Iterator[list[int]]:
    """The channels for lanes of terms, one way after the other: the best prefix for each of SHARES."""
    known = set()
    for share in SHARES:
        channels = prefix(*lengths(stage), share)
        if tuple(channels) not in known:
            known.add(tuple(channels))
            yield channels


def split_channels(graph: Graph, layer: str, first: list[int]) -> Graph:
    """The graph, equal in all values, with the layer's channels in two nodes: those of `first`, ascending, and the
    others; a Concat of both has the name of the layer's result.

    Raises UnsupportedLayer for a layer that cannot be parted so.
    """
    node = graph[layer]
    conv = node.op
    if not isinstance(conv, Conv) or conv.groups > 1:
        raise UnsupportedLayer(f"{conv} has no channels that could be parted", layer, "split a convolution or a Linear")
    count = len(conv.weight)
    sides = [first, [channel for channel in range(count) if channel not in set(first)]]
    if not all(sides) or sorted(first + sides[1]) != list(range(count)):
        raise UnsupportedLayer(f"{count} channels are parted in {first} and the rest", layer, "name some, not all")
    behind = graph.only_consumer(layer)
    quantizer = None if behind is None else behind.op.requantization
    x = graph.types()[node.inputs[0]]
    new, ends = list[Node](), list[str]()
    for word, channels in zip(("first", "second"), sides, strict=True):
        part = replace(conv, weight=conv.weight[channels], bias=conv.bias[channels])
        new.append(Node(graph.unused(f"{layer}_{word}"), part, node.inputs))
        if behind is not None and quantizer is not None:
            name = graph.unused(f"{behind.name}_{word}")
            coarser = part.out_exponent(x) - conv.out_exponent(x)  # fewer weights may have a coarser grid
            new.append(Node(name, _of_channels(quantizer, channels, coarser), (new[-1].name,)))
        ends.append(new[-1].name)
    result = layer if behind is None or quantizer is None else behind.name
    places = tuple(np.argsort(np.concatenate(sides)).tolist())
    joined = Node(result, Concat(0, conv.path, places), tuple(ends))
    if behind is not None and quantizer is not None:
        graph = replace(graph, nodes=tuple(one for one in graph.nodes if one is not node))
        node = behind
    return graph.replacing(node, *new, joined)


def _of_channels(quantizer: Quantizer, channels: list[int], coarser: int) -> Quantizer:
    """The requantization of some channels, where their integers are worth 2^coarser of the layer's."""
    own = quantizer.only(channels)
    return own if isinstance(own, Quantize) or not coarser else own.of_coarser(coarser)
