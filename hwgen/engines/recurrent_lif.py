"""Neurons whose spikes come back to them: rtl/recurrent_lif.v."""

from dataclasses import dataclass

from hwgen.engines import EVERY, Choice, Engine, engine
from hwgen.ops.recurrent_lif import RecurrentLif as RecurrentLifOp
from hwgen.stream import Order
from hwgen.units.recurrent_lif import RecurrentLif


@dataclass(frozen=True)
class Rows(Choice):
    """So many rows of the matrix are added up in step."""

    lanes: int = 1
    engine = "recurrent_lif"

    def order(self, shape):
        return Order(shape)

    def __str__(self) -> str:
        return "a row" if self.lanes == 1 else f"{self.lanes} rows"


@engine
class RecurrentLifEngine(Engine[Rows]):
    name = "recurrent_lif"
    families = EVERY
    choice = Rows

    def obstacle(self, stage):
        return None if isinstance(stage.op, RecurrentLifOp) else "it has no recurrent neurons"

    def choices(self, stage, limits, sides):
        """Each number of rows that divides them; at a limit the least that keeps it, else the most."""
        op = stage.op
        assert isinstance(op, RecurrentLifOp)
        able = [lanes for lanes in range(1, min(limits.lanes, len(op.weight)) + 1) if len(op.weight) % lanes == 0]
        if limits.cycles is None:
            return [Rows(lanes) for lanes in able]
        fast = [n for n in able if RecurrentLif(stage, n, limits.device).cycles() <= limits.cycles]
        return [Rows((fast or able[-1:])[0])]

    def reads(self, stage, i, choice, order):
        return Order(order.shape)

    def unit(self, stage, choice, orders, context):
        return RecurrentLif(stage, choice.lanes, context.device)
