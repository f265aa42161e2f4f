"""recurrent gives the hidden states of the golden cell, whoever stalls."""

import random
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
from hwgen.ops.recurrent import Recurrent as RecurrentOp
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.units.recurrent import Recurrent

# kind, units, steps, lanes, slices; bits and exponent of the input's part; bits and exponent of a weight; the formats
CELLS = [
    ("lstm", 3, 4, 1, False, (8, -5), (4, -3), (6, -2, 5, 10, -6, 6, -5)),
    ("lstm", 2, 3, 8, True, (6, -2), (5, -4), (5, -1, 4, 6, -2, 4, -3)),  # c on a coarser grid than tanh
    ("lstm", 5, 2, 4, True, (7, -4), (3, -1), (4, -3, 6, 8, -2, 7, -8)),  # c on a coarser grid than gates
    ("lstm", 6, 2, 2, False, (6, -3), (3, -2), (5, -2, 5, 8, -5, 5, -4)),
    ("lstm", 6, 2, 12, True, (6, -3), (3, -2), (5, -2, 5, 8, -5, 5, -4)),
    ("lstm", 9, 2, 1, False, (6, -3), (3, -2), (5, -2, 5, 8, -5, 5, -4)),
    ("gru", 4, 3, 1, False, (7, -5), (4, -3), (6, -2, 5, 2, 0, 6, -5)),
    ("gru", 3, 4, 3, True, (5, -1), (4, -2), (5, -3, 6, 2, 0, 5, -3)),
    ("gru", 2, 2, 6, True, (12, -9), (3, -2), (7, -3, 4, 2, 0, 9, -10)),  # h finer than its functions
    ("rnn", 4, 3, 1, False, (6, -3), (4, -3), (6, -2, 2, 2, 0, 6, -5)),
    ("rnn", 1, 3, 1, False, (6, -6), (2, 0), (4, -1, 2, 2, 0, 5, -4)),
]


@cache
def unit(number):
    kind, units, steps, lanes, slices, (p_bits, p_exponent), (u_bits, u_exponent), formats = CELLS[number]
    gates, rng = {"rnn": 1, "lstm": 4, "gru": 3}[kind], np.random.default_rng(number)
    low, high = limits(u_bits, True)
    weight = rng.integers(low, high + 1, (units * gates, units)) * 2.0**u_exponent
    bias = rng.integers(*limits(formats[0], True), units) if kind == "gru" else np.zeros(units, np.int64)
    op = RecurrentOp(kind, weight, bias, *formats)
    x = TensorType((units * gates, 1, steps), QType(*limits(p_bits, True)), p_exponent)
    return Recurrent(Stage.alone(f"cell{number}", op, None, x), lanes, slices, DEVICE)


def parameters(number):
    found = unit(number).parameters()
    return {name: value.replace("rom/", "") if isinstance(value, str) else value for name, value in found.items()}


CONFIGS = [parameters(number) for number in range(len(CELLS))]


def prepare(folder, config):
    for path, text in unit(CONFIGS.index(config)).files().items():
        (folder / path.replace("rom/", "")).write_text(text)


def mine():
    """The unit that this run is of."""
    name = config()["FILE"].rpartition("/")[2].removesuffix(".hex")
    return unit(int(name.removeprefix("cell")))


def frames(count, seed=1):
    """Words of so many frames, and those of their hidden states."""
    cell, rng = mine(), random.Random(seed)
    kind = cell.stage.x
    low, high = kind.qtype.low, kind.qtype.high
    spans = [(low, high), (low // 8, high // 8), (0, 0), (high, high), (low, low)]
    flat = [
        [rng.randint(*rng.choice(spans[:2] if n else spans)) for _ in range(np.prod(kind.shape))] for n in range(count)
    ]
    x = torch.tensor(flat).reshape(count, *kind.shape)
    y = cell.op.eval([kind], x)

    def words(value, bits):
        return [int(word) % (1 << bits) for word in value.permute(0, 2, 3, 1).reshape(-1)]

    return words(x, kind.qtype.bits), words(y, cell.stage.y.qtype.bits)


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.6], sink_stall=[0.0, 0.7])
async def every_hidden_state_is_the_cells(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    taken, sent = frames(5)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_frame_takes_no_longer_than_predicted(dut):
    source, sink = await begin(dut)
    taken, sent = frames(4)
    cocotb.start_soon(source.send(taken))
    frame = len(sent) // 4
    assert await sink.take(frame) == sent[:frame]
    before = get_sim_time("ns")
    assert await sink.take(3 * frame) == sent[frame:]
    took = (get_sim_time("ns") - before) / 10 / 3
    cocotb.log.info(f"PACE {took} predicted {mine().cycles()}")
    assert took <= mine().cycles()


@cocotb.test()
async def reset_in_mid_frame_forgets_the_state(dut):
    source, sink = await begin(dut)
    taken, sent = frames(2)
    sending = cocotb.start_soon(source.send(taken))
    await sink.take(len(sent) // 2 - 1)
    await interrupt(dut, sending, source)
    taken, sent = frames(4, seed=4)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent
