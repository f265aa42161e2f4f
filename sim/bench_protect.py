"""The top of a protected build tells of flips in its lists, or repairs them, and is as before once they are written
again.

PROTECT_DATA names an .npz: inputs_0 [F, in_beats], outputs_0 [F, out_beats], writes [N, 2] that load the lists.
PROTECT is what the build was made with; PROTECT_LISTS, in JSON, of each list [unit, the number of its bit, the path of
its memory, words, bits].
"""

import json
import os
import random

import cocotb
import numpy as np
from bench_top import CONTROL, DONE, SOFT_RESET, Board
from cocotb.triggers import ClockCycles, FallingEdge

from hwgen.registers import BIT, OFFSET

INTERRUPT_ENABLE = OFFSET["INTERRUPT_ENABLE"]
WATCHED, EVENTS, FAULTS, REPAIRS = (OFFSET[name] for name in ("WATCHED", "EVENTS", "FAULTS", "REPAIRS"))


class Host(Board):
    """Enables the interrupt of faults as it powers up."""

    def __init__(self, dut):
        os.environ["TOP_DATA"] = os.environ["PROTECT_DATA"]
        super().__init__(dut)
        with np.load(os.environ["PROTECT_DATA"]) as data:
            self.writes = data["writes"].tolist()

    async def power_up(self):
        await super().power_up()
        await self.write(INTERRUPT_ENABLE, BIT["INTERRUPT_FAULT"])

    async def told(self):
        """(FAULTS, REPAIRS), which are cleared."""
        found = []
        for base in (FAULTS, REPAIRS):
            found.append(await self.read(base))
            await self.write(base, 0xFFFFFFFF)
        return tuple(found)


def memory(dut, path):
    for name in path.split("."):
        dut = getattr(dut, name)
    return dut


def lists():
    return json.loads(os.environ["PROTECT_LISTS"])


@cocotb.test()
async def nothing_is_told_while_nothing_flips(dut):
    host = Host(dut)
    await host.power_up()
    assert await host.read(WATCHED) >= len(lists())
    assert await host.run(host.count) == DONE
    assert await host.told() == (0, 0) and await host.read(EVENTS) == 0
    assert not int(dut.irq.value)


@cocotb.test()
async def a_flipped_bit_of_a_list_is_told_or_put_right_until_the_list_is_written_again(dut):
    host, rng = Host(dut), random.Random(1)
    await host.power_up()
    repairs = "ecc" in os.environ["PROTECT"]
    for _, bit, path, words, width in lists():
        for _ in range(3):
            word = memory(dut, path)[rng.randrange(words)]
            await FallingEdge(dut.aclk)
            right = int(word.value)
            word.value = right ^ 1 << rng.randrange(width)
            await ClockCycles(dut.aclk, 2)
            if repairs:
                assert await host.run(host.count) == DONE, "the same results"
                assert await host.told() == (0, 1 << bit)
                for offset, value in host.writes:
                    await host.write(offset, value)
                assert int(word.value) == right, "written again"
            else:
                await host.start(1)
                host.offer(0)
                assert await host.done() == DONE  # the watchdog sees to it, whatever the flip did
                for sink in host.sinks:
                    await sink.recv()
                assert int(dut.irq.value)
                faults, _ = await host.told()
                assert faults == 1 << bit
                await host.write(EVENTS, 1)
                word.value = right
                await host.write(CONTROL, SOFT_RESET)  # the word may have been read ahead
                await host.told()
            assert await host.run(2) == DONE
            assert await host.told() == (0, 0)
