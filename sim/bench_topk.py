"""topk sends the greatest channels of each pixel, of like ones those of the lowest numbers, whoever stalls."""

import random

import cocotb
from cocotb.utils import get_sim_time
from parts import clog2, config
from parts.stream import begin, interrupt


def parameters(n, k, x_bits, x_signed, values):
    return {
        "N": n,
        "K": k,
        "X_W": x_bits,
        "X_SIGNED": x_signed,
        "VALUES": values,
        "OUT_W": x_bits if values else max(1, clog2(n)),
    }


CONFIGS = [
    parameters(10, 1, 4, 1, 0),
    parameters(7, 3, 3, 0, 0),
    parameters(6, 6, 5, 1, 1),
    parameters(5, 4, 1, 1, 0),
    parameters(1, 1, 3, 1, 1),
    parameters(1, 1, 2, 0, 0),
    parameters(9, 2, 8, 0, 1),
]


def beats(count, seed=1):
    """Activations of pixels, most with like ones among them; and what comes of them."""
    c, rng = config(), random.Random(seed)
    n, k, bits = c["N"], c["K"], c["X_W"]
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if c["X_SIGNED"] else (0, (1 << bits) - 1)
    taken, sent = [], []
    for number in range(count):
        pool = [rng.randint(low, high) for _ in range(1 + number % 4)] + [low, high] * (number % 2)
        pixel = [rng.choice(pool) if number % 5 else rng.randint(low, high) for _ in range(n)]
        first = sorted(range(n), key=lambda i: (-pixel[i], i))[:k]
        taken += [x % (1 << bits) for x in pixel]
        sent += [pixel[i] % (1 << bits) if c["VALUES"] else i for i in first]
    return taken, sent


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.6], sink_stall=[0.0, 0.6, 0.9])
async def the_greatest_come_in_order(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    taken, sent = beats(60)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def an_activation_enters_every_cycle(dut):
    source, sink = await begin(dut)
    taken, sent = beats(30)
    start = get_sim_time("ns")
    cocotb.start_soon(source.send(taken))
    await sink.take(len(sent))
    assert get_sim_time("ns") - start <= (len(taken) + config()["K"] + 1) * 10


@cocotb.test()
async def reset_in_mid_pixel_forgets_the_list(dut):
    source, sink = await begin(dut)
    sending = cocotb.start_soon(source.send(beats(9)[0]))
    await sink.take(2 * config()["K"] - 1)
    await interrupt(dut, sending, source)
    taken, sent = beats(6, seed=4)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent
