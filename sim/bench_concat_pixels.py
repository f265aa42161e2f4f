"""concat_pixels puts the channels of two streams side by side, pixel by pixel, on their common grid."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import config, packed
from parts.stream import Sink, Source, reset, start


def parameters(a, b, out_w, pixels=1):
    """a, b: (channels, bits, signed, shift)."""
    sides = {
        f"{side}_{name}": value
        for side, values in (("A", a), ("B", b))
        for name, value in zip(("N", "W", "SIGNED", "SHIFT"), values, strict=True)
    }
    return {"PIXELS": pixels, **sides, "OUT_W": out_w}


CONFIGS = [
    parameters((3, 4, 0, 0), (2, 4, 1, 1), 6),  # grids apart, one side signed
    parameters((1, 3, 1, 2), (2, 7, 0, 0), 8, pixels=3),
    parameters((1, 1, 0, 0), (1, 1, 0, 0), 1),
]
NUMBERS = random.Random(8)


def number(word, side):
    """The activation that a word stands for, on the common grid."""
    c = config()
    bits = c[f"{side}_W"]
    value = word - (1 << bits) if c[f"{side}_SIGNED"] and word >> (bits - 1) else word
    return value << c[f"{side}_SHIFT"]


def beats(count):
    """Of each side the beats that it sends, and the beats of the result."""
    c = config()
    words, sent = {"A": [], "B": []}, []
    for _ in range(count):
        pixels = []
        of_side = {"A": [], "B": []}
        for _ in range(c["PIXELS"]):
            for side in "AB":
                channels = [NUMBERS.getrandbits(c[f"{side}_W"]) for _ in range(c[f"{side}_N"])]
                of_side[side] += channels
                pixels += [number(word, side) for word in channels]
        for side in "AB":
            words[side].append(packed(of_side[side], c[f"{side}_W"]))
        sent.append(packed(pixels, c["OUT_W"]))
    return words["A"], words["B"], sent


async def begin(dut, *stalls):
    stalls = stalls or (0.0, 0.0, 0.0)
    sources = [Source(dut, f"{n}_axis", stall, seed=1) for n, stall in zip("ab", stalls, strict=False)]
    sink = Sink(dut, "m_axis", stalls[2], seed=3)
    await start(dut, a_axis_tvalid=0, a_axis_tdata=0, b_axis_tvalid=0, b_axis_tdata=0, m_axis_tready=0)
    return *sources, sink


@cocotb.test()
@cocotb.parametrize(a_stall=[0.0, 0.6], b_stall=[0.0, 0.6], sink_stall=[0.0, 0.5])
async def channels_come_side_by_side(dut, a_stall, b_stall, sink_stall):
    a, b, sink = await begin(dut, a_stall, b_stall, sink_stall)
    of_a, of_b, sent = beats(60)
    cocotb.start_soon(a.send(of_a))
    cocotb.start_soon(b.send(of_b))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_beat_leaves_every_cycle(dut):
    a, b, sink = await begin(dut)
    of_a, of_b, sent = beats(40)
    before = get_sim_time("ns")
    cocotb.start_soon(a.send(of_a))
    cocotb.start_soon(b.send(of_b))
    await sink.take(len(sent))
    assert get_sim_time("ns") - before <= (len(sent) + 2) * 10


@cocotb.test()
async def a_beat_waits_for_its_partner(dut):
    a, b, sink = await begin(dut)
    of_a, of_b, sent = beats(2)
    dut.m_axis_tready.value = 1
    sending = cocotb.start_soon(a.send(of_a))
    for _ in range(5):
        await FallingEdge(dut.clk)
        assert int(dut.a_axis_tready.value) == 0 and int(dut.m_axis_tvalid.value) == 0
    cocotb.start_soon(b.send(of_b))
    assert await sink.take(len(sent)) == sent
    assert sending.done()


@cocotb.test()
async def reset_in_mid_stream_forgets_the_beat_inside(dut):
    a, b, sink = await begin(dut)
    of_a, of_b, _ = beats(20)
    sending = [cocotb.start_soon(a.send(of_a)), cocotb.start_soon(b.send(of_b))]
    await sink.take(3)
    await FallingEdge(dut.clk)
    for task in sending:
        task.cancel()
    a.idle()
    b.idle()
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0
    of_a, of_b, sent = beats(20)
    cocotb.start_soon(a.send(of_a))
    cocotb.start_soon(b.send(of_b))
    assert await sink.take(len(sent)) == sent
