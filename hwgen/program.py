"""A layer's term program: what its ROM holds, and how wide its accumulator must be.

Per output channel the terms are sorted from the lowest exponent to the highest, and the accumulator shifts right by one
where the exponent rises. So after the terms of exponent e it holds floor(partial sum / 2^e); the bits shifted out are
final. Requantization drops `shift` low bits of the exact sum: with the highest exponent E, max(0, shift - E) more bits
are dropped from the accumulator at the end, or max(0, E - shift) of the bits shifted out are kept below it.

An entry says where its activation is: at which place of the window, or, in long lists, how far behind that of the term before.
Between two shifts the order of terms is free, so the places go round: up from that of the term before, modulo their number.

The lanes of DSP slices cannot shift right, so their terms go from the highest exponent to the lowest, and the accumulator
doubles where the exponent drops: it ends as the exact sum, and `shift` low bits of it are dropped.

The lanes of DSP slices that multiply take a weight an entry, whatever its terms, and sum exactly too.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hwgen.errors import DoesNotFit
from hwgen.ir import TensorType
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType, ceil_log2, width
from hwgen.rom import Rom
from hwgen.terms import TermTable, term_table

LAST, SHIFT, NEGATE, IMMEDIATE = 8, 4, 2, 1
DSP_LANE_BITS = 24  # of an accumulator of rtl/pe_dsp.v
MAC_SUM_BITS, MAC_WEIGHT_BITS, MAC_ACTIVATION_BITS = 48, 18, 26  # of rtl/pe_mac.v with one lane in a slice
SHORT_LIST = 36 * 1024  # bits, of a block RAM: a list that fits needs no distances


@dataclass(frozen=True, eq=False)
class Rounds:
    """How groups walk the channels of a list in step: each round a channel each, as many entries as the longest has.

    channels  which channel comes at each place: place p is group p % groups of round p // groups; empty: their own order
    lengths   entries of each round
    places    of each channel
    groups
    """

    channels: tuple[int, ...]
    lengths: np.ndarray
    places: np.ndarray
    groups: int

    @staticmethod
    def of(lengths: np.ndarray, groups: int, sort: bool) -> "Rounds":
        """Rounds of channels that have `lengths` entries; sort -- channels of like length together, which is shortest."""
        order = np.argsort(-lengths, kind="stable") if sort and groups > 1 else np.arange(len(lengths))
        rounds = np.pad(lengths[order], (0, -len(lengths) % groups)).reshape(-1, groups).max(axis=1)
        own = bool((np.diff(order) > 0).all())
        return Rounds(() if own else tuple(order.tolist()), rounds, np.argsort(order), groups)

    @property
    def final(self) -> int:
        """Groups that have a channel in the last round."""
        return len(self.places) - (len(self.lengths) - 1) * self.groups

    @cached_property
    def cycles(self) -> int:
        """From a position's end to the next one's: a cycle an entry, and more where results wait to be sent.

        Finished sums wait in one register behind the words that are being sent, one a cycle (rtl/requantize.v).
        """
        sent = np.full(len(self.lengths), self.groups)
        sent[-1] = self.final
        if (self.lengths >= np.roll(sent, 1)).all():
            return int(self.lengths.sum())
        finished = moved = behind = 0
        ends, waiting = [0], []
        while len(waiting) < 2 or waiting[-1] != waiting[-2]:  # positions, until one is like the one before
            for length, words in zip(self.lengths.tolist(), sent.tolist(), strict=True):
                finished = max(finished + length, moved)
                moved = max(finished + 1, moved + behind)
                behind = words
            ends.append(finished)
            waiting.append(moved - finished)
        return ends[-1] - ends[-2]


@dataclass(frozen=True)
class PlaceBits:
    """Bits of the parts of a place in the window, which stand in this order."""

    tap_row: int
    tap_column: int
    channel: int

    @property
    def all(self) -> int:
        return self.tap_row + self.tap_column + self.channel


@dataclass(frozen=True, eq=False)
class Entries:
    """What the ROM holds of a list: arrays in issue order.

    command       2 shift, 1 negate; or a weight, for an immediate its bits above the payload in the place of a weight's above the lowest.
                  With `gaps` the lowest bit of an immediate's means to go on by 2^payload_bits times the payload
    immediate     0 or 1
    payload       a place or, with `gaps`, the distance from the term before; or an immediate
    command_bits, payload_bits  of each
    lengths       entries of each output channel
    """

    command: np.ndarray
    immediate: np.ndarray
    payload: np.ndarray
    command_bits: int
    payload_bits: int
    lengths: np.ndarray
    gaps: bool

    def rom(self, rounds: Rounds) -> Rom:
        """The words of rtl/term_sequencer.v."""
        bits = self.payload_bits
        fields = (self.command & ((1 << self.command_bits) - 1)) << 1 | self.immediate
        # what a group does while another's channel is longer: add nothing
        terms = np.full((int(rounds.lengths.sum()), rounds.groups), IMMEDIATE << bits)
        round_, group = np.divmod(rounds.places, rounds.groups)
        starts = np.cumsum(rounds.lengths) - rounds.lengths
        inside = np.arange(len(fields)) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        terms[np.repeat(starts[round_], self.lengths) + inside, np.repeat(group, self.lengths)] = (fields << bits) | (
            self.payload & ((1 << bits) - 1)
        )
        last = np.zeros(len(terms), np.int64)
        last[starts + rounds.lengths - 1] = 1
        return Rom.of_fields([(last, 1), *((column, self.command_bits + 1 + bits) for column in terms.T[::-1])])


@dataclass(frozen=True, eq=False)
class Program:
    """Entries in issue order, as parallel arrays, and the numbers of the datapath.

    flags       LAST | SHIFT | NEGATE | IMMEDIATE of each entry
    channel, tap_row, tap_column   the activation that it adds, in the window; zero for an immediate
    immediate   the signed number that it adds; zero for a term. With weights unsigned
    lengths     entries of each output channel
    terms       how many entries are terms of weights, or weights: the useful ones
    accumulator, below, drop, immediate_bits   widths W, F, DROP and IMMEDIATE_W of rtl/term_lanes.v
    constant_bits  of the payload that hold every immediate
    gap_bits    of a payload that is a distance; 0: it is a place
    weight, weight_bits  for lanes that multiply: by what, zero for an immediate, and its bits; else none, and 0
    base        for lanes that multiply: what each sum begins at
    """

    flags: np.ndarray
    channel: np.ndarray
    tap_row: np.ndarray
    tap_column: np.ndarray
    immediate: np.ndarray
    lengths: np.ndarray
    terms: int
    accumulator: int
    below: int
    drop: int
    immediate_bits: int
    constant_bits: int
    gap_bits: int = 0
    weight: np.ndarray | None = None
    weight_bits: int = 0
    base: int = 0

    @cached_property
    def shared(self) -> bool:
        """Whether every channel has the same entries and reads only the channel of its own number, as in a pool."""
        length, channels = int(self.lengths[0]), len(self.lengths)
        if channels == 1 or (self.lengths != length).any():
            return False
        own = (self.flags & IMMEDIATE > 0) | (self.channel == np.repeat(np.arange(channels), length))
        lists = np.stack([getattr(self, name) for name in self._arrays]).reshape(-1, channels, length)
        return bool(own.all() and (lists == lists[:, :1]).all())

    @cached_property
    def one_channel(self) -> "Program":
        """The list of the first channel, without its number."""
        length = int(self.lengths[0])
        cut = {name: getattr(self, name)[:length] for name in self._arrays}
        return replace(self, **cut, channel=np.zeros(length, np.int64), lengths=self.lengths[:1])

    @property
    def _arrays(self) -> tuple[str, ...]:
        """Of the entries, all but the channel."""
        return ("flags", "tap_row", "tap_column", "immediate", *(("weight",) if self.weight_bits else ()))

    @property
    def command_bits(self) -> int:
        return self.weight_bits or 2

    def payload_bits(self, place: PlaceBits) -> int:
        return max(1, self.gap_bits or place.all, self.constant_bits)

    def entry_bits(self, place: PlaceBits) -> int:
        return self.command_bits + 1 + self.payload_bits(place)

    def _commands(self, bits: int) -> np.ndarray:
        """Of each entry, for a payload of so many bits."""
        if not self.weight_bits:
            return self.flags >> 1 & 3
        return np.where(self.flags & IMMEDIATE, self.immediate >> bits << 1, self.weight)

    def entries(self, place: PlaceBits, places: np.ndarray, payload_bits: int | None = None) -> Entries:
        """What the ROM holds; places -- at which place of the input each channel comes; payload_bits -- of hardware that is
        there."""
        bits = payload_bits or self.payload_bits(place)
        where = self._where(place, places)
        if not self.gap_bits:
            payload = np.where(self.flags & IMMEDIATE, self.immediate, where)
            return Entries(
                self._commands(bits), self.flags & IMMEDIATE, payload, self.command_bits, bits, self.lengths, False
            )
        term, distance = self._distances(where, place)
        far = distance >> bits > 0
        here = np.cumsum(1 + far) - 1
        before = here[far] - 1
        size = len(term) + int(far.sum())
        command, immediate, payload = np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64)
        # a shift stays where it stands, or comes before with a distance that is far; a sign or a weight goes with its term
        shift = (self.flags >> 1 & 2) if not self.weight_bits else np.zeros(len(term), np.int64)
        command[here] = (self._commands(bits)[term] & ~shift[term]) | np.where(far, 0, shift)
        command[before] = shift[far] | 1
        immediate[here] = self.flags & IMMEDIATE
        immediate[before] = 1
        payload[here] = np.where(self.flags & IMMEDIATE, self.immediate, distance & ((1 << bits) - 1))
        payload[before] = distance[far] >> bits
        output = np.repeat(np.arange(len(self.lengths)), self.lengths)
        lengths = self.lengths + np.bincount(output[far], minlength=len(self.lengths))
        return Entries(command, immediate, payload, self.command_bits, bits, lengths, True)

    def best_gap_bits(self, place: PlaceBits) -> int:
        """Bits of a distance that make the list shortest in bits, with at most 2 % more entries; 0 where it is short or distances
        save less than a tenth."""
        count = len(self.flags)
        width = self.entry_bits(place)
        rest = width - self.payload_bits(place)
        if count * width <= SHORT_LIST:
            return 0
        _, distance = self._distances(self._where(place, np.arange(1 << place.channel)), place)
        best = 0, 0.9 * count * width
        # lanes that multiply have an immediate whole: the payload holds what the bits of a weight do not
        whole = self.weight_bits > 0
        for bits in range(max(2, -(-place.all // 2), self.constant_bits * whole), width - rest):
            immediates = np.abs(self.immediate[self.flags & IMMEDIATE > 0]) >> (bits - 1)
            more = np.count_nonzero(distance >> bits) + (0 if whole else int(immediates.sum()))
            if more <= 0.02 * count and (count + more) * (rest + bits) < best[1]:
                best = bits, (count + more) * (rest + bits)
        return best[0]

    def _where(self, place: PlaceBits, places: np.ndarray) -> np.ndarray:
        """The place that each term reads; 0 for an immediate."""
        where = (self.tap_row << (place.tap_column + place.channel)) | (self.tap_column << place.channel)
        return np.where(self.flags & IMMEDIATE, 0, where | places[self.channel])

    def _distances(self, where: np.ndarray, place: PlaceBits) -> tuple[np.ndarray, np.ndarray]:
        """Which term comes where one stands in the list, so that places go up between two shifts; and how far it lies behind the
        one before, or behind place 0 for a channel's first."""
        output = np.repeat(np.arange(len(self.lengths)), self.lengths)
        shifts = np.cumsum(self.flags & SHIFT > 0)
        level = shifts - shifts[np.cumsum(self.lengths) - self.lengths][output]
        term, distance = np.arange(len(where)), np.zeros(len(where), np.int64)
        stand = np.zeros(len(self.lengths), np.int64)  # the place of each channel's last term
        terms = np.flatnonzero(self.flags & IMMEDIATE == 0)
        terms = terms[np.argsort(level[terms], kind="stable")]
        for slots in np.split(terms, np.flatnonzero(np.diff(level[terms])) + 1):
            behind = (where[slots] - stand[output[slots]]) % (1 << place.all)
            order = np.lexsort((behind, output[slots]))
            behind, term[slots] = behind[order], slots[order]
            first = np.diff(output[slots], prepend=-1) != 0
            distance[slots] = np.where(first, behind, np.diff(behind, prepend=0))
            last = np.append(first[1:], True)
            stand[output[slots][last]] = where[term[slots][last]]
        return term, distance


