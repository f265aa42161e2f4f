"""Offset."""

from dataclasses import dataclass, field

import numpy as np
import torch

from hwgen.ir import Op, TensorType
from hwgen.qtype import QType
from hwgen.terms import trailing_exponent


@dataclass(frozen=True, eq=False)
class Offset(Op):
    values: np.ndarray = field(repr=False)
    path: str = ""
    requantizes = True

    def exp(self, x):
        nz = self.values[self.values != 0]
        return min(x.exponent, int(trailing_exponent(nz).min())) if nz.size else x.exponent

    def ints(self, x):
        return np.ldexp(self.values, -self.exp(x)).astype(np.int64)

    def infer(self, x):
        e = self.exp(x)
        up = x.exponent - e
        c = self.ints(x)
        return TensorType(x.shape, QType((x.qtype.low << up) + int(c.min()), (x.qtype.high << up) + int(c.max())), e)

    def eval(self, types, x):
        k = types[0]
        return (x << (k.exponent - self.exp(k))) + torch.from_numpy(self.ints(k))
