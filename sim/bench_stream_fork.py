"""stream_fork gives both sides every word once, in order, whoever stalls."""

import random

import cocotb
from cocotb.triggers import Combine, FallingEdge
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import Sink, Source, reset, start

CONFIGS = [{"DATA_W": 1}, {"DATA_W": 8}, {"DATA_W": 33}]


async def begin(dut, source_stall=0.0, stall0=0.0, stall1=0.0):
    source = Source(dut, "s_axis", source_stall, seed=1)
    sinks = Sink(dut, "m0_axis", stall0, seed=2), Sink(dut, "m1_axis", stall1, seed=3)
    await start(dut, s_axis_tvalid=0, s_axis_tdata=0, m0_axis_tready=0, m1_axis_tready=0)
    words = random.Random(4)
    return source, sinks, lambda count: [words.getrandbits(config()["DATA_W"]) for _ in range(count)]


async def both_get(source, sinks, sent):
    cocotb.start_soon(source.send(sent))
    takes = [cocotb.start_soon(sink.take(len(sent))) for sink in sinks]
    await Combine(*takes)
    for take in takes:
        assert take.result() == sent


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.5], stall0=[0.0, 0.5], stall1=[0.0, 0.3, 0.9])
async def both_sides_get_every_word_once(dut, source_stall, stall0, stall1):
    source, sinks, words = await begin(dut, source_stall, stall0, stall1)
    await both_get(source, sinks, words(200))


@cocotb.test()
async def a_word_passes_every_cycle(dut):
    source, sinks, words = await begin(dut)
    before = get_sim_time("ns")
    await both_get(source, sinks, words(100))
    assert get_sim_time("ns") - before <= 102 * 10


@cocotb.test()
async def a_side_takes_its_word_while_the_other_waits(dut):
    source, (sink0, sink1), words = await begin(dut)
    sent = words(2)
    cocotb.start_soon(source.send(sent))
    assert await sink0.take(1) == sent[:1]
    assert int(dut.m0_axis_tvalid.value) == 0, "the second word came before the other side had the first"
    assert await sink1.take(2) == sent
    assert await sink0.take(1) == sent[1:]


@cocotb.test()
async def reset_in_mid_stream_forgets_who_had_what(dut):
    source, (sink0, sink1), words = await begin(dut, 0.2)
    sending = cocotb.start_soon(source.send(words(50)))
    await sink0.take(1)  # side 0 has a word that side 1 has not
    await FallingEdge(dut.clk)
    sending.cancel()
    source.idle()
    await reset(dut)
    await both_get(source, (sink0, sink1), words(50))
