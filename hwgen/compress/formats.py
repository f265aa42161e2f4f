"""Weight formats: which integers a weight may be, times one power of two per layer or per output channel.

Every format is a set of magnitudes, sorted from 0 (or from 1 where it has no zero); a weight takes the nearest of them
with its sign, and a tie goes to the larger magnitude. So one projection serves all formats.
"""

from functools import cache
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
LOWEST_EXPONENT, HIGHEST_EXPONENT = -40, 40

# the paper's level sets in integers; 6 bits: one of each part
APOT = {
    2: (0, 1),
    3: (0, 1, 2, 4),
    4: (0, 1, 2, 3, 4, 6, 8, 10),
    5: (0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 33, 36, 48),
    6: tuple(sorted(a + b + c for a in (0, 64, 16, 2) for b in (0, 32, 8, 1) for c in (0, 4))),
}


def digits(values: np.ndarray) -> np.ndarray:
    """Non-zero canonical signed digits of each int64 (same shape): the terms that it costs.

    The canonical form of n has a digit wherever n and 3n differ (Reitwiesner 1960).
    """
    magnitude = np.abs(values.astype(np.int64)).astype(np.uint64)
    return np.bitwise_count(magnitude ^ (np.uint64(3) * magnitude)).astype(np.int64)


class Levels:
    """What all formats are asked. `magnitudes` are the integers that a weight may be, times a power of two, sorted.

    learnt  how many of them a codebook holds that is learnt from the weights; 0: there is none
    """

    @property
    def learnt(self) -> int:
        return 0

    @property
    def has_zero(self) -> bool:
        return self.magnitudes()[0] == 0

    def magnitudes(self) -> tuple[int, ...]:
        raise NotImplementedError(f"{type(self).__name__}.magnitudes")

    def codebook(self, w: Tensor) -> tuple[int, ...]:
        """The magnitudes for the weights w."""
        return self.magnitudes()


@dataclass(frozen=True, config=STRICT)
class PowerOfTwo(Levels):
    """Zero, or a signed power of two: magnitudes 0 and 2^c, c = 0 .. 2^(bits-1) - 2. One term at most.

    4 bits: 0, 1, 2, 4 ... 64; 2 bits: ternary.
    """

    bits: Annotated[int, Field(ge=2, le=5)] = 4
    kind: Literal["power_of_two"] = "power_of_two"

    def magnitudes(self) -> tuple[int, ...]:
        return (0, *(1 << c for c in range((1 << (self.bits - 1)) - 1)))


@dataclass(frozen=True, config=STRICT)
class AdditivePowersOfTwo(Levels):
    """Sums of powers of two, APoT (Li et al., ICLR 2020), 2 to 6 bits; two terms at most up to 5 bits, three with 6."""

    bits: Annotated[int, Field(ge=2, le=6)] = 4
    kind: Literal["apot"] = "apot"

    def magnitudes(self) -> tuple[int, ...]:
        return APOT[self.bits]


@dataclass(frozen=True, config=STRICT)
class Uniform(Levels):
    """Symmetric integers of `bits` bits: -(2^(bits-1) - 1) to 2^(bits-1) - 1."""

    bits: Annotated[int, Field(ge=2, le=16)] = 8
    kind: Literal["uniform"] = "uniform"

    def magnitudes(self) -> tuple[int, ...]:
        return tuple(range(1 << (self.bits - 1)))


@dataclass(frozen=True, config=STRICT)
class Ternary(Levels):
    """-1, 0, 1."""

    kind: Literal["ternary"] = "ternary"

    def magnitudes(self) -> tuple[int, ...]:
        return (0, 1)


@dataclass(frozen=True, config=STRICT)
class Binary(Levels):
    """-1 and 1: no zero, so it excludes pruning."""

    kind: Literal["binary"] = "binary"

    def magnitudes(self) -> tuple[int, ...]:
        return (1,)


@dataclass(frozen=True, config=STRICT)
class SignedDigits(Levels):
    """Integers below 2^(bits-1) of at most `terms` signed digits."""

    terms: Annotated[int, Field(ge=1, le=8)] = 2
    bits: Annotated[int, Field(ge=2, le=12)] = 8
    kind: Literal["signed_digits"] = "signed_digits"

    def magnitudes(self) -> tuple[int, ...]:
        return at_most(tuple(range(1 << (self.bits - 1))), self.terms)


