"""add adds two streams beat by beat on their common grid, rounds and clamps."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import config, ends, limits, signed
from parts.stream import Sink, Source, reset, start, watch


def parameters(a, b, w, drop, out_w, clamp, n=1, minus=0):
    """a, b: (bits, signed, shift); rounds half up, as hwgen/units/add.py does. n -- activations side by side; minus --
    whether b is taken away."""
    sides = {
        f"{side}_{name}": value
        for side, values in (("A", a), ("B", b))
        for name, value in zip(("W", "SIGNED", "SHIFT"), values, strict=True)
    }
    return {
        "N": n,
        **sides,
        "B_MINUS": minus,
        "W": w,
        "CONSTANT": ((1 << drop) >> 1, 64),
        "DROP": drop,
        "OUT_W": out_w,
        **clamp,
    }


CONFIGS = [
    parameters((5, 0, 0), (5, 1, 2), 8, 1, 5, ends(0, 20)),  # grids apart, a bit rounded away
    # an end that is not there, whatever its number
    parameters((4, 1, 2), (8, 1, 0), 9, 3, 5, ends(-16, 5, "NO_HIGH")),
    parameters((3, 0, 1), (3, 0, 1), 6, 0, 6, ends(9, 9, "NO_LOW", "NO_HIGH")),  # exact
    parameters((4, 1, 1), (3, 0, 0), 7, 2, 3, ends(-4, 3), n=5),  # a pixel a beat
    parameters((5, 0, 1), (4, 1, 0), 8, 2, 5, ends(-6, 15), n=2, minus=1),  # a difference
]


def packed(values, bits):
    return sum((value % (1 << bits)) << (i * bits) for i, value in enumerate(values))


class Adder:
    """The device, its three streams, and operands with their sums."""

    def __init__(self, dut, stalls):
        self.dut, self.rng = dut, random.Random(4)
        self.a, self.b = (Source(dut, f"{n}_axis", s, seed=1) for n, s in zip("ab", stalls, strict=False))
        self.sink = Sink(dut, "m_axis", stalls[2], seed=3)

    def operands(self, count):
        """Beats of both sides, N activations in each: both ends of the ranges first, then anything."""
        c = config()
        ranges = []
        for side in "AB":
            half = 1 << (c[f"{side}_W"] - 1)
            ranges.append((-half, half - 1) if c[f"{side}_SIGNED"] else (0, 2 * half - 1))
        pairs = [(a, b) for a in ranges[0] for b in ranges[1]]
        pairs += [tuple(self.rng.randint(*ends) for ends in ranges) for _ in range(count * c["N"])]
        return [pairs[i : i + c["N"]] for i in range(0, len(pairs) // c["N"] * c["N"], c["N"])]

    def sums(self, beats):
        c = config()
        low, high = limits(c)
        sign = -1 if c["B_MINUS"] else 1
        sums = [
            [(a << c["A_SHIFT"]) + sign * (b << c["B_SHIFT"]) + signed(c["CONSTANT"][0], 64) for a, b in beat]
            for beat in beats
        ]
        return [packed([min(max(value >> c["DROP"], low), high) for value in beat], c["OUT_W"]) for beat in sums]

    def words(self, beats):
        """Of each side the words that it sends."""
        sides = ([[pair[i] for pair in beat] for beat in beats] for i in range(2))
        return [[packed(beat, config()[f"{n}_W"]) for beat in side] for n, side in zip("AB", sides, strict=True)]

    def send(self, beats):
        return [
            cocotb.start_soon(source.send(words))
            for source, words in zip((self.a, self.b), self.words(beats), strict=True)
        ]


async def begin(dut, *stalls):
    adder = Adder(dut, stalls or (0.0, 0.0, 0.0))
    await start(dut, a_axis_tvalid=0, a_axis_tdata=0, b_axis_tvalid=0, b_axis_tdata=0, m_axis_tready=0)
    cocotb.start_soon(watch(dut, "m_axis"))
    return adder


@cocotb.test()
@cocotb.parametrize(a_stall=[0.0, 0.6], b_stall=[0.0, 0.6], sink_stall=[0.0, 0.5])
async def every_beat_is_the_rounded_and_clamped_sum(dut, a_stall, b_stall, sink_stall):
    adder = await begin(dut, a_stall, b_stall, sink_stall)
    beats = adder.operands(150)
    adder.send(beats)
    assert await adder.sink.take(len(beats)) == adder.sums(beats)


@cocotb.test()
async def a_sum_leaves_every_cycle(dut):
    adder = await begin(dut)
    beats = adder.operands(60)
    before = get_sim_time("ns")
    adder.send(beats)
    await adder.sink.take(len(beats))
    assert get_sim_time("ns") - before <= (len(beats) + 2) * 10


@cocotb.test()
async def a_beat_waits_for_its_partner(dut):
    adder = await begin(dut)
    beats = adder.operands(2)
    a, b = adder.words(beats)
    dut.m_axis_tready.value = 1
    sending = cocotb.start_soon(adder.a.send(a))
    for _ in range(5):
        await FallingEdge(dut.clk)
        assert int(dut.a_axis_tready.value) == 0 and int(dut.m_axis_tvalid.value) == 0
    cocotb.start_soon(adder.b.send(b))
    assert await adder.sink.take(len(beats)) == adder.sums(beats)
    assert sending.done()


@cocotb.test()
async def reset_in_mid_stream_forgets_the_sum_inside(dut):
    adder = await begin(dut)
    sending = adder.send(adder.operands(50))
    await adder.sink.take(3)
    await FallingEdge(dut.clk)
    for task in sending:
        task.cancel()
    adder.a.idle()
    adder.b.idle()
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0
    beats = adder.operands(20)
    adder.send(beats)
    assert await adder.sink.take(len(beats)) == adder.sums(beats)
