"""term_sequencer issues every term of every output position in order, and nothing else."""

import random

import cocotb
from bench_term_rom import check_sum
from cocotb.triggers import FallingEdge, ReadOnly
from parts import clog2, codes, config
from parts.stream import reset, start

# Input 9 x 9 on 2 lanes, 3x3 taps, stride 2, dilation 2, padding 2: output 5 x 5, the last stripe short.
PADDED = {
    "TERMS": 14,
    "GROUPS": 1,
    "TAP_ROW_BITS": 3,
    "TAP_COLUMN_BITS": 3,
    "CHANNELS": 3,
    "PAYLOAD_W": 8,
    "RING": 7,
    "OUT_ROWS": 5,
    "OUT_STRIPE": 3,
    "ROW_STEP": 2,
    "COLUMN_STEP": 2,
    "NEED": 5,
    "LAST_STEP": 5,
    "IN_STRIPE": 6,
    "FIRST_COLUMN": 4,
    "LEGS": 3,
    "READ": 2,
    "ROWS": 9,
    "PAD_TOP": 2,
    "REACH_ROWS": 5,
    "IMMEDIATE_W": 6,
    "PAD_VALUE": (32, 6),
}
# One position a frame, one word in the list, no field in an address but the channel: a Linear layer.
SMALL = {
    "TERMS": 1,
    "GROUPS": 2,
    "TAP_ROW_BITS": 0,
    "TAP_COLUMN_BITS": 0,
    "CHANNELS": 3,
    "PAYLOAD_W": 4,
    "RING": 2,
    "OUT_ROWS": 1,
    "OUT_STRIPE": 1,
    "ROW_STEP": 1,
    "COLUMN_STEP": 1,
    "NEED": 1,
    "LAST_STEP": 1,
    "IN_STRIPE": 1,
    "FIRST_COLUMN": 0,
    "LEGS": 1,
    "READ": 1,
    "ROWS": 1,
    "PAD_TOP": 0,
    "REACH_ROWS": 1,
    "IMMEDIATE_W": 4,
    "PAD_VALUE": (0, 4),
}
WEIGHTS = {"MAC": 1, "COMMAND_W": 5, "IMMEDIATE_W": 10, "PAD_VALUE": (0, 10)}
TAPS, DILATION, CHANNELS, PAD_TOP = 3, 2, 3, 2  # of PADDED
# Less of it: input 3 x 7, output 2 x 4.
FEW = PADDED | {"ROWS": 3, "OUT_ROWS": 2, "OUT_STRIPE": 2}
SHIFT, NEGATE = 2, 1  # commands
OUTPUTS = "use_immediate_3", "immediate_3", "command_3", "last_3", "final_3", "leg_3", "address_2", "zero_2"


def places_of(case):
    """How many places a window has."""
    return 1 << (case["TAP_ROW_BITS"] + case["TAP_COLUMN_BITS"] + clog2(case["CHANNELS"]))


def term(case, rng, before):
    """A term of a group whose last one read the place `before`."""
    cut, command_w = (1 << case["PAYLOAD_W"]) - 1, case.get("COMMAND_W", 2)
    if rng.random() < 0.2:
        if case.get("MAC"):
            half = command_w - 2 + case["PAYLOAD_W"]
            if case["IMMEDIATE_W"] <= half + 1:
                immediate = rng.randrange(1 << case["IMMEDIATE_W"])
                return immediate >> case["PAYLOAD_W"] << 1, 0, 0, 0, immediate, immediate & cut
            high = rng.randrange(2)
            part = rng.randrange(1 << (case["IMMEDIATE_W"] - half if high else half))
            command = part >> case["PAYLOAD_W"] << 2 | high << 1
            return command, 0, 0, 0, part << (half * high), part & cut
        immediate = rng.randint(-20, 20)
        return rng.choice([0, SHIFT]), 0, 0, 0, immediate, immediate & cut
    row, column, channel = rng.randrange(TAPS) * DILATION, rng.randrange(TAPS) * DILATION, rng.randrange(CHANNELS)
    place = (row << case["TAP_COLUMN_BITS"] | column) << clog2(case["CHANNELS"]) | channel
    payload = (place - before) % places_of(case) if case.get("GAPS") else place
    if payload > cut:  # so far a payload does not reach
        shift = 0 if case.get("MAC") else rng.choice([0, SHIFT])
        return shift | 1, 0, 0, 0, case["PAD_VALUE"][0], payload >> case["PAYLOAD_W"]
    return rng.randrange(1 << command_w), row, column, channel, None, payload


