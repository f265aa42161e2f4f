"""What engines share whose units take a pixel channel by channel, an activation a beat."""

from dataclasses import dataclass
from typing import ClassVar

from hwgen.engines import EVERY, Choice, Engine
from hwgen.ir import Op
from hwgen.stream import Order
from hwgen.units.channels import ChannelUnit


@dataclass(frozen=True)
class Serial(Choice):
    """An activation a beat, in raster order; slices -- whether products are in DSP slices."""

    slices: int = 0

    def order(self, shape):
        return Order(shape)

    def __str__(self) -> str:
        return "an activation a beat" + (", products in DSP slices" if self.slices else "")


class ChannelEngine(Engine[Serial]):
    """op -- the class of the ops that it computes; unit_of -- of their units"""

    families = EVERY
    op: ClassVar[type[Op]]
    unit_of: ClassVar[type[ChannelUnit]]

    def obstacle(self, stage):
        return None if isinstance(stage.op, self.op) else f"it is no {self.op.__name__}"

    def choices(self, stage, limits, sides):
        able = limits.dsp and "mac" in limits.device.lanes and self.unit_of(stage, limits.device).fits_slices
        return [self.choice(slices) for slices in ((0, 1) if able else (0,))]

    def reads(self, stage, i, choice, order):
        return Order(order.shape)

    def unit(self, stage, choice, orders, context):
        return self.unit_of(stage, context.device, bool(choice.slices))
