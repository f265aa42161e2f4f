"""Concat: two frames one behind the other, along channels, rows or columns, on the finer of their grids."""

from dataclasses import dataclass

import torch

from hwgen.errors import DoesNotFit, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.ops import imports
from hwgen.ops.add import shifts
from hwgen.ops.conv import ACCUMULATOR_BITS
from hwgen.qtype import QType

AXES = ("channels", "rows", "columns")


@dataclass(frozen=True)
class Concat(Op):
    """axis -- 0: channels, 1: rows, 2: columns; path -- the layer's path in the module, for messages"""

    axis: int
    path: str = ""

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        others = [tuple(n for axis, n in enumerate(kind.shape) if axis != self.axis) for kind in (a, b)]
        if others[0] != others[1]:
            raise UnsupportedLayer(
                f"concatenating {list(a.shape)} and {list(b.shape)} along {AXES[self.axis]}",
                self.path,
                f"make them equal but for their {AXES[self.axis]}",
            )
        up_a, up_b = shifts(a, b)
        low = min(a.qtype.low << up_a, b.qtype.low << up_b)
        qtype = QType(low, max(a.qtype.high << up_a, b.qtype.high << up_b))
        if qtype.bits > ACCUMULATOR_BITS:
            raise DoesNotFit(
                f"the common grid of {a} and {b} needs {qtype.bits} bits, above {ACCUMULATOR_BITS}",
                self.path,
                "quantize the operands to nearer grids before the concatenation",
            )
        shape = list(a.shape)
        shape[self.axis] += b.shape[self.axis]
        return TensorType((shape[0], shape[1], shape[2]), qtype, min(a.exponent, b.exponent))

    def eval(self, types, a, b):
        up_a, up_b = shifts(*types)
        return torch.cat([a << up_a, b << up_b], dim=1 + self.axis)


@imports("aten.cat.default", tensors=None)
def cat(importer, tensors, dim=0):
    rank = 1 + len(importer.shape(tensors[0]))
    axis = {2: (0,), 3: (0, 2), 4: (0, 1, 2)}[rank][dim % rank - 1]
    result, *others = tensors
    for tensor in others:
        result = importer.add(Concat(axis, importer.path), result, tensor)
    return result