def terms(case, count=None):
    """The words of the list: (last, a term of each group), a term being (command, tap row, tap column, channel,
    immediate, payload), the first with an immediate what is in the ROM.

    count -- words of another list, other than TERMS
    """
    if case["TERMS"] == 1:
        return [(True, [(0, 0, 0, 2 - group, None, 2 - group) for group in range(case["GROUPS"])])]
    rng = random.Random(count or 7)
    count = count or case["TERMS"]
    words, before = [], [0] * case["GROUPS"]
    for i in range(count):
        groups = [term(case, rng, at) for at in before]
        for group, (command, row, column, channel, immediate, payload) in enumerate(groups):
            if immediate is None:
                before[group] = (row << case["TAP_COLUMN_BITS"] | column) << clog2(case["CHANNELS"]) | channel
            elif command & 1:
                before[group] = (before[group] + (payload << case["PAYLOAD_W"])) % places_of(case)
        last = i % 5 == 4 or i == count - 1
        before = [0] * case["GROUPS"] if last else before
        words.append((last, groups))
    return words


def lengths(case):
    """Words of the list of each mode."""
    if "MODES" not in case:
        return [None]
    lasts = [case["LASTS"][0] >> 32 * mode & 0xFFFFFFFF for mode in range(case["MODES"])]
    return [last - before for last, before in zip(lasts, [-1, *lasts], strict=False)]


def with_modes(case, *counts):
    """A case whose lists have so many words each."""
    ends = [sum(counts[: i + 1]) - 1 for i in range(len(counts))]
    lasts = (sum(end << 32 * i for i, end in enumerate(ends)), 32 * len(counts))
    return case | {"TERMS": sum(counts), "MODES": len(counts), "LASTS": lasts}


def mode_of(frame):
    return (0, 1, 1, 2, 0, 1, 2, 2)[frame % 8] % config().get("MODES", 1)


def term_bits(case):
    return case.get("COMMAND_W", 2) + 1 + case["PAYLOAD_W"]


def rom(case, count=None):
    words, bits = [], term_bits(case)
    each = [terms(case, length) for length in lengths(case)] if count is None else [terms(case, count)]
    for last, groups in (word for own in each for word in own):
        word = int(last) << (case["GROUPS"] * bits)
        for group, (command, *_, immediate, payload) in enumerate(groups):
            word |= ((command << 1 | (immediate is not None)) << case["PAYLOAD_W"] | payload) << (group * bits)
        words.append(word)
    return words


def coded(case):
    """What the memory holds, words with their check bits; in the file FLIPPED a bit of each is flipped, one that is
    repaired or the check bit."""
    width = 1 + case["GROUPS"] * term_bits(case)
    code = {"WIDTH": width, "CODE_W": case.get("CODE_W", 0), "CODE": case.get("CODE", (0, 1))}
    words, rng = [codes.stored(word, code) for word in rom(case)], random.Random(6)
    if case.get("FILE") == FLIPPED:
        first = 0 if code["CODE_W"] > 1 else width  # else the commands would be others
        words = [word ^ 1 << rng.randrange(first, width + code["CODE_W"]) for word in words]
    return words


