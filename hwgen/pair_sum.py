"""A rounded sum of two activations with factors of their own as (a * multiplier + b * multiplier + bias) >> shift, the
same integer for each pair that may come."""

import numpy as np

from hwgen.ops.quantize import UNBOUNDED

MULTIPLIER_BITS = 26
BESIDE = range(-2, 3)  # multipliers beside the nearest ones that are tried


def fit_pair(
    a: np.ndarray, b: np.ndarray, levels: np.ndarray, factors: tuple[float, float], low: int, high: int
) -> tuple[int, int, int, int] | None:
    """The two multipliers, the bias and the least shift with
    clamp((a * multiplier + b * multiplier + bias) >> shift, low, high) == clamp(levels, low, high) for each pair; None
    where none of MULTIPLIER_BITS has it.

    a, b     int64 [A] and [B]: what the activations may be
    levels   int64 [A, B]
    factors  about what a level rises by with one of a, and of b

    Each pair bounds the bias from below, from above, or both: with given multipliers that is one interval.
    """
    clipped = np.clip(levels, low, high)
    over, under = levels > low, levels < high
    most = max(abs(factor) for factor in factors)
    for shift in range(max(0, 3 - int(np.floor(np.log2(most)))), 62 - MULTIPLIER_BITS):
        if most * 2.0**shift >= 1 << MULTIPLIER_BITS:
            return None
        nearest = [round(factor * 2.0**shift) for factor in factors]
        for first, second in sorted(((i, j) for i in BESIDE for j in BESIDE), key=lambda pair: sum(map(abs, pair))):
            multipliers = nearest[0] + first, nearest[1] + second
            sums = a[:, None] * multipliers[0] + b * multipliers[1]
            bottom = ((clipped << shift) - sums)[over].max(initial=-UNBOUNDED)
            top = (((clipped + 1) << shift) - sums)[under].min(initial=UNBOUNDED) - 1
            if bottom <= top:
                return *multipliers, _roundest(int(bottom), int(top)), shift
    return None


def _roundest(low: int, high: int) -> int:
    """The number from low to high with the most zeros at its end."""
    zeros = next(zeros for zeros in range(62, -1, -1) if -(-low >> zeros) << zeros <= high)
    return -(-low >> zeros) << zeros
