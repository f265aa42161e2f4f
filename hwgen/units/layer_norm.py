"""rtl/layer_norm.v: each pixel's channels less their mean, divided by their deviation."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.grids import limits
from hwgen.nn_sequence import ROOT_GUARD
from hwgen.ops.layernorm import LayerNorm as LayerNormOp
from hwgen.ops.quantize import Quantize, clamp_ends, end_parameters
from hwgen.qtype import QType, ceil_log2, signed_width
from hwgen.terms import term_table
from hwgen.units.channels import ACTIVATION_BITS, FACTOR_BITS, SUM_BITS, ChannelUnit
from hwgen.units.product import product_rows

AROUND = 6  # cycles of a pixel beside those of its root's digits
OUTPUT = 6  # registers from the root to the first result


@dataclass(frozen=True, eq=False)
class LayerNorm(ChannelUnit):
    module = "layer_norm"
    instant = False
    primitives = True

    @property
    def op(self) -> LayerNormOp:
        assert isinstance(self.stage.op, LayerNormOp)
        return self.stage.op

    @property
    def root_bits(self) -> int:
        """Significant bits of the reciprocal root."""
        return self.op.bits + ROOT_GUARD

    @property
    def digits(self) -> int:
        """The greatest h: the digits of a root, and as many zeros before them as the greatest variance has."""
        return -(-self.variance_bits // 2) + self.root_bits - 1

    @property
    def variance_bits(self) -> int:
        return max(2, self.op.most_variance(self.stage.x).bit_length())

    @property
    def zeros(self) -> int:
        """The most zeros before the first digit of a root."""
        return self.digits - self.root_bits

    @cached_property
    def _products(self) -> list[tuple[int, int]]:
        """LUTs and rows of the product that a variance is made of, and of that with the root."""
        x = self.stage.x.qtype
        return [
            product_rows(self.sum_bits + 2, True, x.bits, x.signed),
            product_rows(self.sum_bits + 1, True, self.root_bits, False),
        ]

    def _between(self, product: int) -> int:
        """Registers between the rows of a product."""
        return 0 if self.slices else self._products[product][1] - 1

    @property
    def turnaround(self):
        return self.digits + AROUND + self._between(0)

    @property
    def latency(self):  # type: ignore[override]
        return self.channels + self.turnaround + OUTPUT + self._between(1)

    @property
    def sum_bits(self) -> int:
        """Bits that hold n times an activation, and the sum of n."""
        x = self.stage.x.qtype
        return signed_width(self.channels * x.low, self.channels * x.high)

    @property
    def fits_slices(self) -> bool:  # type: ignore[override]
        narrow = max(self.stage.x.qtype.bits, self.root_bits) < FACTOR_BITS
        return narrow and self.sum_bits + 2 <= ACTIVATION_BITS and self.variance_bits <= SUM_BITS

    def parameters(self):
        x, op = self.stage.x.qtype, self.op
        reach, (low, high) = op.reach(self.stage.x), limits(op.bits, True)
        fifo = self.fifo(x.bits, self.turnaround + 1)
        return {
            "N": self.channels,
            "X_W": x.bits,
            "X_SIGNED": int(x.signed),
            "S_W": self.sum_bits,
            "V_W": self.variance_bits,
            "EPS": (op.eps, self.variance_bits),
            "R_W": self.root_bits,
            "DROP": self.root_bits + op.exponent - 1,
            "ROUNDED_W": max(2, signed_width(-reach, reach)),
            "OUT_W": self.stage.y.qtype.bits,
            **end_parameters(clamp_ends(QType(-reach, reach), Quantize(op.exponent, low, high))),
            "DEPTH": fifo.depth,
            "BLOCK": int(fifo.block),
            "SLICES": int(self.slices),
        }

    def estimate(self):
        p = self.parameters()
        fifo = self.fifo(p["X_W"], self.turnaround + 1).estimate()
        s, v, r, n = p["S_W"], self.variance_bits, self.root_bits, self.channels
        products = v + sum(luts for luts, _ in self._products)
        sums = s + (s + 2) * constant_adders(n + 1) + (s + 2) * (n > 1) + (s + 1) * (1 + constant_adders(n))
        root = v + 4 * (v + r) + r  # three times v, what is left and stays of it, what either digit takes next, digits
        moved = p["ROUNDED_W"] * -(-self.zeros // 2) + p["ROUNDED_W"] + p["OUT_W"]
        control = 3 * ceil_log2(n) + 2 * ceil_log2(self.zeros + 1) + 22
        luts = fifo["LUT"] + (0 if self.slices else products) + sums + root + moved + control
        return {"LUT": luts, "BRAM36": fifo["BRAM36"], "DSP": 2 if self.slices else 0}


def constant_adders(number: int) -> int:
    """Adders of a product by a constant: one less than its signed digits."""
    return max(0, len(term_table(np.array([[number]]))) - 1)
