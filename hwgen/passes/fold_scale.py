"""Fold a scale per channel (a batch norm) into the convolution before it."""

from dataclasses import replace

from hwgen.ir import Graph
from hwgen.ops.conv import Conv


def fold_scale(graph: Graph) -> Graph:
    for scale in graph.nodes:
        before = [node for node in graph.nodes if node.name in scale.inputs]
        if (
            isinstance(scale.op, Conv)
            and scale.op.weight.shape == (scale.op.groups, 1, 1, 1)
            and scale.op.stride == (1, 1)
            and not any(scale.op.padding)
            and before
            and isinstance(before[0].op, Conv)
            and graph.only_consumer(before[0].name) is scale
        ):
            folded = before[0].op.scaled(scale.op.weight[:, 0, 0, 0], scale.op.bias, scale.op.path)
            node = replace(before[0], op=folded)
            nodes = tuple(node if n is before[0] else n for n in graph.nodes)
            return fold_scale(replace(graph, nodes=nodes).replacing(scale, output=node.name))
    return graph
