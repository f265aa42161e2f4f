"""lane_select gives each lane its neighbour's activation, or the padding beyond the ends."""

import random

import cocotb
from cocotb.triggers import Timer
from parts import config

CONFIGS = [
    # as many stripes as lanes, three legs
    {"X_W": 4, "STRIPES": 4, "LANES": 4, "FIRST_LEG": -1, "LEGS": 3},
    # more lanes than stripes; the last leg beyond the end
    {"X_W": 3, "STRIPES": 2, "LANES": 3, "FIRST_LEG": 0, "LEGS": 2},
    # a padding value, as a signed max pool has it
    {"X_W": 5, "STRIPES": 3, "LANES": 2, "FIRST_LEG": -1, "LEGS": 3, "PAD_VALUE": (16, 5)},
    # wires
    {"X_W": 3, "STRIPES": 1, "LANES": 1, "FIRST_LEG": 0, "LEGS": 1},
    # every second stripe is a lane's own; lanes reach past both ends
    {"X_W": 4, "STRIPES": 5, "LANES": 3, "LANE_STEP": 2, "FIRST_LEG": -1, "LEGS": 4},
    # a bit alone; five legs
    {"X_W": 1, "STRIPES": 3, "LANES": 3, "FIRST_LEG": -2, "LEGS": 5},
]


class Select:
    def __init__(self, dut):
        self.dut, self.c, self.rng = dut, config(), random.Random(1)

    async def operands(self, activations, leg):
        """The operands of all lanes."""
        dut, c = self.dut, self.c
        dut.word.value = sum(a << (s * c["X_W"]) for s, a in enumerate(activations))
        dut.leg.value = leg
        await Timer(1, "ns")
        word = int(dut.operands.value)
        return [(word >> (lane * c["X_W"])) & ((1 << c["X_W"]) - 1) for lane in range(c["LANES"])]

    def activations(self):
        return [self.rng.getrandbits(self.c["X_W"]) for _ in range(self.c["STRIPES"])]


@cocotb.test()
async def a_lane_gets_the_activation_at_the_distance_of_the_leg(dut):
    select = Select(dut)
    c = select.c
    for leg in range(c["LEGS"]):
        for _ in range(30):
            activations = select.activations()
            for lane, value in enumerate(await select.operands(activations, leg)):
                stripe = lane * c.get("LANE_STEP", 1) + c["FIRST_LEG"] + leg
                raw = activations[stripe] if 0 <= stripe < c["STRIPES"] else c.get("PAD_VALUE", [0])[0]
                assert value == raw, f"lane {lane}, leg {leg}"
