"""The requantization that hwgen fits, against rational arithmetic at every accumulator that can be reached."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hwgen.config import MOST_NEAR
from hwgen.errors import BadInput, DoesNotFit, UnsupportedLayer
from hwgen.ops.rescale import Rescale, Steps
from hwgen.requantize import requantize, requantize_sum
from hwgen.rules import fixed_point, quantized_multipliers, tflite_reference_sum
from hwgen.thresholds import differing

HALF = Fraction(1, 2)
ROUND = {
    "half_even": round,
    "half_odd": lambda v: round(v + 1) - 1,
    "half_up": lambda v: floor(v + HALF),
    "half_away": lambda v: floor(v + HALF) if v >= 0 else ceil(v - HALF),
    "floor": floor,
    "ceil": ceil,
    "to_zero": int,
}

STEPS = ("to_zero", "half_odd")  # the first has a level twice as wide, the ties of the second no op

# some of which meet ties: dyadic, of whole windows, one accumulator in three; and those of float32 numbers
dyadic = st.builds(lambda m, s: Fraction(m, 1 << s), st.integers(-9, 9), st.integers(0, 6))
windows = st.builds(Fraction, st.sampled_from([1, 1, -1, 3, 5, -3]), st.sampled_from([4, 6, 9, 10, 20, 36, 49]))
singles = st.floats(-1.5, 1.5, width=32).map(Fraction)
factors = st.one_of(dyadic, windows, singles)
offsets = st.one_of(st.just(Fraction(0)), st.builds(Fraction, st.integers(-40, 40), st.sampled_from([1, 2, 3, 4, 40])))
ranges = st.builds(lambda low, size: (low, low + size), st.integers(-300, 300), st.integers(0, 500))
clamps = st.builds(lambda low, size: (low, low + size), st.integers(-130, 3), st.sampled_from([0, 1, 2, 15, 255]))
roundings = st.sampled_from(["half_even", "half_even", *ROUND])


def level(value: Fraction, low: int, high: int, rounding: str) -> int:
    return min(max(ROUND[rounding](value), low), high)


def results(op: Rescale | Steps, accumulators: np.ndarray) -> list[int]:
    """Of one kind."""
    return op.eval([], torch.from_numpy(accumulators.astype(np.int64)).reshape(1, 1, 1, -1)).flatten().tolist()


def of_kind(op: Rescale | Steps, kind: int) -> Rescale | Steps:
    if isinstance(op, Steps):
        return Steps(op.thresholds[[kind]], op.low)
    arrays = (values[[kind]] for values in (op.multipliers, op.biases, op.ties))
    return Rescale(*arrays, op.shift, op.low, op.high)  # type: ignore[arg-type]


def requantized(scales, kind_offsets, reach, clamp, rounding, **more):
    try:
        return requantize(scales, kind_offsets, np.array(reach), *clamp, rounding, **more)
    except UnsupportedLayer:  # a step function that falls and is no line, or none of so few bits
        assert min(scales) < 0 and (rounding in STEPS or max(map(abs, scales)) >= 1 << more.get("near", MOST_NEAR))
        return None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(factors, offsets, ranges), min_size=1, max_size=3), clamps, roundings)
# the first accumulator is a tie
@example([(Fraction(1, 12), Fraction(163, 12), (11, 40))], (8, 17), "half_even")
def test_each_accumulator_gets_its_level(kinds, clamp, rounding):
    scales, kind_offsets, reach = zip(*kinds, strict=True)
    fitted = requantized(scales, kind_offsets, reach, clamp, rounding)
    if fitted is None:
        return
    assert isinstance(fitted.op, Rescale) or rounding in STEPS
    for kind, (scale, offset, (first, last)) in enumerate(kinds):
        accumulators = np.arange(first, last + 1)
        wanted = [level(int(a) * scale + offset, *clamp, rounding) for a in accumulators]
        assert results(of_kind(fitted.op, kind), accumulators) == wanted
        sign = -1 if scale < 0 else 1
        counted = (fitted.thresholds[kind] <= sign * accumulators[:, None]).sum(1)
        assert (clamp[0] + counted).tolist() == wanted
    assert fitted.of == sum(last - first + 1 for first, last in reach) and not fitted.wrong


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(factors, offsets), min_size=1, max_size=2), ranges, clamps, roundings, st.integers(2, 9))
@example([(Fraction(-4), Fraction(0))], (-1, 0), (0, 15), "half_even", 2)  # no multiplier of two bits
def test_few_bits_give_as_many_wrong_levels_as_they_say(kinds, ends, clamp, rounding, bits):
    scales, kind_offsets = zip(*kinds, strict=True)
    fitted = requantized(scales, kind_offsets, [ends] * len(kinds), clamp, rounding, near=bits)
    if fitted is None or isinstance(fitted.op, Steps):
        assert fitted is None or max(abs(scale) for scale in scales) >= 1 << bits
        return
    assert abs(fitted.op.multipliers).max() < 1 << bits
    accumulators, wrong = np.arange(ends[0], ends[1] + 1), 0
    for kind, (scale, offset) in enumerate(kinds):
        wanted = [level(int(a) * scale + offset, *clamp, rounding) for a in accumulators]
        wrong += sum(a != b for a, b in zip(results(of_kind(fitted.op, kind), accumulators), wanted, strict=True))
    assert fitted.wrong == wrong


@settings(max_examples=80, deadline=None)
@given(factors, factors, offsets, ranges, ranges, clamps, roundings.filter(lambda name: name != "to_zero"))
# some ties, and pairs that are nearly ties
@example(Fraction(1, 10), Fraction(0.9156110882759094), Fraction(0), (-40, 240), (-24, 160), (0, 15), "half_even")
@example(Fraction(-1, 10), Fraction(1, 10), Fraction(0), (0, 500), (0, 1500), (-1, 14), "half_odd")
def test_each_pair_of_a_sum_gets_its_level(scale_a, scale_b, offset, ends_a, ends_b, clamp, rounding):
    ends_a, ends_b = ((first // 4, first // 4 + (last - first) // 10) for first, last in (ends_a, ends_b))
    found = requantize_sum(scale_a, scale_b, offset, ends_a, ends_b, *clamp, rounding)
    if found is None:  # ties to odd ones, or away from zero on both sides of it, are no plane
        assert rounding in ("half_away", "half_odd")
        return
    (first, second), op = found
    a, b = (
        grid.flatten() for grid in np.meshgrid(np.arange(ends_a[0], ends_a[1] + 1), np.arange(ends_b[0], ends_b[1] + 1))
    )
    wanted = [level(int(i) * scale_a + int(j) * scale_b + offset, *clamp, rounding) for i, j in zip(a, b, strict=True)]
    assert results(op, a * first + b * second) == wanted


def test_equal_scales_add_before_they_multiply():
    found = requantize_sum(Fraction(3, 7), Fraction(-3, 7), Fraction(0), (0, 255), (0, 255), -128, 127, "half_even")
    assert found is not None and found[0] == (1, -1) and found[1].multipliers[0] > 1


def fit_one(scale, offset, ends, clamp, rounding, **more):
    return requantize([Fraction(scale)], [Fraction(offset)], np.array([ends]), *clamp, rounding, **more)


def test_a_sign_is_a_multiplier_of_one():
    op = fit_one(Fraction(np.float32(0.3).item()), 0, (-1000, 1000), (0, 1), "floor").op
    assert isinstance(op, Rescale) and (op.multipliers[0], op.shift) == (1, 0)
    op = fit_one(5, 0, (-1000, 1000), (0, 1), "half_up").op
    assert isinstance(op, Rescale) and (op.multipliers[0], op.shift) == (1, 0)


@pytest.mark.parametrize(("scale", "multiplier", "ties"), [((1, 16), 1, 1), ((3, 32), 3, 1), ((1, 36), None, None)])
def test_half_even_is_a_bit_cleared_at_ties(scale, multiplier, ties):
    fitted = fit_one(Fraction(*scale), 0, (-(1 << 15), 1 << 15), (-128, 127), "half_even")
    op = fitted.op
    assert isinstance(op, Rescale)
    if multiplier is None:  # every level begins at a tie
        assert op.ties[0] == op.multipliers[0] > 1
    else:
        assert (op.multipliers[0], op.ties[0]) == (multiplier, ties)


def test_a_dead_zone_is_steps():
    op = fit_one(Fraction(1, 3), 0, (-90, 90), (-4, 4), "to_zero").op
    assert isinstance(op, Steps)
    with pytest.raises(UnsupportedLayer, match="no line"):
        fit_one(Fraction(-1, 3), 0, (-90, 90), (-4, 4), "to_zero")


def test_too_wide_for_products():
    scale = Fraction(np.float32(1e-9).item()) * Fraction(np.float32(0.7).item())
    assert isinstance(fit_one(scale, 0, (-(1 << 45), 1 << 45), (-128, 127), "half_even").op, Steps)
    with pytest.raises(DoesNotFit, match="levels"):
        fit_one(scale, 0, (-(1 << 55), 1 << 55), (-128, 127), "half_even")


def test_more_accumulators_than_a_float_tells_apart():
    """Thresholds that are integers, at accumulators beyond 2^53 and with numerators beyond 2^64."""
    scale, first = Fraction(1, (1 << 40) + 1), 1 << 56
    offset = -first * scale
    fitted = fit_one(scale, offset, (first, first + (1 << 44)), (0, 15), "floor")
    assert fitted.thresholds[0].tolist() == [first + k * ((1 << 40) + 1) for k in range(1, 16)]


@pytest.mark.parametrize("above", [3, 7])
def test_thresholds_that_floats_put_beside_an_integer(above):
    below = 7 * 2**40 + 1
    fitted = fit_one(Fraction(above, below), 0, (0, 1 << 50), (0, 255), "floor")
    assert fitted.thresholds[0].tolist() == [-(-k * below // above) for k in range(1, 256)]


def onnxruntime_levels(a, single, low, high):
    return np.clip(np.rint(np.float32(a) * single), low, high)


def tflite_level(a: int, real: float, low: int, high: int) -> int:
    """As it is written in gemmlowp and TFLite, of one number in Python's integers."""
    mantissa, exponent = np.frexp(real)
    multiplier = floor(Fraction(float(mantissa)) * (1 << 31) + HALF)
    if multiplier == 1 << 31:
        multiplier, exponent = multiplier // 2, exponent + 1
    product = (a << max(int(exponent), 0)) * multiplier
    nudge = (1 << 30) if product >= 0 else 1 - (1 << 30)
    high_half = int(Fraction(product + nudge, 1 << 31))  # C++ divides towards zero
    right = max(-int(exponent), 0)
    rest, mask = high_half & ((1 << right) - 1), (1 << right) - 1
    return min(max((high_half >> right) + (rest > (mask >> 1) + (high_half < 0)), low), high)


