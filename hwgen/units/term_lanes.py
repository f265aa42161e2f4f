"""rtl/term_lanes.v: a layer, LANES output pixels at a time, one term a cycle."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.ops.maxpool import MaxPool
from hwgen.ops.quantize import clamp_ends
from hwgen.program import check_sum
from hwgen.qtype import ceil_log2
from hwgen.stream import Order
from hwgen.units.layer import Layer
from hwgen.units.unit import LUTRAM_DEPTH, Unit, block_rams, signed64

MOST_LEGS = 7  # with the immediate: a LUT6 a bit for up to 3, about three for up to 7
BRAM_DEPTH = 512


@dataclass(frozen=True)
class Windows:
    """How the input's columns are cut into stripes so that each lane finds its window in a few of them."""

    lanes: int
    out_stripe: int
    in_stripe: int
    stripes: int
    first_leg: int
    legs: int

    @staticmethod
    def of(layer: Layer, lanes: int) -> "Windows":
        columns, step = layer.x.shape[2], layer.op.stride[1]
        out_stripe = -(-layer.y.shape[2] // lanes)
        in_stripe = out_stripe * step if lanes > 1 else max(columns, out_stripe * step)
        left, reach = layer.padding[1], layer.reach[1]
        first = -left // in_stripe
        last = ((out_stripe - 1) * step + reach - 1 - left) // in_stripe
        return Windows(lanes, out_stripe, in_stripe, -(-columns // in_stripe), first, last - first + 1)


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
        words = 1 << (ceil_log2(windows.in_stripe) + ceil_log2(layer.x.shape[0]))
        depth = LUTRAM_DEPTH if least * words <= LUTRAM_DEPTH else max(BRAM_DEPTH, 1 << ceil_log2(least * words))
        ring = max(least, min(need + last_step, depth // words))
        return Rows(rows, top, virtual - top - rows, out_rows, step, need, last_step, ring)

    @property
    def late(self) -> int:
        """Real rows of the next frame that cannot be written before this frame's last output row is done."""
        return max(0, self.need - max(self.ring - self.last_step, self.pad_top))

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


def legal_lanes(layer: Layer, limit: int) -> list[int]:
    """Folds up to `limit`: each fills its lanes, and reaches at most MOST_LEGS stripes (one lane always can)."""
    columns = layer.y.shape[2]
    counts = sorted({-(-columns // stripe) for stripe in range(1, columns + 1)})
    return [n for n in counts if n == 1 or (n <= limit and Windows.of(layer, n).legs <= MOST_LEGS)]


def work(layer: Layer, lanes: int) -> int:
    """Cycles of a frame at this fold: a channel takes its entries, or the beats it sends where these are more."""
    _, rows, columns = layer.y.shape
    stripe = -(-columns // lanes)
    sent = [len(range(s, columns, stripe)) for s in range(stripe)]
    late = Rows.of(layer, Windows.of(layer, lanes)).late * (Order(layer.x.shape).beats // layer.x.shape[1])
    return late + rows * sum(int(np.maximum(layer.program.lengths, beats).sum()) for beats in sent)


@dataclass(frozen=True, eq=False)
class TermLanes(Unit):
    layer: Layer
    lanes: int
    order: Order  # of the input
    module = "term_lanes"
    primitives = True

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def out_order(self) -> Order:
        return Order(self.layer.y.shape, self.lanes)

    @property
    def rom_path(self) -> str:
        return f"rom/{self.name}.hex"

    @cached_property
    def rows(self) -> Rows:
        return Rows.of(self.layer, self.windows)

    @cached_property
    def windows(self) -> Windows:
        return Windows.of(self.layer, self.lanes)

    @cached_property
    def fields(self) -> dict[str, int]:
        """Bits of the fields of addresses and payloads."""
        reach = self.layer.reach
        return {
            "ROW_BITS": ceil_log2(self.rows.ring),
            "COLUMN_BITS": ceil_log2(self.windows.in_stripe),
            "CHANNEL_BITS": ceil_log2(self.layer.x.shape[0]),
            "TAP_ROW_BITS": ceil_log2(reach[0]),
            "TAP_COLUMN_BITS": ceil_log2(reach[1]),
        }

    @cached_property
    def words(self) -> tuple[np.ndarray, int]:
        fields = self.fields
        return self.layer.program.words(fields["TAP_ROW_BITS"], fields["TAP_COLUMN_BITS"], fields["CHANNEL_BITS"])

    def note(self):
        layer, program = self.layer, self.layer.program
        return (
            f"{self.name}: {layer.op}, {layer.x} -> {layer.y}: {program.terms} terms, "
            f"{len(self.words[0])} entries, {self.lanes} {'lane' if self.lanes == 1 else 'lanes'}, "
            f"{self.cycles()} cycles a frame"
        )

    def parameters(self):
        layer, program, windows = self.layer, self.layer.program, self.windows
        words, word_bits = self.words
        maximum = isinstance(layer.op, MaxPool)
        columns = layer.x.shape[2]
        table, entry_bits = self._table()
        return {
            "X_W": layer.x.qtype.bits,
            "X_SIGNED": int(layer.x.qtype.signed),
            "MAXIMUM": int(maximum),
            "W": program.accumulator,
            "F": program.below,
            "DROP": program.drop,
            "OUT_W": layer.y.qtype.bits,
            **signed64(clamp_ends(layer.unclamped, layer.quantize)),
            "IMMEDIATE_W": program.immediate_bits,
            "PAD_VALUE": (
                1 << (layer.x.qtype.bits - 1) if maximum and layer.x.qtype.signed else 0,
                program.immediate_bits,
            ),
            "FILE": self.rom_path,
            "TERMS": len(words),
            "CHECK": (check_sum(words.tolist(), word_bits), 32),
            "PAYLOAD_W": word_bits - 4,
            "LANES": windows.lanes,
            "OUT_STRIPE": windows.out_stripe,
            "SHORT_FROM": layer.y.shape[2] - (windows.lanes - 1) * windows.out_stripe,
            "COLUMN_STEP": layer.op.stride[1],
            "FIRST_LEG": windows.first_leg,
            "LEGS": windows.legs,
            "PAD_LEFT": layer.padding[1],
            "STRIPES": windows.stripes,
            "STRIPE": windows.in_stripe,
            "CHANNELS": layer.x.shape[0],
            "COLUMNS": columns,
            **self.rows.parameters(),
            **self.fields,
            "ENTRY_W": entry_bits,
            "TABLE": (table, columns * entry_bits),
        }

    def _table(self) -> tuple[int, int]:
        """TABLE of rtl/line_memory.v, as one integer, and the bits of an entry."""
        columns, last = self.order.columns()
        lane, inside = np.divmod(columns, self.windows.in_stripe)
        column_bits, lane_bits = self.fields["COLUMN_BITS"], ceil_log2(self.windows.stripes)
        bits = 1 + lane_bits + column_bits
        table = 0
        for i, entry in enumerate((last.astype(np.int64) << (bits - 1)) | (lane << column_bits) | inside):
            table |= int(entry) << (i * bits)
        return table, bits

    def files(self):
        words, bits = self.words
        digits = -(-bits // 4)
        return {self.rom_path: "".join(f"{word:0{digits}x}\n" for word in words.tolist())}

    def roms(self) -> dict[str, dict[str, int]]:
        words, bits = self.words
        return {self.rom_path: {"depth": len(words), "width": bits}}

    def facts(self):
        _, rows, columns = self.layer.y.shape
        return {
            "lanes": self.lanes,
            "terms": self.layer.program.terms,
            "entries": len(self.words[0]),
            "useful": self.layer.program.terms * rows * columns,
            "capacity": self.lanes,
        }

    def cycles(self):
        # the work, or taking the input, where a padding row takes one, if that is more
        taking = Order(self.layer.x.shape).beats + self.rows.pad_top + self.rows.pad_bottom
        return max(work(self.layer, self.lanes), taking)

    def estimate(self):
        words, word_bits = self.words
        program, windows = self.layer.program, self.windows
        depth = self.rows.ring << (self.fields["COLUMN_BITS"] + self.fields["CHANNEL_BITS"])
        bits = self.layer.x.qtype.bits
        select = bits * (1 if windows.legs <= 3 else 3)
        line_luts, line_blocks = (
            (windows.stripes * 2 * bits, 0)
            if depth <= LUTRAM_DEPTH
            else (0, block_rams(depth, windows.stripes * max(bits, 9)))
        )
        rom_blocks = block_rams(len(words), word_bits) if len(words) > LUTRAM_DEPTH else 0
        return {
            "LUT": 100 + windows.lanes * (program.accumulator + select + 4) + line_luts,
            "BRAM36": line_blocks + rom_blocks,
        }

    def needs(self):
        rows = self.rows
        until = np.arange(rows.out_rows) * rows.step + rows.need
        until[-1] = (rows.out_rows - 1) * rows.step + rows.last_step
        real = np.clip(until - rows.pad_top, 0, rows.rows)
        return np.repeat(real * (self.order.beats // rows.rows), self.out_order.beats // rows.out_rows)
