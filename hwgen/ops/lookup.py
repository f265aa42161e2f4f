"""Lookup: any function of one activation between two quantizers, as a table."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from hwgen.errors import OffGrid
from hwgen.ir import Op, TensorType
from hwgen.nn_affine import ROUNDINGS
from hwgen.ops import imports
from hwgen.ops.add import Add
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.qtype import QType

if TYPE_CHECKING:
    from hwgen.functions import Levels

TABLE_BITS = 10  # of an activation

# what torch computes of each activation by itself; further arguments are constants of the call
FUNCTIONS = (
    "abs",
    "atan",
    "celu",
    "cos",
    "elu",
    "erf",
    "exp",
    "gelu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "rsqrt",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "softplus",
    "softshrink",
    "sqrt",
    "square",
    "tanh",
    "threshold",
)


@dataclass(frozen=True, eq=False)
class Lookup(Op):
    """table[x - first], each worth 2^exponent.

    table  int64, a result for each integer of the input's range
    first  the least integer of that range
    function  what it is called, for messages and reports
    path   the layer's path in the module
    """

    table: np.ndarray = field(repr=False)
    first: int
    exponent: int
    function: str
    path: str = ""
    elementwise = True
    of_integers = True

    def __str__(self) -> str:
        return f"Lookup[{self.function}]"

    @staticmethod
    def of(name: str, values: np.ndarray, levels: "Levels", exponent: int, x: TensorType, path: str) -> "Lookup":
        """The table of a function's levels, each worth 2^exponent; values -- float64, the function of each integer in
        the range of `x`."""
        if not np.isfinite(values).all():
            at = x.qtype.low + int(np.argmin(np.isfinite(values)))
            raise OffGrid(
                f"{name}({at * 2.0**x.exponent:g}) is {values[at - x.qtype.low]}",
                path,
                "quantize its input to a range on which the function is finite",
            )
        scaled = torch.from_numpy(values / float(levels.scale) + levels.zero)
        table = ROUNDINGS[levels.rounding](scaled) - levels.zero
        table = table.clamp(levels.low, levels.high).long().numpy()
        return Lookup(table, x.qtype.low, exponent, name, path)

    def infer(self, x: TensorType) -> TensorType:
        used = self.table[x.qtype.low - self.first :][: x.qtype.high - x.qtype.low + 1]
        return TensorType(x.shape, QType(min(0, int(used.min())), max(0, int(used.max()))), self.exponent)

    def eval(self, types, x):
        return torch.from_numpy(self.table)[x - self.first]


# what torch does not mark as working on each number by itself; whatever it marks needs no word here
@imports("aten.hardswish", "aten.hardswish_", "aten.log_sigmoid", "aten.log_sigmoid_forward")
def unmarked(importer, x):
    return importer.pointwise()


@imports("aten.prelu.default", "aten._prelu_kernel.default")
def prelu(importer, x, slope):
    """A table; with a slope for each channel what is above zero and what is below, scaled."""
    if slope.size == 1:
        return importer.pointwise()
    kind = importer.type(x)
    above = importer.add(Quantize(kind.exponent, 0, UNBOUNDED), x)
    below = importer.add(Quantize(kind.exponent, -UNBOUNDED, 0), x)
    scaled = importer.affine(below, slope.reshape(-1, *[1] * (len(importer.shape(x)) - 1)), 0)
    return importer.join(Add(path=importer.path), above, scaled)
