"""offset adds the constant of its place to each activation, rounds and clamps, frame after frame."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import config, ends, limits, signed
from parts.stream import Sink, Source, interrupt, start


def constants(words, n, bits):
    """Any constants, beat by beat; both ends of their range among them."""
    rng = random.Random(words)
    half = 1 << (bits - 1)
    values = [[rng.randint(-half, half - 1) for _ in range(n)] for _ in range(words)]
    values[0][0], values[-1][-1] = -half, half - 1
    return values


def packed(values, bits):
    return sum((value % (1 << bits)) << (i * bits) for i, value in enumerate(values))


def words_of(c):
    return [packed(beat, c["K_W"]) for beat in constants(c["WORDS"], c["N"], c["K_W"])]


def parameters(x, k_bits, words, w, drop, out_w, clamp, n=1):
    """x: (bits, signed, shift)"""
    c = {"N": n, "K_W": k_bits, "WORDS": words}
    check = 0
    for place, word in enumerate(words_of(c), 1):
        while word:
            check, word = check + place * (word % (1 << 32)), word >> 32
    return {
        "N": n,
        **dict(zip(("X_W", "X_SIGNED", "SHIFT"), x, strict=True)),
        "K_W": k_bits,
        "WORDS": words,
        "FILE": f"constants_{words}_{n}.hex",
        "CHECK": (check % (1 << 32), 32),
        "W": w,
        "DROP": drop,
        "OUT_W": out_w,
        **clamp,
    }


CONFIGS = [
    parameters((5, 0, 1), 6, 7, 8, 2, 5, ends(-9, 14)),
    parameters((4, 1, 0), 7, 1, 8, 0, 8, ends(9, 9, "NO_LOW", "NO_HIGH")),  # exact, one constant
    parameters((3, 0, 2), 12, 70, 14, 3, 11, ends(20, 5, "NO_HIGH", "NO_LOW"), n=3),  # a block RAM
    parameters((6, 1, 0), 1, 2, 8, 1, 6, ends(-16, 11), n=2),
]


def prepare(folder, config):
    (folder / config["FILE"]).write_text("".join(f"{word:x}\n" for word in words_of(config)))


def frames(turns):
    """Beats that are sent and their results: so many times through all constants."""
    c, rng = config(), random.Random(6)
    low, high = limits(c)
    taken, sent = [], []
    for beat in constants(c["WORDS"], c["N"], c["K_W"]) * turns:
        words = [rng.getrandbits(c["X_W"]) for _ in beat]
        values = [signed(word, c["X_W"]) if c["X_SIGNED"] else word for word in words]
        sums = [(x << c["SHIFT"]) + k >> c["DROP"] for x, k in zip(values, beat, strict=True)]
        taken.append(packed(words, c["X_W"]))
        sent.append(packed([min(max(value, low), high) for value in sums], c["OUT_W"]))
    return taken, sent


async def begin(dut, source_stall=0.0, sink_stall=0.0):
    source, sink = Source(dut, "s_axis", source_stall, seed=1), Sink(dut, "m_axis", sink_stall, seed=2)
    await start(dut, s_axis_tvalid=0, s_axis_tdata=0, m_axis_tready=0)
    return source, sink


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.6], sink_stall=[0.0, 0.6])
async def every_activation_meets_its_constant(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    taken, sent = frames(2 + 60 // config()["WORDS"])
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_beat_leaves_every_cycle(dut):
    source, sink = await begin(dut)
    taken, sent = frames(1 + 40 // config()["WORDS"])
    before = get_sim_time("ns")
    cocotb.start_soon(source.send(taken))
    await sink.take(len(sent))
    assert get_sim_time("ns") - before <= (len(sent) + 3) * 10


@cocotb.test()
async def reset_in_mid_frame_begins_with_the_first_constant(dut):
    source, sink = await begin(dut)
    taken, sent = frames(10)
    sending = cocotb.start_soon(source.send(taken))
    await sink.take(3)
    await FallingEdge(dut.clk)
    await interrupt(dut, sending, source)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent
