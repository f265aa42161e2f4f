"""Lookup: any function of one activation between two quantizers, as a table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from hwgen.errors import OffGrid, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.ops import imports
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType

if TYPE_CHECKING:
    from hwgen.importer import Importer, Tensor

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

    def __str__(self) -> str:
        return f"Lookup[{self.function}]"

    @staticmethod
    def of(name: str, values: np.ndarray, quantize: Quantize, x: TensorType, path: str) -> "Lookup":
        """The table of a function, quantized; values -- float64, the function of each integer in the range of `x`."""
        if not np.isfinite(values).all():
            at = x.qtype.low + int(np.argmin(np.isfinite(values)))
            raise OffGrid(
                f"{name}({at * 2.0**x.exponent:g}) is {values[at - x.qtype.low]}",
                path,
                "quantize its input to a range on which the function is finite",
            )
        scaled = values * 2.0**-quantize.exponent
        level = np.floor(scaled)
        level += scaled - level >= 0.5  # adding the half would round just below a tie
        table = np.clip(level, quantize.low, quantize.high).astype(np.int64)
        return Lookup(table, x.qtype.low, quantize.exponent, name, path)

    def infer(self, x: TensorType) -> TensorType:
        used = self.table[x.qtype.low - self.first :][: x.qtype.high - x.qtype.low + 1]
        return TensorType(x.shape, QType(min(0, int(used.min())), max(0, int(used.max()))), self.exponent)

    def eval(self, types, x):
        return torch.from_numpy(self.table)[x - self.first]


def table_of(
    importer: "Importer", x: "Tensor", name: str, function: Callable[[torch.Tensor], torch.Tensor]
) -> "Tensor":
    """The function of a tensor, which becomes a Lookup once a quantizer says on which grid its results are.

    function -- float64 tensor to float64 tensor, elementwise
    """
    kind, path = importer.type(x), importer.path
    if kind.qtype.bits > TABLE_BITS:
        raise UnsupportedLayer(
            f"{name} of {kind.qtype.bits} bits: a table takes up to {TABLE_BITS}",
            path,
            f"put hwgen.nn.ActQuant(bits, exponent, signed) of up to {TABLE_BITS} bits before it",
        )
    integers = torch.arange(kind.qtype.low, kind.qtype.high + 1, dtype=torch.float64)
    values = function(integers * 2.0**kind.exponent).numpy()
    return importer.defer(x, name, lambda quantize: Lookup.of(name, values, quantize, kind, path))


def _importer(name: str):
    def import_call(importer, x, *args, **kwargs):
        call = getattr(torch.ops.aten, name).default
        return table_of(importer, x, name.rstrip("_"), lambda values: call(values, *args, **kwargs))

    return import_call


for _name in FUNCTIONS:
    imports(f"aten.{_name}.default")(_importer(_name))
