"""term_rom gives each word of its file, or what was written over it, a cycle after its address, two in a
block RAM, three in a deep one, and holds it without enable."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge
from parts import config


def words(depth, width):
    rng = random.Random(depth)
    return [rng.getrandbits(width) for _ in range(depth)]


def rows(depth, width, bank):
    """The rows of the file, a word of each bank, the last filled with zeros."""
    padded = words(depth, width) + [0] * (-depth % bank)
    banks = [padded[i : i + bank] for i in range(0, depth, bank)]
    return [sum(word << (b * width) for b, word in enumerate(row)) for row in zip(*banks, strict=True)]


def check_sum(words, width):
    """CHECK of the ROM that holds the words."""
    pieces = [sum((word >> at) & 0xFFFFFFFF for at in range(0, width, 32)) for word in words]
    return sum((i + 1) * piece for i, piece in enumerate(pieces)) % (1 << 32)


CONFIGS = [
    {
        "FILE": "rom/words.hex" if load != 2 else "",
        "DEPTH": depth,
        "WIDTH": width,
        "ROWS": bank or depth,
        "REGISTERED": int(depth > 64),
        "CHECK": (
            check_sum(rows(depth, width, bank or depth), width * -(-depth // (bank or depth))) if load != 2 else 0,
            32,
        ),
        "LOAD": load,
    }
    for depth, width, load, bank in (
        (1, 5, 0, 0),
        (6, 32, 0, 0),
        (65, 70, 0, 0),
        (7, 33, 1, 0),
        (65, 70, 1, 0),
        (65, 70, 2, 0),
        (71, 9, 0, 32),
        (71, 9, 1, 64),
        (71, 9, 2, 16),
    )
]


def prepare(folder, config):
    if not config["FILE"]:
        return
    path = folder / config["FILE"]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{row:x}\n" for row in rows(config["DEPTH"], config["WIDTH"], config["ROWS"])))


async def read(dut, address, enable=1):
    """The word after one clock, or two in a block RAM, three in a deep one, the address being gone by then."""
    dut.address.value, dut.enable.value = address, enable
    await FallingEdge(dut.clk)
    dut.address.value = 0
    for _ in range(config()["REGISTERED"] * (1 + (config()["ROWS"] < config()["DEPTH"]))):
        await FallingEdge(dut.clk)
    dut.enable.value = 0
    return int(dut.word.value)


async def write(dut, values):
    """Write the values by address, in any order."""
    for address in random.Random(2).sample(range(len(values)), len(values)):
        dut.write.value, dut.write_address.value, dut.write_word.value = 1, address, values[address]
        await FallingEdge(dut.clk)
    dut.write.value = 0


async def begin(dut):
    """The words that the memory holds; what no file fills is written first."""
    dut.write.value = dut.enable.value = 0
    Clock(dut.clk, 10, "ns").start()
    expected = words(config()["DEPTH"], config()["WIDTH"])
    await FallingEdge(dut.clk)
    if config()["LOAD"] == 2:
        await write(dut, expected)
    return expected


@cocotb.test()
async def words_are_those_of_the_file(dut):
    expected = await begin(dut)
    order = list(range(len(expected))) * 2
    random.Random(1).shuffle(order)
    for address in order:
        assert await read(dut, address) == expected[address]


@cocotb.test()
async def without_enable_the_word_holds(dut):
    expected = await begin(dut)
    last = len(expected) - 1
    await read(dut, last)
    for address in range(len(expected)):
        assert await read(dut, address, enable=0) == expected[last]


@cocotb.test()
async def what_is_written_is_read_unless_it_is_a_rom(dut):
    expected = await begin(dut)
    changed = [word ^ 5 for word in expected]
    await write(dut, changed)
    if not config()["LOAD"]:
        changed = expected
    for address, word in enumerate(changed):
        assert await read(dut, address) == word
    await write(dut, expected)  # the tests share one simulation
    assert await read(dut, 0) == expected[0]
