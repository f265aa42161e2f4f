"""dataflow_controller lets exactly the asked frames through, and its counters say what a cycle-by-cycle watch saw."""

import json
import os
import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from parts import beats, config, counts
from parts.stream import start

CONFIGS = [
    {"IN_BEATS": 1, "OUT_BEATS": 1},
    {"IN_BEATS": 16, "OUT_BEATS": 10, "COUNTER_W": 64},
    {"IN_BEATS": 5, "OUT_BEATS": 24, "COUNTER_W": 32},
    {"IN_BEATS": 9, "OUT_BEATS": 1, "COUNTER_W": 10},
    {"INPUTS": 2, "IN_BEATS": beats(2, 6), "OUT_BEATS": 1},
    {"INPUTS": 3, "OUTPUTS": 2, "IN_BEATS": beats(2, 9, 5), "OUT_BEATS": beats(7, 2), "COUNTER_W": 32},
    {"OUTPUTS": 3, "IN_BEATS": 4, "OUT_BEATS": beats(1, 8, 3), "COUNTER_W": 10},
    # what the tests of WATCHED cores are about, the others leave these out
    {"IN_BEATS": 5, "OUT_BEATS": 3, "WATCHDOG": 50},
    {"IN_BEATS": 1, "OUT_BEATS": 1, "WATCHDOG": 50, "TMR": 1},
    {"INPUTS": 2, "OUTPUTS": 2, "IN_BEATS": beats(3, 7), "OUT_BEATS": beats(4, 2), "WATCHDOG": 60},
]
# either simulator has one of each kind
ONLY = {"icarus": [CONFIGS[n] for n in (3, 4, 7)], "verilator": [CONFIGS[n] for n in (1, 2, 5, 6, 9)]}
WATCHED = "WATCHDOG" in json.loads(os.environ.get("BENCH_CONFIG", "{}"))
INTERNALS = True  # counters are set to what a long run would reach
COUNTERS = ("frames_in", "frames_out", "cycles", "input_stalls", "output_stalls", "starved")


def bits(value):
    """The bits of a signal, the lowest first."""
    return [int(bit) for bit in reversed(str(value))]


def word(flags):
    """The signal whose bits these are."""
    return sum(bool(flag) << n for n, flag in enumerate(flags))


