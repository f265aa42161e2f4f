"""A Move that takes rows, columns or channels of what a convolution or a max pool gives, which nobody else reads: only
those are computed. Rows and columns left out at an end are padding left out there, every n-th is a stride, channels are
fewer weights; requantizations and other elementwise ops may be between."""

from dataclasses import dataclass, replace

import numpy as np

from hwgen.ir import Graph, Node, TensorType
from hwgen.ops.conv import Conv
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.move import Move, joined, separated

Axes = tuple[np.ndarray, np.ndarray, np.ndarray]


def crop_layers(graph: Graph) -> Graph:
    types = graph.types()
    for node in graph.nodes:
        layer = _layer_above(graph, node) if isinstance(node.op, Move) and not node.op.zeros else None
        if layer is None:
            continue
        assert isinstance(node.op, Move) and isinstance(layer.op, Conv | MaxPool)
        axes = separated(node.op.index, types[layer.name].shape)
        cropped = None if axes is None else _cropped(layer.op, axes, types[layer.inputs[0]])
        if cropped is not None:
            op, left = cropped
            shape = op.infer(types[layer.inputs[0]]).shape
            moves = replace(node, op=replace(node.op, index=joined(left, shape)))
            news = {layer.name: replace(layer, op=op), node.name: moves}
            return crop_layers(replace(graph, nodes=tuple(news.get(n.name, n) for n in graph.nodes)))
    return graph


def _layer_above(graph: Graph, node: Node) -> Node | None:
    """The convolution or pool that this node alone reads, with nothing but elementwise ops between."""
    by_name = {other.name: other for other in graph.nodes}
    above = by_name.get(node.inputs[0])
    while above is not None and graph.only_consumer(above.name) is not None:
        if isinstance(above.op, Conv | MaxPool):
            return above
        (*others, source) = above.inputs
        if others or not above.op.elementwise:
            return None
        above = by_name.get(source)
    return None


def _cropped(op: Conv | MaxPool, axes: Axes, x: TensorType) -> tuple[Conv | MaxPool, Axes] | None:
    """The layer of what is taken, and what is still to be moved of its result; None where it would be the same."""
    channels, rows, columns = axes
    sides = [_side(line, side, x.shape[1 + i]) for i, (line, side) in enumerate(zip(axes[1:], _sides(op), strict=True))]
    down, right = (new or old for new, old in zip(sides, _sides(op), strict=True))
    fewer = isinstance(op, Conv) and _are_fewer(op, channels)
    if not fewer and sides == [None, None]:
        return None
    new = replace(op, stride=(down.stride, right.stride), padding=(down.first, down.last, right.first, right.last))
    if fewer and isinstance(new, Conv):
        new = replace(new, weight=new.weight[channels], bias=new.bias[channels])
    left = (
        np.arange(len(channels)) if fewer else channels,
        rows if sides[0] is None else np.arange(len(rows)),
        columns if sides[1] is None else np.arange(len(columns)),
    )
    return new, left


def _are_fewer(op: Conv, channels: np.ndarray) -> bool:
    return op.groups == 1 and len(np.unique(channels)) == len(channels) < len(op.weight)


@dataclass(frozen=True)
class _Side:
    """One axis of a layer: from a window to the next, what a window reaches over, the padding at both ends."""

    stride: int
    reach: int
    first: int
    last: int


def _sides(op: Conv | MaxPool) -> tuple[_Side, _Side]:
    top, bottom, left, right = op.padding
    tall, wide = op.window.reach
    return _Side(op.stride[0], tall, top, bottom), _Side(op.stride[1], wide, left, right)


def _side(line: np.ndarray, side: _Side, size: int) -> _Side | None:
    """Of a layer whose windows are those of `line`; None where these are all, or where what it would read is not
    at an end of its padding."""
    step = int(line[1] - line[0]) if len(line) > 1 else 1
    outputs = (size + side.first + side.last - side.reach) // side.stride + 1
    if len(line) == outputs or step < 1 or (np.diff(line) != step).any():
        return None
    stride, first = side.stride * step, side.first - side.stride * int(line[0])
    least = (len(line) - 1) * stride + side.reach - size - first  # with up to stride - 1 more there are as many windows
    last = max(0, least)
    return _Side(stride, side.reach, first, last) if first >= 0 and last < least + stride else None