@pytest.mark.parametrize("rule", ["onnxruntime", "fixed_point"])
@pytest.mark.parametrize("factor", [0.00390625, 0.0123, 0.731, 1.9, 0.9999999999])
def test_a_tools_own_rule(rule, factor):
    scale, ends, bias = Fraction(factor), (-7000, 9000), 37
    single = np.array([factor], np.float32)
    (multiplier,), (shift,) = quantized_multipliers(np.array([factor]))
    of = {"fixed_point": lambda a: fixed_point(a + bias, multiplier, shift).astype(np.float64)}
    fitted = fit_one(scale, scale * bias, ends, (-128, 127), "half_even", rule=of.get(rule, rule), single=None)
    accumulators = np.arange(ends[0], ends[1] + 1)
    if rule == "onnxruntime":
        wanted = onnxruntime_levels(accumulators + bias, single, -128, 127).astype(int).tolist()
    else:
        wanted = [tflite_level(int(a) + bias, factor, -128, 127) for a in accumulators]
    assert results(fitted.op, accumulators) == wanted
    exact = fit_one(scale, scale * bias, ends, (-128, 127), "half_even")
    apart = [level((int(a) + bias) * scale, -128, 127, "half_even") for a in accumulators]
    assert differing(fitted.thresholds, exact.thresholds) == sum(a != b for a, b in zip(apart, wanted, strict=True))


