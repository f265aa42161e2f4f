"""window gives the taps of every output pixel in order, a slot a clock, and moves only when enabled."""

import random
from math import gcd

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import PATIENCE, Source, reset, start


def shape(bits, frame, taps, step=(1, 1), dilation=(1, 1), before=(0, 0), after=(0, 0), pixels=1):
    """Parameters; pairs are (rows, columns), `before` the padding above and left, `after` that below and right."""
    sides = zip(frame, taps, step, dilation, before, after, strict=True)
    out = [(n + b + a - d * (k - 1) - 1) // s + 1 for n, k, s, d, b, a in sides]
    outs = pixels // gcd(step[1], pixels) if out[1] > 1 else 1
    return {
        "DATA_W": bits,
        "PAD": (0x1_9A5C_3B2D % (1 << bits), bits),
        **dict(zip(("ROWS", "COLUMNS"), frame, strict=True)),
        "PIXELS": pixels,
        "OUTS": outs,
        "OUT_SLOTS": outs * step[1] // pixels if out[1] > outs else 1,
        **dict(zip(("TAP_ROWS", "TAP_COLUMNS"), taps, strict=True)),
        **dict(zip(("ROW_DILATION", "COLUMN_DILATION"), dilation, strict=True)),
        **dict(zip(("ROW_STEP", "COLUMN_STEP"), step, strict=True)),
        **dict(zip(("PAD_TOP", "PAD_LEFT"), before, strict=True)),
        **dict(zip(("OUT_ROWS", "OUT_COLUMNS"), out, strict=True)),
    }


CONFIGS = [
    shape(6, (4, 6), (3, 3), before=(1, 1), after=(1, 1), pixels=2),  # as large as the frame: the usual one
    shape(5, (3, 70), (3, 2), step=(2, 3), before=(1, 0), after=(0, 1)),  # wide: block memory
    shape(33, (7, 6), (3, 2), step=(2, 1), dilation=(2, 3), after=(3, 1)),  # padding below and to the right only
    shape(4, (6, 6), (2, 3), step=(3, 1), pixels=2),  # no padding; rows are left over
    shape(7, (5, 1), (3, 3), before=(1, 1), after=(1, 1)),  # a column
    shape(7, (1, 9), (1, 4), step=(1, 3), before=(0, 2), after=(0, 1)),  # a row
    shape(4, (4, 3), (4, 3)),  # the whole frame is the window
    shape(4, (2, 2), (5, 7), before=(2, 3), after=(2, 3), pixels=2),  # some taps never meet a pixel
    shape(3, (3, 12), (2, 3), step=(1, 2), before=(0, 1), after=(0, 1), pixels=4),  # fewer come out than go in
    shape(3, (4, 14), (1, 3), step=(2, 3), pixels=2),  # as many, at every third slot
    shape(2, (5, 9), (3, 3), dilation=(2, 2), before=(2, 2), after=(2, 2), pixels=9),  # whole rows
    shape(4, (6, 5), (3, 2), after=(-2, -1)),  # the last rows and columns have no window
    shape(5, (5, 6), (3, 3), step=(1, 2), before=(1, 1), after=(2, 1)) | {"AHEAD": 1},
    shape(5, (4, 5), (2, 2)) | {"AHEAD": 1},  # a slot for each beat
    shape(3, (4, 12), (3, 3), before=(1, 1), after=(1, 1), pixels=4) | {"AHEAD": 1},  # taps share pixels
    shape(2, (5, 9), (3, 3), dilation=(2, 2), before=(2, 2), after=(2, 2), pixels=3) | {"AHEAD": 1},
]


class Window:
    """The device, its frames and their windows."""

    def __init__(self, dut, stall=0.0, disabled=0.0):
        self.dut, self.c, self.disabled, self.rng = dut, config(), disabled, random.Random(7)
        self.source = Source(dut, "s_axis", stall, seed=1)

    async def begin(self):
        await start(self.dut, s_axis_tvalid=0, s_axis_tdata=0, enable=0)
        return self

    def frame(self):
        """The beats of a random frame, and of each beat of outputs the windows, as the device sends them."""
        c = self.c
        pixels = [[self.rng.getrandbits(c["DATA_W"]) for _ in range(c["COLUMNS"])] for _ in range(c["ROWS"])]
        windows = []
        for r in range(c["OUT_ROWS"]):
            for s in range(0, c["OUT_COLUMNS"], c["OUTS"]):
                taps = [tap for k in range(c["OUTS"]) for tap in self.taps(r, s + k)]
                inside = [0 <= row < c["ROWS"] and 0 <= column < c["COLUMNS"] for row, column in taps]
                windows.append(
                    self.packed(
                        pixels[row][column] if real else c["PAD"][0]
                        for (row, column), real in zip(taps, inside, strict=True)
                    )
                )
        beats = [self.packed(row[s : s + c["PIXELS"]]) for row in pixels for s in range(0, c["COLUMNS"], c["PIXELS"])]
        return beats, windows

    def packed(self, pixels):
        return sum(pixel << (i * self.c["DATA_W"]) for i, pixel in enumerate(pixels))

    def taps(self, row, column):
        """The pixels of a window, by row and column."""
        c = self.c
        return [
            (
                row * c["ROW_STEP"] + i * c["ROW_DILATION"] - c["PAD_TOP"],
                column * c["COLUMN_STEP"] + j * c["COLUMN_DILATION"] - c["PAD_LEFT"],
            )
            for i in range(c["TAP_ROWS"])
            for j in range(c["TAP_COLUMNS"])
        ]

    def slots(self):
        """Clocks of a frame: a beat each, and on to that with the place of the last tap, counted along the rows."""
        row, column = self.taps(self.c["OUT_ROWS"] - 1, self.c["OUT_COLUMNS"] - 1)[-1]
        last = (row * self.c["COLUMNS"] + column) // self.c["PIXELS"]
        return max(self.c["ROWS"] * self.c["COLUMNS"] // self.c["PIXELS"], last + 1)

    async def take(self, count):
        """The next windows; what is valid must hold while the device is disabled, if it does not know that before."""
        windows, waited, held, ahead = [], 0, None, self.c.get("AHEAD", 0)
        while len(windows) < count:
            await FallingEdge(self.dut.clk)
            enable = self.rng.random() >= self.disabled
            self.dut.enable.value = int(enable)
            await ReadOnly()
            valid = int(self.dut.valid.value)
            seen = (valid, int(self.dut.taps.value) if valid else None)
            assert held in (None, seen), "it moved without enable"
            held = None if enable or ahead else seen
            if not enable and not ahead:
                assert int(self.dut.s_axis_tready.value) == 0
            if valid and (enable or ahead):
                windows.append(seen[1])
                waited = 0
            waited += 1
            assert waited < PATIENCE, f"{len(windows)} of {count} windows came"
        return windows


def joined(frames):
    beats, windows = zip(*frames, strict=True)
    return [b for frame in beats for b in frame], [w for frame in windows for w in frame]


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5], disabled=[0.0, 0.4])
async def every_window_holds_its_taps(dut, stall, disabled):
    """Of the last frame too, after which no pixel comes."""
    device = await Window(dut, stall, disabled).begin()
    beats, windows = joined([device.frame() for _ in range(4)])
    sending = cocotb.start_soon(device.source.send(beats))
    assert await device.take(len(windows)) == windows
    await sending


@cocotb.test()
async def a_frame_takes_its_slots(dut):
    device = await Window(dut).begin()
    frames = [device.frame() for _ in range(3)]
    cocotb.start_soon(device.source.send(joined(frames)[0]))
    ends = []
    for _, windows in frames:
        await device.take(len(windows))
        ends.append(get_sim_time("ns") // 10)
    assert [ends[1] - ends[0], ends[2] - ends[1]] == [device.slots()] * 2


@cocotb.test()
@cocotb.parametrize(part=[0.1, 0.5, 1.2])
async def reset_in_mid_frame_leaves_nothing_behind(dut, part):
    device = await Window(dut, 0.1, 0.2).begin()
    beats, windows = joined([device.frame() for _ in range(2)])
    sending = cocotb.start_soon(device.source.send(beats))
    await device.take(max(1, int(part * len(windows) / 2)))
    await FallingEdge(dut.clk)
    sending.cancel()
    device.source.idle()
    dut.enable.value = 0
    await reset(dut, cycles=1)
    assert int(dut.valid.value) == 0
    beats, windows = joined([device.frame() for _ in range(2)])
    cocotb.start_soon(device.source.send(beats))
    assert await device.take(len(windows)) == windows
