"""Moves in a row become one; one that moves nothing goes, and so does a view of the network's output, whose shape is
applied at the border; two that are alike become one."""

from dataclasses import replace

import numpy as np

from hwgen.ir import Graph, Node
from hwgen.ops.move import Move, composed, keeps_order


def compose_moves(graph: Graph) -> Graph:
    types = graph.types()
    known: dict[str, Node] = {}
    for node in graph.nodes:
        if not isinstance(node.op, Move):
            continue
        (source,) = node.inputs
        kind, index = types[source], node.op.index
        same = keeps_order(index, kind.shape)
        if same and index.shape == kind.shape:
            return compose_moves(graph.replacing(node, output=source))
        if same and graph.output_name == node.name:
            return compose_moves(replace(graph, output_name=source))
        if source in known:
            before = known[source]
            op = replace(node.op, index=composed(_index(before), index))
            return compose_moves(graph.replacing(node, replace(node, op=op, inputs=before.inputs)))
        for other in known.values():
            if other.inputs == node.inputs and np.array_equal(_index(other), index):
                return compose_moves(graph.replacing(node, output=other.name))
        known[node.name] = node
    return graph


def _index(node: Node) -> np.ndarray:
    assert isinstance(node.op, Move)
    return node.op.index
