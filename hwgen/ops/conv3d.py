"""Conv3d and pools of three dimensions: the depth is folded into the channels.

A frame [C, D, H, W] has channel c * D + d; the weight of output (o, do) and input (c, d) is w[o, c, d - do*s + p] where
there is one, else zero, which costs no term.
"""

from typing import Any

import numpy as np

from hwgen.ops import imports
from hwgen.ops.conv import Conv, bias_of


def triple(value: Any, default: int = 1) -> tuple[int, int, int]:
    """(depth, rows, columns) of what torch takes as one number, one in a list, or three."""
    value = [default] if value is None or value == [] or value == () else value
    value = [value] if isinstance(value, int) else list(value)
    depth, rows, columns = value * 3 if len(value) == 1 else value
    return depth, rows, columns


@imports("aten.conv3d.default", rank=5)
def conv3d(importer, x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
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
