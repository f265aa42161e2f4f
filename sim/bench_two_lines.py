"""two_lines sends each activation of a beat along its line, clamped, in order, whoever stalls."""

import random

import cocotb
from cocotb.utils import get_sim_time
from parts import config, ends, limits, signed
from parts.stream import begin, interrupt


def parameters(n, x_bits, x_signed, w, below, above, drop, out_bits, low, high, *none):
    """below, above -- slope and start of each line"""

    def number(value):
        return value % (1 << 64), 64

    return {
        "N": n,
        "X_W": x_bits,
        "X_SIGNED": x_signed,
        "W": w,
        "SLOPE_BELOW": number(below[0]),
        "START_BELOW": number(below[1]),
        "SLOPE": number(above[0]),
        "START": number(above[1]),
        "DROP": drop,
        "OUT_W": out_bits,
        **ends(low, high, *none),
    }


CONFIGS = [
    parameters(1, 8, 1, 12, (1, 4), (8, 4), 3, 8, -128, 127, "NO_LOW", "NO_HIGH"),
    parameters(3, 6, 1, 9, (-1, 1), (1, 1), 1, 5, 0, 14),
    parameters(2, 5, 0, 9, (0, 0), (4, -17), 2, 4, -3, 4),
    parameters(1, 4, 1, 8, (0, -9), (-3, 20), 0, 7, -20, 20),
]


def beats(count):
    """Beats of activations, among them each that there is; and what comes of them."""
    c, rng = config(), random.Random(5)
    n, bits, (low, high) = c["N"], c["X_W"], limits(c)
    every = list(range(1 << bits))
    words = every + [rng.choice(every) for _ in range(count * n - len(every) % n)]

    def line(word):
        x = signed(word, bits) if c["X_SIGNED"] else word
        slope, start = ("SLOPE_BELOW", "START_BELOW") if x < 0 else ("SLOPE", "START")
        y = (x * signed(*c[slope]) + signed(*c[start])) >> c["DROP"]
        return min(max(y, low), high) % (1 << c["OUT_W"])

    def packed(values, width):
        return sum(value << (i * width) for i, value in enumerate(values))

    groups = [words[i : i + n] for i in range(0, len(words) // n * n, n)]
    sent = [packed([line(word) for word in group], c["OUT_W"]) for group in groups]
    return [packed(group, bits) for group in groups], sent


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.6], sink_stall=[0.0, 0.6])
async def every_activation_is_on_its_line(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    taken, sent = beats(50)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_beat_leaves_every_cycle(dut):
    source, sink = await begin(dut)
    taken, sent = beats(20)
    start = get_sim_time("ns")
    cocotb.start_soon(source.send(taken))
    await sink.take(len(sent))
    assert get_sim_time("ns") - start <= (len(sent) + 2) * 10


@cocotb.test()
async def reset_in_mid_stream_forgets_the_word_inside(dut):
    source, sink = await begin(dut)
    taken, sent = beats(20)
    sending = cocotb.start_soon(source.send(taken))
    await sink.take(3)
    await interrupt(dut, sending, source)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent
