"""The greatest channels of each pixel: rtl/topk.v."""

from dataclasses import dataclass

from hwgen.engines import engine
from hwgen.engines.channels import ChannelEngine, Serial
from hwgen.ops.topk import TopK as TopKOp
from hwgen.units.topk import TopK


@dataclass(frozen=True)
class TopKBeats(Serial):
    engine = "topk"


@engine
class TopKEngine(ChannelEngine):
    name = "topk"
    choice = TopKBeats
    op = TopKOp
    unit_of = TopK
