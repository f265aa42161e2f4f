"""scale_product gives each number's level some enabled clocks later, by the numbers of the channel that came before."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge
from parts import config, packed
from parts.scales import level, prepare, product, sums, words

__all__ = ["prepare"]

CONFIGS = [
    {"N": 2, **product(12, 9, 20, 0, 13, 4, 0, 15)},
    {"N": 1, **product(9, 12, 18, 0, 13, 8, -128, 127)},
    # half even: ties of one remainder, of some, of all
    {"N": 3, **product(8, 5, 10, 5, 4, 4, -8, 7)},
    {"N": 1, **product(6, 3, 5, 1, 0, 5, -16, 15, depth=1)},
    # all that a slice takes
    {"N": 1, **product(18, 26, 40, 1, 36, 8, 0, 255)},
    {"N": 1, **product(26, 18, 46, 21, 20, 24, 0, 0, "NO_LOW", "NO_HIGH")},
    # two slices
    {"N": 2, **product(20, 24, 38, 0, 35, 8, 0, 255), "WIDE": 1},
    {"N": 1, **product(26, 35, 47, 40, 40, 20, -500_000, 500_000), "WIDE": 1},
    {"N": 1, **product(2, 18, 3, 4, 3, 16, 0, 0, "NO_LOW", "NO_HIGH"), "WIDE": 1},
]


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def every_number_gets_its_level(dut, stall):
    c, rng = config(), random.Random(5)
    scales, late = words(c), 5 if c.get("WIDE") else 3
    Clock(dut.clk, 10, "ns").start()
    dut.enable.value = 0
    await FallingEdge(dut.clk)
    channels = [rng.randrange(c["DEPTH"]) for _ in range(400)]
    numbers = [sums(rng, c["X_W"], c["N"]) for _ in channels]
    for clock in range(len(channels) + late):
        while rng.random() < stall:
            dut.enable.value = 0
            dut.channel.value, dut.x.value = rng.randrange(c["DEPTH"]), rng.getrandbits(c["N"] * c["X_W"])
            await FallingEdge(dut.clk)
        dut.enable.value = 1
        dut.channel.value = channels[clock] if clock < len(channels) else 0
        dut.x.value = packed(numbers[clock - 1], c["X_W"]) if 0 < clock <= len(numbers) else 0
        await FallingEdge(dut.clk)
        seen = clock - late
        if seen >= 0:
            expected = [level(scales[channels[seen]], x) for x in numbers[seen]]
            assert int(dut.y.value) == packed(expected, c["OUT_W"]), (seen, channels[seen], numbers[seen])
