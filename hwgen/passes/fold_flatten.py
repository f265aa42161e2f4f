"""Fold Flatten into the Linear after it, which becomes a convolution over the whole map; else move it down, or off the
output.

One that stays, before a batch norm of features or on one side of an addition, becomes a convolution that picks each
activation.
"""

from dataclasses import replace
from math import prod

import numpy as np

from hwgen.ir import Graph
from hwgen.ops.conv import Conv
from hwgen.ops.flatten import Flatten


def fold_flatten(graph: Graph) -> Graph:
    types = graph.types()
    for node in graph.nodes:
        if isinstance(node.op, Flatten) and types[node.name] == types[node.inputs[0]]:
            return fold_flatten(graph.replacing(node, output=node.inputs[0]))
    flattens = {node.name: node.inputs[0] for node in graph.nodes if isinstance(node.op, Flatten)}
    for node in graph.nodes:
        if not all(name in flattens for name in node.inputs):
            continue
        sources = [flattens[name] for name in node.inputs]
        if isinstance(node.op, Conv) and node.op.groups == 1:
            weight = node.op.weight.reshape(len(node.op.weight), *types[sources[0]].shape)
            new = (replace(node, op=replace(node.op, weight=weight), inputs=tuple(sources)),)
        elif node.op.elementwise and len({types[s].shape for s in sources}) == 1:
            flat = f"{node.name}_flat"
            new = (
                replace(node, inputs=tuple(sources)),
                replace(graph[node.inputs[0]], name=flat, inputs=(node.name,)),
            )
        else:
            continue
        nodes = tuple(n for old in graph.nodes for n in (new if old is node else (old,)))
        if len(new) == 2:
            moved = {node.name: new[1].name}
            nodes = tuple(
                n if n in new else replace(n, inputs=tuple(moved.get(name, name) for name in n.inputs)) for n in nodes
            )
            return fold_flatten(replace(graph, nodes=nodes, outputs=graph.sending(moved)))
        return fold_flatten(replace(graph, nodes=nodes))
    nodes = tuple(replace(n, op=_pick(types[flattens[n.name]].shape)) if n.name in flattens else n for n in graph.nodes)
    # the user's output shape is applied at the border
    return replace(graph, nodes=nodes, outputs=graph.sending(flattens))


def _pick(shape: tuple[int, int, int]) -> Conv:
    features = prod(shape)
    return Conv(np.eye(features).reshape(features, *shape), np.zeros(features), activations_limited=False)
