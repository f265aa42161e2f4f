"""Sums that are requantized by any factor, or any thresholds, as what an adder netlist makes of them.

A factor is folded into the weights where that is fewer terms, or multiplies the finished sum. Before it a sum is
clamped to the range in which its levels change, where bits that no term needs then are worth the clamp.
"""

from dataclasses import dataclass, replace

import numpy as np

from hwgen.adders.netlist import Factors, Thresholds
from hwgen.adders.subexpressions import LUT_PER_BIT
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Quantizer, Rescale, Steps
from hwgen.qtype import QType
from hwgen.sums import ExactSums
from hwgen.terms import TermTable, term_table


@dataclass(frozen=True, eq=False)
class Requantized:
    """Terms and constants of sums, their ranges, what they become (None: nothing), the bits that are dropped then, and
    of each output the number below which these are a tie."""

    terms: TermTable
    constants: list[int]
    ranges: list[QType]
    then: Factors | Thresholds | None
    drop: int
    ties: list[int]

    @staticmethod
    def of(sums: ExactSums, quantize: Quantizer | None) -> "Requantized":
        """sums -- rounded by `quantize` if that is a Quantize, else exact."""
        if quantize is None or isinstance(quantize, Quantize):
            return Requantized(sums.terms, sums.constants, sums.ranges, None, sums.drop, [0] * len(sums.constants))
        return _counted(sums, quantize) if isinstance(quantize, Steps) else _multiplied(sums, quantize)


def _each(values: np.ndarray, count: int) -> list:
    return np.broadcast_to(values, (count, *values.shape[1:])).tolist()


@dataclass(frozen=True)
class _Window:
    """The sums less `bottom`, between 0 and 2^bits - 1: where the levels change; all below are as `bottom`, all above
    as the last."""

    bottom: int
    bits: int

    @staticmethod
    def of(bottom: int, top: int, reach: QType) -> "_Window":
        """bottom, top -- levels change between these; reach -- of the sums."""
        bottom = min(max(bottom, reach.low), reach.high)
        return _Window(bottom, max(1, (min(max(top, bottom), reach.high) - bottom).bit_length()))

    def shifted(self, kind: QType) -> QType:
        return QType(kind.low - self.bottom, kind.high - self.bottom)

    def inside(self, kind: QType) -> QType:
        """The range of the sums less `bottom`, clamped."""
        low, high = (min(max(end - self.bottom, 0), (1 << self.bits) - 1) for end in (kind.low, kind.high))
        return QType(low, high)


def _changes(multiplier: int, bias: int, ties: int, quantize: Rescale) -> tuple[int, int]:
    """Sums between which the levels change: all up to the first have one, all from the second on."""
    # a tie may be the level below
    least, most = (quantize.low + 1) << quantize.shift, (quantize.high + (ties > 0)) << quantize.shift
    if multiplier > 0:
        return -((bias - least) // multiplier) - 1, -((bias - most) // multiplier)
    return (bias - most) // -multiplier, (bias - least) // -multiplier + 1


def _multiplied(sums: ExactSums, quantize: Rescale) -> Requantized:
    count, bits = len(sums.weights), sums.reads.bits
    multipliers, biases, ties = (_each(v, count) for v in (quantize.multipliers, quantize.biases, quantize.ties))
    factor = np.array(multipliers)[:, None]
    digits = _digits(factor)
    more = LUT_PER_BIT * bits * (_digits(sums.weights * factor) - _digits(sums.weights))
    folded = np.zeros(count, bool)
    constants, ranges = [], []
    then = Factors([], [], [], [])
    for output, (kind, constant) in enumerate(zip(sums.ranges, sums.constants, strict=True)):
        multiplier, bias = multipliers[output], biases[output]
        window, costs = (
            _narrowing(kind, digits[output], _changes(multiplier, bias, ties[output], quantize))
            if multiplier
            else (None, 0)
        )
        folded[output] = more[output] <= costs
        if folded[output]:
            kind = _times(kind, multiplier, bias)
            constants.append(constant * multiplier + bias)
            ranges.append(kind)
            entry = 1, 0, 0, kind
        elif window is None:
            constants.append(constant)
            ranges.append(kind)
            entry = multiplier, bias, 0, _times(kind, multiplier, bias)
        else:
            constants.append(constant - window.bottom)
            ranges.append(window.shifted(kind))
            bias += multiplier * window.bottom
            entry = multiplier, bias, window.bits, _times(window.inside(kind), multiplier, bias)
        for values, value in zip((then.multipliers, then.constants, then.windows, then.ranges), entry, strict=True):
            values.append(value)
    terms = term_table(np.where(folded[:, None], sums.weights * factor, sums.weights))
    terms = replace(terms, exponent=terms.exponent + sums.lift)
    return Requantized(terms, constants, ranges, None if folded.all() else then, quantize.shift, ties)


def _narrowing(kind: QType, digits: int, changes: tuple[int, int]) -> tuple[_Window | None, float]:
    """The window of a sum that is to be multiplied, if it is worth its clamp, and the LUTs of clamp and product."""
    window = _Window.of(*changes, kind)
    plain = LUT_PER_BIT * (digits + 1) * kind.bits
    narrow = LUT_PER_BIT * (digits + 2) * window.bits + 2
    return (window, narrow) if narrow < plain else (None, plain)


def _counted(sums: ExactSums, quantize: Steps) -> Requantized:
    constants, ranges, then = [], [], Thresholds([], quantize.low, [], [])
    each = _each(quantize.thresholds, len(sums.constants))
    for kind, constant, thresholds in zip(sums.ranges, sums.constants, each, strict=True):
        window = _Window.of(thresholds[0] - 1, thresholds[-1], kind)
        constants.append(constant - window.bottom)
        ranges.append(window.shifted(kind))
        then.thresholds.append([min(max(t - window.bottom, 0), 1 << window.bits) for t in thresholds])
        then.windows.append(window.bits)
        levels = [quantize.low + sum(t <= end for t in thresholds) for end in (kind.low, kind.high)]
        then.ranges.append(QType(*levels))
    return Requantized(sums.terms, constants, ranges, then, 0, [0] * len(constants))


def _times(kind: QType, multiplier: int, constant: int) -> QType:
    low, high = sorted((kind.low * multiplier + constant, kind.high * multiplier + constant))
    return QType(low, high)


def _digits(weights: np.ndarray) -> np.ndarray:
    """Of each row all signed digits."""
    return np.bincount(term_table(weights).output, minlength=len(weights))
