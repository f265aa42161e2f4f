"""product_sum adds the products of each run of pairs to its base, modulo 2^W, in any stall and after a reset."""

import random

import cocotb
from bench_product import rows
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config, signed
from parts.stream import reset


def parameters(a, a_signed, b, b_signed, w, base=0):
    return {"A_W": a, "A_SIGNED": a_signed, "B_W": b, "B_SIGNED": b_signed, "W": w, "BASE": (base % (1 << 64), 64)}


CONFIGS = [
    parameters(5, 1, 4, 0, 13, 9),
    parameters(3, 0, 8, 1, 14, -5),
    parameters(1, 0, 1, 0, 3),  # a row
]


def runs(count, rng):
    """Each some pairs, with the sum that they have; a pair of None is a pause before it."""
    c, found = config(), []

    def one(side):
        bits = c[f"{side}_W"]
        word = rng.choice([0, (1 << bits) - 1, 1 << (bits - 1), rng.getrandbits(bits)])
        return word, signed(word, bits) if c[f"{side}_SIGNED"] else word

    for _ in range(count):
        pairs = [(one("A"), one("B")) for _ in range(rng.choice([1, 2, 7]))]
        total = c["BASE"][0] + sum(a[1] * b[1] for a, b in pairs)
        pauses = [None] * rng.choice([0, 0, 3])
        found.append(([*pauses, *((a[0], b[0]) for a, b in pairs)], total % (1 << c["W"])))
    return found


async def step(dut, rng, stall, seen, a=0, b=0, first=1, last=0):
    """A pair goes in, after clocks in which all holds; notes the sums that are done."""
    dut.a.value, dut.b.value, dut.first.value, dut.last.value = a, b, first, last
    while True:
        moves = rng.random() >= stall
        dut.enable.value = int(moves)
        await ReadOnly()
        if moves and int(dut.done.value):
            seen.append(int(dut.sum.value))
        await FallingEdge(dut.clk)
        if moves:
            return


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4])
async def every_sum_is_right(dut, stall):
    rng, seen, wanted = random.Random(3), [], []
    dut.enable.value = dut.a.value = dut.b.value = dut.first.value = dut.last.value = 0
    Clock(dut.clk, 10, "ns").start()
    await reset(dut)
    c = config()
    clocks = rows(c["A_W"], c["A_SIGNED"], c["B_W"], c["B_SIGNED"]) + 1
    for number, (pairs, total) in enumerate(runs(60, rng)):
        if number == 30:  # those inside are forgotten
            await reset(dut, cycles=1)
            wanted = wanted[: len(seen)]
        begun = False
        for place, pair in enumerate(pairs):
            if pair is None:
                await step(dut, rng, stall, seen, rng.getrandbits(1), rng.getrandbits(1))
            else:
                await step(dut, rng, stall, seen, *pair, int(not begun), int(place == len(pairs) - 1))
                begun = True
        wanted.append(total)
    for _ in range(clocks):
        await step(dut, rng, stall, seen)
    assert seen == wanted and len(seen) > 50
