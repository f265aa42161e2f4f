"""What units share that need all channels of a pixel before they send any of it, an activation a beat."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.devices import Device
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.stream_fifo import StreamFifo
from hwgen.units.unit import Unit
from hwgen.walks import Step, Walk

# of the factors and the sum of rtl/pe_mac.v
FACTOR_BITS, ACTIVATION_BITS, SUM_BITS = 18, 26, 48


@dataclass(frozen=True, eq=False)
class ChannelUnit(Unit):
    """A unit that takes a pixel while it sends the one before; both orders are raster order, an activation a beat.

    slices       whether its products are in DSP slices
    turnaround   cycles of a pixel at least, however few channels it has
    fits_slices  whether it has products, and DSP slices hold them
    """

    stage: Stage
    device: Device
    slices: bool = False
    fits_slices = False
    rigid = True

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def out_order(self) -> Order:
        return Order(self.stage.y.shape)

    @property
    def leaves_out(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"product"} if self.slices else {"pe_mac"})

    @property
    def channels(self) -> int:
        return self.stage.x.shape[0]

    @property
    def turnaround(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}.turnaround")

    def note(self):
        return f"{self.name}: {self.stage.op}, {self.stage.x} -> {self.stage.y}"

    @cached_property
    def pixel_cycles(self) -> int:
        """Cycles from a pixel to the next one."""
        return max(self.channels, self.stage.y.shape[0], self.turnaround)

    def cycles(self):
        _, rows, columns = self.stage.x.shape
        return rows * columns * self.pixel_cycles

    def needs(self, i=0):
        _, rows, columns = self.stage.x.shape
        return np.repeat(np.arange(1, rows * columns + 1) * self.channels, self.stage.y.shape[0])

    def walks(self, rows, taken, sent):
        quiet = self.pixel_cycles - self.stage.y.shape[0] if sent < taken else 0  # a FIFO fills the gaps of the others
        return [Walk([Step(True, True, self.cycles() // rows, sent, quiet)] * rows, gap=quiet)]

    def fifo(self, bits: int, cycles: int) -> StreamFifo:
        """Where a pixel's beats wait for what is found of all of them, `cycles` after the last: one more pixel may come
        meanwhile."""
        depth = max(2, self.channels + min(self.channels, cycles))
        return StreamFifo(f"{self.name}_0", bits, depth, Order(self.stage.x.shape), self.device)
