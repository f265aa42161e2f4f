"""Functions of activations while they are still floats: what a network computes between two quantizers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor, inf, isinf

import numpy as np

from hwgen.errors import UnsupportedLayer
from hwgen.ir import TensorType
from hwgen.nn_affine import ROUNDINGS
from hwgen.ops.conv import ACTIVATION_BITS
from hwgen.ops.lookup import Lookup
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.rules import Rule
from hwgen.terms import trailing_exponent

End = Fraction | float  # a float is an infinity


@dataclass(frozen=True)
class Levels:
    """What a quantizer makes of a float: clamp(round(x / scale + zero) - zero, low, high).

    rounding  a key of ROUNDINGS
    zero      what is not indifferent where the rounding asks for the sign
    rule      what gives `Values` of the factors and biases of kinds, as those of RULES do; None: as the target says
    """

    scale: Fraction
    low: int
    high: int
    rounding: str = "half_up"
    zero: int = 0
    rule: Rule | None = None

    def __post_init__(self):
        assert self.rounding in ROUNDINGS, self.rounding

    @staticmethod
    def of(quantize: Quantize) -> "Levels":
        return Levels(Fraction(2) ** quantize.exponent, quantize.low, quantize.high)

    def of_end(self, end: End) -> int:
        """The level of an end; of an infinite one the last."""
        if isinf(end):
            return self.low if end < 0 else self.high
        level = rounded(Fraction(end) / self.scale + self.zero, self.rounding) - self.zero
        return min(max(level, self.low), self.high)


def rounded(value: Fraction, rounding: str) -> int:
    """A number rounded to an integer, exactly."""
    below = floor(value)
    if rounding in ("floor", "ceil", "to_zero"):
        up = rounding == "ceil" or (rounding == "to_zero" and value < 0)
        return ceil(value) if up else below
    rest = value - below
    if rest != Fraction(1, 2):
        return below + (rest > Fraction(1, 2))
    up = {"half_up": True, "half_even": below % 2 == 1, "half_odd": below % 2 == 0, "half_away": below >= 0}
    return below + up[rounding]


@dataclass(frozen=True, eq=False)
class Line:
    """scale * q + offset of each integer q of the tensor `x`, exactly, then cut off at `ends`.

    name    what it is called, for messages and reports
    path    the layer's path in the module
    scales, offsets  a number for each kind
    kinds   at each place of the flattened frame of `x`: int64; None: there is one kind
    doubles what torch's float64 does to it that rational arithmetic does not, as its constants have more bits than a
            float32: float64 [3, kinds] for each step, by which it is multiplied and divided, and what is added; the
            first gives it
    rising  None, or a function that never falls, of float64 arrays, which is what it is before it is cut off
    ends    the least and the greatest value
    other   None, or a second tensor of the same frame, and the scale with which it is added
    single  None, or the factor of each kind as the tool has it: float32, a product of float32 numbers
    """

    x: str
    name: str
    path: str
    scales: tuple[Fraction, ...] = (Fraction(1),)
    offsets: tuple[Fraction, ...] = (Fraction(0),)
    kinds: np.ndarray | None = None
    doubles: tuple[np.ndarray, ...] = ()
    rising: Callable[[np.ndarray], np.ndarray] | None = None
    ends: tuple[End, End] = (-inf, inf)
    other: tuple[str, Fraction] | None = None
    single: np.ndarray | None = None

    @staticmethod
    def itself(x: str, kind: TensorType, path: str) -> "Line":
        """What a tensor is worth."""
        return Line(x, "identity", path, (Fraction(2) ** kind.exponent,))

    @property
    def clipped(self) -> bool:
        return self.ends != (-inf, inf)

    @property
    def uniform(self) -> bool:
        """Whether it is one factor and one offset of one tensor, not cut off."""
        return self.kinds is None and self.other is None and not self.clipped

    @property
    def scale(self) -> Fraction:
        """The only factor."""
        (scale,) = self.scales
        return scale

    @property
    def offset(self) -> Fraction:
        """The only offset."""
        (offset,) = self.offsets
        return offset

    def cut_off(self, value: Fraction) -> End:
        """A value of the line, cut off."""
        return min(max(value, self.ends[0]), self.ends[1])

    def integer_ends(self) -> tuple[End, End] | None:
        """The integers whose values it is cut off at, the same for all kinds; None where there are none."""
        if self.other is not None or self.rising is not None or not all(self.scales):
            return None
        found = set()
        for scale, offset in zip(self.scales, self.offsets, strict=True):
            low, high = (end * scale if isinf(end) else (end - offset) / scale for end in self.ends)
            found.add((min(low, high), max(low, high)))
        whole = all(isinf(end) or Fraction(end).denominator == 1 for ends in found for end in ends)
        return found.pop() if whole and len(found) == 1 else None

    def followed(self, function: Callable[[np.ndarray], np.ndarray], name: str, path: str) -> "Line":
        """`function`, which never falls, of it; of one tensor."""
        before, (low, high) = self.rising, (float(end) for end in self.ends)

        def both(values: np.ndarray) -> np.ndarray:
            return function(np.clip(values if before is None else before(values), low, high))

        return replace(self, rising=both, ends=(-inf, inf), name=name, path=path, single=None)

    def of_kinds(self, kinds: np.ndarray) -> "Line":
        """Of integers of these kinds, and without the kinds that none of them is of."""
        used, kinds = np.unique(kinds, return_inverse=True)
        return replace(
            self,
            scales=tuple(self.scales[kind] for kind in used),
            offsets=tuple(self.offsets[kind] for kind in used),
            kinds=kinds.reshape(-1).astype(np.int64),
            doubles=tuple(each[:, used] for each in self.doubles),
            single=None if self.single is None else self.single[np.minimum(used, len(self.single) - 1)],
        )

    def flipped(self, signs: np.ndarray) -> "Line":
        """Of integers that are multiplied by `signs`, float64 [kinds] of 1 and -1, the same."""
        doubles = self.doubles
        if doubles:
            doubles = (np.stack([doubles[0][0] * signs, *doubles[0][1:]]), *doubles[1:])
        scales = tuple(scale * int(sign) for scale, sign in zip(self.scales, signs, strict=True))
        single = None if self.single is None else (self.single * signs).astype(np.float32)
        return replace(self, scales=scales, doubles=doubles, single=single)

    def values(self, q: np.ndarray) -> np.ndarray:
        """Of integers, int64 [kinds, n], what they are worth before that is cut off: float64 of that shape."""
        scales, offsets = (
            np.array([float(number) for number in side])[:, None] for side in (self.scales, self.offsets)
        )
        values = scales * q + offsets
        return values if self.rising is None else self.rising(values)

    def cut(self, low: End, high: End) -> "Line":
        """Cut off at ends further inside."""
        least, greatest = (min(max(end, low), high) for end in self.ends)
        return replace(self, ends=(least, greatest))

    def scaled(self, scale: float, offset: float, divisor: float = 1.0) -> "Line":
        """scale * it / divisor + offset."""
        factor, shift = Fraction(scale) / Fraction(divisor), Fraction(offset)
        ends = [_times(end, factor, shift) for end in self.ends]
        step = np.array([[scale], [divisor], [offset]]).repeat(len(self.scales), axis=1)
        return replace(
            self,
            scales=tuple(own * factor for own in self.scales),
            offsets=tuple(own * factor + shift for own in self.offsets),
            doubles=self._stepped(step),
            ends=(min(ends), max(ends)),
            other=None if self.other is None else (self.other[0], self.other[1] * factor),
            single=single_product(self.single, [factor]),
        )

    def _stepped(self, step: np.ndarray) -> tuple[np.ndarray, ...]:
        """`doubles` behind one more step."""
        if not self.doubles and (step == step.astype(np.float32)).all():
            return ()
        start = np.array([[float(n) for n in self.scales], [1.0] * len(self.scales), [float(n) for n in self.offsets]])
        return (*(self.doubles or (start,)), step)

    def scaled_by_place(self, steps: np.ndarray, which: np.ndarray) -> "Line":
        """scale * it / divisor + offset, float64 [3, steps] being scales, divisors and offsets, with those that `which`
        says for each place of the flattened frame; of one tensor, not cut off."""
        own = np.zeros(len(which), np.int64) if self.kinds is None else self.kinds
        codes, kinds = np.unique(own * steps.shape[1] + which, return_inverse=True)
        before, step = np.divmod(codes, steps.shape[1])
        of = replace(
            self,
            scales=tuple(self.scales[b] for b in before),
            offsets=tuple(self.offsets[b] for b in before),
            doubles=tuple(each[:, before] for each in self.doubles),
            single=None if self.single is None else self.single[np.minimum(before, len(self.single) - 1)],
            kinds=kinds.reshape(-1).astype(np.int64),
        )
        each = [tuple(Fraction(n) for n in numbers) for numbers in steps[:, step].T.tolist()]
        factors = [scale / divisor for scale, divisor, _ in each]
        return replace(
            of,
            scales=tuple(own * factor for own, factor in zip(of.scales, factors, strict=True)),
            offsets=tuple(
                own * factor + offset for own, factor, (_, _, offset) in zip(of.offsets, factors, each, strict=True)
            ),
            doubles=of._stepped(steps[:, step]),
            single=single_product(of.single, factors),
        )

    def table(self, kind: TensorType) -> "Function":
        """As values of each integer that a tensor of `kind` may be; of one kind of one tensor."""
        q = np.arange(kind.qtype.low, kind.qtype.high + 1)
        if self.kinds is not None or self.other is not None:
            raise UnsupportedLayer(
                f"{self.name} with tables that differ", self.path, "use one function for all, or scale by channel"
            )
        values = self.values(q[None])[0]
        return Function(self.x, self.name, self.path, np.clip(values, float(self.ends[0]), float(self.ends[1])))

    def levels(self, levels: Levels) -> Levels:
        """What a quantizer is behind the line that is not cut off: rounding is monotone."""
        low, high = (levels.of_end(end) for end in self.ends)
        return replace(levels, low=low, high=high)


def _times(end: End, factor: Fraction, offset: Fraction) -> End:
    if isinf(end):
        return -end if factor < 0 else end
    return end * factor + offset


def single_product(single: np.ndarray | None, factors: Sequence[Fraction]) -> np.ndarray | None:
    """float32 factors times numbers that are float32, in float32; None where one is not."""
    if single is None:
        return None
    found = np.array([float(factor) for factor in factors], np.float32)
    exact = all(Fraction(float(one)) == factor for one, factor in zip(found, factors, strict=True))
    return (single * found).astype(np.float32) if exact else None


@dataclass(frozen=True, eq=False)
class Function:
    """What the network computes of the tensor `x` alone, number by number, where it is no line.

    name    what it is called, for messages and reports
    path    the layer's path in the module
    values  float64: for each integer in the range of `x`, in order
    """

    x: str
    name: str
    path: str
    values: np.ndarray

    def table(self, kind: TensorType) -> "Function":
        return self

    def lookup(self, levels: Levels, exponent: int, kind: TensorType) -> Lookup:
        """The table of its levels, each worth 2^exponent."""
        return Lookup.of(self.name, self.values, levels, exponent, kind, self.path)

    def on_grid(self, kind: TensorType) -> Lookup | None:
        """The table of results that are all on a grid, as they are; None where none of ACTIVATION_BITS holds them."""
        used = self.values[self.values != 0]
        if not np.isfinite(used).all():
            return None
        exponent = int(trailing_exponent(used).min()) if used.size else 0
        if abs(used).max(initial=0) * 2.0**-exponent >= 2.0 ** (ACTIVATION_BITS - 1):
            return None
        return self.lookup(Levels(Fraction(2) ** exponent, -UNBOUNDED, UNBOUNDED), exponent, kind)
