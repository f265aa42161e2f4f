"""rtl/concat.v and rtl/concat_pixels.v: two frames one behind the other."""

from dataclasses import dataclass

import numpy as np

from hwgen.ops.add import shifts
from hwgen.ops.concat import AXES
from hwgen.ops.concat import Concat as ConcatOp
from hwgen.qtype import ceil_log2
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.unit import Unit
from hwgen.walks import Step, Walk


@dataclass(frozen=True, eq=False)
class Concat(Unit):
    """orders -- of both sides, on as many lanes, or as many pixels a beat
    pixels -- of a beat; 0: it is not by pixels
    """

    stage: Stage
    orders: tuple[Order, Order]
    pixels: int
    takes = ("a_axis", "b_axis")

    @property
    def name(self) -> str:
        return self.stage.result

    @property
    def op(self) -> ConcatOp:
        assert isinstance(self.stage.op, ConcatOp)
        return self.stage.op

    @property
    def axis(self) -> int:
        return self.op.axis

    @property
    def together(self) -> bool:
        """Whether it takes a beat of both at once: whole pixels, their channels side by side."""
        return self.axis == 0 and self.pixels > 0

    @property
    def module(self) -> str:
        return "concat_pixels" if self.together else "concat"

    @property
    def out_order(self):
        a, b = self.orders
        channels = a.channels
        if self.axis == 0 and (a.channels or b.channels or self.op.channels):
            sent = np.argsort([*a.places, *(a.shape[0] + b.places)])  # of both, one behind the other
            channels = tuple((np.argsort(self.op.channels)[sent] if self.op.channels else sent).tolist())
        return Order(self.stage.y.shape, a.lanes, a.side + b.side if self.together else a.side, channels)

    def note(self):
        a, b = self.stage.types
        return f"{self.name}: {a} and {b} along {AXES[self.axis]} -> {self.stage.y}"

    @property
    def runs(self) -> tuple[int, int]:
        """Beats of each side that follow each other: of a pixel, of a row, or of a frame."""
        parts = [(order.beats, order.shape[1] * order.stripe, order.shape[1]) for order in self.orders]
        if self.axis == 0:
            return (parts[0][0] // parts[0][1], parts[1][0] // parts[1][1])
        if self.axis == 2:
            return (parts[0][0] // parts[0][2], parts[1][0] // parts[1][2])
        return (parts[0][0], parts[1][0])

    def parameters(self):
        common = {"PIXELS": self.pixels} if self.together else {"N": self.orders[0].side}
        ups = shifts(*self.stage.types)
        for i, (side, kind) in enumerate(zip("AB", self.stage.types, strict=True)):
            common |= {f"{side}_N": kind.shape[0]} if self.together else {}
            common |= {
                f"{side}_W": kind.qtype.bits,
                f"{side}_SIGNED": int(kind.qtype.signed),
                f"{side}_SHIFT": ups[i] if kind.qtype.low or kind.qtype.high else 0,  # zeros are on every grid
            }
            common |= {} if self.together else {f"{side}_RUN": self.runs[i]}
        return common | {"OUT_W": self.stage.y.qtype.bits}

    def cycles(self):
        return self.out_order.beats

    def estimate(self):
        if self.together:
            return {"LUT": 3, "BRAM36": 0}
        p, bits = self.parameters(), self.stage.y.qtype.bits
        # columns that have a bit of both; one side's zeros are what clears a register
        tops = [bits if p[f"{side}_SIGNED"] else p[f"{side}_W"] + p[f"{side}_SHIFT"] for side in "AB"]
        columns = max(0, min(tops) - max(p["A_SHIFT"], p["B_SHIFT"]))
        return {"LUT": 4 + ceil_log2(max(self.runs)) + self.orders[0].side * columns, "BRAM36": 0}

    def needs(self, i=0):
        if self.together:
            return np.arange(1, self.orders[0].beats + 1)
        a, b = self.runs
        whole, within = np.divmod(np.arange(self.cycles()), a + b)
        taken = np.minimum(within + 1, a) if i == 0 else np.maximum(0, within + 1 - a)
        return whole * self.runs[i] + taken

    def pauses(self, i=0):
        return 0 if self.together or self.axis == 1 else self.runs[1 - i]

    def walks(self, rows, taken, sent):
        if self.axis != 1:
            return [Walk([Step(True, True, sent, sent)] * rows, gap=0.0)]
        counts = [kind.shape[1] for kind in self.stage.types]
        return [Walk([Step(True, True, sent, sent, of=(i,)) for i in range(2) for _ in range(counts[i])], gap=0.0)]
