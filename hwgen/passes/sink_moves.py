"""Take what is elementwise before a Move instead of behind it: a requantization rides on its layer again, and Moves
meet what they fold into. Another shape of the pixels alone goes past all that works pixel by pixel."""

from dataclasses import replace
from math import prod

import numpy as np
import torch

from hwgen.ir import Graph, Node, TensorType
from hwgen.ops.move import Move, keeps_order


def sink_moves(graph: Graph) -> Graph:
    types = graph.types()
    moves = {node.name: node for node in graph.nodes if isinstance(node.op, Move)}
    for node in graph.nodes:
        if node.name in moves or not node.inputs or not all(name in moves for name in node.inputs):
            continue
        above = [moves[name] for name in node.inputs]
        if all(_is_free(graph, move, types) for move in above):
            index = _index_behind(node, above, types)
            if index is not None:
                return sink_moves(_sunk(graph, node, above, index))
    return graph


def _is_free(graph: Graph, move: Node, types: dict[str, TensorType]) -> bool:
    """Whether it may go behind its reader: nobody else needs it where it is, or it is a view of features, which folds
    into whatever reads it."""
    return graph.only_consumer(move.name) is not None or types[move.name].shape[1:] == (1, 1)


def _index_behind(node: Node, above: list[Node], types: dict[str, TensorType]) -> np.ndarray | None:
    """The index of the Move that does the same behind a node as those above do before it; None where none does."""
    first = above[0].op
    assert isinstance(first, Move)
    shape = types[above[0].inputs[0]].shape
    if node.op.elementwise:
        alike = all(
            isinstance(move.op, Move)
            and np.array_equal(move.op.index, first.index)
            and types[move.inputs[0]].shape == shape
            for move in above
        )
        return first.index if alike and not (first.zeros and _of_zeros(node, types)) else None
    channels, rows, columns = types[node.name].shape
    if len(above) == 1 and node.op.pixelwise and keeps_order(first.index, shape) and len(first.index) == shape[0]:
        return np.arange(channels * prod(shape[1:])).reshape(channels, rows, columns)
    return None


def _of_zeros(node: Node, types: dict[str, TensorType]) -> bool:
    """Whether an elementwise op makes anything of zeros."""
    kinds = [types[name] for name in node.inputs]
    return bool(node.op.eval(kinds, *(torch.zeros(node.op.frames, 1, 1, 1, dtype=torch.int64) for _ in kinds)).any())


def _sunk(graph: Graph, node: Node, above: list[Node], index: np.ndarray) -> Graph:
    """The node keeps its name; who read it reads the Move behind it."""
    name = f"{node.name}_moved"
    while any(other.name == name for other in graph.nodes):
        name += "_moved"
    first = above[0].op
    assert isinstance(first, Move)
    moved = replace(above[0], op=replace(first, index=index), name=name, inputs=(node.name,))
    lifted = replace(node, inputs=tuple(move.inputs[0] for move in above))
    nodes = []
    for old in graph.nodes:
        if old is node:
            nodes += [lifted, moved]
        else:
            nodes.append(replace(old, inputs=tuple(name if read == node.name else read for read in old.inputs)))
    outputs = graph.sending({node.name: name})
    return _without_unread(replace(graph, nodes=tuple(nodes), outputs=outputs), above)


def _without_unread(graph: Graph, moves: list[Node]) -> Graph:
    """Who asks whether a Move alone reads a layer must not find one that nobody needs."""
    unread = {move.name for move in moves if not graph.consumers(move.name) and not graph.is_output(move.name)}
    return replace(graph, nodes=tuple(node for node in graph.nodes if node.name not in unread))
