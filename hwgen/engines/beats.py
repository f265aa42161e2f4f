"""What engines share whose units take a beat of each input for every beat that they send."""

from dataclasses import dataclass, replace
from math import lcm
from typing import TypeVar

from hwgen.engines import EVERY, Choice, Engine
from hwgen.stream import Order


@dataclass(frozen=True)
class Beats(Choice):
    """All inputs come on so many lanes, or so many pixels a beat; 0 pixels: not by pixels."""

    lanes: int = 1
    pixels: int = 0

    def order(self, shape):
        own = Order(shape)
        return own.by_pixels(self.pixels) if self.pixels else own.by_lanes(self.lanes)

    def __str__(self) -> str:
        if self.pixels:
            return "a pixel a beat" if self.pixels == 1 else f"{self.pixels} pixels a beat"
        return "an activation a beat" if self.lanes == 1 else f"{self.lanes} lanes"


B = TypeVar("B", bound=Beats)


class BeatEngine(Engine[B]):
    """An engine of units that are as fast as the streams that they join."""

    families = EVERY

    def choices(self, stage, limits, sides):
        """As one of the sides sends, an activation a beat, or so many pixels that neither side brings more."""
        orders = sides()
        found = {self.choice(pixels=o.pixels) if o.pixels and o.side > 1 else self.choice(o.lanes) for o in orders}
        some = {one.pixels for one in found if one.pixels}
        columns = stage.y.shape[2]
        found |= {self.choice(pixels=n) for a in some for b in some if columns % (n := lcm(a, b)) == 0}
        return sorted(found | {self.choice()}, key=lambda one: (one.pixels, one.lanes))

    def reads(self, stage, i, choice, order):
        """All sides alike: in the channels' own order, but where the unit passes on any."""
        wanted = choice.order(order.shape)
        return replace(wanted, channels=order.channels) if self.passes_order else wanted
