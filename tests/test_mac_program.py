"""The program of lanes that multiply, weight by weight as rtl/pe_mac.v adds them, gives the golden integers; its width
is exact."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hwgen.errors import DoesNotFit
from hwgen.ir import TensorType
from hwgen.lanes.entries import IMMEDIATE, LAST, PlaceBits
from hwgen.lanes.kinds.mac import Mac, mac_base, mac_obstacle, mac_program
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.qtype import QType, ceil_log2
from tests.test_dsp_program import SEEDS, golden, layer, windows_of, worst_case, wrap


def run(program, conv, x, bits=None):
    """The sums, low bits dropped, of a batch [frames, channels, rows, columns]: [frames, outputs, rows, columns]."""
    bits = bits or program.accumulator
    windows = windows_of(conv, x)
    results, sums = [], program.base
    for i, flags in enumerate(program.flags):
        if flags & IMMEDIATE:
            assert program.weight[i] == 0 and 0 <= program.immediate[i] < 1 << program.immediate_bits
            sums = sums + program.immediate[i]
        else:
            assert program.immediate[i] == 0 and -(1 << (program.weight_bits - 1)) <= program.weight[i]
            assert program.weight[i] < 1 << (program.weight_bits - 1) and program.weight[i] != 0
            tap = windows[:, program.channel[i], ..., program.tap_row[i], program.tap_column[i]]
            sums = sums + program.weight[i] * tap
        if flags & LAST:
            whole = np.broadcast_to(sums, windows[:, 0, ..., 0, 0].shape)
            results.append(wrap(whole, bits) >> program.drop)
            sums = program.base
    assert len(results) == len(program.lengths) and program.lengths.sum() == len(program.flags)
    return np.stack(results, axis=1)


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.integers(0, 2), st.booleans())
def test_the_program_gives_the_golden_integers_on_any_grid_from_any_base(seed, finer, own):
    conv, x, quantize, batch = layer(seed)
    assume(mac_obstacle(conv, x, quantize) is None)
    finer *= quantize is not None
    base = None if own else mac_base(conv, x, quantize) << finer
    program = mac_program(conv, x, quantize, finer=finer, base=base)
    assert program.base <= -1 or own
    assert program.below == 0 and program.drop < program.accumulator and program.immediate_bits <= program.accumulator
    assert program.terms == np.count_nonzero(conv.integers)
    assert len(program.flags) <= program.terms + len(conv.integers)  # an immediate an output at most
    result = run(program, conv, batch)
    if quantize is not None:
        result = result.clip(quantize.low, quantize.high)
    assert np.array_equal(result, golden(conv, x, quantize, batch))


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_the_accumulator_holds_the_worst_case_and_not_a_bit_more(seed):
    conv, x, quantize, frames = worst_case(seed)
    assume(mac_obstacle(conv, x, quantize) is None)
    program = mac_program(conv, x, quantize)
    bits = program.accumulator
    assume(bits > max(x.qtype.bits, 1 if quantize is None else quantize.shift(conv.infer(x)) + 1))
    # the sums before the clamp: the rounded quotient on the quantizer's grid
    unclamped = None if quantize is None else Quantize(quantize.exponent, -UNBOUNDED, UNBOUNDED)
    expected = golden(conv, x, unclamped, frames)
    assert np.array_equal(run(program, conv, frames), expected)
    assert not np.array_equal(run(program, conv, frames, bits - 1), expected)


def decoded(entries, immediate_bits):
    """The list as (weight or None, place or immediate) of each entry that adds, from the fields of the ROM alone; two
    halves of an immediate as one."""
    result, at, upper = [], 0, 0
    half_bits = entries.payload_bits + entries.command_bits - 2
    ends = set((np.cumsum(entries.lengths) - 1).tolist())
    bits, half = entries.payload_bits, 1 << (entries.command_bits - 1)
    for i, (command, immediate, payload) in enumerate(
        zip(entries.command, entries.immediate, entries.payload, strict=True)
    ):
        payload, command = int(payload) & ((1 << bits) - 1), int(command) & (2 * half - 1)
        if immediate and entries.gaps and command & 1:
            at += payload << bits
        elif immediate and immediate_bits <= half_bits + 1:
            result.append((None, command >> 1 << bits | payload))
        elif immediate and command & 2:
            upper = (command >> 2 << bits | payload) << half_bits
        elif immediate:
            result.append((None, upper | command >> 2 << bits | payload))
            upper = 0
        else:
            at = at + payload if entries.gaps else payload
            result.append(((command + half) % (2 * half) - half, at))
        at = 0 if i in ends else at
    return result


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_the_entries_hold_the_program_at_any_length_of_a_distance(seed):
    conv, x, quantize, _ = layer(seed)
    assume(mac_obstacle(conv, x, quantize) is None and conv.integers.any())
    reach = [d * (k - 1) + 1 for d, k in zip(conv.dilation, conv.weight.shape[2:], strict=True)]
    place = PlaceBits(*map(ceil_log2, reach), ceil_log2(x.shape[0]))
    places = np.random.default_rng(seed).permutation(x.shape[0])
    program = mac_program(conv, x, quantize)
    plain = decoded(program.entries(place, places), program.immediate_bits)
    tap = program.tap_row << (place.tap_column + place.channel) | program.tap_column << place.channel
    where = tap | places[program.channel]
    assert plain == [
        (None, value) if flags & IMMEDIATE else (weight, at)
        for flags, value, weight, at in zip(program.flags, program.immediate, program.weight, where, strict=True)
    ]
    for gap_bits in range(max(1, -(-place.all // 2)), place.all + 1):
        program = mac_program(conv, x, quantize, gap_bits=gap_bits)
        entries = program.entries(place, places)
        assert entries.gaps and entries.payload_bits == max(gap_bits, program.constant_bits)
        assert sorted(decoded(entries, program.immediate_bits), key=repr) == sorted(plain, key=repr)


@pytest.mark.parametrize(("weight", "bits"), [(131068.0, 18), (131072.0, 19), (-131072.0, 18), (-131076.0, 19)])
def test_weights_that_do_not_fit_are_refused(weight, bits):
    conv, x = Conv(np.array([[[[weight]], [[1.0]]]]), np.ones(1)), TensorType((2, 1, 1), QType(0, 255), 0)
    if bits == 18:
        assert mac_program(conv, x, None).weight_bits == bits
    else:
        with pytest.raises(
            DoesNotFit, match="its weights have 19 bits, a lane of a DSP slice that multiplies takes 18"
        ):
            mac_program(conv, x, None)


def test_sums_and_activations_that_do_not_fit_are_refused():
    conv = Conv(np.full((1, 1 << 9, 1, 1), 65535.0), np.zeros(1))
    wide = TensorType((1 << 9, 1, 1), QType(0, (1 << 26) - 1), 0)
    assert "its sums have 52 bits" in mac_obstacle(conv, wide, None)
    conv = Conv(np.ones((1, 1, 1, 1)), np.zeros(1))
    assert "activations have 27 bits" in mac_obstacle(conv, TensorType((1, 1, 1), QType(0, (1 << 27) - 1), 0), None)


@pytest.mark.parametrize(
    ("weight", "kind", "lanes"),
    [
        (513, QType(0, 255), 2),  # 130,815 of 131,071
        (515, QType(0, 255), 1),
        (1023, QType(-128, 127), 2),
        (1025, QType(-128, 127), 1),
        (8321, QType(0, 63), 2),  # 20 bits
        (8323, QType(0, 63), 1),
        (65535, QType(0, 15), 2),
        (65535, QType(0, 1), 2),
    ],
)
def test_two_lanes_share_a_slice_where_sums_have_room(weight, kind, lanes):
    conv, x = Conv(np.full((1, 1, 1, 1), float(weight)), np.zeros(1)), TensorType((1, 1, 1), kind, 0)
    assert Mac().per_slice(mac_program(conv, x, None), x.qtype.bits) == lanes


def test_a_list_is_weights_and_what_constants_are_above_the_least():
    conv = Conv(np.array([[[[5.0]], [[0.0]], [[-3.0]]], [[[0.0]], [[0.0]], [[0.0]]]]), np.array([1.0, -2.0]))
    program = mac_program(conv, TensorType((3, 1, 1), QType(0, 7), 0), None)
    assert program.flags.tolist() == [0, 0, LAST | IMMEDIATE, LAST | IMMEDIATE]
    assert program.weight.tolist() == [5, -3, 0, 0] and program.channel.tolist() == [0, 2, 0, 0]
    assert program.immediate.tolist() == [0, 0, 3, 0] and program.base == -2
