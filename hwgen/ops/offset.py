"""Offset: a constant of its own added to each activation of a frame, exactly, on the finer of both grids."""

from dataclasses import dataclass, field

import numpy as np
import torch

from hwgen.errors import DoesNotFit, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.ops.conv import ACCUMULATOR_BITS
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.terms import trailing_exponent


@dataclass(frozen=True, eq=False)
class Offset(Op):
    """values -- int64 [channels, rows, columns], each worth 2^exponent; path -- the layer's path in the module, for
    messages"""

    values: np.ndarray = field(repr=False)
    exponent: int
    path: str = ""

    @staticmethod
    def of(values: np.ndarray, path: str = "") -> "Offset":
        """The finite numbers of a float64 array [channels, rows, columns], on the coarsest grid that holds them; raises
        DoesNotFit where they have more bits than a sum may have."""
        some = values[values != 0]
        exponent = int(trailing_exponent(some).min()) if some.size else 0
        reach = float(np.abs(values).max(initial=0)) * 2.0**-exponent
        if reach >= 2.0 ** (ACCUMULATOR_BITS - 1):
            raise DoesNotFit(
                f"its constants need a grid of 2^{exponent} and are up to {np.abs(values).max():g}",
                path,
                "put the constants on a grid (a quantized parameter) before the build",
            )
        return Offset((values * 2.0**-exponent).astype(np.int64), exponent, path)

    def __str__(self) -> str:
        return f"Offset[{'x'.join(map(str, self.values.shape))}]"

    def shifts(self, x: TensorType) -> tuple[int, int]:
        """Left shifts that bring the activations and the constants to the finer grid; none for zeros."""
        if not self.values.any():
            return 0, 0
        exponent = min(x.exponent, self.exponent)
        return x.exponent - exponent, self.exponent - exponent

    def carries(self, quantizer):
        return isinstance(quantizer, Quantize)

    def infer(self, x: TensorType) -> TensorType:
        if x.shape != self.values.shape:
            raise UnsupportedLayer(
                f"adding constants of shape {list(self.values.shape)} to {list(x.shape)}",
                self.path,
                "make the shapes equal",
            )
        up_x, up_k = self.shifts(x)
        least, most = int(self.values.min()), int(self.values.max())
        qtype = QType((x.qtype.low << up_x) + (least << up_k), (x.qtype.high << up_x) + (most << up_k))
        if qtype.bits > ACCUMULATOR_BITS:
            raise DoesNotFit(
                f"the sum needs {qtype.bits} bits, above {ACCUMULATOR_BITS}",
                self.path,
                "put the constants and the activations on nearer grids",
            )
        return TensorType(x.shape, qtype, x.exponent - up_x)

    def eval(self, types, x):
        up_x, up_k = self.shifts(types[0])
        return (x << up_x) + (torch.from_numpy(self.values) << up_k)
