"""What the benches share."""

import json
import os
from functools import cache
from math import inf

_parsed = cache(json.loads)  # benches ask at every clock


def config() -> dict:
    """The parameters that this run of a bench was built with: one entry of its CONFIGS."""
    return _parsed(os.environ["BENCH_CONFIG"])


def clog2(count: int) -> int:
    """Bits that tell `count` things apart."""
    return (count - 1).bit_length()


def signed(value: int, bits: int) -> int:
    """The number that a word stands for in two's complement."""
    return value - (1 << bits) if value >> (bits - 1) else value


def packed(values, bits: int) -> int:
    """A beat of numbers in two's complement side by side, the first in the lowest bits."""
    return sum((value % (1 << bits)) << (i * bits) for i, value in enumerate(values))


def beats(*counts: int) -> tuple[int, int]:
    """A parameter of 32 bits for each stream, the first lowest: how many words a frame has on it."""
    return (sum(count << 32 * n for n, count in enumerate(counts)), 32 * len(counts))


def counts(name: str) -> list[int]:
    """What `beats` was given, of a parameter in this run's config."""
    value = config()[name]
    return [value] if isinstance(value, int) else [value[0] >> n & 0xFFFFFFFF for n in range(0, value[1], 32)]


def ends(low: int, high: int, *none: str) -> dict:
    """Parameters of a clamp; none -- NO_LOW, NO_HIGH."""
    return {"LOW": (low % (1 << 64), 64), "HIGH": (high % (1 << 64), 64), **dict.fromkeys(none, 1)}


def limits(c: dict) -> tuple[float, float]:
    """The least and the greatest result that the parameters of `ends` ask for; infinite where there is none."""
    low, high = (signed(c[end][0], 64) for end in ("LOW", "HIGH"))
    return -inf if c.get("NO_LOW") else low, inf if c.get("NO_HIGH") else high
