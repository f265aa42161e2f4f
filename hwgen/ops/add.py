"""Add: two tensors of one shape added, or one taken from the other, exactly, on the finer of their grids."""

from dataclasses import dataclass

from hwgen.errors import DoesNotFit, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.ops.conv import ACCUMULATOR_BITS
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType


def shifts(a: TensorType, b: TensorType) -> tuple[int, int]:
    """Left shifts that bring both to the finer grid."""
    exponent = min(a.exponent, b.exponent)
    return a.exponent - exponent, b.exponent - exponent


@dataclass(frozen=True)
class Add(Op):
    """minus -- whether the second is taken from the first"""

    path: str = ""
    minus: bool = False
    elementwise = True

    def carries(self, quantizer):
        return isinstance(quantizer, Quantize)

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if a.shape != b.shape:
            raise UnsupportedLayer(
                f"adding {list(a.shape)} and {list(b.shape)}",
                self.path,
                "broadcasting is not built: make the shapes equal",
            )
        up_a, up_b = shifts(a, b)
        low, high = b.qtype.low << up_b, b.qtype.high << up_b
        if self.minus:
            low, high = -high, -low
        qtype = QType((a.qtype.low << up_a) + low, (a.qtype.high << up_a) + high)
        if qtype.bits > ACCUMULATOR_BITS:
            raise DoesNotFit(
                f"the sum needs {qtype.bits} bits, above {ACCUMULATOR_BITS}",
                self.path,
                "quantize the operands before the addition",
            )
        return TensorType(a.shape, qtype, min(a.exponent, b.exponent))

    def eval(self, types, a, b):
        up_a, up_b = shifts(*types)
        return (a << up_a) - (b << up_b) if self.minus else (a << up_a) + (b << up_b)
