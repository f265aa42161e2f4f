"""rtl/topk.v: the greatest channels of each pixel."""

from dataclasses import dataclass

from hwgen.ops.topk import TopK as TopKOp
from hwgen.qtype import ceil_log2
from hwgen.units.channels import ChannelUnit


@dataclass(frozen=True, eq=False)
class TopK(ChannelUnit):
    module = "topk"

    @property
    def op(self) -> TopKOp:
        assert isinstance(self.stage.op, TopKOp)
        return self.stage.op

    @property
    def turnaround(self):
        return 1

    @property
    def latency(self):  # type: ignore[override]
        return self.op.k

    def parameters(self):
        x = self.stage.x.qtype
        return {
            "N": self.channels,
            "K": self.op.k,
            "X_W": x.bits,
            "X_SIGNED": int(x.signed),
            "VALUES": int(self.op.values),
            "OUT_W": self.stage.y.qtype.bits,
        }

    def estimate(self):
        p = self.parameters()
        place = p["X_W"] + (0 if self.op.values else p["OUT_W"])  # what compares, and takes the channel's number
        if self.op.k > 1:  # what comes from the place before, and to the one behind
            place += p["X_W"] + p["OUT_W"] + 2
        return {"LUT": ceil_log2(self.channels) + 7 + p["K"] * place, "BRAM36": 0}
