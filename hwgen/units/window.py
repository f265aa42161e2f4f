"""rtl/window.v: the windows of a frame, one or more pixels a cycle."""

from dataclasses import dataclass
from math import gcd

import numpy as np

from hwgen.devices import Device
from hwgen.qtype import ceil_log2
from hwgen.stage import Stage
from hwgen.verilog import Value

# LUTs of rtl/window.v for each count of `features`, beside its memory of rows (python -m benchmarks.windows)
FACTORS = {"any": 10, "bit of a counter": 1.5, "padded tap": 1.5, "step": 1.1}


@dataclass(frozen=True)
class Slots:
    """How a frame is walked: slot n takes beat n, `pixels` side by side; `outs` output pixels at a time, group g of
    output row r, end in slot first + r * row_step + g * out_slots."""

    beats: int
    first: int
    row_step: int
    out_rows: int
    groups: int
    outs: int
    out_slots: int

    @staticmethod
    def of(stage: Stage, pixels: int) -> "Slots":
        _, rows, columns = stage.x.shape
        _, out_rows, out_columns = stage.y.shape
        window = stage.window
        (reach, reach_columns), (step_down, step) = window.reach, window.stride
        outs = pixels // gcd(step, pixels) if out_columns > 1 else 1
        row_beats = columns // pixels
        ends = (outs - 1) * step + reach_columns - 1 - window.left
        return Slots(
            beats=rows * row_beats,
            first=(reach - 1 - window.top) * row_beats + ends // pixels,
            row_step=step_down * row_beats,
            out_rows=out_rows,
            groups=out_columns // outs,
            outs=outs,
            out_slots=outs * step // pixels if out_columns > outs else 1,
        )

    @property
    def count(self) -> int:
        """Cycles of a frame."""
        return max(self.beats, int(self.of_outputs()[-1]) + 1)

    def of_outputs(self) -> np.ndarray:
        """The slot of each beat of the output."""
        rows = self.first + np.arange(self.out_rows)[:, None] * self.row_step
        return (rows + np.arange(self.groups) * self.out_slots).reshape(-1)

    def needs(self) -> np.ndarray:
        """For each beat of the output, the beats of the input that must have come."""
        return np.minimum(self.of_outputs() + 1, self.beats)


def obstacle(stage: Stage, pixels: int = 1) -> str | None:
    """Why so many pixels a cycle are impossible for the layer, or None."""
    columns, out_columns = stage.x.shape[2], stage.y.shape[2]
    slots = Slots.of(stage, pixels)
    if columns % pixels:
        return f"{columns} columns are not a multiple of {pixels} pixels"
    if out_columns % slots.outs:
        return f"{out_columns} output columns are not a multiple of {slots.outs}"
    if stage.window.left >= stage.window.reach[1] or slots.first < 0:
        return "its first window holds nothing but padding"
    if (slots.groups - 1) * slots.out_slots >= columns // pixels:
        return "it has more output columns than input columns"
    return None


def trivial(stage: Stage) -> bool:
    """Whether each window is the pixel itself."""
    window = stage.window
    return window.kernel == (1, 1) and window.stride == (1, 1) and stage.x.shape[1:] == stage.y.shape[1:]


def parameters(stage: Stage, pixels: int, pad: int, ahead: bool) -> dict[str, Value]:
    """Of rtl/window.v; pad -- the activation that padding is, as its bits; ahead -- whether that it moves is decided a
    clock before."""
    window, slots = stage.window, Slots.of(stage, pixels)
    channels, rows, columns = stage.x.shape
    bits = stage.x.qtype.bits
    return {
        "DATA_W": channels * bits,
        "PAD": (sum(pad << (channel * bits) for channel in range(channels)), channels * bits),
        "ROWS": rows,
        "COLUMNS": columns,
        "PIXELS": pixels,
        "OUTS": slots.outs,
        "OUT_SLOTS": slots.out_slots,
        "TAP_ROWS": window.kernel[0],
        "TAP_COLUMNS": window.kernel[1],
        "ROW_DILATION": window.dilation[0],
        "COLUMN_DILATION": window.dilation[1],
        "ROW_STEP": window.stride[0],
        "COLUMN_STEP": window.stride[1],
        "PAD_TOP": window.top,
        "PAD_LEFT": window.left,
        "OUT_ROWS": stage.y.shape[1],
        "OUT_COLUMNS": stage.y.shape[2],
        "AHEAD": int(ahead),
    }


