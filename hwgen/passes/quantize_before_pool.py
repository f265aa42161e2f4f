"""Quantize before a max pool instead of after it: the same integers, in a narrower line memory and no unit of its
own."""

from dataclasses import replace

from hwgen.ir import Graph, Node
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.quantize import Quantize


def quantize_before_pool(graph: Graph) -> Graph:
    for pool in graph.nodes:
        quantize = graph.only_consumer(pool.name)
        if isinstance(pool.op, MaxPool) and quantize is not None and isinstance(quantize.op, Quantize):
            return quantize_before_pool(_swapped(graph, pool, quantize))
    return graph


def _swapped(graph: Graph, pool: Node, quantize: Node) -> Graph:
    """Each keeps its name; what read the quantizer now reads the pool."""
    nodes = []
    for node in graph.nodes:
        if node is pool:
            nodes.append(replace(quantize, inputs=pool.inputs))
        elif node is quantize:
            nodes.append(replace(pool, inputs=(quantize.name,)))
        else:
            inputs = tuple(pool.name if name == quantize.name else name for name in node.inputs)
            nodes.append(replace(node, inputs=inputs))
    return replace(graph, nodes=tuple(nodes), outputs=graph.sending({quantize.name: pool.name}))
