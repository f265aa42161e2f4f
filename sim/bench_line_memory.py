"""line_memory gives its reader every row as it was written, and takes no slot that was not given back."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import Source, reset, start


def clog2(count):
    return (count - 1).bit_length()


def arrival(columns, lanes):
    """Groups of columns in the order of a stream of that many lanes: a group comes once per channel."""
    stripe = -(-columns // lanes)
    return [[lane * stripe + s for lane in range(lanes) if lane * stripe + s < columns] for s in range(stripe)]


def geometry(stream_lanes, stripe, **parameters):
    """Parameters of a memory whose stripes are `stripe` wide, fed by a stream of `stream_lanes` lanes."""
    columns, lanes = parameters["COLUMNS"], parameters["LANES"]
    column_bits = clog2(stripe)
    bits = 1 + clog2(lanes) + column_bits
    entries = [
        int(column == group[-1]) << (bits - 1) | column // stripe << column_bits | column % stripe
        for group in arrival(columns, stream_lanes)
        for column in group
    ]
    return {
        **parameters,
        "ROW_BITS": clog2(parameters["RING"]),
        "COLUMN_BITS": column_bits,
        "CHANNEL_BITS": clog2(parameters["CHANNELS"]),
        "ENTRY_W": bits,
        "TABLE": (sum(entry << (i * bits) for i, entry in enumerate(entries)), columns * bits),
    }


# (lanes of the stream, columns in a stripe, parameters)
CASES = [
    # raster order, padding on both sides, a ring that is no power of two, lookup-table memory
    (
        1,
        3,
        {
            "X_W": 5,
            "LANES": 2,
            "CHANNELS": 3,
            "RING": 5,
            "ROWS": 3,
            "PAD_TOP": 1,
            "PAD_BOTTOM": 1,
            "COLUMNS": 5,
            "FREED_W": 2,
            "FILL": 1,
            "PAD_VALUE": (19, 5),
        },
    ),
    # three lanes of a stream into one stripe, a single channel, no padding
    (3, 7, {"X_W": 8, "LANES": 1, "CHANNELS": 1, "RING": 2, "ROWS": 3, "COLUMNS": 7, "FREED_W": 1}),
    # two lanes into four stripes, block memory, more padding rows than real ones
    (
        2,
        4,
        {
            "X_W": 3,
            "LANES": 4,
            "CHANNELS": 5,
            "RING": 4,
            "ROWS": 2,
            "PAD_BOTTOM": 3,
            "COLUMNS": 14,
            "FREED_W": 3,
            "FILL": 1,
            "PAD_VALUE": (4, 3),
        },
    ),
]
CONFIGS = [geometry(lanes, stripe, **parameters) for lanes, stripe, parameters in CASES]


class Memory:
    """The device with its writer, and a reader that knows what each row must hold."""

    def __init__(self, dut, stall=0.0):
        self.dut, self.c, self.rng = dut, config(), random.Random(5)
        known = [parameters["COLUMNS"] for _, _, parameters in CASES].index(self.c["COLUMNS"])
        self.stream_lanes, self.stripe, _ = CASES[known]
        self.source = Source(dut, "s_axis", stall, seed=1)
        self.rows = []  # all that were announced to come: None for padding, else {(column, channel): value}
        self.written = self.read = 0

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
        """The beats of one more frame."""
        c, beats = self.c, []
        self.rows += [None] * c.get("PAD_TOP", 0)
        for _ in range(c["ROWS"]):
            row = {}
            for group in arrival(c["COLUMNS"], self.stream_lanes):
                for channel in range(c["CHANNELS"]):
                    for column in group:
                        row[column, channel] = self.rng.getrandbits(c["X_W"])
                        beats.append(row[column, channel])
            self.rows.append(row)
        self.rows += [None] * c.get("PAD_BOTTOM", 0)
        return beats

    def forget(self):
        self.rows, self.written, self.read = [], 0, 0

    async def reads(self, row, freed=0, pause=0.0):
        """Read all of a row and compare it; with the last word give `freed` rows back."""
        dut, c, slot = self.dut, self.c, row % self.c["RING"]
        assert (int(dut.row_is_padding.value[slot])) == (self.rows[row] is None), f"row {row}"
        places = [(column, channel) for column in range(self.stripe) for channel in range(c["CHANNELS"])]
        for place in places:
            while self.rng.random() < pause:
                await FallingEdge(dut.clk)
            column, channel = place
            address = slot << c["COLUMN_BITS"] | column
            dut.read_address.value = address << c["CHANNEL_BITS"] | channel
            dut.read_enable.value = 1
            dut.rows_freed.value = freed if place == places[-1] else 0
            await FallingEdge(dut.clk)
            dut.read_enable.value = 0
            dut.rows_freed.value = 0
            dut.read_address.value = self.rng.getrandbits(len(dut.read_address))
            if self.rng.random() < pause:  # the word holds without read_enable
                await FallingEdge(dut.clk)
            self.compare(row, column, channel)

    def compare(self, row, column, channel):
        word = self.dut.read_word.value
        for lane in range(self.c["LANES"]):
            past_the_end = lane * self.stripe + column >= self.c["COLUMNS"]
            expected = (self.rows[row] or {}).get((lane * self.stripe + column, channel))
            if past_the_end and self.c.get("FILL"):
                expected = self.c["PAD_VALUE"][0]
            if expected is not None:
                bits = self.c["X_W"]
                got = int(word[(lane + 1) * bits - 1 : lane * bits])
                assert got == expected, f"row {row}, lane {lane}, column {column}, channel {channel}"

    async def reads_all(self, pause=0.0, wait=0.0):
        """Read every row in order, giving back some at a time; `wait`: the chance that it fills."""
        c = self.c
        most = min(c["RING"], (1 << c["FREED_W"]) - 1)
        while self.read < len(self.rows):
            if self.rng.random() < wait:
                for _ in range(40):
                    await FallingEdge(self.dut.clk)
            some = min(self.rng.randint(1, most), len(self.rows) - self.read)
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
