"""The model DSP48E2.v: every operand that OPMODE selects, every sum that ALUMODE names, and nothing for other modes (Icarus).

Expected values come from the arithmetic of UG579's table of ALUMODE: Z + S, Z - S, -Z + S - 1, -(Z + S) - 1 a lane.
"""

import itertools
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge
from parts import config

FIXED = {"USE_MULT": "NONE", "MREG": 0, "RND": (0x123456_789ABC, 48)}
UNREGISTERED = dict.fromkeys(
    ("AREG", "BREG", "CREG", "OPMODEREG", "ALUMODEREG", "CARRYINREG", "CARRYINSELREG", "INMODEREG"), 0
)
CONFIGS = [FIXED | UNREGISTERED | {"USE_SIMD": "TWO24"}, FIXED | UNREGISTERED | {"USE_SIMD": "ONE48"}]
ONES = (1 << 48) - 1
W, Z, Y, X = ("0", "P", "RND", "C"), {0: "0", 2: "P", 3: "C"}, {0: "0", 2: "ones", 3: "C"}, {0: "0", 2: "P", 3: "A:B"}
SUMS = {0: lambda z, s: z + s, 1: lambda z, s: -z + s - 1, 2: lambda z, s: -(z + s) - 1, 3: lambda z, s: z - s}


def lanes(value):
    bits = 24 if config()["USE_SIMD"] == "TWO24" else 48
    return [(value >> low) % (1 << bits) for low in range(0, 48, bits)], bits


async def begin(dut):
    for port in dut:
        if port._name.startswith("RST"):
            port.value = 0
        elif port._name.startswith("CE"):
            port.value = 1
    for name in (
        "ACIN",
        "BCIN",
        "PCIN",
        "CARRYCASCIN",
        "MULTSIGNIN",
        "D",
        "INMODE",
        "CARRYINSEL",
        "CARRYIN",
        "A",
        "B",
        "C",
    ):
        getattr(dut, name).value = 0
    dut.OPMODE.value, dut.ALUMODE.value = 0, 0
    Clock(dut.CLK, 10, "ns").start()
    await FallingEdge(dut.CLK)
    await FallingEdge(dut.CLK)


@cocotb.test()
async def sums_are_those_of_the_tables(dut):
    await begin(dut)
    rng, p = random.Random(1), 0
    for (w, z, y, x, mode), _ in itertools.product(itertools.product(range(4), Z, Y, X, SUMS), range(8)):
        a, b, c, cin = (
            rng.getrandbits(30),
            rng.getrandbits(18),
            rng.choice([rng.getrandbits(48), 0, ONES]),
            rng.getrandbits(1),
        )
        dut.A.value, dut.B.value, dut.C.value, dut.CARRYIN.value = a, b, c, cin
        dut.OPMODE.value, dut.ALUMODE.value = w << 7 | z << 4 | y << 2 | x, mode
        await FallingEdge(dut.CLK)
        of = {"0": 0, "P": p, "RND": FIXED["RND"][0], "C": c, "ones": ONES, "A:B": a << 18 | b}
        operands = [lanes(of[name])[0] for name in (W[w], X[x], Y[y], Z[z])]
        bits, p = lanes(0)[1], 0
        for lane, (in_w, in_x, in_y, in_z) in enumerate(zip(*operands, strict=True)):
            result = SUMS[mode](in_z, in_w + in_x + in_y + (cin if lane == 0 else 0))
            p |= result % (1 << bits) << (lane * bits)
        assert int(dut.P.value) == p, f"W {W[w]}, X {X[x]}, Y {Y[y]}, Z {Z[z]}, ALUMODE {mode}"


@cocotb.test()
async def other_modes_have_no_result(dut):
    await begin(dut)
    for opmode, alumode, carryinsel in itertools.product(range(512), (0, 1, 4, 13), (0, 1, 5)):
        legal = (
            (opmode >> 4 & 7) in Z and (opmode >> 2 & 3) in Y and (opmode & 3) in X and alumode < 4 and not carryinsel
        )
        dut.OPMODE.value, dut.ALUMODE.value, dut.CARRYINSEL.value, dut.RSTP.value = 0, 0, 0, 1
        await FallingEdge(dut.CLK)
        dut.OPMODE.value, dut.ALUMODE.value, dut.CARRYINSEL.value, dut.RSTP.value = opmode, alumode, carryinsel, 0
        await FallingEdge(dut.CLK)
        assert dut.P.value.is_resolvable == legal, (
            f"OPMODE {opmode:09b}, ALUMODE {alumode:04b}, CARRYINSEL {carryinsel}"
        )
