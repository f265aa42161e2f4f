"""Mul."""

from dataclasses import dataclass

from hwgen.ir import Op, TensorType
from hwgen.qtype import QType


@dataclass(frozen=True)
class Mul(Op):
    path: str = ""
    requantizes = True

    def infer(self, a, b):
        e = [x * y for x in (a.qtype.low, a.qtype.high) for y in (b.qtype.low, b.qtype.high)]
        return TensorType(a.shape, QType(min(e), max(e)), a.exponent + b.exponent)

    def eval(self, types, a, b):
        return a * b
