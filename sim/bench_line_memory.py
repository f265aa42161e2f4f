"""line_memory gives its reader every row as it was written, and takes no slot that was not given back."""

import json
import random
from dataclasses import dataclass

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from cocotb.utils import get_sim_time
from parts import clog2, config
from parts.stream import Source, reset, start


@dataclass(frozen=True)
class Rows:
    """How a row is cut: a stream of `lanes`, one pixel a beat or `wide`, into stripes of `stripe` columns, the first
    of which begins `lead` columns before the row."""

    columns: int
    lanes: int
    stripe: int
    wide: bool = False
    lead: int = 0

    @property
    def own_stripe(self):
        """Columns of a lane of the stream."""
        return -(-self.columns // self.lanes)

    @property
    def stripes(self):
        return -(-(self.columns + self.lead) // self.stripe)

    @property
    def phases(self):
        return self.own_stripe // self.stripe if self.wide else self.stripes

    def groups(self):
        """Columns in the order of the stream, a group comes once per channel; those of a wide beat side by side."""
        grid = [[lane * self.own_stripe + s for lane in range(self.lanes)] for s in range(self.own_stripe)]
        return [[tuple(row)] if self.wide else [(c,) for c in row if c < self.columns] for row in grid]

    def parameters(self, **parameters):
        column_bits = clog2(self.stripe)
        bits = 1 + clog2(self.phases) + column_bits
        entries = []
        for group in self.groups():
            for beat in group:
                phase, column = divmod(beat[0] + self.lead, self.stripe)
                entries.append(int(beat == group[-1]) << (bits - 1) | phase << column_bits | column)
        depth = parameters["RING"] << (column_bits + clog2(parameters["CHANNELS"]))
        last = self.columns + self.lead - (self.stripes - 1) * self.stripe
        return {
            "READ": 1 if depth <= 64 else 3,
            **parameters,
            "STRIPES": self.stripes,
            "SIDE": self.lanes if self.wide else 1,
            "PHASES": self.phases,
            "STRIPE": self.stripe,
            "LEAD": self.lead,
            "LAST_STRIPE": last,
            "TABLE": (sum(entry << (i * bits) for i, entry in enumerate(entries)), len(entries) * bits),
        }


CASES = [
    # raster order, padding on both sides and left, a ring that is no power of two, lookup-table memory
    (
        Rows(columns=5, lanes=1, stripe=3, lead=1),
        {
            "X_W": 5,
            "CHANNELS": 3,
            "RING": 5,
            "ROWS": 3,
            "PAD_TOP": 1,
            "PAD_BOTTOM": 1,
            "PAD_VALUE": (19, 5),
        },
    ),
    # three lanes of a stream into one stripe, a single channel, no padding
    (Rows(columns=7, lanes=3, stripe=7), {"X_W": 8, "CHANNELS": 1, "RING": 2, "ROWS": 3}),
    # two lanes into five stripes, the last of one column, block memory, more padding rows than real ones, two readers
    (
        Rows(columns=14, lanes=2, stripe=4, lead=3),
        {
            "X_W": 3,
            "READERS": 2,
            "CHANNELS": 5,
            "RING": 4,
            "ROWS": 2,
            "PAD_BOTTOM": 3,
            "PAD_VALUE": (4, 3),
        },
    ),
    # wide beats: whole words, the last stripe short; two readers of lookup-table memory
    (
        Rows(columns=8, lanes=3, stripe=3, wide=True),
        {
            "X_W": 4,
            "READERS": 2,
            "CHANNELS": 3,
            "RING": 3,
            "ROWS": 2,
            "PAD_TOP": 1,
            "PAD_VALUE": (9, 4),
        },
    ),
    # a beat fills every second stripe; the last one short, block memory
    (
        Rows(columns=11, lanes=2, stripe=3, wide=True),
        {
            "X_W": 3,
            "READERS": 2,
            "READ": 2,
            "CHANNELS": 7,
            "RING": 4,
            "ROWS": 3,
            "PAD_TOP": 1,
            "PAD_BOTTOM": 1,
            "PAD_VALUE": (4, 3),
        },
    ),
    # a beat brings pixels of stripes that are not there; lookup-table memory
    (
        Rows(columns=7, lanes=2, stripe=2, wide=True),
        {"X_W": 4, "CHANNELS": 2, "RING": 4, "ROWS": 3, "PAD_VALUE": (3, 4)},
    ),
    # block memory that is written a word at a time, three readers
    (
        Rows(columns=8, lanes=2, stripe=4, wide=True),
        {"X_W": 4, "READERS": 3, "CHANNELS": 5, "RING": 3, "ROWS": 3},
    ),
    # block memory, half a word at a time, no column short
    (
        Rows(columns=12, lanes=3, stripe=2, wide=True),
        {"X_W": 2, "CHANNELS": 9, "RING": 3, "ROWS": 2, "PAD_BOTTOM": 1, "ROW_STEP": 2, "LAST_STEP": 3},
    ),
    # raster order into block memory, columns left and right of the frame; a ring of more than seven rows
    (
        Rows(columns=9, lanes=1, stripe=4, lead=2),
        {"X_W": 3, "CHANNELS": 3, "RING": 9, "ROWS": 4, "PAD_TOP": 2, "PAD_BOTTOM": 1, "LAST_STEP": 4},
    ),
    # parity: lookup-table memory and block memory, columns outside the frame of an odd value
    (
        Rows(columns=7, lanes=2, stripe=2, wide=True),
        {"X_W": 4, "CHANNELS": 2, "RING": 4, "ROWS": 3, "PAD_VALUE": (7, 4), "PARITY": 1},
    ),
    (
        Rows(columns=9, lanes=1, stripe=4, lead=2),
        {"X_W": 3, "READERS": 2, "CHANNELS": 3, "RING": 9, "ROWS": 4, "PAD_VALUE": (1, 3), "PARITY": 1},
    ),
    (
        Rows(columns=8, lanes=2, stripe=4, wide=True),
        {"X_W": 4, "CHANNELS": 5, "RING": 3, "ROWS": 3, "PARITY": 1},
    ),
]
CONFIGS = [rows.parameters(**parameters) for rows, parameters in CASES]


class Memory:
    """The device with its writer, and readers that know what each row must hold."""

    def __init__(self, dut, stall=0.0):
        self.dut, self.c, self.rng = dut, config(), random.Random(5)
        self.cut, _ = CASES[json.loads(json.dumps(CONFIGS)).index(self.c)]
        self.source = Source(dut, "s_axis", stall, seed=1)
        self.rows = []  # all that were announced to come: None for padding, else {(column, channel): value}
        self.written = self.read = self.freed = self.faults = 0

    async def begin(self):
        await start(self.dut, s_axis_tvalid=0, s_axis_tdata=0, freed=0, freed_last=0, read_enable=0)
        self.dut.read_address.value = self.dut.read_zero.value = 0
        cocotb.start_soon(self.count())
        return self

    async def count(self):
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            self.written += int(self.dut.row_written.value) and not int(self.dut.rst.value)
            self.faults += int(self.dut.fault.value)

    def frame(self):
        """The beats of one more frame; where a wide one has no pixel, it brings anything."""
        c, beats = self.c, []
        self.rows += [None] * c.get("PAD_TOP", 0)
        for _ in range(c["ROWS"]):
            row = {}
            for group in self.cut.groups():
                for channel in range(c["CHANNELS"]):
                    for columns in group:
                        values = [self.rng.getrandbits(c["X_W"]) for _ in columns]
                        row.update({(column, channel): value for column, value in zip(columns, values, strict=True)})
                        beats.append(sum(value << (i * c["X_W"]) for i, value in enumerate(values)))
            self.rows.append(row)
        self.rows += [None] * c.get("PAD_BOTTOM", 0)
        return beats

    def forget(self):
        self.rows, self.written, self.read, self.freed = [], 0, 0, 0

    async def reads(self, row, freed=None, pause=0.0):
        """Read all of a row and compare it; with the last word give rows back, `freed` being whether those of a frame's
        end, None: no rows.

        The first reader goes through the row, the others read anything of the rows that are there.
        """
        c = self.c
        places = [(row, column, channel) for column in range(self.cut.stripe) for channel in range(c["CHANNELS"])]
        waiting = []
        for place in [*places, *([None] * (c["READ"] - 1))]:
            while self.rng.random() < pause:  # the word holds without read_enable
                await FallingEdge(self.dut.clk)
            if place:
                waiting.append([place, *(self.anywhere() for _ in range(c.get("READERS", 1) - 1))])
            zeros = await self.clock(waiting[-1] if place else waiting[-1][0], freed if place == places[-1] else None)
            if place:
                waiting[-1] = waiting[-1], zeros
            if len(waiting) == c["READ"] or not place:
                read, zeros = waiting.pop(0)
                for reader, of in enumerate(read):
                    self.compare(reader, *of, zero=zeros >> reader & 1)
        self.freed += 0 if freed is None else self.step(freed)

    async def clock(self, read, freed):
        """One clock; returns which readers are given zeros."""
        dut, zeros = self.dut, self.rng.getrandbits(len(read)) & self.rng.getrandbits(len(read))
        dut.read_address.value = sum(self.address(*of) << (i * self.address_bits) for i, of in enumerate(read))
        dut.read_enable.value, dut.read_zero.value = 1, zeros
        dut.freed.value, dut.freed_last.value = int(freed is not None), int(bool(freed))
        await FallingEdge(dut.clk)
        dut.read_enable.value = dut.freed.value = 0
        dut.read_address.value = self.rng.getrandbits(len(dut.read_address))
        dut.read_zero.value = self.rng.getrandbits(len(dut.read_zero))
        return zeros

    def step(self, last):
        """Rows that are given back."""
        return self.c.get("LAST_STEP" if last else "ROW_STEP", 1)

    @property
    def address_bits(self):
        return max(1, clog2(self.c["RING"]) + clog2(self.c["STRIPE"]) + clog2(self.c["CHANNELS"]))

    def address(self, row, column, channel):
        return (row % self.c["RING"] << clog2(self.c["STRIPE"]) | column) << clog2(self.c["CHANNELS"]) | channel

    def anywhere(self):
        choose = self.rng.randrange
        return (
            choose(self.freed, min(self.written, len(self.rows))),
            choose(self.cut.stripe),
            choose(self.c["CHANNELS"]),
        )

    def compare(self, reader, row, column, channel, zero):
        word, bits = self.dut.read_word.value, self.c["X_W"]
        for stripe in range(self.cut.stripes):
            at = stripe * self.cut.stripe + column - self.cut.lead
            expected = (self.rows[row] or {}).get((at, channel))
            if at < 0 or at >= self.cut.columns:
                expected = self.c.get("PAD_VALUE", [0])[0]
            if zero:
                expected = 0
            if expected is not None:
                low = (reader * self.cut.stripes + stripe) * bits
                got = int(word[low + bits - 1 : low])
                assert got == expected, f"reader {reader}, row {row}, column {at}, channel {channel}"

    async def reads_all(self, pause=0.0, wait=0.0):
        """Read every row in order, giving back some at a time; `wait`: the chance that it fills."""
        while self.read < len(self.rows):
            if self.rng.random() < wait:
                for _ in range(40):
                    await FallingEdge(self.dut.clk)
            last = self.rng.random() < 0.4
            some = min(self.step(last), len(self.rows) - self.read)
            for i in range(some):
                await self.row(self.read + i)
                await self.reads(self.read + i, freed=last if i == self.step(last) - 1 else None, pause=pause)
            self.read += some

    async def row(self, row):
        """Until a row is written."""
        for _ in range(5000):
            if self.written > row:
                return
            await FallingEdge(self.dut.clk)
        raise AssertionError(f"row {row} was never written")


@cocotb.test()
@cocotb.parametrize(
    (
        ("stall", "pause", "wait"),
        [(0.0, 0.0, 0.0), (0.6, 0.0, 0.0), (0.0, 0.3, 0.0), (0.0, 0.0, 0.5), (0.6, 0.3, 0.5)],
    )
)
async def rows_are_read_as_they_were_written(dut, stall, pause, wait):
    memory = await Memory(dut, stall).begin()
    beats = [beat for _ in range(4) for beat in memory.frame()]
    sending = cocotb.start_soon(memory.source.send(beats))
    await memory.reads_all(pause, wait)
    assert sending.done() and not memory.faults


@cocotb.test()
async def an_activation_of_which_a_bit_was_flipped_is_told_of(dut):
    """On Icarus, where Python reaches a memory without the compiled model being another one."""
    if not (config().get("PARITY") and cocotb.SIM_NAME.startswith("Icarus")):
        return
    memory = await Memory(dut).begin()
    await memory.source.send(memory.frame())
    await memory.row(0)
    reader = dut.gen_reader[0]
    block = hasattr(reader, "gen_block")
    for stripe in range(memory.cut.stripes):
        for bit in range(memory.c["X_W"] + 1):
            address = memory.address(0, min(memory.cut.stripe - 1, memory.cut.lead + 1), 0)
            words = reader.gen_block.memory if block else reader.gen_lutram.gen_stripe[stripe].memory
            flip = 1 << (bit + stripe * (memory.c["X_W"] + 1) * block)
            for faults in (True, False):
                words[address].value = int(words[address].value) ^ flip
                dut.read_address.value, dut.read_zero.value, dut.read_enable.value = address, 0, 1
                for _ in range(5):  # until what was read before is gone
                    await FallingEdge(dut.clk)
                memory.faults = 0
                await FallingEdge(dut.clk)
                await FallingEdge(dut.clk)
                assert (memory.faults > 0) == faults, (stripe, bit)


@cocotb.test()
async def a_full_ring_stalls_the_stream_and_keeps_its_rows(dut):
    memory = await Memory(dut).begin()
    ring = memory.c["RING"]
    cocotb.start_soon(memory.source.send([beat for _ in range(6) for beat in memory.frame()]))
    await memory.row(ring - 1)
    step = memory.step(False)
    for freed in range(0, 3 * step, step):
        for _ in range(30):  # long enough for any row's first beats
            await FallingEdge(dut.clk)
            assert int(dut.s_axis_tready.value) == 0
        assert memory.written == ring + freed
        for row in range(freed, freed + ring):
            await memory.reads(row)
        await memory.reads(freed, freed=False)
        await memory.row(ring + freed + step - 1)


@cocotb.test()
async def a_beat_enters_every_cycle_while_there_is_room(dut):
    memory = await Memory(dut).begin()
    beats = memory.frame()
    first = beats[: len(beats) // memory.c["ROWS"]]
    before = get_sim_time("ns")
    await memory.source.send(first)
    assert get_sim_time("ns") - before <= (memory.c.get("PAD_TOP", 0) + len(first) + 1) * 10


@cocotb.test()
@cocotb.parametrize(some=[1, 10, 33])
async def reset_in_mid_frame_forgets_every_row(dut, some):
    memory = await Memory(dut).begin()
    sending = cocotb.start_soon(memory.source.send(memory.frame()))
    for _ in range(some):
        await FallingEdge(dut.clk)
    sending.cancel()
    memory.source.idle()
    await reset(dut, cycles=1)
    memory.forget()
    cocotb.start_soon(memory.source.send(memory.frame() + memory.frame()))
    await memory.reads_all()
