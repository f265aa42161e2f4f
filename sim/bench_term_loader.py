"""term_loader writes the words of a list that comes in pieces of 32 bits, and says whether the list is whole."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config

CONFIGS = [
    {"WORDS": words, "DEPTH": depth, "WIDTH": width}
    for words, depth, width in ((2, 6, 20), (0, 5, 32), (9, 9, 33), (0, 1, 70), (64, 128, 96))
]


class Loader:
    """The device, and the memory that it writes."""

    def __init__(self, dut):
        self.dut, self.memory = dut, {}

    async def begin(self):
        self.dut.load_select.value = self.dut.load.value = 0
        Clock(self.dut.clk, 10, "ns").start()
        cocotb.start_soon(self.keep())
        await FallingEdge(self.dut.clk)
        return self

    async def keep(self):
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            if int(self.dut.write.value):
                address = int(self.dut.write_address.value)
                assert address < config()["DEPTH"]
                self.memory[address] = int(self.dut.write_word.value)

    async def send(self, move, data, select=1):
        """One clock with a begin (2) or a piece (1), then perhaps some without."""
        self.dut.load_select.value, self.dut.load.value = select, move << 32 | data
        await FallingEdge(self.dut.clk)
        self.dut.load_select.value, self.dut.load.value = 1, random.getrandbits(32)
        for _ in range(random.choice((0, 0, 1, 3))):
            await FallingEdge(self.dut.clk)

    async def pieces(self, words):
        for word in words:
            for at in range(0, config()["WIDTH"], 32):
                await self.send(1, word >> at & 0xFFFFFFFF)

    async def loaded(self):
        for _ in range(3):
            await FallingEdge(self.dut.clk)
        return bool(int(self.dut.loaded.value))


def words(count, seed):
    draw = random.Random(seed)
    return [draw.getrandbits(config()["WIDTH"]) for _ in range(count)]


@cocotb.test()
async def at_power_up_the_file_s_list_is_loaded_if_there_is_one(dut):
    loader = await Loader(dut).begin()
    count = config()["WORDS"]
    assert await loader.loaded() == (count > 0)
    if count:
        assert int(dut.last_address.value) == count - 1
    assert not loader.memory


@cocotb.test()
async def lists_of_any_length_are_written_from_the_first_word_on(dut):
    loader = await Loader(dut).begin()
    for count in (config()["DEPTH"], 1, max(1, config()["DEPTH"] // 2), config()["DEPTH"]):
        loader.memory.clear()
        expected = words(count, count)
        await loader.send(2, count)
        await loader.pieces(expected[:-1])
        assert not await loader.loaded()
        await loader.pieces(expected[-1:])
        assert await loader.loaded()
        assert loader.memory == dict(enumerate(expected))
        assert int(dut.last_address.value) == count - 1


@cocotb.test()
async def a_list_that_is_not_whole_is_not_loaded(dut):
    loader = await Loader(dut).begin()
    depth = config()["DEPTH"]

    async def whole(count=depth):
        await loader.send(2, count)
        await loader.pieces(words(count, 1))
        assert await loader.loaded()

    await whole()
    await loader.send(1, 7)  # a piece too many
    assert not await loader.loaded()
    await whole()
    for count in (0, depth + 1, 1 << 31):  # lengths that are none
        await loader.send(2, count)
        assert not await loader.loaded()
        loader.memory.clear()
        await loader.pieces(words(depth + 1, 2))
        assert not await loader.loaded() and not loader.memory
    await whole(1)
    await loader.send(2, depth)  # begun, and begun again in the middle of a word
    await loader.send(1, 99)
    assert await loader.loaded() == (depth == 1 and config()["WIDTH"] <= 32)
    await whole()


@cocotb.test()
async def what_is_for_another_layer_changes_nothing(dut):
    loader = await Loader(dut).begin()
    await loader.send(2, 1)
    await loader.pieces(words(1, 3))
    assert await loader.loaded()
    loader.memory.clear()
    await loader.send(2, 1, select=0)
    await loader.send(1, 5, select=0)
    assert await loader.loaded() and not loader.memory