class World:
    """Plays host streams, network and sinks, one falling edge at a time, and counts what it sees.

    The network owes OUT_BEATS words on each output for each frame of IN_BEATS that came on all inputs; `early` lets it
    answer before the last word of a frame came, as a layer that leaves out the image's edge does.
    """

    def __init__(self, dut, seed, offer=0.7, accept=0.7, answer=0.7, take=0.7, early=False):
        self.dut, self.random, self.early = dut, random.Random(seed), early
        self.chance = {"offer": offer, "accept": accept, "answer": answer, "take": take}
        self.ins, self.outs = counts("IN_BEATS"), counts("OUT_BEATS")
        self.torn = (0, -1)  # an input, and a word of it that is none
        self.good()
        self.forget()

    def good(self):
        """From now on a tlast at the end of each frame."""
        self.marks = [self.ends(i) for i in range(len(self.ins))]

    def forget(self):
        self.begin()
        self.offering, self.answering = [False] * len(self.ins), [False] * len(self.outs)
        self.failed = False

    def begin(self):
        """Nothing of a run is counted yet."""
        self.entered, self.left = [0] * len(self.ins), [0] * len(self.outs)
        self.came, self.went = [0] * len(self.ins), [0] * len(self.outs)
        self.seen = dict.fromkeys(COUNTERS, 0)

    def ends(self, i):
        """Whether an input word, counted from the start, is the last of a frame."""
        return lambda word: (word + 1) % self.ins[i] == 0

    def breaks(self, i):
        """Whether the next word of an input has a tlast where none may be, or none where one must be."""
        if self.tlast == "none":
            return False
        word, marked = self.entered[i], self.marks[i](self.entered[i])
        if self.torn == (i, word):
            return True
        must = self.tlast == "each" or word + 1 == self.frames * self.ins[i]
        return not marked and must if self.ends(i)(word) else marked

    def owed(self, j):
        frames = []
        for entered, count in zip(self.entered, self.ins, strict=True):
            early = 1 if self.early and entered % count == count - 1 else 0
            frames.append((entered + early) // count)
        return min(frames) * self.outs[j] - self.left[j]

    def flip(self, what):
        return self.random.random() < self.chance[what]

    async def cycle(self):
        """Drive on this falling edge, watch, and end on the next."""
        dut = self.dut
        self.offering = [offers or self.flip("offer") for offers in self.offering]
        self.answering = [
            answers or (self.owed(j) > 0 and self.flip("answer")) for j, answers in enumerate(self.answering)
        ]
        dut.s_axis_tvalid.value = word(self.offering)
        dut.s_axis_tlast.value = word(mark(at) for mark, at in zip(self.marks, self.entered, strict=True))
        dut.s_axis_torn.value = word(self.torn == (i, at) for i, at in enumerate(self.entered))
        dut.core_s_axis_tready.value = word(self.flip("accept") for _ in self.ins)
        dut.core_m_axis_tvalid.value = word(self.answering)
        dut.m_axis_tready.value = word(self.flip("take") for _ in self.outs)
        await ReadOnly()
        if int(dut.busy.value):
            self.watch()
        else:
            assert not int(dut.core_s_axis_tvalid.value) and not int(dut.s_axis_tready.value)
            assert not int(dut.m_axis_tvalid.value) and not int(dut.core_m_axis_tready.value)
        await FallingEdge(dut.clk)

    def watch(self):
        dut, seen = self.dut, self.seen
        offered, ready = bits(dut.core_s_axis_tvalid.value), bits(dut.core_s_axis_tready.value)
        valid, taken = bits(dut.m_axis_tvalid.value), bits(dut.m_axis_tready.value)
        last = bits(dut.m_axis_tlast.value)
        open_ = [self.is_open(i) for i in range(len(self.ins))]
        due = [offers and opens for offers, opens in zip(self.offering, open_, strict=True)]
        assert offered == due, "a word is offered when and only when a frame is due"
        assert bits(dut.s_axis_tready.value) == [a and b for a, b in zip(ready, open_, strict=True)]
        assert bits(dut.s_axis_open.value) == open_
        assert valid == self.answering and bits(dut.core_m_axis_tready.value) == taken
        assert int(dut.tlast_error.value) == self.failed
        assert (int(dut.frames_in.value), int(dut.frames_out.value)) == (seen["frames_in"], seen["frames_out"])
        seen["cycles"] += 1
        seen["input_stalls"] += any(a and not b for a, b in zip(offered, ready, strict=True))
        seen["output_stalls"] += any(a and not b for a, b in zip(valid, taken, strict=True))
        seen["starved"] += any(a and b and not c for a, b, c in zip(open_, ready, self.offering, strict=True))
        moved = [i for i in range(len(self.ins)) if offered[i] and ready[i]]
        self.failed = self.failed or any(self.breaks(i) for i in moved)
        for i in moved:
            self.entered[i] += 1
            self.offering[i] = False
            self.came[i] += self.entered[i] % self.ins[i] == 0
        for j in range(len(self.outs)):
            if valid[j] and taken[j]:
                self.left[j] += 1
                self.answering[j] = False
                assert last[j] == (self.left[j] % self.outs[j] == 0)
                self.went[j] += self.left[j] % self.outs[j] == 0
        seen["frames_in"], seen["frames_out"] = min(self.came), min(self.went)

    def is_open(self, i):
        return not self.failed and (self.frames == 0 or self.entered[i] < self.frames * self.ins[i])

    async def pulse(self, name, frames=0, tlast=""):
        """Hold `start` or `soft_reset` for one cycle in which nothing moves."""
        dut, self.frames, self.tlast = self.dut, frames, tlast
        dut.frames.value, dut.tlast_each.value, dut.tlast_none.value = frames, tlast == "each", tlast == "none"
        getattr(dut, name).value = 1
        await FallingEdge(dut.clk)
        getattr(dut, name).value = 0
        for other, width in ((dut.frames, 32), (dut.tlast_each, 1), (dut.tlast_none, 1)):  # read at start only
            other.value = self.random.getrandbits(width)

    async def start(self, frames, tlast=""):
        self.begin()
        await self.pulse("start", frames, tlast)

    async def run(self, frames, tlast=""):
        """One run from start to done, checked at its end."""
        dut = self.dut
        await self.start(frames, tlast)
        for _ in range(100 + 40 * frames * (max(self.ins) + max(self.outs))):
            if int(dut.done.value):
                break
            assert int(dut.busy.value)
            await self.cycle()
        assert int(dut.done.value) and not int(dut.busy.value)
        assert self.entered == [frames * count for count in self.ins]
        assert self.left == [frames * count for count in self.outs]
        self.check_counters()

    async def fail(self, frames, tlast=""):
        """A run that a wrong tlast ends: nothing more enters, what is owed leaves, and there it stays."""
        dut = self.dut
        await self.start(frames, tlast)
        for _ in range(100 + 40 * frames * max(self.ins)):
            if self.failed:
                break
            await self.cycle()
        assert self.failed
        for number in range(60 + 10 * max(map(self.owed, range(len(self.outs))))):
            dut.start.value = number % 3 == 0  # ignored
            await self.cycle()  # asserts that nothing enters
        dut.start.value = 0
        assert all(self.owed(j) <= 0 for j in range(len(self.outs)))
        assert int(dut.busy.value) and int(dut.tlast_error.value) and not int(dut.done.value)
        self.check_counters()

    async def recover(self):
        """soft_reset, and a run of frames with a tlast each."""
        await self.pulse("soft_reset")
        assert not int(self.dut.busy.value) and not int(self.dut.tlast_error.value)
        await FallingEdge(self.dut.clk)
        self.good()
        self.forget()
        await self.run(2, "each")

    def frames_are(self, came, went):
        """Sets the counts of frames, registers and all."""
        self.came, self.went = came, went
        self.seen["frames_in"], self.seen["frames_out"] = min(came), min(went)
        for side, values in ((self.dut.gen_in, came), (self.dut.gen_out, went)):
            for n, value in enumerate(values):
                side[n].u_frames.gen_one.one_q.value = value

    def skip(self, frames):
        """Puts the run so many frames on."""
        self.entered = [at + frames * count for at, count in zip(self.entered, self.ins, strict=True)]
        self.left = [at + frames * count for at, count in zip(self.left, self.outs, strict=True)]
        self.frames_are([count + frames for count in self.came], [count + frames for count in self.went])

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
        s_axis_torn=0,
        core_s_axis_tready=0,
        core_m_axis_tvalid=0,
        m_axis_tready=0,
    )
    return world


