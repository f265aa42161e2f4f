"""rtl/rescale.v: what brings finished sums to levels where a shift does not, a sum or a few at a time."""

from dataclasses import dataclass, replace

import numpy as np

from hwgen.lanes.entries import Rounds
from hwgen.lanes.price import clamp_luts
from hwgen.ops.quantize import UNBOUNDED, Quantize, clamp_ends
from hwgen.ops.rescale import Rescale, Steps
from hwgen.qtype import QType, ceil_log2, signed_width
from hwgen.rom import LUT_WORDS, Rom
from hwgen.stage import Stage
from hwgen.sums import ExactSums, conv_of
from hwgen.verilog import Value, signed64

LONG_BITS, SHORT_BITS, WIDE_BITS = 26, 18, 35  # of the factors of a slice, and of a multiplier in two
SLICE_BITS, SLICES_BITS = 48, 63  # of a sum in a slice, and in two


class Scaler:
    """What is done to a sum; `sum_bits` of it are looked at, the rest says only that it is beyond them.

    number     SCALER of rtl/rescale.v
    pace       clocks that a sum takes
    registers  more than requantize.v has from finished sums to the words that are sent
    slices     DSP slices of each
    own_memory whether each reads a memory of its own
    ends       LOW and HIGH of the levels
    """

    number: int
    pace: int = 1
    registers: int
    slices: int = 0
    own_memory: bool = False
    sum_bits: int

    @property
    def ends(self) -> dict[str, int]:
        raise NotImplementedError(f"{type(self).__name__}.ends")

    def parameters(self) -> dict[str, Value]:
        """Those of rtl/term_lanes.v beside the ends, the file, and how many there are."""
        raise NotImplementedError(f"{type(self).__name__}.parameters")

    def rom(self, channels: tuple[int, ...]) -> Rom:
        """What the scalers read; channels -- in the order in which their sums come."""
        raise NotImplementedError(f"{type(self).__name__}.rom")

    def depth(self, channels: tuple[int, ...]) -> int:
        """For how many channels `rom` has numbers of their own."""
        raise NotImplementedError(f"{type(self).__name__}.depth")

    def luts(self, bits: int, out_bits: int) -> float:
        """Of one scaler of sums of `bits` bits, without its memory and the choice of a sum."""
        raise NotImplementedError(f"{type(self).__name__}.luts")


