"""MaxPool: the greatest activation of a window; padding never wins."""

from dataclasses import dataclass
from typing import Any

from torch.nn import functional

from hwgen.errors import UnsupportedLayer
from hwgen.ir import Op, TensorType, Window
from hwgen.ops import imports
from hwgen.ops.conv import pair, row


@dataclass(frozen=True)
class MaxPool(Op):
    """kernel, stride, padding, dilation: (rows, columns), as in torch."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    maximum = True

    @property
    def window(self) -> Window:
        return Window(self.kernel, self.stride, self.dilation, *self.padding)

    def __str__(self) -> str:
        return f"MaxPool[{self.kernel[0]}x{self.kernel[1]}, stride {self.stride[0]}x{self.stride[1]}]"

    def infer(self, x: TensorType) -> TensorType:
        channels, *size = x.shape
        rows, columns = (
            (n + 2 * p - taps) // s + 1
            for n, taps, s, p in zip(size, self.window.reach, self.stride, self.padding, strict=True)
        )
        return TensorType((channels, rows, columns), x.qtype, x.exponent)

    def sees_only_padding(self, x: TensorType) -> bool:
        sides = zip(
            x.shape[1:],
            self.infer(x).shape[1:],
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            strict=True,
        )
        return any(
            not any(0 <= i * stride - padding + k * dilation < size for k in range(kernel))
            for size, outputs, kernel, stride, padding, dilation in sides
            for i in range(outputs)
        )

    def eval(self, types, x):
        # float64 holds every accumulator exactly, and pads with minus infinity
        return functional.max_pool2d(x.double(), self.kernel, self.stride, self.padding, self.dilation).long()


@imports("aten.max_pool2d.default", rank=4, picks=True)
def max_pool2d(importer, x, kernel, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode=False):
    if ceil_mode:
        raise UnsupportedLayer("MaxPool with ceil_mode", importer.path, "use ceil_mode=False, or pad the input")
    kernel = pair(kernel)
    pool = MaxPool(kernel, pair(stride) if stride else kernel, pair(padding, 0), pair(dilation))
    if pool.sees_only_padding(importer.type(x)):
        raise UnsupportedLayer(
            "a window of the MaxPool lies in the padding, and its maximum is minus infinity",
            importer.path,
            "use less padding or dilation",
        )
    return importer.add(pool, x)


@imports("aten.max_pool1d.default", rank=3, picks=True)
def max_pool1d(importer, x, kernel, stride=(), padding=0, dilation=1, ceil_mode=False):
    kernel = row(kernel, 1)
    return max_pool2d(
        importer,
        x,
        kernel,
        row(stride, 1) if stride else kernel,
        row(padding, 0),
        row(dilation, 1),
        ceil_mode,
    )
