"""layer_norm sends each pixel's channels less their mean, over their deviation, whoever stalls."""

import random
from math import isqrt

import cocotb
from bench_product import rows
from cocotb.utils import get_sim_time
from parts import clog2, config, ends, limits
from parts.stream import begin, interrupt


def parameters(n, x_bits, x_signed, root_bits, drop, eps, out_bits, low, high, depth, *none):
    span = (1 << x_bits) - 1
    variance = max(2, ((n * span) ** 2 // 4 + eps).bit_length())
    reach = (isqrt((n - 1) << (2 * (root_bits - drop))) + 1) >> 1  # in units of a result
    return {
        "N": n,
        "X_W": x_bits,
        "X_SIGNED": x_signed,
        "S_W": x_bits + (0 if x_signed else 1) + clog2(n),
        "V_W": variance,
        "EPS": (eps, variance),
        "R_W": root_bits,
        "DROP": drop,
        "ROUNDED_W": reach.bit_length() + 2,
        "OUT_W": out_bits,
        **ends(low, high, *none),
        "DEPTH": depth,
        "BLOCK": 0,
    }


CONFIGS = [
    parameters(5, 4, 1, 8, 5, 1, 6, -32, 31, 10),
    parameters(8, 5, 0, 6, 1, 0, 6, -20, 17, 16),
    parameters(3, 3, 1, 10, 4, 50, 8, 0, 0, 6, "NO_LOW", "NO_HIGH"),
    parameters(1, 4, 1, 4, 0, 3, 3, -4, 3, 2),
    parameters(2, 1, 0, 5, 2, 0, 5, -16, 15, 4),
    parameters(48, 4, 1, 6, 4, 2, 4, -8, 7, 80),
    parameters(33, 8, 1, 10, 4, 7, 8, -128, 127, 66),
    parameters(5, 4, 1, 8, 5, 1, 6, -32, 31, 10) | {"SLICES": 1},
    parameters(36, 6, 0, 8, 4, 0, 6, -32, 31, 70) | {"SLICES": 1},
    parameters(1, 3, 0, 4, 0, 3, 3, -4, 3, 2) | {"SLICES": 1},
]


def normalized(pixel):
    """The definition in whole numbers."""
    c = config()
    n, bits, (low, high) = c["N"], c["R_W"], limits(c)
    s = sum(pixel)
    v = n * sum(x * x for x in pixel) - s * s + c["EPS"][0]
    h = bits
    while v > 1 and isqrt((1 << (2 * h)) // v) >> (bits - 1) == 0:
        h += 1
    r = isqrt((1 << (2 * h)) // v) if v > 1 else (1 << bits) - 1
    shift = c["DROP"] + 1 + h - bits
    return [min(max(((n * x - s) * r + (1 << (shift - 1))) >> shift, low), high) for x in pixel]


def beats(count, seed=1):
    """Activations of pixels: random, at the ends, all alike, all but one alike; and what comes of them."""
    c, rng = config(), random.Random(seed)
    n, bits = c["N"], c["X_W"]
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if c["X_SIGNED"] else (0, (1 << bits) - 1)
    taken, sent = [], []
    for number in range(count):
        kind = number % 5
        pixel = [rng.randint(low, high) for _ in range(n)]
        if kind == 1:
            pixel = [rng.choice([low, high]) for _ in range(n)]
        elif kind > 1:
            pixel = [rng.choice([low, high, rng.randint(low, high)])] * n
            if kind == 3:
                pixel[rng.randrange(n)] = rng.choice([low, high, min(pixel[0] + 1, high)])
            elif kind == 4:
                pixel = [min(high, x + rng.randint(0, 1)) for x in pixel]
        taken += [x % (1 << bits) for x in pixel]
        sent += [y % (1 << c["OUT_W"]) for y in normalized(pixel)]
    return taken, sent


def slowest():
    """Cycles of a pixel whose variance is the greatest."""
    c = config()
    more = 0 if c.get("SLICES") else rows(c["S_W"] + 2, 1, c["X_W"], c["X_SIGNED"]) - 1
    return max(c["N"], -(-c["V_W"] // 2) + c["R_W"] - 1 + 6 + more)


@cocotb.test()
@cocotb.parametrize((("source_stall", "sink_stall"), [(0.6, 0.0), (0.0, 0.9), (0.6, 0.6)]))
async def every_pixel_is_normalized(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    taken, sent = beats(25)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_pixel_takes_its_channels_or_its_digits(dut):
    source, sink = await begin(dut)
    taken, sent = beats(40)
    n = config()["N"]
    cocotb.start_soon(source.send(taken))
    await sink.take(10 * n)
    start = get_sim_time("ns")
    await sink.take(len(sent) - 10 * n)
    cycles = (get_sim_time("ns") - start) / 10
    assert 30 * n <= cycles <= 30 * slowest() + 1  # between the two takes the sink is not ready


@cocotb.test()
async def reset_in_mid_pixel_forgets_it(dut):
    source, sink = await begin(dut)
    for received in (1, 3 * config()["N"] - 1):
        sending = cocotb.start_soon(source.send(beats(9)[0]))
        await sink.take(received)
        await interrupt(dut, sending, source)
        taken, sent = beats(6, seed=received)
        sending = cocotb.start_soon(source.send(taken))
        assert await sink.take(len(sent)) == sent
