"""scale_product gives each number's level some enabled clocks later, by the numbers of the channel that came before."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge
from parts import config, packed
from parts.scales import level, numbers, prepare, product, sums

__all__ = ["prepare"]

CONFIGS = [
    {"N": 2, **product(12, 9, 20, 0, 13, 4, 0, 15)},
    {"N": 1, **product(9, 12, 15, 0, 13, 8, -128, 127, beyond=1, zeros=3)},
    # half even: ties of one remainder, of some, of all
    {"N": 3, **product(8, 5, 10, 5, 4, 4, -8, 7, beyond=1)},
    {"N": 1, **product(6, 3, 5, 1, 0, 5, -16, 15, depth=1)},
    # all that a slice takes
    {"N": 1, **product(18, 26, 40, 1, 36, 8, 0, 255)},
    {"N": 1, **product(26, 18, 46, 21, 20, 24, 0, 0, "NO_LOW", "NO_HIGH")},
    # two slices
    {"N": 2, **product(20, 24, 12, 0, 35, 8, 0, 255, beyond=1, zeros=26), "WIDE": 1},
    {"N": 1, **product(26, 35, 47, 40, 40, 20, -500_000, 500_000), "WIDE": 1},
    {"N": 1, **product(2, 18, 3, 4, 3, 16, 0, 0, "NO_LOW", "NO_HIGH"), "WIDE": 1},
]


def show(dut, xs):
    """The numbers, and for those beyond X_W bits any bits and what side they are on."""
    c = config()
    bits = c["X_W"]
    dut.x.value = packed(xs, bits)
    dut.over.value = sum((x >= 1 << (bits - 1)) << n for n, x in enumerate(xs))
    dut.under.value = sum((x < -(1 << (bits - 1))) << n for n, x in enumerate(xs))


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def every_number_gets_its_level(dut, stall):
    c, rng = config(), random.Random(5)
    each, late = numbers(c), 5 if c.get("WIDE") else 3
    Clock(dut.clk, 10, "ns").start()
    dut.enable.value = 0
    await FallingEdge(dut.clk)
    channels = [rng.randrange(c["DEPTH"]) for _ in range(400)]
    given = [sums(rng, c["X_W"] + c["BEYOND"], c["N"]) for _ in channels]
    for clock in range(len(channels) + late):
        while rng.random() < stall:
            dut.enable.value = 0
            dut.channel.value = rng.randrange(c["DEPTH"])
            show(dut, sums(rng, c["X_W"] + c["BEYOND"], c["N"]))
            await FallingEdge(dut.clk)
        dut.enable.value = 1
        dut.channel.value = channels[clock] if clock < len(channels) else 0
        show(dut, given[clock - 1] if 0 < clock <= len(given) else [0] * c["N"])
        await FallingEdge(dut.clk)
        seen = clock - late
        if seen >= 0:
            expected = [level(each[channels[seen]], x) for x in given[seen]]
            assert int(dut.y.value) == packed(expected, c["OUT_W"]), (seen, channels[seen], given[seen])
