"""Averages over whole frames, a pixel a cycle, with one adder a channel: rtl/pixel_sum.v."""

from dataclasses import dataclass

from hwgen.engines import Choice, Engine, engine
from hwgen.engines.spatial import by_pixels, too_many_steps
from hwgen.ops.conv import Conv
from hwgen.stream import Order
from hwgen.sums import exact_sums
from hwgen.units.pixel_sum import pixel_sum_unit


@dataclass(frozen=True)
class PixelByPixel(Choice):
    """A pixel a beat."""

    engine = "pixel_sum"

    def order(self, shape):
        return Order(shape).by_pixels(1)

    def __str__(self) -> str:
        return "spatial"


@engine
class PixelSumEngine(Engine[PixelByPixel]):
    name = "pixel_sum"
    families = ("spatial",)
    choice = PixelByPixel
    any_order = True

    def obstacle(self, stage):
        """None where it adds up all pixels of each channel with the weight 1 on its grid, and one constant for all."""
        op, x = stage.op, stage.x
        if not isinstance(op, Conv) or stage.y.shape != (x.shape[0], 1, 1) or op.groups != x.shape[0]:
            return "it is no sum over each channel"
        if op.kernel != tuple(x.shape[1:]) or any(op.padding) or (op.integers != 1).any():
            return "it is no plain sum over whole frames"
        if steps := too_many_steps(stage):
            return steps
        sums = exact_sums(stage)
        return None if sums.lift == 0 and len(set(sums.constants)) == 1 else "its sums are shifted, or unlike"

    def choices(self, stage, limits, sides):
        return [PixelByPixel()]

    def reads(self, stage, i, choice, order):
        return by_pixels(order, 1)

    def unit(self, stage, choice, orders, context):
        return pixel_sum_unit(stage, orders[0], context.levels, context.device)
