"""Unfolded: an adder for each term, one or more pixels a cycle."""

from dataclasses import dataclass

from hwgen.adders.scaled import requantized
from hwgen.adders.subexpressions import LUT_PER_BIT
from hwgen.engines import Choice, Engine, engine, engines
from hwgen.ops.rescale import Rescale, Steps
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units import window
from hwgen.units.adder_graph import AdderGraph

MUCH = 0.15  # of the LUTs of a layer that DSP slices might save, for their price to be worked out
MOST_STEPS = 255  # thresholds: each bit of the count is a comparison, which looks up one of these by the bits before it


@dataclass(frozen=True)
class Spatial(Choice):
    """A stage that is not folded takes so many pixels a beat; factors of its sums are in DSP slices, or not."""

    pixels: int
    slices: int = 0
    engine = "spatial"

    def order(self, shape):
        return Order(shape).by_pixels(self.pixels)

    def __str__(self) -> str:
        where = ", factors in DSP slices" if self.slices else ""
        return f"spatial{where}" if self.pixels == 1 else f"spatial, {self.pixels} a cycle{where}"


def by_pixels(order: Order, pixels: int) -> Order:
    """The raster order of so many pixels a beat, its channels as they come where they come side by side."""
    return order.by_pixels(pixels) if order.lanes == 1 else Order(order.shape).by_pixels(pixels)


def _has_factors(stage: Stage) -> bool:
    """Whether what multiplies its sums is much of what it takes, and could be in DSP slices."""
    if not isinstance(stage.quantize, Rescale):
        return False
    plain, sliced = requantized(stage), requantized(stage, slices=True)
    sums = LUT_PER_BIT * stage.x.qtype.bits * len(plain.terms)
    return bool(sliced.slices) and plain.luts - sliced.luts > MUCH * (sums + plain.luts)


def too_many_steps(stage: Stage) -> str | None:
    """Why a netlist of adders cannot compare sums with thresholds; None where it can, or need not."""
    count = stage.quantize.thresholds.shape[1] if isinstance(stage.quantize, Steps) else 0
    return f"its sums are compared with {count} thresholds, above {MOST_STEPS}" if count > MOST_STEPS else None


@engine
class SpatialEngine(Engine[Spatial]):
    name = "spatial"
    families = ("spatial",)
    choice = Spatial
    any_order = True

    def obstacle(self, stage):
        if stage.op.window is None:
            return "it is neither a sum nor a maximum over a window"
        return too_many_steps(stage) or window.obstacle(stage)

    def choices(self, stage, limits, sides):
        # where an adder a channel does, that is less
        least = 1 if engines()["pixel_sum"].obstacle(stage) else 2
        most = min(limits.pixels, stage.x.shape[2])
        pixels = [n for n in range(least, most + 1) if window.obstacle(stage, n) is None]
        slices = (0, 1) if limits.dsp and "mac" in limits.device.lanes and _has_factors(stage) else (0,)
        return [Spatial(n, where) for n in pixels for where in slices]

    def reads(self, stage, i, choice, order):
        return by_pixels(order, choice.pixels)

    def unit(self, stage, choice, orders, context):
        return AdderGraph(stage, orders[0], context.levels, context.device, bool(choice.slices))
