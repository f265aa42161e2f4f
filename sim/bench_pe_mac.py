"""pe_mac adds products of a weight and one or two operands, and constants; its sums come three enabled clocks later."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from parts import config


def base(value):
    """As a parameter of 64 bits."""
    return value % (1 << 64), 64


CONFIGS = [
    # two lanes, each of all the bits that the slice has for it
    {"PRODUCTS": 2, "X_W": 8, "WEIGHT_W": 8, "IMMEDIATE_W": 18, "W": 18, "BASE": base(-1000)},
    {"PRODUCTS": 2, "X_W": 4, "X_SIGNED": 1, "WEIGHT_W": 12, "IMMEDIATE_W": 7, "W": 22, "BASE": base(77)},
    {"PRODUCTS": 2, "X_W": 2, "WEIGHT_W": 18, "IMMEDIATE_W": 24, "W": 24, "BASE": base(-(1 << 23))},
    # ... and fewer
    {"PRODUCTS": 2, "X_W": 8, "X_SIGNED": 1, "WEIGHT_W": 3, "IMMEDIATE_W": 1, "W": 11, "BASE": base(1)},
    {"PRODUCTS": 2, "X_W": 1, "WEIGHT_W": 1, "IMMEDIATE_W": 1, "W": 1},
    # one lane
    {"PRODUCTS": 1, "X_W": 8, "WEIGHT_W": 8, "IMMEDIATE_W": 12, "W": 20, "BASE": base(5)},
    {"PRODUCTS": 1, "X_W": 26, "X_SIGNED": 1, "WEIGHT_W": 18, "IMMEDIATE_W": 48, "W": 48, "BASE": base(-(1 << 30))},
    {"PRODUCTS": 1, "X_W": 26, "WEIGHT_W": 18, "IMMEDIATE_W": 30, "W": 46},
]
BUBBLE = {"x": (0, 0), "weight": 0, "immediate": 0, "last": 0}


def first_sum():
    value, bits = config().get("BASE", base(0))
    return value - (value >> (bits - 1) << bits)


def ends(bits, signed):
    """What a field of so many bits holds: its least and its greatest number."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def number(rng, bits, signed):
    low, high = ends(bits, signed)
    return rng.choice([low, max(-1, low), 0, high, rng.randint(low, high)])


def random_x(rng):
    return tuple(number(rng, config()["X_W"], config().get("X_SIGNED", 0)) for _ in range(2))


def random_term(rng):
    c = config()
    immediate = number(rng, c["IMMEDIATE_W"], False) if rng.random() < 0.3 else 0
    x = (0, 0) if rng.random() < 0.2 else random_x(rng)
    return {"x": x, "weight": number(rng, c["WEIGHT_W"], True), "immediate": immediate, "last": 0}


def product(term, lane):
    return term["weight"] * term["x"][lane]


class Lanes:
    """The device behind a pipeline as in a layer: `first` and `immediate` come a clock behind their term, and results
    are captured three clocks after `last`."""

    def __init__(self, dut, stall, seed):
        self.dut, self.stall, self.rng = dut, stall, random.Random(seed)
        self.first, self.behind, self.lasts, self.results = 1, (1, 0), [0, 0, 0], []

    async def begin(self):
        Clock(self.dut.clk, 10, "ns").start()
        self.dut.enable.value = 0
        await FallingEdge(self.dut.clk)
        return self

    def show(self, x, weight, first, immediate):
        dut, c = self.dut, config()
        dut.x.value = sum(v % (1 << c["X_W"]) << (c["X_W"] * lane) for lane, v in enumerate(x[: c["PRODUCTS"]]))
        dut.weight.value, dut.first.value, dut.immediate.value = weight % (1 << c["WEIGHT_W"]), first, immediate

    async def issue(self, x, weight, immediate, last):
        """Shows the term until a clock takes it; without enable it shows anything else just as well."""
        while True:
            enable = int(self.rng.random() >= self.stall)
            self.dut.enable.value = enable
            if enable:
                self.show(x, weight, *self.behind)
            else:
                self.anything()
            await ReadOnly()
            if enable and self.lasts[2]:
                self.results.append(self.sums())
            await FallingEdge(self.dut.clk)
            if enable:
                self.behind, self.first, self.lasts = (self.first, immediate), last, [last, *self.lasts[:2]]
                return

    def anything(self):
        term = random_term(self.rng)
        immediate = number(self.rng, config()["IMMEDIATE_W"], False)
        self.show(term["x"], term["weight"], self.rng.getrandbits(1), immediate)

    def sums(self):
        w, value = config()["W"], int(self.dut.sum.value)
        half = 1 << (w - 1)
        return tuple(((value >> (w * lane)) + half) % (2 * half) - half for lane in range(config()["PRODUCTS"]))

    async def end(self):
        for _ in range(3):
            await self.issue(**BUBBLE)
        return self.results


