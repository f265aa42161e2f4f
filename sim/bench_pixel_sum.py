"""pixel_sum sends the requantized sum of each channel behind a frame's last pixel, whoever stalls."""

import random

import cocotb
from cocotb.utils import get_sim_time
from parts import config, ends, limits, signed
from parts.stream import begin, interrupt

CONFIGS = [
    {
        "CHANNELS": 3,
        "BEATS": 5,
        "X_W": 4,
        "X_SIGNED": 0,
        "W": 8,
        "CONSTANT": (2, 8),
        "DROP": 2,
        "OUT_W": 4,
        **ends(0, 15),
    },
    {
        "CHANNELS": 2,
        "BEATS": 8,
        "X_W": 3,
        "X_SIGNED": 1,
        "W": 7,
        "CONSTANT": (127, 7),
        "DROP": 1,
        "OUT_W": 4,
        **ends(-7, 5),
    },
    {
        "CHANNELS": 1,
        "BEATS": 1,
        "X_W": 5,
        "X_SIGNED": 0,
        "W": 6,
        "CONSTANT": (0, 6),
        "DROP": 0,
        "OUT_W": 5,
        **ends(7, 7, "NO_LOW", "NO_HIGH"),
    },
]


def frames(count, seed=1):
    """Beats, and what each frame must give."""
    c, rng = config(), random.Random(seed)
    beats, sent = [], []
    for _ in range(count):
        sums = [signed(c["CONSTANT"][0], c["W"])] * c["CHANNELS"]
        for _ in range(c["BEATS"]):
            pixel = [rng.choice([0, (1 << c["X_W"]) - 1, rng.getrandbits(c["X_W"])]) for _ in sums]
            sums = [s + (signed(x, c["X_W"]) if c["X_SIGNED"] else x) for s, x in zip(sums, pixel, strict=True)]
            beats.append(sum(x << (i * c["X_W"]) for i, x in enumerate(pixel)))
        low, high = limits(c)
        results = [min(max(s >> c["DROP"], low), high) % (1 << c["OUT_W"]) for s in sums]
        sent.append(sum(y << (i * c["OUT_W"]) for i, y in enumerate(results)))
    return beats, sent


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5, 0.9])
async def every_frame_is_summed(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    beats, sent = frames(30)
    cocotb.start_soon(source.send(beats))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_pixel_enters_every_cycle(dut):
    source, sink = await begin(dut)
    beats, sent = frames(20)
    before = get_sim_time("ns")
    cocotb.start_soon(source.send(beats))
    assert await sink.take(len(sent)) == sent
    assert get_sim_time("ns") - before <= (len(beats) + 2) * 10


@cocotb.test()
async def reset_in_mid_frame_forgets_the_sum(dut):
    source, sink = await begin(dut)
    sending = cocotb.start_soon(source.send(frames(9)[0]))
    await sink.take(2)
    await interrupt(dut, sending, source)
    beats, sent = frames(6, seed=4)
    cocotb.start_soon(source.send(beats))
    assert await sink.take(len(sent)) == sent
