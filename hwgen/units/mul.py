"""rtl/mul.v: the products of two streams, requantized."""

from dataclasses import dataclass

from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.product import product_rows
from hwgen.units.rounding import clamp_luts, lift, rounding
from hwgen.units.unit import BeatByBeat


@dataclass(frozen=True, eq=False)
class Mul(BeatByBeat):
    """order -- of both inputs and of the output"""

    stage: Stage
    order: Order
    module = "mul"
    takes = ("a_axis", "b_axis")

    @property
    def name(self) -> str:
        return self.stage.result

    @property
    def _product(self) -> tuple[int, int]:
        """LUTs and rows of a product."""
        a, b = (kind.qtype for kind in self.stage.types)
        return product_rows(a.bits, a.signed, b.bits, b.signed)

    @property
    def latency(self):  # type: ignore[override]
        return self._product[1]

    def note(self):
        a, b = self.stage.types
        return f"{self.name}: {a} * {b} -> {self.stage.y}"

    def parameters(self):
        a, b = self.stage.types
        return {
            "N": self.order.side,
            "A_W": a.qtype.bits,
            "A_SIGNED": int(a.qtype.signed),
            "B_W": b.qtype.bits,
            "B_SIGNED": int(b.qtype.signed),
            "SHIFT": lift(self.stage),
            **rounding(self.stage),
        }

    def estimate(self):
        p = self.parameters()
        tables, rows = self._product
        wide = tables // rows - 2  # bits of the factor that is added
        own_sum = p["DROP"] > wide + 1  # the half is no part of the first row
        luts = tables + own_sum * (p["W"] - p["DROP"]) + clamp_luts(p, p["OUT_W"])
        return {"LUT": 3 + self.order.side * luts, "BRAM36": 0}
