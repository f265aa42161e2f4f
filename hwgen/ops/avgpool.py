"""Average pooling is a depthwise convolution with one weight, the dyadic reciprocal of the window."""

from typing import Any

import numpy as np

from hwgen.errors import UnsupportedLayer
from hwgen.nn import reciprocal
from hwgen.ops import imports
from hwgen.ops.conv import Conv, pair, row


def _average(importer, x, kernel, stride, padding=(0, 0), weight=None):
    if weight is None:
        count = kernel[0] * kernel[1]
        if count & (count - 1):
            raise UnsupportedLayer(
                f"an average over {kernel[0]}x{kernel[1]} = {count} pixels is no shift",
                importer.path,
                "use hwgen.nn.AvgPool2d, which multiplies by a dyadic reciprocal of stated width",
            )
        weight = 1 / count
    channels = importer.type(x).shape[0]
    sides = (padding[0], padding[0], padding[1], padding[1])
    return importer.add(
        Conv(
            np.full((channels, 1, *kernel), weight),
            np.zeros(channels),
            stride,
            sides,
            groups=channels,
            path=importer.path,
        ),
        x,
    )


@imports("aten.avg_pool2d.default", rank=4)
def avg_pool2d(
    importer,
    x,
    kernel,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    padding = pair(padding, 0)
    if ceil_mode or divisor_override is not None or (any(padding) and not count_include_pad):
        raise UnsupportedLayer(
            "AvgPool2d with ceil_mode, divisor_override, or padding that is not counted",
            importer.path,
            "use a plain AvgPool2d",
        )
    kernel = pair(kernel)
    return _average(importer, x, kernel, pair(stride) if stride else kernel, padding)


@imports("aten.avg_pool1d.default", rank=3)
def avg_pool1d(importer, x, kernel, stride=(), padding=(0,), ceil_mode=False, count_include_pad=True):
    return avg_pool2d(
        importer,
        x,
        row(kernel, 1),
        row(stride, 1) if stride else (),
        row(padding, 0),
        ceil_mode,
        count_include_pad,
    )


@imports("aten.adaptive_avg_pool2d.default", rank=4)
@imports("aten.adaptive_avg_pool1d.default", rank=3)
def adaptive_avg_pool(importer, x, output_size):
    if any(size != 1 for size in output_size):
        raise UnsupportedLayer(
            f"AdaptiveAvgPool to {list(output_size)}",
            importer.path,
            "only an output of 1 is built; use AvgPool2d with the window written out",
        )
    kernel = importer.type(x).shape[1:]
    return _average(importer, x, kernel, kernel)


@imports("aten.mean.dim")
def mean(importer, x, dims, keepdim=False):
    shape = importer.shape(x)
    dims = range(len(shape) + 1) if dims is None else dims
    if sorted(d % (len(shape) + 1) for d in dims) != list(range(2, len(shape) + 1)) or len(shape) < 2:
        raise UnsupportedLayer(
            f"mean over dimensions {list(dims)}",
            importer.path,
            "take the mean over all pixels: AdaptiveAvgPool2d(1)",
        )
    kernel = importer.type(x).shape[1:]
    pooled = _average(importer, x, kernel, kernel)
    return pooled if keepdim else importer.flatten(pooled)


@imports("hwgen.avg_pool2d.default", rank=4)
def dyadic_avg_pool2d(importer, x, kh, kw, sh, sw, bits):
    numerator, f = reciprocal(kh * kw, bits)
    return _average(importer, x, (kh, kw), (sh, sw), weight=numerator * 2.0**-f)
