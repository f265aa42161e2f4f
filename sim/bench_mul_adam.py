"""mul_adam multiplies by logarithms, with the bits of a mantissa that it has, however it is protected."""

import random

import cocotb
from cocotb.triggers import Timer
from parts import config

CONFIGS = [
    {"T": 5, "PROTECT": 1},  # every pair
    {"T": 7, "PROTECT": 0},
    {"T": 5, "PROTECT": 0},
    {"T": 7, "PROTECT": 1},
    {"T": 2, "PROTECT": 1},
    {"T": 1, "PROTECT": 1},
]


def product(a, b, t):
    """What docs/faults.md says that the module computes."""
    if a == 0 or b == 0:
        return 0
    ka, kb = a.bit_length() - 1, b.bit_length() - 1
    xa, xb = ((x << (7 - k) & 127) >> (7 - t) for x, k in ((a, ka), (b, kb)))
    carry, mantissa = divmod(xa + xb, 1 << t)
    return ((1 << t) + mantissa << ka + kb + carry) >> t


@cocotb.test()
async def products_are_those_of_logarithms(dut):
    """Of all pairs, or of each factor with some others."""
    c, rng = config(), random.Random(5)
    pairs = [(a, b) for a in range(256) for b in range(256)]
    if c != CONFIGS[0]:
        pairs = [(a, rng.randrange(256)) for a in range(256) for _ in range(6)]
    for a, b in pairs:
        dut.a.value, dut.b.value = a, b
        await Timer(1, "ns")
        assert int(dut.p.value) == product(a, b, c["T"]), (a, b)
