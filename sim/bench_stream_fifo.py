"""stream_fifo gives every word once, in order, holds at least DEPTH of them, and never costs a cycle."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from cocotb.utils import get_sim_time
from parts import config, stream
from parts.stream import reset

CONFIGS = [
    {"DATA_W": 8, "DEPTH": 2},
    {"DATA_W": 1, "DEPTH": 3},
    {"DATA_W": 33, "DEPTH": 16},
    {"DATA_W": 8, "DEPTH": 64},
    {"DATA_W": 8, "DEPTH": 65},
    {"DATA_W": 12, "DEPTH": 128, "BLOCK": 1},
]


BLOCK_WORDS = 64  # of the deepest memory that is not in blocks


def behind():
    """Words that wait behind the memory."""
    return 1 + (config().get("BLOCK", 0) and config()["DEPTH"] > BLOCK_WORDS)


async def begin(dut, *stalls):
    words = random.Random(3)
    return *await stream.begin(dut, *stalls), lambda count: [
        words.getrandbits(config()["DATA_W"]) for _ in range(count)
    ]


async def held(dut, source, words):
    """The words that go in before the input stalls, the output being stalled."""
    count = 0
    await FallingEdge(dut.clk)
    source.valid.value = 1
    for _ in range(config()["DEPTH"] + 8):
        source.data.value = words[count]
        await ReadOnly()
        count += int(dut.s_axis_tready.value)
        await FallingEdge(dut.clk)
    source.idle()
    return words[:count]


@cocotb.test()
@cocotb.parametrize((("source_stall", "sink_stall"), [(0.5, 0.0), (0.0, 0.9), (0.5, 0.5)]))
async def words_cross_once_and_in_order(dut, source_stall, sink_stall):
    source, sink, words = await begin(dut, source_stall, sink_stall)
    sent = words(200 + 2 * config()["DEPTH"])
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_word_crosses_every_cycle(dut):
    source, sink, words = await begin(dut)
    sent = words(100 + 2 * config()["DEPTH"])
    cocotb.start_soon(source.send(sent))
    before = get_sim_time("ns")
    assert await sink.take(len(sent)) == sent
    assert get_sim_time("ns") - before <= (len(sent) + 2 + behind()) * 10


@cocotb.test()
async def a_word_crosses_every_cycle_after_a_jam(dut):
    source, sink, words = await begin(dut)
    sent = words(4 * config()["DEPTH"] + 20)
    inside = await held(dut, source, sent)
    cocotb.start_soon(source.send(sent[len(inside) :]))
    before = get_sim_time("ns")
    assert await sink.take(len(sent)) == sent
    assert get_sim_time("ns") - before <= (len(sent) + 2 + behind()) * 10


@cocotb.test()
async def it_holds_the_memory_and_what_is_behind(dut):
    source, sink, words = await begin(dut)
    inside = await held(dut, source, words(config()["DEPTH"] + 8))
    assert len(inside) == config()["DEPTH"] + behind()
    assert await sink.take(len(inside)) == inside


@cocotb.test()
async def input_ready_ignores_output_ready_within_a_cycle(dut):
    source, _, words = await begin(dut)
    await held(dut, source, words(config()["DEPTH"] + 8))
    dut.m_axis_tready.value = 1
    await ReadOnly()
    assert int(dut.s_axis_tready.value) == 0


@cocotb.test()
@cocotb.parametrize(inside=[1, 2, 100])
async def reset_in_mid_stream_forgets_the_words_inside(dut, inside):
    source, sink, words = await begin(dut, 0.2, 0.5)
    sending = cocotb.start_soon(source.send(words(300)))
    await sink.take(20)
    for _ in range(inside):  # not ready: the memory fills
        await FallingEdge(dut.clk)
    sending.cancel()
    source.idle()
    await reset(dut)
    assert int(dut.m_axis_tvalid.value) == 0
    sent = words(50 + config()["DEPTH"])
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(sent)) == sent
