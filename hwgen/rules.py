"""How tools requantize where they depart from rational arithmetic: monotone functions of the accumulator."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from hwgen.errors import BadInput
from hwgen.target import EXACT, ONNXRUNTIME

# of accumulators, int64 [kinds, n], to what is then rounded, float64 [kinds, n]; it is monotone in each kind
Values = Callable[[np.ndarray], np.ndarray]
# of the factor, float64, and the bias on the accumulator, int64, of each kind: [kinds]
Rule = Callable[[np.ndarray, np.ndarray], Values]
# what `Values` is, of two integers: int64 arrays that broadcast
SumValues = Callable[[np.ndarray, np.ndarray], np.ndarray]


def values_of(
    rule: str | Values, scales: Sequence[Fraction], offsets: Sequence[Fraction], single: np.ndarray | None
) -> Values | None:
    """The function of a rule, by its name in RULES or as it is; None: rational arithmetic."""
    if callable(rule):
        return rule
    if rule == EXACT:
        return None
    if rule not in RULES:
        raise BadInput(f"rule = {rule!r}", "requantize", f"use one of {', '.join([EXACT, *RULES])}")
    factors = np.array([float(scale) for scale in scales]) if single is None else np.asarray(single, np.float64)
    biases = [round(offset / scale) if scale else 0 for scale, offset in zip(scales, offsets, strict=True)]
    return RULES[rule](factors, np.array(biases, np.int64))


def onnxruntime(factors: np.ndarray, biases: np.ndarray) -> Values:
    """float32(acc + bias) * float32(factor) in float32: MLAS's requantization."""
    singles = factors.astype(np.float32)[:, None]

    def values(accumulators: np.ndarray) -> np.ndarray:
        return ((accumulators + biases[:, None]).astype(np.float32) * singles).astype(np.float64)

    return values


def fixed_point(x: np.ndarray, multipliers: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """TFLite's MultiplyByQuantizedMultiplier, int64 of int64, by what `quantized_multipliers` gives: a rounding
    doubling
    high multiplication and a rounding shift, both of int32."""
    high = doubling_high(x << np.maximum(shifts, 0), multipliers)
    return rounding_shift(high, np.maximum(-shifts, 0))


def quantized_multipliers(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """TFLite's QuantizeMultiplier: factor = multiplier * 2^(exponent - 31), multiplier < 2^31: both, int64."""
    mantissas, shifts = np.frexp(np.asarray(factors, np.float64))
    scaled = mantissas * 2.0**31
    multipliers = (np.sign(scaled) * np.floor(abs(scaled) + 0.5)).astype(np.int64)  # std::round; exact: below 2^52
    full = abs(multipliers) == 1 << 31
    multipliers, shifts = np.where(full, multipliers // 2, multipliers), shifts.astype(np.int64) + full
    small = shifts < -31
    return np.where(small, 0, multipliers), np.where(small, 0, shifts)


def doubling_high(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """gemmlowp's SaturatingRoundingDoublingHighMul: a * b / 2^31, nearest, ties up; of int32 in int64."""
    return (a * b + (1 << 30)) >> 31


def rounding_shift(x: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """gemmlowp's RoundingDivideByPOT: x / 2^exponent, nearest, ties away from zero."""
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


RULES: dict[str, Rule] = {ONNXRUNTIME: onnxruntime}


def tflite_reference_sum(scale_a: Fraction, scale_b: Fraction, offset: Fraction) -> SumValues:
    """TFLite's reference kernels of ADD and SUB of int8: both operands times 2^20, by factors of at most 1/2, and their
    sum by a third; the offset is a whole number of levels."""
    widest = 2 * max(abs(scale_a), abs(scale_b))
    factors = [float(abs(scale_a) / widest), float(abs(scale_b) / widest), float(widest / (1 << 20))]
    multipliers, shifts = quantized_multipliers(np.array(factors))
    sign_a, sign_b = (-1 if scale < 0 else 1 for scale in (scale_a, scale_b))

    def scaled(x: np.ndarray, i: int) -> np.ndarray:
        return rounding_shift(doubling_high(x, multipliers[i]), -shifts[i])

    def values(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        total = sign_a * scaled(a << 20, 0) + sign_b * scaled(b << 20, 1)
        return (scaled(total, 2) + round(offset)).astype(np.float64)

    return values
