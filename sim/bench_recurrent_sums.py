"""recurrent_sums multiplies a matrix with the words that it is given for the sums of the step before."""

import random

import cocotb
from bench_term_rom import check_sum
from cocotb.triggers import FallingEdge
from parts import config, signed
from parts.stream import Sink, reset, start


def matrix(units, gates, u_bits):
    """Signed weights [units * gates][units], the ends of their range among them."""
    rng, half = random.Random(units * gates), 1 << (u_bits - 1)
    choices = [-half, half - 1, *range(-half, half)]
    return [[rng.choice(choices) for _ in range(units)] for _ in range(units * gates)]


def rom(units, gates, lanes, u_bits):
    """Words of the memory, each of `lanes` weights."""
    rows, words = matrix(units, gates, u_bits), []
    for first in range(0, units * gates, lanes):
        for k in range(units):
            fields = (rows[first + lane][k] % (1 << u_bits) << (lane * u_bits) for lane in range(lanes))
            words.append(sum(fields))
    return words


def parameters(units, gates, steps, lanes, u_bits, h_bits, slices=0):
    most = units << (u_bits + h_bits - 2)
    return {
        "UNITS": units,
        "GATES": gates,
        "STEPS": steps,
        "LANES": lanes,
        "SLICES": slices,
        "U_W": u_bits,
        "H_W": h_bits,
        "W": most.bit_length() + 1,
        "FILE": f"matrix_{units}_{gates}_{lanes}_{u_bits}.hex",
        "CHECK": (check_sum(rom(units, gates, lanes, u_bits), lanes * u_bits), 32),
    }


CONFIGS = [
    parameters(3, 4, 4, 1, 4, 5),
    parameters(5, 3, 3, 3, 3, 4, slices=2),
    parameters(2, 4, 2, 8, 5, 3, slices=2),  # more sums a word of the matrix than a word of the vector is made of
    parameters(1, 1, 3, 1, 6, 4),
    parameters(40, 1, 2, 4, 3, 6),  # memories in blocks
]


def prepare(folder, config):
    words = rom(config["UNITS"], config["GATES"], config["LANES"], config["U_W"])
    (folder / config["FILE"]).write_text("".join(f"{word:x}\n" for word in words))


async def begin(dut):
    sink = Sink(dut, "m_axis", 0.0, seed=2)
    await start(dut, h_write=0, h=0, m_axis_tready=0)
    return sink


async def steps(dut, sink, count, stall, seed=1):
    """Takes the sums of that many steps and answers each step's with a vector, as slowly as `stall` says."""
    c, rng = config(), random.Random(seed)
    rows, half = matrix(c["UNITS"], c["GATES"], c["U_W"]), 1 << (c["H_W"] - 1)
    sink.stall = stall
    vector = [0] * c["UNITS"]
    for step in range(count):
        if step % c["STEPS"] == 0:
            vector = [0] * c["UNITS"]
        new, got = [], []
        for _ in range(c["UNITS"]):
            got += [signed(word, c["W"]) for word in await sink.take(c["GATES"])]
            while rng.random() < stall:
                await FallingEdge(dut.clk)
            new.append(rng.choice([-half, half - 1, rng.randrange(-half, half)]))
            assert int(dut.first_step.value) == (step % c["STEPS"] == 0)
            dut.h.value, dut.h_write.value = new[-1] % (2 * half), 1
            await FallingEdge(dut.clk)
            dut.h.value, dut.h_write.value = rng.getrandbits(c["H_W"]), 0
        assert got == [sum(u * x for u, x in zip(row, vector, strict=True)) for row in rows], f"step {step}"
        vector = new


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5, 0.9])
async def every_sum_is_of_the_words_of_the_step_before(dut, stall):
    sink = await begin(dut)
    await steps(dut, sink, 3 * config()["STEPS"] + 1, stall)


@cocotb.test()
async def nothing_is_sent_before_the_vector_is_whole(dut):
    c = config()
    sink = await begin(dut)
    await sink.take(c["UNITS"] * c["GATES"])
    dut.m_axis_tready.value = 1
    for _ in range(c["UNITS"] - 1):
        dut.h_write.value = 1
        await FallingEdge(dut.clk)
    dut.h_write.value = 0
    for _ in range(2 * c["UNITS"] + 20):
        await FallingEdge(dut.clk)
        assert int(dut.m_axis_tvalid.value) == 0


@cocotb.test()
async def reset_in_mid_step_begins_a_frame(dut):
    sink = await begin(dut)
    await steps(dut, sink, 1, 0.0)
    await sink.take(1)
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0
    await steps(dut, sink, config()["STEPS"] + 1, 0.2, seed=5)
