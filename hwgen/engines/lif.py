"""Spiking neurons, and integrators: rtl/lif.v."""

from dataclasses import dataclass

from hwgen.engines import engine
from hwgen.engines.beats import BeatEngine, Beats
from hwgen.ops.lif import Li
from hwgen.units.lif import Neurons


@dataclass(frozen=True)
class LifBeats(Beats):
    engine = "lif"


@engine
class LifEngine(BeatEngine[LifBeats]):
    name = "lif"
    choice = LifBeats
    passes_order = True

    def obstacle(self, stage):
        return None if isinstance(stage.op, Li) else "it is no neuron"

    def unit(self, stage, choice, orders, context):
        return Neurons(stage, orders[0], context.device)
