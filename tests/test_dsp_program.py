"""The program of DSP lanes, term by term as rtl/pe_dsp.v adds them, gives the golden integers; its width is exact."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hwgen.errors import DoesNotFit
from hwgen.ir import TensorType
from hwgen.lanes.entries import IMMEDIATE, LAST, NEGATE, SHIFT
from hwgen.lanes.kinds.dsp import DSP_LANE_BITS, dsp_accumulator, dsp_program
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.qtype import QType, width

SEEDS = st.integers(0, 2**32 - 1)


def wrap(values, bits):
    half = 1 << (bits - 1)
    return (values + half) % (2 * half) - half


def windows_of(conv, x):
    """What each output reads of a batch: [frames, channels, rows, columns, window rows, window columns]."""
    top, bottom, left, right = conv.padding
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    reach = [d * (k - 1) + 1 for d, k in zip(conv.dilation, conv.weight.shape[2:], strict=True)]
    return np.lib.stride_tricks.sliding_window_view(x, reach, (2, 3))[:, :, :: conv.stride[0], :: conv.stride[1]]


def run(program, conv, x, bits=None):
    """The sums, low bits dropped, of a batch [frames, channels, rows, columns]: [frames, outputs, rows, columns]."""
    bits = bits or program.accumulator
    windows = windows_of(conv, x)
    results, first, old = [], True, 0
    for flags, channel, row, column, immediate in zip(
        program.flags, program.channel, program.tap_row, program.tap_column, program.immediate, strict=True
    ):
        assert -(1 << (program.immediate_bits - 1)) <= immediate < 1 << (program.immediate_bits - 1)
        operand = (
            np.full_like(windows[:, 0, ..., 0, 0], immediate)
            if flags & IMMEDIATE
            else windows[:, channel, ..., row, column]
        )
        base = 0 if first else 2 * old if flags & SHIFT else old
        old = wrap(base + (-operand - 1 if flags & NEGATE else operand), bits)
        first = bool(flags & LAST)
        if first:
            results.append(old >> program.drop)
    assert first and len(results) == len(program.lengths) and program.lengths.sum() == len(program.flags)
    return np.stack(results, axis=1)


def layer(seed):
    """A layer of random shape and grids: some have only zeros or constants, and some do not fit."""
    rng = np.random.default_rng(seed)
    groups, kernel = int(rng.choice([1, 1, 2])), rng.integers(1, 4, 2).tolist()
    outputs, channels = groups * int(rng.integers(1, 4)), int(rng.integers(1, 4))
    most = int(rng.choice([1, 2, 8, 128, 3000]))
    weight = rng.integers(-most, most + 1, (outputs, channels, *kernel))
    weight *= rng.random(weight.shape) < rng.choice([0, 0.3, 0.7, 1])
    bias = rng.integers(-300, 301, outputs) * 2.0 ** rng.integers(-8, 3) * (rng.random() < 0.8)
    conv = Conv(
        weight * 2.0 ** rng.integers(-5, 3),
        bias,
        stride=tuple(rng.integers(1, 3, 2).tolist()),
        padding=tuple(rng.integers(0, 3, 4).tolist()),
        dilation=tuple(rng.integers(1, 3, 2).tolist()),
        groups=groups,
    )
    bits = int(rng.integers(1, 9))
    kind = QType(0, (1 << bits) - 1) if rng.random() < 0.5 else QType(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    x = TensorType((groups * channels, 5, 6), kind, int(rng.integers(-6, 3)))
    low, high = sorted(rng.integers(-300, 300, 2).tolist())
    quantize = Quantize(conv.out_exponent(x) + int(rng.integers(-4, 14)), low, high)
    if rng.random() < 0.3:
        quantize = Quantize(quantize.exponent, -UNBOUNDED, UNBOUNDED) if rng.random() < 0.5 else None
    batch = rng.integers(kind.low, kind.high + 1, (3, *x.shape))
    batch[0] = rng.choice([kind.low, kind.high], x.shape)
    return conv, x, quantize, batch


def golden(conv, x, quantize, batch):
    acc = conv.eval([x], torch.from_numpy(batch))
    return (acc if quantize is None else quantize.eval([conv.infer(x)], acc)).numpy()


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.integers(0, 2))
def test_the_program_gives_the_golden_integers_on_any_grid(seed, finer):
    conv, x, quantize, batch = layer(seed)
    finer *= quantize is not None
    assume(dsp_accumulator(conv, x, quantize, finer) <= DSP_LANE_BITS)
    program = dsp_program(conv, x, quantize, finer=finer)
    assert program.drop == finer + dsp_program(conv, x, quantize).drop
    assert program.below == 0 and program.drop < program.accumulator and program.immediate_bits <= program.accumulator
    result = run(program, conv, batch)
    if quantize is not None:
        result = result.clip(quantize.low, quantize.high)
    assert np.array_equal(result, golden(conv, x, quantize, batch))


def worst_case(seed):
    """A layer with one window, whose outputs' sums need every bit of the accumulator, and frames that drive them."""
    conv, x, quantize, _ = layer(seed)
    outputs, inside = conv.weight.shape[:2]
    rows, columns = (d * (k - 1) + 1 for d, k in zip(conv.dilation, conv.weight.shape[2:], strict=True))
    conv = Conv(conv.weight, conv.bias, dilation=conv.dilation, groups=conv.groups)
    x = TensorType((x.shape[0], rows, columns), x.qtype, x.exponent)
    frames = np.zeros((2 * outputs, *x.shape), np.int64)
    for m, weight in enumerate(conv.integers):
        first = m // (outputs // conv.groups) * inside
        for frame, sign in ((2 * m, 1), (2 * m + 1, -1)):
            taps = frames[frame, first : first + inside, :: conv.dilation[0], :: conv.dilation[1]]
            taps[...] = np.where(weight * sign > 0, x.qtype.high, x.qtype.low)
    return conv, x, quantize, frames


