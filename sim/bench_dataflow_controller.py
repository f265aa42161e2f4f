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
INTERNALS = True  # counters are set to what a long run would reach
COUNTERS = ("frames_in", "frames_out", "cycles", "input_stalls", "output_stalls", "starved")


class World:
    """Plays host stream, network and sink, one falling edge at a time, and counts what it sees.

    The network owes OUT_BEATS words for each frame of IN_BEATS; `early` lets it answer before the last word
    of a frame came, as a layer that leaves out the image's edge does.
    """

    def __init__(self, dut, seed, offer=0.7, accept=0.7, answer=0.7, take=0.7, early=False):
        self.dut, self.random, self.early = dut, random.Random(seed), early
        self.chance = {"offer": offer, "accept": accept, "answer": answer, "take": take}
        self.mark = self.ends  # whether an input word, counted from the start, comes with tlast
        self.forget()

    def forget(self):
        self.entered = self.left = 0
        self.seen = dict.fromkeys(COUNTERS, 0)
        self.offering = self.answering = self.failed = False

    def ends(self, word):
        return (word + 1) % config()["IN_BEATS"] == 0

    def breaks(self, word):
        """Whether that word has a tlast where none may be, or none where one must be."""
        if self.tlast == "none":
            return False
        must = self.tlast == "each" or word + 1 == self.frames * config()["IN_BEATS"]
        return not self.mark(word) and must if self.ends(word) else self.mark(word)

    def owed(self):
        beats = config()
        early = 1 if self.early and self.entered % beats["IN_BEATS"] == beats["IN_BEATS"] - 1 else 0
        frames = (self.entered + early) // beats["IN_BEATS"]
        return frames * beats["OUT_BEATS"] - self.left

    def flip(self, what):
        return self.random.random() < self.chance[what]

    async def cycle(self):
        """Drive on this falling edge, watch, and end on the next."""
        dut = self.dut
        self.offering = self.offering or self.flip("offer")
        self.answering = self.answering or (self.owed() > 0 and self.flip("answer"))
        dut.s_axis_tvalid.value = self.offering
        dut.s_axis_tlast.value = self.mark(self.entered)
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
        assert int(dut.tlast_error.value) == self.failed
        seen["cycles"] += 1
        seen["input_stalls"] += offered and not ready
        seen["output_stalls"] += valid and not taken
        seen["starved"] += open_ and ready and not self.offering
        if offered and ready:
            self.failed = self.breaks(self.entered)
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
        return not self.failed and (self.frames == 0 or self.entered < self.frames * config()["IN_BEATS"])

    async def pulse(self, name, frames=0, tlast=""):
        """Hold `start` or `soft_reset` for one cycle in which nothing moves."""
        dut, self.frames, self.tlast = self.dut, frames, tlast
        dut.frames.value, dut.tlast_each.value, dut.tlast_none.value = frames, tlast == "each", tlast == "none"
        getattr(dut, name).value = 1
        await FallingEdge(dut.clk)
        getattr(dut, name).value = 0
        for other, bits in ((dut.frames, 32), (dut.tlast_each, 1), (dut.tlast_none, 1)):  # read at start only
            other.value = self.random.getrandbits(bits)

    async def start(self, frames, tlast=""):
        self.entered = self.left = 0
        self.seen = dict.fromkeys(COUNTERS, 0)
        await self.pulse("start", frames, tlast)

    async def run(self, frames, tlast=""):
        """One run from start to done, checked at its end."""
        dut, beats = self.dut, config()
        await self.start(frames, tlast)
        for _ in range(100 + 40 * frames * (beats["IN_BEATS"] + beats["OUT_BEATS"])):
            if int(dut.done.value):
                break
            assert int(dut.busy.value)
            await self.cycle()
        assert int(dut.done.value) and not int(dut.busy.value)
        assert (self.entered, self.left) == (frames * beats["IN_BEATS"], frames * beats["OUT_BEATS"])
        self.check_counters()

    async def fail(self, frames, tlast=""):
        """A run that a wrong tlast ends: nothing more enters, what is owed leaves, and there it stays."""
        dut = self.dut
        await self.start(frames, tlast)
        for _ in range(100 + 40 * frames * config()["IN_BEATS"]):
            if self.failed:
                break
            await self.cycle()
        assert self.failed
        for number in range(60 + 10 * self.owed()):
            dut.start.value = number % 3 == 0  # ignored
            await self.cycle()  # asserts that nothing enters
        dut.start.value = 0
        assert self.owed() <= 0
        assert int(dut.busy.value) and int(dut.tlast_error.value) and not int(dut.done.value)
        self.check_counters()

    async def recover(self):
        """soft_reset, and a run of frames with a tlast each."""
        await self.pulse("soft_reset")
        assert not int(self.dut.busy.value) and not int(self.dut.tlast_error.value)
        await FallingEdge(self.dut.clk)
        self.mark = self.ends
        self.forget()
        await self.run(2, "each")

    def skip(self, frames):
        """Puts the run so many frames on, registers and all."""
        self.entered += frames * config()["IN_BEATS"]
        self.left += frames * config()["OUT_BEATS"]
        for name in ("frames_in", "frames_out"):
            self.seen[name] += frames
            getattr(self.dut, f"{name}_q").value = self.seen[name]

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
        tlast_each=0,
        tlast_none=0,
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
@cocotb.parametrize(tlast=["", "each"], early=[False, True])
async def a_tlast_before_the_end_of_a_frame_ends_the_run_until_soft_reset(dut, tlast, early):
    world = await begin(dut, early=early)
    beats = config()["IN_BEATS"]
    if beats == 1:
        return  # every word is the last
    for wrong in {0, beats - 2, beats + beats // 2 - 1}:
        world.mark = lambda word, wrong=wrong: world.ends(word) or word == wrong
        await world.fail(3, tlast)
        assert world.entered == wrong + 1
        await world.recover()


@cocotb.test()
@cocotb.parametrize(early=[False, True])
async def a_run_that_does_not_end_with_a_tlast_is_never_done(dut, early):
    """Be it that its words are too many, too few, or that a word was left over from before."""
    world = await begin(dut, early=early)
    for frames in (1, 3):
        world.mark = lambda word, frames=frames: world.ends(word) and word + 1 != frames * config()["IN_BEATS"]
        await world.fail(frames)
        assert world.seen["frames_in"] == frames
        await world.recover()


@cocotb.test()
async def a_frame_without_tlast_is_an_error_if_every_frame_has_one(dut):
    world = await begin(dut)
    for missing in (0, 1):
        world.mark = lambda word, missing=missing: world.ends(word) and word // config()["IN_BEATS"] != missing
        await world.fail(3, "each")
        assert world.seen["frames_in"] == missing + 1
        await world.recover()


@cocotb.test()
async def a_transfer_holds_any_number_of_frames(dut):
    world = await begin(dut)
    for transfers in ({5}, {2, 5}, {0, 1, 5}):
        world.mark = lambda word, ends=transfers: world.ends(word) and word // config()["IN_BEATS"] in ends
        await world.run(6)
    world.mark = lambda word: False
    await world.start(0)  # without end there is no last frame
    for _ in range(300):
        await world.cycle()


@cocotb.test()
async def without_tlast_words_are_counted_alone(dut):
    world = await begin(dut)
    for mark in (lambda word: False, lambda word: word % 3 == 1, lambda word: True):
        world.mark = mark
        await world.run(3, "none")
    world.mark = world.ends
    await world.run(3, "each")


@cocotb.test()
async def counters_carry_through_all_their_bits(dut):
    """From all ones below the highest bit to that bit alone."""
    world = await begin(dut)
    await world.pulse("start", 0)
    for name in COUNTERS:
        width = 32 if name.startswith("frames") else config().get("COUNTER_W", 48)
        world.seen[name] = (1 << (width - 1)) - 1
        getattr(dut, f"{name}_q").value = world.seen[name]
    begun = dict(world.seen)
    for _ in range(60 * max(config()["IN_BEATS"], config()["OUT_BEATS"])):
        await world.cycle()
        if all(world.seen[name] > begun[name] for name in COUNTERS):
            break
    assert all(world.seen[name] > begun[name] for name in COUNTERS)
    world.check_counters()


@cocotb.test()
@cocotb.parametrize(early=[False, True])
async def a_long_run_ends_with_its_last_frame_and_not_before(dut, early):
    """Runs of 2^bit and 2^bit + 2 frames, most of them skipped: each bit of the number counts."""
    world = await begin(dut, early=early)
    one_beat = config()["IN_BEATS"] == config()["OUT_BEATS"] == 1
    for bit in range(2, 32) if one_beat else (16, 31):
        for frames in (1 << bit, (1 << bit) + 2):
            await world.start(frames)
            while world.seen["frames_out"] < 3:
                await world.cycle()
            assert int(dut.busy.value)
            world.skip(max(0, (1 << bit) - world.seen["frames_in"] - 2))
            for _ in range(2000):
                if int(dut.done.value):
                    break
                await world.cycle()
            assert world.seen["frames_in"] == world.seen["frames_out"] == frames
            world.check_counters()