FLIPPED = "rom/flipped.hex"
CONFIGS = [
    {
        "FILE": "rom/terms.hex",
        **case,
        "CHECK": (check_sum(coded(case), 1 + case["GROUPS"] * term_bits(case) + case.get("CODE_W", 0)), 32),
    }
    for case in (
        PADDED,
        SMALL,
        PADDED | {"GROUPS": 3, "READ": 3},
        PADDED | {"GROUPS": 3, "LOAD": 1, "DEPTH": 40},
        PADDED | {"TERMS": 22, "GROUPS": 3, "GAPS": 1, "PAYLOAD_W": 6},
        PADDED | WEIGHTS | {"GROUPS": 3},
        PADDED
        | WEIGHTS
        | {"TERMS": 22, "GROUPS": 2, "GAPS": 1, "PAYLOAD_W": 6, "IMMEDIATE_W": 13, "PAD_VALUE": (0, 13)},
        PADDED | {"TERMS": 22, "GROUPS": 1, "GAPS": 1, "PAYLOAD_W": 6, "LOAD": 1, "DEPTH": 64},
        # one lane: the legs beside the second are outside; a list in block RAM; stripes of eight
        PADDED
        | {"TERMS": 66, "OUT_STRIPE": 2, "IN_STRIPE": 9, "FIRST_COLUMN": 7, "BEFORE": 1, "LEGS": 1, "AFTER": 1}
        | {"ROW_STEP": 1, "LAST_STEP": 7, "RING": 12},
        PADDED
        | {
            "TERMS": 66,
            "OUT_STRIPE": 2,
            "GAPS": 1,
            "PAYLOAD_W": 6,
            "IN_STRIPE": 8,
            "FIRST_COLUMN": 0,
            "LEGS": 2,
            "READ": 1,
        },
        PADDED | {"OUT_STRIPE": 1, "FIRST_COLUMN": 3, "LEGS": 2},
        with_modes(FEW | {"GROUPS": 2}, 9, 14),
        with_modes(FEW | {"GAPS": 1, "PAYLOAD_W": 6}, 5, 29, 32),
        # check bits: lists that have a bit of each word flipped are told of, or put right
        FEW | codes.parameters("parity", 12),
        FEW | {"FILE": FLIPPED} | codes.parameters("ecc", 12),
        FEW | {"FILE": FLIPPED, "TERMS": 66, "GAPS": 1, "PAYLOAD_W": 6} | codes.parameters("ecc", 10),
        FEW | {"GROUPS": 3, "LOAD": 1, "DEPTH": 40} | codes.parameters("ecc", 34),
        SMALL | {"FILE": FLIPPED} | codes.parameters("parity", 15),
    )
]


def prepare(folder, config):
    path = folder / config["FILE"]
    path.parent.mkdir(exist_ok=True)
    words = coded(config)
    words += [0] * (config.get("DEPTH", len(words)) - len(words))
    path.write_text("".join(f"{word:x}\n" for word in words))


def frame_rows():
    """The rows that a frame takes in the ring, padding or not."""
    c = config()
    count = (c["OUT_ROWS"] - 1) * c["ROW_STEP"] + c["LAST_STEP"]
    return [row < PAD_TOP or row >= PAD_TOP + c["ROWS"] for row in range(count)] if c["TERMS"] > 1 else [False]


def commands(frames, count=None):
    """What must be issued: (last, final with last, of each group: (command, immediate or None, address, leg)), a padded
    place being an immediate."""
    c, padding, result = config(), frame_rows(), []

    def issued(frame, out_row, s, command, tap_row, tap_column, channel, immediate, _):
        row = out_row * c["ROW_STEP"] + tap_row
        leg, column = divmod(c["FIRST_COLUMN"] + s * c["COLUMN_STEP"] + tap_column, c["IN_STRIPE"])
        leg -= c.get("BEFORE", 0)
        slot = (frame * len(padding) + row) % c["RING"]
        address = (slot << clog2(c["IN_STRIPE"]) | column) << clog2(c["CHANNELS"]) | channel
        if immediate is not None:
            source = immediate % (1 << c["IMMEDIATE_W"]), None, "immediate"
        elif padding[row] or not 0 <= leg < c["LEGS"]:
            source = c["PAD_VALUE"][0], None, "padding"
        else:
            source = None, address, leg
        skips = c.get("GAPS") and immediate is not None
        return (command & ~1 if skips else command, *source)

    for frame in range(frames):
        words = terms(c, count or lengths(c)[mode_of(frame)])
        for out_row in range(c["OUT_ROWS"]):
            for s in range(c["OUT_STRIPE"]):
                for i, (last, groups) in enumerate(words):
                    each = tuple(issued(frame, out_row, s, *term) for term in groups)
                    result.append((last, i == len(words) - 1, each))
    return result


def bubble():
    return (False, False, ((0, config()["PAD_VALUE"][0], None, "padding"),) * config()["GROUPS"])


