"""ring_sum gives the slot that lies so many slots further on in the ring."""

import cocotb
from cocotb.triggers import Timer
from parts import config

# tables: a ring that is no power of two, one that is, one slot; sums of both kinds
CONFIGS = [
    {"RING": 6, "B_W": 3},
    {"RING": 4, "B_W": 3},
    {"RING": 1, "B_W": 1},
    {"RING": 11, "B_W": 4},
    {"RING": 16, "B_W": 3},
]


@cocotb.test()
async def every_slot_and_distance(dut):
    ring = config()["RING"]
    for a in range(ring):
        for b in range(min(ring, (1 << config()["B_W"]) - 1) + 1):
            dut.a.value, dut.b.value = a, b
            await Timer(1, "ns")
            assert int(dut.y.value) == (a + b) % ring, f"{a} + {b}"
