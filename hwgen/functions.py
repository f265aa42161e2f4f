"""Functions of one activation while they are still floats: what a network computes between two quantizers."""

from dataclasses import dataclass, replace
from math import inf, isinf

import numpy as np

from hwgen.errors import OffGrid, UnsupportedLayer
from hwgen.ir import TensorType
from hwgen.ops.conv import ACTIVATION_BITS, WEIGHT_BITS, Conv
from hwgen.ops.lookup import Lookup
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.terms import trailing_exponent

MULTIPLIER_BITS = 24  # of a line's factor
LINE_BITS = 22  # of an activation of which a line is worked out
LINE_VALUES = 1 << 24  # of all lines of a layer
NO_BIAS = 2.0**52


@dataclass(frozen=True, eq=False)
class Function:
    """What the network computes of the tensor `x` alone, number by number.

    name    what it is called, for messages and reports
    path    the layer's path in the module
    values  float64 [kinds, integers]: for each integer in the range of `x`, in order; one kind, or several
    line    whether they are multiples of x and a constant
    kinds   of the function at each place of the flattened frame of `x`: int64; None: there is one
    ends    of a line the least and the greatest value, at which it is then cut off
    """

    x: str
    name: str
    path: str
    values: np.ndarray
    line: bool = False
    kinds: np.ndarray | None = None
    ends: tuple[float, float] = (-inf, inf)

    @staticmethod
    def itself(x: str, kind: TensorType, path: str) -> "Function":
        """The activation itself."""
        values = np.arange(kind.qtype.low, kind.qtype.high + 1, dtype=np.float64) * 2.0**kind.exponent
        return Function(x, "identity", path, values[None], line=True)

    def table(self, quantize: Quantize, kind: TensorType) -> Lookup:
        if self.kinds is not None:
            raise UnsupportedLayer(
                f"{self.name} with tables that differ", self.path, "use one function for all, or scale by channel"
            )
        return Lookup.of(self.name, self.values[0], quantize, kind, self.path)

    def on_grid(self, kind: TensorType) -> Lookup | None:
        """The table of results that are all on a grid, as they are; None where none of ACTIVATION_BITS holds them."""
        used = self.values[self.values != 0]
        if self.line or self.kinds is not None or not np.isfinite(used).all():
            return None
        exponent = int(trailing_exponent(used).min()) if used.size else 0
        if abs(used).max(initial=0) * 2.0**-exponent >= 2.0 ** (ACTIVATION_BITS - 1):
            return None
        return self.table(Quantize(exponent, -UNBOUNDED, UNBOUNDED), kind)

    def clipped(self, low: float, high: float) -> "Function":
        """A line cut off at ends further inside."""
        least, greatest = (min(max(end, low), high) for end in self.ends)
        return replace(self, ends=(least, greatest))

    def quantizer(self, quantize: Quantize) -> Quantize:
        """What a quantizer is behind the line that is not cut off: rounding is monotone."""
        low, high = (
            quantize.low if end == -inf else quantize.high if isinf(end) else int(_levels(end, quantize.exponent))
            for end in self.ends
        )
        low, high = (min(max(end, quantize.low), quantize.high) for end in (low, high))
        return Quantize(quantize.exponent, low, high)

    def scale(self, quantize: Quantize, kind: TensorType) -> tuple[np.ndarray, np.ndarray]:
        """The factor and the offset of each kind, float64, of which `quantize` makes the same integers as of this line,
        for each integer in the range of `kind`. Raises OffGrid where no multiplier of MULTIPLIER_BITS does."""
        factors, offsets = np.empty(len(self.values)), np.empty(len(self.values))
        x = np.arange(kind.qtype.low, kind.qtype.high + 1)
        for i, values in enumerate(self.values):
            levels = _levels(values, quantize.exponent)
            slope = (values[-1] - values[0]) * 2.0**-quantize.exponent / max(1, len(x) - 1)
            found = fit_line(x, levels, slope, quantize.low, quantize.high)
            if found is None:
                raise OffGrid(
                    f"{self.name} of {kind.qtype.bits} bits: no factor of {MULTIPLIER_BITS} bits gives all its results",
                    self.path,
                    "quantize its input to fewer bits, or its result to fewer levels",
                )
            multiplier, bias, shift = found
            factors[i] = multiplier * 2.0 ** (quantize.exponent - shift - kind.exponent)
            # the quantizer adds the half
            offsets[i] = (2 * bias - 2.0**shift) * 2.0 ** (quantize.exponent - shift - 1)
        return factors, offsets


def _levels(values, exponent: int):
    """floor(values * 2^-exponent + 1/2), without the rounding that adding the half has just below a tie."""
    scaled = values * 2.0**-exponent
    levels = np.floor(scaled)
    return levels + (scaled - levels >= 0.5)


def depthwise(scale: np.ndarray, offset: np.ndarray, path: str, weight_bits: int = WEIGHT_BITS) -> Conv:
    """scale * x + offset by channel; what it scales may be as wide as it comes."""
    weight = scale[:, None, None, None]
    return Conv(weight, offset, groups=len(scale), path=path, activations_limited=False, weight_bits=weight_bits)


def fit_line(x: np.ndarray, levels: np.ndarray, slope: float, low: int, high: int) -> tuple[int, int, int] | None:
    """The (multiplier, bias, shift) of least shift with clamp((multiplier * x + bias) >> shift, low, high) ==
    clamp(levels, low, high) for all x, int64; None if no multiplier of MULTIPLIER_BITS bits has it.

    slope -- of the levels before they were rounded: the multiplier is the nearest to it, or one beside that; each x
    then bounds the bias from below, from above, or both
    """
    clipped = np.clip(levels, low, high).astype(np.float64)
    over, under = levels > low, levels < high
    floats = x.astype(np.float64)

    def at(shift: int) -> tuple[int, int, int] | None:
        nearest = round(slope * 2**shift)
        for multiplier in (nearest, nearest - 1, nearest + 1):
            product = multiplier * floats  # exact: below 2^53
            bottom = (clipped * 2.0**shift - product)[over].max(initial=-NO_BIAS)
            top = ((clipped + 1) * 2.0**shift - product)[under].min(initial=NO_BIAS) - 1
            if bottom <= top and abs(multiplier) < 1 << MULTIPLIER_BITS:
                return multiplier, _roundest(int(bottom), int(top)), shift
        return None

    # with a shift that does any greater one does, until the multiplier is too wide
    most = range(MULTIPLIER_BITS + LINE_BITS, 0, -1)
    widest = next((n for n in most if abs(slope) * 2.0**n + 2 < 1 << MULTIPLIER_BITS), 0)
    first, last = 0, widest
    while first < last:
        middle = (first + last) // 2
        first, last = (first, middle) if at(middle) else (middle + 1, last)
    return at(first)


def _roundest(low: int, high: int) -> int:
    """The number from low to high with the most zeros at its end."""
    for zeros in range(62, -1, -1):
        candidate = -(-low >> zeros) << zeros
        if candidate <= high:
            return candidate
    return low
