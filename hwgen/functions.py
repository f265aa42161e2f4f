"""Functions of one activation while they are still floats: what a network computes between two quantizers."""

from dataclasses import dataclass

import numpy as np

from hwgen.errors import OffGrid
from hwgen.ir import TensorType
from hwgen.ops.conv import WEIGHT_BITS, Conv
from hwgen.ops.lookup import Lookup
from hwgen.ops.quantize import Quantize

LINE_BITS = 22  # of an activation of which a line is worked out


@dataclass(frozen=True, eq=False)
class Function:
    """What the network computes of the tensor `x` alone, number by number.

    name    what it is called, for messages and reports
    path    the layer's path in the module
    values  float64, for each integer in the range of `x`, in order
    line    whether it is a multiple of x and a constant
    """

    x: str
    name: str
    path: str
    values: np.ndarray
    line: bool = False

    @staticmethod
    def itself(x: str, kind: TensorType, path: str) -> "Function":
        """The activation itself."""
        values = np.arange(kind.qtype.low, kind.qtype.high + 1, dtype=np.float64) * 2.0**kind.exponent
        return Function(x, "identity", path, values, line=True)

    def table(self, quantize: Quantize, kind: TensorType) -> Lookup:
        return Lookup.of(self.name, self.values, quantize, kind, self.path)

    def scale(self, quantize: Quantize, kind: TensorType) -> Conv:
        """What `quantize` makes the same integers of as of this line, for each integer in the range of `kind`: a
        depthwise 1x1 convolution. Raises OffGrid where no multiplier of WEIGHT_BITS does."""
        with np.errstate(over="ignore"):
            scaled = self.values * 2.0**-quantize.exponent
        levels = np.floor(scaled)
        levels += scaled - levels >= 0.5
        x = np.arange(kind.qtype.low, kind.qtype.high + 1)
        slope = (scaled[-1] - scaled[0]) / max(1, len(x) - 1)
        found = fit_line(x, levels, slope, quantize.low, quantize.high)
        if found is None:
            raise OffGrid(
                f"{self.name} of {kind.qtype.bits} bits: no multiplier of {WEIGHT_BITS} bits gives all its results",
                self.path,
                "quantize its input to fewer bits, or its result to fewer levels",
            )
        multiplier, bias, shift = found
        channels = kind.shape[0]
        weight = np.full((channels, 1, 1, 1), multiplier * 2.0 ** (quantize.exponent - shift - kind.exponent))
        offset = np.full(channels, (bias - 2.0 ** (shift - 1)) * 2.0**quantize.exponent * 2.0**-shift)
        return Conv(weight, offset, groups=channels, path=self.path, activations_limited=False)


def fit_line(x: np.ndarray, levels: np.ndarray, slope: float, low: int, high: int) -> tuple[int, int, int] | None:
    """The first (multiplier, bias, shift), by shift, with clamp((multiplier * x + bias) >> shift, low, high) ==
    clamp(levels, low, high) for all x, int64; None if no multiplier of WEIGHT_BITS bits has it.

    slope -- of the levels before they were rounded: the multiplier is the nearest to it, or one beside that; each x
    then bounds the bias from below, from above, or both
    """
    clipped = np.clip(levels, low, high)
    over, under = levels > low, levels < high
    for shift in range(WEIGHT_BITS + LINE_BITS):
        nearest = round(slope * 2**shift)
        for multiplier in (nearest, nearest - 1, nearest + 1):
            if abs(multiplier) >= 1 << WEIGHT_BITS:
                continue
            product = multiplier * x.astype(np.float64)  # exact: below 2^53
            bottom = (clipped * 2.0**shift - product)[over].max(initial=-(2.0**52))
            top = ((clipped + 1) * 2.0**shift - product)[under].min(initial=2.0**52) - 1
            if bottom <= top:
                return multiplier, _roundest(int(bottom), int(top)), shift
    return None


def _roundest(low: int, high: int) -> int:
    """The number from low to high with the most zeros at its end."""
    for zeros in range(62, -1, -1):
        candidate = -(-low >> zeros) << zeros
        if candidate <= high:
            return candidate
    return low
