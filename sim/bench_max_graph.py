"""max_graph gives the greatest of each channel's taps, a pixel a clock, and moves only when enabled."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge
from parts import config

CONFIGS = [
    {"X_W": 5, "X_SIGNED": 1, "CHANNELS": 2, "TAPS": 9},
    {"X_W": 4, "X_SIGNED": 0, "CHANNELS": 3, "TAPS": 4},
    {"X_W": 3, "X_SIGNED": 0, "CHANNELS": 1, "TAPS": 3},
    {"X_W": 3, "X_SIGNED": 1, "CHANNELS": 1, "TAPS": 2},
    {"X_W": 1, "X_SIGNED": 1, "CHANNELS": 2, "TAPS": 1},
]


def pixels(rng):
    """Of each tap the activations, as they are: at times all ends, at times alike but for one."""
    c = config()
    half = 1 << (c["X_W"] - 1)
    low, high = (-half, half - 1) if c["X_SIGNED"] else (0, 2 * half - 1)
    kind = rng.choice(("any", "ends", "one"))
    draw = {"any": lambda: rng.randint(low, high), "ends": lambda: rng.choice((low, high)), "one": lambda: low}[kind]
    taps = [[draw() for _ in range(c["CHANNELS"])] for _ in range(c["TAPS"])]
    if kind == "one":
        rng.choice(taps)[rng.randrange(c["CHANNELS"])] = rng.randint(low, high)
    return taps


def packed(activations):
    bits = config()["X_W"]
    return sum((value % (1 << bits)) << (i * bits) for i, value in enumerate(activations))


@cocotb.test()
@cocotb.parametrize(disabled=[0.0, 0.4])
async def the_greatest_tap_of_each_channel_comes_after_its_levels(dut, disabled):
    c, rng = config(), random.Random(9)
    levels = max(1, (c["TAPS"] - 1).bit_length())
    dut.enable.value = 0
    dut.taps.value = 0
    Clock(dut.clk, 10, "ns").start()
    await FallingEdge(dut.clk)
    want = []
    for _ in range(250):
        taps, enable = pixels(rng), rng.random() >= disabled
        dut.taps.value = packed([value for tap in taps for value in tap])
        dut.enable.value = int(enable)
        await FallingEdge(dut.clk)
        if enable:
            want.append(packed([max(values) for values in zip(*taps, strict=True)]))
        if len(want) >= levels:
            assert int(dut.greatest.value) == want[-levels]
