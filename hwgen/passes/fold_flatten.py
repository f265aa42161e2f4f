"""Fold Flatten into the Linear after it, which becomes a convolution over the whole map; else move it down, or off the output."""

from dataclasses import replace

from hwgen.ir import Graph
from hwgen.ops.add import Add
from hwgen.ops.conv import Conv
from hwgen.ops.flatten import Flatten
from hwgen.ops.quantize import Quantize


def fold_flatten(graph: Graph) -> Graph:
    types = graph.types()
    flattens = {node.name: node.inputs[0] for node in graph.nodes if isinstance(node.op, Flatten)}
    for node in graph.nodes:
        sources = [flattens.get(name) for name in node.inputs]
        if None in sources:
            continue
        if isinstance(node.op, Conv):
            weight = node.op.weight.reshape(len(node.op.weight), *types[sources[0]].shape)
            new = (replace(node, op=replace(node.op, weight=weight), inputs=tuple(sources)),)
        elif isinstance(node.op, Quantize) or (isinstance(node.op, Add) and len({types[s].shape for s in sources}) == 1):
            flat = f"{node.name}_flat"
            new = (replace(node, inputs=tuple(sources)), replace(graph[node.inputs[0]], name=flat, inputs=(node.name,)))
        elif isinstance(node.op, Flatten):
            new = (replace(node, inputs=tuple(sources)),)
        else:
            continue
        nodes = tuple(n for old in graph.nodes for n in (new if old is node else (old,)))
        if len(new) == 2:
            moved = {node.name: new[1].name}
            nodes = tuple(
                n if n in new else replace(n, inputs=tuple(moved.get(name, name) for name in n.inputs)) for n in nodes
            )
            output = moved.get(graph.output_name, graph.output_name)
            return fold_flatten(replace(graph, nodes=nodes, output_name=output))
        return fold_flatten(replace(graph, nodes=nodes))
    # the user's output shape is applied at the border
    return replace(graph, output_name=flattens.get(graph.output_name, graph.output_name))
