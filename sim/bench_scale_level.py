"""scale_level rounds a product to a level between the ends; one that is none is an end."""

import random

import cocotb
from cocotb.triggers import Timer
from parts import config, ends, limits

CONFIGS = [
    {"P_W": 10, "SHIFT": 4, "TIES": 1, "BEYOND": 0, "OUT_W": 4, **ends(-7, 6)},
    {"P_W": 9, "SHIFT": 3, "TIES": 1, "BEYOND": 1, "OUT_W": 4, **ends(-8, 7)},
    {"P_W": 12, "SHIFT": 5, "TIES": 0, "BEYOND": 1, "OUT_W": 4, **ends(0, 15)},
    {"P_W": 12, "SHIFT": 6, "TIES": 0, "BEYOND": 1, "OUT_W": 6, **ends(-3, 12)},
    {"P_W": 6, "SHIFT": 0, "TIES": 1, "BEYOND": 0, "OUT_W": 8, **ends(0, 0, "NO_LOW", "NO_HIGH")},
    {"P_W": 4, "SHIFT": 3, "TIES": 0, "BEYOND": 0, "OUT_W": 1, **ends(0, 0, "NO_LOW")},
    # levels above zero by what the result drops
    {"P_W": 14, "SHIFT": 4, "TIES": 1, "BEYOND": 1, "OUT_W": 4, **ends(120, 135)},
]


def expected(product, ties, above, below):
    c = config()
    low, high = limits(c)
    if above or below:
        return (high if above else low) % (1 << c["OUT_W"])
    level, rest = divmod(product, 1 << c["SHIFT"])
    if rest < ties:
        level -= level % 2
    return min(max(level, low), high) % (1 << c["OUT_W"])


@cocotb.test()
async def every_product_gets_its_level(dut):
    c, rng = config(), random.Random(1)
    half = 1 << (c["P_W"] - 1)
    for product in range(-half, half):
        ties = rng.choice([0, 1, rng.randint(0, 1 << c["SHIFT"]), 1 << c["SHIFT"]]) if c["TIES"] else 0
        above, below = rng.choice([(0, 0), (0, 0), (0, 1), (1, 0)]) if c["BEYOND"] else (0, 0)
        dut.product.value, dut.ties.value = product % (2 * half), ties
        dut.above.value, dut.below.value = above, below
        await Timer(1, "ns")
        assert int(dut.y.value) == expected(product, ties, above, below), (product, ties, above, below)
