"""rtl/pixel_sum.v: an average over whole frames, a pixel a cycle, with one adder a channel."""

from dataclasses import dataclass

import numpy as np

from hwgen.ops.quantize import clamp_ends, end_parameters
from hwgen.qtype import signed_width
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.sums import exact_sums, term_count
from hwgen.units.unit import Unit


@dataclass(frozen=True, eq=False)
class PixelSum(Unit):
    """order -- of the input, a pixel a beat"""

    stage: Stage
    order: Order
    module = "pixel_sum"
    primitives = True
    rigid = True

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def out_order(self) -> Order:
        return Order(self.stage.y.shape, channels=self.order.channels).by_pixels(1)

    def note(self):
        return f"{self.name}: {self.stage.op}, {self.stage.x} -> {self.stage.y}: a pixel a cycle"

    def parameters(self):
        stage, x = self.stage, self.stage.x.qtype
        sums = exact_sums(stage)
        constant, drop = sums.constants[0], sums.drop
        low, high = x.low * self.order.beats + constant, x.high * self.order.beats + constant
        bits = max(signed_width(low, high), x.bits + 1, drop + 1)
        return {
            "CHANNELS": stage.x.shape[0],
            "BEATS": self.order.beats,
            "X_W": x.bits,
            "X_SIGNED": int(x.signed),
            "W": bits,
            "CONSTANT": (constant % (1 << bits), bits),
            "DROP": drop,
            "OUT_W": stage.y.qtype.bits,
            **end_parameters(clamp_ends(stage.unclamped, stage.quantize)),
        }

    def facts(self):
        terms = term_count(self.stage)
        return {"terms": terms, "latency": 1, "useful": terms, "capacity": self.stage.x.shape[0]}

    def cycles(self):
        return self.order.beats

    def estimate(self):
        p = self.parameters()
        # above the columns of an activation the carry goes on alone; the clamp is what sets and clears the register
        several = p["W"] - p["DROP"] - p["OUT_W"] > 1  # bits that say a result is too great
        return {"LUT": 6 + p["CHANNELS"] * (p["X_W"] + several), "BRAM36": 0}

    def needs(self, i=0):
        return np.full(1, self.order.beats)
