"""A user's tensor as a view of another one: which activation lies where, without moving any."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np


@dataclass(frozen=True, eq=False)
class View:
    """A tensor of `shape` (the user's, a batch of one among it) whose numbers are those of `base`, or zeros.

    base   the tensor that holds the numbers
    size   how many it holds
    index  int64 of `shape`: where each number lies in `base`, flattened; -1: zero; None: in order, all of them
    """

    base: str
    size: int
    shape: tuple[int, ...]
    index: np.ndarray | None = None

    @staticmethod
    def of(base: str, size: int, index: np.ndarray) -> "View":
        """The view of an index of the wanted shape."""
        flat = index.reshape(-1)
        ordered = flat.size == size and np.array_equal(flat, np.arange(size))
        return View(base, size, index.shape, None if ordered else index)

    @property
    def places(self) -> np.ndarray:
        """`index`, whether it is needed or not."""
        return np.arange(self.size).reshape(self.shape) if self.index is None else self.index

    @property
    def zeros(self) -> bool:
        return self.index is not None and bool((self.index < 0).any())

    @property
    def covers(self) -> bool:
        """Whether every number of `base` is in it."""
        return self.index is None or bool(np.isin(np.arange(self.size), self.index).all())

    @property
    def whole(self) -> bool:
        """Whether every number of `base` is in it once, and no zero."""
        return self.index is None or (self.index.size == self.size and not self.zeros and self.covers)

    def on(self, base: str) -> "View":
        """The same of another tensor of the same size."""
        return replace(self, base=base)

    def same(self, other: "View") -> bool:
        """Whether both have the same place of their bases everywhere."""
        if self.index is None or other.index is None:
            return self.index is other.index and self.shape == other.shape
        return np.array_equal(self.index, other.index)

    def spread(self, shape: tuple[int, ...]) -> np.ndarray:
        """The index broadcast to `shape`."""
        return np.broadcast_to(self.places, shape)

    def back(self, values: np.ndarray) -> np.ndarray:
        """Values that broadcast against `shape`, where they belong in `base`: float64 [size]; NaN where several differ.
        Only of a view that covers its base."""
        values = np.broadcast_to(values, self.shape).reshape(-1)
        places = self.places.reshape(-1)
        found = np.empty(self.size)
        found[places[places >= 0]] = values[places >= 0]
        clash = (found[places] != values) & (places >= 0)
        found[places[clash]] = np.nan
        return found


def frame_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, rows, columns) of a user's shape without the batch: [features], [channels, columns], [channels, rows,
    columns], or with dimensions before these, which are channels too."""
    if len(shape) < 2:
        return (prod(shape), 1, 1)
    if len(shape) == 2:
        return (shape[0], 1, shape[1])
    return (prod(shape[:-2]), shape[-2], shape[-1])


def alike(shape: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two shapes are the same but for dimensions of one."""
    return [n for n in shape if n != 1] == [n for n in other if n != 1]


def laid_out(rest: Sequence[int]) -> tuple[int, int]:
    """(rows, columns) of the dimensions beside the channels."""
    sides = [n for n in rest if n != 1]
    return (sides[0], sides[1]) if len(sides) == 2 else (1, prod(sides))
