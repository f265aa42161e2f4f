"""Quantizers of other tools as torch operators, so that each stays one node through `torch.export`: what the readers of
hwgen/formats/ write a network with."""

import torch
from torch import Tensor

from hwgen.errors import BadInput
from hwgen.grids import require_float

# how a number between two integers is rounded; ties are where it is in the middle
ROUNDINGS = {
    "half_even": torch.round,
    "half_odd": lambda x: _round_half(x, lambda floor: floor % 2 == 0),
    "half_up": lambda x: _round_half(x, lambda floor: torch.ones_like(floor, dtype=torch.bool)),
    "half_away": lambda x: _round_half(x, lambda floor: floor >= 0),
    "floor": torch.floor,
    "ceil": torch.ceil,
    "to_zero": torch.trunc,
}
ZERO_FIRST = "zero_first:"


def _round_half(x: Tensor, up) -> Tensor:
    """To the nearest integer; up -- of the integer below a tie, whether the one above it is the result."""
    floor = torch.floor(x)
    rest = x - floor  # exact, where x + 1/2 is not just below a tie
    return floor + ((rest > 0.5) | ((rest == 0.5) & up(floor)))


def rounding_of(name: str) -> tuple[str, bool]:
    """The key of ROUNDINGS in the name of a rounding, and whether the zero point is added before it is rounded."""
    key = name.removeprefix(ZERO_FIRST)
    if key not in ROUNDINGS:
        raise BadInput(f"rounding = {name!r}", "quantize_affine", f"use one of {', '.join(ROUNDINGS)}")
    return key, key != name


@torch.library.custom_op("hwgen::quantize_affine", mutates_args=())
def quantize_affine(x: Tensor, scale: Tensor, zero: Tensor, axis: int, low: int, high: int, rounding: str) -> Tensor:
    """The levels clamp(round(x / scale) + zero, low, high) of x, as floats of its shape and dtype.

    scale, zero  floats of one number, or of one for each index along dimension `axis` of x (the batch counted)
    rounding     a key of ROUNDINGS; behind "zero_first:" the level is round(x / scale + zero)
    """
    require_float(x, "quantize_affine")
    key, zero_first = rounding_of(rounding)
    scale, zero = (_along(values.to(x.dtype), axis, x) for values in (scale, zero))
    scaled = x / scale
    level = ROUNDINGS[key](scaled + zero) if zero_first else ROUNDINGS[key](scaled) + zero
    return level.clamp(low, high)


@quantize_affine.register_fake
def _(x, scale, zero, axis, low, high, rounding):
    require_float(x, "quantize_affine")
    return torch.empty_like(x)


@torch.library.custom_op("hwgen::count_steps", mutates_args=())
def count_steps(x: Tensor, thresholds: Tensor) -> Tensor:
    """How many of its channel's thresholds are not above each number of x, as floats of its shape and dtype.

    x           [N, channels, ...]
    thresholds  floats [channels or 1, K], in any order
    """
    require_float(x, "count_steps")
    shape = [1, len(thresholds), *[1] * (x.dim() - 2)]
    count = torch.zeros_like(x)
    for column in thresholds.to(x.dtype).unbind(1):
        count += x >= column.reshape(shape)
    return count


@count_steps.register_fake
def _(x, thresholds):
    require_float(x, "count_steps")
    return torch.empty_like(x)


def _along(values: Tensor, axis: int, x: Tensor) -> Tensor:
    """Values of one number, or of one for each index along a dimension of x, as they broadcast against it."""
    if values.numel() == 1:
        return values.reshape([1] * x.dim())
    shape = [1] * x.dim()
    shape[axis] = -1
    return values.reshape(shape)
