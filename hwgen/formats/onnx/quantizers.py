"""Quantizers: QuantizeLinear and DequantizeLinear, QONNX's Quant, BipolarQuant and Trunc, and MultiThreshold.

Of constants they are evaluated by the rule of the tool, in float32, to integers times a scale, which are kept exactly.
"""

from dataclasses import dataclass

import numpy as np
import torch

from hwgen.formats import Call
from hwgen.formats.onnx import half_up
from hwgen.formats.onnx.file import integer_range
from hwgen.formats.onnx.node import QONNX, Constant, Node, Value, buffer, builds, finite
from hwgen.nn_affine import ZERO_FIRST

LINEAR = ("", "com.microsoft")
MOST_TRUNCATED = 16  # bits of what Trunc takes
HALF = 1 << 29  # an integer below it times a float32 is a float64
# QONNX's names of roundings -> those of quantize_affine, and what numpy does of them
ROUNDINGS = {
    "ROUND": ("half_even", np.round),
    "HALF_EVEN": ("half_even", np.round),
    "CEIL": ("ceil", np.ceil),
    "FLOOR": ("floor", np.floor),
    "DOWN": ("to_zero", np.fix),
    "HALF_UP": ("half_away", lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5))),
    half_up.MODE: ("half_up", lambda x: np.floor(x + np.float32(0.5))),
}


@dataclass(frozen=True)
class Grid:
    """Scale and zero point as they broadcast against the tensor; `axis` is where they differ, 0 where they do not."""

    scale: np.ndarray
    zero: np.ndarray
    axis: int

    def quantize(self, low: int, high: int, rounding: str):
        """The function of (x, scale, zero point) that gives the levels of x."""
        return lambda x, s, z: torch.ops.hwgen.quantize_affine(x, s, z, self.axis, low, high, rounding)


def scale_of(node: Node, n: int) -> np.ndarray:
    """A constant scale: positive floats, in the tool's own type."""
    scale = node.constant(n)
    what = node.proto.input[n]
    if scale.dtype.kind in "iub":
        raise node.broken(f"the scale {what} holds integers")
    if scale.dtype.name not in ("float32", "float64"):
        scale = scale.astype(np.float32)
    if np.isnan(scale).any():
        raise node.broken(f"the scale {what} is NaN", "calibrate it again")
    if np.isinf(scale).any():
        raise node.broken(f"the scale {what} is infinite", "calibrate it again")
    if (scale == 0).any():
        raise node.broken(f"the scale {what} is zero", "calibrate it again, with data that reach this layer")
    if (scale < 0).any():
        raise node.broken(f"the scale {what} is negative", "calibrate it again")
    return scale


# QuantizeLinear and DequantizeLinear


def linear_grid(node: Node, shape: tuple[int, ...], first: int = 1) -> Grid:
    """Scale and zero point, inputs `first` and the next, of a tensor of a shape, in the tool's types."""
    axis = node.attribute("axis", 1)
    if node.attribute("block_size", 0):
        raise node.refusal(
            f"a scale for each block of {node.attribute('block_size')} numbers", "one a tensor or a channel"
        )
    scale = scale_of(node, first)
    zero = node.optional(first + 1)
    zero = np.zeros((), np.int64) if zero is None else zero
    if integer_range(zero.dtype.name) is None:
        raise node.refusal(f"a zero point of type {zero.dtype.name}", "quantize to integers")
    zero = zero.astype(np.int64)
    if scale.ndim > 1 and scale.size > 1:
        raise node.refusal(f"scales of shape {list(scale.shape)}, one for each group", "one a tensor or a channel")
    if scale.size == 1 and zero.size == 1:
        return Grid(scale.reshape([1] * len(shape)), zero.reshape([1] * len(shape)), 0)
    axis = node.axis(axis, len(shape))
    if {scale.size, zero.size} - {1, shape[axis]}:
        raise node.broken(
            f"{scale.size} scales and {zero.size} zero points along axis {axis} of the shape {list(shape)}"
        )
    sides = [-1 if n == axis else 1 for n in range(len(shape))]
    return Grid(
        scale.reshape(sides if scale.size > 1 else [1] * len(shape)),
        zero.reshape(sides if zero.size > 1 else [1] * len(shape)),
        axis,
    )


