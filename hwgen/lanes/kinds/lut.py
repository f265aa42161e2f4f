"""Lanes of lookup tables: a term an entry, from the lowest exponent to the highest (rtl/pe.v).

Per output channel the terms are sorted from the lowest exponent to the highest, and the accumulator shifts right by one
where the exponent rises. So after the terms of exponent e it holds floor(partial sum / 2^e); the bits shifted out are
final. Requantization drops `shift` low bits of the exact sum: with the highest exponent E, max(0, shift - E) more bits
are dropped from the accumulator at the end, or max(0, E - shift) of the bits shifted out are kept below it.
"""

import numpy as np

from hwgen.ir import TensorType
from hwgen.lanes.kinds import LaneKind, lane_kind, too_much
from hwgen.lanes.program import Program, immediates, in_order
from hwgen.ops.conv import Conv, sum_ends
from hwgen.ops.quantize import Quantize
from hwgen.qtype import signed_width
from hwgen.stage import Stage
from hwgen.sums import ExactSums


@lane_kind
class Lut(LaneKind):
    name = "lut"
    module = "pe"
    registers = 6

    def entry_luts(self, program, x_bits, payload, constants):
        # an immediate is set into the operands' registers
        return super().entry_luts(program, x_bits, payload, constants) + constants * min(x_bits, payload)

    def obstacle(self, stage):
        return None if isinstance(stage.op, Conv) else "it is no sum of products"

    def make(self, stage, **hardware):
        return sum_program(stage.op, stage.x, stage.rounds, **hardware)

    def reference(self, programs):
        return max(programs, key=lambda program: program.below - program.drop)

    def shifts(self, new: Stage, program: Program, built: Program):
        above, built_above = program.below - program.drop, built.below - built.drop
        if above > built_above:
            raise too_much(
                new,
                f"its largest weight is {1 << above - built_above} times as large as the build's",
                "use smaller weights",
            )
        return {"lift": built_above - above}


def sum_program(
    conv: Conv,
    x: TensorType,
    quantize: Quantize | None,
    *,
    lift: int = 0,
    constant_bits: int | None = None,
    gap_bits: int = 0,
) -> Program:
    """The program of a convolution, requantized by `quantize`, or with its exact accumulators as the output (None).

    lift, constant_bits -- for hardware that is there: shifts beyond the highest exponent; bits of an immediate
    gap_bits -- as in TermList
    """
    sums = ExactSums.of(conv, x, quantize)
    top = sums.highest + lift
    chunks, constant_bits = immediates(sums.constants, top, conv, x, constant_bits or gap_bits)
    immediate_bits = max(x.qtype.bits, constant_bits)
    # rounding half to even must know whether any bit that is shifted out of a result is set
    sticky = int(quantize is not None and quantize.even and top > 0 and sums.drop > 0)
    drop = max(0, sums.drop - top) + sticky
    return Program(
        **in_order(conv, sums.terms, chunks, top),
        terms=len(sums.terms),
        accumulator=max(_accumulator(sums, chunks), immediate_bits, drop + 1),
        below=max(0, top - sums.drop) + sticky,
        drop=drop,
        immediate_bits=immediate_bits,
        constant_bits=constant_bits,
        gap_bits=gap_bits,
    )


def _accumulator(sums: ExactSums, chunks) -> int:
    """Bits that hold floor(partial sum / 2^e) for every output after the terms of every exponent e, over the input's
    range. Between two shifts the sum may wrap.
    """
    immediate = {}
    for m, parts in enumerate(chunks):
        for level, value in parts:
            immediate.setdefault(level, []).append((m, value << level))
    table, base = sums.terms, sums.lift
    partial = np.zeros_like(sums.weights)
    constant = np.zeros(len(partial), np.int64)
    bits = 1
    for level in sorted({*np.unique(table.exponent).tolist(), *immediate}):
        chosen = table.exponent == level
        partial[table.output[chosen], table.input[chosen]] += (1 - 2 * table.negative[chosen]) << (level - base)
        for m, value in immediate.get(level, ()):
            constant[m] += value
        low, high = ((ends << base) + constant for ends in sum_ends(partial, sums.reads))
        bits = max(bits, signed_width(int(low.min()) >> level, int(high.max()) >> level))
    return bits
