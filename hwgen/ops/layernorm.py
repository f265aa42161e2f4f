"""LayerNorm: each pixel's channels less their mean, divided by their deviation: hwgen.nn.LayerNorm."""

from dataclasses import dataclass
from math import isqrt

from hwgen.errors import DoesNotFit
from hwgen.grids import limits
from hwgen.ir import Op, TensorType
from hwgen.nn_sequence import NARROWER, ROOT_GUARD, WORD_BITS, integer_eps, normalize
from hwgen.nn_sequence import LayerNorm as Module
from hwgen.ops import imports
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.qtype import QType


@dataclass(frozen=True)
class LayerNorm(Op):
    """y = clamp(floor((n * x - s) * r / 2^(h + exponent) + 1/2)) of the n channels of each pixel, with s, h and r as
    `hwgen.nn.LayerNorm` defines them.

    eps             what is added to v, n^2 times the variance of the integers
    bits, exponent  of a result, two's complement
    """

    eps: int
    bits: int
    exponent: int
    path: str = ""
    of_integers = True

    def most_variance(self, x: TensorType) -> int:
        """The greatest v, also of a pixel's first few channels: these count as if all others were zero."""
        span = max(x.qtype.high, 0) - min(x.qtype.low, 0)
        return (x.shape[0] * span) ** 2 // 4 + self.eps

    def reach(self, x: TensorType) -> int:
        """The greatest magnitude before the clamp: none of n numbers is further than sqrt(n - 1) deviations from their
        mean."""
        return (isqrt((x.shape[0] - 1) << (2 - 2 * self.exponent)) + 1) >> 1

    def infer(self, x: TensorType) -> TensorType:
        bits = self.most_variance(x).bit_length()
        if bits + self.bits + ROOT_GUARD + 3 > WORD_BITS:
            channels = x.shape[0]
            raise DoesNotFit(f"the variance of {channels} channels of {x.qtype} needs {bits} bits", self.path, NARROWER)
        (low, high), reach = limits(self.bits, True), self.reach(x)
        return TensorType(x.shape, QType(max(low, -reach), min(high, reach)), self.exponent)

    def eval(self, types, x):
        return normalize(x, 1, self.eps, self.bits, self.exponent)


@imports("hwgen.layer_norm.default")
def layer_norm(importer, x, dim, in_exponent, bits, exponent, eps):
    Module(in_exponent, bits, exponent, eps, dim)  # its limits hold for a program that calls the op itself, too
    n = (1, *importer.shape(x))[dim]
    op = LayerNorm(integer_eps(eps, n, in_exponent), bits, exponent, importer.path)
    return importer.over(on_grid(importer, x, in_exponent), dim, op)


def on_grid(importer, x, exponent: int):
    """The tensor on a module's own grid, rounded as the module does, and not clamped."""
    same = importer.type(x).exponent == exponent and not importer.is_function(x)
    return x if same else importer.add(Quantize(exponent, -UNBOUNDED, UNBOUNDED), x)
