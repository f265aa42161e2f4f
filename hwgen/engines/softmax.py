"""Softmaxes: rtl/softmax.v."""

from dataclasses import dataclass

from hwgen.engines import engine
from hwgen.engines.channels import ChannelEngine, Serial
from hwgen.ops.softmax_int import Softmax as SoftmaxOp
from hwgen.units.softmax import Softmax


@dataclass(frozen=True)
class SoftmaxBeats(Serial):
    engine = "softmax"


@engine
class SoftmaxEngine(ChannelEngine):
    name = "softmax"
    choice = SoftmaxBeats
    op = SoftmaxOp
    unit_of = Softmax