def step(away):
    """A term that leads sums that are `away` from their goals nearer, at full stride while far; None if none can."""
    c = config()
    low, high = ends(c["X_W"], c.get("X_SIGNED", 0))
    _, most = ends(c["WEIGHT_W"], True)
    far = max(away, key=abs)
    size = max(1, abs(far) // max(high, 1))
    weight = min(size, most) if far > 0 else -min(size, most + 1)
    if weight:
        x = [min(max(int(a / weight), low), high) for a in away]
        return BUBBLE | {"x": x, "weight": weight}
    immediate = min(*away, (1 << c["IMMEDIATE_W"]) - 1)
    return BUBBLE | {"immediate": immediate} if immediate > 0 else None


def random_list(rng):
    """One output's terms, with bubbles between, and its sums. Random terms come first, then those that lead to sums of
    W bits: before, they may be anything."""
    lanes, base = config()["PRODUCTS"], first_sum()
    low, high = ends(config()["W"], True)
    goals = [rng.choice([low, high, rng.randint(low, high)]) for _ in range(lanes)]
    terms, sums = [], [base] * lanes
    random_terms = rng.choice([0, 1, 2, 6])
    while len(terms) < random_terms or sums != goals:
        away = [goal - s for goal, s in zip(goals, sums, strict=True)]
        term = random_term(rng) if len(terms) < random_terms else step(away)
        if term is None:
            break
        terms.append(term)
        sums = [s + product(term, lane) + term["immediate"] for lane, s in enumerate(sums)]
    terms = terms or [dict(BUBBLE)]
    terms[-1]["last"] = 1
    spread = [BUBBLE if bubble else term for term in terms for bubble in [*[1] * rng.choice([0, 0, 0, 0, 1, 3]), 0]]
    return spread + [BUBBLE] * rng.choice([0, 0, 0, 1, 2, 3, 4]), tuple(sums)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3, 0.7])
async def every_output_gets_its_sums_whoever_stalls(dut, stall):
    """Sums that reach either end of their bits, one beside the other, among them."""
    rng = random.Random(1)
    lanes, expected, ended = await Lanes(dut, stall, seed=2).begin(), [], set()
    low, high = ends(config()["W"], True)
    for _ in range(16):
        terms, sums = random_list(rng)
        if not all(low <= s <= high for s in sums):  # of a weight that is never positive
            continue
        expected.append(sums)
        ended.update(sums)
        for term in terms:
            await lanes.issue(**term)
    assert await lanes.end() == expected
    assert low in ended and len(expected) > 3 and (high in ended or config()["WEIGHT_W"] == 1)


@cocotb.test()
async def without_enable_everything_holds(dut):
    lanes = await Lanes(dut, 0.0, seed=5).begin()
    term = random_term(random.Random(6)) | {"weight": 0, "immediate": 0}
    await lanes.issue(**term)
    await lanes.issue(**BUBBLE)
    await lanes.issue(**BUBBLE)
    held = lanes.sums()
    base = first_sum()
    assert held == (base,) * config()["PRODUCTS"]
    dut.enable.value = 0
    for _ in range(20):
        lanes.anything()
        await FallingEdge(dut.clk)
        assert lanes.sums() == held
