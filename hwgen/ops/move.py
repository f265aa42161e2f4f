"""Move: each activation of the result is one of the input, or zero: permutations, views, slices, repetitions."""

from dataclasses import dataclass, field
from math import prod

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

    def __post_init__(self):
        # torch takes no view that runs backwards
        object.__setattr__(self, "index", np.ascontiguousarray(self.index, np.int64))

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


NOWHERE = -1  # in an index: a zero


def is_bijection(index: np.ndarray, shape: tuple[int, int, int]) -> bool:
    """Whether a Move of that index takes each activation of a frame of `shape` to one place: what a host can undo."""
    return index.size == prod(shape) and bool((np.sort(index.reshape(-1)) == np.arange(index.size)).all())


def keeps_order(index: np.ndarray, shape: tuple[int, int, int]) -> bool:
    """Whether it is only another shape of the same array."""
    return index.size == prod(shape) and bool((index.reshape(-1) == np.arange(index.size)).all())


def composed(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    """The index of the Move that is two in a row."""
    return np.where(then < 0, NOWHERE, first.reshape(-1)[then])


def separated(index: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """An index as one for each axis, NOWHERE where all there are zeros; None where the axes depend on each other.

    shape -- of what is picked from
    """
    there = index >= 0
    along = [np.asarray(there.any(axis=tuple(j for j in range(3) if j != i))) for i in range(3)]
    if (there != (along[0][:, None, None] & along[1][:, None] & along[2])).any():
        return None
    at = np.unravel_index(np.maximum(index, 0), shape)
    first = [int(np.argmax(line)) for line in along]
    lines = (at[0][:, first[1], first[2]], at[1][first[0], :, first[2]], at[2][first[0], first[1], :])
    for axis, line in enumerate(lines):
        wide = np.expand_dims(line, tuple(j for j in range(3) if j != axis))
        if ((at[axis] != wide) & there).any():
            return None
    channels, rows, columns = (np.where(some, line, NOWHERE) for some, line in zip(along, lines, strict=True))
    return channels, rows, columns


def joined(axes: tuple[np.ndarray, np.ndarray, np.ndarray], shape: tuple[int, int, int]) -> np.ndarray:
    """The reverse of `separated`."""
    channels, rows, columns = axes
    index = (channels[:, None, None] * shape[1] + rows[:, None]) * shape[2] + columns
    return np.where((channels[:, None, None] < 0) | (rows[:, None] < 0) | (columns < 0), NOWHERE, index)
