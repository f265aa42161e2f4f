"""row_adder adds three operands, each with the columns and inversions that its parameters name, a bit and a one."""

import random

import cocotb
from cocotb.triggers import Timer
from parts import config


def row(w, one, fourth, seed, full=False, cut=0):
    """Parameters of a row of random shape; `cut`: bits of the sum that are left out."""
    rng = random.Random(seed)
    columns = {name: (1 << w) - 1 if full else rng.getrandbits(w) | rng.getrandbits(w) for name in "ABC"}
    if not full:  # one operand in the last column: it sends nothing, and the sum has at most one bit more than columns
        columns["A"] |= 1 << (w - 1)
        columns["B"] &= ~(1 << (w - 1))
        columns["C"] &= ~(1 << (w - 1))
    inverted = {f"NOT_{name}": mask & rng.getrandbits(w) for name, mask in columns.items()}
    greatest = sum(columns.values()) + one + fourth
    bits = max(1, min(w if full else w + 1, greatest.bit_length()) - cut)
    shape = {"W": w, "BITS": bits, "ONE": one, "D": fourth}
    return shape | {name: (mask, w) for name, mask in (columns | inverted).items()}


CONFIGS = [
    row(9, 1, 1, 1, full=True),  # all there is; the sum is cut
    row(40, 1, 0, 2),  # wider than Verilog's plain numbers
    row(3, 0, 1, 3, full=True),
    row(1, 1, 1, 4),
    row(12, 0, 0, 5, cut=3),
]


@cocotb.test()
async def the_sum_is_that_of_all_operands(dut):
    """All operands of a narrow row; of a wide one both ends, long carries, and random ones."""
    c, rng = config(), random.Random(8)
    w, masks = c["W"], [c[name][0] for name in "ABC"]
    if w <= 3:
        cases = [(a, b, z) for a in range(1 << w) for b in range(1 << w) for z in range(1 << w)]
    else:
        ends = [0, (1 << w) - 1, 1, 1 << (w - 1)]
        cases = [(a, b, z) for a in ends for b in ends for z in ends]
        cases += [tuple(rng.getrandbits(w) for _ in range(3)) for _ in range(400)]
    for number, case in enumerate(cases):
        operands = [value & mask for value, mask in zip(case, masks, strict=True)]
        dut.a.value, dut.b.value, dut.c.value = operands
        fourth = dut.d.value = number % 2 * c["D"]
        await Timer(1, "ns")
        # the inversion of a bit that is not there would be a one
        want = sum(value ^ c[f"NOT_{name}"][0] for value, name in zip(operands, "ABC", strict=True)) + fourth + c["ONE"]
        assert int(dut.sum.value) == want % (1 << c["BITS"]), [hex(value) for value in operands]
