"""term_lanes sends, bit for bit, what the ops of the graph give for its layer, whoever stalls."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts.stream import Sink, Source, reset, start, watch

FRAMES = 4
BEATS = Path("beats.json")  # what `prepare` leaves for the simulation: input and output words, cycles of a frame


def units():
    """The layers of this bench at their folds, each with the lanes of its input stream."""
    import numpy as np

    from hwgen.ir import TensorType
    from hwgen.ops.conv import Conv
    from hwgen.ops.maxpool import MaxPool
    from hwgen.ops.quantize import Quantize
    from hwgen.qtype import QType
    from hwgen.stream import Order
    from hwgen.units.layer import Layer
    from hwgen.units.term_lanes import TermLanes

    rng = np.random.default_rng(9)

    def conv(outputs, inputs, kernel, **rest):
        """Weights of up to two terms, some pruned; biases with bits below the product grid."""
        size = (outputs, inputs, *kernel)
        weight = rng.choice([0, 0, 1, -1, 2, -0.5, 3, -6, 0.25], size)
        return Conv(weight, rng.integers(-40, 40, outputs) / 8, **rest)

    def unit(name, op, x, lanes, in_lanes=1, quantize=None):
        shape, low, high, exponent = x
        x = TensorType(shape, QType(low, high), exponent)
        y = op.infer(x)
        layer = Layer(name, op, quantize, x, quantize.infer(y) if quantize else y)
        return TermLanes(layer, lanes, Order(shape, in_lanes))

    padded = {"padding": (1, 1, 1, 1)}
    return [
        # the usual layer: four lanes, the last one short, a ReLU to 4 bits
        unit("usual", conv(2, 2, (3, 3), **padded), ((2, 4, 7), 0, 15, 0), 4, quantize=Quantize(2, 0, 15)),
        # accumulators out, so bits below them; strides, dilation, grouped channels, a foreign order in
        unit(
            "exact",
            conv(4, 2, (3, 2), stride=(2, 2), dilation=(1, 2), padding=(2, 0, 1, 0), groups=2),
            ((4, 6, 9), -8, 7, -2),
            2,
            in_lanes=3,
        ),
        # a Linear: one position, one lane, low bits dropped
        unit("linear", conv(5, 6, (1, 1)), ((6, 1, 1), 0, 255, 0), 1, quantize=Quantize(6, -8, 7)),
        unit("max_signed", MaxPool((3, 3), (2, 2), (1, 1)), ((2, 5, 6), -8, 7, 0), 2, in_lanes=2),
        unit("max_unsigned", MaxPool((3, 2), (2, 2), (1, 1)), ((3, 4, 5), 0, 7, 0), 1),
    ]


# a simulation needs none of this, and importing torch takes longer than all its clocks
UNITS = [] if "BENCH_CONFIG" in os.environ else units()
CONFIGS = [unit.parameters() for unit in UNITS]


def prepare(folder, config):
    import torch

    (unit,) = [unit for unit in UNITS if unit.rom_path == config["FILE"]]
    for name, text in unit.files().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    layer, bits = unit.layer, unit.layer.y.qtype.bits
    generator = torch.Generator().manual_seed(10)
    x = torch.randint(layer.x.qtype.low, layer.x.qtype.high + 1, (FRAMES, *layer.x.shape), generator=generator)
    x[0], x[1] = layer.x.qtype.low, layer.x.qtype.high
    y = layer.op.eval([layer.x], x)
    if layer.quantize:
        y = layer.quantize.eval([layer.op.infer(layer.x)], y)
    words = {
        "x": unit.order.flatten(x) % (1 << layer.x.qtype.bits),
        "y": unit.out_order.flatten(y) % (1 << bits),
    }
    beats = {name: frames.tolist() for name, frames in words.items()}
    (folder / BEATS).write_text(json.dumps(beats | {"cycles": unit.cycles()}))


async def begin(dut, source_stall=0.0, sink_stall=0.0):
    source = Source(dut, "s_axis", source_stall, seed=1)
    sink = Sink(dut, "m_axis", sink_stall, seed=2)
    await start(dut, s_axis_tvalid=0, s_axis_tdata=0, m_axis_tready=0)
    cocotb.start_soon(watch(dut, "m_axis"))
    return source, sink, json.loads(BEATS.read_text())


def flat(frames):
    return [word for frame in frames for word in frame]


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.5, 0.9], sink_stall=[0.0, 0.5, 0.9])
async def every_frame_is_what_the_ops_give(dut, source_stall, sink_stall):
    source, sink, beats = await begin(dut, source_stall, sink_stall)
    cocotb.start_soon(source.send(flat(beats["x"])))
    assert await sink.take(len(flat(beats["y"]))) == flat(beats["y"])


@cocotb.test()
async def a_frame_takes_the_cycles_that_the_unit_says(dut):
    """Between the ends of frames, once the first ones have filled the ring."""
    source, sink, beats = await begin(dut)
    cocotb.start_soon(source.send(flat(beats["x"])))
    ends = []
    for frame in beats["y"]:
        await sink.take(len(frame))
        ends.append(get_sim_time("ns") // 10)
    assert ends[-1] - ends[-2] == beats["cycles"]


@cocotb.test()
@cocotb.parametrize(part=[0.1, 0.5, 1.4])
async def reset_in_mid_frame_leaves_nothing_behind(dut, part):
    source, sink, beats = await begin(dut, 0.1, 0.3)
    sending = cocotb.start_soon(source.send(flat(beats["x"])))
    await sink.take(1 + int(part * len(beats["y"][0])))
    for _ in range(7):  # not ready: the pipeline holds
        await FallingEdge(dut.clk)
    sending.cancel()
    source.idle()
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0
    cocotb.start_soon(source.send(flat(beats["x"])))
    assert await sink.take(len(flat(beats["y"]))) == flat(beats["y"])
