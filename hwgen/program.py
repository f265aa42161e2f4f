"""The programs of a layer, one for each kind of lanes: their lists, and how wide their accumulators must be.

Per output channel the terms are sorted from the lowest exponent to the highest, and the accumulator shifts right by one
where the exponent rises. So after the terms of exponent e it holds floor(partial sum / 2^e); the bits shifted out are
final. Requantization drops `shift` low bits of the exact sum: with the highest exponent E, max(0, shift - E) more bits
are dropped from the accumulator at the end, or max(0, E - shift) of the bits shifted out are kept below it.

The lanes of DSP slices cannot shift right, so their terms go from the highest exponent to the lowest, and the accumulator
doubles where the exponent drops: it ends as the exact sum, and `shift` low bits of it are dropped.

The lanes of DSP slices that multiply take a weight an entry, whatever its terms, and sum exactly too.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hwgen.entries import IMMEDIATE, LAST, NEGATE, SHIFT, PlaceBits, TermList, half_payload
from hwgen.errors import DoesNotFit
from hwgen.ir import TensorType
from hwgen.ops.conv import Conv, sum_ends
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType, signed_width
from hwgen.terms import TermTable, term_table

DSP_LANE_BITS = 24  # of an accumulator of rtl/pe_dsp.v
MAC_SUM_BITS, MAC_WEIGHT_BITS, MAC_ACTIVATION_BITS = 48, 18, 26  # of rtl/pe_mac.v with one lane in a slice


@dataclass(frozen=True, eq=False, kw_only=True)
class Program(TermList):
    """A list, and the numbers of the datapath.

    terms       how many entries are terms of weights, or weights: the useful ones
    accumulator, below, drop   widths W, F and DROP of rtl/term_lanes.v, whose IMMEDIATE_W is immediate_bits
    base        for lanes that multiply: what each sum begins at
    """

    terms: int
    accumulator: int
    below: int
    drop: int
    base: int = 0


@dataclass(frozen=True, eq=False)
class ExactSums:
    """A convolution as sums of integers, on the coarsest grid that gives the result: (weights << lift) @ inputs + constants, >> drop.

    weights    int64 [outputs, inputs of one]
    lift       bits
    constants  of each output: the bias with the half of the rounding
    drop       bits
    reads      the range of an input, padding included
    """

    weights: np.ndarray
    lift: int
    constants: list[int]
    drop: int
    reads: QType

    @staticmethod
    def of(conv: Conv, x: TensorType, quantize: Quantize | None, finer: int = 0) -> "ExactSums":
        """Requantized by `quantize`, or with the exact accumulators as the result (None); finer -- bits of a grid that is not the
        coarsest."""
        if quantize is None:
            grid, drop = conv.out_exponent(x), 0
        else:
            grid = min(x.exponent + conv.exponents[0], quantize.exponent) - finer
            drop = quantize.exponent - grid
        weights, lift = conv.integers.reshape(len(conv.integers), -1), x.exponent + conv.exponents[0] - grid
        return ExactSums(weights, lift, _constants(conv, grid, drop, quantize is not None), drop, conv.reads(x))

    @cached_property
    def terms(self) -> TermTable:
        table = term_table(self.weights)
        return replace(table, exponent=table.exponent + self.lift)

    @property
    def highest(self) -> int:
        """Exponent of a term; 0 without terms."""
        return int(self.terms.exponent.max()) if len(self.terms) else 0

    @cached_property
    def ranges(self) -> list[QType]:
        """Of the sum of each output, its constant included."""
        ends = (values.tolist() for values in sum_ends(self.weights, self.reads))
        return [
            QType((a << self.lift) + c, (b << self.lift) + c) for a, b, c in zip(*ends, self.constants, strict=True)
        ]


def window_places(conv: Conv, output: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The channel, tap row and tap column that a weight of an output reads, its weights counted as they lie flat."""
    outputs, group_channels, tap_rows, tap_columns = conv.weight.shape
    inside, tap = np.divmod(weight, tap_rows * tap_columns)
    group = output // (outputs // conv.groups)
    return group * group_channels + inside, tap // tap_columns, tap % tap_columns


