"""stream_widen puts N words side by side, the first lowest, and takes a word every clock."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import begin, interrupt

CONFIGS = [{"DATA_W": 3, "N": 5}, {"DATA_W": 9, "N": 2}]


def words(count, seed=3):
    """Words of `count` beats, and the beats."""
    rng, bits, n = random.Random(seed), config()["DATA_W"], config()["N"]
    sent = [rng.getrandbits(bits) for _ in range(count * n)]
    return sent, [sum(word << (i * bits) for i, word in enumerate(sent[k : k + n])) for k in range(0, len(sent), n)]


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5, 0.9])
async def words_cross_once_and_in_order(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    sent, beats = words(40)
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(beats)) == beats


@cocotb.test()
async def a_word_enters_every_clock(dut):
    source, sink = await begin(dut)
    sent, beats = words(30)
    before = get_sim_time("ns")
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(beats)) == beats
    assert get_sim_time("ns") - before <= (len(sent) + 2) * 10


@cocotb.test()
@cocotb.parametrize(extra=[0, 1, 4])
async def reset_in_mid_beat_forgets_the_words_inside(dut, extra):
    source, sink = await begin(dut)
    sent, _ = words(4)
    sending = cocotb.start_soon(source.send(sent[: 2 * config()["N"] + extra]))
    await sink.take(1)
    for _ in range(3 * config()["N"]):  # not ready: it fills
        await FallingEdge(dut.clk)
    await interrupt(dut, sending, source)
    sent, beats = words(10, seed=4)
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(beats)) == beats
