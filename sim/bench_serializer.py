"""serializer sends the sums of each load one a beat, lane 0 first, without a gap between loads."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly, Timer
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import Sink, reset, start

CONFIGS = [{"LANES": 1, "W": 5}, {"LANES": 2, "W": 9}, {"LANES": 5, "W": 4}]


class Loader:
    """Plays the accumulators: loads as soon as `full` allows, or after a pause of its own."""

    def __init__(self, dut, stall):
        self.dut, self.stall, self.random = dut, stall, random.Random(2)

    async def load(self, loads):
        """Each load is (sums, short)."""
        dut, bits = self.dut, config()["W"]
        for sums, short in loads:
            while True:
                await FallingEdge(dut.clk)
                dut.load.value = 0
                dut.sums.value = self.random.getrandbits(bits * len(sums))
                dut.is_short.value = self.random.getrandbits(1)
                await Timer(1, "ns")  # `full` depends on the output's tready, which moves on this edge too
                if self.random.random() >= self.stall and not int(dut.full.value):
                    break
            dut.load.value = 1
            dut.is_short.value = short
            dut.sums.value = sum(value << (lane * bits) for lane, value in enumerate(sums))
        await FallingEdge(dut.clk)
        dut.load.value = 0


async def begin(dut, load_stall=0.0, sink_stall=0.0):
    sink = Sink(dut, "m_axis", sink_stall, seed=1)
    await start(dut, load=0, is_short=0, sums=0, m_axis_tready=0)
    return Loader(dut, load_stall), sink


def random_loads(count, short_chance):
    rng, lanes = random.Random(3), config()["LANES"]
    if lanes == 1:
        short_chance = 0  # the engine never asks for it
    return [
        ([rng.getrandbits(config()["W"]) for _ in range(lanes)], int(rng.random() < short_chance)) for _ in range(count)
    ]


def beats(loads):
    return [value for sums, short in loads for value in sums[: len(sums) - short]]


@cocotb.test()
@cocotb.parametrize(
    (
        ("load_stall", "sink_stall", "short_chance"),
        [(0.0, 0.0, 0.4), (0.6, 0.0, 1.0), (0.0, 0.9, 0.4), (0.6, 0.5, 0.4), (0.0, 0.5, 0.0), (0.6, 0.9, 1.0)],
    )
)
async def sums_leave_in_order_and_a_short_load_leaves_the_last_out(dut, load_stall, sink_stall, short_chance):
    loader, sink = await begin(dut, load_stall, sink_stall)
    loads = random_loads(40, short_chance)
    cocotb.start_soon(loader.load(loads))
    assert await sink.take(len(beats(loads))) == beats(loads)


@cocotb.test()
@cocotb.parametrize(short_chance=[0.0, 0.5])
async def a_beat_leaves_every_cycle(dut, short_chance):
    loader, sink = await begin(dut)
    loads = random_loads(40, short_chance)
    before = get_sim_time("ns")
    cocotb.start_soon(loader.load(loads))
    assert await sink.take(len(beats(loads))) == beats(loads)
    assert get_sim_time("ns") - before <= (len(beats(loads)) + 3) * 10


@cocotb.test()
async def full_stands_until_the_cycle_of_the_last_beat(dut):
    loader, _ = await begin(dut)
    await loader.load(random_loads(1, 0))
    for left in range(config()["LANES"], 0, -1):
        for ready in (0, 0, 1):
            dut.m_axis_tready.value = ready
            await ReadOnly()
            assert int(dut.full.value) == (0 if ready and left == 1 else 1)
            await FallingEdge(dut.clk)
    dut.m_axis_tready.value = 0
    await ReadOnly()
    assert int(dut.full.value) == 0 and int(dut.m_axis_tvalid.value) == 0


@cocotb.test()
async def reset_in_mid_load_forgets_the_rest(dut):
    loader, sink = await begin(dut)
    loads = random_loads(20, 0.5)
    loading = cocotb.start_soon(loader.load(loads))
    await sink.take(config()["LANES"] + 1)
    await FallingEdge(dut.clk)
    loading.cancel()
    dut.load.value = 0
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0 and int(dut.full.value) == 0
    cocotb.start_soon(loader.load(loads))
    assert await sink.take(len(beats(loads))) == beats(loads)
