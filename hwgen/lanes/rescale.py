"""rtl/rescale.v: what brings finished sums to levels where that takes a multiplication, a sum or a few at a time."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hwgen.lanes.entries import Rounds
from hwgen.ops.quantize import Quantize, clamp_ends
from hwgen.ops.rescale import Rescale
from hwgen.qtype import QType, signed_width
from hwgen.rom import Rom
from hwgen.stage import Stage
from hwgen.sums import ExactSums, conv_of
from hwgen.verilog import Value, signed64

LONG_BITS, SHORT_BITS, WIDE_BITS = 26, 18, 35  # of the factors of a slice, and of a multiplier in two
SLICE_BITS, SLICES_BITS = 48, 63  # of a sum in a slice, and in two


@dataclass(frozen=True, eq=False)
class Products:
    """The numbers of rtl/scale_product.v.

    quantize  with a multiplier, a bias and ties for each channel, or for all
    x_bits    of a saturated sum
    product   the range of its products, biases included
    """

    quantize: Rescale
    x_bits: int
    product: QType

    @staticmethod
    def of(quantize: Rescale, reach: np.ndarray, bits: int) -> "Products":
        """reach -- int64 [channels, 2]: the least and the greatest sum, of `bits` bits, of each channel"""
        whole = Products(quantize, bits, _products(quantize, bits))
        if whole.slices == 1:
            return whole
        least = _saturated(quantize, reach, bits)
        return Products(quantize, least, _products(quantize, least))

    @property
    def multiplier_bits(self) -> int:
        return signed_width(int(self.quantize.multipliers.min()), int(self.quantize.multipliers.max()))

    @property
    def bias_bits(self) -> int:
        return max(1, int(self.quantize.biases.max() - self.quantize.biases.min()).bit_length())

    @property
    def ties_bits(self) -> int:
        return int(self.quantize.ties.max()).bit_length()

    @property
    def product_bits(self) -> int:
        return max(signed_width(self.product.low, self.product.high), self.quantize.shift + 1)

    @property
    def slices(self) -> int:
        """Of a product; 0: they cannot hold it."""
        short, long = sorted((self.x_bits, self.multiplier_bits))
        if short <= SHORT_BITS and long <= LONG_BITS and self.product_bits <= SLICE_BITS:
            return 1
        wide = self.x_bits <= LONG_BITS and self.multiplier_bits <= WIDE_BITS and self.product_bits <= SLICES_BITS
        return 2 if wide and self.bias_bits < SLICE_BITS else 0

    @property
    def registers(self) -> int:
        """From a register that requantize.v has for finished sums, too, to the words that are sent, less one."""
        return 2 + 2 * self.slices

    @property
    def ends(self) -> dict[str, int]:
        """LOW and HIGH of the clamp."""
        quantize = self.quantize
        # a tie may make one less of the least level
        least, most = (self.product.low >> quantize.shift) - (self.ties_bits > 0), self.product.high >> quantize.shift
        return clamp_ends(QType(least, most), Quantize(quantize.exponent, quantize.low, quantize.high))

    def parameters(self) -> dict[str, Value]:
        """Those of rtl/term_lanes.v, but for MULTIPLIERS and the file."""
        return {
            "SCALED_W": self.x_bits,
            "MULTIPLIER_W": self.multiplier_bits,
            "BIAS_W": self.bias_bits,
            "LEAST_BIAS": signed64(int(self.quantize.biases.min())),
            "TIES_W": self.ties_bits,
            "PRODUCT_W": self.product_bits,
            "SHIFT": self.quantize.shift,
        }

    def rom(self, channels: tuple[int, ...]) -> Rom:
        """The words of rtl/scale_product.v; channels -- in the order in which their sums come."""
        quantize, places = self.quantize, list(channels)
        numbers = [(values if len(values) == 1 else values[places]) for values in self._numbers]
        ties, bias, multiplier = np.broadcast_arrays(*numbers)
        return Rom.of_fields(
            [
                (ties, self.ties_bits),
                (bias - quantize.biases.min(), self.bias_bits),
                (multiplier, self.multiplier_bits),
            ]
        )

    @property
    def _numbers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.quantize.ties, self.quantize.biases, self.quantize.multipliers

    @cached_property
    def alike(self) -> bool:
        """Whether all channels have the same numbers."""
        return all(len(values) == 1 for values in self._numbers)


def products_of(stage: Stage, bits: int) -> Products | None:
    """What brings the sums of a stage, of `bits` bits, to levels, where these are products."""
    quantize = stage.quantize
    if not isinstance(quantize, Rescale):
        return None
    if stage.loadable:  # other weights may reach all that an accumulator holds
        reach = np.array([[-(1 << (bits - 1)), (1 << (bits - 1)) - 1]])
    else:
        ranges = ExactSums.of(conv_of(stage), stage.x, None).ranges
        reach = np.array([[one.low, one.high] for one in ranges])
    return stage.once(("products", bits), lambda: Products.of(quantize, reach, bits))


def _products(quantize: Rescale, bits: int) -> QType:
    """The range of what two's complement numbers of so many bits give, before the shift."""
    ends = np.array([-(1 << (bits - 1)), (1 << (bits - 1)) - 1], object)
    found = quantize.multipliers.astype(object)[:, None] * ends + quantize.biases.astype(object)[:, None]
    return QType(int(found.min()), int(found.max()))


def _saturated(quantize: Rescale, reach: np.ndarray, bits: int) -> int:
    """Bits of the narrowest two's complement number to which all sums can be saturated: beyond it each channel has one
    level."""
    wanted = _levels(quantize, reach.astype(object))

    def enough(width: int) -> bool:
        clipped = np.clip(reach, -(1 << (width - 1)), (1 << (width - 1)) - 1)
        return bool((_levels(quantize, clipped.astype(object)) == wanted).all())

    return next((width for width in range(2, bits) if enough(width)), bits)


def _levels(quantize: Rescale, sums: np.ndarray) -> np.ndarray:
    """Of sums of each channel: object [channels, N], since the products may exceed 64 bits."""
    multipliers, biases, ties = (
        values.astype(object)[:, None] for values in (quantize.multipliers, quantize.biases, quantize.ties)
    )
    scaled = sums * multipliers + biases
    level = scaled >> quantize.shift
    level = level - ((level & 1) * (scaled - (level << quantize.shift) < ties))
    return np.minimum(np.maximum(level, quantize.low), quantize.high)


def shared(rounds: Rounds, lanes: int, pace: int) -> tuple[int, Rounds]:
    """The fewest multipliers with which rounds are as short as with one for each of the lanes, and the rounds then;
    pace -- cycles of a multiplier for a sum."""

    def at(count: int) -> Rounds:
        return replace(rounds, word_cycles=-(-lanes // count) * pace)

    counts = sorted({-(-lanes // sums) for sums in range(1, lanes + 1)})
    shortest = at(lanes).cycles
    fewest = next(count for count in counts if at(count).cycles == shortest)
    return fewest, at(fewest)
