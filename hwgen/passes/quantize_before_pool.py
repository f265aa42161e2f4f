"""Quantize before a max pool instead of after it: the same integers, in a narrower line memory and no unit of its
own."""

from dataclasses import replace

from hwgen.ir import Graph
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.quantize import Quantize


def quantize_before_pool(graph: Graph) -> Graph:
    for pool in graph.nodes:
        quantize = graph.only_consumer(pool.name)
        if isinstance(pool.op, MaxPool) and quantize is not None and isinstance(quantize.op, Quantize):
            # names stay with their ops' results where others read them: the pair's result keeps the later name
            first = replace(quantize, name=pool.name, inputs=pool.inputs)
            second = replace(pool, name=quantize.name, inputs=(first.name,))
            swap = {id(pool): first, id(quantize): second}
            return quantize_before_pool(replace(graph, nodes=tuple(swap.get(id(n), n) for n in graph.nodes)))
    return graph
