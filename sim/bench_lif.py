"""lif integrates, fires, resets and leaks neuron by neuron, sample after sample: its spikes, and what it keeps of each
membrane at each step, against a loop over single neurons."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config, packed, signed
from parts.stream import begin, interrupt

INTERNALS = True  # the membranes are what is written into the memory
LEAK = ("LEAK_A", "LEAK_B", "LEAK_C", "LEAK_D")
SAMPLES = 3


def thresholds(c):
    """Of each beat's neurons."""
    if not c["WORDS"]:
        return [[signed(c["THRESHOLD"][0], 64)] * c["N"] for _ in range(c["BEATS"])]
    rng = random.Random(c["WORDS"])
    most = (1 << c["K_W"]) - 1
    words = [[rng.randint(1, most) for _ in range(c["N"])] for _ in range(c["WORDS"])]
    words[-1][-1] = most
    return words * (c["BEATS"] // c["WORDS"])


def words_of(c):
    return [packed(beat, c["K_W"]) for beat in thresholds(c)[: c["WORDS"]]]


def shape(beats, n=1, x=(7, 1, 0), w=12, steps=3, **more):
    """x: (bits, signed, shift)"""
    return {
        "N": n,
        **dict(zip(("X_W", "X_SIGNED", "SHIFT"), x, strict=True)),
        "W": w,
        "OUT_W": 1,
        "BEATS": beats,
        "STEPS": steps,
        "LAST_ONLY": 0,
        "RAM": 0,
        "LEAKS": 0,
        "LEAK_A": 0,
        "LEAK_B": 0,
        "LEAK_C": 0,
        "LEAK_D": 0,
        "HALF_UP": 0,
        "START": (0, 64),
        "SPIKES": 1,
        "ORDER": 0,
        "RESET": 0,
        "AT": 0,
        "THRESHOLD": (21, 64),
        "K_W": 6,
        "WORDS": 0,
        **more,
    }


def table(c):
    check = 0
    for place, word in enumerate(words_of(c), 1):
        while word:
            check, word = check + place * (word % (1 << 32)), word >> 32
    return c | {"FILE": f"thresholds_{c['WORDS']}_{c['N']}.hex", "CHECK": (check % (1 << 32), 32)}


def leak(*shifts):
    return {"LEAKS": len(shifts)} | dict(zip(LEAK, shifts, strict=False))


MINUS_9 = ((1 << 64) - 9, 64)
CONFIGS = [
    shape(5, **leak(3)),
    table(shape(1, n=3, WORDS=1, **leak(2), AT=1, START=(9, 64))),
    shape(2, RESET=1, ORDER=1, **leak(1, 2), HALF_UP=1, steps=5),
    shape(3, x=(5, 0, 2), ORDER=1, **leak(2, 4, 5), HALF_UP=1),
    shape(4, n=2, ORDER=2, **leak(3), steps=4),
    shape(9, RESET=2, RAM=1, **leak(1)),
    shape(11, RESET=1, RAM=1, ORDER=2, **leak(2, 3), AT=1),
    table(shape(6, n=2, WORDS=3, **leak(2))),
    table(shape(70, WORDS=70, ORDER=1, RAM=1, **leak(3), steps=2)),
    shape(4, SPIKES=0, OUT_W=12, **leak(1, 3, 4, 6), HALF_UP=1, START=MINUS_9),
    shape(2, n=2, SPIKES=0, OUT_W=9, w=10, x=(6, 0, 0), LAST_ONLY=1, steps=4),
    shape(8, n=2, RESET=2, ORDER=1, RAM=1, **leak(0), AT=1, steps=1),
]


def prepare(folder, config):
    if config["WORDS"]:
        (folder / config["FILE"]).write_text("".join(f"{word:x}\n" for word in words_of(config)))


def left_of(v, c):
    """A membrane after its leak."""
    shifts = [c[name] for name in LEAK[: c["LEAKS"]]]
    return v - sum(v + ((1 << k) // 2 if c["HALF_UP"] else 0) >> k for k in shifts)


class Neuron:
    """begins -- what is left of the membrane before a step; spiked -- in the step before"""

    def __init__(self, c, threshold):
        self.c, self.threshold = c, threshold
        self.begins, self.spiked = signed(c["START"][0], 64), False

    def reset(self, v):
        return {0: v - self.threshold, 1: 0, 2: v}[self.c["RESET"]]

    def step(self, x):
        """What it tells of the step."""
        c, u = self.c, self.begins + (x << self.c["SHIFT"])
        assert -(1 << c["W"] - 1) <= u < 1 << c["W"] - 1, f"{u} needs more than {c['W']} bits"
        if not c["SPIKES"]:
            self.begins = left_of(u, c)
            return u
        spikes = u > self.threshold or (c["AT"] and u == self.threshold)
        told = self.spiked if c["ORDER"] == 2 else spikes
        if c["ORDER"] == 0:
            self.begins = left_of(self.reset(u) if spikes else u, c)
        elif c["ORDER"] == 1 and spikes:
            self.begins = 0 if c["RESET"] == 1 else left_of(u, c) - (self.threshold if c["RESET"] == 0 else 0)
        else:
            self.begins = self.reset(u) if spikes else left_of(u, c)
        self.spiked = spikes
        return told


def samples(count, seed=5):
    """Words that are sent, words that come, and what is kept at each beat."""
    c, rng = config(), random.Random(seed)
    low, high = (-(1 << c["X_W"] - 1), (1 << c["X_W"] - 1) - 1) if c["X_SIGNED"] else (0, (1 << c["X_W"]) - 1)
    taken, sent, kept = [], [], []
    flag = c["ORDER"] == 2 and c["SPIKES"]
    for sample in range(count):
        neurons = [[Neuron(c, level) for level in beat] for beat in thresholds(c)]
        for step in range(c["STEPS"]):
            for beat in neurons:
                ends = [low, high] if sample % 2 else [low, 0, high // 2, high // 3, high]
                values = [rng.choice([*ends, rng.randint(low, high)]) for _ in beat]
                told = [neuron.step(x) for neuron, x in zip(beat, values, strict=True)]
                taken.append(packed(values, c["X_W"]))
                if not c["LAST_ONLY"] or step + 1 == c["STEPS"]:
                    sent.append(packed(told, c["OUT_W"]))
                words = [n.begins % (1 << c["W"]) + (flag and n.spiked) * (1 << c["W"]) for n in beat]
                kept.append(packed(words, c["W"] + flag))
    return taken, sent, kept


async def trace(dut, found):
    """Appends each word that is written, in order, to `found`; each must be of the place after that before."""
    place = 0
    while True:
        await FallingEdge(dut.clk)
        await ReadOnly()
        if int(dut.rst.value):
            place = 0
        elif int(dut.write.value):
            if config()["BEATS"] > 1:
                assert int(dut.write_place.value) == place
            found.append(int(dut.keep.value))
            place = (place + 1) % config()["BEATS"]


async def run(dut, source, sink, seed):
    taken, sent, kept = samples(SAMPLES, seed)
    found = []
    tracing = cocotb.start_soon(trace(dut, found))
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent
    for _ in range(4):  # the last are written behind the last beat
        await FallingEdge(dut.clk)
    tracing.cancel()
    assert found == kept


@cocotb.test()
async def spikes_and_membranes_of_each_step(dut):
    source, sink = await begin(dut, source_stall=0.3, sink_stall=0.3)
    await run(dut, source, sink, 5)


@cocotb.test()
async def a_reset_in_mid_sample_begins_a_new_one(dut):
    c = config()
    source, sink = await begin(dut, source_stall=0.2, sink_stall=0.2)
    taken, _, _ = samples(2)
    sending = cocotb.start_soon(source.send(taken))
    taking = cocotb.start_soon(sink.take(len(taken)))
    for _ in range(2 * c["BEATS"] * c["STEPS"] - 1):  # with stalls, in a later step of one of them
        await FallingEdge(dut.clk)
    taking.cancel()
    await interrupt(dut, sending, source)
    await run(dut, source, sink, 7)
