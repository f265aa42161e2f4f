"""Fold a Move into the Linear after it, which becomes a convolution over the frame; drop one that moves nothing."""

from dataclasses import replace

import numpy as np

from hwgen.ir import Graph, TensorType
from hwgen.ops.conv import Conv
from hwgen.ops.move import Move


def fold_move(graph: Graph) -> Graph:
    types = graph.types()
    for node in graph.nodes:
        same = isinstance(node.op, Move) and types[node.name] == types[node.inputs[0]]
        if same and np.array_equal(node.op.index.reshape(-1), np.arange(node.op.index.size)):
            return fold_move(graph.replacing(node, output=node.inputs[0]))
    moves = {node.name: node for node in graph.nodes if isinstance(node.op, Move)}
    for node in graph.nodes:
        before = moves.get(node.inputs[0])
        if isinstance(node.op, Conv) and before is not None and node.op.groups == 1:
            op = _folded(node.op, before.op.index, types[before.inputs[0]])
            if op is not None:
                new = replace(node, op=op, inputs=before.inputs)
                return fold_move(replace(graph, nodes=tuple(new if n is node else n for n in graph.nodes)))
    return graph


def _folded(conv: Conv, index: np.ndarray, source: TensorType) -> Conv | None:
    """The convolution that reads the source; None if the Move's result is no column of features, each of another
    place."""
    places = index.reshape(-1)[index.reshape(-1) >= 0]
    if index.shape[1:] != (1, 1) or conv.kernel != (1, 1) or any(conv.padding) or len(set(places)) < len(places):
        return None
    outputs = len(conv.weight)
    weight = np.zeros((outputs, np.prod(source.shape)))
    weight[:, places] = conv.weight.reshape(outputs, -1)[:, index.reshape(-1) >= 0]
    return replace(conv, weight=weight.reshape(outputs, *source.shape))
