"""The model DSP48E2.v: every operand OPMODE selects, every sum ALUMODE names, and nothing for other modes (Icarus).

Expected values come from the arithmetic of UG579's table of ALUMODE: Z + S, Z - S, -Z + S - 1, -(Z + S) - 1 a lane; and
of the product, from that of INMODE: B times D + A, D - A, or what of them is not gated.
"""

import itertools
import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge
from parts import config

FIXED = {"RND": (0x123456_789ABC, 48)}
UNREGISTERED = dict.fromkeys(
    (
        "AREG",
        "BREG",
        "CREG",
        "OPMODEREG",
        "ALUMODEREG",
        "CARRYINREG",
        "CARRYINSELREG",
        "INMODEREG",
        "DREG",
        "ADREG",
        "MREG",
    ),
    0,
)
MULTIPLY = {"USE_MULT": "MULTIPLY", "AMULTSEL": "AD"}
CONFIGS = [
    FIXED | UNREGISTERED | {"USE_MULT": "NONE", "USE_SIMD": "TWO24"},
    FIXED | UNREGISTERED | {"USE_MULT": "NONE", "USE_SIMD": "ONE48"},
    FIXED | UNREGISTERED | MULTIPLY,
    FIXED | MULTIPLY,  # with a register at each place
    FIXED | MULTIPLY | {"ADREG": 0, "INMODEREG": 0},
]
ONES = (1 << 48) - 1
W, Z, Y, X = ("0", "P", "RND", "C"), {0: "0", 2: "P", 3: "C"}, {0: "0", 2: "ones", 3: "C"}, {0: "0", 2: "P", 3: "A:B"}
SUMS = {0: lambda z, s: z + s, 1: lambda z, s: -z + s - 1, 2: lambda z, s: -(z + s) - 1, 3: lambda z, s: z - s}


COMBINATIONAL = config().get("CREG") == 0 if "BENCH_CONFIG" in os.environ else True


def lanes(value):
    bits = 24 if config().get("USE_SIMD") == "TWO24" else 48
    return [(value >> low) % (1 << bits) for low in range(0, 48, bits)], bits


def signed(value, bits):
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def added(a, d, inmode):
    """The pre-adder: of both ports what INMODE lets through, 27 bits."""
    a, d = 0 if inmode & 2 else a, d if inmode & 4 else 0
    return signed(d - a if inmode & 8 else d + a, 27)


def number(rng, bits):
    return rng.choice([rng.getrandbits(bits), 0, 1 << (bits - 1), (1 << bits) - 1])


def multiplies(x, y):
    """Whether a mode is one of the product: X and Y both select it."""
    return x == y == 1 and config()["USE_MULT"] == "MULTIPLY"


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


@cocotb.test(skip=not COMBINATIONAL)
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


@cocotb.test(skip=not COMBINATIONAL)
async def other_modes_have_no_result(dut):
    await begin(dut)
    for opmode, alumode, carryinsel in itertools.product(range(512), (0, 1, 4, 13), (0, 1, 5)):
        x, y = opmode & 3, opmode >> 2 & 3
        adds = (y in Y and x in X) or multiplies(x, y)
        legal = (opmode >> 4 & 7) in Z and adds and alumode < 4 and not carryinsel
        dut.OPMODE.value, dut.ALUMODE.value, dut.CARRYINSEL.value, dut.RSTP.value = 0, 0, 0, 1
        await FallingEdge(dut.CLK)
        dut.OPMODE.value, dut.ALUMODE.value, dut.CARRYINSEL.value, dut.RSTP.value = opmode, alumode, carryinsel, 0
        await FallingEdge(dut.CLK)
        assert dut.P.value.is_resolvable == legal, (
            f"OPMODE {opmode:09b}, ALUMODE {alumode:04b}, CARRYINSEL {carryinsel}"
        )


