"""product multiplies, modulo 2^W, also by zero and at the ends of both ranges."""

import random

import cocotb
from cocotb.triggers import Timer
from parts import config, signed


def parameters(a, a_signed, b, b_signed, w):
    return {"A_W": a, "A_SIGNED": a_signed, "B_W": b, "B_SIGNED": b_signed, "W": w}


CONFIGS = [
    parameters(4, 1, 5, 1, 9),
    parameters(5, 0, 4, 1, 10),
    parameters(3, 1, 6, 0, 7),
    parameters(6, 0, 5, 0, 11),
    parameters(1, 0, 1, 0, 1),
    parameters(1, 1, 4, 1, 8),
    parameters(17, 1, 8, 0, 26),
    parameters(12, 0, 11, 0, 23),
    parameters(2, 1, 2, 1, 20),
]


@cocotb.test()
async def every_product_is_right(dut):
    """All pairs of up to eleven bits, else random ones with many at the ends."""
    c, rng = config(), random.Random(2)
    a_bits, b_bits = c["A_W"], c["B_W"]
    if a_bits + b_bits <= 11:
        pairs = [(a, b) for a in range(1 << a_bits) for b in range(1 << b_bits)]
    else:

        def one(bits):
            top = 1 << (bits - 1)
            return rng.choice([0, 1, top - 1, top, 2 * top - 1, rng.getrandbits(bits), rng.getrandbits(bits)])

        pairs = [(one(a_bits), one(b_bits)) for _ in range(2000)]
    for a, b in pairs:
        dut.a.value, dut.b.value = a, b
        await Timer(1, "ns")
        factors = signed(a, a_bits) if c["A_SIGNED"] else a, signed(b, b_bits) if c["B_SIGNED"] else b
        assert int(dut.y.value) == factors[0] * factors[1] % (1 << c["W"]), (a, b)