def scaled_weights(conv: Conv, x: TensorType, quantize: Quantize | None) -> tuple[np.ndarray, int, list[int], int]:
    """A convolution's weights and constants on one grid: (weights [outputs, inputs], their lift, constant of each output, bits to drop).

    The grid is the coarsest that gives the result: input q counts the weights of an output, flattened, each times 2^lift on it; a
    constant is the bias with the half of the rounding. The result is (sum + constant) >> bits to drop.
    """
    if quantize is None:
        grid, shift = conv.out_exponent(x), 0
    else:
        grid = min(x.exponent + conv.exponents[0], quantize.exponent)
        shift = quantize.exponent - grid
    lift = x.exponent + conv.exponents[0] - grid
    return (
        conv.integers.reshape(len(conv.integers), -1),
        lift,
        _constants(conv, grid, shift, quantize is not None),
        shift,
    )


def scaled_terms(conv: Conv, x: TensorType, quantize: Quantize | None) -> tuple[TermTable, list[int], int]:
    """As scaled_weights, with the terms of the weights: (terms, constant of each output, bits to drop)."""
    weights, lift, constants, shift = scaled_weights(conv, x, quantize)
    table = term_table(weights)
    return replace(table, exponent=table.exponent + lift), constants, shift


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
    gap_bits -- as in Program
    """
    table, constants, shift = scaled_terms(conv, x, quantize)
    top = (int(table.exponent.max()) if len(table) else 0) + lift
    chunks, constant_bits = _immediates(constants, top, conv, x, constant_bits or gap_bits)
    immediate_bits = max(x.qtype.bits, constant_bits)
    below, drop = max(0, top - shift), max(0, shift - top)
    accumulator = _accumulator(table, table.exponent, chunks, conv.reads(x), len(constants), conv.integers[0].size)
    return Program(
        **_entries(conv, table, chunks, top),
        terms=len(table),
        accumulator=max(accumulator, immediate_bits, x.qtype.bits, drop + 1),
        below=below,
        drop=drop,
        immediate_bits=immediate_bits,
        constant_bits=constant_bits,
        gap_bits=gap_bits,
    )


def dsp_accumulator(conv: Conv, x: TensorType, quantize: Quantize | None) -> int:
    """Bits of a DSP lane's accumulator: as many as the exact sums of any input need, their constants included.

    The layer can go to lanes that add if these are at most DSP_LANE_BITS. What comes before the end of a list may wrap: every
    step is a sum or a doubling modulo 2^bits. The ends are reached as in _accumulator.
    """
    weights, lift, constants, shift = scaled_weights(conv, x, quantize)
    weights, read = weights << lift, conv.reads(x)
    positive, negative = np.maximum(weights, 0).sum(axis=1).tolist(), np.minimum(weights, 0).sum(axis=1).tolist()
    low = min(p * read.low + n * read.high + c for p, n, c in zip(positive, negative, constants, strict=True))
    high = max(p * read.high + n * read.low + c for p, n, c in zip(positive, negative, constants, strict=True))
    return max(width(min(low, 0), max(high, 0)) + (low >= 0 and high > 0), x.qtype.bits, shift + 1)


def dsp_program(
    conv: Conv, x: TensorType, quantize: Quantize | None, *, constant_bits: int | None = None, gap_bits: int = 0
) -> Program:
    """As sum_program, for the lanes of DSP slices: from the highest exponent to the lowest, SHIFT doubling the sum.

    A negative term adds -x - 1 there: the ones of all negative terms are part of the constants. Raises DoesNotFit where
    dsp_accumulator is above DSP_LANE_BITS.
    """
    bits = dsp_accumulator(conv, x, quantize)
    if bits > DSP_LANE_BITS:
        raise DoesNotFit(
            f"its sums have {bits} bits, a lane of a DSP slice holds {DSP_LANE_BITS}",
            conv.path,
            "give this layer lanes of lookup tables",
        )
    table, constants, shift = scaled_terms(conv, x, quantize)
    ones = np.zeros(len(constants), np.int64)
    np.add.at(ones, table.output, table.negative << table.exponent)
    half = 1 << (bits - 1)
    constants = [(constant + one + half) % (2 * half) - half for constant, one in zip(constants, ones.tolist())]
    top = int(table.exponent.max()) if len(table) else 0
    chunks, constant_bits = _immediates(constants, top, conv, x, constant_bits or gap_bits)
    return Program(
        **_entries(conv, table, chunks, top, descending=True),
        terms=len(table),
        accumulator=max(bits, constant_bits),
        below=0,
        drop=shift,
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


def _mac_bits(conv: Conv, x: TensorType, quantize: Quantize | None) -> tuple[int, int, int]:
    """Bits of weights, at least the two of a command, of sums and of activations."""
    weights, lift, constants, _ = scaled_weights(conv, x, quantize)
    # a constant may be beyond the sums where no activation is zero
    sums = max(dsp_accumulator(conv, x, quantize), width(min(*constants, -1), max(*constants, 0)))
    return max(2, width(min(int(weights.min()), -1), int(weights.max())) + lift), sums, x.qtype.bits


def mac_lanes(program: Program, x: TensorType) -> int:
    """Lanes that multiply in a DSP slice: two where the sum of the lower one leaves the upper one's product room."""
    return 2 if program.accumulator <= min(24, 26 - x.qtype.bits) else 1


