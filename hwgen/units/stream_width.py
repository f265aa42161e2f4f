"""rtl/stream_widen.v and rtl/stream_narrow.v: more or fewer activations side by side in a beat."""

from dataclasses import dataclass

import numpy as np

from hwgen.protect import EVERYTHING
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
    votes = True
    protects = EVERYTHING
    rigid = True

    @property
    def out_order(self):
        return self.sent

    def note(self):
        return f"{self.name}: {self.taken.side} to {self.sent.side} activations a beat"

    def parameters(self):
        return {"DATA_W": self.bits * self.taken.side, "N": self.sent.side // self.taken.side}

    def cycles(self):
        return self.taken.beats

    def estimate(self):
        return {"LUT": 5, "BRAM36": 0}

    @property
    def delay(self):
        return self.sent.side // self.taken.side

    def needs(self, i=0):
        return (np.arange(self.sent.beats) + 1) * (self.sent.side // self.taken.side)


@dataclass(frozen=True, eq=False)
class StreamNarrow(Unit):
    """bits -- of an activation; taken, sent -- the same frame, raster order or on lanes, with fewer side by side when
    sent; a lane without a pixel is left out."""

    name: str
    bits: int
    taken: Order
    sent: Order
    module = "stream_narrow"
    votes = True
    protects = EVERYTHING
    rigid = True

    @property
    def out_order(self):
        return self.sent

    def note(self):
        return f"{self.name}: {self.taken.side} to {self.sent.side} activations a beat"

    def parameters(self):
        n = self.taken.side // self.sent.side
        return {
            "DATA_W": self.bits * self.sent.side,
            "N": n,
            "CHANNELS": self.taken.shape[0],
            "STRIPE": self.taken.stripe if self._short else 1,
            "SHORT": n - 1 if self._short else n,
            "SHORT_FROM": self._short_from,
        }

    @property
    def _short_from(self) -> int:
        """From this column of a stripe on the last lane has no pixel."""
        return self.taken.shape[2] - (self.taken.lanes - 1) * self.taken.stripe

    @property
    def _short(self) -> bool:
        return self.taken.lanes > 1 and self._short_from < self.taken.stripe

    def cycles(self):
        return self.sent.beats

    def estimate(self):
        words = self.taken.side // self.sent.side
        luts = 3 + ceil_log2(words) + self.bits * self.sent.side * max(1, words // 2 - 1)
        if self._short:  # it counts channels and columns, to know when the last lane has no pixel
            luts += 6 + 2 * (ceil_log2(self.taken.shape[0]) + ceil_log2(self.taken.stripe))
        return {"LUT": luts, "BRAM36": 0}

    @property
    def delay(self):
        return self.taken.side // self.sent.side

    def needs(self, i=0):
        n = self.taken.side // self.sent.side
        sent = np.full(self.taken.beats, n)
        if self._short:
            sent[np.arange(self.taken.beats) // self.taken.shape[0] % self.taken.stripe >= self._short_from] = n - 1
        return np.repeat(np.arange(self.taken.beats) + 1, sent)