def estimate(stage: Stage, pixels: int, ahead: bool, device: Device) -> dict[str, float]:
    """LUT and BRAM36 of rtl/window.v, none where there is none; ahead -- as in `parameters`."""
    memory = line_memory(stage, pixels, device)
    return memory | {"LUT": memory["LUT"] + (0 if trivial(stage) else control_luts(stage, pixels, ahead))}


def line_memory(stage: Stage, pixels: int, device: Device) -> dict[str, float]:
    """LUT and BRAM36 of its memory of the rows above a beat."""
    bits = stage.x.qtype.bits * stage.x.shape[0] * pixels * (stage.window.reach[0] - 1)
    depth = stage.x.shape[2] // pixels
    if bits == 0 or depth == 1:
        return {"LUT": 0, "BRAM36": 0}
    if depth <= device.lut_depth:
        return {"LUT": device.lut_memory(depth, bits), "BRAM36": 0}
    return {"LUT": 0, "BRAM36": device.block_memory(depth, bits)[0]}


def control_luts(stage: Stage, pixels: int, ahead: bool) -> int:
    """What it takes beside that memory."""
    return round(sum(FACTORS[name] * count for name, count in features(stage, pixels, ahead).items()))


def features(stage: Stage, pixels: int, ahead: bool) -> dict[str, int]:
    """What that depends on, by the names in FACTORS. A step is a register that says whether what it is for moves."""
    window, slots, row_beats = stage.window, Slots.of(stage, pixels), stage.x.shape[2] // pixels
    counters = ceil_log2(slots.count) + ceil_log2(row_beats) * ((slots.groups > 1) + (window.reach[0] > 1))
    return {
        "any": 1,
        "bit of a counter": counters + ceil_log2(window.stride[0]) + ceil_log2(slots.out_slots),
        "padded tap": _padded_taps(stage, pixels, ahead),
        "step": (window.kernel[0] * window.kernel[1] + 2) * ahead,
    }


def _padded_taps(stage: Stage, pixels: int, ahead: bool) -> int:
    """Taps that are outside of the frame in some windows and inside in others; those that are so in the same ones are
    one, unless they are told to move by registers of their own."""
    window, slots = stage.window, Slots.of(stage, pixels)
    (rows, columns), (high, wide) = stage.x.shape[1:], window.kernel
    last_row, last = (slots.out_rows - 1) * window.stride[0], (slots.groups - 1) * slots.out_slots
    offsets = {row: window.top - row * window.dilation[0] for row in range(high)}
    places = {
        out * window.stride[1] + column * window.dilation[1] for out in range(slots.outs) for column in range(wide)
    }
    tap_rows = {(row * ahead, _outside(offset, rows, last_row)) for row, offset in offsets.items()}
    tap_columns = {(place % wide * ahead, _outside(window.left - place, columns, last, pixels)) for place in places}
    return sum(any((*of_row, *of_column)) for _, of_row in tap_rows for _, of_column in tap_columns)


def _outside(padding: int, size: int, last: int, pixels: int = 1) -> tuple[int, int]:
    """Of a tap with so much padding before the frame: the first window in which it is inside, and the first behind the
    frame; 0 where it is never before or behind it."""
    first, end = -(-padding // pixels), -(-(padding + size) // pixels)
    return max(0, first), end if end <= last else 0
