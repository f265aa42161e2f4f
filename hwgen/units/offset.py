"""rtl/offset.v: a constant for each activation of a frame, requantized."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.devices import Device
from hwgen.lanes.memories import MEMORIES
from hwgen.ops.offset import Offset as OffsetOp
from hwgen.qtype import ceil_log2, signed_width
from hwgen.rom import Rom
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.rounding import clamp_luts, lift, rounding
from hwgen.units.unit import BeatByBeat

# LUTs that yosys takes for a bit of a word, of up to 16 words and of more
SHORT_TABLE, LONG_TABLE = 0.6, 2.0


@dataclass(frozen=True, eq=False)
class Offset(BeatByBeat):
    """order -- of its input and its output"""

    stage: Stage
    order: Order
    device: Device
    module = "offset"
    latency = 2

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def op(self) -> OffsetOp:
        assert isinstance(self.stage.op, OffsetOp)
        return self.stage.op

    def note(self):
        return f"{self.name}: {self.stage.op}, {self.stage.x} -> {self.stage.y}, {self.rom.depth} words"

    @cached_property
    def constants(self) -> np.ndarray:
        """int64 [beats until they come again, side]: the constants as they are added, the half of the rounding
        included."""
        _, up = self.op.shifts(self.stage.x)
        drop, idle = self._drops
        half = (1 << drop) >> 1
        added = ((self.op.values.reshape(-1) << (up + lift(self.stage))) + half) >> idle
        indices = self.order.indices()
        words = np.where(indices < 0, 0, added[indices]).reshape(-1, self.order.side)
        periods = 1 + np.flatnonzero(len(words) % np.arange(1, len(words) + 1) == 0)
        return next(words[:n] for n in periods if (words.reshape(-1, n, self.order.side) == words[:n]).all())

    @property
    def _drops(self) -> tuple[int, int]:
        """Bits that are rounded away, and of these those that no activation reaches, so that no sum needs them."""
        drop = max(0, self.stage.y.exponent - self.op.infer(self.stage.x).exponent)
        return drop, min(drop, self.op.shifts(self.stage.x)[0])

    @property
    def bits(self) -> int:
        """Of a constant."""
        return signed_width(int(self.constants.min()), int(self.constants.max()))

    @cached_property
    def rom(self) -> Rom:
        return Rom.of_fields([(self.constants[:, n], self.bits) for n in reversed(range(self.order.side))])

    @property
    def rom_path(self) -> str:
        return f"rom/{self.name}.hex"

    def parameters(self):
        x, (drop, idle) = self.stage.x.qtype, self._drops
        common = rounding(self.stage)
        del common["CONSTANT"]  # part of each
        assert isinstance(common["W"], int)
        return {
            "N": self.order.side,
            "X_W": x.bits,
            "X_SIGNED": int(x.signed),
            "SHIFT": self.op.shifts(self.stage.x)[0] + lift(self.stage) - idle,
            "K_W": self.bits,
            "WORDS": self.rom.depth,
            "FILE": self.rom_path,
            "CHECK": (self.rom.check, 32),
            **common,
            "W": common["W"] - idle,
            "DROP": drop - idle,
        }

    def files(self):
        return {self.rom_path: self.rom.text()}

    def roms(self):
        return {self.rom_path: {"depth": self.rom.depth, "width": self.rom.width}}

    def estimate(self):
        p, rom, memory = self.parameters(), self.rom, MEMORIES["rom"]
        x, up, wide = self.stage.x.qtype, p["SHIFT"], p["W"]
        # above an unsigned activation the carry goes on alone
        columns = max(0, (wide if x.signed else min(wide, x.bits + up)) - up)
        blocks, _ = memory.blocks(rom.depth, rom.width, self.device)
        tables = 0.0
        if rom.depth <= self.device.lut_depth:  # each different function of the place once
            tables = len({column.tobytes() for column in rom.bits.T if column.min() < column.max()})
            tables *= SHORT_TABLE if rom.depth <= 16 else LONG_TABLE
        counter = 0 if rom.depth & (rom.depth - 1) == 0 else ceil_log2(rom.depth)
        luts = self.order.side * (columns + clamp_luts(p, p["OUT_W"])) + round(tables)
        return {"LUT": 4 + counter + luts + memory.luts(rom.depth, rom.width, self.device), **blocks}
