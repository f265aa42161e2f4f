"""Layer normalizations: rtl/layer_norm.v."""

from dataclasses import dataclass

from hwgen.engines import engine
from hwgen.engines.channels import ChannelEngine, Serial
from hwgen.ops.layernorm import LayerNorm as LayerNormOp
from hwgen.units.layer_norm import LayerNorm


@dataclass(frozen=True)
class LayerNormBeats(Serial):
    engine = "layer_norm"


@engine
class LayerNormEngine(ChannelEngine):
    name = "layer_norm"
    choice = LayerNormBeats
    op = LayerNormOp
    unit_of = LayerNorm
