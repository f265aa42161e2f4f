"""A table takes into it what its results, or alone its activations, go through: a table or a quantizer. One of the
identity goes."""

from dataclasses import replace

import numpy as np
import torch

from hwgen.ir import Graph, Node, TensorType
from hwgen.ops.lookup import TABLE_BITS, Lookup
from hwgen.ops.quantize import Quantize


def merge_lookup(graph: Graph) -> Graph:
    types = graph.types()
    by_name = {node.name: node for node in graph.nodes}
    for node in graph.nodes:
        if isinstance(node.op, Lookup) and _is_identity(node.op, types[node.inputs[0]]):
            return merge_lookup(graph.replacing(node, output=node.inputs[0]))
        behind = graph.only_consumer(node.name)
        if behind is not None and _becomes_one(graph, node, behind, types, by_name):
            merged = replace(node, name=_named(node, behind), op=_both(node, behind, types))
            return merge_lookup(_merged(graph, node, behind, merged))
    return graph


def _becomes_one(graph: Graph, first: Node, then: Node, types: dict[str, TensorType], by_name: dict[str, Node]) -> bool:
    """Whether one of two nodes in a row is a table, and the other one or a quantizer that no layer carries."""
    if isinstance(first.op, Lookup):
        return isinstance(then.op, Lookup | Quantize)
    if not (isinstance(first.op, Quantize) and isinstance(then.op, Lookup)):
        return False
    above = by_name.get(first.inputs[0])
    rides = above is not None and above.op.carries(first.op) and graph.only_consumer(above.name) is first
    return not rides and types[first.inputs[0]].qtype.bits <= TABLE_BITS


def _named(first: Node, then: Node) -> str:
    """The name of the table's layer."""
    return first.name if isinstance(first.op, Lookup) else then.name


def _both(first: Node, then: Node, types: dict[str, TensorType]) -> Lookup:
    kind = types[first.inputs[0]]
    values = torch.arange(kind.qtype.low, kind.qtype.high + 1).reshape(1, 1, 1, -1)
    table = then.op.eval([types[first.name]], first.op.eval([kind], values)).reshape(-1).numpy()
    ops = [op for op in (first.op, then.op) if isinstance(op, Lookup)]
    function = ", ".join(op.function for op in ops)
    return Lookup(table, kind.qtype.low, types[then.name].exponent, function, ops[0].path)


def _is_identity(op: Lookup, x: TensorType) -> bool:
    values = np.arange(x.qtype.low, x.qtype.high + 1)
    return op.exponent == x.exponent and np.array_equal(op.table[values - op.first], values)


def _merged(graph: Graph, first: Node, then: Node, merged: Node) -> Graph:
    """With one node in the place of two, of the name of either."""
    nodes = []
    for node in graph.nodes:
        if node is first:
            nodes.append(merged)
        elif node is not then:
            nodes.append(replace(node, inputs=tuple(merged.name if n == then.name else n for n in node.inputs)))
    return replace(graph, nodes=tuple(nodes), outputs=graph.sending({then.name: merged.name}))
