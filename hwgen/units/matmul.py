"""rtl/matmul.v: the product of two streams of matrices, some columns of the second in step."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.devices import Device
from hwgen.ops.matmul import MatMul as MatMulOp
from hwgen.ops.quantize import clamp_ends, end_parameters
from hwgen.qtype import ceil_log2, signed_width
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.product import product_rows
from hwgen.units.unit import Unit
from hwgen.verilog import signed64
from hwgen.walks import HANDOVER, Ring, Rings, Rows, Step, Walk

TURN = 1  # cycles that a place is neither filled nor read, each time
QUIET = 4  # cycles from the first product of a row to its first result, at least
ROWS_HELD = 2  # of b


@dataclass(frozen=True, eq=False)
class MatMul(Unit):
    """lanes -- columns of b in step; slices -- whether they are in DSP slices"""

    stage: Stage
    lanes: int
    slices: bool
    device: Device
    module = "matmul"
    takes = ("a_axis", "b_axis")
    primitives = True

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def out_order(self) -> Order:
        return Order(self.stage.y.shape)

    @cached_property
    def sizes(self) -> tuple[int, int, int, int]:
        """Activations of a sum, rows, columns of a, columns of b."""
        a, b = self.stage.types
        return a.shape[0], a.shape[1], a.shape[2], b.shape[2]

    def note(self):
        a, b = self.stage.types
        where = " in DSP slices" if self.slices else ""
        return (
            f"{self.name}: {a} times {b} -> {self.stage.y}: {self.lanes} columns of the second in step{where}, "
            f"{self.cycles()} cycles a frame"
        )

    @property
    def latency(self):  # type: ignore[override]
        between = 0 if self.slices else self._product[1] - 2  # clocks of a product, against those of a slice
        return 8 + between + (self._words > self.device.lut_depth)  # block RAM has a register behind it

    @cached_property
    def _product(self) -> tuple[int, int]:
        """LUTs and rows of a product of a lane in lookup tables."""
        a, b = (side.qtype for side in self.stage.types)
        return product_rows(a.bits, a.signed, b.bits, b.signed)

    @property
    def _words(self) -> int:
        """Of the deeper one of its memories."""
        places = max(self.ring, ROWS_HELD << ceil_log2(self.sizes[3] // self.lanes))
        return places << ceil_log2(self.sizes[0])

    @cached_property
    def numbers(self) -> dict[str, int]:
        """What a sum starts from, its bits, and what becomes of them."""
        a, b = self.stage.types
        reach, grid, quantize = MatMulOp.reach(a, b), a.exponent + b.exponent, self.stage.quantize
        drop = quantize.exponent - grid if quantize else 0
        half = (1 << max(0, drop)) >> 1
        bits = max(signed_width(reach.low + half, reach.high + half), drop + 1)
        return {"W": bits, "BASE": half, "DROP": max(0, drop), "LIFT": max(0, -drop)}

    @property
    def per_slice(self) -> int:
        """Lanes of a DSP slice; 0: none is in one."""
        if not self.slices:
            return 0
        return 2 if self.lanes > 1 and self.numbers["W"] <= min(24, 26 - self.stage.types[1].qtype.bits) else 1

    @property
    def ring(self) -> int:
        """Columns of a that are held: two, or so many that taking and multiplying them do not wait for each other."""
        k, column = self.sizes[0], self._column
        return 2 if k + column + TURN <= 2 * max(k, column) else 4

    @property
    def _column(self) -> int:
        """Cycles of a column of a: its products, or sending them."""
        k, _, _, b_columns = self.sizes
        return b_columns // self.lanes * max(k, self.lanes)

    def parameters(self):
        a, b = self.stage.types
        k, _, a_columns, b_columns = self.sizes
        stripe = b_columns // self.lanes
        column_bits = ceil_log2(stripe)
        entry_bits = 1 + ceil_log2(self.lanes) + column_bits
        table = 0
        for m in range(b_columns):
            entry = 1 << (entry_bits - 1) | m % self.lanes << column_bits | m // self.lanes
            table |= entry << (m * entry_bits)
        return {
            "K": k,
            "A_COLUMNS": a_columns,
            "B_COLUMNS": b_columns,
            "A_W": a.qtype.bits,
            "A_SIGNED": int(a.qtype.signed),
            "B_W": b.qtype.bits,
            "B_SIGNED": int(b.qtype.signed),
            "A_RING": self.ring,
            "LANES": self.lanes,
            "SLICES": self.per_slice,
            **self.numbers,
            "BASE": signed64(self.numbers["BASE"]),
            "OUT_W": self.stage.y.qtype.bits,
            **end_parameters(clamp_ends(self.stage.unclamped, self.stage.quantize)),
            "TABLE": (table, b_columns * entry_bits),
        }

    def facts(self):
        k, rows, a_columns, b_columns = self.sizes
        return {"groups": 1, "lanes": self.lanes, "useful": k * rows * a_columns * b_columns, "capacity": self.lanes}

    @property
    def row(self) -> tuple[int, int]:
        """Cycles that a row takes: to come, of b; and to be multiplied, while the columns of a come."""
        k, _, a_columns, b_columns = self.sizes
        column = max(self._column, k, -(-(self._column + k + TURN) // self.ring))
        return k * b_columns, a_columns * column

    def cycles(self):
        fill, work = self.row
        return self.sizes[1] * max(fill, work, -(-(fill + work + TURN) // ROWS_HELD))

    def needs(self, i=0):
        k, rows, a_columns, b_columns = self.sizes
        row, column, _ = np.indices((rows, a_columns, b_columns))
        beats = (row * a_columns + column + 1) * k if i == 0 else (row + 1) * k * b_columns
        return beats.reshape(-1)

    @property
    def rows_of_a(self) -> int:
        """Whole rows of a that its memory holds."""
        return self.ring // self.sizes[2]

    def holds(self, i=0):
        """The columns of a that have a place, where these are a row, and the row of b."""
        needs = self.needs(i)
        if i == 1:
            return needs
        ahead = (self.ring - 1) * self.sizes[0]
        return np.minimum(needs + ahead, needs[-1]) if self.rows_of_a else super().holds(i)

    def walks(self, rows, taken, sent):
        fill, work = self.row

        def ring(count: int, passes: int | None = None) -> Ring:
            return Ring(Rows(rows, 0, 0, rows, 1, 1, 1, count), HANDOVER, passes=passes)

        held = ring(ROWS_HELD)
        walks = [Walk([Step(True, False, fill)] * rows, fills=held, sides=(1,))]
        if not self.rows_of_a:
            return [*walks, Walk([Step(True, True, work, sent, QUIET)] * rows, empties=held, sides=(0,))]
        # a column is given back whole
        columns = ring(self.rows_of_a, max(0, taken - self.sizes[0]))
        take = Walk([Step(True, False, taken)] * rows, fills=columns, sides=(0,))
        send = Walk([Step(False, True, work, sent)] * rows, empties=Rings(held, columns), sides=())
        return [*walks, take, send]

    def estimate(self):
        """Fitted to python -m benchmarks.cells."""
        a, b = self.stage.types
        k, _, a_columns, b_columns = self.sizes
        stripe = b_columns // self.lanes
        counters = 3 * ceil_log2(k) + ceil_log2(stripe) + ceil_log2(a_columns) + ceil_log2(b_columns)
        lane = self.stage.y.qtype.bits + 3
        if not self.slices:
            lane += self._product[0] + self.numbers["W"]
        luts_a, blocks_a = self._memory(self.ring, a.qtype.bits, 1)
        luts_b, blocks_b = self._memory(ROWS_HELD << ceil_log2(stripe), b.qtype.bits, self.lanes)
        return {
            "LUT": round((40 if self.slices else 25) + 1.9 * counters + self.lanes * lane + luts_a + luts_b),
            "BRAM36": blocks_a + blocks_b,
            "DSP": -(-self.lanes // self.per_slice) if self.slices else 0,
        }

    def _memory(self, places: int, bits: int, stripes: int) -> tuple[int, float]:
        """LUTs and BRAM36 of a memory of that many columns, each stripe with its own."""
        words = places << ceil_log2(self.sizes[0])
        if words <= self.device.lut_depth:
            return stripes * self.device.lut_memory(words, bits), 0.0
        blocks, banks = self.device.block_memory(words, stripes * bits, (bits,) * stripes)
        return stripes * bits * self.device.multiplexer(banks) if banks > 1 else 0, blocks
