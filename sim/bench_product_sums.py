"""product_sums adds the products of each run of factors to the base in every lane, modulo 2^W, in any stall and after a
reset."""

import random

import cocotb
from bench_product import rows
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config, signed
from parts.stream import reset


def parameters(a, a_signed, b, b_signed, w, base=0, lanes=1, slices=0):
    widths = {"A_W": a, "A_SIGNED": a_signed, "B_W": b, "B_SIGNED": b_signed, "W": w}
    return {"LANES": lanes, "SLICES": slices} | widths | {"BASE": (base % (1 << 64), 64)}


CONFIGS = [
    parameters(5, 1, 4, 0, 13, 9),
    parameters(3, 0, 8, 1, 14, -5, lanes=3),
    parameters(1, 0, 1, 0, 3),  # a row
    parameters(6, 0, 5, 1, 16, -3, lanes=2, slices=1),
    parameters(5, 1, 4, 0, 15, 7, lanes=3, slices=2),  # the last lane has a slice alone
]
IN_SLICES = 3  # clocks


def runs(count, rng):
    """Each some factors (a, b of all lanes), with the sums that they have; None is a pause before them."""
    c, found = config(), []

    def one(side):
        bits = c[f"{side}_W"]
        word = rng.choice([0, (1 << bits) - 1, 1 << (bits - 1), rng.getrandbits(bits)])
        return word, signed(word, bits) if c[f"{side}_SIGNED"] else word

    for _ in range(count):
        factors = [(one("A"), [one("B") for _ in range(c["LANES"])]) for _ in range(rng.choice([1, 2, 7]))]
        lanes = [c["BASE"][0] + sum(a[1] * b[lane][1] for a, b in factors) for lane in range(c["LANES"])]
        pauses = [None] * rng.choice([0, 0, 3])
        words = [(a[0], joined([word for word, _ in b], c["B_W"])) for a, b in factors]
        found.append(([*pauses, *words], joined(lanes, c["W"])))
    return found


def joined(values, bits):
    """Values side by side, modulo 2^bits, the first in the lowest bits."""
    return sum(value % (1 << bits) << (lane * bits) for lane, value in enumerate(values))


async def step(dut, rng, stall, seen, a=0, b=0, first=1, last=0):
    """Factors go in, after clocks in which all holds; notes the sums that are done."""
    dut.a.value, dut.b.value, dut.first.value, dut.last.value = a, b, first, last
    while True:
        moves = rng.random() >= stall
        dut.enable.value = int(moves)
        await ReadOnly()
        if moves and int(dut.done.value):
            seen.append(int(dut.sums.value))
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
    in_tables = rows(c["A_W"], c["A_SIGNED"], c["B_W"], c["B_SIGNED"]) + 1
    for number, (factors, total) in enumerate(runs(60, rng)):
        if number == 30:  # those inside are forgotten
            await reset(dut, cycles=1)
            wanted = wanted[: len(seen)]
        begun = False
        for place, pair in enumerate(factors):
            if pair is None:
                await step(dut, rng, stall, seen, rng.getrandbits(1), rng.getrandbits(1))
            else:
                await step(dut, rng, stall, seen, *pair, int(not begun), int(place == len(factors) - 1))
                begun = True
        wanted.append(total)
    for _ in range(IN_SLICES if c["SLICES"] else in_tables):
        await step(dut, rng, stall, seen)
    assert seen == wanted and len(seen) > 50
