"""constant_table gives the words of its file in turn, each until it is used, and begins again behind a reset."""

import random

import cocotb
from bench_term_rom import check_sum, words
from cocotb.triggers import FallingEdge
from parts import config
from parts.stream import reset, start

CONFIGS = [
    {
        "WIDTH": width,
        "WORDS": depth,
        "FILE": f"table_{depth}.hex",
        "CHECK": (check_sum(words(depth, width), width), 32),
    }
    for width, depth in ((5, 1), (40, 2), (9, 7), (33, 64), (12, 65))
]


def prepare(folder, config):
    text = "".join(f"{word:x}\n" for word in words(config["WORDS"], config["WIDTH"]))
    (folder / config["FILE"]).write_text(text)


async def _uses(dut, count, chance):
    """Uses so many words from the first on; returns the clocks until it was there."""
    c, rng = config(), random.Random(count)
    all_words, place, waited = words(c["WORDS"], c["WIDTH"]), 0, 0
    while place < count:
        there = int(dut.there.value)
        assert there or place == 0  # once it is there it stays
        waited += not there
        if there:
            assert int(dut.word.value) == all_words[place % c["WORDS"]]
        dut.next.value = used = int(bool(there) and rng.random() < chance)
        place += used
        await FallingEdge(dut.clk)
    dut.next.value = 0
    return waited


@cocotb.test()
async def words_come_in_turn(dut):
    await start(dut, next=0)
    most = 2 if config()["WORDS"] > 64 else 1
    assert await _uses(dut, 2 * config()["WORDS"] + 3, 1.0) <= most
    await reset(dut, cycles=1)
    assert await _uses(dut, config()["WORDS"] + 2, 0.5) <= most
