"""stream_reg passes every word once, in order, whoever stalls."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import config, stream
from parts.stream import reset

CONFIGS = [{"DATA_W": 1}, {"DATA_W": 8}, {"DATA_W": 33}]


async def begin(dut, *stalls):
    words = random.Random(3)
    return *await stream.begin(dut, *stalls), lambda count: [
        words.getrandbits(config()["DATA_W"]) for _ in range(count)
    ]


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5, 0.9])
async def words_cross_once_and_in_order(dut, source_stall, sink_stall):
    source, sink, words = await begin(dut, source_stall, sink_stall)
    sent = words(200)
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_word_crosses_every_cycle(dut):
    source, sink, words = await begin(dut)
    sent = words(100)
    cocotb.start_soon(source.send(sent))
    before = get_sim_time("ns")
    assert await sink.take(len(sent)) == sent
    assert get_sim_time("ns") - before <= (len(sent) + 2) * 10


@cocotb.test()
async def reset_in_mid_stream_forgets_the_words_inside(dut):
    source, sink, words = await begin(dut, 0.2, 0.5)
    sending = cocotb.start_soon(source.send(words(50)))
    await sink.take(20)
    for _ in range(10):  # not ready: the register fills
        await FallingEdge(dut.clk)
    sending.cancel()
    source.idle()
    await reset(dut)
    sent = words(50)
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(sent)) == sent
