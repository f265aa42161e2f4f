"""port_out makes a port's beats of the network's words, whatever the widths; tkeep names the bytes of the last."""

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from cocotb.utils import get_sim_time
from parts import ports
from parts.ports import LENGTHS, Bundle, network_side, port_side, transfers, widths
from parts.stream import Sink, Source, interrupt, start

CONFIGS = ports.CONFIGS


async def begin(dut, source_stall=0.0, sink_stall=0.0):
    source, sink = Source(dut, "s_axis", source_stall, 1), Sink(dut, "m_axis", sink_stall, 2)
    source.data = Bundle(dut.s_axis_tdata, dut.s_axis_tlast)
    sink.data = Bundle(dut.m_axis_tdata, dut.m_axis_tkeep, dut.m_axis_tlast)
    await start(dut, **dict.fromkeys(("s_axis_tdata", "s_axis_tlast", "s_axis_tvalid", "m_axis_tready"), 0))
    cocotb.start_soon(held_until_taken(dut, sink.data))
    return source, sink


async def held_until_taken(dut, data):
    """A beat that is offered stays as it is; `held` says that one waits in a wider port."""
    port, word = widths()
    before = None
    while True:
        await FallingEdge(dut.clk)
        await ReadOnly()
        valid, ready, reset = (int(getattr(dut, name).value) for name in ("m_axis_tvalid", "m_axis_tready", "rst"))
        now = data.value if valid else None
        assert before is None or reset or now == before
        assert int(dut.held.value) == (valid if port > word else 0)
        before = now if valid and not ready and not reset else None


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.7])
async def frames_cross_once_and_in_order(dut, source_stall, sink_stall):
    _, word = widths()
    source, sink = await begin(dut, source_stall, sink_stall)
    some = transfers(word, LENGTHS, 3)
    cocotb.start_soon(source.send(network_side(some)))
    want = port_side(some)
    assert await sink.take(len(want)) == want


@cocotb.test()
async def something_moves_every_clock(dut):
    _, word = widths()
    source, sink = await begin(dut)
    some, before = transfers(word, (24,), 4), get_sim_time("ns")
    cocotb.start_soon(source.send(network_side(some)))
    want = port_side(some)
    assert await sink.take(len(want)) == want
    assert get_sim_time("ns") - before <= (max(24, len(want)) + 2) * 10


@cocotb.test()
@cocotb.parametrize(taken=[1, 2])
async def reset_forgets_the_words_inside(dut, taken):
    _, word = widths()
    source, sink = await begin(dut)
    sending = cocotb.start_soon(source.send(network_side(transfers(word, (30,), 5))))
    await sink.take(taken)
    for _ in range(3):
        await FallingEdge(dut.clk)
    await interrupt(dut, sending, source)
    some = transfers(word, LENGTHS, 6)
    cocotb.start_soon(source.send(network_side(some)))
    want = port_side(some)
    assert await sink.take(len(want)) == want
