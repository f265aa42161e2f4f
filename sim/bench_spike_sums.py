"""spike_sums adds up the columns of the neurons that spiked in the step before."""

import random

import cocotb
from bench_term_rom import check_sum
from cocotb.triggers import FallingEdge
from parts import config, signed
from parts.stream import Sink, reset, start


def matrix(units, u_bits):
    """Signed weights [units][units], the ends of their range among them."""
    rng, half = random.Random(units), 1 << (u_bits - 1)
    choices = [-half, half - 1, *range(-half, half)]
    return [[rng.choice(choices) for _ in range(units)] for _ in range(units)]


def rom(units, lanes, u_bits):
    """Words of the memory, each of `lanes` weights."""
    rows, words = matrix(units, u_bits), []
    for first in range(0, units, lanes):
        for k in range(units):
            fields = (rows[first + lane][k] % (1 << u_bits) << (lane * u_bits) for lane in range(lanes))
            words.append(sum(fields))
    return words


def parameters(units, steps, lanes, u_bits):
    return {
        "UNITS": units,
        "STEPS": steps,
        "LANES": lanes,
        "U_W": u_bits,
        "W": (units << (u_bits - 1)).bit_length() + 1,
        "FILE": f"spikes_{units}_{lanes}_{u_bits}.hex",
        "CHECK": (check_sum(rom(units, lanes, u_bits), lanes * u_bits), 32),
    }


CONFIGS = [
    parameters(4, 4, 1, 5),
    parameters(6, 3, 3, 4),
    parameters(1, 3, 1, 6),
    parameters(9, 1, 1, 4),  # a memory in blocks, and no step with spikes
    parameters(10, 3, 1, 4),
]


def prepare(folder, config):
    words = rom(config["UNITS"], config["LANES"], config["U_W"])
    (folder / config["FILE"]).write_text("".join(f"{word:x}\n" for word in words))


async def begin(dut):
    sink = Sink(dut, "m_axis", 0.0, seed=2)
    await start(dut, spike_write=0, spike=0, m_axis_tready=0)
    return sink


async def steps(dut, sink, count, stall, seed=1):
    """Takes the sums of that many steps and answers each with spikes, as slowly as `stall` says."""
    c, rng = config(), random.Random(seed)
    rows = matrix(c["UNITS"], c["U_W"])
    sink.stall = stall
    spikes = []
    for step in range(count):
        if step % c["STEPS"] == 0:
            spikes = []
        new, got = [], []
        share = rng.choice([0.0, 0.2, 0.6, 1.0])
        for unit in range(c["UNITS"]):
            got += [signed(word, c["W"]) for word in await sink.take(1)]
            while rng.random() < stall:
                await FallingEdge(dut.clk)
            fires = rng.random() < share
            new += [unit] * fires
            dut.spike.value, dut.spike_write.value = int(fires), 1
            await FallingEdge(dut.clk)
            dut.spike.value, dut.spike_write.value = rng.getrandbits(1), 0
        assert got == [sum(row[k] for k in spikes) for row in rows], f"step {step}"
        spikes = new


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5, 0.9])
async def every_sum_is_of_the_neurons_that_spiked(dut, stall):
    sink = await begin(dut)
    await steps(dut, sink, 6 * config()["STEPS"] + 1, stall)


@cocotb.test()
async def nothing_is_sent_before_all_spikes_are_there(dut):
    c = config()
    sink = await begin(dut)
    await sink.take(c["UNITS"])
    dut.m_axis_tready.value = 1
    for _ in range(c["UNITS"] - 1):
        dut.spike_write.value = 1
        await FallingEdge(dut.clk)
    dut.spike_write.value = 0
    for _ in range(2 * c["UNITS"] + 20):
        await FallingEdge(dut.clk)
        assert int(dut.m_axis_tvalid.value) == 0


@cocotb.test()
async def reset_in_mid_step_begins_a_sample(dut):
    sink = await begin(dut)
    await steps(dut, sink, 1, 0.0)
    await sink.take(1)
    dut.spike_write.value, dut.spike.value = 1, 1
    await FallingEdge(dut.clk)
    dut.spike_write.value = 0
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0
    await steps(dut, sink, 2 * config()["STEPS"] + 1, 0.2, seed=5)
