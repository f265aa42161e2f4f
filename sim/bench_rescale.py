"""rescale sends the levels of all sums of a load, a beat per group, by the numbers of the channels in their order."""

import random

import cocotb
from cocotb.triggers import FallingEdge, Timer
from parts import config, packed, scales
from parts.scales import level, numbers, product, serial, steps, sums
from parts.stream import Sink, reset, start


def prepare(folder, c):
    scales.prepare(folder, c | ({}, {"DIGITS": c["PACE"] - 1}, {"STEPS": c["PACE"] // 2})[c["SCALER"]])


def one(lanes, groups, final, in_bits, scalers, scale, late=0):
    """Parameters of rescale.v; scale -- of a scaler, by the names that it has there."""
    scaler = 2 if "STEPS" in scale else 1 if "DIGITS" in scale else 0
    found = {key: value for key, value in scale.items() if key not in ("BEYOND", "DIGITS", "STEPS")}
    return {
        "LANES": lanes,
        "GROUPS": groups,
        "FINAL": final,
        "IN_W": in_bits,
        "LATE_W": late,
        "SCALER": scaler,
        "SCALERS": scalers,
        "PACE": (1, scale.get("DIGITS", 0) + 1, 2 * scale.get("STEPS", 0))[scaler],
        **found,
    }


CONFIGS = [
    one(4, 1, 1, 12, 1, product(12, 9, 20, 0, 13, 4, 0, 15)),
    # two of three groups in a final load; bits that are not looked at; half even
    one(3, 3, 2, 14, 1, product(8, 5, 10, 5, 4, 4, -8, 7, beyond=1), late=3),
    # several, the last of them without a lane at the end; numbers in a block RAM, as of some below
    one(5, 2, 1, 9, 2, product(9, 12, 18, 0, 13, 8, -128, 127, depth=67)),
    # one for each lane; the same numbers for all channels
    one(3, 2, 2, 6, 3, product(6, 3, 5, 1, 2, 5, -16, 15, depth=1)),
    one(1, 1, 1, 8, 1, product(8, 6, 8, 0, 7, 4, 0, 15)),
    one(1, 4, 1, 24, 1, product(20, 24, 38, 0, 35, 8, 0, 255, beyond=1)),
    one(2, 1, 1, 7, 2, product(2, 6, 8, 0, 5, 4, 0, 15, beyond=1), late=6),
    # digit by digit
    one(4, 2, 1, 12, 1, serial(9, 4, 3, 9, 4, -8, 7, depth=9, beyond=1)),
    one(3, 1, 1, 8, 2, serial(8, 3, 0, 6, 5, 0, 31, depth=1)),
    # thresholds
    one(3, 2, 1, 9, 1, steps(9, 3, 3, 0, depth=9), late=1),
    one(2, 1, 1, 6, 2, steps(6, 1, 1, -1, depth=1)),
]


def scale():
    """The parameters of the scaler, by its own names."""
    c = config()
    own = ({}, {"DIGITS": c["PACE"] - 1}, {"STEPS": c["PACE"] // 2})[c["SCALER"]]
    return c | own


def clocks():
    """That the scalers take for a word."""
    c = config()
    return -(-c["LANES"] // c["SCALERS"]) * c["PACE"]


def rounds(count):
    """Whether each of so many loads is a channel list's last, of a list as deep as the file, or of three loads."""
    c = config()
    length = -(-c["DEPTH"] // c["GROUPS"]) if c["DEPTH"] > 1 else 3
    assert c["DEPTH"] == 1 or c["FINAL"] == c["DEPTH"] - (length - 1) * c["GROUPS"]
    return [int(i % length == length - 1) for i in range(count)]


def random_loads(count):
    """(the sums of each group, final)"""
    c, rng = config(), random.Random(3)
    return [([sums(rng, c["IN_W"], c["LANES"], scale()) for _ in range(c["GROUPS"])], final) for final in rounds(count)]


def expected(loads):
    """The words that loads from a list's first one on give."""
    c, each, channel, found = config(), numbers(scale()), 0, []
    for groups, final in loads:
        for group in groups[: c["FINAL"]] if final else groups:
            found.append(packed([level(each[channel % len(each)], x, scale()) for x in group], c["OUT_W"]))
            channel += 1
        if final:
            channel = 0
    return found


class Loader:
    """Plays the accumulators: loads as soon as `full` allows, or after a pause of its own."""

    def __init__(self, dut, stall=0.0):
        self.dut, self.stall, self.random = dut, stall, random.Random(2)
        self.offered = self.before = None  # the sums of a load now, and of one a clock before

    def offer(self, load=None):
        """Load now, or with nothing to load show any sums."""
        dut, bits, late = self.dut, config()["IN_W"], config()["LATE_W"]
        dut.load.value = int(load is not None)
        flat = [self.random.getrandbits(bits) for _ in range(config()["GROUPS"] * config()["LANES"])]
        now = flat if load is None else [x for group in load[0] for x in group]
        low = flat if self.before is None else self.before
        sums = [x >> late << late | y % (1 << late) for x, y in zip(now, low, strict=True)] if late else now
        dut.sums.value = packed(sums, bits)
        dut.is_final.value = self.random.getrandbits(1) if load is None else load[1]
        self.offered = None if load is None else now

    async def load(self, loads):
        for load in loads:
            while True:
                await FallingEdge(self.dut.clk)
                self.before = self.offered
                self.offer()
                await Timer(1, "ns")  # `full` depends on the output's tready, which moves on this edge too
                if self.random.random() >= self.stall and not int(self.dut.full.value):
                    break
            self.offer(load)
        for _ in range(2):
            await FallingEdge(self.dut.clk)
            self.before = self.offered
            self.offer()


async def begin(dut, load_stall=0.0, sink_stall=0.0):
    sink = Sink(dut, "m_axis", sink_stall, seed=1)
    await start(dut, load=0, is_final=0, sums=0, m_axis_tready=0)
    return Loader(dut, load_stall), sink


@cocotb.test()
@cocotb.parametrize(load_stall=[0.0, 0.8], sink_stall=[0.0, 0.7])
async def groups_leave_in_order_as_levels(dut, load_stall, sink_stall):
    loader, sink = await begin(dut, load_stall, sink_stall)
    loads = random_loads(30)
    cocotb.start_soon(loader.load(loads))
    wanted = expected(loads)
    assert await sink.take(len(wanted)) == wanted


@cocotb.test()
async def no_scaler_waits(dut):
    loader, sink = await begin(dut)
    loads = random_loads(24)
    wanted = expected(loads)
    cocotb.start_soon(loader.load(loads))
    assert await sink.take(len(wanted)) == wanted
    # a load waits a clock for its low bits
    late = (len(loads) - 1) * (config()["LATE_W"] > 0)
    assert sink.times[-1] - sink.times[0] == (len(wanted) - 1) * clocks() + late


@cocotb.test()
@cocotb.parametrize(taken=[0, 2])
async def reset_in_mid_load_forgets_the_rest(dut, taken):
    loader, sink = await begin(dut)
    loads = random_loads(9)
    loading = cocotb.start_soon(loader.load(loads))
    for _ in range(5):
        await FallingEdge(dut.clk)
    await sink.take(taken)
    loading.cancel()
    loader.offer()
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0 and int(dut.full.value) == 0
    cocotb.start_soon(loader.load(loads))
    wanted = expected(loads)
    assert await sink.take(len(wanted)) == wanted
