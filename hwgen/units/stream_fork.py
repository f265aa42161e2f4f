"""rtl/stream_fork.v: one stream to two readers."""

from dataclasses import dataclass

from hwgen.protect import EVERYTHING
from hwgen.stream import Order
from hwgen.units.unit import BeatByBeat


@dataclass(frozen=True, eq=False)
class StreamFork(BeatByBeat):
    name: str
    bits: int
    order: Order
    module = "stream_fork"
    votes = True
    protects = EVERYTHING
    gives = ("m0_axis", "m1_axis")
    latency = 0

    def note(self):
        return f"{self.name}: {self.name.rpartition('_')[0]} to two readers"

    def parameters(self):
        return {"DATA_W": self.bits}

    def estimate(self):
        return {"LUT": 5, "BRAM36": 0}

    def walks(self, rows, taken, sent):
        return []
