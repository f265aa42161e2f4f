"""Quantize: to another grid, rounding half up, and a clamp: ActQuant, ReLU and ReLU6."""

from dataclasses import dataclass
from fractions import Fraction
from math import floor, inf, isfinite
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hwgen.errors import DoesNotFit, OffGrid, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.nn import ActQuant, limits
from hwgen.ops import imports
from hwgen.ops.conv import identity
from hwgen.qtype import QType
from hwgen.terms import trailing_exponent
from hwgen.verilog import Value, signed64

if TYPE_CHECKING:
    from hwgen.ops.rescale import Quantizer

RESULT_BITS = 48  # of any tensor, two's complement
UNBOUNDED = 1 << 62
WORD_BITS = 62  # of int64, with the sign and a carry


@dataclass(frozen=True)
class Quantize(Op):
    """clamp(floor(x * 2^-exponent + 1/2), low, high): worth 2^exponent each. Exact when `exponent` is not above x's
    own."""

    exponent: int
    low: int
    high: int
    elementwise = True
    even: ClassVar[bool] = False

    @property
    def requantization(self) -> "Quantize":
        return self

    def hardware(self, x):
        return identity(x.shape[0])

    def only(self, channels: list[int]) -> "Quantize":
        """The requantization of some channels: all are alike."""
        return self

    @property
    def bounded(self) -> bool:
        """Whether both ends of the clamp are there."""
        return self.low > -UNBOUNDED and self.high < UNBOUNDED

    def shift(self, x: TensorType) -> int:
        """Bits that rounding drops; negative: zeros appended."""
        return self.exponent - x.exponent

    def infer(self, x: TensorType) -> TensorType:
        if x.qtype.bits + max(0, -self.shift(x)) > WORD_BITS or self.shift(x) > WORD_BITS:
            raise DoesNotFit(
                f"the grids 2^{x.exponent} and 2^{self.exponent} are too far apart for {x.qtype.bits} bits",
                f"a quantizer of exponent {self.exponent}",
                "choose an exponent nearer to that of its input",
            )
        bounds = [min(max(self._round(v, self.shift(x)), self.low), self.high) for v in (x.qtype.low, x.qtype.high)]
        return TensorType(x.shape, QType(*bounds), self.exponent)

    def eval(self, types, x):
        return self._round(x, self.shift(types[0])).clamp(self.low, self.high)

    @staticmethod
    def _round(value, shift):
        return value << -shift if shift <= 0 else (value + (1 << (shift - 1))) >> shift


def clamp_ends(unclamped: QType, quantize: "Quantizer | None") -> dict[str, int]:
    """LOW and HIGH of rtl/requantize.v: an end that the values never pass is set where it costs no logic."""
    low, high = (-UNBOUNDED, UNBOUNDED) if quantize is None else (quantize.low, quantize.high)
    return {
        "LOW": low if unclamped.low < low else -UNBOUNDED,
        "HIGH": high if unclamped.high > high else UNBOUNDED - 1,
    }


def end_parameters(ends: dict[str, int]) -> dict[str, Value]:
    """LOW and HIGH as the modules of rtl/ are given them: NO_LOW or NO_HIGH where UNBOUNDED says that there is no
    end."""
    low: dict[str, Value] = {"NO_LOW": 1} if ends["LOW"] == -UNBOUNDED else {"LOW": signed64(ends["LOW"])}
    return low | ({"NO_HIGH": 1} if ends["HIGH"] == UNBOUNDED - 1 else {"HIGH": signed64(ends["HIGH"])})


@imports("hwgen.act_quant.default", quantizes=True)
def act_quant(importer, x, bits, exponent, signed):
    ActQuant(bits, exponent, signed)  # its limits hold for a program that calls the op itself, too
    return importer.add(Quantize(exponent, *limits(bits, signed)), x)


@imports("aten.relu.default", "aten.relu_.default")
def relu(importer, x):
    if importer.is_floats(x):
        return importer.clipped(x, 0.0, inf)
    return importer.known(importer.add(Quantize(importer.type(x).exponent, 0, UNBOUNDED), x))


@imports("aten.relu6.default", "aten.relu6_.default")
def relu6(importer, x):
    return _clip(importer, x, 0.0, 6.0)


@imports("aten.hardtanh.default", "aten.hardtanh_.default")
def hardtanh(importer, x, low=-1.0, high=1.0):
    return _clip(importer, x, low, high)


@imports("aten.clamp.default", "aten.clamp_.default")
@imports("aten.clamp_min.default", "aten.clamp_min_.default")
def clamp(importer, x, low=None, high=None):
    return _clip(importer, x, low, high)


@imports("aten.clamp_max.default", "aten.clamp_max_.default")
def clamp_max(importer, x, high):
    return _clip(importer, x, None, high)


def _clip(importer, x, low: float | None, high: float | None):
    """A clamp; None and infinity are no end.

    Its ends are on x's grid, or on a finer one that holds them. Where ActQuants of one exponent alone read the result,
    any end will do: rounding is monotone, so a clamp before it is the clamp at the rounded ends after it.
    """
    if importer.is_floats(x):
        return importer.clipped(x, -inf if low is None else low, inf if high is None else high)
    low, high = (None if low == -inf else low), (None if high == inf else high)
    ends = [float(end) for end in (low, high) if end is not None]
    if not all(isfinite(end) for end in ends):
        raise UnsupportedLayer(
            f"clipping at {low} and {high}", importer.path, "clip at numbers, or leave the end away: None"
        )
    kind = importer.type(x)
    exponent = min([kind.exponent, *(int(trailing_exponent(np.array(end))) for end in ends if end)])
    if exponent < kind.exponent:
        readers = importer.quantizers()
        if readers is not None and len(readers) == 1:
            (exponent,) = readers
        elif kind.qtype.bits + kind.exponent - exponent > RESULT_BITS:
            raise OffGrid(
                f"clipping at {low} and {high} needs a grid of 2^{exponent}, too fine for its input of "
                f"{kind.qtype.bits} bits on 2^{kind.exponent}",
                importer.path,
                "put hwgen.nn.ActQuant right behind it, or clip at multiples of a coarser power of two",
            )

    def level(end: float) -> int:
        return floor(Fraction(end) / Fraction(2) ** exponent + Fraction(1, 2))

    op = Quantize(exponent, -UNBOUNDED if low is None else level(low), UNBOUNDED if high is None else level(high))
    return importer.known(importer.add(op, x))
