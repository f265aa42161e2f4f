"""Concat: two frames one behind the other, along channels, rows or columns, on the finer of their grids."""

from dataclasses import dataclass

import numpy as np
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
    """axis -- 0: channels, 1: rows, 2: columns; path -- the layer's path in the module, for messages
    channels -- along channels: which of both, the first frame's before the second's, each of the result is; empty: they
    stay as they come
    """

    axis: int
    path: str = ""
    channels: tuple[int, ...] = ()
    degree = 1

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
        both = torch.cat([a << up_a, b << up_b], dim=1 + self.axis)
        return both[:, list(self.channels)] if self.channels else both


@imports("aten.cat", "aten.concat", "aten.concatenate", tensors=None)
def cat(importer, tensors, dim=0):
    """Constants among the tensors are zeros in their places, and then added."""
    computed = [tensor for tensor in tensors if importer.is_tensor(tensor)]
    rank = 1 + len(importer.shape(computed[0]))
    parts = [
        tensor
        if importer.is_tensor(tensor)
        else importer.moved(
            computed[0], lambda places, like=tensor: torch.full((1, *like.shape[1:]), -1.0, dtype=torch.float64)
        )
        for tensor in tensors
    ]
    result = importer.concat(parts, dim % rank)
    constants = [tensor for tensor in tensors if not importer.is_tensor(tensor)]
    if not any(constant.any() for constant in constants):
        return result
    sides = [
        np.zeros((1, *importer.shape(tensor))) if importer.is_tensor(tensor) else importer.of_one_frame(tensor)
        for tensor in tensors
    ]
    return importer.affine(result, 1, np.concatenate(sides, axis=dim))


@imports("aten.stack", tensors=None)
def stack(importer, tensors, dim=0):
    apart = [
        importer.moved(tensor, lambda places: places.unsqueeze(dim))
        if importer.is_tensor(tensor)
        else np.expand_dims(tensor, dim)
        for tensor in tensors
    ]
    return cat(importer, apart, dim)
