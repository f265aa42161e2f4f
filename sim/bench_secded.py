"""secded puts every flip of one bit right, and tells of every flip of two."""

import random
from itertools import combinations

import cocotb
from cocotb.triggers import Timer
from parts import codes, config

CONFIGS = [{"WIDTH": width, **codes.parameters("ecc", width)} for width in (4, 8, 11, 14, 40)]


async def found(dut, stored):
    """(the word that is given, repaired, wrong)."""
    dut.stored.value = stored
    await Timer(1, "ns")
    return int(dut.word.value), int(dut.repaired.value), int(dut.wrong.value)


def words():
    rng = random.Random(2)
    width = config()["WIDTH"]
    return [0, (1 << width) - 1, *(rng.getrandbits(width) for _ in range(2))]


def flips(count):
    """Every choice of so many bits of what is stored."""
    bits = config()["WIDTH"] + config()["CODE_W"]
    return [sum(1 << place for place in places) for places in combinations(range(bits), count)]


@cocotb.test()
async def a_word_that_fits_is_left_alone(dut):
    for word in words():
        assert await found(dut, codes.stored(word, config())) == (word, 0, 0)


@cocotb.test()
async def every_flip_of_one_bit_is_put_right(dut):
    for word in words():
        for flip in flips(1):
            assert await found(dut, codes.stored(word, config()) ^ flip) == (word, 1, 0), hex(flip)


@cocotb.test()
async def every_flip_of_two_bits_is_found(dut):
    for word in words():
        stored = codes.stored(word, config())
        for flip in flips(2):
            _, repaired, wrong = await found(dut, stored ^ flip)
            assert (repaired, wrong) == (0, 1), hex(flip)