class Sequencer:
    """The device; the bench plays the line memory, which writes rows, and the engine, which enables."""

    def __init__(self, dut, enable=1.0, arrive=1.0):
        self.dut, self.enable, self.arrive, self.config = dut, enable, arrive, config()
        self.rng = random.Random(8)
        self.forget()

    def forget(self):
        self.issued, self.freed, self.written = [], 0, 0
        self.told = [0, 0]
        self.begun, self.unknown, self.modes = 0, 2, []
        self.addresses = [[("", "1")] * self.config["GROUPS"]] * self.config["READ"]
        self.held = [(0, 0)] * self.config["READ"]

    async def begin(self):
        await start(self.dut, enable=0, row_written=0, load_select=0, load=0, mode=0, mode_known=0)
        return self

    async def load(self, words):
        """A list of these words, in reset, as the top does it."""
        self.dut.rst.value = 1
        for move, data in [(2, len(words)), *((1, w >> at & 0xFFFFFFFF) for w in words for at in self.pieces)]:
            self.dut.load_select.value, self.dut.load.value = 1, move << 32 | data
            await FallingEdge(self.dut.clk)
        self.dut.load_select.value = self.dut.load.value = 0
        for _ in range(3):
            await FallingEdge(self.dut.clk)
        assert int(self.dut.loaded.value)
        self.dut.rst.value = 0

    @property
    def pieces(self):
        """Where the pieces of a word begin."""
        return range(0, 1 + config()["GROUPS"] * term_bits(config()), 32)

    def state(self):
        """All outputs but those of rows given back, by name, each as text."""
        return {name: str(getattr(self.dut, name).value) for name in OUTPUTS}

    async def cycle(self, rows):
        """One clock: perhaps enabled, perhaps with one of `rows` rows more written."""
        dut, c = self.dut, self.config
        room = self.written < min(rows, self.freed + c["RING"])
        arrives = room and self.rng.random() < self.arrive
        enabled = self.rng.random() < self.enable
        dut.row_written.value = int(arrives)
        dut.enable.value = int(enabled)
        # the next frame's mode is known some clocks after the one before was begun
        self.unknown = max(0, self.unknown - 1)
        dut.mode_known.value = int(not self.unknown)
        dut.mode.value = self.rng.randrange(c.get("MODES", 1)) if self.unknown else mode_of(self.begun)
        await ReadOnly()
        if int(dut.mode_taken.value):
            assert not self.unknown, "a frame began in a mode that is not known"
            self.begun, self.unknown = self.begun + 1, self.rng.choice([2, 2, 40])
        state = self.state()
        if enabled:
            self.note(state)
        for i, handle in enumerate((dut.fault, dut.repaired)):
            self.told[i] += int(handle.value)
        assert c["FILE"] == FLIPPED or self.told == [0, 0], "no bit was flipped"
        if int(dut.freed.value):
            self.freed += c["LAST_STEP" if int(dut.freed_last.value) else "ROW_STEP"]
        assert self.freed <= self.written, "a row was given back before it was written"
        self.written += int(arrives)
        await FallingEdge(dut.clk)
        if not enabled:
            assert self.state() == state, "an output moved without enable"

    def note(self, state):
        """The commands of stage 3, with the addresses that they had READ enabled clocks ago."""
        c, each = self.config, []
        last = state["last_3"] == "1"
        if last:
            self.modes.append(int(self.dut.mode_3.value))
        (freed, written), addresses = self.held.pop(0), self.addresses.pop(0)
        use, commands, immediates, legs = (
            self.by_group(state, name) for name in ("use_immediate_3", "command_3", "immediate_3", "leg_3")
        )
        for group, (address, zero) in enumerate(addresses):
            immediate = int(immediates[group], 2)
            if zero == "1":
                source = immediate, None, "immediate" if use[group] == "1" else "padding"
            else:
                assert immediate == 0 and use[group] == "0"
                source = None, int(address, 2), int(legs[group], 2)
                slot = source[1] >> (clog2(c["IN_STRIPE"]) + clog2(c["CHANNELS"]))
                held = (slot - freed) % c["RING"] < written - freed
                assert held, "a row was read that is not written, or given back"
            each.append((int(commands[group], 2), *source))
        self.issued.append((last, last and state["final_3"] == "1", tuple(each)))
        self.addresses.append(list(zip(*(self.by_group(state, name) for name in ("address_2", "zero_2")), strict=True)))
        self.held.append((self.freed, self.written))

    def by_group(self, state, name):
        """Each group's part of an output, as text."""
        text, groups = state[name], self.config["GROUPS"]
        bits = len(text) // groups
        assert len(text) == groups * bits
        return [text[at : at + bits] for at in range((groups - 1) * bits, -1, -bits)]

    async def until_freed(self, rows):
        """Offer so many rows, and go on until they all came back, and some clocks more."""
        for _ in range(20_000):
            await self.cycle(rows)
            if self.freed == rows:
                break
        else:
            raise AssertionError(f"{self.freed} of {rows} rows came back")
        for _ in range(30):
            await self.cycle(rows)
        assert self.freed == rows, "a row was given back twice"

    async def frames(self, count, length=None):
        """All commands of some frames; no-ops are left out, a bubble being no other than padding."""
        await self.until_freed(count * len(frame_rows()))
        wanted = [command for command in commands(count, length) if command != bubble()]
        assert [command for command in self.issued if command != bubble()] == wanted


