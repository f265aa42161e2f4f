"""requantize clamps every word of a stream to [LOW, HIGH]; all kinds of ends are in bench_clamp.py."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import Sink, Source, reset, start, watch

UNBOUNDED = 1 << 62  # as hwgen/ops/quantize.py has it: an end that no value passes


def ends(low, high):
    """In 64 bits, two's complement."""
    return {"LOW": (low % (1 << 64), 64), "HIGH": (high % (1 << 64), 64)}


CONFIGS = [
    {"IN_W": 7, "IN_SIGNED": 1, "OUT_W": 4, **ends(-8, 5)},
    {"IN_W": 6, "IN_SIGNED": 0, "OUT_W": 4, **ends(-UNBOUNDED, 15)},
]


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


def clamped(word):
    c = config()
    value = signed(word, c["IN_W"]) if c["IN_SIGNED"] else word
    return min(max(value, signed(c["LOW"][0], 64)), signed(c["HIGH"][0], 64)) % (1 << c["OUT_W"])


async def begin(dut, source_stall=0.0, sink_stall=0.0):
    source = Source(dut, "s_axis", source_stall, seed=1)
    sink = Sink(dut, "m_axis", sink_stall, seed=2)
    await start(dut, s_axis_tvalid=0, s_axis_tdata=0, m_axis_tready=0)
    cocotb.start_soon(watch(dut, "m_axis"))
    return source, sink


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5])
async def every_possible_word_is_clamped(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    sent = list(range(1 << config()["IN_W"]))
    random.Random(3).shuffle(sent)
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(sent)) == [clamped(word) for word in sent]


@cocotb.test()
async def a_word_crosses_every_cycle(dut):
    source, sink = await begin(dut)
    sent = list(range(1 << config()["IN_W"]))
    before = get_sim_time("ns")
    cocotb.start_soon(source.send(sent))
    await sink.take(len(sent))
    assert get_sim_time("ns") - before <= (len(sent) + 2) * 10


@cocotb.test()
async def reset_in_mid_stream_forgets_the_word_inside(dut):
    source, sink = await begin(dut)
    sending = cocotb.start_soon(source.send([1] * 9))
    await sink.take(3)
    await FallingEdge(dut.clk)
    sending.cancel()
    source.idle()
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0
    sent = [2, 0, 3]
    cocotb.start_soon(source.send(sent))
    assert await sink.take(len(sent)) == [clamped(word) for word in sent]
