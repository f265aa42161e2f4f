"""rtl/stream_widen.v and rtl/stream_narrow.v: more or fewer activations side by side in a beat."""

from dataclasses import dataclass

import numpy as np

from hwgen.qtype import ceil_log2
from hwgen.stream import Order
from hwgen.units.unit import Unit


@dataclass(frozen=True, eq=False)
class StreamWiden(Unit):
    """bits -- of an activation; taken, sent -- the same frame in raster order, with more side by side when sent."""

    name: str
    bits: int
    taken: Order
    sent: Order
    module = "stream_widen"

    def note(self):
        return f"{self.name}: {self.taken.side} to {self.sent.side} activations a beat"

    def parameters(self):
        return {"DATA_W": self.bits * self.taken.side, "N": self.sent.side // self.taken.side}

    def cycles(self):
        return self.taken.beats

    def estimate(self):
        return {"LUT": 5, "BRAM36": 0}

    def needs(self):
        return (np.arange(self.sent.beats) + 1) * (self.sent.side // self.taken.side)


@dataclass(frozen=True, eq=False)
class StreamNarrow(Unit):
    """bits -- of an activation; taken, sent -- the same frame in raster order, with fewer side by side when sent."""

    name: str
    bits: int
    taken: Order
    sent: Order
    module = "stream_narrow"

    def note(self):
        return f"{self.name}: {self.taken.side} to {self.sent.side} activations a beat"

    def parameters(self):
        return {"DATA_W": self.bits * self.sent.side, "N": self.taken.side // self.sent.side}

    def cycles(self):
        return self.sent.beats

    def estimate(self):
        words = self.taken.side // self.sent.side
        return {"LUT": 3 + ceil_log2(words) + self.bits * self.sent.side * max(1, words // 2 - 1), "BRAM36": 0}

    def needs(self):
        return np.repeat(np.arange(self.taken.beats) + 1, self.taken.side // self.sent.side)
