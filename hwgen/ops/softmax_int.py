"""Softmax: the share of each channel's exponential in the sum of a pixel's: hwgen.nn.Softmax."""

from dataclasses import dataclass, field

import numpy as np
import torch

from hwgen.grids import limits
from hwgen.ir import Op, TensorType
from hwgen.nn_sequence import Softmax as Module
from hwgen.nn_sequence import exponentials, share_of_sum
from hwgen.ops import imports
from hwgen.ops.layernorm import on_grid
from hwgen.qtype import QType


@dataclass(frozen=True, eq=False)
class Softmax(Op):
    """y = min(floor(e * r / 2^(k - bits) + 1/2), 2^bits - 1) of the channels of each pixel, as `hwgen.nn.Softmax`
    defines k, e and r.

    table  int64, the exponentials of 0, 1 ... below the greatest channel; of what is behind its end, zero
    bits   of a result, unsigned
    """

    table: np.ndarray = field(repr=False)
    bits: int
    path: str = ""
    of_integers = True

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(x.shape, QType(*limits(self.bits, False)), -self.bits)

    def eval(self, types, x):
        return share_of_sum(x, 1, torch.from_numpy(self.table), self.bits)


@imports("hwgen.softmax.default")
def softmax(importer, x, dim, in_exponent, bits, table_bits):
    Module(in_exponent, bits, dim, table_bits)  # its limits hold for a program that calls the op itself, too
    op = Softmax(exponentials(in_exponent, table_bits).numpy(), bits, importer.path)
    return importer.over(on_grid(importer, x, in_exponent), dim, op)
