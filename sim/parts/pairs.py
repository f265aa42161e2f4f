"""A unit that takes a beat of two streams for each that it sends, rounded and clamped: what its bench checks."""

import random
from collections.abc import Callable

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time

from parts import config, limits, packed, signed
from parts.stream import Sink, Source, reset, start


def sides(names, a, b) -> dict:
    """Parameters of both sides: A_W, B_W ... for the name W."""
    return {
        f"{side}_{name}": value
        for side, values in (("A", a), ("B", b))
        for name, value in zip(names, values, strict=True)
    }


def rounded(drop: int) -> dict:
    """Parameters of a rounding half up."""
    return {"CONSTANT": ((1 << drop) >> 1, 64), "DROP": drop}


class Pairs:
    """The device and its three streams, and pairs of activations with their results.

    exact -- gives the result of a, b and the config before it is rounded
    """

    def __init__(self, dut, exact: Callable, stalls):
        self.dut, self.exact, self.rng = dut, exact, random.Random(4)
        self.a, self.b = (Source(dut, f"{n}_axis", s, seed=1) for n, s in zip("ab", stalls, strict=False))
        self.sink = Sink(dut, "m_axis", stalls[2], seed=3)

    def beats(self, count):
        """Beats of both sides, N activations in each: all pairs if they are few, else the ends of the ranges; then
        anything."""
        c = config()
        ranges = []
        for side in "AB":
            half = 1 << (c[f"{side}_W"] - 1)
            ranges.append((-half, half - 1) if c[f"{side}_SIGNED"] else (0, 2 * half - 1))
        every = [range(low, high + 1) if c["A_W"] + c["B_W"] <= 9 else (low, high) for low, high in ranges]
        pairs = [(a, b) for a in every[0] for b in every[1]]
        pairs += [tuple(self.rng.randint(*ends) for ends in ranges) for _ in range(count * c["N"])]
        return [pairs[i : i + c["N"]] for i in range(0, len(pairs) // c["N"] * c["N"], c["N"])]

    def results(self, beats):
        c = config()
        low, high = limits(c)
        constant = signed(c["CONSTANT"][0], 64)
        exact = [[self.exact(a, b, c) + constant for a, b in beat] for beat in beats]
        return [packed([min(max(value >> c["DROP"], low), high) for value in beat], c["OUT_W"]) for beat in exact]

    def words(self, beats):
        """Of each side the words that it sends."""
        parts = ([[pair[i] for pair in beat] for beat in beats] for i in range(2))
        return [[packed(beat, config()[f"{n}_W"]) for beat in side] for n, side in zip("AB", parts, strict=True)]

    def send(self, beats):
        return [
            cocotb.start_soon(source.send(words))
            for source, words in zip((self.a, self.b), self.words(beats), strict=True)
        ]

    async def check(self, count):
        beats = self.beats(count)
        self.send(beats)
        assert await self.sink.take(len(beats)) == self.results(beats)


async def begin(dut, exact, *stalls) -> Pairs:
    pairs = Pairs(dut, exact, stalls or (0.0, 0.0, 0.0))
    await start(dut, a_axis_tvalid=0, a_axis_tdata=0, b_axis_tvalid=0, b_axis_tdata=0, m_axis_tready=0)
    return pairs


async def check_pace(dut, exact, late=1):
    """A result leaves every cycle; late -- cycles from a pair to its result."""
    pairs = await begin(dut, exact)
    beats = pairs.beats(60)
    before = get_sim_time("ns")
    pairs.send(beats)
    await pairs.sink.take(len(beats))
    assert get_sim_time("ns") - before <= (len(beats) + 1 + late) * 10


async def check_partner(dut, exact):
    """A beat waits for its partner."""
    pairs = await begin(dut, exact)
    beats = pairs.beats(2)
    a, b = pairs.words(beats)
    dut.m_axis_tready.value = 1
    sending = cocotb.start_soon(pairs.a.send(a))
    for _ in range(5):
        await FallingEdge(dut.clk)
        assert int(dut.a_axis_tready.value) == 0 and int(dut.m_axis_tvalid.value) == 0
    cocotb.start_soon(pairs.b.send(b))
    assert await pairs.sink.take(len(beats)) == pairs.results(beats)
    assert sending.done()


async def check_reset(dut, exact):
    """A reset in mid-stream forgets the result inside."""
    pairs = await begin(dut, exact)
    sending = pairs.send(pairs.beats(50))
    await pairs.sink.take(3)
    await FallingEdge(dut.clk)
    for task in sending:
        task.cancel()
    pairs.a.idle()
    pairs.b.idle()
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0
    await pairs.check(20)
