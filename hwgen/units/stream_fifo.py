"""rtl/stream_fifo.v: room for the beats that one branch is ahead of the other."""

from dataclasses import dataclass

from hwgen.devices import Device
from hwgen.protect import CONTROL
from hwgen.qtype import ceil_log2
from hwgen.stream import Order
from hwgen.units.unit import BeatByBeat
from hwgen.walks import Ring, Rows, Step, Walk


@dataclass(frozen=True, eq=False)
class StreamFifo(BeatByBeat):
    name: str
    bits: int
    depth: int
    order: Order
    device: Device
    module = "stream_fifo"
    votes = True
    protects = frozenset({CONTROL})
    instant = False

    @property
    def latency(self):  # type: ignore[override]
        return 3 if self.block else 2

    def note(self):
        join, _, side = self.name.rpartition("_")
        return f"{self.name}: up to {self.depth} beats of input {side} of {join} wait for what comes later"

    def parameters(self):
        return {"DATA_W": self.bits, "DEPTH": self.depth, "BLOCK": int(self.block)}

    def facts(self):
        return {"entries": self.depth}

    @property
    def block(self) -> bool:
        """Whether the memory is a block RAM: where that is the smaller share of a board."""
        return self.device.prefers_block(self.depth, self.bits)

    def estimate(self):
        address = ceil_log2(self.depth)
        control = 2 * address + 2  # the level, one LUT a bit, and what compares it; or as much for two pointers
        if self.depth <= self.device.lut_depth:
            return {"LUT": self.bits * -(-self.depth // 32) + control, "BRAM36": 0}
        control += 10 if self.depth != 1 << address else 0  # the pointers' way back to zero
        if self.block:
            return {"LUT": control + 2, "BRAM36": self.device.block_memory(self.depth, self.bits)[0]}
        return {"LUT": control + self.device.lut_banks(self.depth, self.bits), "BRAM36": 0}

    def walks(self, rows, taken, sent):
        whole = (self.depth + 1) // taken  # rows that it holds
        if not whole:
            return []
        ring = Ring(Rows(rows, 0, 0, rows, 1, 1, 1, whole), passes=taken)
        return [
            Walk([Step(True, False, taken)] * rows, fills=ring),
            Walk([Step(False, True, sent, sent)] * rows, empties=ring),
        ]
