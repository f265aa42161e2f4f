"""word_code gives a word its check bits, and what is read what these say of it."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer
from parts import codes, config

CONFIGS = [
    {"WIDTH": width, **codes.parameters(kind, width)}
    for kind, width in (("none", 7), ("parity", 1), ("parity", 15), ("ecc", 14))
]


async def begin(dut):
    dut.enable.value = dut.write_word.value = dut.stored.value = 0
    Clock(dut.clk, 10, "ns").start()
    await FallingEdge(dut.clk)
    return random.Random(4)


async def read(dut, stored):
    """(word, wrong, repaired) of what is read, a clock later where words are repaired."""
    dut.stored.value, dut.enable.value = stored, 1
    if config()["CODE_W"] > 1:
        await FallingEdge(dut.clk)
        dut.stored.value = ~stored & ((1 << len(dut.stored)) - 1)
    dut.enable.value = 0
    await Timer(1, "ns")
    return int(dut.word.value), int(dut.wrong.value), int(dut.repaired.value)


@cocotb.test()
async def what_is_written_fits_when_it_is_read(dut):
    rng, c = await begin(dut), config()
    for _ in range(50):
        word = rng.getrandbits(c["WIDTH"])
        dut.write_word.value = word
        await Timer(1, "ns")
        assert int(dut.write_stored.value) == codes.stored(word, c)
        assert await read(dut, codes.stored(word, c)) == (word, 0, 0)
        await FallingEdge(dut.clk)


@cocotb.test()
async def flips_are_told_or_put_right(dut):
    rng, c = await begin(dut), config()
    bits = c["WIDTH"] + c["CODE_W"]
    for flip in [1 << i for i in range(bits)] * 2:
        word = rng.getrandbits(c["WIDTH"])
        flipped = codes.stored(word, c) ^ flip
        expected = {
            0: (flipped, 0, 0),
            1: (flipped & ((1 << c["WIDTH"]) - 1), 1, 0),
        }.get(c["CODE_W"], (word, 0, 1))
        assert await read(dut, flipped) == expected, hex(flip)
        await FallingEdge(dut.clk)
    if c["CODE_W"] > 1:
        _, wrong, repaired = await read(dut, codes.stored(5, c) ^ 3)
        assert (wrong, repaired) == (1, 0)


@cocotb.test()
async def without_enable_all_holds(dut):
    rng, c = await begin(dut), config()
    if c["CODE_W"] < 2:
        return
    word = rng.getrandbits(c["WIDTH"])
    held = await read(dut, codes.stored(word, c) ^ 1)
    for _ in range(5):
        dut.stored.value = rng.getrandbits(len(dut.stored))
        await FallingEdge(dut.clk)
        assert (int(dut.word.value), int(dut.wrong.value), int(dut.repaired.value)) == held == (word, 0, 1)
