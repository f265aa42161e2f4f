"""A convolution of activations of one bit as a linear layer of its windows, which a Move lays one behind the other: so
that an engine that takes what spiked can have it."""

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np

from hwgen.config import BuildConfig
from hwgen.errors import UnsupportedLayer
from hwgen.ir import Graph, Node
from hwgen.ops.conv import Conv
from hwgen.ops.move import NOWHERE, Move
from hwgen.qtype import QType
from hwgen.stage import Stage

ENGINE = "spikes"  # the word of --engine that asks for it


def vector_of(conv: Conv, shape: tuple[int, int, int]) -> int:
    """How many pixels of a frame of this shape an output pixel reads, where those of all follow each other; else 0."""
    taps = conv.kernel[1]
    if conv.groups > 1 or any(conv.padding):
        return 0
    if conv.kernel == tuple(shape[1:]):
        return prod(conv.kernel)
    alone = conv.kernel[0] == 1 and tuple(conv.stride) == (1, taps) and (taps == 1 or conv.dilation[1] == 1)
    return taps if alone and shape[2] % taps == 0 else 0


def asked(stages: list[Stage], config: BuildConfig) -> Iterator[tuple[str, list[list[int]]]]:
    """The convolutions whose windows overlap, that the user wants on that engine."""
    for stage in stages:
        conv, x = stage.op, stage.x
        if not isinstance(conv, Conv) or config.engine_of(stage.name) != ENGINE or x.qtype != QType(0, 1):
            continue
        if conv.groups == 1 and not vector_of(conv, x.shape):
            yield stage.name, [[]]


def tiled(graph: Graph, layer: str) -> Graph:
    """The graph, equal in all values, with the windows of a convolution side by side in rows, their taps from left to
    right and from top to bottom, and a convolution of one row that steps from window to window.

    Raises UnsupportedLayer for a layer that has no windows.
    """
    node = graph[layer]
    conv, x = node.op, graph.types()[node.inputs[0]]
    if not isinstance(conv, Conv) or conv.groups > 1:
        raise UnsupportedLayer(f"{conv} has no windows over all channels", layer, "tile a convolution")
    channels, height, width = x.shape
    _, rows, columns = conv.infer(x).shape
    along = [
        np.arange(count)[:, None] * step + np.arange(taps) * apart - before
        for count, step, taps, apart, before in (
            (rows, conv.stride[0], conv.kernel[0], conv.dilation[0], conv.padding[0]),
            (columns, conv.stride[1], conv.kernel[1], conv.dilation[1], conv.padding[2]),
        )
    ]
    y, x_ = along[0][:, None, :, None], along[1][None, :, None, :]  # rows, columns, tap rows, tap columns
    inside = (y >= 0) & (y < height) & (x_ >= 0) & (x_ < width)
    pixel = np.where(inside, y * width + x_, NOWHERE).reshape(1, rows, -1)
    index = np.where(pixel < 0, NOWHERE, np.arange(channels)[:, None, None] * height * width + pixel)
    taps = prod(conv.kernel)
    weight = conv.weight.reshape(len(conv.weight), channels, 1, taps)
    flat = replace(conv, weight=weight, stride=(1, taps), padding=(0, 0, 0, 0), dilation=(1, 1))
    windows = Node(graph.unused(f"{layer}_windows"), Move(index, conv.path, whole=True), node.inputs)
    return graph.replacing(node, windows, Node(layer, flat, (windows.name,)))