def test_a_rule_may_be_any_function_that_rises_or_falls():
    def values(accumulators):
        return -np.sqrt(np.maximum(accumulators, 0)) * 3

    with pytest.raises(UnsupportedLayer, match="no line"):
        fit_one(-1, 0, (0, 400), (-16, 15), "half_even", rule=values)
    with pytest.raises(AssertionError, match="a rule falls"):
        fit_one(1, 0, (0, 400), (-16, 15), "half_even", rule=values)
    fitted = fit_one(1, 0, (0, 400), (-16, 70), "half_even", rule=lambda x: -values(x))
    accumulators = np.arange(401)
    assert isinstance(fitted.op, Steps)
    assert results(fitted.op, accumulators) == np.rint(3 * np.sqrt(accumulators)).astype(int).tolist()


def test_an_unknown_rule():
    with pytest.raises(BadInput, match="onnxruntime"):
        fit_one(1, 0, (0, 9), (0, 9), "half_even", rule="tflite")


def test_tflites_sum():
    """ADD of two int8 operands, in the kernel's integers."""
    scale_a, scale_b = (
        Fraction(np.float32(s).item()) / Fraction(np.float32(0.02113).item()) for s in (0.01314, 0.01719)
    )
    rule = tflite_reference_sum(scale_a, -scale_b, Fraction(0))
    found = requantize_sum(scale_a, -scale_b, Fraction(0), (-128, 127), (0, 255), -128, 127, "half_even", rule=rule)
    assert found is not None
    (first, second), op = found
    for a in range(-128, 128, 5):
        b = np.arange(256)
        widest = 2 * max(scale_a, scale_b)
        operands = [a << 20] * 256, [int(x) << 20 for x in b]
        scaled = [
            [tflite_level(x, float(scale / widest), -(1 << 40), 1 << 40) for x in xs]
            for xs, scale in zip(operands, (scale_a, scale_b), strict=True)
        ]
        wanted = [tflite_level(x - y, float(widest / (1 << 20)), -128, 127) for x, y in zip(*scaled, strict=True)]
        assert results(op, a * first + b * second) == wanted


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_differing_counts_accumulators(seed):
    a, b = np.sort(np.random.default_rng(seed).integers(0, 20, (2, 3, 5)), 2)
    levels = [(thresholds[..., None] <= np.arange(20)).sum(1) for thresholds in (a, b)]
    assert differing(a, b) == (levels[0] != levels[1]).sum()