@cocotb.test(skip=not COMBINATIONAL)
async def products_are_those_of_the_tables(dut):
    """With every gate of the pre-adder and every ALUMODE; W and Z in turn. A mode of A1 or B1 has no result."""
    await begin(dut)
    rng, p = random.Random(2), 0
    multiplier = config()["USE_MULT"] == "MULTIPLY"
    for inmode, mode, w, z in itertools.product(range(32), SUMS, range(4), Z):
        a, b, c, d = (number(rng, bits) for bits in (30, 18, 48, 27))
        dut.A.value, dut.B.value, dut.C.value, dut.D.value, dut.INMODE.value = a, b, c, d, inmode
        dut.OPMODE.value, dut.ALUMODE.value = w << 7 | z << 4 | 0b0101, mode
        await FallingEdge(dut.CLK)
        assert dut.P.value.is_resolvable == (multiplier and not inmode & 0b10001), f"INMODE {inmode:05b}"
        if not dut.P.value.is_resolvable:
            dut.RSTP.value = 1
            await FallingEdge(dut.CLK)
            dut.RSTP.value, p = 0, 0
            continue
        product = added(a, d, inmode) * signed(b, 18)
        of = {"0": 0, "P": p, "RND": FIXED["RND"][0], "C": c}
        p = SUMS[mode](of[Z[z]], of[W[w]] + product) % (1 << 48)
        assert int(dut.P.value) == p, f"INMODE {inmode:05b}, W {W[w]}, Z {Z[z]}, ALUMODE {mode}"


@cocotb.test(skip=COMBINATIONAL)
async def each_register_takes_what_is_before_it_by_its_own_enable(dut):
    """P <= (P or RND) + A and D times B + C, clock by clock, whatever is enabled or reset."""
    await begin(dut)
    rng, registers = random.Random(3), config()
    enables = {"A": "CEA2", "B": "CEB2", "C": "CEC", "D": "CED", "AD": "CEAD", "M": "CEM", "P": "CEP"}
    enables |= {"OPMODE": "CECTRL", "INMODE": "CEINMODE"}
    resets = {"A": "RSTA", "B": "RSTB", "C": "RSTC", "D": "RSTD", "AD": "RSTD", "M": "RSTM", "P": "RSTP"}
    resets |= {"OPMODE": "RSTCTRL", "INMODE": "RSTINMODE"}
    ports = {"A": 30, "B": 18, "C": 48, "D": 27, "INMODE": 5, "OPMODE": 9}
    held = dict.fromkeys(enables, 0)
    for name in [*resets.values(), "RSTALUMODE", "RSTALLCARRYIN"]:
        getattr(dut, name).value = 1
    await FallingEdge(dut.CLK)
    dut.RSTALUMODE.value, dut.RSTALLCARRYIN.value = 0, 0
    for _ in range(4000):
        given = {name: number(rng, bits) for name, bits in ports.items()}
        given["INMODE"] &= 0b01110
        given["OPMODE"] = rng.choice([0b01_011_01_01, 0b10_011_01_01, 0b11_010_01_01, 0b00_011_00_00])
        for name, value in given.items():
            getattr(dut, name).value = value
        enabled = {name: int(rng.random() < 0.8) for name in sorted(set(enables.values()))}
        reset = {name: int(rng.random() < 0.02) for name in sorted(set(resets.values()))}
        for name, value in (enabled | reset).items():
            getattr(dut, name).value = value
        await FallingEdge(dut.CLK)

        def at(name, d):
            return held[name] if registers.get(name + "REG", 1) else d

        inmode, opmode = at("INMODE", given["INMODE"]), held["OPMODE"]
        a, b, c, d = (held[name] for name in "ABCD")
        ad = added(a, d, inmode)
        product = at("AD", ad) * signed(b, 18)
        w = (0, held["P"], FIXED["RND"][0], c)[opmode >> 7]
        z = {0: 0, 2: held["P"], 3: c}[opmode >> 4 & 7]
        p = (w + z + (held["M"] if opmode & 1 else 0)) % (1 << 48)
        after = given | {"AD": ad, "M": product, "P": p}
        for name, enable in enables.items():
            if reset[resets[name]]:
                held[name] = 0
            elif enabled[enable]:
                held[name] = after[name]
        assert int(dut.P.value) == held["P"]