@dataclass(frozen=True, config=STRICT)
class KMeans(Levels):
    """Zero and `levels` - 1 magnitudes learnt from the weights by k-means, each rounded to `bits` bits.

    The codebook is one per layer; it is chosen when the weights first go on the grid.
    """

    levels: Annotated[int, Field(ge=2, le=64)] = 8
    bits: Annotated[int, Field(ge=2, le=10)] = 6
    kind: Literal["kmeans"] = "kmeans"

    @property
    def learnt(self) -> int:
        return self.levels

    def magnitudes(self) -> tuple[int, ...]:
        """All magnitudes that a codebook may hold."""
        return tuple(range(1 << (self.bits - 1)))

    def codebook(self, w: Tensor) -> tuple[int, ...]:
        """Lloyd's algorithm on |w|, one dimension, from the quantiles; the greatest centre is scaled to a power of
        two above the greatest magnitude."""
        values = w.detach().abs().flatten().double()
        values = values[values > 0]
        if not len(values):
            return (0, 1)
        centres = torch.quantile(
            values[:: max(1, len(values) // 100_000)], torch.linspace(0.02, 1, self.levels - 1).double()
        )
        for _ in range(50):
            nearest = torch.bucketize(values, (centres[1:] + centres[:-1]) / 2)
            sums = torch.zeros_like(centres).index_add_(0, nearest, values)
            counts = torch.bincount(nearest, minlength=len(centres))
            moved = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
            if torch.equal(moved, centres):
                break
            centres = moved
        top = (1 << (self.bits - 1)) - 1
        unit = 2.0 ** np.ceil(np.log2(centres.max().item() / top))
        return (0, *sorted({max(1, int(v)) for v in torch.round(centres / unit).tolist()}))


Format = Annotated[
    PowerOfTwo | AdditivePowersOfTwo | Uniform | Ternary | Binary | SignedDigits | KMeans, Field(discriminator="kind")
]


@cache
def at_most(magnitudes: tuple[int, ...], terms: int) -> tuple[int, ...]:
    """Those of `magnitudes` that cost at most `terms` terms."""
    return tuple(m for m in magnitudes if digits(np.array([m]))[0] <= terms)


@cache
def most_terms(magnitudes: tuple[int, ...]) -> int:
    return int(digits(np.array(magnitudes)).max())


@cache
def _tables(magnitudes: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    levels = torch.tensor(magnitudes, dtype=dtype)
    return levels, (levels[1:] + levels[:-1]) / 2


def nearest(v: Tensor, magnitudes: tuple[int, ...]) -> Tensor:
    """The nearest of +-magnitudes to each v (same shape and dtype); a tie goes to the larger magnitude. Zero counts
    as positive where the format has no zero."""
    levels, middles = _tables(magnitudes, v.dtype)
    magnitude = v.abs()
    if magnitudes == tuple(range(len(magnitudes))):
        found = torch.floor(magnitude)
        found = (found + (magnitude - found >= 0.5)).clamp_(max=magnitudes[-1])  # magnitude + 0.5 would round
    else:
        found = levels[torch.bucketize(magnitude.contiguous(), middles, right=True)]
    return torch.where(v < 0, -found, found)


def project(w: Tensor, magnitudes: tuple[int, ...], exponent: Tensor | int) -> Tensor:
    """The nearest level +-magnitude * 2^exponent to each weight; `exponent` broadcasts against w."""
    unit = torch.exp2(torch.as_tensor(exponent, dtype=w.dtype))
    return nearest(w / unit, magnitudes) * unit


def exponent_by_maximum(w: Tensor, magnitudes: tuple[int, ...], per_channel: bool) -> Tensor:
    """The least exponent whose greatest level reaches every weight; shape [C, 1 ...] per output channel, else [1 ...].

    A channel of zeros takes the layer's exponent; a layer of zeros one that fits weights as they are initialized.
    """
    top = _rows(w.detach().abs(), per_channel).amax(1).double()
    top = torch.where(top > 0, top, top.max())
    top = torch.where(top > 0, top, w[0].numel() ** -0.5)
    exponent = torch.ceil(torch.log2(top.clamp(min=2.0**-60) / magnitudes[-1]))
    return _shaped(exponent, w, per_channel)


def exponent_by_error(w: Tensor, magnitudes: tuple[int, ...], per_channel: bool) -> Tensor:
    """The exponent of least squared error, all tried.

    Of equals the greatest up to one above exponent_by_maximum: few low bits idle, and training has levels left below
    weights that it makes smaller.
    """
    w = w.detach().double()
    highest = exponent_by_maximum(w, magnitudes, per_channel)
    # Above these all levels but zero exceed twice the weights. Below, with n weights: half a scale T clips the greatest
    # by T/2 more, which costs max * T/4 at least, and gains T^2/4 at most for each of the others
    rows = _rows(w, per_channel)
    offsets = [*range(1, -(rows.shape[1].bit_length() + 4), -1), *range(2, magnitudes[-1].bit_length() + 2)]
    candidates = [highest + offset for offset in offsets]
    errors = torch.stack([_rows((project(w, magnitudes, e) - w).square(), per_channel).sum(1) for e in candidates])
    best = torch.where(rows.any(1), errors.argmin(0), offsets.index(0))
    return _shaped(torch.stack([c.flatten() for c in candidates]).gather(0, best[None])[0], w, per_channel)


def _rows(w: Tensor, per_channel: bool) -> Tensor:
    return w.reshape(w.shape[0] if per_channel else 1, -1)


def _shaped(exponent: Tensor, w: Tensor, per_channel: bool) -> Tensor:
    exponent = exponent.clamp(LOWEST_EXPONENT, HIGHEST_EXPONENT).to(torch.float32)
    return exponent.reshape(-1 if per_channel else 1, *[1] * (w.ndim - 1))
