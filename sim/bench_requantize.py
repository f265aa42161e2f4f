"""requantize clamps all sums of a load and sends a beat per group; two loads fit, and with EAGER no word waits for want
of one."""

import random
from itertools import chain

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly, Timer
from cocotb.utils import get_sim_time
from parts import config, ends, limits, signed
from parts.stream import Sink, reset, start

CONFIGS = [
    # two of three groups in a final load; both ends clamp
    {"LANES": 4, "GROUPS": 3, "FINAL": 2, "EAGER": 1, "IN_W": 7, "IN_SIGNED": 1, "OUT_W": 4, **ends(-8, 5)},
    {"LANES": 1, "GROUPS": 1, "FINAL": 1, "EAGER": 1, "IN_W": 6, "IN_SIGNED": 0, "OUT_W": 4, **ends(3, 15, "NO_LOW")},
    {"LANES": 1, "GROUPS": 3, "FINAL": 2, "IN_W": 6, "IN_SIGNED": 1, "OUT_W": 3, **ends(0, 7)},
    {
        "LANES": 4,
        "GROUPS": 1,
        "FINAL": 1,
        "EAGER": 1,
        "IN_W": 5,
        "IN_SIGNED": 1,
        "OUT_W": 5,
        **ends(0, 7, "NO_LOW", "NO_HIGH"),
    },
    # one group in a final load, and as many as in any other
    {"LANES": 2, "GROUPS": 4, "FINAL": 1, "IN_W": 5, "IN_SIGNED": 1, "OUT_W": 4, **ends(-3, 7)},
    {"LANES": 3, "GROUPS": 2, "FINAL": 2, "EAGER": 1, "IN_W": 5, "IN_SIGNED": 0, "OUT_W": 4, **ends(0, 15)},
    # half even
    {"LANES": 2, "GROUPS": 1, "FINAL": 1, "IN_W": 5, "REST_W": 2, "IN_SIGNED": 1, "OUT_W": 4, **ends(-5, 6)},
    {
        "LANES": 1,
        "GROUPS": 2,
        "FINAL": 1,
        "IN_W": 1,
        "REST_W": 1,
        "IN_SIGNED": 0,
        "OUT_W": 1,
        **ends(0, 0, "NO_LOW", "NO_HIGH"),
    },
]


def in_bits():
    """Bits of a sum with what is below it."""
    return config()["IN_W"] + config().get("REST_W", 0)


def clamped(word):
    c = config()
    value = signed(word, in_bits()) if c["IN_SIGNED"] else word
    value, rest = divmod(value, 1 << c.get("REST_W", 0))
    if "REST_W" in c and rest == 0:
        value -= value % 2
    low, high = limits(c)
    return min(max(value, low), high) % (1 << c["OUT_W"])


def random_loads(count, final_chance=0.3):
    """(sums of each group's lanes, final); the sums are a shuffle of all that there can be."""
    c, rng = config(), random.Random(3)
    size = c["GROUPS"] * c["LANES"]
    every = list(range(1 << in_bits())) * (1 + (count * size >> in_bits()))
    rng.shuffle(every)
    return [(every[i * size : (i + 1) * size], int(rng.random() < final_chance)) for i in range(count)]


def packed(values, bits):
    return sum(value << (i * bits) for i, value in enumerate(values))


def words(load):
    """What a load sends: a word of each group."""
    c, (sums, is_final) = config(), load
    groups = [sums[g * c["LANES"] : (g + 1) * c["LANES"]] for g in range(c["FINAL" if is_final else "GROUPS"])]
    return [packed([clamped(value) for value in group], c["OUT_W"]) for group in groups]


