"""Recurrent cells over a sequence: rtl/recurrent.v."""

from dataclasses import dataclass

from hwgen.engines import EVERY, Choice, Engine, engine
from hwgen.ops.recurrent import Recurrent as RecurrentOp
from hwgen.stream import Order
from hwgen.units.recurrent import Recurrent


@dataclass(frozen=True)
class Sums(Choice):
    """So many rows of the matrix are multiplied in step, in DSP slices or not."""

    lanes: int = 1
    slices: int = 0
    engine = "recurrent"

    def order(self, shape):
        return Order(shape)

    def __str__(self) -> str:
        where = " in DSP slices" if self.slices else ""
        return f"a sum{where}" if self.lanes == 1 else f"{self.lanes} sums{where}"


@engine
class RecurrentEngine(Engine[Sums]):
    name = "recurrent"
    families = EVERY
    choice = Sums

    def obstacle(self, stage):
        return None if isinstance(stage.op, RecurrentOp) else "it is no recurrent cell"

    def choices(self, stage, limits, sides):
        """Each number of sums in step that is faster than fewer are; at a limit the least that it asks for."""
        op, found = stage.op, {}  # cycles: the least lanes that are so fast
        assert isinstance(op, RecurrentOp)
        for lanes in range(1, min(limits.lanes, op.gates * op.units) + 1):
            whole = op.gates % lanes == 0 or lanes % op.gates == 0
            if whole and op.gates * op.units % lanes == 0:
                found.setdefault(Recurrent(stage, lanes, False, limits.device).cycles(), lanes)
        fast = [lanes for cycles, lanes in found.items() if limits.cycles is None or cycles <= limits.cycles]
        chosen = fast if limits.cycles is None or not fast else fast[:1]
        slices = (0, 1) if limits.dsp and "mac" in limits.device.lanes else (0,)
        return [Sums(lanes, where) for lanes in chosen or [found[min(found)]] for where in slices]

    def reads(self, stage, i, choice, order):
        return Order(order.shape)

    def unit(self, stage, choice, orders, context):
        return Recurrent(stage, choice.lanes, bool(choice.slices), context.device)
