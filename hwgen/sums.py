"""A convolution as sums of integers, whatever adds them up."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np

from hwgen.ir import TensorType
from hwgen.ops.conv import Conv, sum_ends
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.terms import TermTable


@dataclass(frozen=True, eq=False)
class ExactSums:
    """A convolution as sums of integers, on the coarsest grid that gives the result:
    (weights << lift) @ inputs + constants, >> drop.

    conv       with the weights
    lift       bits
    constants  of each output: the bias with the half of the rounding
    drop       bits
    reads      the range of an input, padding included
    """

    conv: Conv
    lift: int
    constants: list[int]
    drop: int
    reads: QType

    @staticmethod
    def of(conv: Conv, x: TensorType, quantize: Quantize | None, finer: int = 0) -> "ExactSums":
        """Requantized by `quantize`, or with the exact accumulators as the result (None); finer -- bits of a grid that
        is not the coarsest."""
        if quantize is None:
            grid, drop = conv.out_exponent(x), 0
        else:
            grid = min(x.exponent + conv.exponents[0], quantize.exponent) - finer
            drop = quantize.exponent - grid
        lift = x.exponent + conv.exponents[0] - grid
        return ExactSums(conv, lift, _constants(conv, grid, drop, quantize is not None), drop, conv.reads(x))

    @property
    def weights(self) -> np.ndarray:
        """int64 [outputs, inputs of one]."""
        return self.conv.integers.reshape(len(self.conv.integers), -1)

    @cached_property
    def terms(self) -> TermTable:
        table = self.conv.terms
        return replace(table, exponent=table.exponent + self.lift) if self.lift else table

    @property
    def highest(self) -> int:
        """Exponent of a term; 0 without terms."""
        return int(self.terms.exponent.max()) if len(self.terms) else 0

    @cached_property
    def ranges(self) -> list[QType]:
        """Of the sum of each output, its constant included."""
        ends = (values.tolist() for values in sum_ends(self.weights, self.reads))
        return [
            QType((a << self.lift) + c, (b << self.lift) + c) for a, b, c in zip(*ends, self.constants, strict=True)
        ]


def window_places(conv: Conv, output: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The channel, tap row and tap column that a weight of an output reads, its weights counted as they lie flat."""
    outputs, group_channels, tap_rows, tap_columns = conv.weight.shape
    inside, tap = np.divmod(weight, tap_rows * tap_columns)
    group = output // (outputs // conv.groups)
    return group * group_channels + inside, tap // tap_columns, tap % tap_columns


def _constants(conv: Conv, grid: int, shift: int, rounded: bool) -> list[int]:
    """Per output, bias plus the half of the rounding, in units of 2^grid; what lies below the grid can never reach a
    result."""
    result = []
    for bias in conv.bias:
        numerator, denominator = float(bias).as_integer_ratio()
        numerator, denominator = (numerator << -grid, denominator) if grid < 0 else (numerator, denominator << grid)
        # floor(bias + 2^(shift-1)), the half being 1/2 where shift is 0
        result.append(
            (2 * numerator + (denominator << shift)) // (2 * denominator) if rounded else numerator // denominator
        )
    return result


def exact_sums(stage: Stage) -> ExactSums:
    """The sums of a stage that is a convolution, on the coarsest grid."""
    return stage.once("sums", lambda: ExactSums.of(conv_of(stage), stage.x, stage.rounds))


def conv_of(stage: Stage) -> Conv:
    """The op of a stage that is a convolution."""
    assert isinstance(stage.op, Conv), f"{stage.name}: {stage.op} is no sum of products"
    return stage.op


def term_count(stage: Stage) -> int:
    """Terms that all outputs of a pixel have, or activations that a maximum looks at."""
    return stage.x.shape[0] * prod(stage.window.kernel) if stage.op.maximum else len(exact_sums(stage).terms)
