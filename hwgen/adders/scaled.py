"""Sums that are requantized by any factor, or any thresholds, as what an adder netlist makes of them.

A factor is folded into the weights where that is fewer terms, or multiplies the finished sum. Before it a sum is
clamped to the range in which its levels change, where bits that no term needs then are worth the clamp.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from hwgen.adders.netlist import Factors, Thresholds
from hwgen.adders.rows import Compare
from hwgen.adders.slices import Slice
from hwgen.adders.subexpressions import LUT_PER_BIT
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Quantizer, Rescale, Steps
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.sums import ExactSums, exact_sums
from hwgen.terms import TermTable, term_table

SLICED = 20  # LUTs of a product that is worth a DSP slice, where these are asked for


@dataclass(frozen=True, eq=False)
class Requantized:
    """Terms and constants of sums, their ranges, and what they become (None: nothing); then, by output, the products
    that slices make; then the bits that are dropped, and of each output the number below which these are a tie; LUTs of
    what is behind the sums, about."""

    terms: TermTable
    constants: list[int]
    ranges: list[QType]
    then: Factors | Thresholds | None
    drop: int
    ties: list[int]
    luts: float = 0
    slices: dict[int, Slice] = field(default_factory=dict)

    @staticmethod
    def of(sums: ExactSums, quantize: Quantizer | None, slices: bool = False) -> "Requantized":
        """sums -- rounded by `quantize` if that is a Quantize, else exact; slices -- whether DSP slices multiply what
        takes more than SLICED lookup tables."""
        if quantize is None or isinstance(quantize, Quantize):
            return Requantized(sums.terms, sums.constants, sums.ranges, None, sums.drop, [0] * len(sums.constants))
        return _counted(sums, quantize) if isinstance(quantize, Steps) else _multiplied(sums, quantize, slices)


def requantized(stage: Stage, slices: bool = False) -> Requantized:
    """The sums of a stage that is a convolution; slices -- as in Requantized.of."""

    def made() -> Requantized:
        return Requantized.of(exact_sums(stage), stage.quantize, slices)

    return stage.once(("requantized", slices), made)


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
    """How an output comes by its factor: a sum of a constant and of a range, which is multiplied, or was before.

    luts -- of what is behind the sum, about; slice -- what multiplies it then
    """

    constant: int
    kind: QType
    multiplier: int = 1
    bias: int = 0
    window: int = 0
    luts: float = 0
    slice: Slice | None = None

    @property
    def result(self) -> QType:
        """The range of what the netlist makes."""
        kind = _Window(0, self.window).inside(self.kind) if self.window else self.kind
        return _times(kind, self.multiplier, self.bias)

    def narrowed(self, changes: tuple[int, int]) -> "_Product":
        """The same of the sum clamped to where its levels change."""
        window = _Window.of(*changes, self.kind)
        bias = self.bias + self.multiplier * window.bottom
        constant, kind = self.constant - window.bottom, window.shifted(self.kind)
        return _Product(constant, kind, self.multiplier, bias, window.bits)

    def priced(self) -> "_Product":
        digits, bits = int(_digits(np.array([[self.multiplier]]))[0]), self.window or self.kind.bits
        clamp = LUT_PER_BIT * self.window + 2 * (self.window > 0)
        return replace(self, luts=LUT_PER_BIT * (digits + 1) * bits + clamp)

    def sliced(self) -> "_Product | None":
        """The same with a product in a slice; None where none is wide enough."""
        x = replace(self, multiplier=1, bias=0).result
        one = Slice(self.multiplier, self.bias, x, self.result)
        clamp = LUT_PER_BIT * self.window + 2 * (self.window > 0)
        return replace(self, multiplier=1, bias=0, luts=clamp, slice=one) if one.fits else None


def _product(plain: _Product, changes: tuple[int, int], slices: bool) -> _Product:
    """The least of what a sum may go through."""
    ways = [plain, plain.narrowed(changes)]
    least = min((way.priced() for way in ways), key=lambda way: way.luts)
    if not slices or least.luts <= SLICED:
        return least
    return next((one for way in ways if (one := way.sliced())), least)


def _multiplied(sums: ExactSums, quantize: Rescale, slices: bool) -> Requantized:
    count = len(sums.weights)
    multipliers, biases, ties = (_each(v, count) for v in (quantize.multipliers, quantize.biases, quantize.ties))
    factors = np.array(multipliers)[:, None]
    more = LUT_PER_BIT * sums.reads.bits * (_digits(sums.weights * factors) - _digits(sums.weights))
    made: list[_Product] = []
    for output, multiplier in enumerate(multipliers):
        constant, kind, bias = sums.constants[output], sums.ranges[output], biases[output]
        folded = _Product(constant * multiplier + bias, _times(kind, multiplier, bias), luts=more[output])
        if multiplier == 0:
            made.append(folded)
            continue
        changes = _changes(multiplier, bias, ties[output], quantize)
        behind = _product(_Product(constant, kind, multiplier, bias), changes, slices)
        made.append(min(folded, behind, key=lambda way: way.luts))
    folds = np.array([one.multiplier == 1 and one.slice is None for one in made])
    terms = term_table(np.where(folds[:, None], sums.weights * factors, sums.weights))
    return Requantized(
        replace(terms, exponent=terms.exponent + sums.lift),
        [one.constant for one in made],
        [one.kind for one in made],
        None
        if folds.all()
        else Factors(
            [one.multiplier for one in made],
            [one.bias for one in made],
            [one.window for one in made],
            [one.result for one in made],
        ),
        quantize.shift,
        ties,
        sum(one.luts for one in made),
        {output: one.slice for output, one in enumerate(made) if one.slice},
    )


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
    columns = sum(Compare.columns_of(digit) for digit in range(digits))
    luts = sum((columns + LUT_PER_BIT) * bits for bits in then.windows)
    return Requantized(sums.terms, constants, ranges, then, 0, [0] * len(constants), luts)


def _times(kind: QType, multiplier: int, constant: int) -> QType:
    low, high = sorted((kind.low * multiplier + constant, kind.high * multiplier + constant))
    return QType(low, high)


def _digits(weights: np.ndarray) -> np.ndarray:
    """Of each row all signed digits."""
    return np.bincount(term_table(weights).output, minlength=len(weights))
