"""Average pooling is a depthwise convolution with one weight: the reciprocal of the window where that is dyadic, else
one, and the quantizer behind it divides."""

from functools import partial
from math import prod
from typing import Any

import numpy as np

from hwgen.nn import reciprocal
from hwgen.ops import imports
from hwgen.ops.conv import Conv, pair, row
from hwgen.ops.maxpool import adaptive, ends, reduced


def _sum(importer, x, kernel, stride, sides, weight=1.0):
    channels = importer.type(x).shape[0]
    weights = np.full((channels, 1, *kernel), weight)
    none = np.zeros(channels)
    op = Conv(weights, none, stride, sides, groups=channels, path=importer.path, activations_limited=False)
    return importer.add(op, x)


def _average(importer, x, kernel, stride=None, sides=(0, 0, 0, 0), count=None):
    """The mean over windows, padding counted; count -- what the sum is divided by, if not by the window."""
    count, stride = count or prod(kernel), stride or kernel
    if count > 0 and not count & (count - 1):
        return _sum(importer, x, kernel, stride, sides, 1 / count)
    return _divided(importer, _sum(importer, x, kernel, stride, sides), count)


def _divided(importer, total, count):
    """A sum by a count that is no power of two, or by one for each pixel, int64 [rows, columns]: a line, which the
    quantizer behind it makes integers of."""
    return importer.affine(total, 1, 0, by_number=False, divisor=count)


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
    kernel, (top, left) = pair(kernel), pair(padding, 0)
    stride = pair(stride) if stride else kernel
    rows, columns = importer.type(x).shape[1:]
    sides = (*ends(rows, kernel[0], stride[0], top, ceil_mode), *ends(columns, kernel[1], stride[1], left, ceil_mode))
    if divisor_override is None:
        counts = _counts((rows, columns), kernel, stride, sides, (top, left), count_include_pad)
        if counts.min() != counts.max():
            total = _sum(importer, x, kernel, stride, sides)
            return _divided(importer, total, counts)
        divisor_override = int(counts.max())
    return _average(importer, x, kernel, stride, sides, divisor_override)


def _counts(size, kernel, stride, sides, padding, include: bool) -> np.ndarray:
    """What torch divides the sum of each window by: int64 [rows, columns]."""
    counts = []
    for n, taps, step, before, behind, own in zip(size, kernel, stride, sides[::2], sides[1::2], padding, strict=True):
        start = np.arange((n + before + behind - taps) // step + 1) * step - before
        end = np.minimum(start + taps, n + own)
        counts.append(end - start if include else np.minimum(end, n) - np.maximum(start, 0))
    return counts[0][:, None] * counts[1][None, :]


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


@imports("aten.adaptive_avg_pool2d.default", "aten._adaptive_avg_pool2d.default", rank=4)
@imports("aten.adaptive_avg_pool1d.default", rank=3)
def adaptive_avg_pool(importer, x, output_size):
    return adaptive(importer, x, output_size, partial(_average, importer))


@imports("aten.mean.dim", "aten.mean.default")
def mean(importer, x, dims=(), keepdim=False):
    return _over_channels(importer, x, dims, keepdim, True) or reduced(
        importer, x, dims or (), keepdim, partial(_average, importer)
    )


@imports("aten.sum.dim_IntList", "aten.sum.default")
def total(importer, x, dims=(), keepdim=False):
    def pool(x, kernel):
        return _sum(importer, x, kernel, kernel, (0, 0, 0, 0))

    return _over_channels(importer, x, dims, keepdim, False) or reduced(importer, x, dims or (), keepdim, pool)


def _over_channels(importer, x, dims, keepdim: bool, average: bool):
    """Over dimension 1 alone it is a convolution to one channel; None for others."""
    shape = importer.shape(x)
    dims = [dims] if isinstance(dims, int) else list(dims or ())
    if [dim % (len(shape) + 1) for dim in dims] not in ([1], [len(shape)]):
        return None
    (dim,), count = dims, shape[dims[0] % (len(shape) + 1) - 1]
    dyadic = average and not count & (count - 1)
    result = importer.over(
        x, dim, Conv(np.full((1, count, 1, 1), 1 / count if dyadic else 1.0), np.zeros(1), path=importer.path)
    )
    if average and not dyadic:
        result = _divided(importer, result, count)
    return result if keepdim else importer.moved(result, lambda places: places.squeeze(dim))


@imports("hwgen.avg_pool2d.default", rank=4)
def dyadic_avg_pool2d(importer, x, kh, kw, sh, sw, bits):
    numerator, f = reciprocal(kh * kw, bits)
    return _sum(importer, x, (kh, kw), (sh, sw), (0, 0, 0, 0), numerator * 2.0**-f)