def mac_program(conv: Conv, x: TensorType, quantize: Quantize | None, *, gap_bits: int = 0) -> Program:
    """As sum_program, for lanes that multiply: an entry a weight, and an immediate for what a constant is above the least of all.

    Raises DoesNotFit for what mac_obstacle says.
    """
    obstacle = mac_obstacle(conv, x, quantize)
    if obstacle:
        raise DoesNotFit(obstacle, conv.path, "give this layer lanes of lookup tables")
    weights, lift, constants, shift = scaled_weights(conv, x, quantize)
    weight_bits, bits, _ = _mac_bits(conv, x, quantize)
    output, source = np.nonzero(weights)
    nothing = np.zeros(len(output), np.int64)
    base = min(constants)
    chunks = [[(0, constant - base)] if constant > base else [] for constant in constants]
    entries = _entries(conv, TermTable(output, source, nothing, nothing), chunks, 0)
    weight = np.zeros(len(entries["flags"]), np.int64)
    weight[entries["flags"] & IMMEDIATE == 0] = weights[output, source] << lift
    immediate_bits = max(1, (max(constants) - base).bit_length())
    return Program(
        **entries,
        terms=len(output),
        accumulator=bits,
        below=0,
        drop=shift,
        immediate_bits=immediate_bits,
        constant_bits=max(1, immediate_bits - (weight_bits - 1)),
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
    _, _, tap_rows, tap_columns = conv.weight.shape
    # above an unsigned activation an immediate's bits cost no lookup table: as many as the payload has anyway
    fields = sum(
        ceil_log2(n)
        for n in (conv.dilation[0] * (tap_rows - 1) + 1, conv.dilation[1] * (tap_columns - 1) + 1, x.shape[0])
    )
    bits = max(2, x.qtype.bits, 0 if x.qtype.signed else fields)
    chunks = [_chunks(constant, top, min(bits, most or bits), most) for constant in constants]
    used = [width(min(value, 0), value) + (value > 0) for parts in chunks for _, value in parts]
    return chunks, max([2, *used])


def _entries(conv: Conv, table: TermTable, chunks, top: int, descending: bool = False) -> dict[str, np.ndarray]:
    """A program's entries in issue order, by field: the exponents of each output up to `top`, or down to 0.

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
    if level == top or width(min(value, 0), value) + (value > 0) <= bits:
        return [(level, value)]
    step = min(bits - 1, top - level)
    low = value & ((1 << step) - 1)
    rest = _chunks(constant - (low << level), top, bits, most)
    return ([(level, low)] if low else []) + rest


def _accumulator(table, exponents, chunks, x: QType, outputs: int, inputs: int) -> int:
    """Bits that hold floor(partial sum / 2^e) for every output after the terms of every exponent e, over the input's
    range.

    Between two shifts the sum may wrap; the ends are reached by the input that is x.high where the partial weight is
    positive and x.low elsewhere, or the reverse (Ponzina, Rios et al., TECS 2023, applied to each level).
    """
    immediate = {}
    for m, parts in enumerate(chunks):
        for level, value in parts:
            immediate.setdefault(level, []).append((m, value << level))
    base = int(exponents.min()) if len(table) else 0
    partial = np.zeros((outputs, inputs), np.int64)
    constant = np.zeros(outputs, np.int64)
    bits = 1
    for level in sorted({*np.unique(exponents).tolist(), *immediate}):
        chosen = exponents == level
        partial[table.output[chosen], table.input[chosen]] += (1 - 2 * table.negative[chosen]) << (level - base)
        for m, value in immediate.get(level, ()):
            constant[m] += value
        positive, negative = np.maximum(partial, 0).sum(axis=1), np.minimum(partial, 0).sum(axis=1)
        low = ((positive * x.low + negative * x.high) << base) + constant
        high = ((positive * x.high + negative * x.low) << base) + constant
        bits = max(
            bits,
            width(int(min(low.min(), 0)) >> level, int(max(high.max(), 0)) >> level) + int(low.min() >= 0),
        )
    return bits
