"""rtl/add.v: the sum of two streams, requantized."""

from dataclasses import dataclass

from hwgen.ir import TensorType
from hwgen.ops.add import shifts
from hwgen.ops.quantize import Quantize, clamp_ends, end_parameters
from hwgen.qtype import QType, signed_width
from hwgen.stream import Order
from hwgen.units.unit import BeatByBeat
from hwgen.verilog import signed64


@dataclass(frozen=True, eq=False)
class Add(BeatByBeat):
    name: str
    a: TensorType
    b: TensorType
    quantize: Quantize | None
    y: TensorType
    order: Order
    module = "add"
    takes = ("a_axis", "b_axis")

    def note(self):
        return f"{self.name}: {self.a} + {self.b} -> {self.y}"

    def estimate(self):
        p = self.parameters()
        ends = [p[f"{side}_W"] + p[f"{side}_SHIFT"] for side in "AB"]
        tops = [max(ends) if p[f"{side}_SIGNED"] else end for side, end in zip("AB", ends, strict=True)]
        # columns that have a bit of both; others are the carry chain's own
        first = max(p["A_SHIFT"], p["B_SHIFT"])
        columns = max(0, min(tops) - first)
        if p["DROP"] > max(1, first):  # the half is a third operand where it is no carry into the first column
            columns *= 2
        # one end is what clears or sets the register, the other takes a LUT a bit
        clamp = {0: 0, 1: 1, 2: p["OUT_W"] + 1}[("LOW" in p) + ("HIGH" in p)]
        return {"LUT": 3 + self.order.side * (columns + clamp), "BRAM36": 0}

    def parameters(self):
        up_a, up_b = shifts(self.a, self.b)
        drop = self.quantize.exponent - min(self.a.exponent, self.b.exponent) if self.quantize else 0
        # a finer output grid than the operands': shift them up instead
        up_a, up_b, drop = up_a + max(0, -drop), up_b + max(0, -drop), max(0, drop)
        constant = (1 << drop) >> 1
        low = (self.a.qtype.low << up_a) + (self.b.qtype.low << up_b)
        high = (self.a.qtype.high << up_a) + (self.b.qtype.high << up_b) + constant
        bits = max(signed_width(low, high), drop + 1)
        return {
            "N": self.order.side,
            "A_W": self.a.qtype.bits,
            "A_SIGNED": int(self.a.qtype.signed),
            "A_SHIFT": up_a,
            "B_W": self.b.qtype.bits,
            "B_SIGNED": int(self.b.qtype.signed),
            "B_SHIFT": up_b,
            "W": bits,
            "CONSTANT": signed64(constant),
            "DROP": drop,
            "OUT_W": self.y.qtype.bits,
            **end_parameters(clamp_ends(QType(low >> drop, high >> drop), self.quantize)),
        }
