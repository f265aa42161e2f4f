"""Requantization by a 32-bit multiplier and two roundings, as TensorFlow Lite's reference kernels of int8 convolutions
do it, as a torch operator.

The level is round(round(x * multiplier / 2^31) * 2^shift), halves away from zero. What is below a tie by less than
2^(shift - 1) of a level is rounded up first and away then, on both sides of zero: so the levels of x >= 0 and those of
x < 0 are on two lines of one slope, 2^shift of a level apart.
"""

import numpy as np
import torch
from torch import Tensor

from hwgen.grids import require_float
from hwgen.rules import fixed_point


@torch.library.custom_op("hwgen::requantize_fixed", mutates_args=())
def requantize_fixed(x: Tensor, multiplier: Tensor, shift: Tensor, low: int, high: int) -> Tensor:
    """The levels of integers x [N, channels, ...], from low to high, as floats of its shape and dtype.

    multiplier, shift -- int64 [channels or 1], as of hwgen.rules.quantized_multipliers
    """
    require_float(x, "requantize_fixed")
    along = [1, -1, *[1] * (x.dim() - 2)]
    levels = fixed_point(x.detach().long().numpy(), multiplier.reshape(along).numpy(), shift.reshape(along).numpy())
    return torch.from_numpy(np.clip(levels, low, high)).to(x.dtype)


@requantize_fixed.register_fake
def _(x, multiplier, shift, low, high):
    require_float(x, "requantize_fixed")
    return torch.empty_like(x)
