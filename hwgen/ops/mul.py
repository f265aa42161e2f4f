"""Mul: the product of two tensors of one shape, exactly."""

from dataclasses import dataclass

from hwgen.errors import DoesNotFit, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.ops.conv import ACCUMULATOR_BITS
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType


@dataclass(frozen=True)
class Mul(Op):
    path: str = ""
    elementwise = True
    degree = 2

    def carries(self, quantizer):
        return isinstance(quantizer, Quantize)

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if a.shape != b.shape:
            raise UnsupportedLayer(
                f"multiplying {list(a.shape)} and {list(b.shape)}",
                self.path,
                "make the shapes equal",
            )
        products = [x * y for x in (a.qtype.low, a.qtype.high) for y in (b.qtype.low, b.qtype.high)]
        qtype = QType(min(products), max(products))
        if qtype.bits > ACCUMULATOR_BITS:
            raise DoesNotFit(
                f"the product needs {qtype.bits} bits, above {ACCUMULATOR_BITS}",
                self.path,
                "quantize the factors before the multiplication",
            )
        return TensorType(a.shape, qtype, a.exponent + b.exponent)

    def eval(self, types, a, b):
        return a * b
