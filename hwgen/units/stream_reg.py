"""rtl/stream_reg.v: a stream between two layers that stand still in different clocks."""

from dataclasses import dataclass

from hwgen.protect import EVERYTHING
from hwgen.stream import Order
from hwgen.units.unit import BeatByBeat


@dataclass(frozen=True, eq=False)
class StreamReg(BeatByBeat):
    """bits -- of a beat; it holds two"""

    name: str
    bits: int
    order: Order
    module = "stream_reg"
    votes = True
    protects = EVERYTHING
    instant = False
    primitives = True

    def note(self):
        return f"{self.name}: no enable crosses it"

    def parameters(self):
        return {"DATA_W": self.bits}

    def facts(self):
        return {"latency": self.latency}

    def estimate(self):
        return {"LUT": -(-self.bits // 2) + 5, "BRAM36": 0}  # what came or what waits, a LUT for two bits

    def walks(self, rows, taken, sent):
        return []
