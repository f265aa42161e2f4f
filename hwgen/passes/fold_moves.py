"""Fold a Move into the convolution behind it: features into a kernel over the frame that they were, channels in another
order into the order of the weights, zeros around the frame into the padding."""

from dataclasses import replace

import numpy as np

from hwgen.ir import Graph, TensorType
from hwgen.ops.conv import Conv
from hwgen.ops.move import NOWHERE, Move, separated


def fold_moves(graph: Graph) -> Graph:
    types = graph.types()
    moves = {node.name: node for node in graph.nodes if isinstance(node.op, Move)}
    for node in graph.nodes:
        if isinstance(node.op, Conv) and node.inputs[0] in moves:
            move = moves[node.inputs[0]]
            assert isinstance(move.op, Move)
            kind = types[move.inputs[0]]
            folded = _over_the_frame(node.op, move.op.index, kind) or _of_axes(node.op, move.op.index, kind)
            if folded is not None:
                nodes = tuple(replace(n, op=folded, inputs=move.inputs) if n is node else n for n in graph.nodes)
                return fold_moves(replace(graph, nodes=nodes))
    return graph


def _over_the_frame(op: Conv, index: np.ndarray, x: TensorType) -> Conv | None:
    """Of features: a kernel as large as the frame. Not where most of that would go unread: leaving it out is cheaper
    than memory for it."""
    used = index[index >= 0]
    if index.shape[1:] != (1, 1) or op.groups != 1 or op.kernel != (1, 1) or any(op.padding):
        return None
    size = int(np.prod(x.shape))
    if len(used) != len(np.unique(used)) or 2 * len(used) < size:
        return None
    weight = np.zeros((len(op.weight), size))
    weight[:, used] = op.weight[:, index.reshape(-1) >= 0, 0, 0]
    return replace(op, weight=weight.reshape(len(weight), *x.shape))


def _of_axes(op: Conv, index: np.ndarray, x: TensorType) -> Conv | None:
    """Of a frame whose channels come in another order, or with more of zeros, and that has zeros around it."""
    axes = separated(index, x.shape)
    if axes is None:
        return None
    channels, *sides = axes
    around = [_zeros_around(side, size) for side, size in zip(sides, x.shape[1:], strict=True)]
    weight = _reordered(op, channels, x.shape[0])
    if weight is None or None in around:
        return None
    padding = np.array(op.padding) + np.array(around).reshape(-1)
    return replace(op, weight=weight, padding=tuple(padding.tolist()))


def _zeros_around(line: np.ndarray, size: int) -> tuple[int, int] | None:
    """Before and behind a whole row or column; None where it is another Move."""
    first = int(np.argmax(line >= 0))
    last = len(line) - first - size
    whole = np.concatenate([np.full(first, NOWHERE), np.arange(size), np.full(max(0, last), NOWHERE)])
    return (first, last) if np.array_equal(line, whole) else None


def _reordered(op: Conv, channels: np.ndarray, count: int) -> np.ndarray | None:
    """The weights as the channels of the source come; None where some are left out or come twice."""
    if np.array_equal(channels, np.arange(count)):
        return op.weight
    used = channels >= 0
    if op.groups != 1 or not np.array_equal(np.sort(channels[used]), np.arange(count)):
        return None
    return op.weight[:, used][:, np.argsort(channels[used])]
