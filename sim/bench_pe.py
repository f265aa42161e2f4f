"""pe shifts its accumulator by one bit or not, adds or subtracts, and keeps F bits of what it shifted out."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config

CONFIGS = [
    {"W": 2, "F": 0},
    {"W": 8, "F": 3},
    {"W": 33, "F": 1},
    {"W": 1, "F": 0},
    {"W": 7, "F": 1, "STICKY": 1},
    {"W": 6, "F": 3, "STICKY": 1},
    {"W": 8, "F": 3, "LATE": 1},
]


class Model:
    """The accumulator with the bits below it, as one two's complement number."""

    def __init__(self):
        self.bits, self.below = config()["W"] + config()["F"], config()["F"]
        self.acc = 0
        self.late, self.clears = 0, True  # of a device whose F bits come, and are cleared, a clock later

    def wrap(self, value):
        half = 1 << (self.bits - 1)
        return (value + half) % (2 * half) - half

    def sum(self, shift, negate, x):
        lost = self.acc & shift if config().get("STICKY") else 0
        return self.wrap((self.acc >> shift | lost) + ((-x if negate else x) << self.below))


class Pe:
    """The device and the model side by side: each step checks `sum` against the model, then clocks both."""

    def __init__(self, dut):
        self.dut, self.model = dut, Model()

    async def begin(self):
        Clock(self.dut.clk, 10, "ns").start()
        for name in ("enable", "shift", "negate", "x"):
            getattr(self.dut, name).value = 0
        self.dut.clear.value = 1
        for _ in range(3):
            await FallingEdge(self.dut.clk)
        return self

    async def step(self, x, shift=0, negate=0, enable=1, clear=0):
        dut, model = self.dut, self.model
        dut.x.value = x % (1 << config()["W"])
        dut.shift.value, dut.negate.value, dut.enable.value, dut.clear.value = shift, negate, enable, clear
        await ReadOnly()
        expected = model.sum(shift, negate, x)
        seen = expected % (1 << model.bits)
        if "LATE" in config():
            seen = seen >> model.below << model.below | model.late
            if enable and shift:
                model.late = (model.late | (model.acc >> model.below & 1) << model.below) >> 1
            model.late, model.clears = 0 if model.clears else model.late, clear
        assert int(dut.sum.value) == seen, f"x {x}, shift {shift}, negate {negate}"
        if clear:
            model.acc = 0
        elif enable:
            model.acc = expected
        await FallingEdge(dut.clk)
        return expected


def operand(rng):
    low = -(1 << (config()["W"] - 1))
    return rng.choice([low, -1, 0, 1, -low - 1, rng.randint(low, -low - 1)])


@cocotb.test()
async def sums_equal_the_model_whatever_comes(dut):
    pe, rng = await Pe(dut).begin(), random.Random(1)
    for _ in range(3000):
        flags = rng.getrandbits(1), rng.getrandbits(1), rng.random() < 0.8, rng.random() < 0.03
        await pe.step(operand(rng), *map(int, flags))


@cocotb.test()
async def terms_from_low_to_high_give_the_floor_of_the_exact_sum(dut):
    """As hwgen/lanes/program.py orders them: exponent by exponent, one shift before each next exponent."""
    pe, rng = await Pe(dut).begin(), random.Random(2)
    for _ in range(100):
        await pe.step(0, enable=0, clear=1)
        exact, top = 0, rng.randint(0, 6) if "LATE" not in config() else config()["F"]
        for exponent in range(top + 1):
            for i in range(rng.randint(1, 3)):
                x, negate = rng.randint(-1, 1), rng.getrandbits(1)
                exact += (-x if negate else x) << exponent
                last = await pe.step(x, shift=int(i == 0 and exponent > 0), negate=negate)
        below = config()["F"]
        kept = exact >> (top - below) if top >= below else exact << (below - top)
        if "LATE" in config():
            assert last >> below == pe.model.wrap(kept) >> below and pe.model.late == kept % (1 << below)
        elif "STICKY" in config():
            lost = exact % (1 << max(0, top - below))
            assert last == pe.model.wrap(kept | (lost > 0))
        else:
            assert last == pe.model.wrap(kept) or config()["W"] < 4  # two bits cannot hold the partial sums


@cocotb.test()
async def sums_wrap_at_both_ends(dut):
    pe = await Pe(dut).begin()
    high = (1 << (config()["W"] - 1)) - 1
    sums = [await pe.step(x) for x in [high] * 5 + [-high - 1] * 5]
    assert min(sums) < 0 and (max(sums) > 0 or config()["W"] == 1)  # one bit holds -1 and 0
    await pe.step(-high - 1, negate=1)  # its negative is itself


@cocotb.test()
async def clear_wins_over_enable(dut):
    pe = await Pe(dut).begin()
    await pe.step(1)
    await pe.step(1, enable=1, clear=1)
    assert await pe.step(0) == 0


@cocotb.test()
async def without_enable_the_accumulator_holds(dut):
    pe = await Pe(dut).begin()
    before = await pe.step(1)
    for shift in (0, 1, 0, 1):
        await pe.step(-1, shift=shift, enable=0)
    assert await pe.step(0) == before
