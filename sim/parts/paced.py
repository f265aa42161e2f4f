"""The tests of a scaler that takes several clocks for a number."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from parts import config, packed
from parts.scales import check, late, level, numbers, show, sums
from parts.stream import reset, start


def pace():
    c = config()
    return c["DIGITS"] + 1 if "DIGITS" in c else 2 * c["STEPS"]


def steps():
    """Whether it is scale_steps.v, which forgets by itself."""
    return "STEPS" in config()


class Numbers:
    """Gives numbers to the device, one behind the other or after a pause, and compares what it makes of each."""

    def __init__(self, dut, stall):
        self.dut, self.stall, self.rng = dut, stall, random.Random(7)
        self.numbers = numbers(config())
        # clocks that numbers come behind what is said of them, and that their results do behind the last phase
        self.behind = 2 if steps() else late(config())
        self.results = 1 if steps() else late(config())
        self.coming, self.leaving = [], []

    def draw(self):
        """A channel, and numbers."""
        c = config()
        return self.rng.randrange(c["DEPTH"]), sums(self.rng, c["X_W"] + (not steps()), c["N"])

    def say(self, active, channel, phase):
        dut = self.dut
        dut.channel.value, dut.phase.value = channel, phase
        if not steps():
            dut.active.value = active

    def show(self, xs):
        if steps():
            self.dut.x.value = packed(xs, config()["X_W"])
        else:
            show(self.dut, xs)

    def check(self, channel, xs):
        own = self.numbers[channel]
        if steps():
            assert int(self.dut.y.value) == packed([level(own, x) for x in xs], config()["OUT_W"]), (own, xs)
        else:
            check(self.dut, own, xs)

    async def clock(self, active, channel, phase, given=None):
        """An enabled clock; given -- a channel and its numbers, which are told of in this clock."""
        dut = self.dut
        while self.rng.random() < self.stall:
            dut.enable.value = 0
            self.say(self.rng.getrandbits(1), 0, 0)
            await FallingEdge(dut.clk)
        dut.enable.value = 1
        self.say(active, channel, phase)
        self.coming = [(clocks - 1, numbers) for clocks, numbers in self.coming if clocks]
        if given:
            self.coming.append((self.behind, given))
        for clocks, (_, xs) in self.coming:
            if clocks == 0:
                self.show(xs)
        self.leaving = [(clocks - 1, numbers) for clocks, numbers in self.leaving]
        if self.leaving and self.leaving[0][0] == 0:
            await ReadOnly()
            self.check(*self.leaving.pop(0)[1])
        await FallingEdge(dut.clk)

    async def run(self, count):
        for _ in range(count):
            if self.rng.random() < 0.2:  # none for a while
                for _ in range(self.rng.randint(1, 3)):
                    await self.clock(0, 0, 0)
            now = self.draw()
            for phase in range(pace()):
                await self.clock(1, now[0], phase, None if phase else now)
            self.leaving.append((self.results, now))
        for _ in range(self.results):
            await self.clock(0, 0, 0)
        assert not self.leaving


async def begin(dut, stall):
    if steps():
        Clock(dut.clk, 10, "ns").start()
        await FallingEdge(dut.clk)
    else:
        await start(dut, enable=1, active=0, channel=0, phase=0, x=0, over=0, under=0)
    return Numbers(dut, stall)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def every_number_gets_its_level(dut, stall):
    device = await begin(dut, stall)
    await device.run(120)


@cocotb.test()
@cocotb.parametrize(clocks=[1, 2, 3])
async def reset_in_mid_number_leaves_nothing_behind(dut, clocks):
    device = await begin(dut, 0.0)
    now = device.draw()
    for phase in range(min(clocks, pace())):
        await device.clock(1, now[0], phase, None if phase else now)
    dut.active.value, dut.phase.value = 0, 0
    await reset(dut, cycles=1)
    await device.run(20)