def level_kind(node: Node, zero: int) -> str:
    """The integers that a quantizer gives: those of its zero point, or as `output_dtype` says."""
    if node.has(zero):
        return node.constant(zero).dtype.name
    kinds = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 21: "uint4", 22: "int4", 0: "uint8"}
    code = node.attribute("output_dtype", 0)
    if code not in kinds:
        raise node.refusal(f"output_dtype {code}", "quantize to integers")
    return kinds[code]


def ends_of(node: Node, kind: str) -> tuple[int, int]:
    found = integer_range(kind)
    if found is None or found[1] > 65535:
        raise node.refusal(f"levels of type {kind}", "quantize to integers of 4, 8 or 16 bits")
    return found


@builds("QuantizeLinear", domains=LINEAR, levels="made", constant=True)
def quantize_linear(node: Node):
    node.ignore("saturate", "precision", "output_dtype")
    x = node.inputs[0]
    kind = level_kind(node, 2)
    low, high = ends_of(node, kind)
    if isinstance(x, Constant):
        grid = linear_grid(node, x.value.shape)
        values = finite(node, x.value, node.proto.input[0]).astype(grid.scale.dtype)
        return Constant(np.clip(np.rint(values / grid.scale) + grid.zero, low, high).astype(np.int64))
    value = node.value(0)
    if value.kind != "float":
        raise node.refusal(f"a quantizer of {value.kind}", "put a DequantizeLinear before it")
    grid = linear_grid(node, value.shape)
    return Call(grid.quantize(low, high, "half_even"), *_buffers(grid)), kind


def _buffers(grid: Grid):
    """Scale and zero point for quantize_affine: of one number, or of one for each index along the axis."""
    return buffer(grid.scale.reshape(-1)), buffer(grid.zero.reshape(-1))


def exact(integers: np.ndarray, scale: np.ndarray) -> Constant:
    """integers * scale without rounding: in one float64 each, or where integers are too wide in two."""
    scale = scale.astype(np.float64)
    if np.abs(integers).max(initial=0) < HALF:
        return Constant(integers * scale)
    low = integers % (1 << 16)
    return Constant((integers - low) * scale, low * scale)


@builds("DequantizeLinear", domains=LINEAR, levels="made", constant=True)
def dequantize_linear(node: Node):
    node.ignore("output_dtype")
    x = node.inputs[0]
    if isinstance(x, Constant):
        if x.value.dtype.kind == "f":
            raise node.broken("its input is of floats")
        grid = linear_grid(node, x.value.shape)
        return exact(x.value.astype(np.int64) - grid.zero, grid.scale)
    value = node.value(0)
    if value.kind == "float":
        raise node.broken("its input is of floats")
    return _dequantize(linear_grid(node, value.shape)), "float"


def dequantize(x, scale, zero=None):
    return (x if zero is None else x - zero) * scale


def _dequantize(grid: Grid) -> Call:
    zero = [buffer(grid.zero)] if grid.zero.any() else []
    return Call(dequantize, buffer(grid.scale), *zero)


# QONNX


