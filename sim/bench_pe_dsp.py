"""pe_dsp doubles the sums of two lanes or not, adds x, or an immediate, or subtracts x and one; sums come two enabled
clocks later."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config

CONFIGS = [{"W": 24}, {"W": 9}, {"W": 1}]
BUBBLE = {"x": (0, 0), "shift": 0, "negate": 0, "immediate": None, "last": 0}


def wrap(value):
    half = 1 << (config()["W"] - 1)
    return (value + half) % (2 * half) - half


def operand(rng):
    low = wrap(1 << (config()["W"] - 1))
    return rng.choice([low, -1, 0, wrap(1), -low - 1, rng.randint(low, -low - 1)])


class Lanes:
    """The device behind a pipeline as in a layer: `first` follows `last`, results are captured two clocks after it."""

    def __init__(self, dut, stall, seed):
        self.dut, self.stall, self.rng = dut, stall, random.Random(seed)
        self.first, self.last_q, self.last_qq, self.results = 1, 0, 0, []

    async def begin(self):
        Clock(self.dut.clk, 10, "ns").start()
        self.dut.enable.value = 0
        await FallingEdge(self.dut.clk)
        return self

    async def issue(self, x, shift, negate, immediate, last):
        """Shows the term until a clock takes it; without enable it shows anything else just as well."""
        dut = self.dut
        while True:
            enable = int(self.rng.random() >= self.stall)
            dut.enable.value = enable
            self.show(x, shift, negate, immediate, self.first) if enable else self.anything()
            await ReadOnly()
            if enable and self.last_qq:
                self.results.append(self.sums())
            await FallingEdge(dut.clk)
            if enable:
                self.first, self.last_q, self.last_qq = last, last, self.last_q
                return

    def show(self, x, shift, negate, immediate, first):
        """immediate -- in the place of x, which may be anything then, and of negate"""
        dut, w = self.dut, config()["W"]
        (low, high), dut.shift.value, dut.negate.value, dut.first.value = x, shift, negate, first
        dut.use_immediate.value, dut.immediate.value = int(immediate is not None), (immediate or 0) % (1 << w)
        dut.x.value = low % (1 << w) | high % (1 << w) << w

    def anything(self):
        shift, negate, use, first = (self.rng.getrandbits(1) for _ in range(4))
        x = operand(self.rng), operand(self.rng)
        self.show(x, shift, negate, operand(self.rng) if use else None, first)

    def sums(self):
        w, value = config()["W"], int(self.dut.sum.value)
        return wrap(value), wrap(value >> w)

    async def end(self):
        await self.issue(**BUBBLE)
        await self.issue(**BUBBLE)
        return self.results


def random_list(rng):
    """One output's terms, highest exponent first, with bubbles between, and its two sums."""
    terms, sums = [], [0, 0]
    for number in range(rng.choice([1, 2, 3, 20])):
        x, shift, negate = (operand(rng), operand(rng)), int(number > 0 and rng.random() < 0.5), rng.getrandbits(1)
        immediate = operand(rng) if rng.random() < 0.2 else None
        added = [-v - 1 if negate else v for v in x] if immediate is None else [immediate] * 2
        sums = [(2 * s if shift else s) + v for s, v in zip(sums, added, strict=True)]
        terms += [BUBBLE] * rng.choice([0, 0, 0, 1, 3])
        terms.append({"x": x, "shift": shift, "negate": negate, "immediate": immediate, "last": 0})
    terms[-1] = terms[-1] | {"last": 1}
    return terms + [BUBBLE] * rng.choice([0, 0, 0, 1, 2, 3]), tuple(map(wrap, sums))


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3, 0.7])
async def every_output_gets_its_two_sums_whoever_stalls(dut, stall):
    rng = random.Random(1)
    lanes, expected = await Lanes(dut, stall, seed=2).begin(), []
    for _ in range(150):
        terms, sums = random_list(rng)
        expected.append(sums)
        for term in terms:
            await lanes.issue(**term)
    assert await lanes.end() == expected


@cocotb.test()
async def negative_terms_with_their_ones_added_back_give_the_exact_sum(dut):
    """As hwgen/lanes/program.py orders them: a shift before each lower exponent, the ones as a constant at the end."""
    rng = random.Random(3)
    lanes, expected = await Lanes(dut, 0.2, seed=4).begin(), []
    for _ in range(60):
        exact, ones, top = [0, 0], 0, rng.randint(0, 6)
        for exponent in range(top, -1, -1):
            for i in range(rng.randint(1, 3)):
                x, negate = (operand(rng), operand(rng)), rng.getrandbits(1)
                exact = [s + ((-v if negate else v) << exponent) for s, v in zip(exact, x, strict=True)]
                ones += negate << exponent
                await lanes.issue(x, int(i == 0 and exponent < top), negate, None, 0)
        await lanes.issue((0, 0), 0, 0, wrap(ones), 1)
        expected.append(tuple(map(wrap, exact)))
    assert await lanes.end() == expected


@cocotb.test()
async def without_enable_everything_holds(dut):
    lanes = await Lanes(dut, 0.0, seed=5).begin()
    await lanes.issue((1, -1), 0, 0, None, 1)
    await lanes.issue(**BUBBLE)
    lanes.stall = 1.0
    dut.enable.value = 0
    for _ in range(20):
        lanes.anything()
        await FallingEdge(dut.clk)
        assert lanes.sums() == (wrap(1), -1)
