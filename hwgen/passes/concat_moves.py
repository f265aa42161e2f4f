"""What is taken of one part of a concatenation is taken of that part; a concatenation of parts of one tensor is a Move
of it. So a concatenation of what was split is what it was, and the reverse."""

from dataclasses import replace

import numpy as np

from hwgen.ir import Graph, Node, TensorType
from hwgen.ops.add import Add
from hwgen.ops.concat import Concat
from hwgen.ops.conv import Conv
from hwgen.ops.move import NOWHERE, Move
from hwgen.ops.quantize import Quantize


def concat_moves(graph: Graph) -> Graph:
    types = graph.types()
    by_name = {node.name: node for node in graph.nodes}
    for node in graph.nodes:
        above = [by_name[name] for name in node.inputs if name in by_name]
        if isinstance(node.op, Move) and above and isinstance(above[0].op, Concat):
            new = _of_a_part(graph, node, above[0], types)
        elif isinstance(node.op, Concat) and len(above) == 2:
            new = _of_one_tensor(node, above)
        else:
            continue
        if new is not None:
            return concat_moves(graph.replacing(node, new))
    return graph


def _of_a_part(graph: Graph, node: Node, concat: Node, types: dict[str, TensorType]) -> Node | None:
    """The Move of the part that it takes from; None if it takes of both, or on another grid than all."""
    assert isinstance(node.op, Move) and isinstance(concat.op, Concat)
    index, whole, first = node.op.index, types[concat.name], 0
    at = list(np.unravel_index(np.maximum(index, 0), whole.shape))
    for name in concat.inputs:
        part = types[name]
        along = at[concat.op.axis]
        last = first + part.shape[concat.op.axis]
        if ((index < 0) | ((along >= first) & (along < last))).all():
            if part.exponent != whole.exponent and not _any_grid(graph, node):
                return None
            own = [places - first if axis == concat.op.axis else places for axis, places in enumerate(at)]
            own = [np.maximum(places, 0) for places in own]  # where there are zeros
            moved = np.where(index < 0, NOWHERE, np.ravel_multi_index(own, part.shape, mode="clip"))
            return replace(node, op=replace(node.op, index=moved), inputs=(name,))
        first = last
    return None


def _any_grid(graph: Graph, node: Node) -> bool:
    """Whether all that read it, or it as the network's output, take the same numbers on any grid."""
    return all(isinstance(reader.op, Conv | Add | Quantize | Concat) for reader in graph.consumers(node.name))


def _of_one_tensor(node: Node, above: list[Node]) -> Node | None:
    """The Move that a concatenation of two Moves of one tensor is."""
    assert isinstance(node.op, Concat)
    ops = [part.op for part in above if isinstance(part.op, Move)]
    if len(ops) < 2 or above[0].inputs != above[1].inputs:
        return None
    index = np.concatenate([op.index for op in ops], axis=node.op.axis)
    return replace(node, op=Move(index, node.op.path), inputs=above[0].inputs)
