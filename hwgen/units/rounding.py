"""What units have in common that round and clamp an exact result: the parameters of rtl/add.v, mul.v and offset.v."""

from hwgen.ops.quantize import clamp_ends, end_parameters
from hwgen.qtype import QType, signed_width
from hwgen.stage import Stage
from hwgen.verilog import Value, signed64


def lift(stage: Stage) -> int:
    """Bits that the exact result is shifted up, where the grid of the quantizer is finer."""
    exact = stage.op.infer(*stage.types)
    return max(0, exact.exponent - stage.y.exponent)


def rounding(stage: Stage) -> dict[str, Value]:
    """W to NO_HIGH: the bits of the exact result, shifted up by `lift`, with the half of the rounding; that; the bits
    rounded away; the bits of the result; the ends of the clamp."""
    exact = stage.op.infer(*stage.types)
    up, drop = lift(stage), max(0, stage.y.exponent - exact.exponent)
    half = (1 << drop) >> 1
    low, high = exact.qtype.low << up, (exact.qtype.high << up) + half
    return {
        "W": max(signed_width(low, high), drop + 1),
        "CONSTANT": signed64(half),
        "DROP": drop,
        "OUT_W": stage.y.qtype.bits,
        **end_parameters(clamp_ends(QType(low >> drop, high >> drop), stage.quantize)),
    }


def clamp_luts(parameters: dict[str, Value], bits: int) -> int:
    """LUTs of the clamp of a result of so many bits: one end is what clears or sets the register, the other takes a LUT
    a bit."""
    return (0, 1, bits + 1)[("LOW" in parameters) + ("HIGH" in parameters)]
