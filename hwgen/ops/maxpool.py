"""MaxPool: the greatest activation of a window; padding never wins."""

from dataclasses import dataclass
from math import prod
from typing import Any

from torch.nn import functional

from hwgen.errors import UnsupportedLayer
from hwgen.ir import Op, TensorType, Window
from hwgen.ops import imports
from hwgen.ops.conv import pair, row
from hwgen.ops.topk import TopK


@dataclass(frozen=True)
class MaxPool(Op):
    """kernel, stride, dilation: (rows, columns), as in torch; padding (top, bottom, left, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    maximum = True
    degree = 1

    @property
    def window(self) -> Window:
        return Window(self.kernel, self.stride, self.dilation, self.padding[0], self.padding[2])

    def __str__(self) -> str:
        return f"MaxPool[{self.kernel[0]}x{self.kernel[1]}, stride {self.stride[0]}x{self.stride[1]}]"

    def infer(self, x: TensorType) -> TensorType:
        channels, rows, columns = x.shape
        top, bottom, left, right = self.padding
        (tall, wide), (down, across) = self.window.reach, self.stride
        shape = (channels, (rows + top + bottom - tall) // down + 1, (columns + left + right - wide) // across + 1)
        return TensorType(shape, x.qtype, x.exponent)

    def sees_only_padding(self, x: TensorType) -> bool:
        sides = zip(
            x.shape[1:],
            self.infer(x).shape[1:],
            self.kernel,
            self.stride,
            (self.padding[0], self.padding[2]),
            self.dilation,
            strict=True,
        )
        return any(
            not any(0 <= i * stride - padding + k * dilation < size for k in range(kernel))
            for size, outputs, kernel, stride, padding, dilation in sides
            for i in range(outputs)
        )

    def eval(self, types, x):
        # float64 holds every accumulator exactly, and minus infinity
        top, bottom, left, right = self.padding
        padded = functional.pad(x.double(), (left, right, top, bottom), value=float("-inf"))
        return functional.max_pool2d(padded, self.kernel, self.stride, 0, self.dilation).long()


def ends(size: int, taps: int, stride: int, padding: int, ceil: bool) -> tuple[int, int]:
    """Padding before and behind `size` numbers, where a last window that begins inside them or in the padding before
    them counts if `ceil` (torch's rule); taps -- from the first to the last of a window."""
    if not ceil:
        return padding, padding
    count = -(-(size + 2 * padding - taps) // stride) + 1
    if (count - 1) * stride >= size + padding:
        count -= 1
    return padding, max(padding, (count - 1) * stride + taps - size - padding)


def _pool(importer, x, kernel, stride, padding, dilation=(1, 1), ceil=False):
    rows, columns = importer.type(x).shape[1:]
    reach = [step * (taps - 1) + 1 for taps, step in zip(kernel, dilation, strict=True)]
    sides = (
        *ends(rows, reach[0], stride[0], padding[0], ceil),
        *ends(columns, reach[1], stride[1], padding[1], ceil),
    )
    pool = MaxPool(kernel, stride, sides, dilation)
    if pool.sees_only_padding(importer.type(x)):
        raise UnsupportedLayer(
            "a window of the MaxPool lies in the padding, and its maximum is minus infinity",
            importer.path,
            "use less padding or dilation",
        )
    return importer.add(pool, x)


@imports("aten.max_pool2d.default", rank=4, picks=True)
def max_pool2d(importer, x, kernel, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode=False):
    kernel = pair(kernel)
    return _pool(importer, x, kernel, pair(stride) if stride else kernel, pair(padding, 0), pair(dilation), ceil_mode)


@imports("aten.max_pool2d_with_indices.default", rank=4, picks=True)
def core_max_pool2d(importer, x, *args):
    return [max_pool2d(importer, x, *args), None]


@imports("aten.max_pool1d.default", rank=3, picks=True)
def max_pool1d(importer, x, kernel, stride=(), padding=0, dilation=1, ceil_mode=False):
    kernel = row(kernel, 1)
    return max_pool2d(
        importer, x, kernel, row(stride, 1) if stride else kernel, row(padding, 0), row(dilation, 1), ceil_mode
    )


@imports("aten.adaptive_max_pool2d.default", rank=4, picks=True)
@imports("aten.adaptive_max_pool1d.default", rank=3, picks=True)
def adaptive_max_pool(importer, x, output_size):
    return [adaptive(importer, x, output_size, lambda x, kernel: _pool(importer, x, kernel, kernel, (0, 0))), None]


def adaptive(importer, x, output_size, pool):
    """`pool(x, kernel)` with windows that fill the input, wherever sizes divide; a repetition where it is smaller."""
    shape = importer.shape(x)
    dims = len(output_size)
    wanted = [own if size is None else size for size, own in zip(output_size, shape[-dims:], strict=True)]
    pairs = list(zip(wanted, shape[-dims:], strict=True))
    if all(size == own for size, own in pairs):
        return x
    if all(size % own == 0 for size, own in pairs):
        return importer.moved(x, lambda places: functional.interpolate(places, size=wanted, mode="nearest"))
    if any(own % size for size, own in pairs):
        raise UnsupportedLayer(
            f"adaptive pooling of {list(shape[-dims:])} to {wanted}, whose windows differ",
            importer.path,
            "choose a size that divides the input's",
        )
    kernel = [own // size for size, own in pairs]
    return pool(x, tuple(kernel) if dims > 1 else (1, kernel[0]))


@imports("aten.amax.default", picks=True)
def amax(importer, x, dims=(), keepdim=False):
    return reduced(importer, x, dims, keepdim, lambda x, kernel: _pool(importer, x, kernel, kernel, (0, 0)))


@imports("aten.max.dim", picks=True)
def max_dim(importer, x, dim, keepdim=False):
    """The greatest, and where it is."""
    return [amax(importer, x, [dim], keepdim), importer.over(x, dim, TopK(1, False, importer.path))]


def reduced(importer, x, dims, keepdim: bool, pool):
    """`pool(x, kernel)` over all of some dimensions, the batch counted: over rows and columns as they are, else over
    columns into which they are brought."""
    shape = importer.shape(x)
    rank = len(shape) + 1
    dims = sorted({dim % rank for dim in ([dims] if isinstance(dims, int) else dims)} or range(rank))
    if 0 in dims:
        raise UnsupportedLayer(
            f"a reduction over dimensions {dims}, the batch among them", importer.path, "keep the batch"
        )
    kept = [n for n in range(1, rank) if n not in dims]
    result = [1, *(shape[n - 1] for n in kept)]
    if (rank == 4 and dims in ([2, 3], [2], [3])) or (rank == 3 and dims == [2]):
        rows, columns = importer.type(x).shape[1:]
        pooled = pool(x, (rows if rank == 3 or 2 in dims else 1, columns if rank == 3 or 3 in dims else 1))
    else:
        count = prod(shape[n - 1] for n in dims)
        columns = importer.moved(x, lambda places: places.permute(0, *kept, *dims).reshape(1, -1, count))
        pooled = pool(columns, (1, count))
    if keepdim:
        result = [1, *(1 if n in dims else shape[n - 1] for n in range(1, rank))]
    return importer.moved(pooled, lambda places: places.reshape(result))
