"""The sum of multiples of two streams, requantized: rtl/add.v where these are shifts, else add_graph_LAYER.v, made by
templates/add_graph.v.j2."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.adders.datapath import Datapath
from hwgen.adders.netlist import adder_netlist
from hwgen.ops.add import Add as AddOp
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.templates import render
from hwgen.terms import term_table
from hwgen.units.rounding import Scaling, clamp_luts
from hwgen.units.unit import BeatByBeat


@dataclass(frozen=True)
class Weighted:
    """(factors[0] * a + factors[1] * b + constant) >> drop, requantized as Scaling says.

    exact -- the range of the sum without the constant
    """

    factors: tuple[int, int]
    scaling: Scaling
    exact: QType

    @staticmethod
    def of(stage: Stage) -> "Weighted":
        assert isinstance(stage.op, AddOp), f"{stage.name}: {stage.op} is no addition"
        scaling = Scaling.of(stage)
        a, b = (factor * scaling.factor for factor in stage.op.factors(*stage.types))
        zeros = ((a | b) & -(a | b)).bit_length() - 1 if a or b else 0
        reduced = scaling.reduced(zeros)
        kept = scaling.drop - reduced.drop
        a, b = a >> kept, b >> kept
        (low_a, high_a), (low_b, high_b) = (
            sorted((kind.qtype.low * factor, kind.qtype.high * factor))
            for kind, factor in zip(stage.types, (a, b), strict=True)
        )
        return Weighted((a, b), reduced, QType(low_a + low_b, high_a + high_b))

    @property
    def only_shifts(self) -> bool:
        """Whether rtl/add.v does it."""
        a, b = self.factors
        return a > 0 and b != 0 and a & (a - 1) == 0 and abs(b) & (abs(b) - 1) == 0 and not self.scaling.ties


def add_unit(stage: Stage, order: Order, levels: int) -> "Add | AddGraph":
    return Add(stage, order) if Weighted.of(stage).only_shifts else AddGraph(stage, order, levels)


@dataclass(frozen=True, eq=False)
class _Sum(BeatByBeat):
    """order -- of both inputs and of the output"""

    stage: Stage
    order: Order
    takes = ("a_axis", "b_axis")

    @property
    def name(self) -> str:
        return self.stage.result

    @cached_property
    def weighted(self) -> Weighted:
        return Weighted.of(self.stage)


@dataclass(frozen=True, eq=False)
class Add(_Sum):
    """rtl/add.v"""

    module = "add"

    @property
    def minus(self) -> bool:
        """Whether b is taken away."""
        return self.weighted.factors[1] < 0

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
        a, b = self.stage.types
        up_a, up_b = (abs(factor).bit_length() - 1 for factor in self.weighted.factors)
        return {
            "N": self.order.side,
            "A_W": a.qtype.bits,
            "A_SIGNED": int(a.qtype.signed),
            "A_SHIFT": up_a,
            "B_W": b.qtype.bits,
            "B_SIGNED": int(b.qtype.signed),
            "B_SHIFT": up_b,
            "B_MINUS": int(self.minus),
            **self.weighted.scaling.parameters(self.weighted.exact, self.stage),
        }


@dataclass(frozen=True, eq=False)
class AddGraph(_Sum):
    """levels -- rows of adders between two registers, at least 1"""

    levels: int
    primitives = True
    rigid = True

    @property
    def kind(self) -> str:
        return "add_graph"

    @property
    def module(self) -> str:
        return f"{self.kind}_{self.name}"

    @cached_property
    def datapath(self) -> Datapath:
        """Of an activation. Kept with the stage: a design may be placed more than once."""

        def made() -> Datapath:
            (a, b), scaling, exact = self.weighted.factors, self.weighted.scaling, self.weighted.exact
            total = QType(exact.low + scaling.constant, exact.high + scaling.constant)
            inputs = (self.stage.types[0].qtype, self.stage.types[1].qtype)
            netlist = adder_netlist(term_table(np.array([[a, b]])), [scaling.constant], inputs, [total])
            ties, y = [scaling.ties], self.stage.y.qtype
            return Datapath(netlist, self.levels, scaling.drop, ties, y, self.stage.quantize)

        return self.stage.once(("sum", self.levels), made)

    @property
    def latency(self) -> int:
        return self.datapath.stages

    def note(self):
        (a, b), (times_a, times_b) = self.stage.types, self.weighted.factors
        return f"{self.name}: {times_a} * {a} {'+-'[times_b < 0]} {abs(times_b)} * {b} -> {self.stage.y}"

    def parameters(self):
        return {}

    def files(self):
        a, b = self.stage.types
        text = render(
            "add_graph.v.j2",
            module=self.module,
            note=self.note(),
            n=self.order.side,
            a_w=a.qtype.bits,
            b_w=b.qtype.bits,
            about="A result of an activation of a and one of b: x are both",
            **self.datapath.verilog(["a", "b"]),
        )
        return {f"rtl/{self.module}.v": text}

    def facts(self):
        return {"adders": len(self.datapath.netlist.rows)}

    def estimate(self):
        return {"LUT": 3 + self.order.side * self.datapath.luts, "BRAM36": 0}
