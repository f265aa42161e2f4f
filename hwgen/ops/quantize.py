"""Quantize: to another grid, rounding half up, and a clamp: ActQuant, ReLU and ReLU6."""

from dataclasses import dataclass
from math import floor, isinf, isnan

from hwgen.errors import DoesNotFit, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.nn import ActQuant, limits
from hwgen.ops import imports
from hwgen.ops.conv import identity
from hwgen.qtype import QType

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

    @property
    def requantization(self) -> "Quantize":
        return self

    def hardware(self, x):
        return identity(x.shape[0])

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


def clamp_ends(unclamped: QType, quantize: Quantize | None) -> dict[str, int]:
    """LOW and HIGH of rtl/requantize.v: an end that the values never pass is set where it costs no logic."""
    low, high = (-UNBOUNDED, UNBOUNDED) if quantize is None else (quantize.low, quantize.high)
    return {
        "LOW": low if unclamped.low < low else -UNBOUNDED,
        "HIGH": high if unclamped.high > high else UNBOUNDED - 1,
    }


@imports("hwgen.act_quant.default")
def act_quant(importer, x, bits, exponent, signed):
    ActQuant(bits, exponent, signed)  # its limits hold for a program that calls the op itself, too
    return importer.add(Quantize(exponent, *limits(bits, signed)), x)


@imports("aten.relu.default", "aten.relu_.default")
def relu(importer, x):
    return importer.add(Quantize(importer.type(x).exponent, 0, UNBOUNDED), x)


@imports("aten.relu6.default", "aten.relu6_.default")
def relu6(importer, x):
    return _clip(importer, x, 0.0, 6.0)


@imports("aten.hardtanh.default", "aten.hardtanh_.default")
def hardtanh(importer, x, low=-1.0, high=1.0):
    return _clip(importer, x, low, high)


@imports("aten.clamp.default", "aten.clamp_.default")
def clamp(importer, x, low=None, high=None):
    return _clip(importer, x, low, high)


def _clip(importer, x, low: float | None, high: float | None):
    """Both ends must lie on x's grid, or on a finer one that holds them; None and infinity are no end."""
    low, high = (None if end is not None and isinf(end) else end for end in (low, high))
    exponent = importer.type(x).exponent
    for end in (low, high):
        while end is not None and (isnan(end) or floor(end * 2.0**-exponent) != end * 2.0**-exponent):
            exponent -= 1
            if exponent < -60:
                raise UnsupportedLayer(
                    f"clipping at {end} is on no grid of powers of two",
                    importer.path,
                    "clip at a multiple of a power of two",
                )
    low, high = (None if end is None else int(end * 2.0**-exponent) for end in (low, high))
    return importer.add(Quantize(exponent, -UNBOUNDED if low is None else low, UNBOUNDED if high is None else high), x)
