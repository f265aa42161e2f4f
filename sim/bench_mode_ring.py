"""mode_ring remembers the mode of each frame at its first word, and lets no more frames in than it has places for."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from parts import beats, clog2, config, counts
from parts.stream import reset, start

CONFIGS = [
    {"MODES": 2, "DEPTH": 2, "IN_BEATS": 3, "OUTPUTS": 1, "OUT_BEATS": (2, 32)},
    {"MODES": 5, "DEPTH": 8, "IN_BEATS": 1, "OUTPUTS": 2, "OUT_BEATS": beats(1, 4)},
]


class Ring:
    """The device, words that come at random, with modes that mean something only with a frame's first, and words that
    leave; what it must hold is known beside it."""

    def __init__(self, dut, seed=1):
        self.dut, self.rng = dut, random.Random(seed)
        self.forget()

    def forget(self):
        self.begun, self.word, self.sent = [], 0, [0] * config()["OUTPUTS"]

    @property
    def ended(self):
        """The frames that have left on every output."""
        return min(sent // each for sent, each in zip(self.sent, counts("OUT_BEATS"), strict=True))

    async def cycle(self, leave):
        """A clock: a word may be offered, and room for it be there; `leave` -- the chance of a word out."""
        dut, c, rng = self.dut, config(), self.rng
        mode, valid, ready = rng.randrange(c["MODES"]), rng.random() < 0.8, rng.random() < 0.8
        due = [self.frames_out(i) for i in range(c["OUTPUTS"])]
        leaving = [due[i] and rng.random() < leave for i in range(c["OUTPUTS"])]
        dut.mode.value, dut.s_axis_tvalid.value, dut.m_axis_tready.value = mode, int(valid), int(ready)
        dut.sent.value = sum(int(bit) << i for i, bit in enumerate(leaving))
        await ReadOnly()
        self.check()
        closed = self.word == 0 and len(self.begun) - self.ended == c["DEPTH"]
        assert int(dut.m_axis_tvalid.value) == int(valid and not closed)
        assert int(dut.s_axis_tready.value) == int(ready and not closed)
        if valid and ready and not closed:
            if self.word == 0:
                self.begun.append(mode)
            self.word = (self.word + 1) % c["IN_BEATS"]
        for i, bit in enumerate(leaving):
            self.sent[i] += bit
        await FallingEdge(dut.clk)

    def frames_out(self, i):
        """Whether output i may send a word: of a frame that has begun."""
        return self.sent[i] // counts("OUT_BEATS")[i] < len(self.begun)

    def check(self):
        """The ring says the mode of each frame that is inside."""
        c, bits = config(), clog2(config()["MODES"])
        text = str(self.dut.modes.value)
        assert int(text[: len(text) - c["DEPTH"] * bits], 2) == len(self.begun) % (2 * c["DEPTH"])
        for frame in range(self.ended, len(self.begun)):
            at = len(text) - (frame % c["DEPTH"] + 1) * bits
            assert int(text[at : at + bits], 2) == self.begun[frame]


@cocotb.test()
@cocotb.parametrize(leave=[0.05, 0.5, 1.0])
async def modes_are_those_of_first_words_and_full_is_full(dut, leave):
    ring = Ring(dut)
    await start(dut, mode=0, s_axis_tvalid=0, m_axis_tready=0, sent=0)
    for _ in range(400):
        await ring.cycle(leave)
    assert len(ring.begun) > config()["DEPTH"]


@cocotb.test()
async def reset_in_mid_frame_starts_over(dut):
    ring = Ring(dut)
    await start(dut, mode=0, s_axis_tvalid=0, m_axis_tready=0, sent=0)
    for cycles in (7, 20, 50):
        for _ in range(cycles):
            await ring.cycle(0.3)
        dut.s_axis_tvalid.value = dut.sent.value = 0
        await reset(dut, cycles=1)
        ring.forget()
