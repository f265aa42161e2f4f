"""rtl/softmax.v: the share of each channel's exponential in the sum of a pixel's."""

from dataclasses import dataclass

import numpy as np

from hwgen.nn_sequence import softmax_shift
from hwgen.ops.softmax_int import Softmax as SoftmaxOp
from hwgen.qtype import ceil_log2, width
from hwgen.rom import LUT_WORDS, Rom
from hwgen.units.channels import ACTIVATION_BITS, FACTOR_BITS, ChannelUnit
from hwgen.units.product import product_rows
from hwgen.units.table import table_luts

AROUND = 3  # cycles of a pixel beside those of its reciprocal's digits
BETWEEN = 5  # registers from a maximum to the first exponential
OUTPUT = 6  # registers from a reciprocal to the first result


@dataclass(frozen=True, eq=False)
class Softmax(ChannelUnit):
    module = "softmax"
    instant = False
    primitives = True

    @property
    def op(self) -> SoftmaxOp:
        assert isinstance(self.stage.op, SoftmaxOp)
        return self.stage.op

    @property
    def span(self) -> int:
        """The greatest difference of two activations."""
        return self.stage.x.qtype.high - self.stage.x.qtype.low

    @property
    def rom(self) -> Rom:
        """The exponentials by the difference from the maximum, in a power of two of words."""
        table = self.op.table[: self.span + 1]
        words = 1 << max(1, ceil_log2(len(table)))
        return Rom.of_fields([(np.pad(table, (0, words - len(table))), width(0, int(table[0])))])

    @property
    def rows(self) -> Rom:
        """Them side by side, by the low bits of the difference."""
        return self.rom.banked(min(LUT_WORDS, self.rom.depth))

    @property
    def rom_path(self) -> str:
        return f"rom/{self.name}.hex"

    @property
    def shift(self) -> int:
        return softmax_shift(width(0, int(self.op.table[0])), self.op.bits)

    @property
    def digits(self) -> int:
        """Bits of the greatest reciprocal, that of a single exponential."""
        return width(0, (1 << self.shift) // int(self.op.table[0]))

    @property
    def turnaround(self):
        return self.digits + AROUND

    @property
    def latency(self):  # type: ignore[override]
        between = 0 if self.slices else self._product[1] - 1
        return 2 * self.channels + BETWEEN + self.turnaround + OUTPUT + between

    @property
    def _product(self) -> tuple[int, int]:
        """LUTs and rows of an exponential times a reciprocal."""
        return product_rows(self.rom.width, False, self.digits, False)

    @property
    def fits_slices(self) -> bool:  # type: ignore[override]
        return self.digits < FACTOR_BITS and self.rom.width <= ACTIVATION_BITS

    def parameters(self):
        x, rom = self.stage.x.qtype, self.rom
        activations, exponentials = self._fifos()
        return {
            "N": self.channels,
            "X_W": x.bits,
            "X_SIGNED": int(x.signed),
            "D_W": width(0, self.span),
            "TABLE_W": ceil_log2(rom.depth),
            "E_W": rom.width,
            "SUM_W": max(rom.width + 1, width(0, self.channels * int(self.op.table[0]))),
            "K": self.shift,
            "R_W": self.digits,
            "OUT_W": self.op.bits,
            "DEPTH": exponentials.depth,
            "X_BLOCK": int(activations.block),
            "E_BLOCK": int(exponentials.block),
            "SLICES": int(self.slices),
            "FILE": self.rom_path,
            "CHECK": (self.rows.check, 32),
        }

    def _fifos(self):
        return self.fifo(self.stage.x.qtype.bits, 3), self.fifo(self.rom.width, self.turnaround + 1)

    def files(self):
        return {self.rom_path: self.rows.text()}

    def roms(self):
        return {self.rom_path: {"depth": self.rows.depth, "width": self.rows.width}}

    def estimate(self):
        p = self.parameters()
        fifos = [fifo.estimate() for fifo in self._fifos()]
        table = self.stage.once("luts", lambda: table_luts(self.rom))
        product = 0 if self.slices else self._product[0]
        activations = 3 * p["X_W"]  # the comparison, the greatest so far, the difference
        sums = 3 * p["SUM_W"]  # the sum, and what is left of a division
        control = 3 * ceil_log2(self.channels) + 35
        luts = table + product + activations + sums + 2 * p["OUT_W"] + control
        blocks = sum(f["BRAM36"] for f in fifos)
        return {"LUT": luts + sum(f["LUT"] for f in fifos), "BRAM36": blocks, "DSP": int(self.slices)}
