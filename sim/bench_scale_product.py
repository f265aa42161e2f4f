"""scale_product gives each number's product some enabled clocks later, by the numbers of the channel before it."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge
from parts import config
from parts.scales import alone, check, late, numbers, prepare, product, show, sums

__all__ = ["prepare"]

CONFIGS = [
    {"N": 2, **alone(product(12, 9, 20, 0, 13, 4, 0, 15))},
    {"N": 1, **alone(product(9, 12, 15, 0, 13, 8, -128, 127, depth=70, zeros=3))},
    # half even: ties of one remainder, of some, of all
    {"N": 3, **alone(product(8, 5, 10, 5, 4, 4, -8, 7))},
    {"N": 1, **alone(product(6, 3, 5, 1, 0, 5, -16, 15, depth=1))},
    # all that a slice takes
    {"N": 1, **alone(product(18, 26, 40, 1, 36, 8, 0, 255))},
    {"N": 1, **alone(product(26, 18, 46, 21, 20, 24, 0, 0, "NO_LOW", "NO_HIGH"))},
    # two slices
    {"N": 2, **alone(product(20, 24, 12, 0, 35, 8, 0, 255, zeros=26)), "WIDE": 1},
    {"N": 1, **alone(product(26, 35, 47, 40, 40, 20, -500_000, 500_000)), "WIDE": 1},
    {"N": 1, **alone(product(2, 18, 3, 4, 3, 16, 0, 0, "NO_LOW", "NO_HIGH")), "WIDE": 1},
]


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def every_number_gets_its_product(dut, stall):
    c, rng = config(), random.Random(5)
    each, waits = numbers(c), late(c)
    behind = waits + (4 if c.get("WIDE") else 2)
    Clock(dut.clk, 10, "ns").start()
    dut.enable.value = 0
    await FallingEdge(dut.clk)
    channels = [rng.randrange(c["DEPTH"]) for _ in range(400)]
    given = [sums(rng, c["X_W"] + 1, c["N"]) for _ in channels]
    for clock in range(len(channels) + behind):
        while rng.random() < stall:
            dut.enable.value = 0
            dut.channel.value = rng.randrange(c["DEPTH"])
            show(dut, sums(rng, c["X_W"] + 1, c["N"]))
            await FallingEdge(dut.clk)
        dut.enable.value = 1
        dut.channel.value = channels[clock] if clock < len(channels) else 0
        show(dut, given[clock - 1] if 0 < clock <= len(given) else [0] * c["N"])
        await FallingEdge(dut.clk)
        seen = clock - behind
        if seen >= 0:
            check(dut, each[channels[seen]], given[seen])
