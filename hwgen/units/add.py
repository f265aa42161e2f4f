"""rtl/add.v: the sum of two streams, requantized."""

from dataclasses import dataclass

from hwgen.ir import TensorType
from hwgen.ops.add import Add as AddOp
from hwgen.ops.quantize import Quantize, clamp_ends
from hwgen.qtype import QType, width
from hwgen.stream import Order
from hwgen.units.unit import BeatByBeat, signed64


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

    def parameters(self):
        up_a, up_b = AddOp.shifts(self.a, self.b)
        drop = self.quantize.exponent - min(self.a.exponent, self.b.exponent) if self.quantize else 0
        # a finer output grid than the operands': shift them up instead
        up_a, up_b, drop = up_a + max(0, -drop), up_b + max(0, -drop), max(0, drop)
        constant = (1 << drop) >> 1
        low = (self.a.qtype.low << up_a) + (self.b.qtype.low << up_b)
        high = (self.a.qtype.high << up_a) + (self.b.qtype.high << up_b) + constant
        bits = max(width(min(low, -1), high), drop + 1)
        return {
            "N": self.order.side,
            "A_W": self.a.qtype.bits,
            "A_SIGNED": int(self.a.qtype.signed),
            "A_SHIFT": up_a,
            "B_W": self.b.qtype.bits,
            "B_SIGNED": int(self.b.qtype.signed),
            "B_SHIFT": up_b,
            "W": bits,
            **signed64({"CONSTANT": constant}),
            "DROP": drop,
            "OUT_W": self.y.qtype.bits,
            **signed64(clamp_ends(QType(low >> drop, high >> drop), self.quantize)),
        }
