"""stream_narrow sends the N words of a beat one by one, lowest first, without a gap; short beats leave the last out."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import begin, interrupt

CONFIGS = [
    {"DATA_W": 3, "N": 5, "CHANNELS": 2, "STRIPE": 3, "SHORT": 4, "SHORT_FROM": 1},
    {"DATA_W": 9, "N": 2, "CHANNELS": 3, "STRIPE": 1, "SHORT": 2, "SHORT_FROM": 1},
    {"DATA_W": 4, "N": 2, "CHANNELS": 1, "STRIPE": 4, "SHORT": 1, "SHORT_FROM": 3},
    {"DATA_W": 2, "N": 3, "CHANNELS": 5, "STRIPE": 2, "SHORT": 2, "SHORT_FROM": 1},
]


def beats(count, seed=3):
    """Beats, from a row's first on, and the words in them."""
    rng, c = random.Random(seed), config()
    sent = [rng.getrandbits(c["N"] * c["DATA_W"]) for _ in range(count)]
    words = []
    for i, beat in enumerate(sent):
        short = i // c["CHANNELS"] % c["STRIPE"] >= c["SHORT_FROM"]
        words += [beat >> (n * c["DATA_W"]) & ((1 << c["DATA_W"]) - 1) for n in range(c["SHORT" if short else "N"])]
    return sent, words


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.5, 0.9], sink_stall=[0.0, 0.5])
async def words_cross_once_and_in_order(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    sent, words = beats(40)
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(words)) == words


@cocotb.test()
async def a_word_leaves_every_clock(dut):
    source, sink = await begin(dut)
    sent, words = beats(30)
    before = get_sim_time("ns")
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(words)) == words
    assert get_sim_time("ns") - before <= (len(words) + 2) * 10


@cocotb.test()
@cocotb.parametrize(taken=[1, 2, 5])
async def reset_in_mid_beat_forgets_the_words_inside(dut, taken):
    source, sink = await begin(dut)
    sending = cocotb.start_soon(source.send(beats(9)[0]))
    await sink.take(taken)
    await FallingEdge(dut.clk)
    await interrupt(dut, sending, source)
    sent, words = beats(10, seed=4)
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(words)) == words
