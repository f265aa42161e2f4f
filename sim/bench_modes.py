"""An emitted top runs each frame in the mode that MODE held at its first word, whatever is written afterwards.

MODES_DATA names an .npz: inputs_0 [F, in_beats]; outputs_0 [M, F, out_beats] with each mode.
"""

import os
import random

import cocotb
from bench_top import CONTROL, DONE, FRAMES_IN, FRAMES_OUT, SOFT_RESET, TLAST_NONE, Board
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiResp

MODES, MODE = 0x70, 0x74


class Host(Board):
    def __init__(self, dut):
        os.environ["TOP_DATA"] = os.environ["MODES_DATA"]
        super().__init__(dut)
        self.of_modes = self.outputs[0]

    async def offer_in(self, mode, index, before):
        """The frame `index` in a mode, another being written after `before` of its words."""
        words = self.words(index)
        await self.write(MODE, mode)
        self.transfer(words[:before])
        await self.sources[0].wait()
        await self.write(MODE, (mode + 1) % len(self.of_modes))
        self.transfer(words[before:])

    async def expect_in(self, mode, index):
        self.outputs = [self.of_modes[mode]]
        await self.expect(index)


async def begin(dut, source=0.0, sink=0.0):
    host = Host(dut)
    await host.power_up()
    host.pause(source, sink)
    return host


@cocotb.test()
async def the_host_finds_how_many_modes_there_are(dut):
    host = await begin(dut)
    assert await host.read(MODES) == len(host.of_modes) and await host.read(MODE) == 0
    assert (await host.axi.write(MODE, len(host.of_modes).to_bytes(4, "little"))).resp == AxiResp.SLVERR
    assert await host.read(MODE) == 0


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.5])
async def a_write_in_mid_frame_counts_from_the_next_frame_on(dut, pause):
    host, rng = await begin(dut, pause, pause), random.Random(1)
    frames = [(rng.randrange(len(host.of_modes)), rng.randrange(host.count)) for _ in range(6)]
    await host.start(len(frames), TLAST_NONE)
    last = len(host.words(0)) - 1

    async def offered():
        for number, (mode, index) in enumerate(frames):
            await host.offer_in(mode, index, (1, last, last // 2)[number % 3])
            await host.sources[0].wait()

    offering = cocotb.start_soon(offered())
    for mode, index in frames:
        await host.expect_in(mode, index)
    await offering
    assert await host.done() == DONE
    assert await host.read(FRAMES_IN) == await host.read(FRAMES_OUT) == len(frames)


@cocotb.test()
async def a_mode_stays_until_another_is_written_and_over_a_soft_reset(dut):
    host = await begin(dut)
    await host.write(MODE, 1)
    host.outputs = [host.of_modes[1]]
    assert await host.run(3) == DONE
    await host.start(2)
    host.offer(0, half=True)
    await ClockCycles(dut.aclk, 30)
    await host.recover()
    assert await host.read(MODE) == 1
    assert await host.run(2) == DONE
    await host.write(CONTROL, SOFT_RESET)
    assert await host.read(MODE) == 1
