"""Conv3d and pools of three dimensions: the depth is folded into the channels.

A frame [C, D, H, W] has channel c * D + d; the weight of output (o, do) and input (c, d) is w[o, c, d - do*s + p] where
there is one, else zero, which costs no term.
"""

from math import prod
from typing import Any

import numpy as np

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports
from hwgen.ops.conv import Conv, bias_of
from hwgen.ops.maxpool import adaptive, max_pool2d


def triple(value: Any, default: int = 1) -> tuple[int, int, int]:
    """(depth, rows, columns) of what torch takes as one number, one in a list, or three."""
    value = [default] if value is None or value == [] or value == () else value
    value = [value] if isinstance(value, int) else list(value)
    depth, rows, columns = value * 3 if len(value) == 1 else value
    return depth, rows, columns


@imports("aten.conv3d.default", rank=5)
def conv3d(importer, x, weight, bias=None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups=1):
    (deep, *stride), (front, top, left), (apart, *dilation) = triple(stride), triple(padding, 0), triple(dilation)
    outputs, inputs, taps, *kernel = weight.shape
    depth = importer.shape(x)[1]
    deeper = (depth + 2 * front - apart * (taps - 1) - 1) // deep + 1
    folded = np.zeros((outputs, deeper, inputs, depth, *kernel))
    for tap in range(taps):
        reads = np.arange(deeper) * deep - front + apart * tap
        inside = np.flatnonzero((reads >= 0) & (reads < depth))
        folded[:, inside, :, reads[inside]] = weight[:, :, tap]
    op = Conv(
        folded.reshape(outputs * deeper, inputs * depth, *kernel),
        np.repeat(bias_of(bias, outputs), deeper),
        (stride[0], stride[1]),
        (top, top, left, left),
        (dilation[0], dilation[1]),
        groups,
        importer.path,
    )
    return _unfolded(importer, importer.add(op, x), outputs)


def _unfolded(importer, x, channels: int):
    """[C * D, H, W] to [C, D, H, W]."""
    return importer.moved(x, lambda places: places.reshape(1, channels, -1, *places.shape[2:]))


@imports("aten.max_pool3d.default", rank=5, picks=True)
def max_pool3d(importer, x, kernel, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode=False):
    return _in_two(importer, x, kernel, stride, padding, dilation, ceil_mode, max_pool2d)


@imports("aten.max_pool3d_with_indices.default", rank=5, picks=True)
def core_max_pool3d(importer, x, *args):
    return [max_pool3d(importer, x, *args), None]


@imports("aten.avg_pool3d.default", rank=5)
def avg_pool3d(importer, x, kernel, stride: Any = (), padding: Any = 0, ceil_mode=False, include=True, divisor=None):
    sides = triple(kernel), triple(stride) if stride else triple(kernel), triple(padding, 0)
    plain = not any(sides[2]) and not ceil_mode and divisor is None
    if not plain:
        raise UnsupportedLayer(
            "AvgPool3d with padding, ceil_mode or divisor_override", importer.path, "use a plain AvgPool3d"
        )
    count = prod(sides[0])
    weight = 1.0 if count & (count - 1) else 1 / count
    channels = importer.shape(x)[0]
    ones = np.zeros((channels, channels, *sides[0]))
    ones[np.arange(channels), np.arange(channels)] = weight
    total = conv3d(importer, x, ones, None, sides[1])
    return total if weight != 1 else importer.affine(total, 1, 0, by_number=False, divisor=count)


@imports("aten.adaptive_avg_pool3d.default", "aten._adaptive_avg_pool3d.default", rank=5)
def adaptive_avg_pool3d(importer, x, size):
    return adaptive(importer, x, size, lambda x, kernel: avg_pool3d(importer, x, kernel))


@imports("aten.adaptive_max_pool3d.default", rank=5, picks=True)
def adaptive_max_pool3d(importer, x, size):
    return [adaptive(importer, x, size, lambda x, kernel: max_pool3d(importer, x, kernel)), None]


def _in_two(importer, x, kernel, stride, padding, dilation, ceil_mode, pool):
    """A maximum over rows and columns, of each depth, then over depths, which lie along the rows."""
    sides = triple(kernel), triple(stride) if stride else triple(kernel), triple(padding, 0), triple(dilation)
    channels, depth, *_ = importer.shape(x)
    flat = importer.moved(x, lambda places: places.flatten(1, 2))
    flat = pool(importer, flat, *(list(side[1:]) for side in sides), ceil_mode)
    _, rows, columns = importer.shape(flat)
    deep = importer.moved(flat, lambda places: places.reshape(1, channels, depth, rows * columns))
    deep = pool(importer, deep, *([side[0], one] for side, one in zip(sides, (1, 1, 0, 1), strict=True)), ceil_mode)
    return importer.moved(deep, lambda places: places.reshape(1, channels, -1, rows, columns))
