"""port_in makes the network's words of a port's beats, whatever the widths, and tells of bytes that are no words."""

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import ports
from parts.ports import LENGTHS, Bundle, as_value, network_side, port_side, transfers, widths
from parts.stream import Sink, Source, interrupt, start

CONFIGS = ports.CONFIGS


async def begin(dut, source_stall=0.0, sink_stall=0.0):
    source, sink = Source(dut, "s_axis", source_stall, 1), Sink(dut, "m_axis", sink_stall, 2)
    source.data = Bundle(dut.s_axis_tdata, dut.s_axis_tkeep, dut.s_axis_tlast)
    sink.data = Bundle(dut.m_axis_tdata, dut.m_axis_tlast, dut.m_axis_torn)
    values = dict.fromkeys(("s_axis_tdata", "s_axis_tkeep", "s_axis_tlast", "s_axis_tvalid", "m_axis_tready"), 0)
    await start(dut, open=1, **values)
    return source, sink


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.7])
async def words_cross_once_and_in_order(dut, source_stall, sink_stall):
    _, word = widths()
    source, sink = await begin(dut, source_stall, sink_stall)
    some = transfers(word, LENGTHS, 3)
    cocotb.start_soon(source.send(port_side(some)))
    want = network_side(some)
    assert await sink.take(len(want)) == want


@cocotb.test()
async def something_moves_every_clock(dut):
    _, word = widths()
    source, sink = await begin(dut)
    some = transfers(word, (24,), 4)
    beats, before = port_side(some), get_sim_time("ns")
    cocotb.start_soon(source.send(beats))
    await sink.take(24)
    assert get_sim_time("ns") - before <= (max(24, len(beats)) + 2) * 10


@cocotb.test()
@cocotb.parametrize(taken=[1, 5])
async def reset_forgets_where_it_was(dut, taken):
    _, word = widths()
    source, sink = await begin(dut)
    sending = cocotb.start_soon(source.send(port_side(transfers(word, (40,), 5))))
    await sink.take(taken)
    for _ in range(2):
        await FallingEdge(dut.clk)
    await interrupt(dut, sending, source)
    some = transfers(word, LENGTHS, 6)
    cocotb.start_soon(source.send(port_side(some)))
    want = network_side(some)
    assert await sink.take(len(want)) == want


@cocotb.test()
async def nothing_is_taken_of_a_network_that_is_shut(dut):
    _, word = widths()
    source, _ = await begin(dut)
    dut.open.value = 0
    cocotb.start_soon(source.send(port_side(transfers(word, (4,), 7))))
    for _ in range(10):
        await FallingEdge(dut.clk)
        assert not int(dut.s_axis_tready.value)


def torn():
    """Transfers of which a beat is wrong, as (data, keep, last), and how many words before it come."""
    port, word = widths()
    full, n = (1 << port // 8) - 1, max(1, word // port)
    good = [(0, full, 0)] * n
    last = (0, full, 1)
    cases = {"no byte": [*good, (0, 0, 0)]}
    if port > 8:
        cases["a byte that lacks at the end"] = [*good, (0, full >> 1, 0), *good]
        cases["the first byte that lacks"] = [*good, (0, full & ~1, 0), *good]
    if port > word:
        cases["a word that lacks amid the transfer"] = [*good, (0, full >> word // 8, 0), *good]
    if port > 2 * word:
        cases["a word that lacks amid the beat"] = [*good, (0, full & ~(((1 << word // 8) - 1) << word // 8), 1)]
    if word > 8 and port > word:
        cases["half a word at the end"] = [*good, (0, (1 << word // 8 + 1) - 1, 1)]
    if n > 1:
        cases["an end amid a word"] = [*good, last]
    return cases, max(1, port // word)


@cocotb.test()
async def bytes_that_are_no_words_are_told(dut):
    _, word = widths()
    (cases, before), (source, sink) = torn(), await begin(dut)
    for name, beats in cases.items():
        sending = cocotb.start_soon(source.send([as_value(beat) for beat in beats]))
        words = await sink.take(before + 1)
        assert [each >> word + 1 for each in words] == [0] * before + [1], name
        await interrupt(dut, sending, source)
