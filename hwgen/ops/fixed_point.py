"""TensorFlow Lite's requantization by a 32-bit multiplier and two roundings, of sums of integers."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports
from hwgen.rules import Values, fixed_point


@imports("hwgen.requantize_fixed.default")
def requantize_fixed(importer, x, multiplier, shift, low, high):
    """A quantizer of the line that multiplier * 2^(shift - 31) makes of the sums, by the kernels' own rule."""
    rank = len(importer.views[x].shape)
    channel = (
        np.arange(len(multiplier)).reshape(-1, *[1] * (rank - 2)) if len(multiplier) > 1 else np.zeros(1, np.int64)
    )
    x, which = importer.by_index(x, channel)
    of = importer.line(x)
    if of.other is not None or of.clipped or any(n.denominator > 1 for n in (*of.scales, *of.offsets)):
        raise UnsupportedLayer("sums that are no integers", importer.path, "take them of integers by integers")
    numbers = [np.array([int(n) for n in side], np.int64)[:, None] for side in (of.scales, of.offsets)]
    rule = _rule(*numbers, multiplier[which][:, None], shift[which][:, None])
    factors = [Fraction(int(m)) * Fraction(2) ** (int(s) - 31) for m, s in zip(multiplier, shift, strict=True)]
    line = replace(
        of,
        name="requantize_fixed",
        path=importer.path,
        scales=tuple(scale * factors[i] for scale, i in zip(of.scales, which, strict=True)),
        offsets=tuple(offset * factors[i] for offset, i in zip(of.offsets, which, strict=True)),
        single=None,
    )
    return importer.quantized(importer.defer(importer.views[x], line), 1, 0, 0, low, high, "half_away", rule)


def _rule(scales: np.ndarray, offsets: np.ndarray, multipliers: np.ndarray, shifts: np.ndarray) -> Values:
    """Of kinds of a line: all int64 [kinds, 1]."""
    return lambda q: fixed_point(scales * q + offsets, multipliers, shifts).astype(np.float64)
