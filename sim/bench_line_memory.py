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
    """How a row is cut: a stream of `lanes`, one pixel a beat or `wide`, into stripes of `stripe` columns."""

    columns: int
    lanes: int
    stripe: int
    wide: bool = False

    @property
    def own_stripe(self):
        """Columns of a lane of the stream."""
        return -(-self.columns // self.lanes)

    @property
    def stripes(self):
        return -(-self.columns // self.stripe)

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
                phase, column = divmod(beat[0], self.stripe)
                entries.append(int(beat == group[-1]) << (bits - 1) | phase << column_bits | column)
        last = self.columns - (self.stripes - 1) * self.stripe
        return {
            **parameters,
            "STRIPES": self.stripes,
            "SIDE": self.lanes if self.wide else 1,
            "PHASES": self.phases,
            "STRIPE": self.stripe,
            "LAST_STRIPE": last,
            "TABLE": (sum(entry << (i * bits) for i, entry in enumerate(entries)), len(entries) * bits),
        }


CASES = [
    # raster order, padding on both sides, a ring that is no power of two, lookup-table memory
    (
        Rows(columns=5, lanes=1, stripe=3),
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
    # two lanes into four stripes, block memory, more padding rows than real ones, two readers
    (
        Rows(columns=14, lanes=2, stripe=4),
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
        {"X_W": 2, "CHANNELS": 9, "RING": 3, "ROWS": 2, "PAD_BOTTOM": 1},
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
        self.written = self.read = self.freed = 0

    async def begin(self):
        await start(self.dut, s_axis_tvalid=0, s_axis_tdata=0, rows_freed=0, read_enable=0, read_address=0)
        cocotb.start_soon(self.count())
        return self

    async def count(self):
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            self.written += int(self.dut.row_written.value) and not int(self.dut.rst.value)

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

    async def reads(self, row, freed=0, pause=0.0):
        """Read all of a row and compare it; with the last word give `freed` rows back.

        The first reader goes through the row, the others read anything of the rows that are there.
        """
        dut, c, slot = self.dut, self.c, row % self.c["RING"]
        assert (int(dut.row_is_padding.value[slot])) == (self.rows[row] is None), f"row {row}"
        places = [(row, column, channel) for column in range(self.cut.stripe) for channel in range(c["CHANNELS"])]
        for place in places:
            while self.rng.random() < pause:
                await FallingEdge(dut.clk)
            read = [place, *(self.anywhere() for _ in range(c.get("READERS", 1) - 1))]
            dut.read_address.value = sum(self.address(*of) << (i * self.address_bits) for i, of in enumerate(read))
            dut.read_enable.value = 1
            dut.rows_freed.value = freed if place == places[-1] else 0
            await FallingEdge(dut.clk)
            dut.read_enable.value = 0
            dut.rows_freed.value = 0
            dut.read_address.value = self.rng.getrandbits(len(dut.read_address))
            if self.rng.random() < pause:  # the word holds without read_enable
                await FallingEdge(dut.clk)
            for reader, of in enumerate(read):
                self.compare(reader, *of)
        self.freed += freed

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

    def compare(self, reader, row, column, channel):
        word, bits = self.dut.read_word.value, self.c["X_W"]
        for stripe in range(self.cut.stripes):
            at = stripe * self.cut.stripe + column
            expected = (self.rows[row] or {}).get((at, channel))
            if at >= self.cut.columns:
                expected = self.c["PAD_VALUE"][0]
            if expected is not None:
                low = (reader * self.cut.stripes + stripe) * bits
                got = int(word[low + bits - 1 : low])
                assert got == expected, f"reader {reader}, row {row}, column {at}, channel {channel}"

    async def reads_all(self, pause=0.0, wait=0.0):
        """Read every row in order, giving back some at a time; `wait`: the chance that it fills."""
        c = self.c
        while self.read < len(self.rows):
            if self.rng.random() < wait:
                for _ in range(40):
                    await FallingEdge(self.dut.clk)
            some = min(self.rng.randint(1, c["RING"]), len(self.rows) - self.read)
            for i in range(some):
                await self.row(self.read + i)
                await self.reads(self.read + i, freed=some if i == some - 1 else 0, pause=pause)
            self.read += some

    async def row(self, row):
        """Until a row is written."""
        for _ in range(5000):
            if self.written > row:
                return
            await FallingEdge(self.dut.clk)
        raise AssertionError(f"row {row} was never written")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.6], pause=[0.0, 0.3], wait=[0.0, 0.5])
async def rows_are_read_as_they_were_written(dut, stall, pause, wait):
    memory = await Memory(dut, stall).begin()
    beats = [beat for _ in range(4) for beat in memory.frame()]
    sending = cocotb.start_soon(memory.source.send(beats))
    await memory.reads_all(pause, wait)
    assert sending.done()


@cocotb.test()
async def a_full_ring_stalls_the_stream_and_keeps_its_rows(dut):
    memory = await Memory(dut).begin()
    ring = memory.c["RING"]
    cocotb.start_soon(memory.source.send([beat for _ in range(6) for beat in memory.frame()]))
    await memory.row(ring - 1)
    for freed in range(1, 4):
        for _ in range(30):  # long enough for any row's first beats
            await FallingEdge(dut.clk)
            assert int(dut.s_axis_tready.value) == 0
        assert memory.written == ring + freed - 1
        for row in range(freed - 1, freed - 1 + ring):
            await memory.reads(row)
        await memory.reads(freed - 1, freed=1)
        await memory.row(ring + freed - 1)


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
