"""TensorFlow Lite's requantization by a 32-bit multiplier and two roundings, of sums of integers."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports
from hwgen.rules import fixed_point


@imports("hwgen.requantize_fixed.default", quantizes=True)
def requantize_fixed(importer, x, multiplier, shift, low, high):
    """A quantizer of the line that multiplier * 2^(shift - 31) makes of the sums, by the kernels' own rule: of the sums
    as they are in the file, whatever divisor of all its weights was taken out of a channel's."""
    channels = np.arange(len(multiplier)).reshape(-1, *[1] * (len(importer.shape(x)) - 1))
    x, which = importer.by_index(x, channels)
    of = importer.line(x)
    if of.other is not None or of.clipped or any(n.denominator > 1 for n in (*of.scales, *of.offsets)):
        raise UnsupportedLayer("sums that are no integers", importer.path, "take them of integers by integers")
    scales, offsets = (np.array([int(n) for n in side], np.int64)[:, None] for side in (of.scales, of.offsets))
    multipliers, shifts = multiplier[which][:, None], shift[which][:, None]

    def rule(factors, biases):
        return lambda q: fixed_point(scales * q + offsets, multipliers, shifts).astype(np.float64)

    factors = [Fraction(int(m)) * Fraction(2) ** (int(s) - 31) for m, s in zip(multiplier, shift, strict=True)]
    line = replace(
        of,
        name="requantize_fixed",
        path=importer.path,
        scales=tuple(scale * factors[i] for scale, i in zip(of.scales, which, strict=True)),
        offsets=tuple(offset * factors[i] for offset, i in zip(of.offsets, which, strict=True)),
        single=None,
    )
    return importer.quantized(importer.defer(importer.views[x], line), 1, 0, 0, low, high, "half_away", rule=rule)
