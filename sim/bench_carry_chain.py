"""carry_chain lets a carry through where it propagates, and takes the bypass elsewhere."""

import random

import cocotb
from cocotb.triggers import Timer
from parts import config

CONFIGS = [{"W": 1}, {"W": 4}, {"W": 21}]
ON_VERILATOR = 2


@cocotb.test()
async def carries_ripple(dut):
    """All inputs of a narrow chain; of a wide one random ones, with long runs of carries."""
    w, rng = config()["W"], random.Random(4)
    full = (1 << w) - 1
    if w <= 4:
        cases = [(c, p, b) for c in (0, 1) for p in range(full + 1) for b in range(full + 1)]
    else:
        cases = [(rng.getrandbits(1), rng.getrandbits(w) | rng.getrandbits(w), rng.getrandbits(w)) for _ in range(500)]
        cases += [(c, full, b) for c in (0, 1) for b in (0, full)]
    for carry, propagate, bypass in cases:
        dut.carry_in.value, dut.propagate.value, dut.bypass.value = carry, propagate, bypass
        await Timer(1, "ns")
        result = 0
        for i in range(w):
            result |= (carry ^ (propagate >> i & 1)) << i
            carry = carry if propagate >> i & 1 else bypass >> i & 1
        assert int(dut.result.value) == carry << w | result