def sum_program(
    conv: Conv,
    x: TensorType,
    quantize: Quantize | None,
    *,
    lift: int = 0,
    constant_bits: int | None = None,
    gap_bits: int = 0,
) -> Program:
    """The program of a convolution, requantized by `quantize`, or with its exact accumulators as the output (None).

    lift, constant_bits -- for hardware that is there: shifts beyond the highest exponent; bits of an immediate
    gap_bits -- as in TermList
    """
    sums = ExactSums.of(conv, x, quantize)
    top = sums.highest + lift
    chunks, constant_bits = _immediates(sums.constants, top, conv, x, constant_bits or gap_bits)
    immediate_bits = max(x.qtype.bits, constant_bits)
    drop = max(0, sums.drop - top)
    return Program(
        **_in_order(conv, sums.terms, chunks, top),
        terms=len(sums.terms),
        accumulator=max(_accumulator(sums, chunks), immediate_bits, drop + 1),
        below=max(0, top - sums.drop),
        drop=drop,
        immediate_bits=immediate_bits,
        constant_bits=constant_bits,
        gap_bits=gap_bits,
    )


def dsp_accumulator(conv: Conv, x: TensorType, quantize: Quantize | None, finer: int = 0) -> int:
    """Bits of a DSP lane's accumulator: as many as the exact sums of any input need, their constants included.

    The layer can go to lanes that add if these are at most DSP_LANE_BITS. What comes before the end of a list may wrap: every
    step is a sum or a doubling modulo 2^bits.
    """
    sums = ExactSums.of(conv, x, quantize, finer)
    bits = signed_width(min(one.low for one in sums.ranges), max(one.high for one in sums.ranges))
    return max(bits, x.qtype.bits, sums.drop + 1)


def dsp_program(
    conv: Conv,
    x: TensorType,
    quantize: Quantize | None,
    *,
    finer: int = 0,
    constant_bits: int | None = None,
    gap_bits: int = 0,
) -> Program:
    """As sum_program, for the lanes of DSP slices: from the highest exponent to the lowest, SHIFT doubling the sum.

    finer -- for hardware that is there: as in ExactSums
    A negative term adds -x - 1 there: the ones of all negative terms are part of the constants. Raises DoesNotFit where
    dsp_accumulator is above DSP_LANE_BITS.
    """
    bits = dsp_accumulator(conv, x, quantize, finer)
    if bits > DSP_LANE_BITS:
        raise DoesNotFit(
            f"its sums have {bits} bits, a lane of a DSP slice holds {DSP_LANE_BITS}",
            conv.path,
            "give this layer lanes of lookup tables",
        )
    sums = ExactSums.of(conv, x, quantize, finer)
    ones = np.zeros(len(sums.constants), np.int64)
    np.add.at(ones, sums.terms.output, sums.terms.negative << sums.terms.exponent)
    half = 1 << (bits - 1)
    constants = [(constant + one + half) % (2 * half) - half for constant, one in zip(sums.constants, ones.tolist())]
    chunks, constant_bits = _immediates(constants, sums.highest, conv, x, constant_bits or gap_bits)
    return Program(
        **_in_order(conv, sums.terms, chunks, sums.highest, descending=True),
        terms=len(sums.terms),
        accumulator=max(bits, constant_bits),
        below=0,
        drop=sums.drop,
        immediate_bits=max(x.qtype.bits, constant_bits),
        constant_bits=constant_bits,
        gap_bits=gap_bits,
    )


def mac_obstacle(conv: Conv, x: TensorType, quantize: Quantize | None) -> str | None:
    """Why lanes that multiply cannot have a layer; None where they can."""
    bits = _mac_bits(conv, x, quantize)
    names = "weights", "sums", "activations"
    for name, has, most in zip(names, bits, (MAC_WEIGHT_BITS, MAC_SUM_BITS, MAC_ACTIVATION_BITS), strict=True):
        if has > most:
            return f"its {name} have {has} bits, a lane of a DSP slice that multiplies takes {most}"
    return None


def _mac_bits(conv: Conv, x: TensorType, quantize: Quantize | None, finer: int = 0) -> tuple[int, int, int]:
    """Bits of weights, at least the two of a command, of sums and of activations."""
    sums = ExactSums.of(conv, x, quantize, finer)
    weights = max(2, signed_width(int(sums.weights.min()), int(sums.weights.max())) + sums.lift)
    # a constant may be beyond the sums where no activation is zero
    whole = max(dsp_accumulator(conv, x, quantize, finer), signed_width(min(sums.constants), max(sums.constants)))
    return weights, whole, x.qtype.bits


def mac_lanes(program: Program, x: TensorType) -> int:
    """Lanes that multiply in a DSP slice: two where the sum of the lower one leaves the upper one's product room."""
    return 2 if program.accumulator <= min(24, 26 - x.qtype.bits) else 1


def mac_base(conv: Conv, x: TensorType, quantize: Quantize | None) -> int:
    """Where sums begin if their constants may change: no constant of as many bits is below it."""
    constants = ExactSums.of(conv, x, quantize).constants
    return -(1 << (signed_width(min(constants), max(constants)) - 1))


