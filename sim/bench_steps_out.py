"""steps_out sums the frames of a sample until its greatest sum is far enough above the second one."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config, packed, signed
from parts.stream import begin, reset


def of(x, w, beats, steps, margin):
    """x: (bits, signed)"""
    names = ("X_W", "X_SIGNED", "W", "OUT_W", "BEATS", "STEPS", "MARGIN")
    return dict(zip(names, (*x, w, w, beats, steps, (margin, 64)), strict=True))


CONFIGS = [of((4, 1), 8, 3, 6, 9), of((1, 0), 5, 2, 7, 0), of((3, 0), 7, 5, 4, 3) | {"OUT_W": 5}]
SAMPLES = 30


def samples(seed):
    """Of each sample the frames until it is over, and its sums; ties, and margins just reached, are among them."""
    c, rng = config(), random.Random(seed)
    for _ in range(SAMPLES):
        taken, sums = [], [0] * c["BEATS"]
        for _ in range(c["STEPS"]):
            words = [rng.getrandbits(c["X_W"]) for _ in sums]
            taken.append(words)
            sums = [s + (signed(x, c["X_W"]) if c["X_SIGNED"] else x) for s, x in zip(sums, words, strict=True)]
            second, best = sorted(sums)[-2:]
            if best - second > c["MARGIN"][0]:
                break
        yield taken, sums


async def count_overs(dut, found):
    while True:
        await FallingEdge(dut.clk)
        await ReadOnly()
        found.append(int(dut.over.value) and not int(dut.rst.value))


async def run(dut, source, sink, seed):
    c, found = config(), []
    counting = cocotb.start_soon(count_overs(dut, found))
    lengths = []
    for number, (taken, sums) in enumerate(samples(seed), 1):
        lengths.append(len(taken))
        sending = cocotb.start_soon(source.send([word for frame in taken for word in frame]))
        assert await sink.take(len(sums)) == [packed([s], c["OUT_W"]) for s in sums]
        await sending
        assert sum(found) == number
    counting.cancel()
    assert len(set(lengths)) > 2, "some end early, and some do not"


@cocotb.test()
async def sums_until_the_margin(dut):
    source, sink = await begin(dut, source_stall=0.2, sink_stall=0.2)
    await run(dut, source, sink, 1)


@cocotb.test()
async def a_reset_in_mid_sample(dut):
    source, sink = await begin(dut)
    await source.send([0] * config()["BEATS"] + [1])
    await reset(dut, cycles=1)
    await run(dut, source, sink, 2)