@cocotb.test(skip=WATCHED)
@cocotb.parametrize(
    (
        ("offer", "accept", "take", "early"),
        [(1.0, 1.0, 1.0, False), (0.3, 1.0, 1.0, True), (1.0, 0.3, 1.0, False), (1.0, 1.0, 0.3, True)]
        + [(0.3, 0.3, 0.3, early) for early in (False, True)],
    )
)
async def exactly_the_asked_frames_pass(dut, offer, accept, take, early):
    world = await begin(dut, offer=offer, accept=accept, take=take, early=early)
    for frames in (1, 5):
        await world.run(frames)
        for _ in range(5):
            await world.cycle()  # asserts that nothing moves
        assert int(dut.done.value), "done stays until the next start"
        world.check_counters()
    assert not int(dut.tlast_error.value)


@cocotb.test(skip=WATCHED)
async def runs_follow_at_once(dut):
    world = await begin(dut, offer=1.0, accept=1.0, answer=1.0, take=1.0)
    for _ in range(3):
        await world.run(2)
        assert world.seen["input_stalls"] == world.seen["output_stalls"] == world.seen["starved"] == 0


@cocotb.test(skip=WATCHED)
async def no_frame_count_means_no_end(dut):
    world = await begin(dut)
    await world.pulse("start", 0)
    for _ in range(800):
        await world.cycle()
    assert int(dut.busy.value) and not int(dut.done.value)
    assert world.seen["frames_out"] > 10
    world.check_counters()


@cocotb.test(skip=WATCHED)
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


@cocotb.test(skip=WATCHED)
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


@cocotb.test(skip=WATCHED)
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


