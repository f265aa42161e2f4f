"""pe_max keeps the greatest operand since it was cleared, signed or unsigned."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config

CONFIGS = [{"W": 1, "SIGNED": 0}, {"W": 5, "SIGNED": 0}, {"W": 5, "SIGNED": 1}]


def ends():
    bits, signed = config()["W"], config()["SIGNED"]
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


async def begin(dut):
    Clock(dut.clk, 10, "ns").start()
    dut.clear.value, dut.enable.value, dut.x.value = 1, 0, 0
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)


async def step(dut, x, enable=1, clear=0):
    dut.x.value, dut.enable.value, dut.clear.value = x % (1 << config()["W"]), enable, clear
    await ReadOnly()
    value = int(dut.sum.value)
    await FallingEdge(dut.clk)
    return value - (1 << config()["W"]) if value > ends()[1] else value


@cocotb.test()
async def sums_are_the_greatest_operand_since_clear(dut):
    await begin(dut)
    rng, (low, high) = random.Random(1), ends()
    greatest = low
    for _ in range(1000):
        x = rng.randint(low, high) if rng.random() < 0.3 else rng.randint(low, low + (high - low) // 4)
        enable, clear = int(rng.random() < 0.8), int(rng.random() < 0.1)
        value = max(greatest, x)
        assert await step(dut, x, enable, clear) == value
        greatest = low if clear else value if enable else greatest


@cocotb.test()
async def the_least_operand_alone_is_its_own_maximum(dut):
    await begin(dut)
    low, high = ends()
    assert await step(dut, low) == low
    assert await step(dut, high, enable=0) == high
    assert await step(dut, low) == low


@cocotb.test()
async def clear_wins_over_enable(dut):
    await begin(dut)
    low, high = ends()
    assert await step(dut, high, enable=1, clear=1) == high
    assert await step(dut, low) == low
