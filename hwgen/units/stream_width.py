"""rtl/stream_widen.v and rtl/stream_narrow.v: between a stream of activations and one of pixels."""

from dataclasses import dataclass

import numpy as np

from hwgen.stream import Order
from hwgen.units.unit import Unit


@dataclass(frozen=True, eq=False)
class StreamWiden(Unit):
    """Activations in raster order to whole pixels."""

    name: str
    bits: int
    order: Order  # of the output
    module = "stream_widen"

    def note(self):
        return f"{self.name}: {self.order.side} activations to a beat"

    def parameters(self):
        return {"DATA_W": self.bits, "N": self.order.side}

    def cycles(self):
        return self.order.beats * self.order.side

    def estimate(self):
        return {"LUT": 10, "BRAM36": 0}

    def needs(self):
        return (np.arange(self.order.beats) + 1) * self.order.side


@dataclass(frozen=True, eq=False)
class StreamNarrow(Unit):
    """Whole pixels to activations in raster order."""

    name: str
    bits: int
    order: Order  # of the input
    module = "stream_narrow"

    def note(self):
        return f"{self.name}: a beat to {self.order.side} activations"

    def parameters(self):
        return {"DATA_W": self.bits, "N": self.order.side}

    def cycles(self):
        return self.order.beats * self.order.side

    def estimate(self):
        return {"LUT": 10 + self.bits * self.order.side // 3, "BRAM36": 0}

    def needs(self):
        return np.repeat(np.arange(self.order.beats) + 1, self.order.side)