def _broadcast(node: Node, n: int, values: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """Values for a tensor of a shape as they broadcast, and the one axis along which they differ, else 0."""
    padded = values.reshape((1,) * (len(shape) - values.ndim) + values.shape) if values.ndim <= len(shape) else values
    wide = [axis for axis, size in enumerate(padded.shape) if size > 1]
    fits = padded.ndim == len(shape) and all(padded.shape[axis] == shape[axis] for axis in wide)
    if not fits:
        raise node.broken(
            f"{node.proto.input[n]} has the shape {list(values.shape)} for a tensor of shape {list(shape)}"
        )
    if len(wide) > 1:
        raise node.refusal(f"scales of shape {list(values.shape)}, one for each group", "one a tensor or a channel")
    return padded, wide[0] if wide else 0


def _number(node: Node, n: int, what: str) -> int:
    """A constant of one integer, which QONNX keeps as a float."""
    values = node.constant(n)
    if values.size != 1:
        raise node.refusal(f"{values.size} {what}s", f"one {what} for the whole tensor")
    value = float(values.reshape(-1)[0])
    if not value.is_integer():
        raise node.refusal(f"a {what} of {value}", f"an integer {what}")
    return int(value)


def _integers(node: Node, n: int, what: str) -> np.ndarray:
    values = np.asarray(node.constant(n)).astype(np.float64)
    if not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise node.refusal(f"a {what} that is no integer", f"an integer {what}")
    return values


def _rounding(node: Node, default: str):
    mode = node.attribute("rounding_mode", default).upper()
    if mode not in ROUNDINGS:
        raise node.refusal(f"rounding_mode {mode}", f"use one of {', '.join(ROUNDINGS)}")
    return ROUNDINGS[mode]


def _ends(node: Node, bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    if not 1 <= bits <= 32:
        raise node.refusal(f"{bits} bits", "use 1 to 32")
    if signed:
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - narrow


@builds("Quant", "IntQuant", domains=QONNX, constant=True)
def quant(node: Node):
    """round(clamp(x / scale + zero)), less the zero point, times the scale."""
    x, bits = node.inputs[0], _number(node, 3, "bit width")
    signed, narrow = bool(node.attribute("signed", 1)), bool(node.attribute("narrow", 1))
    mode, function = _rounding(node, "ROUND")
    if bits == 1 and signed:  # what the executor of QONNX does of it
        return _bipolar(node, 1)
    low, high = _ends(node, bits, signed, narrow)
    scale, zero = scale_of(node, 1), _integers(node, 2, "zero point")
    if isinstance(x, Constant):
        values = finite(node, x.value, node.proto.input[0]).astype(scale.dtype)
        levels = function(np.clip(values / scale + zero.astype(scale.dtype), low, high))
        return exact((levels - zero).astype(np.int64), scale)
    shape = node.value(0).shape
    grid = Grid(*_grid(node, scale, zero, shape))
    quantize = grid.quantize(low, high, ZERO_FIRST + mode)
    return _requantized(quantize, grid.axis, _buffers(grid), grid)


def _grid(node: Node, scale: np.ndarray, zero: np.ndarray, shape: tuple[int, ...]):
    (scale, one), (zero, other) = _broadcast(node, 1, scale, shape), _broadcast(node, 2, zero, shape)
    if scale.size > 1 and zero.size > 1 and one != other:
        raise node.refusal("scales and zero points along different axes", "one axis for both")
    return scale, zero, one or other


def _requantized(quantize, axis: int, arguments, grid: Grid, zero_out: np.ndarray | None = None) -> Call:
    """A step that quantizes and gives the values of the levels: less the zero point, times the scale."""
    zero = grid.zero if zero_out is None else zero_out
    behind = [buffer(zero)] if zero.any() else []
    return Call(lambda x, s, z, *out: dequantize(quantize(x, s, z), *out), *arguments, buffer(grid.scale), *behind)


@builds("BipolarQuant", domains=QONNX, constant=True)
def bipolar_quant(node: Node):
    return _bipolar(node, 1)


def _bipolar(node: Node, n: int):
    """scale where x is not below zero, else -scale: levels 0 and 1, whose values are (2 level - 1) * scale."""
    x, scale = node.inputs[0], scale_of(node, n)
    if len(node.inputs) > 2 and _integers(node, 2, "zero point").any():
        raise node.refusal("one bit with a zero point", "use none")
    if isinstance(x, Constant):
        values = finite(node, x.value, node.proto.input[0])
        return exact(
            np.where(values >= 0, 1, -1), np.broadcast_to(scale, np.broadcast_shapes(scale.shape, values.shape))
        )
    scale, _ = _broadcast(node, n, scale, node.value(0).shape)
    one = torch.ones(1)
    return Call(
        lambda x, one, scale: (torch.ops.hwgen.quantize_affine(x, one, one, 0, 0, 1, "floor") * 2 - 1) * scale,
        one,
        buffer(scale),
    )


@builds("Trunc", domains=QONNX)
def trunc(node: Node):
    """Levels of the input, divided by a power of two and rounded again; version 2 names the scale of the result,
    clamps, and divides the zero point too."""
    shape = node.value(0).shape
    mode, _ = _rounding(node, "FLOOR")
    scale, zero, width = scale_of(node, 1), _integers(node, 2, "zero point"), _number(node, 3, "bit width")
    if not 1 <= width <= MOST_TRUNCATED:
        raise node.refusal(f"an input of {width} bits", f"use 1 to {MOST_TRUNCATED}")
    grid = Grid(*_grid(node, scale, zero, shape))
    if len(node.inputs) == 5:
        bits, out, zero_out = width - _number(node, 4, "bit width"), grid.scale, grid.zero
        low, high = -(2 << width), 2 << width
    else:
        out = _broadcast(node, 4, scale_of(node, 4), shape)[0]
        bits = _exponent(node, np.log2(out.astype(np.float64) / grid.scale.astype(np.float64)))
        signed, narrow = bool(node.attribute("signed", 1)), bool(node.attribute("narrow", 0))
        low, high = _ends(node, _number(node, 5, "bit width"), signed, narrow)
        zero_out = grid.zero / 2.0**bits
    if not 0 <= bits <= width:
        raise node.refusal(f"{bits} of {width} bits dropped", "drop some of them")
    # the levels of the input again, which are integers of its bits whatever their sign, and their quotient
    levels = grid.quantize(-(2 << width), 2 << width, f"{ZERO_FIRST}half_even")
    power, none = torch.tensor([2.0**bits]), torch.zeros(1)

    def run(x, s, z, p, none, *out):
        quotient = torch.ops.hwgen.quantize_affine(levels(x, s, z), p, none, 0, low, high, mode)
        return dequantize(quotient, *out)

    behind = [buffer(zero_out)] if zero_out.any() else []
    return Call(run, *_buffers(grid), power, none, buffer(out), *behind)


def _exponent(node: Node, ratios: np.ndarray) -> int:
    exponents = np.unique(np.rint(ratios))
    if exponents.size > 1:
        raise node.refusal("output scales of several ratios to those of the input", "one ratio for all channels")
    return int(exponents[0])


@builds("MultiThreshold", domains=QONNX)
def multi_threshold(node: Node):
    """How many thresholds of its channel are not above x, times out_scale, plus out_bias."""
    node.ignore("out_dtype")
    value: Value = node.value(0)
    thresholds = node.weights(1)
    scale, bias = float(node.attribute("out_scale", 1.0)), float(node.attribute("out_bias", 0.0))
    rank = len(value.shape)
    layout = node.attribute("data_layout", "") or {2: "NC", 3: "NWC", 4: "NCHW"}.get(rank, "NC")
    axis = layout.index("C") if "C" in layout else 1
    if thresholds.ndim != 2 or axis >= rank or thresholds.shape[0] not in (1, value.shape[axis]):
        raise node.broken(
            f"thresholds of shape {list(thresholds.shape)} for a tensor of shape {list(value.shape)}, {layout}"
        )
    if not np.isfinite([scale, bias]).all() or scale <= 0:
        raise node.refusal(f"out_scale {scale}, out_bias {bias}", "use a positive scale")

    def run(x, thresholds):
        channels = x.movedim(axis, 1) if axis != 1 else x
        count = torch.ops.hwgen.count_steps(channels, thresholds)
        count = count.movedim(1, axis) if axis != 1 else count
        count = count * scale if scale != 1 else count
        return count + bias if bias else count

    return Call(run, buffer(thresholds))
