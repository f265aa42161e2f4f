"""row_count counts rows up by one and down by steps of two kinds, both in one clock too."""

import random

import cocotb
from cocotb.triggers import FallingEdge, Timer
from parts import config
from parts.stream import reset, start

# tables of one to three bits; a sum
CONFIGS = [
    {"RING": 1, "STEP": 1, "LAST_STEP": 1},
    {"RING": 6, "STEP": 2, "LAST_STEP": 5},
    {"RING": 7, "STEP": 1, "LAST_STEP": 7},
    {"RING": 9, "STEP": 3, "LAST_STEP": 8},
]


@cocotb.test()
async def the_count_is_what_came_less_what_went(dut):
    c, rng, count = config(), random.Random(1), 0
    await start(dut, up=0, down=0, last=0)
    for _ in range(2000):
        last = rng.getrandbits(1)
        step = c["LAST_STEP" if last else "STEP"]
        down = int(count >= step and rng.random() < 0.5)
        up = int(count < c["RING"] and rng.random() < 0.8)
        dut.up.value, dut.down.value, dut.last.value = up, down, last
        await Timer(1, "ns")
        assert int(dut.count.value) == count
        count += up - down * step
        assert int(dut.next.value) == count
        await FallingEdge(dut.clk)


@cocotb.test()
async def a_reset_leaves_none(dut):
    await start(dut, up=1, down=0, last=0)
    await FallingEdge(dut.clk)
    dut.up.value = 0
    await reset(dut, cycles=1)
    assert int(dut.count.value) == 0
