"""concat sends runs of two streams by turns, on their common grid, whoever stalls."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import config, packed
from parts.stream import Sink, Source, reset, start


def parameters(a, b, out_w, n=1):
    """a, b: (bits, signed, shift, run); n -- activations side by side."""
    sides = {
        f"{side}_{name}": value
        for side, values in (("A", a), ("B", b))
        for name, value in zip(("W", "SIGNED", "SHIFT", "RUN"), values, strict=True)
    }
    return {"N": n, **sides, "OUT_W": out_w}


CONFIGS = [
    parameters((4, 0, 0, 3), (4, 1, 1, 5), 6),  # grids apart, one side signed
    parameters((3, 1, 2, 1), (7, 0, 0, 1), 8, n=3),
    parameters((5, 0, 0, 8), (2, 0, 3, 1), 5),
    parameters((1, 0, 0, 1), (1, 0, 0, 4), 1, n=2),
]
NUMBERS = random.Random(7)


def number(word, side):
    """The activation that a word stands for, on the common grid."""
    c = config()
    bits = c[f"{side}_W"]
    value = word - (1 << bits) if c[f"{side}_SIGNED"] and word >> (bits - 1) else word
    return value << c[f"{side}_SHIFT"]


def frames(turns):
    """Of each side the beats that it sends, and the beats of the result: so many turns of both."""
    c = config()
    words, sent = {"A": [], "B": []}, []
    for _ in range(turns):
        for side in "AB":
            bits = c[f"{side}_W"]
            for _ in range(c[f"{side}_RUN"]):
                beat = [NUMBERS.getrandbits(bits) for _ in range(c["N"])]
                words[side].append(packed(beat, bits))
                sent.append(packed([number(word, side) for word in beat], c["OUT_W"]))
    return words["A"], words["B"], sent


async def begin(dut, *stalls):
    stalls = stalls or (0.0, 0.0, 0.0)
    sources = [Source(dut, f"{n}_axis", stall, seed=1) for n, stall in zip("ab", stalls, strict=False)]
    sink = Sink(dut, "m_axis", stalls[2], seed=3)
    await start(dut, a_axis_tvalid=0, a_axis_tdata=0, b_axis_tvalid=0, b_axis_tdata=0, m_axis_tready=0)
    return *sources, sink


@cocotb.test()
@cocotb.parametrize(a_stall=[0.0, 0.6], b_stall=[0.0, 0.6], sink_stall=[0.0, 0.5])
async def runs_come_by_turns(dut, a_stall, b_stall, sink_stall):
    a, b, sink = await begin(dut, a_stall, b_stall, sink_stall)
    of_a, of_b, sent = frames(20)
    cocotb.start_soon(a.send(of_a))
    cocotb.start_soon(b.send(of_b))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_beat_leaves_every_cycle(dut):
    a, b, sink = await begin(dut)
    of_a, of_b, sent = frames(12)
    before = get_sim_time("ns")
    cocotb.start_soon(a.send(of_a))
    cocotb.start_soon(b.send(of_b))
    await sink.take(len(sent))
    assert get_sim_time("ns") - before <= (len(sent) + 2) * 10


@cocotb.test()
async def a_run_needs_nothing_of_the_other_side(dut):
    a, b, sink = await begin(dut)
    of_a, of_b, sent = frames(1)
    run = len(of_a)
    cocotb.start_soon(a.send(of_a))
    assert await sink.take(run) == sent[:run]
    cocotb.start_soon(b.send(of_b))
    assert await sink.take(len(of_b)) == sent[run:]


@cocotb.test()
async def reset_in_mid_run_begins_with_a(dut):
    a, b, sink = await begin(dut)
    of_a, of_b, sent = frames(6)
    sending = [cocotb.start_soon(a.send(of_a)), cocotb.start_soon(b.send(of_b))]
    await sink.take(config()["A_RUN"] + 1)
    await FallingEdge(dut.clk)
    for task in sending:
        task.cancel()
    a.idle()
    b.idle()
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0
    of_a, of_b, sent = frames(6)
    cocotb.start_soon(a.send(of_a))
    cocotb.start_soon(b.send(of_b))
    assert await sink.take(len(sent)) == sent
