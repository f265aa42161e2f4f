"""MatMul: the product of two computed matrices, row by row, with exact accumulators: what attention is made of."""

from dataclasses import dataclass

import torch

from hwgen.errors import DoesNotFit, MissingActQuant, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.ops.conv import ACCUMULATOR_BITS, ACTIVATION_BITS
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType


@dataclass(frozen=True)
class MatMul(Op):
    """y[m, row, l] = sum over k of a[k, row, l] * b[k, row, m]: frames (K, rows, L) and (K, rows, M) give (M, rows, L).

    path -- the layer's path in the module, for messages
    """

    path: str = ""
    degree = 2

    @staticmethod
    def reach(a: TensorType, b: TensorType) -> QType:
        """The range of a sum."""
        ends = [x * y * a.shape[0] for x in (a.qtype.low, a.qtype.high) for y in (b.qtype.low, b.qtype.high)]
        return QType(min(ends), max(ends))

    def carries(self, quantizer):
        return isinstance(quantizer, Quantize)

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if a.shape[:2] != b.shape[:2]:
            raise UnsupportedLayer(
                f"the product of frames {list(a.shape)} and {list(b.shape)}",
                self.path,
                "make channels, which are summed, and rows equal",
            )
        for kind in (a, b):
            if kind.qtype.bits > ACTIVATION_BITS:
                raise MissingActQuant(
                    f"a factor has {kind.qtype.bits} bits",
                    self.path,
                    "put hwgen.nn.ActQuant(bits, exponent, signed) before the product",
                )
        qtype = self.reach(a, b)
        if qtype.bits > ACCUMULATOR_BITS:
            raise DoesNotFit(
                f"a sum of {a.shape[0]} products needs {qtype.bits} bits, above {ACCUMULATOR_BITS}",
                self.path,
                "quantize the factors to fewer bits before the product",
            )
        return TensorType((b.shape[2], *a.shape[1:]), qtype, a.exponent + b.exponent)

    def eval(self, types, a, b):
        # float64 is exact here: |sum| < 2^47
        return torch.einsum("nkrl,nkrm->nmrl", a.double(), b.double()).long()
