"""rtl/window.v: the windows of a frame, a pixel a cycle."""

from dataclasses import dataclass

import numpy as np

from hwgen.units.layer import Layer
from hwgen.units.unit import literal


@dataclass(frozen=True)
class Slots:
    """How a frame is walked: slot n takes pixel n, and output (r, c) has its window in slot first + r * row_step +
    c * column_step, all counted in pixels of the input."""

    pixels: int
    first: int
    row_step: int
    column_step: int
    out_rows: int
    out_columns: int

    @staticmethod
    def of(layer: Layer) -> "Slots":
        _, rows, columns = layer.x.shape
        _, out_rows, out_columns = layer.y.shape
        reach, (top, left), (step_down, step) = layer.reach, layer.padding, layer.op.stride
        first = (reach[0] - 1 - top) * columns + reach[1] - 1 - left
        return Slots(rows * columns, first, step_down * columns, step, out_rows, out_columns)

    @property
    def count(self) -> int:
        """Cycles of a frame."""
        return max(self.pixels, int(self.of_outputs()[-1]) + 1)

    def of_outputs(self) -> np.ndarray:
        """The slot of each output pixel."""
        rows = self.first + np.arange(self.out_rows)[:, None] * self.row_step
        return (rows + np.arange(self.out_columns) * self.column_step).reshape(-1)

    def needs(self) -> np.ndarray:
        """For each output pixel, the input pixels that must have come."""
        return np.minimum(self.of_outputs() + 1, self.pixels)


def obstacle(layer: Layer) -> str | None:
    """Why a pixel a cycle is impossible for the layer, or None."""
    _, _, columns = layer.x.shape
    slots = Slots.of(layer)
    if slots.first < 0:
        return "its first window holds nothing but padding"
    if (slots.out_columns - 1) * slots.column_step >= columns:
        return "it has more output columns than input columns"
    return None


def trivial(layer: Layer) -> bool:
    """Whether each window is the pixel itself."""
    return layer.kernel == (1, 1) and tuple(layer.op.stride) == (1, 1) and layer.x.shape[1:] == layer.y.shape[1:]


def parameters(layer: Layer, pad: int) -> dict[str, str]:
    """Of rtl/window.v, as Verilog; pad -- the activation that padding is, as its bits."""
    channels, rows, columns = layer.x.shape
    bits = layer.x.qtype.bits
    values = {
        "DATA_W": channels * bits,
        "PAD": (sum(pad << (channel * bits) for channel in range(channels)), channels * bits),
        "ROWS": rows,
        "COLUMNS": columns,
        "TAP_ROWS": layer.kernel[0],
        "TAP_COLUMNS": layer.kernel[1],
        "ROW_DILATION": layer.op.dilation[0],
        "COLUMN_DILATION": layer.op.dilation[1],
        "ROW_STEP": layer.op.stride[0],
        "COLUMN_STEP": layer.op.stride[1],
        "PAD_TOP": layer.padding[0],
        "PAD_LEFT": layer.padding[1],
        "OUT_ROWS": layer.y.shape[1],
        "OUT_COLUMNS": layer.y.shape[2],
    }
    return {name: literal(value) for name, value in values.items()}
