"""Rescale: requantization by any factor, by channel: a multiplication, a bias and a shift; Steps: by any thresholds."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from hwgen.errors import DoesNotFit
from hwgen.ir import Op, TensorType
from hwgen.ops.conv import identity
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType

PRODUCT_BITS = 62  # of int64, with a carry


class ByChannel(Op):
    """A requantization whose numbers are of each channel, or one for all: what its kinds have in common."""

    of_integers = True
    bounded = True

    @property
    def requantization(self):
        return self

    def hardware(self, x):
        return identity(x.shape[0])

    def only(self, channels: list[int]) -> "Quantizer":
        """The requantization of some channels, in that order."""
        raise NotImplementedError(f"{type(self).__name__}.only")


@dataclass(frozen=True, eq=False)
class Rescale(ByChannel):
    """clamp((multiplier * x + bias) >> shift, low, high), each worth 2^exponent; where the `shift` bits that are
    dropped are below `ties` the result, if it is odd, is one less before the clamp: round half even.

    multipliers, biases  int64 [channels], or [1] for all; a multiplier may be negative
    ties                 int64 [channels] or [1], 0 to 2^shift: 0, none; 1 where the factor is multiplier / 2^shift
                         exactly and the half is part of the bias; |multiplier| where each level begins at a tie
    """

    multipliers: np.ndarray = field(repr=False)
    biases: np.ndarray = field(repr=False)
    ties: np.ndarray = field(repr=False)
    shift: int
    low: int
    high: int
    exponent: int = 0
    path: str = ""

    def __str__(self) -> str:
        bits = int(abs(self.multipliers).max()).bit_length()
        even = ", half even" if self.ties.any() else ""
        return f"Rescale[{len(self.multipliers)} of {bits} bits, >> {self.shift}, {self.low}..{self.high}{even}]"

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        return len(self.multipliers) == 1

    @property
    def alike(self) -> tuple[int, int, int] | None:
        """Multiplier, bias and ties, where they are the same in all channels."""
        found = [np.unique(values).tolist() for values in (self.multipliers, self.biases, self.ties)]
        return (found[0][0], found[1][0], found[2][0]) if all(len(values) == 1 for values in found) else None

    def only(self, channels):
        parts = {name: _of(getattr(self, name), channels) for name in ("multipliers", "biases", "ties")}
        return replace(self, **parts)

    def of_coarser(self, bits):
        less = min(bits, self.shift)  # bits that all products have zeros in
        rest = self.biases & ((1 << less) - 1)
        return replace(
            self,
            multipliers=self.multipliers << (bits - less),
            biases=self.biases >> less,
            ties=np.maximum(0, -((rest - self.ties) >> less)),
            shift=self.shift - less,
        )

    def infer(self, x: TensorType) -> TensorType:
        ends = np.array([x.qtype.low, x.qtype.high])
        widest = float(abs(self.multipliers).max()) * float(abs(ends).max()) + float(abs(self.biases).max())
        if widest >= 2.0**PRODUCT_BITS:
            raise DoesNotFit(
                f"its products need {widest:.3g}, above 2^{PRODUCT_BITS}",
                self.path,
                "quantize its input to fewer bits",
            )
        found = self._levels(torch.from_numpy(ends)[None, None, None, :])
        return TensorType(x.shape, QType(int(found.min()), int(found.max())), self.exponent)

    def eval(self, types, x):
        return self._levels(x)

    def _levels(self, x: torch.Tensor) -> torch.Tensor:
        multiplier, bias, ties = (
            torch.from_numpy(values)[None, :, None, None] for values in (self.multipliers, self.biases, self.ties)
        )
        scaled = x * multiplier + bias
        level = scaled >> self.shift
        tie = (scaled & ((1 << self.shift) - 1)) < ties
        return torch.where(tie, level & ~1, level).clamp(self.low, self.high)


@dataclass(frozen=True, eq=False)
class Steps(ByChannel):
    """low + how many of the channel's thresholds are not above x, each worth 2^exponent.

    thresholds  int64 [channels or 1, high - low], ascending in each channel
    """

    thresholds: np.ndarray = field(repr=False)
    low: int
    exponent: int = 0
    path: str = ""

    def __str__(self) -> str:
        return f"Steps[{len(self.thresholds)} of {self.thresholds.shape[1]} thresholds, {self.low}..{self.high}]"

    @property
    def high(self) -> int:
        return self.low + self.thresholds.shape[1]

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        return len(self.thresholds) == 1

    def only(self, channels):
        return replace(self, thresholds=_of(self.thresholds, channels))

    def of_coarser(self, bits):
        return replace(self, thresholds=-(-self.thresholds >> bits))

    def infer(self, x: TensorType) -> TensorType:
        found = self.eval(
            [x], torch.tensor([x.qtype.low, x.qtype.high])[None, None, None, :].expand(1, x.shape[0], 1, 2)
        )
        return TensorType(x.shape, QType(int(found.min()), int(found.max())), self.exponent)

    def eval(self, types, x):
        frames, channels, rows, columns = x.shape
        by_channel = x.transpose(0, 1).reshape(channels, -1).contiguous()
        thresholds = torch.from_numpy(self.thresholds).expand(channels, -1).contiguous()
        count = torch.searchsorted(thresholds, by_channel, right=True)
        return self.low + count.reshape(channels, frames, rows, columns).transpose(0, 1)


def _of(values: np.ndarray, channels: list[int]) -> np.ndarray:
    """Of some channels, of numbers that are each channel's or one for all."""
    return values if len(values) == 1 else values[channels]


Quantizer = Quantize | Rescale | Steps
