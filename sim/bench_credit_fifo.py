"""credit_fifo finds room for every result of a pipeline that never stops, sends them in order, and costs no cycle."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import Sink, reset, start

CONFIGS = [
    {"DATA_W": 9, "DEPTH": 4},
    {"DATA_W": 1, "DEPTH": 8},
    {"DATA_W": 40, "DEPTH": 16, "AHEAD": 2},
    {"DATA_W": 5, "DEPTH": 64},
]


class Pipeline:
    """What enters comes out so many clocks later; entered -- all results that entered since the start."""

    def __init__(self, dut, clocks: int, idle: float):
        self.dut, self.idle, self.random = dut, idle, random.Random(clocks)
        self.inside: list[int | None] = [None] * clocks
        self.rooms = [0] * config().get("AHEAD", 0)
        self.entered: list[int] = []

    def forget(self):
        self.inside = [None] * len(self.inside)
        self.rooms = [0] * len(self.rooms)
        self.entered = []

    async def run(self):
        while True:
            await FallingEdge(self.dut.clk)
            done, bits = self.inside.pop(), config()["DATA_W"]
            self.dut.result_valid.value = done is not None
            self.dut.result.value = self.random.getrandbits(bits) if done is None else done
            self.rooms.append(int(self.dut.room.value) and not int(self.dut.rst.value))
            offered = self.rooms.pop(0) and self.random.random() >= self.idle
            self.dut.enters.value = offered
            self.inside.insert(0, self.random.getrandbits(bits) if offered else None)
            self.entered += [self.inside[0]] if offered else []


async def begin(dut, clocks, idle=0.0, stall=0.0):
    pipeline, sink = Pipeline(dut, clocks, idle), Sink(dut, "m_axis", stall, seed=2)
    await start(dut, enters=0, result=0, result_valid=0, m_axis_tready=0)
    cocotb.start_soon(pipeline.run())
    return pipeline, sink


@cocotb.test()
@cocotb.parametrize(clocks=[1, 3, 20], idle=[0.0, 0.4], stall=[0.0, 0.5, 0.9])
async def results_cross_once_and_in_order(dut, clocks, idle, stall):
    pipeline, sink = await begin(dut, clocks, idle, stall)
    taken = await sink.take(100 + 2 * config()["DEPTH"])
    assert taken == pipeline.entered[: len(taken)]


@cocotb.test()
async def a_result_crosses_every_cycle(dut):
    clocks = max(1, config()["DEPTH"] - 4 - config().get("AHEAD", 0))
    pipeline, sink = await begin(dut, clocks)
    taken = await sink.take(50)
    before = get_sim_time("ns")
    taken += await sink.take(100 + 2 * config()["DEPTH"])
    assert taken == pipeline.entered[: len(taken)]
    late = 0 if config()["DEPTH"] - 4 >= clocks else len(taken)
    assert get_sim_time("ns") - before <= (len(taken) - 50 + late + 2 + config().get("AHEAD", 0)) * 10


@cocotb.test()
async def as_much_enters_as_it_holds(dut):
    pipeline, sink = await begin(dut, 2)
    for _ in range(3 * config()["DEPTH"] + 10):
        await FallingEdge(dut.clk)
    held = len(pipeline.entered)
    assert config()["DEPTH"] <= held <= config()["DEPTH"] + 1, "one is at the output"
    assert await sink.take(held) == pipeline.entered[:held]


@cocotb.test()
async def room_ignores_the_output_within_a_cycle(dut):
    await begin(dut, 2)
    for _ in range(3 * config()["DEPTH"] + 10):
        await FallingEdge(dut.clk)
    dut.m_axis_tready.value = 1
    await ReadOnly()
    assert int(dut.room.value) == 0


@cocotb.test()
@cocotb.parametrize(inside=[1, 100])
async def reset_in_mid_stream_forgets_the_results(dut, inside):
    pipeline, sink = await begin(dut, 3, 0.2, 0.5)
    await sink.take(20)
    for _ in range(inside):  # not ready: the memory fills
        await FallingEdge(dut.clk)
    pipeline.forget()
    dut.enters.value = 0
    dut.result_valid.value = 0
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    pipeline.forget()
    await reset(dut)
    pipeline.forget()
    taken = await sink.take(50)
    assert taken == pipeline.entered[:50]
