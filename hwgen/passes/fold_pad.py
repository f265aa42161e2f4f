"""Fold a padding, a depthwise 1x1 convolution by one, into the convolution behind it."""

from dataclasses import replace

import numpy as np

from hwgen.ir import Graph
from hwgen.ops.conv import Conv


def fold_pad(graph: Graph) -> Graph:
    for pad in graph.nodes:
        reader = graph.only_consumer(pad.name)
        op = pad.op
        if isinstance(op, Conv) and _is_pad(op) and reader is not None and isinstance(reader.op, Conv):
            sides = tuple(a + b for a, b in zip(op.padding, reader.op.padding, strict=True))
            padded = replace(reader, op=replace(reader.op, padding=sides))
            nodes = tuple(padded if node is reader else node for node in graph.nodes)
            return fold_pad(replace(graph, nodes=nodes).replacing(pad, output=pad.inputs[0]))
    return graph


def _is_pad(op: Conv) -> bool:
    return (
        any(op.padding)
        and op.weight.shape == (op.groups, 1, 1, 1)
        and op.stride == (1, 1)
        and bool(np.all(op.weight == 1))
        and not np.any(op.bias)
    )
