"""rtl/layer_norm.v: each pixel's channels less their mean, divided by their deviation."""

from dataclasses import dataclass

from hwgen.grids import limits
from hwgen.nn_sequence import ROOT_GUARD
from hwgen.ops.layernorm import LayerNorm as LayerNormOp
from hwgen.ops.quantize import Quantize, clamp_ends, end_parameters
from hwgen.qtype import QType, signed_width
from hwgen.units.channels import ChannelUnit

AROUND = 6  # cycles of a pixel beside those of its root's digits
OUTPUT = 4  # registers from the root to the first result


@dataclass(frozen=True, eq=False)
class LayerNorm(ChannelUnit):
    module = "layer_norm"

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
    def turnaround(self):
        return self.digits + AROUND

    @property
    def latency(self):  # type: ignore[override]
        return self.channels + self.turnaround + OUTPUT

    def parameters(self):
        x, op = self.stage.x.qtype, self.op
        reach, (low, high) = op.reach(self.stage.x), limits(op.bits, True)
        fifo = self.fifo(x.bits, self.turnaround + 1)
        return {
            "N": self.channels,
            "X_W": x.bits,
            "X_SIGNED": int(x.signed),
            "S_W": signed_width(self.channels * x.low, self.channels * x.high),
            "V_W": self.variance_bits,
            "EPS": (op.eps, self.variance_bits),
            "R_W": self.root_bits,
            "DROP": self.root_bits + op.exponent - 1,
            "ROUNDED_W": max(2, signed_width(-reach, reach)),
            "OUT_W": self.stage.y.qtype.bits,
            **end_parameters(clamp_ends(QType(-reach, reach), Quantize(op.exponent, low, high))),
            "DEPTH": fifo.depth,
            "BLOCK": int(fifo.block),
        }

    def estimate(self):
        p = self.parameters()
        fifo = self.fifo(p["X_W"], self.turnaround + 1).estimate()
        return {"LUT": fifo["LUT"] + 500, "BRAM36": fifo["BRAM36"]}
