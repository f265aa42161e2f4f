"""steps_in sends each frame so many times, or fewer where the sample is over before."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config
from parts.stream import Sink, Source, start

CONFIGS = [
    {"W": 6, "BEATS": 5, "STEPS": 3, "RAM": 0},
    {"W": 4, "BEATS": 1, "STEPS": 4, "RAM": 0},
    {"W": 9, "BEATS": 8, "STEPS": 2, "RAM": 1},
]
FRAMES = 7


async def ended(dut):
    """Tells for a clock that the sample is over; returns on the falling edge behind it."""
    dut.over.value = 1
    await FallingEdge(dut.clk)
    dut.over.value = 0


async def samples(dut, source, sink, seed):
    c, rng = config(), random.Random(seed)
    sent = [[rng.getrandbits(c["W"]) for _ in range(c["BEATS"])] for _ in range(FRAMES)]
    cocotb.start_soon(source.send([word for frame in sent for word in frame]))
    for number, frame in enumerate(sent):
        steps = c["STEPS"] if number % 2 else rng.randint(1, c["STEPS"])
        part = rng.randrange(c["BEATS"]) if steps < c["STEPS"] else 0  # of a step that is cut off
        assert await sink.take(steps * c["BEATS"] + part) == frame * steps + frame[:part]
        if not part and steps == c["STEPS"]:
            for _ in range(6):
                await FallingEdge(dut.clk)
                await ReadOnly()
                assert not int(dut.m_axis_tvalid.value), "the next sample must wait"
            await FallingEdge(dut.clk)
        await ended(dut)
        assert not int(dut.m_axis_tvalid.value)


@cocotb.test()
async def frames_until_their_samples_are_over(dut):
    source, sink = Source(dut, "s_axis", 0.2, seed=1), Sink(dut, "m_axis", 0.3, seed=2, ends=("over",))
    await start(dut, s_axis_tvalid=0, s_axis_tdata=0, m_axis_tready=0, over=0)
    await samples(dut, source, sink, 3)


@cocotb.test()
async def a_reset_in_mid_sample(dut):
    source, sink = Source(dut, "s_axis"), Sink(dut, "m_axis", ends=("over",))
    await start(dut, s_axis_tvalid=0, s_axis_tdata=0, m_axis_tready=0, over=0)
    sending = cocotb.start_soon(source.send([1] * config()["BEATS"] * 3))
    await sink.take(config()["BEATS"])
    sending.cancel()
    source.idle()
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    await samples(dut, source, sink, 4)