def mac_program(
    conv: Conv,
    x: TensorType,
    quantize: Quantize | None,
    *,
    finer: int = 0,
    base: int | None = None,
    gap_bits: int = 0,
) -> Program:
    """As sum_program, for lanes that multiply: an entry a weight, and an immediate for what a constant is above the base.

    finer -- for hardware that is there: as in ExactSums
    base -- of constants that may change (mac_base); None: the least of all
    Raises DoesNotFit for what mac_obstacle says and for a constant below the base.
    """
    obstacle = mac_obstacle(conv, x, quantize)
    if obstacle:
        raise DoesNotFit(obstacle, conv.path, "give this layer lanes of lookup tables")
    sums = ExactSums.of(conv, x, quantize, finer)
    weight_bits, bits, _ = _mac_bits(conv, x, quantize, finer)
    output, source = np.nonzero(sums.weights)
    nothing = np.zeros(len(output), np.int64)
    least, most = min(sums.constants), max(sums.constants)
    if base is None:
        base = least
    elif least < base:
        raise DoesNotFit(f"a constant of its sums is {least}, the least is {base}", conv.path, "use smaller biases")
    else:
        most = max(most, -base - 1)
    chunks = [[(0, constant - base)] if constant > base else [] for constant in sums.constants]
    entries = _in_order(conv, TermTable(output, source, nothing, nothing), chunks, 0)
    weight = np.zeros(len(entries["flags"]), np.int64)
    weight[entries["flags"] & IMMEDIATE == 0] = sums.weights[output, source] << sums.lift
    immediate_bits = max(1, (most - base).bit_length())
    return Program(
        **entries,
        terms=len(output),
        accumulator=bits,
        below=0,
        drop=sums.drop,
        immediate_bits=immediate_bits,
        constant_bits=half_payload(immediate_bits, weight_bits)
        if gap_bits
        else max(1, immediate_bits - (weight_bits - 1)),
        gap_bits=gap_bits,
        weight=weight,
        weight_bits=weight_bits,
        base=base,
    )


def max_program(channels: int, kernel: tuple[int, int], dilation: tuple[int, int], x: TensorType) -> Program:
    """The program of a max pool: every tap of each channel once."""
    taps = kernel[0] * kernel[1]
    tap = np.tile(np.arange(taps), channels)
    return Program(
        flags=np.where(tap == taps - 1, LAST, 0),
        channel=np.repeat(np.arange(channels), taps),
        tap_row=tap // kernel[1] * dilation[0],
        tap_column=tap % kernel[1] * dilation[1],
        immediate=np.zeros(len(tap), np.int64),
        lengths=np.full(channels, taps),
        terms=len(tap),
        accumulator=x.qtype.bits,
        below=0,
        drop=0,
        immediate_bits=x.qtype.bits,
        constant_bits=0,
    )


def _constants(conv: Conv, grid: int, shift: int, rounded: bool) -> list[int]:
    """Per output, bias plus the half of the rounding, in units of 2^grid; what lies below the grid can never reach a
    result."""
    result = []
    for bias in conv.bias:
        numerator, denominator = float(bias).as_integer_ratio()
        numerator, denominator = (numerator << -grid, denominator) if grid < 0 else (numerator, denominator << grid)
        # floor(bias + 2^(shift-1)), the half being 1/2 where shift is 0
        result.append(
            (2 * numerator + (denominator << shift)) // (2 * denominator) if rounded else numerator // denominator
        )
    return result


def _immediates(
    constants: list[int], top: int, conv: Conv, x: TensorType, most: int | None
) -> tuple[list[list[tuple[int, int]]], int]:
    """Each output's constant as (exponent, value) of its immediates, and the bits that hold every value.

    Below the top an immediate has as many bits as an activation, or as a place if that costs no lookup table; at the top as many
    as it takes. most -- bits of any of them
    """
    # above an unsigned activation an immediate's bits cost no lookup table: as many as the payload has anyway
    bits = max(2, x.qtype.bits, 0 if x.qtype.signed else PlaceBits.of(conv, x).all)
    chunks = [_chunks(constant, top, min(bits, most or bits), most) for constant in constants]
    used = [signed_width(value, value) for parts in chunks for _, value in parts]
    return chunks, max([2, *used])


