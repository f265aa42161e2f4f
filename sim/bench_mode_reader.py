"""mode_reader tells the modes of frames one after the other, each once it is in the ring, and takes none twice."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from parts import clog2, config
from parts.stream import reset, start

CONFIGS = [{"MODES": 2, "DEPTH": 2}, {"MODES": 5, "DEPTH": 8}]


class Ring:
    """Frames that begin at random, as mode_ring.v keeps them."""

    def __init__(self, seed=1):
        self.rng, self.modes, self.places = random.Random(seed), [], [0] * config()["DEPTH"]

    def step(self, chance, taken):
        """A frame may begin, if there is room beside those that are not taken."""
        c = config()
        if len(self.modes) - taken < c["DEPTH"] and self.rng.random() < chance:
            self.modes.append(self.rng.randrange(c["MODES"]))
            self.places[(len(self.modes) - 1) % c["DEPTH"]] = self.modes[-1]

    @property
    def value(self):
        c, bits = config(), clog2(config()["MODES"])
        begun = len(self.modes) % (2 * c["DEPTH"])
        return begun << c["DEPTH"] * bits | sum(mode << i * bits for i, mode in enumerate(self.places))


@cocotb.test()
@cocotb.parametrize(begin=[0.05, 0.5, 1.0], take=[0.1, 1.0])
async def each_frame_is_known_by_its_own_mode(dut, begin, take):
    ring, rng, taken, idle = Ring(), random.Random(2), 0, 0
    await start(dut, modes=ring.value, taken=0)
    for _ in range(300):
        await ReadOnly()
        known = int(dut.known.value)
        if known:
            assert taken < len(ring.modes), "a frame that has not begun is known"
            assert int(dut.mode.value) == ring.modes[taken]
        idle = 0 if known or taken == len(ring.modes) else idle + 1
        assert idle <= 2, "a frame that has begun is not known two clocks later"
        takes = known and rng.random() < take
        await FallingEdge(dut.clk)
        dut.taken.value = int(takes)
        await ReadOnly()
        await FallingEdge(dut.clk)
        dut.taken.value = 0
        taken += int(takes)
        ring.step(begin, taken)
        dut.modes.value = ring.value
    assert taken > 5


@cocotb.test()
async def reset_begins_with_the_first_frame(dut):
    ring = Ring()
    await start(dut, modes=ring.value, taken=0)
    for _ in range(3):
        ring.step(1.0, 0)
    dut.modes.value = ring.value
    for _ in range(3):
        await FallingEdge(dut.clk)
    assert int(dut.known.value)
    dut.modes.value = Ring().value
    await reset(dut, cycles=1)
    assert not int(dut.known.value)
    for _ in range(3):
        await FallingEdge(dut.clk)
    assert not int(dut.known.value)