@cocotb.test()
@cocotb.parametrize((("enable", "arrive"), [(1.0, 0.1), (0.6, 0.5)]))
async def commands_are_those_of_the_list_at_every_position(dut, enable, arrive):
    sequencer = await Sequencer(dut, enable, arrive).begin()
    await sequencer.frames(2)


@cocotb.test()
async def flipped_bits_are_told_of(dut):
    """And no others: in every test."""
    if config()["FILE"] != FLIPPED:
        return
    sequencer = await Sequencer(dut).begin()
    await sequencer.until_freed(len(frame_rows()))
    repairs = config()["CODE_W"] > 1
    words = len(terms(config())) * config()["OUT_ROWS"] * config()["OUT_STRIPE"]
    wrong, repaired = sequencer.told
    assert (wrong >= words, repaired >= words) == (not repairs, repairs)
    assert not (wrong and repaired)


@cocotb.test()
@cocotb.parametrize((("enable", "arrive"), [(1.0, 1.0), (0.6, 0.3)]))
async def each_frame_has_the_list_of_its_mode(dut, enable, arrive):
    if "MODES" not in config():
        return
    sequencer = await Sequencer(dut, enable, arrive).begin()
    await sequencer.frames(5)
    wanted = []
    for frame in range(5):
        lists = [word for word in terms(config(), lengths(config())[mode_of(frame)]) if word[0]]
        wanted += [mode_of(frame)] * len(lists) * config()["OUT_ROWS"] * config()["OUT_STRIPE"]
    assert sequencer.modes == wanted


@cocotb.test()
async def a_term_is_issued_every_cycle_while_the_rows_are_there(dut):
    sequencer = await Sequencer(dut).begin()
    wanted = commands(1)
    first = next(i for i, command in enumerate(wanted) if command != bubble())
    while not any(command != bubble() for command in sequencer.issued):
        await sequencer.cycle(100)
    begun = len(sequencer.issued) - 1 - first
    while len(sequencer.issued) < begun + len(wanted):
        await sequencer.cycle(100)
    assert sequencer.issued[begun:] == wanted


@cocotb.test()
async def a_bubble_adds_the_padding_value_and_no_more(dut):
    sequencer = await Sequencer(dut, enable=0.7).begin()
    for _ in range(60):
        await sequencer.cycle(config()["NEED"] - 1)  # one row too few
    assert set(sequencer.issued) == {bubble()}


@cocotb.test()
@cocotb.parametrize(cycles=[20, 300])
async def reset_in_mid_frame_starts_over(dut, cycles):
    sequencer = await Sequencer(dut, enable=0.8, arrive=0.8).begin()
    for _ in range(cycles):
        await sequencer.cycle(100)
    dut.row_written.value = 0
    await reset(dut, cycles=1)
    sequencer.forget()
    await sequencer.frames(1)


@cocotb.test()
async def lists_of_other_lengths_take_the_place_of_the_first_one(dut):
    if not config().get("LOAD"):
        return
    sequencer = await Sequencer(dut, enable=0.8, arrive=0.8).begin()
    for length in (config()["DEPTH"], 5, config()["TERMS"]):
        for _ in range(40):  # into a frame of the old list
            await sequencer.cycle(100)
        dut.row_written.value = 0
        await sequencer.load(rom(config(), length if length != config()["TERMS"] else None))
        sequencer.forget()
        await sequencer.frames(1, length if length != config()["TERMS"] else None)
