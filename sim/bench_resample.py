"""resample takes, leaves out, repeats and puts zeros in as its three loops say, in order, whoever stalls."""

import random
from itertools import product

import cocotb
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import begin, reset

NOTHING = 0xFFFF
LOOPS = ("OUTER", "MIDDLE", "INNER")
# what a place of a loop does: take, send, zero
KINDS = {"p": (1, 1, 0), "d": (1, 0, 0), "z": (0, 1, 1), "h": (0, 1, 0)}


def loops(*walks):
    """The parameters of three loops: a letter a place, the first one first. p: passed, d: left out, z: a zero, h: sent
    and still to be taken."""
    found = {}
    for name, walk in zip(LOOPS, walks, strict=True):
        found[name] = len(walk)
        for i, what in enumerate(("TAKE", "SEND", "ZERO")):
            found[f"{name}_{what}"] = (sum(KINDS[kind][i] << k for k, kind in enumerate(walk)), len(walk))
    return found


def wires(n, places):
    packed = sum((NOTHING if place is None else place) << (16 * i) for i, place in enumerate(places))
    return {"N": n, "M": len(places), "WIRED": 1, "PLACES": (packed, 16 * len(places))}


CONFIGS = [
    {"X_W": 8, **loops("dpppd", "ppdpd", "pdp")},
    {"X_W": 3, **loops("zppz", "zzpppz", "pp")},
    {"X_W": 4, **wires(3, (2, None, 0, 0, 1)), **loops("pp", "hphphhp", "p")},
    {"X_W": 5, "N": 2, "M": 2, **loops("zdp", "pzzd", "dp")},
    {"X_W": 7, **wires(4, (1, 3)), **loops("p", "p", "p")},
    {"X_W": 2, **loops("hhp", "hp", "p")},
]


def places(loop):
    """(take, send, zero) at each place of a loop."""
    c = config()
    return [tuple(c[f"{loop}_{what}"][0] >> i & 1 for what in ("TAKE", "SEND", "ZERO")) for i in range(c[loop])]


def steps():
    """(take, send, zero) of each step of a frame."""
    for at in product(*map(places, LOOPS)):
        yield all(place[0] for place in at), all(place[1] for place in at), any(place[2] for place in at)


def wired(beat):
    c = config()
    if not c.get("WIRED"):
        return beat
    found, mask = 0, (1 << c["X_W"]) - 1
    for i in range(c["M"]):
        place = c["PLACES"][0] >> (16 * i) & NOTHING
        found |= 0 if place == NOTHING else (beat >> (place * c["X_W"]) & mask) << (i * c["X_W"])
    return found


def frames(count, seed=1):
    """Beats in, and those that must come out."""
    rng, bits = random.Random(seed), config()["X_W"] * config().get("N", 1)
    taken, sent = [], []
    for _ in range(count):
        beat = rng.getrandbits(bits)
        for take, send, zero in steps():
            if send:
                sent.append(0 if zero else wired(beat))
            if take:
                taken.append(beat)
                beat = rng.getrandbits(bits)
    return taken, sent


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.6], sink_stall=[0.0, 0.6])
async def every_frame_is_walked(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    taken, sent = frames(8)
    sending = cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent
    await sending  # what is left out at the end of the last frame is taken


@cocotb.test()
async def a_step_takes_a_clock(dut):
    source, sink = await begin(dut)
    taken, sent = frames(8)
    before = get_sim_time("ns")
    cocotb.start_soon(source.send(taken))
    await sink.take(len(sent))
    assert get_sim_time("ns") - before <= (8 * len(list(steps())) + 3) * 10


@cocotb.test()
async def reset_in_mid_frame_starts_a_frame(dut):
    source, sink = await begin(dut)
    sending = cocotb.start_soon(source.send(frames(9)[0]))
    await sink.take(4)
    sending.cancel()
    source.idle()
    await reset(dut, cycles=1)
    taken, sent = frames(5, seed=4)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def nothing_is_offered_in_a_reset(dut):
    _, _ = await begin(dut)
    await reset(dut, cycles=2)
    assert int(dut.m_axis_tvalid.value) == 0
