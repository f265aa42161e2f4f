"""What a bit of a layer's list says, and the layer that a list with a flipped bit computes, where it is one."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from hwgen.faults.sites import Site
from hwgen.ir import Graph
from hwgen.lanes.unit import TermLanes
from hwgen.ops.conv import Conv, sum_ends
from hwgen.ops.quantize import clamp_ends
from hwgen.qtype import QType, signed_width
from hwgen.sums import exact_sums

SHIFT, NEGATE = 2, 1


class ListBits:
    """The memory of the list of a unit of lanes; site -- that memory, whose words are rows of the list's banks."""

    def __init__(self, unit: TermLanes, site: Site, graph: Graph):
        self.unit, self.graph = unit, graph
        self.rows = max(1, site.depth)
        self.width = site.width // -(-unit.depth // self.rows)
        self.payload, self.command = unit.entries.payload_bits, unit.program.command_bits
        self.term = self.payload + 1 + self.command

    def _at(self, word: int, bit: int) -> tuple[int, int]:
        """The word of the list, and the bit in it."""
        bank, bit = divmod(bit, self.width)
        return bank * self.rows + word, bit

    def field(self, word: int, bit: int) -> str:
        """What the bit says."""
        word, bit = self._at(word, bit)
        rom = self.unit.rom
        if word >= rom.depth:
            return "behind the list"
        if bit >= rom.width:
            return "check bits"
        if bit == rom.width - 1:
            return "last"
        group, bit = divmod(bit, self.term)
        if bit == self.payload:
            return "immediate"
        if bit > self.payload:
            return ("negate", "shift")[bit - self.payload - 1] if self.command == 2 else "weight"
        if rom.bits[word, rom.width - 1 - (group * self.term + self.payload)]:
            return "constant"
        return "distance" if self.unit.entries.gaps else "place"

    @cached_property
    def _is_plain(self) -> bool:
        """Whether the unit adds terms and immediates of a convolution of the graph itself."""
        unit = self.unit
        node = next((node for node in self.graph.nodes if node.name == unit.name), None)
        plain = node is not None and isinstance(node.op, Conv) and node.op is unit.stage.op is unit.given.op
        known = not (unit.shared or unit.stage.modes or unit.memory.written or unit.scaler is not None)
        return plain and known and unit.fold.kind == "lut"

    def flipped(self, word: int, bit: int) -> Graph | None:
        """The graph that the network computes with that bit flipped; None where it is no such graph, or where the
        hardware is too narrow to tell: then it is wrong in its own way."""
        word, bit = self._at(word, bit)
        if not self._is_plain or word >= self.unit.rom.depth or bit >= self.unit.rom.width - 1:
            return None
        rounds = self.unit.rounds
        starts = np.cumsum(rounds.lengths) - rounds.lengths
        round_ = int(np.searchsorted(starts, word, side="right")) - 1
        group, bit = divmod(bit, self.term)
        place = round_ * rounds.groups + group
        channel = next((m for m, at in enumerate(rounds.places) if at == place), None)
        inside = word - int(starts[round_])
        if channel is None or inside >= self.unit.entries.lengths[channel]:
            return None
        before, after = self._read(channel), self._read(channel, inside, bit)
        if before is None or after is None or not self._is_layer(channel, before):
            return None
        return self._graph(channel, before, after)

    def _is_layer(self, channel: int, sum_: "_Sum") -> bool:
        """Whether an output's entries as they are add up to its weights and constant: else they are read in a way that
        this file knows nothing of."""
        sums = exact_sums(self.unit.stage)
        weights = sums.weights[channel]
        same = (sum_.weights(len(weights)) == weights << sums.lift).all()
        return bool(same) and sum_.total() == sums.constants[channel]

    def _read(self, channel: int, inside: int = -1, bit: int = 0) -> "_Sum | None":
        """What a channel's entries add up to, one of them with a bit flipped; None where they are no such sum."""
        entries, unit = self.unit.entries, self.unit
        first = int(entries.lengths[:channel].sum())
        fields = unit.place_bits
        level = place = 0
        sum_ = _Sum()
        for i in range(int(entries.lengths[channel])):
            command, is_immediate, payload = (
                int(values[first + i]) for values in (entries.command, entries.immediate, entries.payload)
            )
            code = (
                (command & 3) << (self.payload + 1) | is_immediate << self.payload | payload & (1 << self.payload) - 1
            )
            code ^= (i == inside) << bit
            command, is_immediate = code >> (self.payload + 1), code >> self.payload & 1
            payload = code & ((1 << self.payload) - 1)
            level += command & SHIFT > 0
            if is_immediate and entries.gaps and command & NEGATE:
                place += payload << self.payload
                continue
            sign = -1 if command & NEGATE else 1
            if is_immediate:
                sum_.constant(level, sign * self._signed(payload))
                continue
            place = (place if entries.gaps else 0) + payload & (1 << fields.all) - 1
            weight = self._weight(channel, place)
            if weight is None:
                return None
            sum_.term(level, weight, sign)
        # a list ends at the highest level, wherever it begins
        sum_.shifts, sum_.first = level, exact_sums(unit.stage).highest - level
        return sum_

    def _signed(self, payload: int) -> int:
        bits = min(self.payload, self.unit.program.immediate_bits)
        payload &= (1 << bits) - 1
        return payload - (1 << bits) if payload >> (bits - 1) else payload

    def _weight(self, channel: int, place: int) -> int | None:
        """The number of the weight of an output that reads a place of its window; None where no weight does."""
        conv, bits = self.unit.stage.op, self.unit.place_bits
        assert isinstance(conv, Conv)
        outputs, inside, rows, columns = conv.weight.shape
        row, column = place >> (bits.tap_column + bits.channel), place >> bits.channel & (1 << bits.tap_column) - 1
        source = int(self._channels.get(place & (1 << bits.channel) - 1, -1))
        row, rest_row = divmod(row, conv.dilation[0])
        column, rest_column = divmod(column, conv.dilation[1])
        source -= channel // (outputs // conv.groups) * inside
        if rest_row or rest_column or row >= rows or column >= columns or not 0 <= source < inside:
            return None
        return (source * rows + row) * columns + column

    @cached_property
    def _channels(self) -> dict[int, int]:
        """Which input channel comes at each place."""
        return {int(place): channel for channel, place in enumerate(self.unit.order.places)}

    def _graph(self, channel: int, before: "_Sum", after: "_Sum") -> Graph | None:
        unit, stage = self.unit, self.unit.stage
        conv = stage.op
        assert isinstance(conv, Conv)
        size = conv.weight[0].size
        if after.shifts != before.shifts or after.bits(size, exact_sums(stage).reads) > unit.program.accumulator:
            return None
        # what is added on the grid of the sums
        grid = conv.out_exponent(stage.x) if stage.rounds is None else stage.rounds.exponent - exact_sums(stage).drop
        weight, bias = conv.weight.copy(), conv.bias.copy()
        change = (after.weights(size) - before.weights(size)).reshape(conv.weight.shape[1:])
        weight[channel] += np.ldexp(change.astype(np.float64), grid - stage.x.exponent)
        bias[channel] += np.ldexp(float(after.total() - before.total()), grid)
        op = replace(conv, weight=weight, bias=bias)
        new = replace(stage, op=op)
        if not self._fits(new):
            return None
        nodes = (replace(node, op=op) if node.name == unit.name else node for node in self.graph.nodes)
        return replace(self.graph, nodes=tuple(nodes))

    def _fits(self, new) -> bool:
        """Whether the results of other weights are on the same grid, in the range that all behind is made for, and
        clamped where they are in the build."""
        stage = self.unit.stage
        quantize = stage.rounds
        acc, old = new.op.infer(stage.x), stage.op.infer(stage.x)
        kind, was = (acc, old) if quantize is None else (quantize.infer(acc), quantize.infer(old))
        if acc.exponent != old.exponent or kind.exponent != was.exponent:
            return False
        if kind.qtype.low < was.qtype.low or kind.qtype.high > was.qtype.high:
            return False
        ends, have = clamp_ends(new.unclamped, quantize), self.unit.ends
        return ends["LOW"] <= have["LOW"] and ends["HIGH"] >= have["HIGH"]


class _Sum:
    """What an output adds: terms and immediates, each with the shifts before it, from the level `first` on."""

    def __init__(self):
        self.terms: list[tuple[int, int, int]] = []
        self.constants: list[tuple[int, int]] = []
        self.first = self.shifts = 0

    def term(self, shifts: int, weight: int, sign: int) -> None:
        self.terms.append((shifts, weight, sign))

    def constant(self, shifts: int, value: int) -> None:
        self.constants.append((shifts, value))

    def total(self, until: int | None = None) -> int:
        """The constant, of all levels or those up to so many shifts."""
        return sum(
            value << (self.first + shifts) for shifts, value in self.constants if until is None or shifts <= until
        )

    def weights(self, size: int, until: int | None = None) -> np.ndarray:
        """int64 [size], of all levels or those up to so many shifts."""
        found = np.zeros(size, np.int64)
        for shifts, weight, sign in self.terms:
            if until is None or shifts <= until:
                found[weight] += sign << (self.first + shifts)
        return found

    def bits(self, size: int, reads: QType) -> int:
        """Of the accumulator after the terms of each level, over the input's range."""
        bits = 1
        for shifts in {shifts for shifts, *_ in (*self.terms, *self.constants)}:
            low, high = sum_ends(self.weights(size, shifts)[None], reads)
            constant, level = self.total(shifts), self.first + shifts
            bits = max(bits, signed_width(int(low[0]) + constant >> level, int(high[0]) + constant >> level))
        return bits
