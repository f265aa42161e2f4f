"""Constants added to a frame, one for each activation: rtl/offset.v."""

from dataclasses import dataclass

from hwgen.engines import engine
from hwgen.engines.beats import BeatEngine, Beats
from hwgen.ops.offset import Offset as OffsetOp
from hwgen.units.offset import Offset


@dataclass(frozen=True)
class OffsetBeats(Beats):
    engine = "offset"


@engine
class OffsetEngine(BeatEngine[OffsetBeats]):
    name = "offset"
    choice = OffsetBeats
    passes_order = True

    def obstacle(self, stage):
        return None if isinstance(stage.op, OffsetOp) else "it adds no constants"

    def unit(self, stage, choice, orders, context):
        return Offset(stage, orders[0], context.device)
