"""Additions and subtractions of two tensors: rtl/add.v."""

from dataclasses import dataclass

from hwgen.engines import engine
from hwgen.engines.beats import BeatEngine, Beats
from hwgen.ops.add import Add as AddOp
from hwgen.units.add import add_unit


@dataclass(frozen=True)
class AddBeats(Beats):
    engine = "add"


@engine
class AddEngine(BeatEngine[AddBeats]):
    name = "add"
    choice = AddBeats

    def obstacle(self, stage):
        return None if isinstance(stage.op, AddOp) else "it is no addition"

    def unit(self, stage, choice, orders, context):
        return add_unit(stage, orders[0], context.levels)
