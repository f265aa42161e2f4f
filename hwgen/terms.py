"""Weights as terms: every weight is a sum of signed powers of two, its canonical signed digits."""

from dataclasses import dataclass

import numpy as np


def trailing_exponent(values: np.ndarray) -> np.ndarray:
    """For each non-zero finite float, the exponent of its lowest set bit: value = odd * 2^exponent (int64, same
    shape)."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    integers = np.abs(np.ldexp(mantissa, 53)).astype(np.int64)
    lowest = integers & -integers
    return exponent - 53 + np.log2(lowest.astype(np.float64)).astype(np.int64)


def significant_bits(values: np.ndarray) -> np.ndarray:
    """For each non-zero finite float, the bits from its highest to its lowest set bit (int64, same shape)."""
    return np.frexp(np.abs(values.astype(np.float64)))[1] - trailing_exponent(values)


@dataclass(frozen=True)
class TermTable:
    """The terms of one layer, parallel int64 arrays: result[output] gets (-1)^negative * 2^exponent * x[input]."""

    output: np.ndarray
    input: np.ndarray
    exponent: np.ndarray
    negative: np.ndarray

    def __len__(self) -> int:
        return len(self.output)


def term_table(weights: np.ndarray) -> TermTable:
    """The canonical signed digits (Reitwiesner 1960: no two neighbours non-zero) of int64 weights [outputs, inputs]."""
    output, source = np.nonzero(weights)
    rest = weights[output, source]
    parts = []
    exponent = 0
    while len(rest):
        digit = np.where(rest & 1, 2 - (rest & 3), 0)
        used = digit != 0
        parts.append((output[used], source[used], np.full(used.sum(), exponent), (digit[used] < 0).astype(np.int64)))
        rest = (rest - digit) >> 1
        alive = rest != 0
        output, source, rest = output[alive], source[alive], rest[alive]
        exponent += 1
    columns = (
        [np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True)]
        if parts
        else [np.zeros(0, np.int64)] * 4
    )
    return TermTable(*columns)
