"""Conv: a convolution with exact accumulators: Conv2d, Conv1d and Linear; batch norm as a depthwise 1x1."""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from hwgen.errors import DoesNotFit, MissingActQuant, OffGrid, UnsupportedLayer
from hwgen.ir import Op, TensorType, Window
from hwgen.ops import imports
from hwgen.qtype import QType
from hwgen.terms import TermTable, significant_bits, term_table, trailing_exponent

ACCUMULATOR_BITS = 48
ACTIVATION_BITS = 16
WEIGHT_BITS = 16


@dataclass(frozen=True, eq=False)
class Conv(Op):
    """acc = sum(w * x) + b, exact, on the finest grid that weights, activations and bias need.

    weight    float64 [outputs, channels / groups, tap rows, tap columns], read by value: each a multiple of a power of
    two,
              at most 16 significant bits
    bias      float64 [outputs]
    stride, padding (top, bottom, left, right), dilation, groups: as in torch
    path      the layer's path in the module, for messages
    activations_limited  False for layers that hwgen makes itself, which take any width
    """

    weight: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    path: str = ""
    activations_limited: bool = True

    def __str__(self) -> str:
        outputs, _, rows, columns = self.weight.shape
        zeros = 1 - np.count_nonzero(self.weight) / max(1, self.weight.size)
        return f"Conv[{outputs} outputs, {rows}x{columns}, groups {self.groups}, {zeros:.0%} zeros]"

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weight.shape[2:]

    @property
    def window(self) -> Window:
        (down, right), (tall, wide) = self.stride, self.dilation  # lists, where they were read from a build
        return Window(self.kernel, (down, right), (tall, wide), self.padding[0], self.padding[2])

    def carries(self, quantizer):
        return True

    @property
    def pixelwise(self) -> bool:
        return self.kernel == (1, 1) and tuple(self.stride) == (1, 1) and not any(self.padding)

    @property
    def has_weights(self) -> bool:
        """Not of a pool, whose channels are all alike."""
        alike = self.groups == len(self.weight) and (self.weight == self.weight[:1]).all()
        return not (alike and (self.bias == self.bias[:1]).all()) or len(self.weight) == 1

    @cached_property
    def exponents(self) -> tuple[int, int]:
        """Exponents of the weights' grid and of the bias's; the bias's is large when all are zero."""
        for what, values in (("weight", self.weight), ("bias", self.bias)):
            bad = np.argwhere(~np.isfinite(values))
            if len(bad):
                where = tuple(int(i) for i in bad[0])
                raise OffGrid(
                    f"{what}{list(where)} = {values[where]} is not finite",
                    self.path,
                    "look for a diverged training run, or a division by zero in a scale",
                )
        nonzero = self.weight != 0
        wide = np.argwhere(nonzero & (significant_bits(np.where(nonzero, self.weight, 1.0)) > WEIGHT_BITS))
        if len(wide):
            where = tuple(int(i) for i in wide[0])
            raise OffGrid(
                f"weight{list(where)} = {float(self.weight[where])!r} is no multiple of a power of two "
                f"within {WEIGHT_BITS} bits",
                self.path,
                "project the weights on a grid (powers of two, APoT, integers times a power of two) before the build; "
                "fold a batch norm into its convolution before projecting, not after; or quantize them, too, with the "
                "tool that quantized the activations",
            )
        smallest = trailing_exponent(self.weight[nonzero]).min() if nonzero.any() else 0
        bias = self.bias[self.bias != 0]
        return int(smallest), int(trailing_exponent(bias).min()) if bias.size else 1 << 20

    @property
    def is_on_grid(self) -> bool:
        """Whether its weights are multiples of powers of two within WEIGHT_BITS, and all numbers finite."""
        try:
            return bool(self.exponents)
        except OffGrid:
            return False

    def on_integers(self) -> tuple["Conv", list[Fraction]]:
        """The convolution with weights that are integers and no bias, and what a unit of each output's sums is worth.

        Weights on a grid of powers of two are multiples of one number; others, of each output by itself, of their
        greatest common divisor, which is exact: float64 are integers times a power of two. Raises OffGrid where that
        takes more than WEIGHT_BITS.
        """
        bias, outputs = np.zeros(len(self.bias)), len(self.weight)
        if self.is_on_grid:
            weight, worths = np.ldexp(self.weight, -self.exponents[0]), [Fraction(2) ** self.exponents[0]] * outputs
        else:
            flat = self.weight.reshape(outputs, -1)
            units = common_units(flat)
            if units is None or not np.isfinite(self.bias).all():
                _ = self.exponents  # says what is wrong
                raise AssertionError("weights on a grid have units")
            weight, worths = units[0].reshape(self.weight.shape).astype(np.float64), units[1]
        return replace(self, weight=weight, bias=bias), worths

    @cached_property
    def integers(self) -> np.ndarray:
        """The weights as int64, each worth 2^exponents[0]."""
        return self._scaled(self.weight, self.exponents[0])

    @cached_property
    def terms(self) -> TermTable:
        """Of the integers, [outputs, inputs of one]: made once, whatever lanes they are for."""
        return term_table(self.integers.reshape(len(self.integers), -1))

    @staticmethod
    def _scaled(values: np.ndarray, exponent: int) -> np.ndarray:
        return np.ldexp(values, -exponent).astype(np.int64)

    def out_exponent(self, x: TensorType) -> int:
        return min(x.exponent + self.exponents[0], self.exponents[1])

    def spread(self, x: TensorType) -> float:
        """The accumulator's largest magnitude over all outputs, as a float (it may exceed int64)."""
        reach = max(abs(x.qtype.low), abs(x.qtype.high))
        sums = np.abs(self.weight).sum(axis=(1, 2, 3)) * reach * 2.0**x.exponent + np.abs(self.bias)
        return float(sums.max() * 2.0 ** -self.out_exponent(x))

    @cached_property
    def _known(self) -> dict[TensorType, TensorType]:
        return {}

    def infer(self, x: TensorType) -> TensorType:
        # passes ask again and again, and the bounds take a walk over all weights
        if x not in self._known:
            self._known[x] = self._infer(x)
        return self._known[x]

    def _infer(self, x: TensorType) -> TensorType:
        _, rows, columns = x.shape
        if self.activations_limited and x.qtype.bits > ACTIVATION_BITS:
            raise MissingActQuant(
                f"its input has {x.qtype.bits} bits",
                self.path,
                "put hwgen.nn.ActQuant(bits, exponent, signed) before this layer",
            )
        if self.spread(x) >= 2.0 ** (ACCUMULATOR_BITS - 1):
            needed = int(np.ceil(np.log2(self.spread(x)))) + 1
            bias = f"the finest bias bit is 2^{self.exponents[1]}, " if self.bias.any() else ""
            raise DoesNotFit(
                f"the accumulator needs {needed} bits, above {ACCUMULATOR_BITS}",
                self.path,
                "narrow the spread of the weights, or round the biases to a coarser grid: "
                f"{bias}the finest product bit 2^{x.exponent + self.exponents[0]}",
            )
        top, bottom, left, right = self.padding
        tall, wide = self.window.reach
        out_rows = (rows + top + bottom - tall) // self.stride[0] + 1
        out_columns = (columns + left + right - wide) // self.stride[1] + 1
        low, high = self.bounds(x)
        return TensorType((len(self.weight), out_rows, out_columns), QType(low, high), self.out_exponent(x))

    def reads(self, x: TensorType) -> QType:
        """What the weights meet: the input, and where there is padding zero."""
        if not any(self.padding):
            return x.qtype
        return QType(min(x.qtype.low, 0), max(x.qtype.high, 0))

    def bounds(self, x: TensorType) -> tuple[int, int]:
        """The least and the greatest accumulator over all outputs, and zero."""
        ends = self.channel_ends(x)
        return int(min(ends[:, 0].min(), 0)), int(max(ends[:, 1].max(), 0))

    def channel_ends(self, x: TensorType) -> np.ndarray:
        up = x.exponent + self.exponents[0] - self.out_exponent(x)
        bias = self._scaled(self.bias, self.out_exponent(x))
        ends = sum_ends(self.integers.reshape(len(self.integers), -1), self.reads(x))
        return np.stack([(end << up) + bias for end in ends], axis=1)

    def eval(self, types, x):
        (kind,) = types
        top, bottom, left, right = self.padding
        # float64 is exact here: |acc| < 2^47
        acc = functional.conv2d(
            functional.pad(x.double(), (left, right, top, bottom)),
            torch.from_numpy(self.integers.astype(np.float64)),
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
        ).long()
        up = kind.exponent + self.exponents[0] - self.out_exponent(kind)
        bias = torch.from_numpy(self._scaled(self.bias, self.out_exponent(kind)))
        return (acc << up) + bias[None, :, None, None]

    def scaled(self, scale: np.ndarray, shift: np.ndarray, path: str) -> "Conv":
        """This convolution followed by y * scale + shift per output, exactly; OffGrid when float64 cannot hold it."""
        product = self.bias * scale
        bias = product + shift
        exact = np.isfinite(bias) & ((bias - shift == product) & (bias - product == shift))
        if not exact.all():
            channel = int(np.argmin(exact))
            raise OffGrid(
                f"bias[{channel}] = {self.bias[channel]} * {scale[channel]} + {shift[channel]} is inexact",
                path,
                "fold the batch norm into the convolution and round its bias before the build",
            )
        return replace(
            self,
            weight=self.weight * scale[:, None, None, None],
            bias=bias,
            path=f"{self.path} with {path} folded in",
        )


