"""Where time begins and ends: a frame sent once for each step, and one for the steps of a sample.

A frame is kept in rtl/gather.v, a beat in rtl/resample.v; steps are summed in rtl/lif.v, or all but the last are left
out in rtl/resample.v.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.devices import Device
from hwgen.ops.lif import Li
from hwgen.ops.steps import StepsIn as StepsInOp
from hwgen.ops.steps import StepsOut as StepsOutOp
from hwgen.qtype import ceil_log2, signed_width
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.lif import Neurons
from hwgen.units.resample import buffered
from hwgen.units.unit import Unit
from hwgen.verilog import signed64
from hwgen.walks import Step, Walk


@dataclass(frozen=True, eq=False)
class _Steps(Unit):
    """order -- of its input and its output"""

    stage: Stage
    order: Order
    device: Device

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def steps(self) -> int:
        op = self.stage.op
        assert isinstance(op, StepsInOp | StepsOutOp)
        return op.steps

    @property
    def out_order(self) -> Order:
        return self.order

    def note(self):
        return f"{self.name}: {self.stage.op}, {self.stage.x} -> {self.stage.y}"

    def cycles(self):
        return self.steps * self.order.beats

    @property
    def _side(self) -> dict:
        """What rtl/gather.v and rtl/resample.v are told of a beat."""
        return {"X_W": self.stage.x.qtype.bits, "N": self.order.side, "M": self.order.side}


class StepsIn(_Steps):
    """Two frames are kept: one is sent while the next one comes."""

    module = "gather"
    stops = False
    instant = False

    @property
    def latency(self) -> int:  # type: ignore[override]
        return 2 + self.block_ram

    @property
    def block_ram(self) -> bool:
        """Whether the frames are in a block RAM."""
        return self.device.prefers_block(2 * self.order.beats, self.order.side * self.stage.x.qtype.bits)

    def parameters(self):
        counts = self.order.beats | self.steps << 32
        loops = {"LEVELS": 2, "COUNTS": (counts, 64), "STEPS": (1, 64)}
        return self._side | {"BLOCK": self.order.beats, "RAM": int(self.block_ram)} | loops

    def needs(self, i=0):
        return np.full(self.steps * self.order.beats, self.order.beats)

    def walks(self, rows, taken, sent):
        return buffered(taken, sent, (rows, self.steps * rows), 1, 2)

    def estimate(self):
        beats, bits = self.order.beats, self.order.side * self.stage.x.qtype.bits
        address, odd = ceil_log2(2 * beats), beats & (beats - 1) != 0
        luts = 6 + 3 * address + ceil_log2(self.steps) + odd * address
        if self.block_ram:
            return {"LUT": luts + 2, "BRAM36": self.device.block_memory(2 * beats, bits)[0]}
        deep = 2 * beats > self.device.lut_depth
        memory = self.device.lut_banks(2 * beats, bits) if deep else self.device.lut_memory(2 * beats, bits)
        return {"LUT": luts + memory, "BRAM36": 0}


class BeatIn(_Steps):
    """A frame of one beat, which stays on its stream until it is sent for the last time."""

    module = "resample"
    latency = 0
    rigid = True

    def parameters(self):
        last = (1 << (self.steps - 1), self.steps)
        return self._side | {"OUTER": 1, "MIDDLE": 1, "INNER": self.steps, "INNER_TAKE": last}

    def needs(self, i=0):
        return np.ones(self.steps, np.int64)

    def walks(self, rows, taken, sent):
        return buffered(taken, sent, (rows, self.steps * rows), 1, 1)

    def estimate(self):
        return {"LUT": 2 + 2 * ceil_log2(self.steps), "BRAM36": 0}


class _Out(_Steps):
    """It sends in the last step alone."""

    def needs(self, i=0):
        return (self.steps - 1) * self.order.beats + np.arange(1, self.order.beats + 1)

    def walks(self, rows, taken, sent):
        before = [Step(True, False, taken)] * (rows * (self.steps - 1))
        return [Walk([*before, *[Step(True, True, taken, sent)] * rows], gap=float(len(before) * taken))]


class LastStep(_Out):
    module = "resample"
    latency = 0

    def parameters(self):
        last = (1 << (self.steps - 1), self.steps)
        return self._side | {"OUTER": self.steps, "OUTER_SEND": last, "MIDDLE": 1, "INNER": self.order.beats}

    def estimate(self):
        return {"LUT": 3 + ceil_log2(self.steps) + ceil_log2(self.order.beats), "BRAM36": 0}


class SumOfSteps(_Out):
    module = "lif"

    @cached_property
    def integrator(self) -> Neurons:
        """What it would be if it sent each step."""
        op = Li(self.steps, self.stage.x.exponent)
        stage = self.stage.once("integrator", lambda: Stage.alone(self.name, op, None, self.stage.x))
        return Neurons(stage, self.order, self.device)

    def parameters(self):
        return self.integrator.parameters() | {"OUT_W": self.stage.y.qtype.bits, "LAST_ONLY": 1}

    def estimate(self):
        return self.integrator.estimate()


class FrameIn(_Steps):
    """rtl/steps_in.v: a frame is sent until its sample has ended."""

    module = "steps_in"
    stops = False
    instant = False
    over = "input"

    @property
    def _bits(self) -> int:
        return self.order.side * self.stage.x.qtype.bits

    @property
    def block_ram(self) -> bool:
        """Whether the frames are in a block RAM."""
        return self.device.prefers_block(2 * self.order.beats, self._bits)

    @property
    def latency(self) -> int:  # type: ignore[override]
        return 2 + self.block_ram

    def parameters(self):
        return {"W": self._bits, "BEATS": self.order.beats, "STEPS": self.steps, "RAM": int(self.block_ram)}

    def needs(self, i=0):
        return np.full(self.steps * self.order.beats, self.order.beats)

    def walks(self, rows, taken, sent):
        return buffered(taken, sent, (rows, self.steps * rows), 1, 2)

    def estimate(self):
        beats, address = self.order.beats, ceil_log2(2 * self.order.beats)
        luts = 2 + 2 * address + ceil_log2(self.steps + 1)
        if self.block_ram:
            return {"LUT": luts + 2, "BRAM36": self.device.block_memory(2 * beats, self._bits)[0]}
        deep = 2 * beats > self.device.lut_depth
        memory = self.device.lut_banks(2 * beats, self._bits) if deep else self.device.lut_memory(2 * beats, self._bits)
        return {"LUT": luts + memory, "BRAM36": 0}


class SumUntil(_Steps):
    """rtl/steps_out.v: a sum that may end before its time."""

    module = "steps_out"
    over = "output"
    instant = False
    rigid = True
    decides = 3  # cycles behind a frame

    @property
    def _bits(self) -> int:
        """Of a sum; the margin has one more."""
        x, op = self.stage.x.qtype, self.stage.op
        assert isinstance(op, StepsOutOp)
        total = self.stage.y.qtype
        reach = min(op.level(self.stage.x), total.high - total.low)
        return max(signed_width(total.low, total.high), x.bits + 1, signed_width(0, reach) - 1)

    def parameters(self):
        x, op = self.stage.x, self.stage.op
        assert isinstance(op, StepsOutOp)
        total = self.stage.y.qtype
        return {
            "X_W": x.qtype.bits,
            "X_SIGNED": int(x.qtype.signed),
            "W": self._bits,
            "OUT_W": total.bits,
            "BEATS": self.order.beats,
            "STEPS": self.steps,
            "MARGIN": signed64(min(op.level(x), total.high - total.low)),
        }

    def cycles(self):
        return self.steps * (self.order.beats + self.decides) + self.order.beats + 1

    def facts(self):
        return {"varies": True}

    def needs(self, i=0):
        return np.full(self.order.beats, self.steps * self.order.beats)

    def walks(self, rows, taken, sent):
        frame = [*[Step(True, False, taken)] * (rows - 1), Step(True, False, taken + self.decides)]
        steps = frame * self.steps
        return [Walk([*steps, *[Step(False, True, sent, sent)] * rows], gap=float(len(steps) * taken))]

    def estimate(self):
        beats, bits = self.order.beats, self._bits
        deep = beats > self.device.lut_depth
        memory = self.device.lut_banks(beats, bits) if deep else self.device.lut_memory(beats, bits)
        return {"LUT": 12 + ceil_log2(beats) + ceil_log2(self.steps) + 5 * bits + memory, "BRAM36": 0}


def steps_unit(stage: Stage, order: Order, device: Device, aborts: bool) -> Unit:
    """aborts -- whether samples may end before their time."""
    if aborts and isinstance(stage.op, StepsInOp):
        return FrameIn(stage, order, device)
    if stage.op.aborts:
        return SumUntil(stage, order, device)
    if isinstance(stage.op, StepsInOp):
        return (StepsIn if order.beats > 1 else BeatIn)(stage, order, device)
    assert isinstance(stage.op, StepsOutOp)
    return (LastStep if stage.op.last else SumOfSteps)(stage, order, device)
