"""A layer's list: what its entries say, how they are coded, and the words of the ROM.

An entry says where its activation is: at which place of the window, or, in long lists, how far behind that of the term
before. Between two shifts the order of terms is free, so the places go round: up from that of the term before, modulo
their number.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hwgen.ir import TensorType, Window
from hwgen.qtype import ceil_log2
from hwgen.rom import Rom

LAST, SHIFT, NEGATE, IMMEDIATE = 8, 4, 2, 1
SHORT_LIST = 36 * 1024  # bits, of a block RAM: a list that fits needs no distances


@dataclass(frozen=True, eq=False)
class Rounds:
    """How groups walk the channels of a list in step: each round a channel each, as many entries as the longest has.

    channels  which channel comes at each place: place p is group p % groups of round p // groups; empty: their own
              order
    lengths   entries of each round
    places    of each channel
    groups
    word_cycles  that a group's results take before they are sent (rtl/rescale.v); 0: none (rtl/requantize.v)
    late      cycles, 0 or 1, from finished sums to their low bits
    modes     lists one behind the other, each with `places` and `lengths` of its own
    pressed   whether it is EAGER for the sake of another mode
    """

    channels: tuple[int, ...]
    lengths: np.ndarray
    places: np.ndarray
    groups: int
    word_cycles: int = 0
    late: int = 0
    modes: int = 1
    pressed: bool = False

    @staticmethod
    def of(lengths: np.ndarray, groups: int, sort: bool, modes: int = 1) -> "Rounds":
        """Rounds of channels that have `lengths` entries, those of each mode one after the other; sort -- channels of
        like length together, which is shortest: one order for all modes, by what a channel has in all of them."""
        lengths = lengths.reshape(modes, -1)
        whole = lengths.sum(axis=0)
        order = np.argsort(-whole, kind="stable") if sort and groups > 1 else np.arange(len(whole))
        padded = np.pad(lengths[:, order], ((0, 0), (0, -len(whole) % groups)))
        rounds = padded.reshape(modes, -1, groups).max(axis=2)
        own = bool((np.diff(order) > 0).all())
        places = np.argsort(order) + np.arange(modes)[:, None] * rounds.shape[1] * groups
        return Rounds(() if own else tuple(order.tolist()), rounds.ravel(), places.ravel(), groups, modes=modes)

    def repeated(self, times: int) -> "Rounds":
        """Those of a list that is walked so many times for outputs of as many times more channels; all groups have one
        in the last round."""
        if times == 1:
            return self
        count = len(self.places)
        assert count % self.groups == 0, "a group has no channel in the last round"
        first = count * np.arange(times)[:, None]
        channels = (first + np.array(self.channels)).ravel().tolist() if self.channels else ()
        lengths = np.tile(self.lengths, times)
        return replace(self, channels=tuple(channels), lengths=lengths, places=(first + self.places).ravel())

    def in_mode(self, mode: int) -> "Rounds":
        """Those of one mode."""
        if self.modes == 1:
            return self
        return replace(self._alone(mode), pressed=self.eager)

    def _alone(self, mode: int) -> "Rounds":
        """As if there were no other mode."""
        lengths, places = self.lengths.reshape(self.modes, -1)[mode], self.places.reshape(self.modes, -1)[0]
        return replace(self, lengths=lengths, places=places, modes=1)

    @property
    def final(self) -> int:
        """Groups that have a channel in the last round."""
        return (len(self.places) - (len(self.lengths) - self.modes) * self.groups) // self.modes

    @property
    def short(self) -> int:
        """Rounds that take no more entries than groups have words."""
        return int((self.lengths <= self.groups).sum())

    @property
    def eager(self) -> bool:
        """Whether a clock lost at each short round would be more than one in a hundred: EAGER of rtl/requantize.v."""
        if self.modes > 1:
            return any(self._alone(mode).eager for mode in range(self.modes))
        return self.pressed or 100 * self.short > self.lengths.sum()

    @cached_property
    def cycles(self) -> int:
        """From a position's end to the next one's: a cycle an entry, and more where results wait to be sent; in the
        slowest mode."""
        if self.modes > 1:
            return max(self.in_mode(mode).cycles for mode in range(self.modes))
        return self._walked + (0 if self.word_cycles or self.eager else self.short)

    @property
    def _walked(self) -> int:
        """With nothing lost at a short round.

        Finished sums wait in one register behind the words that are being sent, one a cycle (rtl/requantize.v), or
        until the last of them is worked on (rtl/rescale.v).
        """
        sent = np.full(len(self.lengths), self.groups)
        sent[-1] = self.final
        if self.word_cycles:
            return int(np.maximum(self.lengths, np.roll(sent, 1) * self.word_cycles + self.late).sum())
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

    @staticmethod
    def of(window: Window, x: TensorType) -> "PlaceBits":
        """Those that tell the activations of a window of `x` apart."""
        return PlaceBits(*(ceil_log2(n) for n in (*window.reach, x.shape[0])))

    @property
    def all(self) -> int:
        return self.tap_row + self.tap_column + self.channel


@dataclass(frozen=True, eq=False)
class Entries:
    """What the ROM holds of a list: arrays in issue order.

    command       2 shift, 1 negate; or a weight, for an immediate its bits above the payload in the place of a weight's
                  above the lowest or, of half an immediate, above the lowest two, 2 being the upper half.
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


