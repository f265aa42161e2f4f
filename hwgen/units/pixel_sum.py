"""rtl/pixel_sum.v: an average over whole frames, a pixel a cycle, with one adder a channel."""

from dataclasses import dataclass

import numpy as np

from hwgen.ops.conv import Conv
from hwgen.ops.quantize import clamp_ends
from hwgen.program import ExactSums
from hwgen.qtype import signed_width
from hwgen.stream import Order
from hwgen.units.layer import Layer
from hwgen.units.unit import Unit, signed64


def possible(layer: Layer) -> bool:
    """Whether the layer adds up all pixels of each channel with the weight 1 on its grid, and one constant for all."""
    op = layer.op
    if not isinstance(op, Conv) or layer.y.shape != (layer.x.shape[0], 1, 1) or op.groups != layer.x.shape[0]:
        return False
    if layer.kernel != tuple(layer.x.shape[1:]) or any(op.padding) or (op.integers != 1).any():
        return False
    sums = ExactSums.of(op, layer.x, layer.quantize)
    return sums.lift == 0 and len(set(sums.constants)) == 1


@dataclass(frozen=True, eq=False)
class PixelSum(Unit):
    """order -- of the input, a pixel a beat"""

    layer: Layer
    order: Order
    module = "pixel_sum"
    primitives = True
    rigid = True

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def out_order(self) -> Order:
        return Order(self.layer.y.shape, channels=self.order.channels).by_pixels(1)

    def note(self):
        return f"{self.name}: {self.layer.op}, {self.layer.x} -> {self.layer.y}: a pixel a cycle"

    def parameters(self):
        layer, x = self.layer, self.layer.x.qtype
        sums = ExactSums.of(layer.op, layer.x, layer.quantize)
        constant, drop = sums.constants[0], sums.drop
        low, high = x.low * self.order.beats + constant, x.high * self.order.beats + constant
        bits = max(signed_width(low, high), x.bits + 1, drop + 1)
        return {
            "CHANNELS": layer.x.shape[0],
            "BEATS": self.order.beats,
            "X_W": x.bits,
            "X_SIGNED": int(x.signed),
            "W": bits,
            "CONSTANT": (constant % (1 << bits), bits),
            "DROP": drop,
            "OUT_W": layer.y.qtype.bits,
            **signed64(clamp_ends(layer.unclamped, layer.quantize)),
        }

    def facts(self):
        terms = self.layer.program.terms
        return {"terms": terms, "latency": 1, "useful": terms, "capacity": self.layer.x.shape[0]}

    def cycles(self):
        return self.order.beats

    def estimate(self):
        p = self.parameters()
        # above the columns of an activation the carry goes on alone; the clamp is what sets and clears the register
        several = p["W"] - p["DROP"] - p["OUT_W"] > 1  # bits that say a result is too great
        return {"LUT": 6 + p["CHANNELS"] * (p["X_W"] + several), "BRAM36": 0}

    def needs(self):
        return np.full(1, self.order.beats)
