"""Move: each activation of the result is one of the input, or zero: permutations, views, slices, repetitions."""

from dataclasses import dataclass, field

import numpy as np
import torch

from hwgen.ir import Op, TensorType
from hwgen.qtype import QType


@dataclass(frozen=True, eq=False)
class Move(Op):
    """result.reshape(-1)[i] = input.reshape(-1)[index.reshape(-1)[i]], or 0 where the index is -1.

    index  int64 [channels, rows, columns] of the result: places in the input's flattened (channels, rows, columns)
    path   the layer's path in the module, for messages
    """

    index: np.ndarray = field(repr=False)
    path: str = ""

    def __str__(self) -> str:
        return f"Move[to {'x'.join(map(str, self.index.shape))}]"

    @property
    def zeros(self) -> bool:
        """Whether some results are zeros that the input does not hold."""
        return bool((self.index < 0).any())

    def infer(self, x: TensorType) -> TensorType:
        channels, rows, columns = self.index.shape
        qtype = QType(min(x.qtype.low, 0), max(x.qtype.high, 0)) if self.zeros else x.qtype
        return TensorType((channels, rows, columns), qtype, x.exponent)

    def eval(self, types, x):
        index = torch.from_numpy(self.index.reshape(-1))
        picked = x.reshape(len(x), -1)[:, index.clamp(min=0)]
        return torch.where(index < 0, 0, picked).reshape(len(x), *self.index.shape)
