"""rtl/stream_fifo.v: room for the beats that one branch is ahead of the other."""

from dataclasses import dataclass

from hwgen.stream import Order
from hwgen.units.unit import BeatByBeat, block_rams


@dataclass(frozen=True, eq=False)
class StreamFifo(BeatByBeat):
    name: str
    bits: int
    depth: int
    order: Order
    module = "stream_fifo"

    def note(self):
        addition, _, branch = self.name.rpartition("_")
        return f"{self.name}: up to {self.depth} beats wait for {'ab'[int(branch)]}_axis of the addition {addition}"

    def parameters(self):
        return {"DATA_W": self.bits, "DEPTH": self.depth}

    def estimate(self):
        return (
            {"LUT": 40, "BRAM36": 0} if self.depth <= 64 else {"LUT": 40, "BRAM36": block_rams(self.depth, self.bits)}
        )
