"""check_bits gives the parity of some of a word's bits, for each of its rows."""

import random

import cocotb
from cocotb.triggers import Timer
from parts import codes, config

CONFIGS = [
    {"WIDTH": width, **codes.parameters(kind, width)}
    for kind, width in (("parity", 1), ("parity", 13), ("ecc", 4), ("ecc", 70))
]


@cocotb.test()
async def each_check_bit_is_the_parity_of_its_row(dut):
    c, rng = config(), random.Random(1)
    for word in [0, *(1 << i for i in range(c["WIDTH"])), *(rng.getrandbits(c["WIDTH"]) for _ in range(200))]:
        dut.word.value = word
        await Timer(1, "ns")
        assert int(dut.checks.value) == codes.checks(word, c), hex(word)
