"""TopK: the greatest channels of each pixel, or which these are; argmax is one of it."""

from dataclasses import dataclass

import torch

from hwgen.errors import UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.ops import imports
from hwgen.qtype import QType


@dataclass(frozen=True)
class TopK(Op):
    """The k greatest channels of each pixel, the greatest first, and of like ones that of the lowest number.

    k       1 up to the number of channels
    values  whether their values are sent; else their numbers
    """

    k: int
    values: bool = False
    path: str = ""

    @property
    def degree(self) -> int:  # type: ignore[override]
        return int(self.values)

    def infer(self, x: TensorType) -> TensorType:
        channels, rows, columns = x.shape
        if not 1 <= self.k <= channels:
            raise UnsupportedLayer(f"the {self.k} greatest of {channels} channels", self.path, "ask for 1 to all")
        qtype, exponent = (x.qtype, x.exponent) if self.values else (QType(0, channels - 1), 0)
        return TensorType((self.k, rows, columns), qtype, exponent)

    def eval(self, types, x):
        values, order = torch.sort(x, dim=1, descending=True, stable=True)
        return (values if self.values else order)[:, : self.k]


@imports("aten.argmax.default")
def argmax(importer, x, dim=None, keepdim=False):
    if dim is None:
        raise UnsupportedLayer(
            "argmax over all numbers, the batch's other frames among them",
            importer.path,
            "say over which dimension: x.flatten(1).argmax(1)",
        )
    return importer.over(x, dim, TopK(1, False, importer.path))


@imports("aten.topk.default")
def topk(importer, x, k, dim=-1, largest=True, ordered=True):
    """torch leaves open which of like numbers come first, and without `sorted` in which order: here it is as in
    `TopK`."""
    if not largest:
        raise UnsupportedLayer("topk of the least numbers", importer.path, "ask for the greatest of their negatives")
    return [importer.over(x, dim, TopK(k, values, importer.path)) for values in (True, False)]
