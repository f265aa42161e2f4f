"""product multiplies, modulo 2^W, also by zero and at the ends of both ranges, and keeps all in step in any stall."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config, signed
from parts.stream import reset


def parameters(a, a_signed, b, b_signed, w, seed=0):
    return {
        "A_W": a,
        "A_SIGNED": a_signed,
        "B_W": b,
        "B_SIGNED": b_signed,
        "W": w,
        "SEED": (seed, 64),
        "BESIDE_W": 5,
    }


CONFIGS = [
    parameters(4, 1, 5, 1, 9),
    parameters(5, 0, 4, 1, 10, 16),
    parameters(3, 1, 6, 0, 7),
    parameters(6, 0, 5, 0, 13, 32),
    parameters(1, 0, 1, 0, 1),
    parameters(1, 1, 4, 1, 8),
    parameters(17, 1, 8, 0, 26),
    parameters(12, 0, 11, 0, 23),
    parameters(2, 1, 2, 1, 20, 1),
]


def rows(a, a_signed, b, b_signed):
    """Of a product: of the factor whose rows are fewer tables."""
    return min(
        (digits * (other + 2), digits)
        for digits, other in (
            ((a + 2 - a_signed) // 2, b),
            ((b + 2 - b_signed) // 2, a),
        )
    )[1]


def digits():
    c = config()
    return rows(*(c[f"{x}_{what}"] for x in "AB" for what in ("W", "SIGNED")))


def pairs(rng):
    """All pairs of up to eleven bits, else random ones with many at the ends."""
    a_bits, b_bits = config()["A_W"], config()["B_W"]
    if a_bits + b_bits <= 11:
        return [(a, b) for a in range(1 << a_bits) for b in range(1 << b_bits)]

    def one(bits):
        top = 1 << (bits - 1)
        return rng.choice([0, 1, top - 1, top, 2 * top - 1, rng.getrandbits(bits), rng.getrandbits(bits)])

    return [(one(a_bits), one(b_bits)) for _ in range(1500)]


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3])
async def every_product_is_right(dut, stall):
    c, rng = config(), random.Random(2)
    Clock(dut.clk, 10, "ns").start()
    dut.enable.value = dut.valid.value = dut.a.value = dut.b.value = dut.beside.value = 0
    await reset(dut)
    inside = []  # what is between rows, the newest first
    for pair in [*pairs(rng), *[None] * digits()]:
        moves = False
        while not moves:
            moves = rng.random() >= stall
            now = pair and (*pair, rng.getrandbits(5))
            dut.enable.value, dut.valid.value = int(moves), int(bool(now))
            dut.a.value, dut.b.value, dut.beside.value = now or (rng.getrandbits(1),) * 3
            await ReadOnly()
            row = [now, *inside]
            seen = row[digits() - 1] if len(row) >= digits() else None
            assert int(dut.y_valid.value) == int(bool(seen))
            if seen:
                a, b, beside = seen
                a = signed(a, c["A_W"]) if c["A_SIGNED"] else a
                b = signed(b, c["B_W"]) if c["B_SIGNED"] else b
                assert int(dut.y.value) == (a * b + c["SEED"][0]) % (1 << c["W"]), seen
                assert int(dut.y_beside.value) == beside
            await FallingEdge(dut.clk)
        inside = row[: digits()]


@cocotb.test()
async def a_reset_forgets_the_products_inside(dut):
    Clock(dut.clk, 10, "ns").start()
    dut.a.value = dut.b.value = dut.beside.value = 0
    dut.enable.value = dut.valid.value = 1
    for _ in range(2 * digits()):
        await FallingEdge(dut.clk)
    dut.valid.value = 0
    await reset(dut, cycles=1)
    for _ in range(digits()):
        await ReadOnly()
        assert int(dut.y_valid.value) == 0
        await FallingEdge(dut.clk)
