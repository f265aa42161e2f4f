"""Requantization by a 32-bit multiplier and two roundings, as TensorFlow Lite's reference kernels of int8 convolutions
do it, as a torch operator and on integers.

y = clamp(round(round(x * multiplier * 2^-31) * 2^shift), low, high) with multiplier from 2^30 to 2^31 - 1: the
first rounding is half up, the second half away from zero. What lies below a tie by less than 2^(shift - 1) is rounded
up first and away then, on both sides of zero: so the levels of x >= 0 and those of x < 0 are on two lines of the same
slope, 2^shift of a level apart. Source: MultiplyByQuantizedMultiplier and QuantizeMultiplier of TensorFlow Lite.
"""

import numpy as np
import torch
from torch import Tensor

from hwgen.grids import require_float

ONE = 1 << 31
SHIFT_BITS = 31  # the most that a shift is, to the right
SUM_BITS = 32  # of the sums that are scaled


def multiplier_of(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of positive float64 factors, or zeros, the multiplier and the shift (positive: to the left), int64 of their
    shape; factors below 2^-32 are zero."""
    mantissas, shifts = np.frexp(factors)
    multipliers = np.floor(mantissas * ONE + 0.5).astype(np.int64)
    shifts = shifts.astype(np.int64) + (multipliers == ONE)
    multipliers = np.where(multipliers == ONE, ONE // 2, multipliers)
    gone = shifts < -SHIFT_BITS
    return np.where(gone, 0, multipliers), np.where(gone, 0, shifts)


def scaled(x: np.ndarray, multipliers: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """round(round(x * multiplier * 2^-31) * 2^shift) of int64 that a shift to the left keeps below 2^31."""
    product = (x << np.maximum(shifts, 0)) * multipliers
    high = (product + ONE // 2) >> SHIFT_BITS  # half up, of either sign
    right = np.maximum(-shifts, 0)
    half = (np.int64(1) << right) >> 1
    return np.where(high < 0, -((half - high) >> right), (high + half) >> right)


@torch.library.custom_op("hwgen::requantize_fixed", mutates_args=())
def requantize_fixed(x: Tensor, multiplier: Tensor, shift: Tensor, low: int, high: int) -> Tensor:
    """The levels clamp(scaled(x), low, high) of integers x [N, channels, ...], as floats of its shape and dtype.

    multiplier, shift -- int64 [channels or 1], of `multiplier_of`
    """
    require_float(x, "requantize_fixed")
    along = [1, -1, *[1] * (x.dim() - 2)]
    levels = scaled(x.detach().long().numpy(), multiplier.reshape(along).numpy(), shift.reshape(along).numpy())
    return torch.from_numpy(np.clip(levels, low, high)).to(x.dtype)


@requantize_fixed.register_fake
def _(x, multiplier, shift, low, high):
    require_float(x, "requantize_fixed")
    return torch.empty_like(x)
