"""spike_lanes sends the requantized sums of each vector, whoever stalls, in as many clocks as its spikes have words."""

import random

import cocotb
import numpy as np
import torch
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import begin, interrupt

from hwgen.board import load_board
from hwgen.ir import TensorType
from hwgen.lanes.shifts import HalfEven
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.spike_lanes import SpikeLanes


class Coded(SpikeLanes):
    """Whose lists have the numbers of weights, though that saves no memory."""

    @property
    def values(self):
        values = np.unique(self.weights)
        return np.append(0, values[values != 0])


def unit(name, outputs, shape, banks, quantize, density=0.4, side=1, sort=True, whole=True, even=False, coded=False):
    """A layer of random weights; quantize -- exponent, least and greatest level, or None; some inputs have none."""
    rng = np.random.default_rng(outputs)
    kernel = shape[1:] if whole else (1, 1)
    weight = rng.integers(-7, 8, (outputs, shape[0], *kernel)) * (rng.random((outputs, shape[0], *kernel)) < density)
    weight[:, -1, 0] = 0
    op = Conv(weight * 1.0, rng.integers(-20, 21, outputs) / (1.0 if even else 4.0))
    found = None if quantize is None else (HalfEven if even else Quantize)(*quantize)
    stage = Stage.alone(name, op, found, TensorType(shape, QType(0, 1), 0))
    return (Coded if coded else SpikeLanes)(stage, banks, Order(shape, 1, side), load_board("zcu104").device, sort)


UNITS = [
    unit("usual", 13, (24, 1, 1), 4, (0, 0, 1), side=4),
    unit("exact", 6, (2, 3, 5), 6, None, side=5),
    unit("even", 5, (7, 1, 1), 2, (1, -4, 3), sort=False, even=True),
    unit("deep", 20, (15, 1, 6), 4, (2, -8, 7), side=3),
    unit("pixels", 9, (6, 2, 3), 3, (0, -3, 90), side=2, whole=False, coded=True),
    unit("one", 1, (1, 1, 1), 1, (-3, -30, 30), density=1.0),
]
CONFIGS = [one.parameters() for one in UNITS]


def prepare(folder, config):
    for path, text in find(config).files().items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)


def find(c):
    """The unit that a config was made of; a ROM's path names it, whatever folder that is seen from."""
    return next(one for one in UNITS if f"rom/{one.name}.hex" in c["FILE"])


def frames(count, seed=1):
    """Beats of frames of few spikes, of none and of nothing else; what they give; and the words of each vector."""
    one, rng = find(config()), np.random.default_rng(seed)
    chance = rng.choice([0.0, 0.1, 0.5, 1.0], (count, 1, 1, 1))
    x = torch.from_numpy((rng.random((count, *one.order.shape)) < chance).astype(np.int64))
    stage = one.stage
    y = stage.op.eval([*stage.types], x)
    y = y if stage.quantize is None else stage.quantize.eval([stage.op.infer(stage.x)], y)
    spikes = one.order.flatten(x).reshape(-1, one.beats * one.order.side)
    beats = (spikes.reshape(-1, one.order.side) << np.arange(one.order.side)).sum(axis=1)
    sent = one.out_order.flatten(y).reshape(-1) % (1 << config()["OUT_W"])
    return beats.tolist(), sent.tolist(), spikes @ one.words


@cocotb.test()
@cocotb.parametrize((("source_stall", "sink_stall"), [(0.0, 0.9), (0.5, 0.0)]))
async def every_vector_is_summed(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    beats, sent, _ = frames(8)
    cocotb.start_soon(source.send(beats))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_vector_takes_as_long_as_its_words(dut):
    one = find(config())
    source, sink = await begin(dut)
    beats, sent, words = frames(12, seed=2)
    each = [max(int(n) + 1 + one.slots, one.beats, one.drain) for n in words]
    before = get_sim_time("ns")
    cocotb.start_soon(source.send(beats))
    assert await sink.take(len(sent)) == sent
    clocks = (get_sim_time("ns") - before) / 10
    assert clocks <= sum(each) + one.latency + 2 * one.slots + one.drain + one.vector, (clocks, sum(each))
    assert max(int(n) for n in words) + 1 + one.slots <= one.vector


@cocotb.test()
async def reset_in_mid_vector_forgets_its_sums(dut):
    source, sink = await begin(dut)
    for seed in range(4):
        beats, sent, _ = frames(4, seed)
        sending = cocotb.start_soon(source.send(beats[: -1 - random.Random(seed).randrange(len(beats) // 4)]))
        await sink.take(min(seed, len(sent) // 3))
        for _ in range(random.Random(seed).randrange(40)):
            await FallingEdge(dut.clk)
        await interrupt(dut, sending, source)
    beats, sent, _ = frames(4, seed=9)
    cocotb.start_soon(source.send(beats))
    assert await sink.take(len(sent)) == sent
