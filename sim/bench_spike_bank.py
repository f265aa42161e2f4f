"""spike_bank adds weights to the sums of either half, and begins one anew where it is drained, whatever is enabled."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from parts import clog2, config, signed

CONFIGS = [
    {"SLOTS": slots, "WEIGHT_W": weight, "LIFT": lift, "CONSTANT_W": constant, "W": bits}
    for slots, weight, lift, constant, bits in ((8, 4, 0, 8, 12), (1, 1, 2, 3, 3), (3, 5, 1, 4, 9), (2, 2, 0, 9, 9))
]
CONFIGS.append(CONFIGS[0] | {"CODED": 1, "CODE_W": 3, "VALUES": (0xF8_421C_70, 32)})


@cocotb.test()
async def sums_are_those_of_their_slots(dut):
    c, rng = config(), random.Random(3)
    slots, modulus = c["SLOTS"], 1 << c["W"]
    sums = {}
    Clock(dut.clk, 10, "ns").start()
    dut.enable.value = 0
    await FallingEdge(dut.clk)
    for step in range(200):
        first = step < 2 * slots  # both halves begin anew
        half, slot = (step // slots % 2, step % slots) if first else (rng.getrandbits(1), rng.randrange(slots))
        enable, drain = int(first or rng.random() < 0.8), int(first or rng.random() < 0.2)
        code, constant = rng.getrandbits(c.get("CODE_W", c["WEIGHT_W"])), rng.getrandbits(c["CONSTANT_W"])
        payload = (rng.randrange(slots) if drain else slot) * (slots > 1) << c.get("CODE_W", c["WEIGHT_W"]) | code
        dut.enable.value, dut.drain.value, dut.half.value, dut.payload.value = enable, drain, half, payload
        dut.constant.value = constant
        dut.drain_slot.value = slot if drain or slots == 1 else rng.randrange(slots)
        await ReadOnly()
        if not first:
            assert int(dut.sum.value) == sums[half, slot], (step, half, slot)
        await FallingEdge(dut.clk)
        value = c["VALUES"][0] >> code * c["WEIGHT_W"] if "CODED" in c else code
        weight = signed(value % (1 << c["WEIGHT_W"]), c["WEIGHT_W"]) << c["LIFT"]
        constant = signed(constant, c["CONSTANT_W"])
        if enable:
            sums[half, slot] = (constant if drain else sums[half, slot] + weight) % modulus
    assert len(sums) == 2 * slots and clog2(slots) <= len(dut.drain_slot)