def half_payload(immediate_bits: int, weight_bits: int) -> int:
    """Bits of a payload that, with what an entry has for a weight, hold half an immediate."""
    return max(1, -(-immediate_bits // 2) - (weight_bits - 2))


@dataclass(frozen=True, eq=False, kw_only=True)
class TermList:
    """Entries in issue order, as parallel arrays, before they are coded.

    flags       LAST | SHIFT | NEGATE | IMMEDIATE of each entry
    channel, tap_row, tap_column   the activation that it adds, in the window; zero for an immediate
    immediate   the signed number that it adds; zero for a term. With weights unsigned
    lengths     entries of each output channel
    immediate_bits  that hold every immediate
    constant_bits  of the payload that hold every immediate, or each half of it
    gap_bits    of a payload that is a distance; 0: it is a place
    weight, weight_bits  for lanes that multiply: by what, zero for an immediate, and its bits; else none, and 0
    """

    flags: np.ndarray
    channel: np.ndarray
    tap_row: np.ndarray
    tap_column: np.ndarray
    immediate: np.ndarray
    lengths: np.ndarray
    immediate_bits: int
    constant_bits: int
    gap_bits: int = 0
    weight: np.ndarray | None = None
    weight_bits: int = 0

    @cached_property
    def shared(self) -> bool:
        """Whether every channel has the same entries and reads only the channel of its own number, as in a pool."""
        length, channels = int(self.lengths[0]), len(self.lengths)
        if channels == 1 or (self.lengths != length).any():
            return False
        own = (self.flags & IMMEDIATE > 0) | (self.channel == self._output)
        lists = np.stack([getattr(self, name) for name in self._arrays]).reshape(-1, channels, length)
        return bool(own.all() and (lists == lists[:, :1]).all())

    @cached_property
    def one_channel(self) -> "TermList":
        """The list of the first channel, without its number."""
        length = int(self.lengths[0])
        cut = {name: getattr(self, name)[:length] for name in self._arrays}
        return replace(self, **cut, channel=np.zeros(length, np.int64), lengths=self.lengths[:1])

    @property
    def _output(self) -> np.ndarray:
        """The number of each entry's channel."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

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

    def _half_bits(self, bits: int) -> int:
        """Bits of half an immediate, for a payload of so many bits; 0 where immediates are whole."""
        whole = not self.weight_bits or self.immediate_bits <= bits + self.weight_bits - 1
        return 0 if whole else bits + self.weight_bits - 2

    def _coded(self, bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For a payload of so many bits: the command of each entry, and of its immediate, 0 for a term, what the
        payload holds, and the upper half that takes an entry before."""
        none = np.zeros(len(self.flags), np.int64)
        if self.weight is None:
            return self.flags >> 1 & 3, self.immediate, none
        half_bits = self._half_bits(bits)
        if not half_bits:
            return np.where(self.flags & IMMEDIATE, self.immediate >> bits << 1, self.weight), self.immediate, none
        low = self.immediate & ((1 << half_bits) - 1)
        return np.where(self.flags & IMMEDIATE, low >> bits << 2, self.weight), low, self.immediate >> half_bits

    def entries(self, place: PlaceBits, places: np.ndarray, payload_bits: int | None = None) -> Entries:
        """What the ROM holds; places -- at which place of the input each channel comes; payload_bits -- of hardware
        that is there."""
        bits = payload_bits or self.payload_bits(place)
        where = self._where(place, places)
        coded, value, upper = self._coded(bits)
        if not self.gap_bits:
            payload = np.where(self.flags & IMMEDIATE, value, where)
            return Entries(coded, self.flags & IMMEDIATE, payload, self.command_bits, bits, self.lengths, False)
        term, distance = self._distances(where, place)
        far = (distance >> bits > 0) | (upper > 0)
        here = np.cumsum(1 + far) - 1
        before = here[far] - 1
        size = len(term) + int(far.sum())
        command, immediate, payload = np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64)
        # a shift stays where it stands, or comes before with a distance that is far; a sign or a weight goes with its
        # term; the upper half of an immediate comes before the lower
        shift = (self.flags >> 1 & 2) if not self.weight_bits else np.zeros(len(term), np.int64)
        command[here] = (coded[term] & ~shift[term]) | np.where(far, 0, shift)
        command[before] = np.where(upper[far] > 0, upper[far] >> bits << 2 | 2, shift[far] | 1)
        immediate[here] = self.flags & IMMEDIATE
        immediate[before] = 1
        payload[here] = np.where(self.flags & IMMEDIATE, value, distance & ((1 << bits) - 1))
        payload[before] = np.where(upper[far] > 0, upper[far], distance[far] >> bits)
        lengths = self.lengths + np.bincount(self._output[far], minlength=len(self.lengths))
        return Entries(command, immediate, payload, self.command_bits, bits, lengths, True)

    def best_gap_bits(self, place: PlaceBits) -> int:
        """Bits of a distance that make the list shortest in bits, with at most 2 % more entries; 0 where it is short or
        distances save less than a tenth."""
        count = len(self.flags)
        width = self.entry_bits(place)
        rest = width - self.payload_bits(place)
        if count * width <= SHORT_LIST:
            return 0
        _, distance = self._distances(self._where(place, np.arange(1 << place.channel)), place)
        best = 0, 0.9 * count * width
        # lanes that multiply have an immediate in two halves at most
        least = half_payload(self.immediate_bits, self.weight_bits) if self.weight_bits else 2
        for bits in range(max(2, -(-place.all // 2), least), width - rest):
            immediates = np.abs(self.immediate[self.flags & IMMEDIATE > 0]) >> (bits - 1)
            parts = np.count_nonzero(self._coded(bits)[2]) if self.weight_bits else int(immediates.sum())
            more = np.count_nonzero(distance >> bits) + parts
            if more <= 0.02 * count and (count + more) * (rest + bits) < best[1]:
                best = bits, (count + more) * (rest + bits)
        return best[0]

    def _where(self, place: PlaceBits, places: np.ndarray) -> np.ndarray:
        """The place that each term reads; 0 for an immediate."""
        where = (self.tap_row << (place.tap_column + place.channel)) | (self.tap_column << place.channel)
        return np.where(self.flags & IMMEDIATE, 0, where | places[self.channel])

    def _distances(self, where: np.ndarray, place: PlaceBits) -> tuple[np.ndarray, np.ndarray]:
        """Which term comes where one stands in the list, so that places go up between two shifts; and how far it lies
        behind the one before, or behind place 0 for a channel's first."""
        output = self._output
        shifts = np.cumsum(self.flags & SHIFT > 0)
        level = shifts - shifts[np.cumsum(self.lengths) - self.lengths][output]
        term, distance = np.arange(len(where)), np.zeros(len(where), np.int64)
        stand = np.zeros(len(self.lengths), np.int64)  # the place of each channel's last term
        terms = np.flatnonzero(self.flags & IMMEDIATE == 0)
        terms = terms[np.argsort(level[terms], kind="stable")]
        for slots in np.split(terms, np.flatnonzero(np.diff(level[terms])) + 1):
            behind = (where[slots] - stand[output[slots]]) % (1 << place.all)
            order = np.argsort((output[slots] << place.all) | behind, kind="stable")
            behind, term[slots] = behind[order], slots[order]
            first = np.diff(output[slots], prepend=-1) != 0
            distance[slots] = np.where(first, behind, np.diff(behind, prepend=0))
            last = np.append(first[1:], True)
            stand[output[slots][last]] = where[term[slots][last]]
        return term, distance
