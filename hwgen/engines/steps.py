"""A frame as several time steps, and one of the steps of a sample."""

from dataclasses import dataclass

from hwgen.engines import engine
from hwgen.engines.beats import BeatEngine, Beats
from hwgen.ops.steps import StepsIn, StepsOut
from hwgen.units.steps import steps_unit


@dataclass(frozen=True)
class StepsBeats(Beats):
    engine = "steps"


@engine
class StepsEngine(BeatEngine[StepsBeats]):
    name = "steps"
    choice = StepsBeats
    passes_order = True

    def obstacle(self, stage):
        return None if isinstance(stage.op, StepsIn | StepsOut) else "it begins and ends no time steps"

    def choices(self, stage, limits, sides):
        return [StepsBeats()] if stage.op.aborts else super().choices(stage, limits, sides)

    def unit(self, stage, choice, orders, context):
        return steps_unit(stage, orders[0], context.device, context.aborts)
