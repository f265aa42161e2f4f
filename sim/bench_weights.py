"""An emitted top runs with the weights that its host has loaded, bit for bit, and with no others.

WEIGHTS_DATA names an .npz: inputs_0 [F, in_beats]; outputs_0 [2, F, out_beats] with each of two sets of weights;
writes_0 and writes_1 [N, 2], the register writes of each set; checks [2, layers]. WEIGHTS_AT_START is 1 where the first
set is there from the beginning. All tests share one simulation, and the memories keep what they hold: each loads what
it needs.
"""

import os
import random

import cocotb
import numpy as np
from bench_top import BUSY, CONTROL, DONE, FRAMES_IN, SOFT_RESET, START, STATUS, Board
from cocotb.triggers import ClockCycles, FallingEdge
from cocotbext.axi import AxiResp

LOAD_LAYERS, LOAD_LAYER, LOAD_WORDS, LOAD_DATA, LOAD_CHECK, LOADED = range(0x48, 0x60, 4)
UNLOADED = 8


class Host(Board):
    def __init__(self, dut):
        os.environ["TOP_DATA"] = os.environ["WEIGHTS_DATA"]
        super().__init__(dut)
        with np.load(os.environ["WEIGHTS_DATA"]) as data:
            self.results, self.checks = data["outputs_0"], data["checks"]
            self.writes = [data["writes_0"].tolist(), data["writes_1"].tolist()]
        self.outputs = [self.results[0]]

    async def send(self, writes):
        for offset, value in writes:
            await self.write(offset, value)

    async def settled(self):
        """STATUS, when it has had time to follow the last write."""
        await ClockCycles(self.dut.aclk, 8)
        return await self.read(STATUS)

    async def load(self, which):
        """A whole set of weights, verified layer by layer as a driver would."""
        starts = [i for i, (offset, _) in enumerate(self.writes[which]) if offset == LOAD_LAYER]
        for layer, (start, end) in enumerate(zip(starts, [*starts[1:], None], strict=True)):
            await self.send(self.writes[which][start:end])
            assert await self.read(LOAD_LAYER) == layer
            assert await self.read(LOAD_CHECK) == self.checks[which][layer]
            await ClockCycles(self.dut.aclk, 8)
            assert await self.read(LOADED) == 1
        assert not await self.settled() & UNLOADED
        self.outputs = [self.results[which]]

    async def refused(self, offset, value):
        assert (await self.axi.write(offset, value.to_bytes(4, "little"))).resp == AxiResp.SLVERR


async def begin(dut, source=0.0, sink=0.0):
    host = Host(dut)
    await host.power_up()
    host.pause(source, sink)
    return host


# cocotb runs the tests in the order in which they stand here
@cocotb.test()
async def at_power_up_the_build_s_weights_are_there_or_nothing_starts(dut):
    host = await begin(dut)
    assert await host.read(LOAD_LAYERS) == host.checks.shape[1]
    if int(os.environ["WEIGHTS_AT_START"]):
        assert await host.settled() == 0
        assert await host.run(2) == DONE
        return
    assert await host.settled() == UNLOADED
    await host.start(1)
    host.offer(0)
    await ClockCycles(dut.aclk, 400)
    assert await host.read(STATUS) == UNLOADED and await host.read(FRAMES_IN) == 0 and host.sinks[0].empty()
    await host.load(0)
    await host.start(1)
    await host.expect(0)  # the frame that waited
    assert await host.done() == DONE


@cocotb.test()
@cocotb.parametrize(source=[0.0, 0.5], sink=[0.4])
async def each_set_of_weights_gives_its_own_results(dut, source, sink):
    host = await begin(dut, source, sink)
    assert (host.results[0] != host.results[1]).any()
    for which in (1, 0):
        await host.load(which)
        assert await host.run(host.count) == DONE


@cocotb.test()
async def frames_that_wait_meet_the_new_weights_whole(dut):
    host = await begin(dut)
    for index in range(4):
        host.offer(index)
    await ClockCycles(dut.aclk, 20)  # words stand at the border
    await host.load(1)
    await host.start(4)
    for index in range(4):
        await host.expect(index)
    assert await host.done() == DONE


@cocotb.test()
async def loading_right_after_done_disturbs_nothing(dut):
    """A layer may still be at work then on what no result needs."""
    host = await begin(dut)
    for which in (0, 1):
        await host.load(which)
        await host.run(2)


@cocotb.test()
async def nothing_is_loaded_during_a_run(dut):
    host = await begin(dut, 0.0, 0.3)
    await host.load(1)
    await host.start(3)
    host.offer(0)
    for offset, value in ((LOAD_LAYER, 0), (LOAD_WORDS, 1), (LOAD_DATA, 3)):
        await host.refused(offset, value)
    assert await host.read(STATUS) == BUSY
    host.offer(1)
    host.offer(2)
    for index in range(3):
        await host.expect(index)
    assert await host.done() == DONE


@cocotb.test()
@cocotb.parametrize(reset=["none", "soft", "hard"])
async def half_a_load_is_no_load(dut, reset):
    host = await begin(dut)
    await host.load(0)
    writes = host.writes[1]
    # not between two lists: the layers are whole then, though not of one network
    inside = [i for i in range(2, len(writes)) if LOAD_LAYER not in (writes[i - 1][0], writes[i][0])]
    await host.send(writes[: random.Random(reset).choice(inside)])
    assert await host.settled() == UNLOADED
    if reset == "soft":
        await host.write(CONTROL, SOFT_RESET)
    if reset == "hard":
        await FallingEdge(dut.aclk)
        dut.aresetn.value = 0
        await ClockCycles(dut.aclk, 4)
        await FallingEdge(dut.aclk)
        dut.aresetn.value = 1
        await FallingEdge(dut.aclk)
    await host.write(CONTROL, START)
    assert await host.settled() == UNLOADED
    await host.load(1)
    assert await host.run(2) == DONE


@cocotb.test()
async def what_is_out_of_order_is_reported(dut):
    host = await begin(dut)
    await host.load(1)
    await host.refused(LOAD_LAYER, host.checks.shape[1])
    await host.send([(LOAD_LAYER, 0), (LOAD_DATA, 0)])  # a piece too many
    assert await host.settled() == UNLOADED and await host.read(LOADED) == 0
    await host.write(LOAD_LAYER, 1)
    assert await host.read(LOADED) == 1  # the others are whole
    for words in (0, 1 << 20):  # lengths that no memory has
        await host.send([(LOAD_LAYER, 1), (LOAD_WORDS, words), *((LOAD_DATA, 0) for _ in range(4))])
        assert await host.settled() == UNLOADED
    await host.load(0)
    assert await host.run(1) == DONE
    # a start in the middle of a load
    await host.send(host.writes[1][:5])
    await host.write(CONTROL, START)
    assert await host.settled() == UNLOADED | DONE
    await host.load(1)
    assert await host.run(1) == DONE
