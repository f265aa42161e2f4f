"""stream_reg passes every word once, in order, whoever stalls."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import Sink, Source, reset, start, watch

CONFIGS = [{"DATA_W": 1}, {"DATA_W": 8}, {"DATA_W": 33}]


async def begin(dut, source_stall=0.0, sink_stall=0.0):
    source = Source(dut, "s_axis", source_stall, seed=1)
    sink = Sink(dut, "m_axis", sink_stall, seed=2)
    await start(dut, s_axis_tvalid=0, s_axis_tdata=0, m_axis_tready=0)
    cocotb.start_soon(watch(dut, "m_axis"))
    words = random.Random(3)
    return source, sink, lambda count: [words.getrandbits(config()["DATA_W"]) for _ in range(count)]


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
