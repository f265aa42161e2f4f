"""Functions of one activation as a table: rtl/lookup.v."""

from dataclasses import dataclass

import numpy as np

from hwgen.engines import engine
from hwgen.engines.beats import BeatEngine, Beats
from hwgen.ops.lookup import Lookup as LookupOp
from hwgen.rom import Rom
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.unit import BeatByBeat

INPUTS = 6  # of a lookup table
MUXES = 2  # levels of a multiplexer that a slice has beside its lookup tables


@dataclass(frozen=True)
class LookupBeats(Beats):
    engine = "lookup"


@engine
class LookupEngine(BeatEngine):
    name = "lookup"
    choice = LookupBeats
    passes_order = True

    def obstacle(self, stage):
        return None if isinstance(stage.op, LookupOp) else "it is no table"

    def unit(self, stage, choice, orders, context):
        return Lookup(stage, orders[0])


@dataclass(frozen=True, eq=False)
class Lookup(BeatByBeat):
    """order -- of its input and its output"""

    stage: Stage
    order: Order
    module = "lookup"

    @property
    def name(self) -> str:
        return self.stage.name

    def note(self):
        return f"{self.name}: {self.stage.op}, {self.stage.x} -> {self.stage.y}"

    @property
    def rom(self) -> Rom:
        """The results by the bits of an activation; those that never come have the result of the nearest one."""
        op, x = self.stage.op, self.stage.x.qtype
        assert isinstance(op, LookupOp)
        bits = np.arange(1 << x.bits)
        value = np.where(bits >> (x.bits - 1) > 0, bits - (1 << x.bits), bits) if x.signed else bits
        results = op.table[np.clip(value, x.low, x.high) - op.first]
        return Rom.of_fields([(results, self.stage.y.qtype.bits)])

    @property
    def rom_path(self) -> str:
        return f"rom/{self.name}.hex"

    def parameters(self):
        return {
            "N": self.order.side,
            "X_W": self.stage.x.qtype.bits,
            "OUT_W": self.stage.y.qtype.bits,
            "FILE": self.rom_path,
            "CHECK": (self.rom.check, 32),
        }

    def files(self):
        return {self.rom_path: self.rom.text()}

    def roms(self):
        return {self.rom_path: {"depth": self.rom.depth, "width": self.rom.width}}

    def estimate(self):
        return {"LUT": 2 + self.order.side * self.stage.once("luts", self._table_luts), "BRAM36": 0}

    def _table_luts(self) -> int:
        """LUTs of a copy: of each result bit the different functions of six input bits, and what chooses from them."""
        bits, luts = self.rom.bits, 0
        for column in bits.T:
            parts = column.reshape(-1, min(len(column), 1 << INPUTS))
            # a function and its complement are one; a constant, or an input as it is, takes none
            parts = parts ^ parts[:, :1]
            different = {part.tobytes() for part in parts if part.any()}
            luts += len(different) + max(0, (len(parts) >> MUXES) - 1)
        return luts