@dataclass(frozen=True, eq=False)
class Products(Scaler):
    """Of a multiplication, a bias and a shift.

    quantize  with a multiplier, a bias and ties for each channel, or for all
    sum_bits  of what is multiplied
    product   the range of its products, biases included
    beyond    whether sums may have more bits: their level is an end
    """

    quantize: Rescale
    sum_bits: int
    product: QType
    beyond: bool

    @classmethod
    def of(cls, quantize: Rescale, bits: int, reach: np.ndarray | None):
        """reach -- int64 [channels, 2]: the least and the greatest sum, of `bits` bits, of each channel; None: as they
        are multiplied"""
        least = bits if reach is None else _bits_that_matter(quantize, reach, bits)
        ends = np.array([-(1 << (least - 1)), (1 << (least - 1)) - 1], object)
        found = quantize.multipliers.astype(object)[:, None] * ends + quantize.biases.astype(object)[:, None]
        return cls(quantize, least, QType(int(found.min()), int(found.max())), least < bits)

    @property
    def multiplier_bits(self) -> int:
        return signed_width(int(self.quantize.multipliers.min()), int(self.quantize.multipliers.max()))

    @property
    def ties_bits(self) -> int:
        return int(self.quantize.ties.max()).bit_length()

    @property
    def product_bits(self) -> int:
        """Of a product; where sums may be beyond, of one that is beyond both ends, too."""
        low, high = self.ends.values()
        least = self.quantize.shift + (signed_width(low, high) + 1 if self.beyond else 1)
        return max(signed_width(self.product.low, self.product.high), least)

    @property
    def ends(self):
        quantize = self.quantize
        clamp = Quantize(quantize.exponent, quantize.low, quantize.high)
        if self.beyond:
            return {"LOW": clamp.low, "HIGH": clamp.high}
        # a tie may make one less of the least level
        least, most = (self.product.low >> quantize.shift) - (self.ties_bits > 0), self.product.high >> quantize.shift
        return clamp_ends(QType(least, most), clamp)

    def parameters(self):
        return {
            "SCALER": self.number,
            "PACE": self.pace,
            "SCALED_W": self.sum_bits,
            "TIES_W": self.ties_bits,
            "PRODUCT_W": self.product_bits,
            "SHIFT": self.quantize.shift,
        }

    def luts(self, bits, out_bits):
        low, high = self.ends.values()
        luts = clamp_luts(self.product_bits - self.quantize.shift, out_bits, low, high)
        luts += out_bits if -UNBOUNDED < low < 0 and high < UNBOUNDED - 1 else 0
        luts += self.quantize.shift / 5 + 1 if self.ties_bits else 0
        return luts + (4 + 2 * -(-(bits - self.sum_bits + 1) // 6) if self.beyond else 0)

    @property
    def channels(self) -> int:
        """That have numbers of their own, or 1."""
        return max(len(values) for values in self._numbers)

    def depth(self, channels):
        return self.channels

    @property
    def _numbers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.quantize.ties, self.quantize.biases, self.quantize.multipliers

    def placed(self, channels: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        """Ties, biases and multipliers, int64 [depth] each."""
        places = list(channels)
        found = [values if len(values) == 1 else values[places] for values in self._numbers]
        return tuple(np.broadcast_arrays(*found))
        return tuple(np.broadcast_arrays(*found))


class Slices(Products):
    """rtl/scale_product.v: in DSP slices, one after the other every clock."""

    number = 0

    @staticmethod
    def fitting(quantize: Rescale, reach: np.ndarray, bits: int) -> "Slices | None":
        """With all bits of a sum where one slice takes these, else with those that matter; None: slices do not do."""
        short = _short_biases(quantize, reach)
        whole = Slices.of(short, bits, None)
        found = whole if whole.slices == 1 else Slices.of(short, bits, reach)
        return found if found.slices else None

    @property
    def bias_zeros(self) -> int:
        """Low bits that no bias has."""
        some = int(np.bitwise_or.reduce(self.quantize.biases))
        return (some & -some).bit_length() - 1 if some else 0

    @property
    def bias_bits(self) -> int:
        """Of what a bias is above the least one, without these."""
        span = int(self.quantize.biases.max() - self.quantize.biases.min()) >> self.bias_zeros
        return max(1, span.bit_length())

    @property
    def slices(self) -> int:  # type: ignore[override]
        """Of a product; 0: they cannot hold it."""
        short, long = sorted((self.sum_bits, self.multiplier_bits))
        if short <= SHORT_BITS and long <= LONG_BITS and self.product_bits <= SLICE_BITS:
            return 1
        wide = self.sum_bits <= LONG_BITS and self.multiplier_bits <= WIDE_BITS and self.product_bits <= SLICES_BITS
        return 2 if wide and self.bias_bits + self.bias_zeros < SLICE_BITS else 0

    @property
    def registers(self) -> int:  # type: ignore[override]
        return 2 + 2 * self.slices + (self.channels > LUT_WORDS)

    def parameters(self):
        return super().parameters() | {
            "MULTIPLIER_W": self.multiplier_bits,
            "BIAS_W": self.bias_bits,
            "BIAS_ZEROS": self.bias_zeros,
            "LEAST_BIAS": signed64(int(self.quantize.biases.min())),
        }

    def rom(self, channels):
        ties, bias, multiplier = self.placed(channels)
        least = self.quantize.biases.min()
        return Rom.of_fields(
            [
                (ties, self.ties_bits),
                ((bias - least) >> self.bias_zeros, self.bias_bits),
                (multiplier, self.multiplier_bits),
            ]
        )


class Digits(Products):
    """rtl/scale_serial.v: a digit of the multiplier a clock, in lookup tables."""

    number = 1

    @staticmethod
    def fitting(quantize: Rescale, reach: np.ndarray, bits: int, out_bits: int) -> "Digits":
        """out_bits -- of a level: biases are made positive by a multiple of what that drops."""
        step = 1 << (quantize.shift + out_bits)
        up = max(0, -(int(quantize.biases.min()) // step))
        raised = replace(
            quantize,
            biases=quantize.biases + up * step,
            low=quantize.low + (up << out_bits),
            high=quantize.high + (up << out_bits),
        )
        return Digits.of(raised, bits, reach)

    def luts(self, bits, out_bits):
        return super().luts(bits, out_bits) + self.product_bits + 4

    @property
    def digits(self) -> int:
        bits = max(self.multiplier_bits, int(self.quantize.biases.max()).bit_length(), self.ties_bits)
        return -(-bits // 2)

    @property
    def pace(self) -> int:  # type: ignore[override]
        return self.digits + 1

    @property
    def registers(self) -> int:  # type: ignore[override]
        return 1 + (self.channels << ceil_log2(self.pace) > LUT_WORDS)

    @property
    def product_bits(self):
        return max(super().product_bits, self.sum_bits + 2)

    def rom(self, channels):
        ties, bias, multiplier = (values[:, None] for values in self.placed(channels))
        place = 2 * np.arange(self.digits)[::-1]
        three = np.where(place, multiplier >> np.maximum(place - 1, 0), multiplier << 1) & 7
        one, negative = (three ^ three >> 1) & 1, three >> 2
        two = (1 - one) & (three >> 1 ^ three >> 2)
        digit = negative << 2 | two << 1 | one
        word = (ties >> place & 3) << 5 | (bias >> place & 3) << 3 | digit
        word = np.pad(word, ((0, 0), (0, (1 << ceil_log2(self.pace)) - self.digits)))
        return Rom.of_fields([(word.reshape(-1), 7 if self.ties_bits else 5)])


@dataclass(frozen=True, eq=False)
class Thresholds(Scaler):
    """rtl/scale_steps.v: a binary search among thresholds, in lookup tables and a memory of its own for each."""

    quantize: Steps
    sum_bits: int
    number = 2
    registers = 1
    own_memory = True

    @property
    def steps(self) -> int:
        """Bits of a count."""
        return max(1, ceil_log2(self.quantize.thresholds.shape[1] + 1))

    @property
    def pace(self) -> int:  # type: ignore[override]
        return 2 * self.steps

    @property
    def ends(self):
        return {"LOW": self.quantize.low, "HIGH": self.quantize.high}

    def parameters(self):
        return {"SCALER": self.number, "PACE": self.pace, "SCALED_W": self.sum_bits}

    def luts(self, bits, out_bits):
        # a comparison, three bits in two LUTs, a count, and the level
        return 2 * -(-bits // 3) + self.steps + out_bits

    def depth(self, channels):
        return 1 if len(self.quantize.thresholds) == 1 else len(channels)

    def rom(self, channels):
        thresholds, most = self.quantize.thresholds, (1 << (self.sum_bits - 1)) - 1
        thresholds = thresholds if len(thresholds) == 1 else thresholds[list(channels)]
        missing = (1 << self.steps) - 1 - thresholds.shape[1]
        words = np.pad(thresholds, ((0, 0), (1, missing)), constant_values=((0, 0), (0, most + 1)))
        words[:, 0] = 0
        return Rom.of_fields(
            [(words.reshape(-1) > most, 1), (np.clip(words, -most - 1, most).reshape(-1), self.sum_bits)]
        )


def scaler_of(stage: Stage, bits: int, multiplier: str) -> Scaler | None:
    """What brings the sums of a stage, of `bits` bits, to levels; None where that takes a shift and a clamp.

    multiplier -- of sums: dsp, in a slice where that holds it; lut
    """
    quantize = stage.quantize

    def made() -> Scaler:
        if isinstance(quantize, Steps):
            return Thresholds(quantize, bits)
        assert isinstance(quantize, Rescale), f"{stage.name}: {quantize} is no scaling"
        reach = _reach(stage, bits)
        slices = Slices.fitting(quantize, reach, bits) if multiplier == "dsp" else None
        return slices or Digits.fitting(quantize, reach, bits, stage.y.qtype.bits)

    if quantize is None or stage.rounds is not None:
        return None
    return stage.once(("scaler", bits, multiplier, stage.loadable), made)


def _reach(stage: Stage, bits: int) -> np.ndarray:
    """int64 [channels, 2] or [1, 2]: the least and the greatest sum of each channel, or of all."""
    if stage.loadable:  # other weights may reach all that an accumulator holds
        return np.array([[-(1 << (bits - 1)), (1 << (bits - 1)) - 1]])
    return np.array([[one.low, one.high] for one in ExactSums.of(conv_of(stage), stage.x, None).ranges])


def _short_biases(quantize: Rescale, reach: np.ndarray) -> Rescale:
    """With biases that end in as many zeros as all of them can, each sum's level being as it was; where there are ties
    a bias is what it is."""
    most_product = float(np.abs(quantize.multipliers).max()) * float(np.abs(reach).max())
    if quantize.ties.any() or most_product >= 2.0**60:
        return quantize
    multipliers, biases, shift = quantize.multipliers, quantize.biases, quantize.shift
    sign = np.where(multipliers < 0, -1, 1)
    slope = (multipliers * sign)[:, None]
    # of sums that rise with the level: from low to high, and the least one of each level, if not out of reach
    low, high = np.where(sign > 0, reach.T, -reach.T[::-1])[:, :, None]
    starts = np.arange(quantize.low + 1, quantize.high + 1) << shift
    first = np.clip(-((biases[:, None] - starts) // np.maximum(slope, 1)), low, high + 1)
    none = np.int64(1) << 62
    least = np.where(first <= high, starts - slope * first, -none).max(axis=1)
    most = np.where(first > low, starts - slope * (first - 1) - 1, none).min(axis=1)
    if len(biases) == len(multipliers) == 1:  # one for all channels
        least, most = least.max(keepdims=True), most.min(keepdims=True)
    short = biases
    for zeros in range(1, shift + 1):
        least_of, most_of = -(-least >> zeros) << zeros, most >> zeros << zeros
        if (least_of > most_of).any():
            break
        short = np.clip(biases >> zeros << zeros, least_of, most_of)
    return replace(quantize, biases=short)


def _bits_that_matter(quantize: Rescale, reach: np.ndarray, bits: int) -> int:
    """Bits of the narrowest two's complement number beyond which all sums have an end for their level."""
    rising = quantize.multipliers >= 0
    below, above = np.where(rising, quantize.low, quantize.high), np.where(rising, quantize.high, quantize.low)

    def enough(width: int) -> bool:
        before, behind = -(1 << (width - 1)) - 1, 1 << (width - 1)
        return all(
            bool(((reach[:, end] * sign < x * sign) | (_levels(quantize, x) == wanted)).all())
            for end, sign, x, wanted in ((0, -1, before, below), (1, 1, behind, above))
        )

    return next((width for width in range(2, bits) if enough(width)), bits)


def _levels(quantize: Rescale, x: int) -> np.ndarray:
    """Of one sum in each channel; products may exceed 64 bits."""
    multipliers, biases, ties = (
        values.astype(object) for values in (quantize.multipliers, quantize.biases, quantize.ties)
    )
    scaled = x * multipliers + biases
    level = scaled >> quantize.shift
    level = level - (level & 1) * (scaled - (level << quantize.shift) < ties)
    return np.minimum(np.maximum(level, quantize.low), quantize.high)


def shared(rounds: Rounds, lanes: int, pace: int, late: int) -> tuple[int, Rounds]:
    """The fewest scalers with which rounds are as short as with one for each of the lanes, and the rounds then; pace --
    clocks of a scaler for a sum; late -- as in Rounds."""

    def at(count: int) -> Rounds:
        return replace(rounds, word_cycles=-(-lanes // count) * pace, late=late)

    counts = sorted({-(-lanes // sums) for sums in range(1, lanes + 1)})
    shortest = at(lanes).cycles
    fewest = next(count for count in counts if at(count).cycles == shortest)
    return fewest, at(fewest)
