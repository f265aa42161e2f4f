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
    of each output the number below which these are a tie; LUTs of what is behind the sums, about."""

    terms: TermTable
    constants: list[int]
    ranges: list[QType]
    then: Factors | Thresholds | None
    drop: int
    ties: list[int]
    luts: float = 0

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


@dataclass(frozen=True)
class _Product:
    """How an output comes by its factor: a sum of a constant and of a range, which is multiplied, or was before."""

    constant: int
    kind: QType
    multiplier: int
    bias: int
    window: int
    result: QType

    @staticmethod
    def folded(kind: QType, constant: int, multiplier: int, bias: int) -> "_Product":
        kind = _times(kind, multiplier, bias)
        return _Product(constant * multiplier + bias, kind, 1, 0, 0, kind)

    @staticmethod
    def behind(kind: QType, constant: int, multiplier: int, bias: int, window: _Window | None) -> "_Product":
        if window is None:
            return _Product(constant, kind, multiplier, bias, 0, _times(kind, multiplier, bias))
        bias += multiplier * window.bottom
        result = _times(window.inside(kind), multiplier, bias)
        return _Product(constant - window.bottom, window.shifted(kind), multiplier, bias, window.bits, result)


def _multiplied(sums: ExactSums, quantize: Rescale) -> Requantized:
    count = len(sums.weights)
    multipliers, biases, ties = (_each(v, count) for v in (quantize.multipliers, quantize.biases, quantize.ties))
    factors = np.array(multipliers)[:, None]
    more = LUT_PER_BIT * sums.reads.bits * (_digits(sums.weights * factors) - _digits(sums.weights))
    made: list[_Product] = []
    folds, behind = np.zeros(count, bool), 0.0
    for output, digits in enumerate(_digits(factors).tolist()):
        of = sums.ranges[output], sums.constants[output], multipliers[output], biases[output]
        window, luts = _narrowing(of[0], digits, _changes(*of[2:], ties[output], quantize) if digits else (0, 0))
        folds[output] = more[output] <= luts
        behind += 0 if folds[output] else luts
        made.append(_Product.folded(*of) if folds[output] else _Product.behind(*of, window))
    terms = term_table(np.where(folds[:, None], sums.weights * factors, sums.weights))
    terms = replace(terms, exponent=terms.exponent + sums.lift)
    then = Factors(
        [one.multiplier for one in made],
        [one.bias for one in made],
        [one.window for one in made],
        [one.result for one in made],
    )
    constants, kinds = [one.constant for one in made], [one.kind for one in made]
    return Requantized(terms, constants, kinds, None if folds.all() else then, quantize.shift, ties, behind)


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
    digits = len(each[0]).bit_length()
    luts = sum((digits + LUT_PER_BIT) * bits for bits in then.windows)
    return Requantized(sums.terms, constants, ranges, then, 0, [0] * len(constants), luts)


def _times(kind: QType, multiplier: int, constant: int) -> QType:
    low, high = sorted((kind.low * multiplier + constant, kind.high * multiplier + constant))
    return QType(low, high)


def _digits(weights: np.ndarray) -> np.ndarray:
    """Of each row all signed digits."""
    return np.bincount(term_table(weights).output, minlength=len(weights))
