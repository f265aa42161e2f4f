"""gather sends the beats of each block in the order that its runs and loops say, whoever stalls."""

import random
from itertools import product

import cocotb
from bench_resample import wired, wires
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import clog2, config
from parts.stream import begin, interrupt


def nest(block, counts, steps, words=(), zeros=0, **others):
    """Parameters; words -- the first place of each run, None: zeros."""
    wide = 32 * len(counts)
    found = {
        "BLOCK": block,
        "LEVELS": len(counts),
        "COUNTS": (sum(count << (32 * i) for i, count in enumerate(counts)), wide),
        "STEPS": (sum((step % (1 << 32)) << (32 * i) for i, step in enumerate(steps)), wide),
    }
    if words:
        bits = [1 << clog2(block) if word is None else word for word in words]
        check = sum(place * word for place, word in enumerate(bits, 1)) % (1 << 32)
        found |= {"RUNS": len(words), "ZEROS": zeros, "FILE": f"runs_{len(words)}.hex", "CHECK": (check, 32)}
    return found | others


def shuffled(count):
    return random.Random(count).sample(range(count), count)


CONFIGS = [
    nest(12, (3, 4), (4, 1)),  # a matrix transposed
    nest(2, (2,), (1,), X_W=3),
    nest(5, (5,), (-1,), (4, 4), X_W=4),  # each block backwards, twice
    nest(6, (2, 3), (-1, -2), X_W=2, FIRST=5),  # once
    nest(3, (3, 2, 4), (1, 0, 0), X_W=1, RAM=1),  # all of it again and again
    nest(7, (1,), (0,), shuffled(7), X_W=9),
    nest(6, (2,), (1,), (None, 4, 0, None, None, 2), 1, X_W=6),
    nest(70, (1,), (0,), [*shuffled(70), None, *shuffled(70)], 1, X_W=5, RAM=1),
    {**nest(4, (2, 2), (2, 1)), "X_W": 4, **wires(3, (2, None, 0, 0, 1))},
    nest(9, (2, 2, 2), (4, 1, 3), X_W=8),  # a part of it
]


def prepare(folder, config):
    if "FILE" in config:
        (folder / config["FILE"]).write_text("".join(f"{word:x}\n" for word in _words(config)))


def _words(c):
    """The file of a config, from its length."""
    (found,) = {tuple(words) for words in WORDS if len(words) == c["RUNS"] and _check(words) == c["CHECK"][0]}
    return found


def _check(words):
    return sum(place * word for place, word in enumerate(words, 1)) % (1 << 32)


WORDS = [(4, 4), shuffled(7), (8, 4, 0, 8, 8, 2), [*shuffled(70), 128, *shuffled(70)]]


def order():
    """The place in a block of each beat that leaves; None: zeros."""
    c = config()
    counts, steps = ([c[name][0] >> (32 * i) & 0xFFFFFFFF for i in range(c["LEVELS"])] for name in ("COUNTS", "STEPS"))
    blank = 1 << clog2(c["BLOCK"])
    for word in _words(c) if "RUNS" in c else (c.get("FIRST", 0),):
        for at in product(*map(range, reversed(counts))):
            place = word + sum(i * step for i, step in zip(reversed(at), steps, strict=True))
            yield None if c.get("ZEROS") and word & blank else place % (1 << 32)


def blocks(count, seed=1):
    """Beats in, and those that must come out."""
    rng, c = random.Random(seed), config()
    taken, sent = [], []
    for _ in range(count):
        block = [rng.getrandbits(c.get("X_W", 8) * c.get("N", 1)) for _ in range(c["BLOCK"])]
        taken += block
        sent += [0 if place is None else wired(block[place]) for place in order()]
    return taken, sent


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.6], sink_stall=[0.0, 0.6])
async def every_block_is_sent_in_its_order(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    taken, sent = blocks(9)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_beat_enters_or_leaves_every_clock(dut):
    source, sink = await begin(dut)
    taken, sent = blocks(9)
    before = get_sim_time("ns")
    cocotb.start_soon(source.send(taken))
    await sink.take(len(sent))
    longest = max(config()["BLOCK"], len(sent) // 9)
    assert get_sim_time("ns") - before <= (config()["BLOCK"] + 8 * longest + len(sent) // 9 + 4) * 10


@cocotb.test()
async def two_blocks_enter_while_nothing_leaves(dut):
    source, sink = await begin(dut)
    taken, sent = blocks(3)
    await source.send(taken[: 2 * config()["BLOCK"]])
    cocotb.start_soon(source.send(taken[2 * config()["BLOCK"] :]))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
@cocotb.parametrize(inside=[1, 5, 40])
async def reset_in_mid_block_forgets_it(dut, inside):
    source, sink = await begin(dut)
    sending = cocotb.start_soon(source.send(blocks(9)[0]))
    await sink.take(2)
    for _ in range(inside):
        await FallingEdge(dut.clk)
    await interrupt(dut, sending, source)
    taken, sent = blocks(5, seed=4)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent
