"""rtl/term_lanes.v: a layer, GROUPS output channels of LANES pixels at a time, one term a cycle for each channel."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd

import numpy as np

from hwgen.entries import Entries, Rounds
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.quantize import UNBOUNDED, clamp_ends
from hwgen.program import Program, mac_lanes
from hwgen.qtype import ceil_log2
from hwgen.rom import Rom
from hwgen.stream import Order
from hwgen.units.layer import Layer
from hwgen.units.unit import LUTRAM_DEPTH, Unit, block_memory, lut_rams, multiplexer, signed64

KINDS = {"lut": "", "dsp": "DSP ", "mac": "MAC "}  # of lanes, as Layer.kinds has them, and what reports call them
MOST_LEGS = 7  # with the immediate: a LUT6 a bit for up to 3, about three for up to 7
BRAM_DEPTH = 512
URAM_DEPTH, URAM_BITS = 4096, 72
# cycles from an output row's last term to a beat in the slots that it frees, with those from a row to its term
HANDOVER = 2
# registers from the counters of rtl/term_sequencer.v to a result, by the kind of lanes
STAGES = {"lut": 6, "dsp": 7, "mac": 8}

# LUTs for each count of TermLanes.features: the least relative error on random units and on those of networks
# (python -m benchmarks.fit_lanes)
FACTORS = {
    "exact": 1.0,
    "unit": 20.13,
    "counters": 0.84,
    "position table": 2.58,
    "group": 9.68,
    "group, column of the window": 1.95,
    "group, row of the window": 4.71,
    "slot that may hold padding": 3.11,
    "group, gaps": 2.05,
    "group, lanes that multiply": 6.66,
    "lane, maximum": 1.7,
    "list of LUTs": 2.8,
    "loader": 5.2,
}


def lane_luts(x_bits: int, accumulator: int, legs: int) -> int:
    """LUTs of a lane in lookup tables, before its clamp: the choice of one of `legs` stripes or an immediate, and the accumulator."""
    return x_bits * multiplexer(legs + 1) + accumulator


def clamp_luts(bits: int, sent: int, low: int, high: int) -> int:
    """LUTs of rtl/clamp.v from `bits` to `sent`; `above` or `below` looks at the bits of a sum above the end's own and the sign."""
    luts = 0
    if high < UNBOUNDED - 1:
        luts += -(-max(0, bits - 1 - high.bit_length()) // 5)
    if -UNBOUNDED < low < 0:
        luts += -(-max(0, bits - 1 - (~low).bit_length()) // 5)
    primitives = low == 0 and high == (1 << sent) - 1 and bits > sent
    return luts + (-(-sent // 2) if primitives else 0)


@dataclass(frozen=True)
class Windows:
    """How the input's columns are cut into stripes so that each lane finds its window in a few of them.

    stripe     columns of a stripe; `last_stripe` of the last one lie in the row
    lane_step  stripes from a lane's own to the next lane's
    phases     beats that fill a place of all stripes, where a beat brings several pixels of a row
    """

    stripe: int
    stripes: int
    last_stripe: int
    lane_step: int
    phases: int
    first_leg: int
    legs: int

    @staticmethod
    def of(layer: Layer, lanes: int, order: Order) -> "Windows":
        columns, step = layer.x.shape[2], layer.op.stride[1]
        out_stripe = -(-layer.y.shape[2] // lanes)
        stripe = out_stripe * step if lanes > 1 else max(columns, out_stripe * step)
        if order.side > 1:
            stripe = gcd(order.stripe, out_stripe * step) if lanes > 1 else order.stripe
        stripes = -(-columns // stripe)
        left, reach = layer.padding[1], layer.reach[1]
        first = -left // stripe
        last = ((out_stripe - 1) * step + reach - 1 - left) // stripe
        return Windows(
            stripe,
            stripes,
            columns - (stripes - 1) * stripe,
            out_stripe * step // stripe if lanes > 1 else 1,
            stripes if order.side == 1 else order.stripe // stripe,
            first,
            last - first + 1,
        )


@dataclass(frozen=True)
class Rows:
    """The vertical geometry of rtl/line_memory.v: a frame is padding rows, real rows, padding rows, in a ring of row
    slots."""

    rows: int
    pad_top: int
    pad_bottom: int
    out_rows: int
    step: int
    need: int  # rows that an output row waits for, but for a frame's last, which waits for last_step
    last_step: int
    ring: int

    @staticmethod
    def of(layer: Layer, windows: Windows) -> "Rows":
        rows, out_rows = layer.x.shape[1], layer.y.shape[1]
        reach, step, top = layer.reach[0], layer.op.stride[0], layer.padding[0]
        virtual = max((out_rows - 1) * step + reach, top + rows)
        last_step = virtual - (out_rows - 1) * step
        need = max(reach, step) if out_rows > 1 else last_step
        least = max(need, last_step) + (step if out_rows > 1 else last_step)
        # room for a whole window of the next frame hides its loading: taken where it costs no memory
        words = 1 << (ceil_log2(windows.stripe) + ceil_log2(layer.x.shape[0]))
        depth = LUTRAM_DEPTH if least * words <= LUTRAM_DEPTH else max(BRAM_DEPTH, 1 << ceil_log2(least * words))
        ring = max(least, min(need + last_step, depth // words))
        return Rows(rows, top, virtual - top - rows, out_rows, step, need, last_step, ring)

    def late(self, beats: int) -> int:
        """Cycles from a frame's last output row to the next frame's first one, while rows are taken that had no slot
        before; beats -- of a real row."""
        rows = np.arange(self.ring - self.last_step, self.need)
        real = (rows >= self.pad_top) & (rows < self.pad_top + self.rows)
        return int(np.where(real, beats, 1).sum()) + (HANDOVER if len(rows) else 0)

    def parameters(self) -> dict[str, int]:
        return {
            "ROWS": self.rows,
            "PAD_TOP": self.pad_top,
            "PAD_BOTTOM": self.pad_bottom,
            "OUT_ROWS": self.out_rows,
            "ROW_STEP": self.step,
            "NEED": self.need,
            "LAST_STEP": self.last_step,
            "FREED_W": max(self.step if self.out_rows > 1 else 0, self.last_step).bit_length(),
            "RING": self.ring,
        }


@dataclass(frozen=True)
class Fold:
    """How many output pixels of a row, and how many output channels, a layer computes at a time, in which of the layer's `kinds` of
    lanes, and the memory of its terms: rom, or of a loadable layer bram or uram."""

    lanes: int
    groups: int = 1
    kind: str = "lut"
    memory: str = "rom"

    @property
    def size(self) -> int:
        """Accumulators."""
        return self.lanes * self.groups


def _program(layer: Layer, fold: Fold) -> Program:
    if fold.kind == "mac":
        return layer.mac_program
    return layer.dsp_program if fold.kind == "dsp" else layer.program


def takes(layer: Layer, lanes: int, order: Order) -> bool:
    """Whether so many lanes can read a stream of this order: a lane reaches at most MOST_LEGS stripes."""
    if order.pixels and order.side > 1:
        return False
    return (lanes == 1 and order.side == 1) or Windows.of(layer, lanes, order).legs <= MOST_LEGS


def legal_lanes(layer: Layer, limit: int) -> list[int]:
    """Lanes up to `limit` that are all in use and can read some stream: one lane always can."""
    columns = layer.y.shape[2]
    counts = sorted({-(-columns // stripe) for stripe in range(1, columns + 1)})
    return [n for n in counts if n == 1 or (n <= limit and takes(layer, n, Order(layer.x.shape)))]


def legal_groups(layer: Layer, limit: int) -> list[int]:
    """Groups up to `limit`, of those that make the same number of rounds the fewest."""
    channels = layer.y.shape[0]
    counts = sorted({-(-channels // rounds) for rounds in range(1, channels + 1)})
    return [n for n in counts if n <= limit]


def work(layer: Layer, fold: Fold, order: Order, sort: bool = False) -> int:
    """Cycles of a frame at this fold when its input is there and its output taken; `sort` as in Rounds."""
    sort = sort and fold.memory == "rom"
    rows = layer.y.shape[1]
    entries = layer.entries(_program(layer, fold), order)
    stripe = -(-layer.y.shape[2] // fold.lanes)
    late = Rows.of(layer, Windows.of(layer, fold.lanes, order)).late(order.beats // layer.x.shape[1])
    return late + rows * stripe * Rounds.of(entries.lengths, fold.groups, sort).cycles


@dataclass(frozen=True, eq=False)
class TermLanes(Unit):
    """sort -- whether the output's channels may come in an order of their own, which balances the groups; those of a layer that
    can be loaded keep theirs, whatever the weights."""

    layer: Layer
    fold: Fold
    order: Order  # of the input
    sort: bool = False
    module = "term_lanes"
    primitives = True
    loads = True

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def out_order(self) -> Order:
        channels = self.order.channels if self.shared else self.rounds.channels
        return Order(self.layer.y.shape).by_lanes(self.fold.lanes, channels)

    @property
    def latency(self):
        return STAGES[self.fold.kind] + self.entries.gaps

    @cached_property
    def shared(self) -> bool:
        """Whether the ROM holds one list for all channels. They leave in the order in which they came."""
        own = self.fold.memory != "rom"  # other weights may not be alike
        alike = self.program.shared and self.layer.x.shape[0] == self.layer.y.shape[0]
        return alike and not own and (self.sort or not self.order.channels)

    @property
    def rom_path(self) -> str:
        return f"rom/{self.name}.hex"

    @cached_property
    def rows(self) -> Rows:
        return Rows.of(self.layer, self.windows)

    @cached_property
    def windows(self) -> Windows:
        return Windows.of(self.layer, self.fold.lanes, self.order)

    @property
    def program(self) -> Program:
        return _program(self.layer, self.fold)

    @property
    def entries(self) -> Entries:
        return self.layer.entries(self.program, self.order)

    @cached_property
    def rounds(self) -> Rounds:
        return Rounds.of(self.entries.lengths, self.fold.groups, self.sort and self.fold.memory == "rom")

    @cached_property
    def fields(self) -> dict[str, int]:
        """Bits of the fields of addresses and places."""
        place = self.layer.place_bits
        return {
            "ROW_BITS": ceil_log2(self.rows.ring),
            "COLUMN_BITS": ceil_log2(self.windows.stripe),
            "CHANNEL_BITS": place.channel,
            "TAP_ROW_BITS": place.tap_row,
            "TAP_COLUMN_BITS": place.tap_column,
        }

    @cached_property
    def rom(self) -> Rom:
        if self.shared:
            one, place = self.program.one_channel, replace(self.layer.place_bits, channel=0)
            return one.entries(place, np.zeros(1, np.int64)).rom(Rounds.of(one.lengths, 1, False))
        return self.entries.rom(self.rounds)

    @property
    def depth(self) -> int:
        """Words of the memory of terms: those of the list or, of one that can be loaded, all that its blocks hold."""
        words = int(self.program.lengths[0] if self.shared else self.rounds.lengths.sum())
        if self.fold.memory == "rom":
            return words
        block = URAM_DEPTH if self.fold.memory == "uram" else BRAM_DEPTH if words > LUTRAM_DEPTH else LUTRAM_DEPTH // 2
        return -(-words // block) * block

    @property
    def _ends(self) -> dict[str, int]:
        """Of the clamp; other weights may reach an end that these do not."""
        layer = self.layer
        if self.fold.memory == "rom" or layer.quantize is None:
            return clamp_ends(layer.unclamped, layer.quantize)
        return {"LOW": max(layer.quantize.low, -UNBOUNDED), "HIGH": min(layer.quantize.high, UNBOUNDED - 1)}

    @property
    def _lanes_of_a_slice(self) -> int:
        return mac_lanes(self.program, self.layer.x) if self.fold.kind == "mac" else 2

    def note(self):
        layer, fold = self.layer, self.fold
        groups = f"{fold.groups} groups of " if fold.groups > 1 else ""
        loadable = "" if self.fold.memory == "rom" else f", loadable, up to {self.depth}"
        return (
            f"{self.name}: {layer.op}, {layer.x} -> {layer.y}: {layer.program.terms} terms, "
            f"{self.rom.depth} entries{loadable}, {groups}{fold.lanes} {KINDS[fold.kind]}{'lane' if fold.lanes == 1 else 'lanes'}, "
            f"{self.cycles()} cycles a frame"
        )

    def parameters(self):
        layer, program, windows, rom = self.layer, self.program, self.windows, self.rom
        maximum = isinstance(layer.op, MaxPool)
        beats, entry_bits = self._beats, self._entry_bits
        return {
            "X_W": layer.x.qtype.bits,
            "X_SIGNED": int(layer.x.qtype.signed),
            "MAXIMUM": int(maximum),
            "DSP": int(self.fold.kind == "dsp"),
            "MAC": self._lanes_of_a_slice if self.fold.kind == "mac" else 0,
            "COMMAND_W": program.command_bits,
            **signed64({"BASE": program.base}),
            "W": program.accumulator,
            "F": program.below,
            "DROP": program.drop,
            "OUT_W": layer.y.qtype.bits,
            **signed64(self._ends),
            "IMMEDIATE_W": program.immediate_bits,
            "PAD_VALUE": (
                1 << (layer.x.qtype.bits - 1) if maximum and layer.x.qtype.signed else 0,
                program.immediate_bits,
            ),
            # what is in an UltraRAM is none of the hardware's business
            "FILE": "" if self.fold.memory == "uram" else self.rom_path,
            "TERMS": self.depth if self.fold.memory == "uram" else rom.depth,
            "LOAD": ("rom", "bram", "uram").index(self.fold.memory),
            "DEPTH": self.depth,
            "CHECK": (0 if self.fold.memory == "uram" else rom.check, 32),
            "PAYLOAD_W": (rom.width - 1) // (1 if self.shared else self.fold.groups) - 1 - program.command_bits,
            "GROUPS": self.fold.groups,
            "FINAL": self.rounds.final,
            "GAPS": int(self.entries.gaps),
            "SHARED": int(self.shared),
            "ROUNDS": len(self.rounds.lengths),
            "LANES": self.fold.lanes,
            "LANE_STEP": windows.lane_step,
            "OUT_STRIPE": self.out_order.stripe,
            "COLUMN_STEP": layer.op.stride[1],
            "FIRST_LEG": windows.first_leg,
            "LEGS": windows.legs,
            "PAD_LEFT": layer.padding[1],
            "SIDE": self.order.side,
            "PHASES": windows.phases,
            "STRIPES": windows.stripes,
            "STRIPE": windows.stripe,
            "LAST_STRIPE": windows.last_stripe,
            "CHANNELS": layer.x.shape[0],
            "BEATS": beats,
            **self.rows.parameters(),
            **self.fields,
            "ENTRY_W": entry_bits,
            "TABLE": (self._table(), beats * entry_bits),
        }

    @property
    def _beats(self) -> int:
        """Of a row's channel."""
        return self.order.shape[2] if self.order.side == 1 else self.order.stripe

    @property
    def _entry_bits(self) -> int:
        return 1 + ceil_log2(self.windows.phases) + self.fields["COLUMN_BITS"]

    def _table(self) -> int:
        """TABLE of rtl/line_memory.v, as one integer."""
        windows, bits = self.windows, self._entry_bits
        if self.order.side == 1:
            columns, last = self.order.columns()
            phase, inside = np.divmod(columns, windows.stripe)
        else:
            phase, inside = np.divmod(np.arange(self.order.stripe), windows.stripe)
            last = np.ones(len(phase), bool)
        entries = (last.astype(np.int64) << (bits - 1)) | (phase << self.fields["COLUMN_BITS"]) | inside
        table = 0
        for i, entry in enumerate(entries):
            table |= int(entry) << (i * bits)
        return table

    def files(self):
        return {} if self.fold.memory == "uram" else {self.rom_path: self.rom.padded(self.depth).text()}

    def roms(self) -> dict[str, dict[str, int]]:
        shape = {"depth": self.depth, "width": self.rom.width}
        return {} if self.fold.memory == "uram" else {self.rom_path: shape}

    def facts(self):
        _, rows, columns = self.layer.y.shape
        return {
            "lanes": self.fold.lanes,
            "groups": self.fold.groups,
            "terms": self.layer.program.terms,
            "entries": self.rom.depth,
            "useful": self.program.terms * rows * columns,
            "capacity": self.fold.size,
        }

    def cycles(self):
        # the work, or taking the input, where a padding row takes one, if that is more
        taking = self.order.beats + self.rows.pad_top + self.rows.pad_bottom
        return max(work(self.layer, self.fold, self.order, self.sort), taking)

    @property
    def rom_shape(self) -> tuple[int, int]:
        """Words and bits of the memory of terms."""
        place = replace(self.layer.place_bits, channel=0) if self.shared else self.layer.place_bits
        groups = 1 if self.shared else self.fold.groups
        return self.depth, 1 + groups * self.program.entry_bits(place)

    @cached_property
    def _line_memory(self) -> tuple[int, float, int]:
        """Words of each copy of the line memory, and its BRAM36 and banks; none of LUTs has these."""
        fields, windows = self.fields, self.windows
        words = self.rows.ring << (fields["COLUMN_BITS"] + fields["CHANNEL_BITS"])
        if words <= LUTRAM_DEPTH:
            return words, 0.0, 0
        stripes, bits = windows.stripes, self.layer.x.qtype.bits
        written = (bits,) * stripes
        if windows.phases == 1:  # together, but what lies past a row's end
            written = (bits * stripes,) if windows.last_stripe == windows.stripe else (bits * (stripes - 1), bits)
        return words, *block_memory(words, stripes * bits, written)

    @property
    def _list_memory(self) -> tuple[float, int]:
        """BRAM36 of the list, and banks."""
        words, width = self.rom_shape
        if self.fold.memory == "uram":
            return 0.0, -(-words // URAM_DEPTH)
        return (
            block_memory(words, width, () if self.fold.memory == "rom" else None) if words > LUTRAM_DEPTH else (0.0, 1)
        )

    @property
    def _list_luts(self) -> int:
        """Of its multiplexers, or of a LUT RAM; a multiplexer of two is part of what comes behind it."""
        words, width = self.rom_shape
        if self.fold.memory == "bram" and words <= LUTRAM_DEPTH:
            return lut_rams(words, width)
        banks = self._list_memory[1]
        return width * multiplexer(banks) if banks > 2 else 0

    @property
    def _line_luts(self) -> int:
        """Of each copy: of multiplexers, or LUT RAMs. Stripes that no lane reads are none."""
        words, _, banks = self._line_memory
        if banks == 1:
            return 0
        windows, bits = self.windows, self.layer.x.qtype.bits
        firsts = range(windows.first_leg, windows.first_leg + self.fold.lanes * windows.lane_step, windows.lane_step)
        read = len({first + leg for first in firsts for leg in range(windows.legs)} & set(range(windows.stripes)))
        return read * (bits * multiplexer(banks) if banks else lut_rams(words, bits))

    def features(self) -> dict[str, float]:
        """What the LUTs of the unit depend on, by the names in FACTORS.

        `exact` are the bits of accumulators, clamps, words that wait to be sent, multiplexers before the lanes and behind banks of memory,
        and LUT RAMs.
        """
        layer, program, windows, rows, fold = self.layer, self.program, self.windows, self.rows, self.fold
        bits, fields, legs = layer.x.qtype.bits, self.fields, windows.legs
        words, width = self.rom_shape
        pool, mac = isinstance(layer.op, MaxPool), fold.kind == "mac"
        stripe, beats = self.out_order.stripe, self._beats
        column = ceil_log2(stripe * layer.op.stride[1] + (1 << fields["TAP_COLUMN_BITS"]) + 1) * (stripe > 1)
        groups = 1 if self.shared else fold.groups  # groups of a shared list differ in the channel alone
        # where no row is padding yosys finds the constant registers of a few slots, not of many
        slots = rows.ring if rows.pad_top + rows.pad_bottom else max(0, rows.ring - 8)
        low, high = self._ends.values()
        clamp = clamp_luts(program.accumulator + program.below - program.drop, layer.y.qtype.bits, low, high)
        # a choice of both ends is part of that of the word to send, but for the last group's
        chosen = fold.groups - 1 + (-UNBOUNDED < low < 0 and high < UNBOUNDED - 1)
        if pool or mac:  # no immediate is chosen
            lane = bits * multiplexer(legs)
        else:
            lane = lane_luts(bits, program.accumulator + program.below if fold.kind == "lut" else 0, legs)
        wide = 0 if pool or mac else program.immediate_bits - bits  # above an unsigned activation: once for all lanes
        return {
            "exact": fold.size * (lane + clamp)
            + (fold.size if layer.x.qtype.signed else groups) * wide
            + chosen * fold.lanes * layer.y.qtype.bits
            + fold.groups * self._line_luts
            + self._list_luts,
            "unit": 1,
            "counters": ceil_log2(words)
            + ceil_log2(rows.out_rows)
            + ceil_log2(stripe)
            + column
            + 2 * ceil_log2(rows.ring + 1)
            + ceil_log2(rows.pad_top + rows.rows + rows.pad_bottom)
            + ceil_log2(layer.x.shape[0])
            + 2 * ceil_log2(beats),
            "position table": self._entry_bits
            * max(1, beats / 64)
            * (beats > 1 and windows.stripe & (windows.stripe - 1) > 0),
            "group": groups,
            "group, column of the window": groups * column * (layer.reach[1] > 1),
            "group, row of the window": groups * fields["ROW_BITS"] * (layer.reach[0] > 1),
            "slot that may hold padding": slots,
            "group, gaps": groups * layer.place_bits.all * (program.gap_bits > 0),
            "group, lanes that multiply": fold.groups * mac,
            "lane, maximum": fold.size * program.accumulator * pool,
            "list of LUTs": words * width / 64 * (words <= LUTRAM_DEPTH and fold.memory == "rom"),
            "loader": ceil_log2(words) * (fold.memory != "rom"),
        }

    def estimate(self):
        fold, (words, width) = self.fold, self.rom_shape
        urams = -(-words // URAM_DEPTH) * -(-width // URAM_BITS) if fold.memory == "uram" else 0
        return {
            "LUT": round(sum(FACTORS[name] * count for name, count in self.features().items())),
            "BRAM36": fold.groups * self._line_memory[1] + self._list_memory[0],
            "DSP": 0 if fold.kind == "lut" else fold.groups * -(-fold.lanes // self._lanes_of_a_slice),
            **({"URAM": urams} if urams else {}),
        }

    def needs(self):
        rows = self.rows
        until = np.arange(rows.out_rows) * rows.step + rows.need
        until[-1] = (rows.out_rows - 1) * rows.step + rows.last_step
        real = np.clip(until - rows.pad_top, 0, rows.rows)
        return np.repeat(real * (self.order.beats // rows.rows), self.out_order.beats // rows.out_rows)
