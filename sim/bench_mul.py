"""mul multiplies two streams activation by activation, rounds and clamps."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import config, ends, limits, signed
from parts.stream import Sink, Source, reset, start, watch


def parameters(a, b, w, drop, out_w, clamp, n=1, shift=0):
    """a, b: (bits, signed); rounds half up, as hwgen/units/mul.py does. n -- activations side by side."""
    sides = {
        f"{side}_{name}": value
        for side, values in (("A", a), ("B", b))
        for name, value in zip(("W", "SIGNED"), values, strict=True)
    }
    return {
        "N": n,
        **sides,
        "SHIFT": shift,
        "W": w,
        "CONSTANT": ((1 << drop) >> 1, 64),
        "DROP": drop,
        "OUT_W": out_w,
        **clamp,
    }


CONFIGS = [
    parameters((5, 0), (4, 1), 10, 3, 5, ends(-16, 12)),  # a gate
    parameters((4, 1), (4, 1), 8, 0, 8, ends(9, 9, "NO_LOW", "NO_HIGH")),  # exact
    # an end that is not there, whatever its number; a finer grid
    parameters((3, 0), (6, 0), 12, 0, 11, ends(20, 5, "NO_HIGH"), shift=2),
    parameters((4, 0), (3, 0), 9, 4, 3, ends(0, 5), n=3),  # a pixel a beat
    parameters((1, 1), (5, 0), 7, 1, 5, ends(-16, 15)),
    parameters((8, 1), (7, 1), 16, 11, 5, ends(-16, 15)),  # a half too great for the first row
]


def packed(values, bits):
    return sum((value % (1 << bits)) << (i * bits) for i, value in enumerate(values))


class Multiplier:
    """The device, its three streams, and factors with their products."""

    def __init__(self, dut, stalls):
        self.rng = random.Random(4)
        self.a, self.b = (Source(dut, f"{n}_axis", s, seed=1) for n, s in zip("ab", stalls, strict=False))
        self.sink = Sink(dut, "m_axis", stalls[2], seed=3)

    def factors(self, count):
        """Beats of both sides, N activations in each: both ends of the ranges first, then anything."""
        c = config()
        ranges = []
        for side in "AB":
            half = 1 << (c[f"{side}_W"] - 1)
            ranges.append((-half, half - 1) if c[f"{side}_SIGNED"] else (0, 2 * half - 1))
        pairs = [(a, b) for a in ranges[0] for b in ranges[1]]
        if c["A_W"] + c["B_W"] <= 9:  # all that there are
            pairs = [
                (a, b) for a in range(ranges[0][0], ranges[0][1] + 1) for b in range(ranges[1][0], ranges[1][1] + 1)
            ]
        pairs += [tuple(self.rng.randint(*ends) for ends in ranges) for _ in range(count * c["N"])]
        return [pairs[i : i + c["N"]] for i in range(0, len(pairs) // c["N"] * c["N"], c["N"])]

    def products(self, beats):
        c = config()
        low, high = limits(c)
        exact = [[(a * b << c["SHIFT"]) + signed(c["CONSTANT"][0], 64) for a, b in beat] for beat in beats]
        return [packed([min(max(value >> c["DROP"], low), high) for value in beat], c["OUT_W"]) for beat in exact]

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
    multiplier = Multiplier(dut, stalls or (0.0, 0.0, 0.0))
    await start(dut, a_axis_tvalid=0, a_axis_tdata=0, b_axis_tvalid=0, b_axis_tdata=0, m_axis_tready=0)
    cocotb.start_soon(watch(dut, "m_axis"))
    return multiplier


@cocotb.test()
@cocotb.parametrize(a_stall=[0.0, 0.6], b_stall=[0.0, 0.6], sink_stall=[0.0, 0.5])
async def every_beat_is_the_rounded_and_clamped_product(dut, a_stall, b_stall, sink_stall):
    multiplier = await begin(dut, a_stall, b_stall, sink_stall)
    beats = multiplier.factors(150)
    multiplier.send(beats)
    assert await multiplier.sink.take(len(beats)) == multiplier.products(beats)


@cocotb.test()
async def a_product_leaves_every_cycle(dut):
    multiplier = await begin(dut)
    beats = multiplier.factors(60)
    before = get_sim_time("ns")
    multiplier.send(beats)
    await multiplier.sink.take(len(beats))
    assert get_sim_time("ns") - before <= (len(beats) + 2) * 10


@cocotb.test()
async def a_beat_waits_for_its_partner(dut):
    multiplier = await begin(dut)
    beats = multiplier.factors(2)
    a, b = multiplier.words(beats)
    dut.m_axis_tready.value = 1
    sending = cocotb.start_soon(multiplier.a.send(a))
    for _ in range(5):
        await FallingEdge(dut.clk)
        assert int(dut.a_axis_tready.value) == 0 and int(dut.m_axis_tvalid.value) == 0
    cocotb.start_soon(multiplier.b.send(b))
    assert await multiplier.sink.take(len(beats)) == multiplier.products(beats)
    assert sending.done()


@cocotb.test()
async def reset_in_mid_stream_forgets_the_product_inside(dut):
    multiplier = await begin(dut)
    sending = multiplier.send(multiplier.factors(50))
    await multiplier.sink.take(3)
    await FallingEdge(dut.clk)
    for task in sending:
        task.cancel()
    multiplier.a.idle()
    multiplier.b.idle()
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0
    beats = multiplier.factors(20)
    multiplier.send(beats)
    assert await multiplier.sink.take(len(beats)) == multiplier.products(beats)
