"""Moves in a row become one; one that moves nothing goes, and so does one behind an input or before an output that the
host can undo; two that are alike become one."""

from dataclasses import replace

import numpy as np

from hwgen.ir import Graph, Node, Output
from hwgen.ops.move import Move, composed, is_bijection, keeps_order


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
        if graph.is_output(node.name) and is_bijection(index, kind.shape):
            outputs = tuple(_seen(output, node.name, source, index) for output in graph.outputs)
            return compose_moves(replace(graph, outputs=outputs))
        if not same and _alone_reads_an_input(graph, node) and is_bijection(index, kind.shape):
            return compose_moves(_arriving(graph, node, source))
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


def _seen(output: Output, name: str, source: str, index: np.ndarray) -> Output:
    """An output that sends what the Move `name` reads, in the place of its result."""
    if output.name != name:
        return output
    places = np.arange(index.size).reshape(output.shape) if output.view is None else output.view
    view = index.reshape(-1)[places]
    return replace(output, name=source, view=None if np.array_equal(view, places) and output.view is None else view)


def _alone_reads_an_input(graph: Graph, node: Node) -> bool:
    return any(graph.only_consumer(one.name) is node for one in graph.inputs)


def _arriving(graph: Graph, node: Node, source: str) -> Graph:
    """With the input as the Move that alone reads it would make it."""
    index, inputs = _index(node), []
    for one in graph.inputs:
        if one.name == source:
            view = np.arange(index.size) if one.view is None else one.view
            one = replace(one, type=replace(one.type, shape=index.shape), view=view[index.reshape(-1)])
        inputs.append(one)
    return replace(graph, inputs=tuple(inputs)).replacing(node, output=source)