@settings(max_examples=300, deadline=None)
@given(SEEDS)
def test_the_accumulator_holds_the_worst_case_and_not_a_bit_more(seed):
    conv, x, quantize, frames = worst_case(seed)
    bits = dsp_accumulator(conv, x, quantize)
    assume(
        bits <= DSP_LANE_BITS and bits > max(x.qtype.bits, 0 if quantize is None else quantize.shift(conv.infer(x)) + 1)
    )
    program = dsp_program(conv, x, quantize)
    # the sums before the clamp: the rounded quotient on the quantizer's grid
    unclamped = None if quantize is None else Quantize(quantize.exponent, -UNBOUNDED, UNBOUNDED)
    expected = golden(conv, x, unclamped, frames)
    assert np.array_equal(run(program, conv, frames), expected)
    assert not np.array_equal(run(program, conv, frames, bits - 1), expected)


@pytest.mark.parametrize(("weight", "bits"), [(32896.0, 24), (32897.0, 25), (-32896.0, 24), (-32897.0, 25)])
def test_layers_that_do_not_fit_are_refused(weight, bits):
    """255 times a weight, and one, just within 24 bits or just beyond."""
    conv, x, quantize = Conv(np.full((1, 1, 1, 1), weight), np.ones(1)), TensorType((1, 1, 1), QType(0, 255), 0), None
    assert dsp_accumulator(conv, x, quantize) == bits
    if bits <= DSP_LANE_BITS:
        assert dsp_program(conv, x, quantize).accumulator == bits
    else:
        with pytest.raises(DoesNotFit, match="its sums have 25 bits, a lane of a DSP slice holds 24"):
            dsp_program(conv, x, quantize)


def test_entries_read_from_the_high_exponent_to_the_low():
    """5x - 2y + 1 with inputs of three bits: 4x, a doubling, -2y, a doubling, x, and 1 + 2 as the constant."""
    conv = Conv(np.array([[[[5.0]], [[-2.0]]]]), np.ones(1))
    program = dsp_program(conv, TensorType((2, 1, 1), QType(0, 7), 0), None)
    assert program.flags.tolist() == [0, SHIFT | NEGATE, SHIFT, LAST | IMMEDIATE]
    assert program.channel.tolist() == [0, 1, 0, 0]
    assert program.immediate.tolist() == [0, 0, 0, 3]
    assert program.accumulator == width(-13, 36)
