"""dataflow_controller lets exactly the asked frames through, and its counters say what a cycle-by-cycle watch saw."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config
from parts.stream import start

CONFIGS = [
    {"IN_BEATS": 1, "OUT_BEATS": 1},
    {"IN_BEATS": 16, "OUT_BEATS": 10, "COUNTER_W": 64},
    {"IN_BEATS": 5, "OUT_BEATS": 24, "COUNTER_W": 32},
    {"IN_BEATS": 9, "OUT_BEATS": 1, "COUNTER_W": 10},
]
COUNTERS = ("frames_in", "frames_out", "cycles", "input_stalls", "output_stalls", "starved")


class World:
    """Plays host stream, network and sink, one falling edge at a time, and counts what it sees.

    The network owes OUT_BEATS words for each frame of IN_BEATS; `early` lets it answer before the last word
    of a frame came, as a layer that leaves out the image's edge does.
    """

    def __init__(self, dut, seed, offer=0.7, accept=0.7, answer=0.7, take=0.7, early=False):
        self.dut, self.random, self.early = dut, random.Random(seed), early
        self.chance = {"offer": offer, "accept": accept, "answer": answer, "take": take}
        self.wrong_tlast = -1  # the input word, counted from the start, that gets a false tlast
        self.forget()

    def forget(self):
        self.entered = self.left = 0
        self.seen = dict.fromkeys(COUNTERS, 0)
        self.offering = self.answering = False

    def owed(self):
        beats = config()
        early = 1 if self.early and self.entered % beats["IN_BEATS"] == beats["IN_BEATS"] - 1 else 0
        frames = (self.entered + early) // beats["IN_BEATS"]
        return frames * beats["OUT_BEATS"] - self.left

    def flip(self, what):
        return self.random.random() < self.chance[what]

    async def cycle(self):
        """Drive on this falling edge, watch, and end on the next."""
        dut, beats = self.dut, config()
        self.offering = self.offering or self.flip("offer")
        self.answering = self.answering or (self.owed() > 0 and self.flip("answer"))
        dut.s_axis_tvalid.value = self.offering
        dut.s_axis_tlast.value = self.entered % beats["IN_BEATS"] == beats["IN_BEATS"] - 1 or (
            self.entered == self.wrong_tlast
        )
        dut.core_s_axis_tready.value = self.flip("accept")
        dut.core_m_axis_tvalid.value = self.answering
        dut.m_axis_tready.value = self.flip("take")
        await ReadOnly()
        if int(dut.busy.value):
            self.watch()
        else:
            assert not int(dut.core_s_axis_tvalid.value) and not int(dut.s_axis_tready.value)
            assert not int(dut.m_axis_tvalid.value) and not int(dut.core_m_axis_tready.value)
        await FallingEdge(dut.clk)

    def watch(self):
        dut, beats, seen = self.dut, config(), self.seen
        offered, ready = int(dut.core_s_axis_tvalid.value), int(dut.core_s_axis_tready.value)
        valid, taken = int(dut.m_axis_tvalid.value), int(dut.m_axis_tready.value)
        open_ = self.open
        assert offered == (self.offering and open_), "a word is offered when and only when a frame is due"
        assert int(dut.s_axis_tready.value) == (ready and open_)
        assert valid == self.answering and int(dut.core_m_axis_tready.value) == taken
        seen["cycles"] += 1
        seen["input_stalls"] += offered and not ready
        seen["output_stalls"] += valid and not taken
        seen["starved"] += open_ and ready and not self.offering
        if offered and ready:
            self.entered += 1
            self.offering = False
            seen["frames_in"] += self.entered % beats["IN_BEATS"] == 0
        if valid and taken:
            self.left += 1
            self.answering = False
            assert int(dut.m_axis_tlast.value) == (self.left % beats["OUT_BEATS"] == 0)
            seen["frames_out"] += self.left % beats["OUT_BEATS"] == 0

    @property
    def open(self):
        return self.frames == 0 or self.entered < self.frames * config()["IN_BEATS"]

    async def pulse(self, name, frames=0):
        """Hold `start` or `soft_reset` for one cycle in which nothing moves."""
        self.frames = frames
        self.dut.frames.value = frames
        getattr(self.dut, name).value = 1
        await FallingEdge(self.dut.clk)
        getattr(self.dut, name).value = 0
        self.dut.frames.value = self.random.getrandbits(32)  # read at start only

    async def run(self, frames):
        """One run from start to done, checked at its end."""
        dut, beats = self.dut, config()
        self.entered = self.left = 0
        self.seen = dict.fromkeys(COUNTERS, 0)
        await self.pulse("start", frames)
        for _ in range(100 + 40 * frames * (beats["IN_BEATS"] + beats["OUT_BEATS"])):
            if int(dut.done.value):
                break
            assert int(dut.busy.value)
            await self.cycle()
        assert int(dut.done.value) and not int(dut.busy.value)
        assert (self.entered, self.left) == (frames * beats["IN_BEATS"], frames * beats["OUT_BEATS"])
        self.check_counters()

    def check_counters(self):
        width = 1 << config().get("COUNTER_W", 48)
        for name in COUNTERS:
            expected = self.seen[name] if name.startswith("frames") else self.seen[name] % width
            assert int(getattr(self.dut, name).value) == expected, name


async def begin(dut, seed=1, **chances):
    world = World(dut, seed, **chances)
    await start(
        dut,
        start=0,
        soft_reset=0,
        frames=0,
        s_axis_tvalid=0,
        s_axis_tlast=0,
        core_s_axis_tready=0,
        core_m_axis_tvalid=0,
        m_axis_tready=0,
    )
    return world


@cocotb.test()
@cocotb.parametrize(offer=[0.3, 1.0], accept=[0.3, 1.0], take=[0.3, 1.0], early=[False, True])
async def exactly_the_asked_frames_pass(dut, offer, accept, take, early):
    world = await begin(dut, offer=offer, accept=accept, take=take, early=early)
    for frames in (1, 3, 8):
        await world.run(frames)
        for _ in range(5):
            await world.cycle()  # asserts that nothing moves
        assert int(dut.done.value), "done stays until the next start"
        world.check_counters()
    assert not int(dut.tlast_error.value)


@cocotb.test()
async def runs_follow_at_once(dut):
    world = await begin(dut, offer=1.0, accept=1.0, answer=1.0, take=1.0)
    for _ in range(3):
        await world.run(2)
        assert world.seen["input_stalls"] == world.seen["output_stalls"] == world.seen["starved"] == 0


@cocotb.test()
async def no_frame_count_means_no_end(dut):
    world = await begin(dut)
    await world.pulse("start", 0)
    for _ in range(3000):
        await world.cycle()
    assert int(dut.busy.value) and not int(dut.done.value)
    assert world.seen["frames_out"] > 10
    world.check_counters()


@cocotb.test()
async def start_while_busy_is_ignored(dut):
    world = await begin(dut)
    await world.pulse("start", 4)
    dut.start.value = 1
    dut.frames.value = 1
    while not int(dut.done.value):
        await world.cycle()
        dut.start.value = not world.seen["frames_out"] >= 3
    assert (world.seen["frames_in"], world.seen["frames_out"]) == (4, 4)
    world.check_counters()


@cocotb.test()
@cocotb.parametrize(cycles=[1, 7, 30, 31, 32, 100])
async def soft_reset_in_mid_frame_leaves_all_clean(dut, cycles):
    world = await begin(dut, seed=cycles)
    world.wrong_tlast = 0
    await world.pulse("start", 0)
    for _ in range(cycles):
        await world.cycle()
    dut.start.value = 1  # soft_reset wins
    await world.pulse("soft_reset")
    dut.start.value = 0
    await ReadOnly()
    assert int(dut.core_rst.value)
    assert not int(dut.busy.value) and not int(dut.done.value) and not int(dut.tlast_error.value)
    assert not int(dut.s_axis_tready.value) and not int(dut.m_axis_tvalid.value)
    await FallingEdge(dut.clk)
    await ReadOnly()
    assert not int(dut.core_rst.value)
    await FallingEdge(dut.clk)
    world.wrong_tlast = -1
    world.forget()
    world.check_counters()
    await world.run(3)
    assert not int(dut.tlast_error.value)


@cocotb.test()
async def hard_reset_holds_the_core_in_reset(dut):
    world = await begin(dut)
    await world.pulse("start", 0)
    for _ in range(20):
        await world.cycle()
    dut.rst.value = 1
    for _ in range(3):
        await FallingEdge(dut.clk)
        assert int(dut.core_rst.value) and not int(dut.busy.value)
    dut.rst.value = 0
    await FallingEdge(dut.clk)
    assert not int(dut.core_rst.value)
    world.forget()
    await world.run(2)


@cocotb.test()
async def a_tlast_at_the_wrong_word_is_remembered(dut):
    world = await begin(dut)
    beats = config()["IN_BEATS"]
    if beats == 1:
        return  # every word is the last
    world.wrong_tlast = beats + beats // 2 - 1
    await world.run(3)
    assert int(dut.tlast_error.value)
    world.wrong_tlast = -1
    await world.run(1)
    assert not int(dut.tlast_error.value), "the next start clears it"
