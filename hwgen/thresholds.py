"""Thresholds: the least accumulators with each level, from which all about a requantization follows."""

from fractions import Fraction

import numpy as np

from hwgen.rules import Values

CHUNK = 1 << 20  # thresholds that are worked on at once


def differing(a: np.ndarray, b: np.ndarray) -> int:
    """How many accumulators get other levels by the thresholds a than by b, both int64 [kinds, levels], ascending."""
    return int(differing_by_kind(a, b).sum())


def differing_by_kind(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`differing` of each kind: int64 [kinds]. One of a and b may be a single kind, held against each of the other."""
    if not a.size:
        return np.zeros(1, np.int64)
    first, after = np.minimum(a, b), np.maximum(a, b)  # both ascend, so what comes before ends at the last `after`
    first[:, 1:] = np.maximum(first[:, 1:], after[:, :-1])
    return np.maximum(after - first, 0).sum(1)


def _boundaries(levels: np.ndarray, rounding: str) -> tuple[np.ndarray, np.ndarray]:
    """Twice the number from which on a number is rounded to a level or more, and whether that number itself is."""
    positive = levels > 0
    always = np.ones(len(levels), bool)
    return {
        "half_even": (2 * levels - 1, levels % 2 == 0),
        "half_odd": (2 * levels - 1, levels % 2 == 1),
        "half_up": (2 * levels - 1, always),
        "half_away": (2 * levels - 1, positive),
        "floor": (2 * levels, always),
        "ceil": (2 * levels - 2, ~always),
        "to_zero": (np.where(positive, 2 * levels, 2 * levels - 2), positive),
    }[rounding]


def exact_thresholds(scales, offsets, reach: np.ndarray, levels: np.ndarray, rounding: str) -> np.ndarray:
    """The thresholds by rational arithmetic; no scale is negative.

    They are worked out in floats, and in integers where those are too near to an integer.
    """
    twice, closed = _boundaries(levels, rounding)
    found = np.empty((len(scales), len(levels)), np.int64)
    step = max(1, CHUNK // max(1, len(levels)))
    for start in range(0, len(scales), step):
        kinds = slice(start, start + step)
        found[kinds] = _exact_chunk(scales[kinds], offsets[kinds], reach[kinds], twice, closed)
    return found


def _exact_chunk(scales, offsets, reach, twice, closed) -> np.ndarray:
    first, after = reach[:, :1], reach[:, 1:] + 1
    constant = np.array([not scale for scale in scales])[:, None]
    inverse = [1 / scale if scale else Fraction(0) for scale in scales]
    slope = _long([each / 2 for each in inverse])
    start = _long([-offset * each for offset, each in zip(offsets, inverse, strict=True)])
    place = slope * twice + start
    error = 8 * np.finfo(np.longdouble).eps * (abs(slope * twice) + abs(start))
    inside = (place > first - 1 - error) & (place < after + 1 + error)
    unsure = inside & ~(abs(place - np.rint(place)) > error) & ~constant
    found = np.ceil(np.clip(place, first, after)).astype(np.int64)
    for i in np.flatnonzero(unsure.any(1)):
        above, below = scales[i].as_integer_ratio(), offsets[i].as_integer_ratio()
        factor, rest, divisor = below[1] * above[1], -2 * below[0] * above[1], 2 * below[1] * above[0]
        for j in np.flatnonzero(unsure[i]):
            numerator = int(twice[j]) * factor + rest
            exact = -(-numerator // divisor) if closed[j] else numerator // divisor + 1
            found[i, j] = min(max(exact, int(first[i, 0])), int(after[i, 0]))
    for i in np.flatnonzero(constant):
        above = [
            2 * offsets[i] >= int(t) if of else 2 * offsets[i] > int(t) for t, of in zip(twice, closed, strict=True)
        ]
        found[i] = np.where(above, first[i], after[i])
    return found


def _long(values: list[Fraction]) -> np.ndarray:
    """As long doubles, a column: of two doubles each."""
    limit = Fraction(10) ** 300
    heads = [float(min(max(value, -limit), limit)) for value in values]
    tails = [float(min(max(value - Fraction(head), -limit), limit)) for value, head in zip(values, heads, strict=True)]
    return (np.array(heads, np.longdouble) + np.array(tails, np.longdouble))[:, None]


def bisected(values: Values, reach: np.ndarray, levels: np.ndarray, rounding: str) -> np.ndarray:
    """The thresholds of a function that never falls; its ends are held against that."""
    if (values(reach[:, :1]) > values(reach[:, 1:])).any():
        raise AssertionError("a rule falls where its scale is positive, or rises where it is negative")
    twice, closed = _boundaries(levels, rounding)
    low = np.repeat(reach[:, :1], len(levels), 1)
    high = np.repeat(reach[:, 1:] + 1, len(levels), 1)
    while (low < high).any():
        middle = np.minimum((low + high) >> 1, reach[:, 1:])
        doubled = 2 * values(middle)
        met = np.where(closed, doubled >= twice, doubled > twice) | (low == high)
        low, high = np.where(met, low, middle + 1), np.where(met & (low < high), middle, high)
    return high
