"""softmax sends each channel's share in the sum of a pixel's exponentials, whoever stalls."""

import random

import cocotb
import numpy as np
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import begin, interrupt

from hwgen.rom import Rom


def table(words, e_bits):
    """Words that fall from all ones: half a bit a word, and some by chance."""
    rng, most = random.Random(words), (1 << e_bits) - 1
    return [most, *sorted((rng.randint(0, int(most * 0.7**d)) for d in range(1, words)), reverse=True)]


def rows(table_bits, e_bits):
    """The file: words by the low bits of their place, the first of a row lowest."""
    words = np.array(table(1 << table_bits, e_bits))
    return Rom.of_fields([(words, e_bits)]).banked(1 << min(6, table_bits))


def parameters(n, x_bits, x_signed, d_bits, table_bits, e_bits, out_bits, guard, depth):
    k, most = e_bits + out_bits + guard, (1 << e_bits) - 1
    return {
        "N": n,
        "X_W": x_bits,
        "X_SIGNED": x_signed,
        "D_W": d_bits,
        "TABLE_W": table_bits,
        "E_W": e_bits,
        "SUM_W": max(e_bits + 1, (n * most).bit_length()),
        "K": k,
        "R_W": ((1 << k) // most).bit_length(),
        "OUT_W": out_bits,
        "DEPTH": depth,
        "X_BLOCK": 0,
        "E_BLOCK": 0,
        "FILE": f"table_{table_bits}_{e_bits}.hex",
        "CHECK": (rows(table_bits, e_bits).check, 32),
    }


CONFIGS = [
    parameters(5, 4, 1, 4, 3, 7, 4, 2, 10),
    parameters(8, 6, 0, 6, 6, 10, 6, 2, 16),
    parameters(1, 3, 1, 3, 1, 5, 3, 2, 2),
    parameters(3, 5, 1, 3, 3, 4, 1, 3, 6),
    parameters(40, 5, 1, 5, 4, 12, 8, 2, 60),
    parameters(2, 1, 1, 1, 1, 3, 5, 1, 4),
    parameters(4, 9, 1, 9, 8, 11, 8, 2, 8),
    parameters(6, 5, 1, 5, 3, 7, 6, 2, 12) | {"SLICES": 1},
    parameters(24, 4, 0, 4, 3, 9, 8, 2, 48) | {"SLICES": 1},
]


def prepare(folder, config):
    (folder / config["FILE"]).write_text(rows(config["TABLE_W"], config["E_W"]).text())


def shares(pixel):
    """The definition in whole numbers."""
    c = config()
    words = table(1 << c["TABLE_W"], c["E_W"])
    e = [words[max(pixel) - x] if max(pixel) - x < len(words) else 0 for x in pixel]
    r, drop = (1 << c["K"]) // sum(e), c["K"] - c["OUT_W"]
    return [min((value * r + (1 << (drop - 1))) >> drop, (1 << c["OUT_W"]) - 1) for value in e]


def beats(count, seed=1):
    """Activations of pixels: random, far apart, alike, one above all others; and what comes of them."""
    c, rng = config(), random.Random(seed)
    n, bits = c["N"], c["X_W"]
    low = -(1 << (bits - 1)) if c["X_SIGNED"] else 0
    high = low + (1 << c["D_W"]) - 1
    taken, sent = [], []
    for number in range(count):
        pixel = [rng.randint(low, high) for _ in range(n)]
        if number % 4 == 1:
            pixel = [rng.choice([low, high]) for _ in range(n)]
        elif number % 4 == 2:
            pixel = [rng.randint(low, high)] * n
        elif number % 4 == 3:
            pixel = [low] * n
            pixel[rng.randrange(n)] = high
        taken += [x % (1 << bits) for x in pixel]
        sent += shares(pixel)
    return taken, sent


@cocotb.test()
@cocotb.parametrize((("source_stall", "sink_stall"), [(0.6, 0.0), (0.0, 0.9), (0.6, 0.6)]))
async def every_pixel_is_shared_out(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    taken, sent = beats(24)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_pixel_takes_its_channels_or_its_digits(dut):
    source, sink = await begin(dut)
    c = config()
    taken, sent = beats(30)
    cocotb.start_soon(source.send(taken))
    await sink.take(10 * c["N"])
    start = get_sim_time("ns")
    await sink.take(len(sent) - 10 * c["N"])
    lost = (get_sim_time("ns") - start) / 10 - 20 * max(c["N"], c["R_W"] + 3)
    assert 0 <= lost <= 1  # between the two takes the sink is not ready


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
