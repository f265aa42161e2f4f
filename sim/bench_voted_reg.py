"""voted_reg holds what it was given, and with three copies whatever becomes of one of them."""

import random

import cocotb
from cocotb.triggers import FallingEdge, Timer
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import start

CONFIGS = [
    {"W": 1, "TMR": 0},
    {"W": 9, "RESET": (0x155, 9), "INITIAL": 1, "TMR": 0},
    {"W": 1, "TMR": 1},
    {"W": 9, "RESET": (0x155, 9), "INITIAL": 1, "TMR": 1},
    {"W": 3, "STAGES": 4, "RESET": (5, 3), "TMR": 0},
    {"W": 3, "STAGES": 3, "RESET": (5, 3), "TMR": 1},
]


def reset_value():
    return config().get("RESET", (0, 1))[0]


@cocotb.test()
async def it_holds_what_it_was_given_until_a_reset(dut):
    if config().get("INITIAL") and int(get_sim_time("ns")) == 0:
        assert int(dut.q.value) == reset_value()
    await start(dut, enable=0, d=0)
    rng, first = random.Random(1), reset_value()
    row = [first] * config().get("STAGES", 1)
    for _ in range(200):
        reset, enable, value = rng.random() < 0.1, rng.random() < 0.5, rng.getrandbits(config()["W"])
        dut.rst.value, dut.enable.value, dut.d.value = int(reset), int(enable), value
        row = [first] * len(row) if reset else [value, *row[:-1]] if enable else row
        await FallingEdge(dut.clk)
        assert int(dut.q.value) == row[-1]


@cocotb.test()
async def a_flip_in_one_copy_is_not_seen_and_written_over(dut):
    """On Icarus, where Python reaches a register without the compiled model being another one."""
    if not (config()["TMR"] and cocotb.SIM_NAME.startswith("Icarus")):
        return
    await start(dut, enable=0, d=0)
    rng, width, stages = random.Random(2), config()["W"], config().get("STAGES", 1)
    for bit in range(width):
        for name in ("a_q", "b_q", "c_q"):
            value = rng.getrandbits(width)
            dut.d.value, dut.enable.value = value, 1
            copy = getattr(dut.gen_three, name)
            for stage in range(stages):
                for _ in range(stages):
                    await FallingEdge(dut.clk)
                held = int(copy.value)
                copy.value = held ^ 1 << (stage * width + bit)
                dut.enable.value = 0
                await Timer(1, "ns")
                assert int(copy.value) != held and int(dut.q.value) == value
                await FallingEdge(dut.clk)
                assert int(dut.q.value) == value
                dut.enable.value = 1
                for _ in range(stages):
                    await FallingEdge(dut.clk)
                    assert int(dut.q.value) == value
                assert len({int(getattr(dut.gen_three, each).value) for each in ("a_q", "b_q", "c_q")}) == 1
