"""lane_select gives each lane its neighbour's activation, the padding beyond the ends, or the immediate."""

import random

import cocotb
from cocotb.triggers import Timer
from parts import config

CONFIGS = [
    # unsigned activations, as many stripes as lanes, a narrow immediate
    {"X_W": 4, "X_SIGNED": 0, "STRIPES": 4, "LANES": 4, "FIRST_LEG": -1, "LEGS": 3, "LEG_W": 2, "B": 4, "W": 9},
    # an immediate that rides above them; more lanes than stripes; the last leg beyond the end
    {"X_W": 3, "X_SIGNED": 0, "STRIPES": 2, "LANES": 3, "FIRST_LEG": 0, "LEGS": 2, "LEG_W": 2, "B": 6, "W": 6},
    # signed, with a padding value, as a max pool has it
    {
        "X_W": 5,
        "X_SIGNED": 1,
        "STRIPES": 3,
        "LANES": 2,
        "FIRST_LEG": -1,
        "LEGS": 3,
        "LEG_W": 2,
        "B": 5,
        "W": 5,
        "PAD_VALUE": (16, 5),
    },
    # signed and extended twice
    {"X_W": 3, "X_SIGNED": 1, "STRIPES": 1, "LANES": 1, "FIRST_LEG": 0, "LEGS": 1, "LEG_W": 1, "B": 5, "W": 8},
    # every second stripe is a lane's own; lanes reach past both ends
    {
        "X_W": 4,
        "X_SIGNED": 0,
        "STRIPES": 5,
        "LANES": 3,
        "LANE_STEP": 2,
        "FIRST_LEG": -1,
        "LEGS": 4,
        "LEG_W": 3,
        "B": 4,
        "W": 7,
    },
]


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


class Select:
    def __init__(self, dut):
        self.dut, self.c, self.rng = dut, config(), random.Random(1)

    async def operands(self, activations, leg, use_immediate, immediate):
        """The operands of all lanes, as signed numbers."""
        dut, c = self.dut, self.c
        dut.word.value = sum(a << (s * c["X_W"]) for s, a in enumerate(activations))
        dut.leg.value, dut.use_immediate.value, dut.immediate.value = leg, use_immediate, immediate
        await Timer(1, "ns")
        word = int(dut.operands.value)
        lanes = [(word >> (lane * c["W"])) & ((1 << c["W"]) - 1) for lane in range(c["LANES"])]
        return [signed(value, c["W"]) for value in lanes]

    def activations(self):
        return [self.rng.getrandbits(self.c["X_W"]) for _ in range(self.c["STRIPES"])]

    def cases(self):
        return [(leg, self.rng.getrandbits(self.c["B"])) for leg in range(self.c["LEGS"]) for _ in range(30)]


@cocotb.test()
async def a_lane_gets_the_activation_at_the_distance_of_the_leg(dut):
    select = Select(dut)
    c = select.c
    for leg, immediate in select.cases():
        activations = select.activations()
        got = await select.operands(activations, leg, 0, immediate)
        for lane, value in enumerate(got):
            stripe = lane * c.get("LANE_STEP", 1) + c["FIRST_LEG"] + leg
            raw = activations[stripe] if 0 <= stripe < c["STRIPES"] else c.get("PAD_VALUE", [0])[0]
            assert value == (signed(raw, c["X_W"]) if c["X_SIGNED"] else raw), f"lane {lane}, leg {leg}"


@cocotb.test()
async def every_lane_gets_the_same_signed_immediate(dut):
    select = Select(dut)
    for _, immediate in select.cases():
        got = await select.operands(select.activations(), select.c["LEGS"], 1, immediate)
        assert got == [signed(immediate, select.c["B"])] * select.c["LANES"]
