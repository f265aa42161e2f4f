"""Functions of one activation as a table: rtl/lookup.v."""

from dataclasses import dataclass

import numpy as np

from hwgen.engines import engine
from hwgen.engines.beats import BeatEngine, Beats
from hwgen.ops.lookup import Lookup as LookupOp
from hwgen.rom import Rom
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.table import table_luts
from hwgen.units.unit import BeatByBeat


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
        return {"LUT": 2 + self.order.side * self.stage.once("luts", lambda: table_luts(self.rom)), "BRAM36": 0}
