"""Two lanes in a DSP slice, that add: a term an entry, from the highest exponent to the lowest (rtl/pe_dsp.v).

A slice cannot shift its sum right, so the accumulator doubles where the exponent drops: it ends as the exact sum, and
the low bits that requantization drops are not sent.
"""

import numpy as np

from hwgen.errors import DoesNotFit
from hwgen.ir import TensorType
from hwgen.lanes.kinds import LaneKind, lane_kind
from hwgen.lanes.program import Program, immediates, in_order
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.qtype import signed_width
from hwgen.sums import ExactSums

DSP_LANE_BITS = 24  # of an accumulator of rtl/pe_dsp.v


@lane_kind
class Dsp(LaneKind):
    name = "dsp"
    module = "pe_dsp"
    word = "DSP "
    registers = 7
    slices = True
    sums = False

    def obstacle(self, stage):
        if not isinstance(stage.op, Conv):
            return "it is no sum of products"
        bits = dsp_accumulator(stage.op, stage.x, stage.rounds)
        return None if bits <= DSP_LANE_BITS else _too_wide(bits)

    def make(self, stage, **hardware):
        return dsp_program(stage.op, stage.x, stage.rounds, **hardware)

    def common(self, programs):
        return {"width": max(program.accumulator for program in programs)}

    def widened(self, new, program, built, payload_bits, shifts):
        return super().widened(new, program, built, payload_bits, shifts | {"width": built.accumulator})

    def entry_luts(self, program, x_bits, payload, constants):
        # and what a slice is told by OPMODE and ALUMODE
        return super().entry_luts(program, x_bits, payload, constants) + 6

    def per_slice(self, program, x_bits):
        return 2

    def parameters(self, program, x_bits):
        return {"DSP": 1}


def _too_wide(bits: int) -> str:
    return f"its sums have {bits} bits, a lane of a DSP slice holds {DSP_LANE_BITS}"


def dsp_accumulator(conv: Conv, x: TensorType, quantize: Quantize | None, finer: int = 0) -> int:
    """Bits of a DSP lane's accumulator: as many as the exact sums of any input need, their constants included.

    The layer can go to lanes that add if these are at most DSP_LANE_BITS. What comes before the end of a list may wrap:
    every step is a sum or a doubling modulo 2^bits.
    """
    sums = ExactSums.of(conv, x, quantize, finer)
    bits = signed_width(min(one.low for one in sums.ranges), max(one.high for one in sums.ranges))
    return max(bits, x.qtype.bits, sums.drop + 1)


def dsp_program(
    conv: Conv,
    x: TensorType,
    quantize: Quantize | None,
    *,
    finer: int = 0,
    width: int = 0,
    constant_bits: int | None = None,
    gap_bits: int = 0,
) -> Program:
    """As sum_program, for the lanes of DSP slices: from the highest exponent to the lowest, SHIFT doubling the sum.

    finer, width -- for hardware that is there: as in ExactSums; bits of its accumulator
    A negative term adds -x - 1 there: the ones of all negative terms are part of the constants. Raises DoesNotFit where
    dsp_accumulator is above DSP_LANE_BITS.
    """
    bits = dsp_accumulator(conv, x, quantize, finer)
    if bits > DSP_LANE_BITS:
        raise DoesNotFit(_too_wide(bits), conv.path, "give this layer lanes of lookup tables")
    sums = ExactSums.of(conv, x, quantize, finer)
    ones = np.zeros(len(sums.constants), np.int64)
    np.add.at(ones, sums.terms.output, sums.terms.negative << sums.terms.exponent)
    bits = max(bits, width)
    half = 1 << (bits - 1)
    constants = [
        (constant + one + half) % (2 * half) - half for constant, one in zip(sums.constants, ones.tolist(), strict=True)
    ]
    chunks, constant_bits = immediates(constants, sums.highest, conv, x, constant_bits or gap_bits)
    return Program(
        **in_order(conv, sums.terms, chunks, sums.highest, descending=True),
        terms=len(sums.terms),
        accumulator=max(bits, constant_bits),
        below=0,
        drop=sums.drop,
        immediate_bits=max(x.qtype.bits, constant_bits),
        constant_bits=constant_bits,
        gap_bits=gap_bits,
    )
