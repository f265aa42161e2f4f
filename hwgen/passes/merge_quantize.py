"""Merge two Quantize in a row where that is exact: a clamp and a rounding, in either order; drop one that changes
nothing."""

from dataclasses import replace

from hwgen.ir import Graph
from hwgen.ops.quantize import UNBOUNDED, Quantize


def merge_quantize(graph: Graph) -> Graph:
    types = graph.types()
    for node in graph.nodes:
        if not isinstance(node.op, Quantize):
            continue
        source = node.inputs[0]
        kind = types[source]
        if node.op.exponent == kind.exponent and node.op.low <= kind.qtype.low and node.op.high >= kind.qtype.high:
            return merge_quantize(graph.replacing(node, output=source))
        before = next((n for n in graph.nodes if n.name == source), None)
        if before is None or not isinstance(before.op, Quantize) or graph.only_consumer(source) is not node:
            continue
        first, second = before.op, node.op
        only_clamps = first.exponent == types[before.inputs[0]].exponent
        if only_clamps or second.exponent == first.exponent:
            # rounding is monotone: a clamp before it is the clamp at the rounded ends after it
            low, high = (Quantize._round(end, second.exponent - first.exponent) for end in (first.low, first.high))
            low, high = (min(max(end, second.low, -UNBOUNDED), second.high, UNBOUNDED) for end in (low, high))
            merged = replace(node, op=Quantize(second.exponent, low, high), inputs=before.inputs)
            nodes = tuple(merged if n is node else n for n in graph.nodes if n is not before)
            return merge_quantize(replace(graph, nodes=nodes))
    return graph
