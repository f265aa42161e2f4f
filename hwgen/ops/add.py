"""Add: integer multiples of two tensors of one shape, exactly added on the finer of their grids."""

from dataclasses import dataclass

from hwgen.errors import DoesNotFit, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.ops.conv import ACCUMULATOR_BITS
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Rescale
from hwgen.qtype import QType

MULTIPLIER_BITS = 26  # of a magnitude


def shifts(a: TensorType, b: TensorType) -> tuple[int, int]:
    """Left shifts that bring both to the finer grid."""
    exponent = min(a.exponent, b.exponent)
    return a.exponent - exponent, b.exponent - exponent


@dataclass(frozen=True)
class Add(Op):
    """multipliers -- what each is multiplied by, of at most 26 bits: (1, -1), the second is taken from the first"""

    path: str = ""
    multipliers: tuple[int, int] = (1, 1)
    elementwise = True
    degree = 1

    def __str__(self) -> str:
        return "Add" if self.multipliers == (1, 1) else f"Add{list(self.multipliers)}"

    def factors(self, a: TensorType, b: TensorType) -> tuple[int, int]:
        """What the integers of each are multiplied by to be on the common grid."""
        (up_a, up_b), (times_a, times_b) = shifts(a, b), self.multipliers
        return times_a << up_a, times_b << up_b

    def carries(self, quantizer):
        return isinstance(quantizer, Quantize) or (isinstance(quantizer, Rescale) and quantizer.alike is not None)

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if a.shape != b.shape:
            raise UnsupportedLayer(
                f"adding {list(a.shape)} and {list(b.shape)}",
                self.path,
                "broadcasting is not built: make the shapes equal",
            )
        if max(abs(times).bit_length() for times in self.multipliers) > MULTIPLIER_BITS:
            raise DoesNotFit(
                f"the multipliers {list(self.multipliers)} have more than {MULTIPLIER_BITS} bits",
                self.path,
                "quantize the operands with scales whose ratio needs fewer bits",
            )
        ends = [
            sorted((kind.qtype.low * factor, kind.qtype.high * factor))
            for kind, factor in zip((a, b), self.factors(a, b), strict=True)
        ]
        qtype = QType(ends[0][0] + ends[1][0], ends[0][1] + ends[1][1])
        if qtype.bits > ACCUMULATOR_BITS:
            raise DoesNotFit(
                f"the sum needs {qtype.bits} bits, above {ACCUMULATOR_BITS}",
                self.path,
                "quantize the operands before the addition",
            )
        return TensorType(a.shape, qtype, min(a.exponent, b.exponent))

    def eval(self, types, a, b):
        times_a, times_b = self.factors(*types)
        return a * times_a + b * times_b
