"""The tests of a scaler that takes several clocks for a number."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from parts import config, packed
from parts.scales import level, numbers, sums
from parts.stream import reset, start


def pace():
    c = config()
    return c["DIGITS"] + 1 if "DIGITS" in c else 2 * c["STEPS"]


class Numbers:
    """Gives numbers to the device, one behind the other or after a pause, and compares the level of each."""

    def __init__(self, dut, stall):
        self.dut, self.stall, self.rng, self.late = dut, stall, random.Random(7), None

    def draw(self):
        """A channel, and numbers."""
        c = config()
        return self.rng.randrange(c["DEPTH"]), sums(self.rng, c["X_W"] + c.get("BEYOND", 0), c["N"])

    def show(self, xs):
        c, dut = config(), self.dut
        bits = c["X_W"]
        dut.x.value = packed(xs, bits)
        if "BEYOND" in c:
            dut.over.value = sum((x >= 1 << (bits - 1)) << n for n, x in enumerate(xs))
            dut.under.value = sum((x < -(1 << (bits - 1))) << n for n, x in enumerate(xs))

    async def clock(self, active, channel, phase, checked):
        """One enabled clock: what comes is told a clock ahead of its numbers, whose levels may be there now."""
        dut = self.dut
        while self.rng.random() < self.stall:
            dut.enable.value = 0
            dut.active.value, dut.channel.value, dut.phase.value = self.rng.getrandbits(1), 0, 0
            await FallingEdge(dut.clk)
        dut.enable.value = 1
        dut.active.value, dut.channel.value, dut.phase.value = active, channel, phase
        if checked is not None:
            await ReadOnly()
            expected = [level(numbers(config())[checked[0]], x) for x in checked[1]]
            assert int(dut.y.value) == packed(expected, config()["OUT_W"]), checked
        await FallingEdge(dut.clk)

    async def run(self, count):
        before = None
        for _ in range(count):
            if self.rng.random() < 0.2:  # none for a while
                for _ in range(self.rng.randint(1, 3)):
                    await self.clock(0, 0, 0, before)
                    before = None
            now = self.draw()
            for phase in range(pace()):
                await self.clock(1, now[0], phase, before if phase == 0 else None)
                if phase == 0:
                    self.show(now[1])
            before = now
        await self.clock(0, 0, 0, before)


async def begin(dut, stall):
    idle = {"enable": 1, "active": 0, "channel": 0, "phase": 0, "x": 0}
    await start(dut, **idle, **({"over": 0, "under": 0} if "BEYOND" in config() else {}))
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
    channel, xs = device.draw()
    for phase in range(min(clocks, pace())):
        await device.clock(1, channel, phase, None)
        device.show(xs)
    dut.active.value, dut.phase.value = 0, 0
    await reset(dut, cycles=1)
    await device.run(20)
