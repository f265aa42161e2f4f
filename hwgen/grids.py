"""Numbers on power-of-two grids: what the modules of hwgen.nn share."""

import torch
from torch import Tensor

from hwgen.errors import BadInput

MAX_BITS = 16
MAX_EXPONENT = 64


def limits(bits: int, signed: bool) -> tuple[int, int]:
    """The least and the greatest integer of a `bits` wide number, both included."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def round_half_up(x: Tensor, exponent: int) -> Tensor:
    """floor(x * 2^-exponent + 1/2), without the rounding error that adding 1/2 has just below a tie."""
    scaled = x * 2.0**-exponent
    floor = torch.floor(scaled)
    return floor + (scaled - floor >= 0.5).to(x.dtype)


def require_float(x: Tensor, op: str) -> None:
    if x.dtype not in (torch.float32, torch.float64):
        raise BadInput(f"the input has dtype {x.dtype}", op, "pass torch.float32 or torch.float64")


def require_int(name: str, value: int, low: int, high: int, at: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadInput(f"{name} = {value!r}", at, f"use an integer from {low} to {high}")
