"""rtl/pixel_sum.v: an average over whole frames, a pixel a cycle, with one adder a channel; where no power of two
requantizes it, an adder graph behind it does (templates/pixel_sum.v.j2)."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hwgen.devices import Device
from hwgen.ops.conv import identity
from hwgen.ops.quantize import Quantize, clamp_ends, end_parameters
from hwgen.qtype import signed_width
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.sums import exact_sums, term_count
from hwgen.templates import render
from hwgen.units.adder_graph import AdderGraph
from hwgen.units.unit import Unit
from hwgen.verilog import overrides


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


@dataclass(frozen=True, eq=False)
class RescaledPixelSum(Unit):
    """Sums over whole frames, each then multiplied or compared, side by side.

    order -- of the input, a pixel a beat; levels -- rows of adders between two registers, at least 1
    """

    stage: Stage
    order: Order
    levels: int
    device: Device
    primitives = True
    rigid = True

    @cached_property
    def sums(self) -> PixelSum:
        return PixelSum(replace(self.stage, quantize=None, y=self.stage.op.infer(self.stage.x)), self.order)

    @cached_property
    def behind(self) -> AdderGraph:
        def made() -> Stage:
            return replace(self.stage, op=identity(self.stage.x.shape[0]), types=(self.sums.stage.y,))

        stage = self.stage.once("behind", made)
        return AdderGraph(stage, self.sums.out_order, self.levels, self.device)

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def kind(self) -> str:
        return self.sums.module

    @property
    def module(self) -> str:
        return f"{self.kind}_{self.name}"

    @property
    def latency(self) -> int:
        return self.sums.latency + self.behind.latency

    @property
    def out_order(self) -> Order:
        return self.behind.out_order

    def note(self):
        return f"{self.name}: {self.stage.op}, {self.stage.x} -> {self.stage.y}: a pixel a cycle"

    def parameters(self):
        return {}

    def files(self):
        channels = self.stage.x.shape[0]
        text = render(
            "pixel_sum.v.j2",
            module=self.module,
            note=self.note(),
            x_w=channels * self.stage.x.qtype.bits,
            sum_w=channels * self.sums.stage.y.qtype.bits,
            y_w=channels * self.stage.y.qtype.bits,
            sums=overrides("pixel_sum", self.sums.parameters()),
            behind=self.behind.module,
        )
        return {f"rtl/{self.module}.v": text} | self.behind.files()

    def facts(self):
        return self.sums.facts() | {"latency": self.latency, "adders": len(self.behind.netlist.rows)}

    def cycles(self):
        return self.sums.cycles()

    def estimate(self):
        both = self.sums.estimate(), self.behind.estimate()
        return {name: sum(one[name] for one in both) for name in ("LUT", "BRAM36")}

    def needs(self, i=0):
        return self.sums.needs(i)


def pixel_sum_unit(stage: Stage, order: Order, levels: int, device: Device) -> PixelSum | RescaledPixelSum:
    if isinstance(stage.quantize, Quantize | None):
        return PixelSum(stage, order)
    return RescaledPixelSum(stage, order, levels, device)
