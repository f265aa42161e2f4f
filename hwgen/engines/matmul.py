"""Products of two computed matrices: rtl/matmul.v."""

from dataclasses import dataclass

from hwgen.engines import EVERY, Choice, Engine, engine
from hwgen.ops.matmul import MatMul as MatMulOp
from hwgen.stream import Order
from hwgen.units.matmul import MatMul


@dataclass(frozen=True)
class Columns(Choice):
    """So many columns of the second factor are multiplied in step, in DSP slices or not."""

    lanes: int = 1
    slices: int = 0
    engine = "matmul"

    def order(self, shape):
        return Order(shape)

    def __str__(self) -> str:
        where = " in DSP slices" if self.slices else ""
        return f"a column{where}" if self.lanes == 1 else f"{self.lanes} columns{where}"


@engine
class MatMulEngine(Engine[Columns]):
    name = "matmul"
    families = EVERY
    choice = Columns

    def obstacle(self, stage):
        return None if isinstance(stage.op, MatMulOp) else "it is no product of two computed matrices"

    def choices(self, stage, limits, sides):
        """Each number of columns in step that is faster than fewer are; at a limit those that it asks for."""
        columns = stage.types[1].shape[2]
        found: dict[int, int] = {}  # cycles: the least lanes that are so fast
        for lanes in range(1, min(limits.lanes, columns) + 1):
            if columns % lanes == 0:
                found.setdefault(MatMul(stage, lanes, False, limits.device).cycles(), lanes)
        fast = [lanes for cycles, lanes in found.items() if limits.cycles is None or cycles <= limits.cycles]
        chosen = fast if limits.cycles is None or not fast else fast[:1]
        slices = (0, 1) if limits.dsp and "mac" in limits.device.lanes else (0,)
        return [Columns(lanes, where) for lanes in chosen or [found[min(found)]] for where in slices]

    def reads(self, stage, i, choice, order):
        return Order(order.shape)

    def unit(self, stage, choice, orders, context):
        return MatMul(stage, choice.lanes, bool(choice.slices), context.device)
