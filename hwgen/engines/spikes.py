"""Folded, by what spiked: a linear layer of activations of one bit, or a pointwise convolution (rtl/spike_lanes.v)."""

from dataclasses import dataclass, replace

from hwgen.engines import Choice, Engine, engine
from hwgen.lanes.fold import legal_groups
from hwgen.lanes.shifts import as_shift
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.stream import Order
from hwgen.tiles import vector_of
from hwgen.units.spike_lanes import MOST_SIDE, SpikeLanes, side_of

NEIGHBOURS = 2  # choices of a stage that are more than it needs
# times that a layer can be faster than the slowest, at their worst, where no rate is asked for: of the inputs of one as
# many more may spike than of the other's, on average
SPARE = 4


@dataclass(frozen=True)
class Banks(Choice):
    """So many accumulators, and at most so many activations of a beat."""

    banks: int = 1
    side: int = MOST_SIDE
    engine = "spikes"

    def order(self, shape):
        return Order(shape, 1, self.side)

    def __str__(self) -> str:
        return f"{self.banks} for spikes"


@engine
class Spikes(Engine[Banks]):
    name = "spikes"
    families = ("spikes",)
    choice = Banks
    any_order = True

    def obstacle(self, stage):
        stage = as_shift(stage)
        op, x = stage.op, stage.x
        if not isinstance(op, Conv) or op.groups != 1:
            return "it is no matrix of weights"
        if x.qtype != QType(0, 1):
            return f"its activations are {x.qtype}, not of one bit"
        if not vector_of(op, x.shape):
            return "its windows overlap"
        if stage.loadable:
            return "its weights are to be loaded, which lanes alone can"
        return None if isinstance(stage.quantize, Quantize | None) else "its sums are multiplied or compared"

    def choices(self, stage, limits, sides):
        """All that make fewer rounds than fewer accumulators do; at a limit the least that are fast enough, or those
        that are SPARE times as fast, and the fastest."""
        stage = as_shift(stage)
        found = [Banks(n, side_of(stage)) for n in legal_groups(stage, limits.lanes)]
        if limits.cycles is None:
            return found
        cycles, order = limits.cycles / (1 if limits.targets else SPARE), Order(stage.x.shape)

        def alone(choice: Banks) -> int:
            unit = SpikeLanes(stage, choice.banks, order, limits.device)
            return stage.once(("spike cycles", choice.banks), unit.cycles)

        enough = [choice for choice in found if alone(choice) <= cycles]
        return list(dict.fromkeys([*enough[:NEIGHBOURS], min(found, key=alone)]))

    def reads(self, stage, i, choice, order):
        if order.lanes == 1:
            return replace(order, side=side_of(stage, order))
        return order.serial if stage.y.shape[1:] == (1, 1) else Order(order.shape)

    def unit(self, stage, choice, orders, context):
        sort = stage.result in context.free
        return SpikeLanes(as_shift(stage), choice.banks, orders[0], context.device, sort)
