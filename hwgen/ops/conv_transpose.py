"""ConvTranspose: a convolution for each place between two inputs, and their results interleaved.

y[s*j + f] = sum over taps k with (f + p - d*k) divisible by s of w[k] * x[j + (f + p - d*k) / s]: each phase f of the
stride s is a convolution of its own, so that the zeros between the inputs are no terms (sub-pixel convolution: Shi et
al., CVPR 2016).
"""

from itertools import product
from typing import Any

import numpy as np
from torch.nn import functional

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports
from hwgen.ops.conv import Conv, bias_of, pair, row


def _offsets(taps: int, stride: int, padding: int, dilation: int) -> tuple[list[tuple[int, int, int]], int, int]:
    """(phase, tap, offset of the input that it reads) of all taps, and the least and the greatest offset."""
    found = [
        (phase, tap, (phase + padding - dilation * tap) // stride)
        for phase, tap in product(range(stride), range(taps))
        if (phase + padding - dilation * tap) % stride == 0
    ]
    return found, min(0, *(offset for *_, offset in found)), max(0, *(offset for *_, offset in found))


@imports("aten.conv_transpose2d.input", rank=4)
def conv_transpose2d(
    importer,
    x,
    weight,
    bias=None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups=1,
    dilation: Any = 1,
):
    stride, padding, dilation = pair(stride), pair(padding, 0), pair(dilation)
    inputs, outputs, *kernel = weight.shape
    axes = [_offsets(*axis) for axis in zip(kernel, stride, padding, dilation, strict=True)]
    (tall, low_rows, high_rows), (wide, low_columns, high_columns) = axes
    # outputs of a phase are channels of their own, in each group: [groups, phases down, across, outputs, inputs, taps]
    shape = (groups, *stride, outputs, inputs // groups, high_rows - low_rows + 1, high_columns - low_columns + 1)
    phases = np.zeros(shape)
    own = weight.reshape(groups, inputs // groups, outputs, *kernel)
    for (down, i, y), (across, j, z) in product(tall, wide):
        phases[:, down, across, :, :, y - low_rows, z - low_columns] = own[:, :, :, i, j].transpose(0, 2, 1)
    channels = groups * stride[0] * stride[1] * outputs
    biases = np.broadcast_to(bias_of(bias, groups * outputs).reshape(groups, 1, 1, outputs), shape[:4]).reshape(-1)
    frame = importer.shape(x)[1:]
    size = [
        (n - 1) * s - 2 * p + d * (k - 1) + more + 1
        for n, s, p, d, k, more in zip(frame, stride, padding, dilation, kernel, pair(output_padding, 0), strict=True)
    ]
    counts = [-(-n // s) for n, s in zip(size, stride, strict=True)]
    sides = []
    for n, count, low, high in zip(frame, counts, (low_rows, low_columns), (high_rows, high_columns), strict=True):
        sides += [-low, max(0, count - 1 + high - (n - 1))]
    op = Conv(
        phases.reshape(channels, inputs // groups, *shape[5:]),
        biases.copy(),
        padding=(sides[0], sides[1], sides[2], sides[3]),
        groups=groups,
        path=importer.path,
    )

    def interleaved(places):
        """From channels (group, down, across, output) to channels (group, output) of more rows and columns."""
        split = places.reshape(groups, *stride, outputs, *places.shape[2:])[..., : counts[0], : counts[1]]
        woven = split.permute(0, 3, 4, 1, 5, 2).reshape(1, groups * outputs, counts[0] * stride[0], -1)
        return woven[:, :, : size[0], : size[1]]

    return importer.moved(importer.add(op, x), interleaved)


@imports("aten.conv_transpose1d.default", rank=3)
def conv_transpose1d(
    importer,
    x,
    weight,
    bias=None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups=1,
    dilation: Any = 1,
):
    flat = importer.moved(x, lambda places: places.unsqueeze(2))
    result = conv_transpose2d(
        importer,
        flat,
        weight[:, :, None, :],
        bias,
        row(stride, 1),
        row(padding, 0),
        row(output_padding, 0),
        groups,
        row(dilation, 1),
    )
    return importer.moved(result, lambda places: places.squeeze(2))


@imports("aten.upsample_bilinear2d", rank=4)
def upsample_bilinear2d(importer, x, output_size, align_corners, *scales):
    """Each phase of the factor reads its pixel and the nearest ones beside it; those of the edge come again."""
    frame = importer.shape(x)
    if output_size is None:
        output_size = [int(n * factor) for n, factor in zip(frame[1:], scales[0], strict=True)]
    factors = [size // n for size, n in zip(output_size, frame[1:], strict=True)]
    exact = all(n * f == size and f & (f - 1) == 0 for n, f, size in zip(frame[1:], factors, output_size, strict=True))
    if align_corners or not exact:
        raise UnsupportedLayer(
            f"bilinear upsampling of {list(frame[1:])} to {list(output_size)}"
            + (" with align_corners" if align_corners else ""),
            importer.path,
            "upsample by a power of two without align_corners: its weights are on a grid",
        )
    down, across = (_weights(factor) for factor in factors)
    kernel = np.einsum("ai,bj->abij", down, across).reshape(-1, 1, 3, 3)
    channels = frame[0]
    padded = importer.moved(x, lambda places: functional.pad(places, (1, 1, 1, 1), mode="replicate"))
    op = Conv(
        np.tile(kernel, (channels, 1, 1, 1)), np.zeros(len(kernel) * channels), groups=channels, path=importer.path
    )

    def woven(places):
        split = places.reshape(channels, *factors, *frame[1:])
        return split.permute(0, 3, 1, 4, 2).reshape(1, channels, *output_size)

    return importer.moved(importer.add(op, padded), woven)


def _weights(factor: int) -> np.ndarray:
    """What each phase takes of the pixel before it, of its own, and of the next: float64 [factor, 3]."""
    at = (np.arange(factor) + 0.5) / factor - 0.5
    return np.stack([np.maximum(-at, 0), 1 - np.abs(at), np.maximum(at, 0)], axis=1)
