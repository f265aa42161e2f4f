"""recurrent_lif gives the spikes of the golden neurons, sample after sample, whoever stalls."""

from functools import cache

import cocotb
import numpy as np
import torch
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import begin, interrupt

from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.grids import limits
from hwgen.ir import TensorType
from hwgen.ops.recurrent_lif import RecurrentLif as RecurrentLifOp
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.units.recurrent_lif import RecurrentLif

# neurons, steps, lanes; the input's bits, exponent and sign; bits and exponent of a weight; thresholds; exponent of the
# membrane, leak, synapse, start, half_up, reset, at, order
CELLS = [
    (4, 5, 1, (5, 0, True), (4, 0), 130, (-3, (2,), (1, 2), 0, True, "subtract", False, "now")),
    (6, 3, 3, (4, -2, False), (3, -1), 40, (-4, (1, 3), None, 9, False, "zero", True, "now")),  # a finer input
    (1, 4, 1, (4, 1, True), (3, -1), 11, (-2, (), (2,), 0, True, "subtract", False, "late")),  # a finer matrix
    (12, 3, 4, (5, 0, True), (4, 0), (20, 150), (-2, (3, 5, 6, 7), (1, 5, 6), 0, True, "subtract", False, "now")),
    (10, 2, 2, (5, 0, True), (3, 0), (3, 20), (0, (2, 3), None, 0, False, "none", False, "spiker")),
    (2, 6, 2, (4, 0, True), (4, 0), 5, (0, (1,), (1,), 0, False, "zero", False, "late")),
]


@cache
def unit(number):
    units, steps, lanes, (x_bits, x_exponent, signed), (u_bits, u_exponent), level, formats = CELLS[number]
    rng = np.random.default_rng(number)
    low, high = limits(u_bits, True)
    weight = rng.integers(low, high + 1, (units, units)) * 2.0**u_exponent
    levels = rng.integers(*level, units) if isinstance(level, tuple) else np.array([level])
    exponent, leak, synapse, *others = formats
    op = RecurrentLifOp(weight, levels, steps, exponent, leak, synapse, *others)
    x = TensorType((units, 1, 1), QType(*limits(x_bits, signed)), x_exponent)
    return RecurrentLif(Stage.alone(f"cell{number}", op, None, x), lanes, DEVICE)


def parameters(number):
    found = unit(number).parameters()
    return {name: value.replace("rom/", "") if isinstance(value, str) else value for name, value in found.items()}


CONFIGS = [parameters(number) for number in range(len(CELLS))]


def prepare(folder, config):
    for path, text in unit(CONFIGS.index(config)).files().items():
        (folder / path.replace("rom/", "")).write_text(text)


def mine():
    """The unit that this run is of."""
    return unit(int(config()["FILE"].rpartition("/")[2].removeprefix("cell").partition("_")[0]))


def samples(count, seed=1):
    """Words of so many samples, and those of their spikes; some are of great currents, so that all neurons spike."""
    cell, rng = mine(), np.random.default_rng(seed)
    kind = cell.stage.x
    low, high = kind.qtype.low, kind.qtype.high
    x = rng.integers(low, high + 1, (count, cell.op.steps, cell.units))
    x[1::3] = high
    x = torch.from_numpy(x).reshape(-1, cell.units, 1, 1)
    y = cell.op.eval([kind], x)
    assert seed != 1 or 0 < y.float().mean() < 1
    return [int(word) % (1 << kind.qtype.bits) for word in x.reshape(-1)], y.reshape(-1).tolist()


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.6], sink_stall=[0.0, 0.7])
async def every_spike_is_the_neurons(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    taken, sent = samples(7)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_step_takes_no_longer_than_predicted(dut):
    source, sink = await begin(dut)
    taken, sent = samples(6)
    cocotb.start_soon(source.send(taken))
    frame, most = mine().units, 0
    for first in range(0, len(sent), frame):
        before = get_sim_time("ns")
        assert await sink.take(frame) == sent[first : first + frame]
        most = max(most, (get_sim_time("ns") - before) / 10)
    cocotb.log.info(f"PACE {most} predicted {mine().cycles()}")
    assert most <= mine().cycles()


@cocotb.test()
async def reset_in_mid_sample_forgets_spikes_and_states(dut):
    source, sink = await begin(dut)
    taken, sent = samples(2)
    sending = cocotb.start_soon(source.send(taken))
    await sink.take(len(sent) // 2 - 1)
    await interrupt(dut, sending, source)
    taken, sent = samples(4, seed=4)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent
