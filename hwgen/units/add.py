"""rtl/add.v: the sum or the difference of two streams, requantized."""

from dataclasses import dataclass

from hwgen.ops.add import Add as AddOp
from hwgen.ops.add import shifts
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.rounding import clamp_luts, lift, rounding
from hwgen.units.unit import BeatByBeat


@dataclass(frozen=True, eq=False)
class Add(BeatByBeat):
    """order -- of both inputs and of the output"""

    stage: Stage
    order: Order
    module = "add"
    takes = ("a_axis", "b_axis")

    @property
    def name(self) -> str:
        return self.stage.result

    @property
    def minus(self) -> bool:
        """Whether b is taken away."""
        assert isinstance(self.stage.op, AddOp)
        return self.stage.op.multipliers[1] < 0

    def note(self):
        a, b = self.stage.types
        return f"{self.name}: {a} {'-' if self.minus else '+'} {b} -> {self.stage.y}"

    def estimate(self):
        p = self.parameters()
        ends = [p[f"{side}_W"] + p[f"{side}_SHIFT"] for side in "AB"]
        tops = [max(ends) if p[f"{side}_SIGNED"] else end for side, end in zip("AB", ends, strict=True)]
        # columns that have a bit of both; others are the carry chain's own
        first = max(p["A_SHIFT"], p["B_SHIFT"])
        columns = max(0, min(tops) - first)
        if self.minus:  # a difference's borrow goes on to its end
            columns = p["W"] - first
        if p["DROP"] > max(1, first):  # the half is a third operand where it is no carry into the first column
            columns *= 2
        return {"LUT": 3 + self.order.side * (columns + clamp_luts(p, p["OUT_W"])), "BRAM36": 0}

    def parameters(self):
        up = lift(self.stage)
        a, b = self.stage.types
        up_a, up_b = shifts(a, b)
        return {
            "N": self.order.side,
            "A_W": a.qtype.bits,
            "A_SIGNED": int(a.qtype.signed),
            "A_SHIFT": up_a + up,
            "B_W": b.qtype.bits,
            "B_SIGNED": int(b.qtype.signed),
            "B_SHIFT": up_b + up,
            "B_MINUS": int(self.minus),
            **rounding(self.stage),
        }