def sum_ends(weights: np.ndarray, x: QType) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest sum of int64 weights [outputs, inputs] times inputs in the range of `x`: int64
    [outputs] each.

    The input that is x.high where the weight is positive and x.low elsewhere, or the reverse, reaches it (overflow-free
    accumulation: Ponzina, Rios et al., TECS 2023).
    """
    positive, negative = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    return positive * x.low + negative * x.high, positive * x.high + negative * x.low


def common_units(weights: np.ndarray) -> tuple[np.ndarray, list[Fraction]] | None:
    """int64 and the unit of each row of float64 [rows, n] that they are multiples of: the greatest that is. None where
    a row has more than WEIGHT_BITS in its unit, or a number that is not finite."""
    if not np.isfinite(weights).all():
        return None
    nonzero = weights != 0
    trailing = np.where(nonzero, trailing_exponent(np.where(nonzero, weights, 1.0)), 1 << 20).min(axis=1)
    trailing = np.where(nonzero.any(axis=1), trailing, 0)
    scaled = np.ldexp(weights, -trailing[:, None])
    if abs(scaled).max(initial=0) >= 2.0**62:
        return None
    integers = scaled.astype(np.int64)
    divisors = np.maximum(1, np.gcd.reduce(integers, axis=1))
    integers //= divisors[:, None]
    if abs(integers).max(initial=0) >= 1 << WEIGHT_BITS:
        return None
    return integers, [Fraction(int(d)) * Fraction(2) ** int(e) for d, e in zip(divisors, trailing, strict=True)]


def depthwise(scale: np.ndarray, offset: np.ndarray, path: str) -> Conv:
    """scale * x + offset by channel; what it scales may be as wide as it comes."""
    return Conv(scale[:, None, None, None], offset, groups=len(scale), path=path, activations_limited=False)


def identity(channels: int) -> Conv:
    """A layer that passes its input on: what a lone Quantize, or a change of stream order, becomes."""
    return Conv(np.ones((channels, 1, 1, 1)), np.zeros(channels), groups=channels, activations_limited=False)


def bias_of(bias: np.ndarray | None, outputs: int) -> np.ndarray:
    return np.zeros(outputs) if bias is None else bias


def pair(value, default: int = 1) -> tuple[int, int]:
    """(rows, columns) of what torch takes as one number, one in a list, or two."""
    value = [default] if value is None or value == [] else value
    value = [value] if isinstance(value, int) else list(value)
    first, last = value * 2 if len(value) == 1 else value
    return first, last


def row(value, other: int) -> tuple[int, int]:
    """(rows, columns) of what torch takes for one dimension, which are the columns; other -- rows."""
    return other, value if isinstance(value, int) else value[0]


@imports("aten.conv2d.default", "aten.conv2d.padding", rank=4)
def conv2d(importer, x, weight, bias=None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups=1):
    dilation = pair(dilation)
    if padding == "same":
        total = [d * (taps - 1) for d, taps in zip(dilation, weight.shape[2:], strict=True)]
        sides = (total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2)
    else:
        vertical, horizontal = (0, 0) if padding == "valid" else pair(padding, 0)
        sides = (vertical, vertical, horizontal, horizontal)
    op = Conv(weight, bias_of(bias, len(weight)), pair(stride), sides, dilation, groups, importer.path)
    return importer.add(op, x)


@imports("aten.conv1d.default", "aten.conv1d.padding", rank=3)
def conv1d(importer, x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    sides = padding if isinstance(padding, str) else row(padding, 0)
    return conv2d(importer, x, weight[:, :, None, :], bias, row(stride, 1), sides, row(dilation, 1), groups)


@imports("aten.batch_norm.default")
def batch_norm(importer, x, weight, bias, mean, variance, training, momentum, eps, cudnn=False):
    """y * scale + shift; the pass fold_scale then puts it into the convolution before it."""
    if training:
        raise UnsupportedLayer("batch norm in training mode", importer.path, "call module.eval() before the export")
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 / np.sqrt(variance + eps) * (1 if weight is None else weight)
        shift = (0 if bias is None else bias) - mean * scale
    if not np.isfinite(scale).all() or not np.isfinite(shift).all():
        raise OffGrid(
            "the scale or the shift of the batch norm is not finite",
            importer.path,
            "look for a diverged training run, or a division by zero: a variance of 0 without eps",
        )
    sides = [1] * (len(importer.shape(x)) - 1)
    return importer.affine(x, scale.reshape(-1, *sides), shift.reshape(-1, *sides), by_number=False)


@imports("aten._native_batch_norm_legit_no_training.default")
def core_batch_norm(importer, x, weight, bias, mean, variance, momentum, eps):
    return [batch_norm(importer, x, weight, bias, mean, variance, False, momentum, eps), None, None]