class Loader:
    """Plays the accumulators: loads as soon as `full` allows, or after a pause of its own."""

    def __init__(self, dut, stall=0.0):
        self.dut, self.stall, self.random = dut, stall, random.Random(2)

    def offer(self, load=None):
        """Load now, or with nothing to load show any sums."""
        dut = self.dut
        dut.load.value = int(load is not None)
        dut.sums.value = self.random.getrandbits(len(dut.sums)) if load is None else packed(load[0], in_bits())
        dut.is_final.value = self.random.getrandbits(1) if load is None else load[1]

    async def load(self, loads):
        for load in loads:
            while True:
                await FallingEdge(self.dut.clk)
                self.offer()
                await Timer(1, "ns")  # `full` depends on the output's tready, which moves on this edge too
                if self.random.random() >= self.stall and not int(self.dut.full.value):
                    break
            self.offer(load)
        await FallingEdge(self.dut.clk)
        self.offer()


async def begin(dut, load_stall=0.0, sink_stall=0.0):
    sink = Sink(dut, "m_axis", sink_stall, seed=1)
    await start(dut, load=0, is_final=0, sums=0, m_axis_tready=0)
    return Loader(dut, load_stall), sink


@cocotb.test()
@cocotb.parametrize(
    (
        ("load_stall", "sink_stall", "final_chance"),
        [(0.0, 0.0, 0.4), (0.6, 0.0, 1.0), (0.0, 0.9, 0.4), (0.6, 0.5, 0.4), (0.0, 0.5, 0.0), (0.6, 0.9, 1.0)],
    )
)
async def groups_leave_in_order_clamped(dut, load_stall, sink_stall, final_chance):
    loader, sink = await begin(dut, load_stall, sink_stall)
    loads = random_loads(60, final_chance)
    cocotb.start_soon(loader.load(loads))
    expected = list(chain(*map(words, loads)))
    assert await sink.take(len(expected)) == expected


@cocotb.test()
@cocotb.parametrize(final_chance=[0.0, 0.5])
async def a_word_leaves_every_cycle(dut, final_chance):
    if not config().get("EAGER"):
        return
    loader, sink = await begin(dut)
    loads = random_loads(40, final_chance)
    expected = list(chain(*map(words, loads)))
    before = get_sim_time("ns")
    cocotb.start_soon(loader.load(loads))
    assert await sink.take(len(expected)) == expected
    assert get_sim_time("ns") - before <= (len(expected) + 4) * 10


@cocotb.test()
@cocotb.parametrize(ready=[0.0, 0.3, 0.7, 1.0], eager=[0.2, 1.0])
async def full_stands_exactly_while_a_third_load_might_overwrite(dut, ready, eager):
    """Every clock against a model of two places: one that waits, and one that is sent."""
    loader, _ = await begin(dut)
    rng = random.Random(4)
    waits, sends = [], []
    for load in random_loads(300):
        dut.m_axis_tready.value = moved = int(rng.random() < ready)
        loader.offer()
        await Timer(1, "ns")
        moved = moved and bool(sends)
        free = len(sends) <= moved  # after this clock
        assert int(dut.m_axis_tvalid.value) == bool(sends)
        full = bool(waits) and (not free if config().get("EAGER") else bool(sends))
        assert int(dut.full.value) == full
        loads = not full and rng.random() < eager
        if loads:
            loader.offer(load)
        await ReadOnly()
        if moved:
            assert int(dut.m_axis_tdata.value) == sends.pop(0)
        if free:
            waits, sends = [], waits
        if loads:
            waits = words(load)
        await FallingEdge(dut.clk)


@cocotb.test()
@cocotb.parametrize(taken=[0, 1])
async def reset_in_mid_load_forgets_the_rest(dut, taken):
    loader, sink = await begin(dut)
    loads = random_loads(20)
    loading = cocotb.start_soon(loader.load(loads))
    for _ in range(4):  # both places fill
        await FallingEdge(dut.clk)
    await sink.take(taken)
    loading.cancel()
    loader.offer()
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0 and int(dut.full.value) == 0
    cocotb.start_soon(loader.load(loads))
    expected = list(chain(*map(words, loads)))
    assert await sink.take(len(expected)) == expected
