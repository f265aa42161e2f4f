"""Move: each activation of the result is one of the input, or zero: permutations, views, slices, repetitions."""

from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch

from hwgen.errors import UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.ops import imports
from hwgen.qtype import QType


@dataclass(frozen=True, eq=False)
class Move(Op):
    """result.reshape(-1)[i] = input.reshape(-1)[index.reshape(-1)[i]], or 0 where the index is -1.

    index  int64 [channels, rows, columns] of the result: places in the input's flattened (channels, rows, columns)
    path   the layer's path in the module, for messages
    whole  whether all channels of a pixel are to be moved side by side
    """

    index: np.ndarray = field(repr=False)
    path: str = ""
    whole: bool = False

    def __post_init__(self):
        # torch takes no view that runs backwards, nor what may not be written
        object.__setattr__(self, "index", np.array(self.index, np.int64, order="C"))

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


# calls that only move numbers, and those of them whose result is in the memory of their argument
MOVES = (
    "channel_shuffle",
    "flip",
    "gather",
    "im2col",
    "index",
    "index_select",
    "pixel_shuffle",
    "pixel_unshuffle",
    "reflection_pad1d",
    "reflection_pad2d",
    "reflection_pad3d",
    "repeat",
    "repeat_interleave",
    "replication_pad1d",
    "replication_pad2d",
    "replication_pad3d",
    "roll",
    "rot90",
    "tile",
    "tril",
    "triu",
    "upsample_nearest1d",
    "upsample_nearest2d",
    "upsample_nearest3d",
    "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d",
    "_upsample_nearest_exact3d",
)
SHARED = (
    "_reshape_alias",
    "_unsafe_view",
    "broadcast_to",
    "chunk",
    "diagonal",
    "expand",
    "flatten",
    "movedim",
    "narrow",
    "numpy_T",
    "permute",
    "reshape",
    "select",
    "slice",
    "split",
    "split_with_sizes",
    "squeeze",
    "swapaxes",
    "t",
    "tensor_split",
    "transpose",
    "unbind",
    "unflatten",
    "unfold",
    "unsqueeze",
    "view",
)


def _move(importer, x, *args, **kwargs):
    """The call itself, on the places of the numbers: its arguments may name the batch."""
    batch = importer.batch if isinstance(importer.batch, int) else 1

    def call(places):
        # one higher, as a call that fills in zeros (unfold with padding, tril) means no place
        result = importer.again(places.contiguous() + 1, *args, **kwargs)
        return [part - 1 for part in result] if isinstance(result, list | tuple) else result - 1

    return importer.moved(x, call, batch)


for _name in MOVES:
    imports(f"aten.{_name}", picks=True)(_move)
for _name in SHARED:
    imports(f"aten.{_name}", picks=True, shares=True)(_move)


@imports("aten.sym_size.int")
def size(importer, x, dim):
    """The batch where it is dynamic: one, as each input is by itself."""
    if dim != 0:
        raise UnsupportedLayer(f"a dynamic size in dimension {dim}", importer.path, "export it with a static shape")
    return 1


@imports("aten.zeros_like", "aten.ones_like", "aten.full_like", "aten.new_zeros", "aten.new_ones", "aten.new_full")
def constant(importer, x, *args, **kwargs):
    """A constant, of which the tensor only says the shape."""
    return importer.again(torch.empty((1, *importer.shape(x)), dtype=torch.float64), *args, **kwargs)


@imports("aten.clone", picks=True)
@imports("aten.alias", "aten.detach", "aten.contiguous", "aten.lift_fresh_copy", shares=True, picks=True)
def nothing(importer, x, memory_format=None):
    return x


@imports("aten.dropout", "aten.dropout_", "aten.feature_dropout", "aten.feature_dropout_", shares=True, picks=True)
@imports("aten.alpha_dropout", "aten.alpha_dropout_", "aten.feature_alpha_dropout", shares=True, picks=True)
def dropout(importer, x, probability, training):
    if training:
        raise UnsupportedLayer(
            "dropout in training mode",
            importer.path,
            "call module.eval() before the export"
            if importer.module().startswith("torch.nn.modules.dropout")
            else "module.eval() does not reach a functional dropout: say F.dropout(x, p, training=self.training)",
        )
    return x


@imports("aten._assert_tensor_metadata")
def assertion(importer, x, *_, **__):
    """torch.export notes a tensor's type before it is converted; the conversion itself is looked at."""


@imports("aten.to", "aten._to_copy", "aten.type_as", "aten.float", "aten.double", tensors=2, picks=True)
def convert(importer, x, *args, **kwargs):
    """To another float, which is float64 here; integers are not looked at."""
    kinds = [value for value in [*args, *kwargs.values()] if isinstance(value, torch.dtype)]
    if any(not kind.is_floating_point for kind in kinds):
        raise UnsupportedLayer(f"a conversion to {kinds[0]}", importer.path, "leave it out: hwgen.nn.ActQuant rounds")
    return x
