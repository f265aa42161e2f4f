"""One or two lanes in a DSP slice that multiply: an entry a weight, whatever its terms, in any order (rtl/pe_mac.v)."""

from dataclasses import replace

import numpy as np

from hwgen.errors import DoesNotFit
from hwgen.ir import TensorType
from hwgen.lanes.entries import IMMEDIATE, half_payload
from hwgen.lanes.kinds import LaneKind, lane_kind, too_much
from hwgen.lanes.kinds.dsp import dsp_accumulator
from hwgen.lanes.program import Program, in_order
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.qtype import signed_width
from hwgen.stage import Stage
from hwgen.sums import ExactSums
from hwgen.terms import TermTable

MAC_SUM_BITS, MAC_WEIGHT_BITS, MAC_ACTIVATION_BITS = 48, 18, 26  # of rtl/pe_mac.v with one lane in a slice


@lane_kind
class Mac(LaneKind):
    name = "mac"
    module = "pe_mac"
    word = "MAC "
    registers = 8
    slices = True
    sums = False
    immediates = False
    loads = True

    def obstacle(self, stage):
        if not isinstance(stage.op, Conv):
            return "it is no sum of products"
        return mac_obstacle(stage.op, stage.x, stage.rounds)

    def make(self, stage, *, base: int | None = None, **hardware):
        if stage.loadable and base is None:
            base = mac_base(stage.op, stage.x, stage.rounds)
        return mac_program(stage.op, stage.x, stage.rounds, base=base, **hardware)

    def common(self, programs):
        return {"base": min(program.base for program in programs)}

    def joined(self, programs, x_bits, gap_bits):
        program = super().joined(programs, x_bits, gap_bits)
        bits = _constant_bits(program.immediate_bits, program.weight_bits, gap_bits)
        return replace(program, constant_bits=bits)

    def per_slice(self, program, x_bits):
        """Two where the sum of the lower one leaves the upper one's product room."""
        return 2 if program.accumulator <= min(24, 26 - x_bits) else 1

    def parameters(self, program, x_bits):
        return {"MAC": self.per_slice(program, x_bits)}

    def entry_luts(self, program, x_bits, payload, constants):
        # an immediate's upper bits are in the place of a weight's
        return super().entry_luts(program, x_bits, payload + program.command_bits - 1, constants)

    def remade(self, new: Stage, built: Program, **hardware: int):
        return super().remade(new, built, base=built.base, **hardware)

    def widened(self, new: Stage, program: Program, built: Program, payload_bits: int, shifts: dict[str, int]):
        if program.weight_bits > built.weight_bits:
            raise too_much(
                new,
                f"its weights have {program.weight_bits} bits, the build's {built.weight_bits}",
                "use smaller weights",
            )
        if program.immediate_bits > built.immediate_bits:
            raise too_much(
                new, "a constant of its sums is beyond what the build's lists can hold", "use smaller biases"
            )
        return replace(
            program,
            weight_bits=built.weight_bits,
            immediate_bits=built.immediate_bits,
            gap_bits=built.gap_bits,
        )


def mac_obstacle(conv: Conv, x: TensorType, quantize: Quantize | None) -> str | None:
    """Why lanes that multiply cannot have a layer; None where they can."""
    bits = _mac_bits(conv, x, quantize)
    names = "weights", "sums", "activations"
    for name, has, most in zip(names, bits, (MAC_WEIGHT_BITS, MAC_SUM_BITS, MAC_ACTIVATION_BITS), strict=True):
        if has > most:
            return f"its {name} have {has} bits, a lane of a DSP slice that multiplies takes {most}"
    return None


def _mac_bits(conv: Conv, x: TensorType, quantize: Quantize | None, finer: int = 0) -> tuple[int, int, int]:
    """Bits of weights, at least the two of a command, of sums and of activations."""
    sums = ExactSums.of(conv, x, quantize, finer)
    weights = max(2, signed_width(int(sums.weights.min()), int(sums.weights.max())) + sums.lift)
    # a constant may be beyond the sums where no activation is zero
    whole = max(dsp_accumulator(conv, x, quantize, finer), signed_width(min(sums.constants), max(sums.constants)))
    return weights, whole, x.qtype.bits


def _constant_bits(immediate_bits: int, weight_bits: int, gap_bits: int) -> int:
    """Bits of a payload that, with an entry's weight, hold an immediate; with distances half of one."""
    return half_payload(immediate_bits, weight_bits) if gap_bits else max(1, immediate_bits - (weight_bits - 1))


def mac_base(conv: Conv, x: TensorType, quantize: Quantize | None) -> int:
    """Where sums begin if their constants may change: no constant of as many bits is below it."""
    constants = ExactSums.of(conv, x, quantize).constants
    return -(1 << (signed_width(min(constants), max(constants)) - 1))


def mac_program(
    conv: Conv,
    x: TensorType,
    quantize: Quantize | None,
    *,
    finer: int = 0,
    base: int | None = None,
    gap_bits: int = 0,
) -> Program:
    """As sum_program, for lanes that multiply: an entry a weight, an immediate for what a constant is above the base.

    finer -- for hardware that is there: as in ExactSums
    base -- of constants that may change (mac_base); None: the least of all
    Raises DoesNotFit for what mac_obstacle says and for a constant below the base.
    """
    obstacle = mac_obstacle(conv, x, quantize)
    if obstacle:
        raise DoesNotFit(obstacle, conv.path, "give this layer lanes of lookup tables")
    sums = ExactSums.of(conv, x, quantize, finer)
    weight_bits, bits, _ = _mac_bits(conv, x, quantize, finer)
    output, source = np.nonzero(sums.weights)
    nothing = np.zeros(len(output), np.int64)
    least, most = min(sums.constants), max(sums.constants)
    if base is None:
        base = least
    elif least < base:
        raise DoesNotFit(f"a constant of its sums is {least}, the least is {base}", conv.path, "use smaller biases")
    else:
        most = max(most, -base - 1)
    chunks = [[(0, constant - base)] if constant > base else [] for constant in sums.constants]
    entries = in_order(conv, TermTable(output, source, nothing, nothing), chunks, 0)
    weight = np.zeros(len(entries["flags"]), np.int64)
    weight[entries["flags"] & IMMEDIATE == 0] = sums.weights[output, source] << sums.lift
    immediate_bits = max(1, (most - base).bit_length())
    return Program(
        **entries,
        terms=len(output),
        accumulator=bits,
        below=0,
        drop=sums.drop,
        immediate_bits=immediate_bits,
        constant_bits=_constant_bits(immediate_bits, weight_bits, gap_bits),
        gap_bits=gap_bits,
        weight=weight,
        weight_bits=weight_bits,
        base=base,
    )