def _in_order(conv: Conv, table: TermTable, chunks, top: int, descending: bool = False) -> dict[str, np.ndarray]:
    """The arrays of a TermList: the exponents of each output up to `top`, or down to 0.

    A level counts the shifts from the exponent where the order begins, 0 or `top`, so every order ends at level `top`.
    """
    outputs = len(chunks)
    rows = [(m, exponent, value) for m, parts in enumerate(chunks) for exponent, value in parts]
    immediate_output, immediate_exponent, immediate_value = np.array(rows, np.int64).reshape(-1, 3).T
    exponent = np.concatenate([table.exponent, immediate_exponent])
    output = np.concatenate([table.output, immediate_output])
    level = top - exponent if descending else exponent

    # the last level must be reached: outputs that end before it get an empty immediate there
    reached = np.full(outputs, -1)
    np.maximum.at(reached, output, level)
    ends = np.flatnonzero(reached < top)

    added = len(immediate_output) + len(ends)
    output = np.concatenate([output, ends])
    level = np.concatenate([level, np.full(len(ends), top)])
    source = np.concatenate([table.input, np.zeros(added, np.int64)])
    negative = np.concatenate([table.negative, np.zeros(added, np.int64)])
    is_immediate = np.concatenate([np.zeros(len(table), np.int64), np.ones(added, np.int64)])
    value = np.concatenate([np.zeros(len(table), np.int64), immediate_value, np.zeros(len(ends), np.int64)])
    order = np.lexsort((source, is_immediate, level, output))
    output, level, source, negative, is_immediate, value = (
        a[order] for a in (output, level, source, negative, is_immediate, value)
    )

    # a step to the next level is a flag; each further step is an entry of its own before this one
    first = np.diff(output, prepend=-1) != 0
    steps = np.where(first, 0, np.diff(level, prepend=0))
    fillers = np.maximum(steps - 1, 0)
    here = np.cumsum(fillers + 1) - 1
    size = int(here[-1]) + 1

    def spread(values: np.ndarray, filler: int = 0) -> np.ndarray:
        result = np.full(size, filler, np.int64)
        result[here] = values
        return result

    last = np.append(first[1:], True)
    flags = last * LAST + (steps > 0) * SHIFT + negative * NEGATE + is_immediate * IMMEDIATE
    channel, tap_row, tap_column = window_places(conv, output, source)
    is_term = is_immediate == 0
    return {
        "flags": spread(flags, SHIFT | IMMEDIATE),
        "channel": spread(np.where(is_term, channel, 0)),
        "tap_row": spread(np.where(is_term, tap_row * conv.dilation[0], 0)),
        "tap_column": spread(np.where(is_term, tap_column * conv.dilation[1], 0)),
        "immediate": spread(value),
        "lengths": np.bincount(output, weights=fillers + 1, minlength=outputs).astype(np.int64),
    }


def _chunks(constant: int, top: int, bits: int, most: int | None) -> list[tuple[int, int]]:
    """Splits a constant into (level, signed value) with levels up to `top`; a value below the top level has at most
    `bits` bits, one at the top at most `most`."""
    if constant == 0:
        return []
    level = min((constant & -constant).bit_length() - 1, top)
    value = constant >> level
    if level == top and most:
        largest = (1 << (most - 1)) - 1
        whole, rest = divmod(abs(value), largest)
        sign = 1 if value > 0 else -1
        return [(top, sign * part) for part in [largest] * whole + [rest] * (rest > 0)]
    if level == top or signed_width(value, value) <= bits:
        return [(level, value)]
    step = min(bits - 1, top - level)
    low = value & ((1 << step) - 1)
    rest = _chunks(constant - (low << level), top, bits, most)
    return ([(level, low)] if low else []) + rest


def _accumulator(sums: ExactSums, chunks) -> int:
    """Bits that hold floor(partial sum / 2^e) for every output after the terms of every exponent e, over the input's
    range. Between two shifts the sum may wrap.
    """
    immediate = {}
    for m, parts in enumerate(chunks):
        for level, value in parts:
            immediate.setdefault(level, []).append((m, value << level))
    table, base = sums.terms, sums.lift
    partial = np.zeros_like(sums.weights)
    constant = np.zeros(len(partial), np.int64)
    bits = 1
    for level in sorted({*np.unique(table.exponent).tolist(), *immediate}):
        chosen = table.exponent == level
        partial[table.output[chosen], table.input[chosen]] += (1 - 2 * table.negative[chosen]) << (level - base)
        for m, value in immediate.get(level, ()):
            constant[m] += value
        low, high = ((ends << base) + constant for ends in sum_ends(partial, sums.reads))
        bits = max(bits, signed_width(int(low.min()) >> level, int(high.max()) >> level))
    return bits