@cocotb.test(skip=WATCHED)
@cocotb.parametrize(tlast=["", "each"], early=[False, True])
async def a_tlast_before_the_end_of_a_frame_ends_the_run_until_soft_reset(dut, tlast, early):
    world = await begin(dut, early=early)
    for i, count in enumerate(world.ins):
        if count == 1:
            continue  # every word is the last
        for wrong in {0, count - 2, count + count // 2 - 1}:
            world.marks[i] = lambda word, i=i, wrong=wrong: world.ends(i)(word) or word == wrong
            await world.fail(3, tlast)
            assert world.entered[i] == wrong + 1
            await world.recover()


@cocotb.test(skip=WATCHED)
@cocotb.parametrize(early=[False, True])
async def a_run_that_does_not_end_with_a_tlast_is_never_done(dut, early):
    """Be it that its words are too many, too few, or that a word was left over from before."""
    world = await begin(dut, early=early)
    for i, count in enumerate(world.ins):
        for frames in (1, 3):
            world.marks[i] = lambda word, i=i, end=frames * count: world.ends(i)(word) and word + 1 != end
            await world.fail(frames)
            assert world.came[i] == frames
            await world.recover()


@cocotb.test(skip=WATCHED)
@cocotb.parametrize(tlast=["", "none"])
async def a_torn_word_is_an_error_where_tlast_is_looked_at(dut, tlast):
    world = await begin(dut)
    for i, count in enumerate(world.ins):
        world.torn = (i, 2 * count - 1)
        if tlast:
            await world.run(2, tlast)
        else:
            await world.fail(2, tlast)
        world.torn = (0, -1)
        await world.recover()


@cocotb.test(skip=WATCHED)
async def a_frame_without_tlast_is_an_error_if_every_frame_has_one(dut):
    world = await begin(dut)
    for i, count in enumerate(world.ins):
        for missing in (0, 1):
            world.marks[i] = lambda word, i=i, end=(missing + 1) * count: world.ends(i)(word) and word + 1 != end
            await world.fail(3, "each")
            assert world.came[i] == missing + 1
            await world.recover()


@cocotb.test(skip=WATCHED)
async def a_transfer_holds_any_number_of_frames(dut):
    world = await begin(dut)
    for transfers in ({5}, {2, 5}, {0, 1, 5}):
        for i, count in enumerate(world.ins):
            own = {(end + i) % 6 for end in transfers} | {5}
            world.marks[i] = lambda word, i=i, count=count, own=own: world.ends(i)(word) and word // count in own
        await world.run(6)
    world.marks = [lambda word: False] * len(world.ins)
    await world.start(0)  # without end there is no last frame
    for _ in range(300):
        await world.cycle()


@cocotb.test(skip=WATCHED)
async def without_tlast_words_are_counted_alone(dut):
    world = await begin(dut)
    for mark in (lambda word: False, lambda word: word % 3 == 1, lambda word: True):
        world.marks = [mark] * len(world.ins)
        await world.run(3, "none")
    world.good()
    await world.run(3, "each")


@cocotb.test(skip=WATCHED)
async def counters_carry_through_all_their_bits(dut):
    """From all ones below the highest bit to that bit alone."""
    world = await begin(dut)
    await world.pulse("start", 0)
    world.frames_are([(1 << 31) - 1] * len(world.ins), [(1 << 31) - 1] * len(world.outs))
    for name in COUNTERS[2:]:
        world.seen[name] = (1 << (config().get("COUNTER_W", 48) - 1)) - 1
        getattr(dut, f"{name}_q").value = world.seen[name]
    begun = dict(world.seen)
    for _ in range(60 * max(world.ins + world.outs)):
        await world.cycle()
        if all(world.seen[name] > begun[name] for name in COUNTERS):
            break
    assert all(world.seen[name] > begun[name] for name in COUNTERS)
    world.check_counters()


@cocotb.test(skip=WATCHED)
@cocotb.parametrize(early=[False, True])
async def a_long_run_ends_with_its_last_frame_and_not_before(dut, early):
    """Runs of 2^bit and 2^bit + 2 frames, most of them skipped: each bit of the number counts."""
    world = await begin(dut, early=early)
    one_beat = max(world.ins + world.outs) == 1
    for bit in range(2, 32) if one_beat else (16, 31):
        for frames in (1 << bit, (1 << bit) + 2):
            await world.start(frames)
            while world.seen["frames_out"] < 3:
                await world.cycle()
            assert int(dut.busy.value)
            world.skip(max(0, (1 << bit) - max(world.came) - 2))
            for _ in range(2000):
                if int(dut.done.value):
                    break
                await world.cycle()
            assert {*world.came, *world.went} == {frames}
            world.check_counters()


class Lost:
    """Plays the host, and a core that may lose its place: it answers each frame that came on all inputs with the
    frame's number and the word's, up to ten cycles later.

    chance -- by name, as World has it, of a cycle in which a side moves
    """

    def __init__(self, dut, seed, offer=0.8, accept=0.8, answer=0.8, take=0.8):
        self.dut, self.random = dut, random.Random(seed)
        self.chance = {"offer": offer, "accept": accept, "answer": answer, "take": take}
        self.ins, self.outs = counts("IN_BEATS"), counts("OUT_BEATS")
        self.sent, self.got = [0] * len(self.ins), [[] for _ in self.outs]
        self.offering, self.answering = [False] * len(self.ins), [False] * len(self.outs)
        self.clock = self.desyncs = 0
        self.restart()

    def restart(self):
        """The core after a reset."""
        self.hangs, self.came = False, [[] for _ in self.ins]
        self.queues = [[] for _ in self.outs]  # (clock from which it is offered, frame, word)
        self.answering = [False] * len(self.outs)

    def flip(self, what):
        return self.random.random() < self.chance[what]

    async def start(self, frames):
        dut, self.frames = self.dut, frames
        dut.frames.value, dut.tlast_each.value, dut.tlast_none.value, dut.start.value = frames, 1, 0, 1
        await self.cycle()
        dut.start.value = 0

    def ready(self, j):
        return bool(self.queues[j]) and self.queues[j][0][0] <= self.clock and not self.hangs

    async def cycle(self):
        dut = self.dut
        self.offering = [
            on or (sent < self.frames * count and self.flip("offer"))
            for on, sent, count in zip(self.offering, self.sent, self.ins, strict=True)
        ]
        self.answering = [on or (self.ready(j) and self.flip("answer")) for j, on in enumerate(self.answering)]
        dut.s_axis_tvalid.value = word(self.offering)
        dut.s_axis_tlast.value = word((sent + 1) % n == 0 for sent, n in zip(self.sent, self.ins, strict=True))
        accepts = [not self.hangs and self.flip("accept") for _ in self.ins]
        dut.core_s_axis_tready.value, dut.core_m_axis_tvalid.value = word(accepts), word(self.answering)
        takes = [self.flip("take") for _ in self.outs]
        dut.m_axis_tready.value = word(takes)
        await ReadOnly()
        self.note(takes)
        await FallingEdge(dut.clk)
        self.clock += 1

    def note(self, takes):
        dut = self.dut
        self.desyncs += int(dut.desync.value)
        entering, taken = bits(dut.core_s_axis_tvalid.value), bits(dut.s_axis_tready.value)
        accepts, leaving = bits(dut.core_s_axis_tready.value), bits(dut.core_m_axis_tready.value)
        valid, last = bits(dut.m_axis_tvalid.value), bits(dut.m_axis_tlast.value)
        resets, fills = int(dut.core_rst.value), int(dut.filling.value)
        for i, offered in enumerate(self.offering):
            if entering[i] and accepts[i]:
                assert offered and taken[i] and not resets
                self.came[i].append(self.sent[i] // self.ins[i])
            if offered and taken[i]:
                self.sent[i] += 1
                self.offering[i] = False
        for j in range(len(self.outs)):
            if valid[j] and takes[j]:
                if not fills:
                    assert self.answering[j] and leaving[j], "a word that the core did not give"
                self.got[j].append(None if fills else self.queues[j][0][1:])
                assert last[j] == (len(self.got[j]) % self.outs[j] == 0)
            if self.answering[j] and leaving[j]:
                assert valid[j] and not fills and not resets
                self.queues[j].pop(0)
                self.answering[j] = False
        if resets:
            self.restart()
        self.compute()

    def compute(self):
        while all(len(came) >= n for came, n in zip(self.came, self.ins, strict=True)):
            frame = self.came[0][self.ins[0] - 1]
            self.came = [came[n:] for came, n in zip(self.came, self.ins, strict=True)]
            for j, n in enumerate(self.outs):
                late = self.clock + 2 + self.random.randrange(10)  # there is a register on either side of a core
                self.queues[j] += [(late, frame, k) for k in range(n)]

    def lose(self, how):
        """The core loses its place; False: there is nothing yet that it could lose."""
        j = self.random.randrange(len(self.outs))
        if how == "hangs":
            self.hangs = True
        elif how == "a word out too few" and len(self.queues[j]) > 1:
            del self.queues[j][1]
        elif how == "a word out too many" and self.queues[j]:
            self.queues[j].append((self.clock, -1, -1))
        elif how == "a word in too few" and self.came[0]:
            self.came[0].pop(0)
        else:
            return False
        return True

    async def run(self, frames, how="", at=0):
        """From start to done; the core loses its place once `at` frames have left. Returns how many had left then, None
        if it never did."""
        self.sent, self.got = [0] * len(self.ins), [[] for _ in self.outs]
        await self.start(frames)
        lost, left = not how, 0
        for _ in range(4000):
            if int(self.dut.done.value):
                break
            if not lost and min(len(got) // n for got, n in zip(self.got, self.outs, strict=True)) >= at:
                lost = self.lose(how)
                left = min(len(got) // n for got, n in zip(self.got, self.outs, strict=True))
            await self.cycle()
        assert int(self.dut.done.value) and not int(self.dut.busy.value), "the run came to no end"
        assert self.sent == [frames * n for n in self.ins]
        assert [len(got) for got in self.got] == [frames * n for n in self.outs]
        return left if lost else None

    def right(self, frames):
        """Whether so many frames, numbers, came as they are."""
        return all(
            self.got[j][frame * n : (frame + 1) * n] == [(frame, k) for k in range(n)]
            for frame in frames
            for j, n in enumerate(self.outs)
        )


async def watched(dut, seed=1, **chances):
    lost = Lost(dut, seed, **chances)
    names = "start soft_reset frames tlast_each tlast_none s_axis_tvalid s_axis_tlast s_axis_torn"
    names += " core_s_axis_tready core_m_axis_tvalid m_axis_tready"
    await start(dut, **dict.fromkeys(names.split(), 0))
    return lost


@cocotb.test(skip=not WATCHED)
@cocotb.parametrize(
    (("offer", "take", "accept"), [(0.02, 1.0, 0.3), (1.0, 0.02, 1.0), (0.02, 0.02, 1.0), (1.0, 1.0, 0.3)])
)
async def a_core_that_keeps_its_place_is_left_alone(dut, offer, take, accept):
    """However long a source or a sink is waited for."""
    lost = await watched(dut, offer=offer, take=take, accept=accept)
    for frames in (1, 4):
        await lost.run(frames)
        assert lost.desyncs == 0 and lost.right(range(frames))
        assert int(dut.frames_in.value) == int(dut.frames_out.value) == frames


@cocotb.test(skip=not WATCHED)
@cocotb.parametrize(
    how=["hangs", "a word out too few", "a word out too many", "a word in too few"],
    pause=[0.0, 0.5],
    seed=[1, 2],
)
async def a_run_goes_on_with_the_next_frame_when_the_core_lost_its_place(dut, how, pause, seed):
    chances = {"offer": 1 - pause, "take": 1 - pause, "accept": 1 - pause}
    lost = await watched(dut, seed, **chances)
    left = await lost.run(12, how, at=3)
    if left is None:
        assert how == "a word in too few" and lost.ins == [1], "nothing that could be lost"
        return
    for _ in range(15):  # a word too many may come behind the run
        await lost.cycle()
    assert lost.desyncs >= 1
    assert lost.right(range(left)), "frames before"
    if how != "a word out too many":  # which may be one of frames that all left
        lost_from, lost_to = int(dut.lost_from.value), int(dut.lost_to.value)
        assert left <= lost_from < lost_to <= 12
        assert lost.right(range(lost_to, 12)), "frames behind"
    assert not int(dut.tlast_error.value)
    before = lost.desyncs
    await lost.run(3)
    assert lost.desyncs == before and lost.right(range(3)), "the next run"


@cocotb.test(skip=not WATCHED)
async def a_lone_frame_that_never_comes_is_made_up(dut):
    """Also where the host sends no other before it has the first."""
    lost = await watched(dut)
    await lost.start(0)
    lost.frames = 1
    lost.hangs = False
    while lost.sent != lost.ins:
        await lost.cycle()
    lost.restart()
    lost.hangs = True
    for _ in range(300):
        await lost.cycle()
    assert lost.desyncs == 1
    assert lost.got == [[None] * n for n in lost.outs]
    assert int(dut.frames_out.value) == 1 and int(dut.busy.value)
    lost.frames = 4
    while min(len(got) // n for got, n in zip(lost.got, lost.outs, strict=True)) < 4:
        await lost.cycle()
    assert lost.right(range(1, 4)) and lost.desyncs == 1


@cocotb.test(skip=not WATCHED)
async def soft_reset_ends_what_is_made_up(dut):
    lost = await watched(dut, take=0.05)
    await lost.start(8)
    while not lost.sent[0]:
        await lost.cycle()
    lost.hangs = True
    while not int(dut.filling.value):
        await lost.cycle()
    dut.soft_reset.value = 1
    await FallingEdge(dut.clk)
    dut.soft_reset.value = 0
    assert not int(dut.busy.value) and not int(dut.filling.value)
    again = Lost(dut, 5)
    await FallingEdge(dut.clk)
    await again.run(3)
    assert again.right(range(3)) and again.desyncs == 0
