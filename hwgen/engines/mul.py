"""Products of two tensors: rtl/mul.v."""

from dataclasses import dataclass

from hwgen.engines import engine
from hwgen.engines.beats import BeatEngine, Beats
from hwgen.ops.mul import Mul as MulOp
from hwgen.units.mul import Mul


@dataclass(frozen=True)
class MulBeats(Beats):
    engine = "mul"


@engine
class MulEngine(BeatEngine[MulBeats]):
    name = "mul"
    choice = MulBeats

    def obstacle(self, stage):
        return None if isinstance(stage.op, MulOp) else "it is no product of two tensors"

    def unit(self, stage, choice, orders, context):
        return Mul(stage, orders[0])
