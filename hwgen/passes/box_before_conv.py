"""Sums of windows before a convolution instead of averages behind it: the same numbers of fewer terms.

An average over p sums of a convolution of stride s and dilation d, taken every q-th time, is such a sum itself:

    z[j] = v sum_u (b + sum_k w[k] x[s (q j + u) + d k]) = v p b + sum_k v w[k] B[s q j + d k],  B[m] = sum_u x[m + s u]

So the convolution has the stride s q, and its terms are added for fewer pixels, by the area of q. The box sum B is a
depthwise convolution of ones, dilated by s: first along the rows, then down the columns, so that a sum of a row is part
of p others. A pool before its activation, and additions used again, are those of MLCNN (Jiang et al., IPDPS 2022).

Not every build gains: a spatial convolution has an adder for each term, however many pixels there are.
hwgen/alternatives.py chooses.
"""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from math import gcd
from typing import TypeGuard, TypeVar

import numpy as np

from hwgen.errors import HwgenError
from hwgen.ir import Graph, Node, Op, TensorType
from hwgen.ops.conv import Conv
from hwgen.terms import term_table

T = TypeVar("T")


def box_before_conv(graph: Graph, convs: Iterable[str]) -> Graph:
    """The graph with box sums before those convolutions, which are `averaged`. Each keeps its name; the pool behind it
    is gone."""
    pools = averaged(graph)
    for name in convs:
        pool = graph[pools[name]]
        new = _rewritten(graph, graph[name], pool)
        graph = graph.replacing(pool, output=name)
        graph = graph.replacing(graph[name], *new)
    return graph


def averaged(graph: Graph) -> dict[str, str]:
    """The convolutions whose exact sums an average pooling alone reads, each with that pooling; both by name. Left out
    is what has no box sums: a padded pooling, and numbers that the rewritten convolution could not hold."""
    types, found = graph.types(), {}
    for conv in graph.nodes:
        pool = graph.only_consumer(conv.name)
        if (
            pool is not None
            and isinstance(conv.op, Conv)
            and not _is_average(conv.op)
            and _is_average(pool.op)
            and _bias(conv.op, pool.op) is not None
            and _is_possible(_rewritten(graph, conv, pool), types[conv.inputs[0]])
        ):
            found[conv.name] = pool.name
    return found


def of_fewer_terms(graph: Graph) -> list[str]:
    """Those of `averaged` that have fewer terms a frame with box sums, theirs included."""
    types, found = graph.types(), []
    for name, behind in averaged(graph).items():
        conv, pool = graph[name], graph[behind]
        x = types[conv.inputs[0]]
        if _terms(_rewritten(graph, conv, pool), x) < _terms((conv, pool), x):
            found.append(name)
    return found


def _is_average(op: Op) -> TypeGuard[Conv]:
    """Whether each channel is a number times the sums of windows of the same channel, plus a number."""
    return (
        isinstance(op, Conv)
        and op.weight.shape == (op.groups, 1, *op.kernel)
        and op.kernel != (1, 1)
        and tuple(op.dilation) == (1, 1)
        and not any(op.padding)
        and bool((op.weight == op.weight[:, :, :1, :1]).all())
    )


def _bias(op: Conv, average: Conv) -> np.ndarray | None:
    """Each output's bias as often as it is summed; None where float64 cannot hold it."""
    taps = average.kernel[0] * average.kernel[1]
    exact = [
        Fraction(own) * Fraction(scale) * taps + Fraction(more)
        for own, scale, more in zip(op.bias, average.weight[:, 0, 0, 0], average.bias, strict=True)
    ]
    bias = np.array([float(value) for value in exact])
    return bias if [Fraction(value) for value in bias] == exact else None


def _rewritten(graph: Graph, conv: Node, pool: Node) -> tuple[Node, ...]:
    """The box sums, and last the convolution."""
    op, average = conv.op, pool.op
    assert isinstance(op, Conv) and isinstance(average, Conv)
    channels, nodes, source = op.groups * op.weight.shape[1], [], conv.inputs[0]
    stride = [a * b for a, b in zip(op.stride, average.stride, strict=True)]
    dilation, sides = list(op.dilation), [op.padding[:2], op.padding[2:]]
    for axis, along in ((1, "rows"), (0, "columns")):
        taps = average.kernel[axis]
        if taps == 1:
            continue
        # the sums that the convolution reads are so far apart
        every = stride[axis] if op.kernel[axis] == 1 else gcd(stride[axis], dilation[axis])
        rows, columns = _on(axis, sides[axis], (0, 0))
        box = Conv(
            np.ones((channels, 1, *_on(axis, taps, 1))),
            np.zeros(channels),
            _on(axis, every, 1),
            (*rows, *columns),
            _on(axis, op.stride[axis], 1),
            channels,
            f"{op.path}, sums along its {along}",
            activations_limited=False,
        )
        nodes.append(Node(graph.unused(f"{conv.name}_{along}"), box, (source,)))
        source = nodes[-1].name
        stride[axis], dilation[axis], sides[axis] = stride[axis] // every, max(1, dilation[axis] // every), (0, 0)
    summed = replace(
        op,
        weight=op.weight * average.weight[:, :, :1, :1],
        bias=_bias(op, average),
        stride=tuple(stride),
        padding=(*sides[0], *sides[1]),
        dilation=tuple(dilation),
        activations_limited=False,
    )
    return (*nodes, replace(conv, op=summed, inputs=(source,)))


def _on(axis: int, value: T, other: T) -> tuple[T, T]:
    """(rows, columns), where one axis has `value`."""
    return (other, value) if axis else (value, other)


def _is_possible(nodes: tuple[Node, ...], x: TensorType) -> bool:
    try:
        _terms(nodes, x)
    except HwgenError:
        return False
    return True


def _terms(nodes: tuple[Node, ...], x: TensorType) -> int:
    """Of a frame: each as often as there are pixels that it is added for; `nodes` read each other, the first x."""
    count = 0
    for node in nodes:
        assert isinstance(node.op, Conv)
        x = node.op.infer(x)
        count += len(term_table(node.op.integers.reshape(len(node.op.weight), -1))) * x.shape[1] * x.shape[2]
    return count
