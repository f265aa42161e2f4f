"""term_rom gives each word of its file a cycle after its address, and holds it without enable."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge
from parts import config


def words(depth, width):
    rng = random.Random(depth)
    return [rng.getrandbits(width) for _ in range(depth)]


def check_sum(words, width):
    """CHECK of the ROM that holds the words."""
    pieces = [sum((word >> at) & 0xFFFFFFFF for at in range(0, width, 32)) for word in words]
    return sum((i + 1) * piece for i, piece in enumerate(pieces)) % (1 << 32)


CONFIGS = [
    {
        "FILE": "rom/words.hex",
        "DEPTH": depth,
        "WIDTH": width,
        "CHECK": (check_sum(words(depth, width), width), 32),
    }
    for depth, width in ((1, 5), (6, 32), (65, 70))
]


def prepare(folder, config):
    path = folder / config["FILE"]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{word:x}\n" for word in words(config["DEPTH"], config["WIDTH"])))


async def read(dut, address, enable=1):
    """The word after one clock, the address being gone by then."""
    dut.address.value, dut.enable.value = address, enable
    await FallingEdge(dut.clk)
    dut.enable.value, dut.address.value = 0, 0
    return int(dut.word.value)


@cocotb.test()
async def words_are_those_of_the_file(dut):
    Clock(dut.clk, 10, "ns").start()
    expected = words(config()["DEPTH"], config()["WIDTH"])
    order = list(range(len(expected))) * 2
    random.Random(1).shuffle(order)
    for address in order:
        assert await read(dut, address) == expected[address]


@cocotb.test()
async def without_enable_the_word_holds(dut):
    Clock(dut.clk, 10, "ns").start()
    expected = words(config()["DEPTH"], config()["WIDTH"])
    last = len(expected) - 1
    await read(dut, last)
    for address in range(len(expected)):
        assert await read(dut, address, enable=0) == expected[last]
