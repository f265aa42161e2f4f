"""term_lanes sends, bit for bit, what the ops of the graph give for its layer, whoever stalls."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge
from parts import clog2, config
from parts.stream import Sink, Source, interrupt, start

FRAMES = 4
MODES = 0, 2, 1, 1  # of the frames, modulo those that a unit has
BEATS = Path("beats.json")  # what `prepare` leaves for the simulation: beats in and out, cycles of a frame


def turned(op, times, step):
    """So many times the outputs, the channels of each time turned by a step."""
    from dataclasses import replace

    import numpy as np

    parts = [np.roll(op.weight, -i * step, axis=1) for i in range(times)]
    return replace(op, weight=np.concatenate(parts), bias=np.tile(op.bias, times))


def units():
    """The layers of this bench at their folds, each with the order of its input stream."""
    from dataclasses import replace

    import numpy as np

    from hwgen.devices.ultrascale_plus import DEVICE
    from hwgen.ir import TensorType
    from hwgen.lanes.fold import Fold
    from hwgen.lanes.unit import TermLanes
    from hwgen.modes import together
    from hwgen.ops.conv import Conv
    from hwgen.ops.maxpool import MaxPool
    from hwgen.ops.quantize import Quantize
    from hwgen.ops.rescale import Rescale, Steps
    from hwgen.qtype import QType
    from hwgen.stage import Stage
    from hwgen.stream import Order

    rng = np.random.default_rng(9)

    def conv(outputs, inputs, kernel, **rest):
        """Weights of up to two terms, some pruned; biases with bits below the product grid."""
        size = (outputs, inputs, *kernel)
        weight = rng.choice([0, 0, 1, -1, 2, -0.5, 3, -6, 0.25], size)
        return Conv(weight, rng.integers(-40, 40, outputs) / 8, **rest)

    def unit(name, op, x, fold, order=lambda raster: raster, quantize=None, sort=False):
        shape, low, high, exponent = x
        x = TensorType(shape, QType(low, high), exponent)
        return TermLanes(Stage.alone(name, op, quantize, x), Fold(*fold), order(Order(shape)), DEVICE, sort)

    def lanes(count, channels=()):
        return lambda raster: raster.by_lanes(count, channels)

    def serial(count):
        return lambda raster: raster.by_lanes(count).serial

    def wide(most):
        """Two outputs whose sums reach +-255 * 2 * most."""
        return Conv(np.array([[most, -most], [-most, -most]])[:, :, None, None], np.zeros(2))

    def rescale(channels, bits, shift, low, high, ties=None):
        """Multipliers of both signs, of up to so many bits, and a sign."""
        multipliers = rng.integers(1 << (bits - 1), 1 << bits, channels) * rng.choice([-1, 1], channels)
        biases = rng.integers(-(8 << shift), 8 << shift, channels)
        ties = np.zeros(channels, int) if ties is None else np.resize(ties, channels)
        return Rescale(multipliers, biases, ties, shift, low, high)

    def steps(channels, count, most, low):
        return Steps(np.sort(rng.integers(-most, most, (channels, count))), low)

    def even(multiplier, shift, low, high):
        return Rescale(np.array([multiplier]), np.array([1 << shift >> 1]), np.array([1]), shift, low, high)

    def modes(name, pairs, fold, order, sort=False):
        """A layer of which a frame chooses (op, x, quantize); of four bits in and less or more out."""
        stages = [Stage.alone(name, op, quantize, TensorType(x[0], QType(*x[1:3]), x[3])) for op, x, quantize in pairs]
        stage = together(stages)
        return TermLanes(stage, Fold(*fold), order(Order(stage.x.shape)), DEVICE, sort, in_flight=4)

    padded = {"padding": (1, 1, 1, 1)}
    halves = Conv(np.array([[1, -4], [2, 6], [-1, 3.0]])[:, :, None, None], np.array([0, 3, -2.0]))
    fine = conv(3, 2, (2, 2))
    fine = replace(fine, weight=fine.weight / 2, bias=fine.bias / 2)
    finer = [(conv(3, 2, (2, 2)), ((2, 3, 4), 0, 7, 0), None), (fine, ((2, 3, 4), 0, 7, 1), None)]
    sparse = Conv(np.array([[1, -1], [1, 0], [-1, 0], [0, 0], [0, 1.0]])[:, :, None, None], np.zeros(5))
    return [
        # the usual layer: four lanes, the last one short, a ReLU to 4 bits
        unit("usual", conv(2, 2, (3, 3), **padded), ((2, 4, 7), 0, 15, 0), (4,), quantize=Quantize(2, 0, 15)),
        # accumulators out, so bits below them; strides, dilation, grouped channels, a foreign order in
        unit(
            "exact",
            conv(4, 2, (3, 2), stride=(2, 2), dilation=(1, 2), padding=(2, 0, 1, 0), groups=2),
            ((4, 6, 9), -8, 7, -2),
            (2,),
            serial(3),
        ),
        # a Linear: one position, one lane, low bits dropped
        unit("linear", conv(5, 6, (1, 1)), ((6, 1, 1), 0, 255, 0), (1,), quantize=Quantize(6, -8, 7)),
        unit("max_signed", MaxPool((3, 3), (2, 2), (1, 1, 1, 1)), ((2, 5, 6), -8, 7, 0), (2, 1, "max"), serial(2)),
        unit("max_unsigned", MaxPool((3, 2), (2, 2), (1, 1, 1, 1)), ((3, 4, 5), 0, 7, 0), (1, 1, "max")),
        # three groups, the last round short, channels in any order; a beat is a place of every stripe, the last short
        unit(
            "groups",
            conv(5, 3, (3, 3), **padded),
            ((3, 3, 7), 0, 15, 0),
            (3, 3),
            lanes(3, (2, 0, 1)),
            Quantize(2, 0, 15),
            sort=True,
        ),
        # a beat fills every second place of wider stripes, in two copies of a block memory
        unit(
            "finer",
            conv(3, 5, (3, 3), **padded),
            ((5, 3, 7), -8, 7, 0),
            (2, 2),
            lanes(4, (4, 1, 0, 3, 2)),
            Quantize(2, -8, 7),
        ),
        # lanes that multiply: two in a slice, the last one alone; groups, padding, bits dropped
        unit(
            "mac",
            conv(5, 2, (3, 3), **padded),
            ((2, 4, 6), 0, 15, 0),
            (3, 2, "mac"),
            lanes(3),
            quantize=Quantize(2, 0, 15),
            sort=True,
        ),
        # a beat fills every second stripe
        unit("coarser", conv(2, 2, (3, 3), **padded), ((2, 3, 8), 0, 15, 0), (4, 2), lanes(2), Quantize(2, 0, 15)),
        # a beat fills every third of stripes that are a third of its own and half of a lane's; a column in the last one
        unit("both", conv(3, 2, (1, 3), padding=(0, 0, 1, 1)), ((2, 3, 11), 0, 7, 0), (3, 3), lanes(2), sort=True),
        # block memory, half of a word written by each beat
        unit(
            "phases",
            conv(2, 9, (2, 2), stride=(1, 2)),
            ((9, 4, 10), 0, 7, 0),
            (5, 2),
            lanes(3),
            Quantize(3, 0, 7),
        ),
        # one lane that reads several stripes
        unit("gather", conv(4, 2, (3, 5), padding=(1, 1, 2, 2)), ((2, 4, 5), 0, 7, 0), (1, 3), lanes(3), sort=True),
        # two lanes in a DSP slice, the last one alone; padded taps of negative terms; groups
        unit(
            "dsp",
            conv(5, 2, (3, 3), **padded),
            ((2, 4, 6), 0, 15, 0),
            (3, 2, "dsp"),
            lanes(3),
            quantize=Quantize(2, 0, 15),
            sort=True,
        ),
        unit("dsp_signed", conv(3, 4, (1, 1)), ((4, 2, 3), -8, 7, 0), (1, 1, "dsp")),
        # lists shorter than the groups: results wait to be sent
        unit("short", sparse, ((2, 3, 4), 0, 7, 0), (2, 3), lanes(2), sort=True),
        unit("shorter", sparse, ((2, 3, 4), 0, 7, 0), (2, 5), lanes(2), Quantize(0, 0, 7), sort=True),
        unit("uneven", sparse, ((2, 3, 4), 0, 7, 0), (4, 4), lanes(4), Quantize(0, 0, 7), sort=True),
        # block memory, written a whole word at a time
        unit(
            "max_groups",
            MaxPool((3, 2), (2, 2), (1, 1, 0, 0)),
            ((5, 4, 6), -8, 7, 0),
            (3, 3, "max"),
            lanes(3, (3, 1, 4, 0, 2)),
        ),
        # one list for all channels, in the order in which they come; the last round has one of two
        unit(
            "max_shared",
            MaxPool((2, 2), (2, 2)),
            ((5, 4, 6), -8, 7, 0),
            (3, 2, "max"),
            lanes(3, (3, 1, 4, 0, 2)),
            sort=True,
        ),
        # lists so long that they hold distances: of channels alone in a foreign order, and of taps
        unit(
            "far",
            conv(48, 128, (1, 1)),
            ((128, 1, 2), 0, 15, 0),
            (2, 3),
            lanes(2, tuple(range(127, -1, -1))),
            sort=True,
        ),
        unit("far_taps", conv(24, 80, (3, 2)), ((80, 3, 3), -8, 7, 0), (2, 4), lanes(3), Quantize(3, -8, 7), sort=True),
        # lanes that multiply: sums of all the bits that two in a slice have, and one more; no constant; many stripes,
        # one lane
        unit("mac_wide", wide(257), ((2, 1, 5), 0, 255, 0), (5, 1, "mac")),
        unit("mac_wider", wide(259), ((2, 1, 5), 0, 255, 0), (5, 2, "mac")),
        unit("mac_signed", conv(3, 4, (1, 3), padding=(0, 0, 1, 1)), ((4, 2, 5), -8, 7, 0), (1, 3, "mac"), lanes(3)),
        # distances, and constants of more bits than a weight
        unit(
            "mac_far",
            Conv(rng.choice([0, 0, 0, 0, 0, 3, -7], (96, 128, 1, 1)), rng.integers(-30, 30, 96)),
            ((128, 1, 2), 0, 15, 0),
            (2, 3, "mac"),
            sort=True,
        ),
        # sums that are multiplied: by one multiplier, one after the other, the last lane short
        unit(
            "scaled",
            conv(3, 2, (2, 2)),
            ((2, 3, 7), 0, 15, 0),
            (4, 1, "lut", "rom", "dsp"),
            quantize=rescale(3, 9, 10, 0, 15),
        ),
        # three groups, the last round short, channels in any order, and half even
        unit(
            "scaled_groups",
            conv(5, 3, (3, 3), **padded),
            ((3, 3, 7), 0, 15, 0),
            (3, 3, "lut", "rom", "dsp"),
            lanes(3, (2, 0, 1)),
            rescale(5, 5, 7, -8, 7, [1, 0, 9, 128]),
            sort=True,
        ),
        # lists so short that it takes several multipliers, and words wait
        unit(
            "scaled_short",
            sparse,
            ((2, 3, 5), -8, 7, 0),
            (5, 2, "lut", "rom", "dsp"),
            lanes(5),
            rescale(5, 4, 4, -8, 7, [0, 1]),
            sort=True,
        ),
        # lanes in slices, a list with distances; one factor for all
        unit(
            "scaled_mac",
            Conv(rng.choice([0, 0, 3, -7], (5, 24, 1, 1)), rng.integers(-30, 30, 5)),
            ((24, 1, 4), 0, 15, 0),
            (4, 3, "mac", "rom", "dsp"),
            quantize=rescale(1, 12, 15, 0, 15),
            sort=True,
        ),
        # one list for all channels, each with a factor of its own; multipliers of two slices
        unit(
            "scaled_shared",
            Conv(np.ones((5, 1, 2, 2)), np.zeros(5), (2, 2), groups=5),
            ((5, 4, 6), -8, 7, 0),
            (3, 2, "lut", "rom", "dsp"),
            lanes(3, (3, 1, 4, 0, 2)),
            rescale(5, 33, 34, -8, 7, [0, 1, 1 << 33]),
            sort=True,
        ),
        # digit by digit: two at a time, as fast as the list; and slower than it
        unit(
            "serial",
            conv(5, 2, (3, 3), **padded),
            ((2, 4, 6), 0, 15, 0),
            (3, 2, "dsp"),
            lanes(3),
            rescale(5, 9, 11, 0, 15, [0, 3]),
            sort=True,
        ),
        unit("serial_short", sparse, ((2, 2, 5), -8, 7, 0), (5, 2), lanes(5), rescale(5, 4, 4, -8, 7), sort=True),
        # half to even: of bits shifted out and dropped, some of the result shifted out, in slices
        unit(
            "even",
            conv(3, 2, (3, 3), **padded),
            ((2, 4, 5), 0, 7, 0),
            (3, 2),
            quantize=Rescale(np.array([1, 2, -4]), np.array([16, 16, 16]), np.array([1, 2, 1]), 5, 0, 7),
        ),
        unit("even_fine", halves, ((2, 3, 5), -8, 7, 0), (5,), lanes(5), even(1, 1, -32, 31)),
        unit("even_dsp", halves, ((2, 3, 5), -8, 7, 0), (5, 2, "dsp"), lanes(5), even(1, 3, -8, 7)),
        unit("even_mac", halves, ((2, 3, 5), -8, 7, 0), (5, 1, "mac"), lanes(5), even(1, 3, -8, 7)),
        # lists of three modes: other exponents, ends and widths in, one order of channels
        modes(
            "modes",
            [
                (conv(3, 2, (3, 3), **padded), ((2, 3, 5), 0, 15, 0), Quantize(2, 0, 15)),
                (conv(3, 2, (3, 3), **padded), ((2, 3, 5), 0, 3, 2), Quantize(5, -2, 3)),
                (conv(3, 2, (3, 3), **padded), ((2, 3, 5), -8, 7, -1), Quantize(1, 0, 3)),
            ],
            (3, 2),
            lanes(3),
            sort=True,
        ),
        # exact sums, in slices that add and that multiply
        modes("modes_dsp", finer, (3, 1, "dsp"), lanes(2)),
        modes("modes_mac", finer, (3, 1, "mac"), lanes(2)),
        # outputs that share lists: in sorted groups, of three channels; in block RAM, of a power of two
        unit(
            "epitome",
            turned(conv(2, 3, (2, 2), padding=(1, 0, 0, 0)), 3, 2),
            ((3, 2, 5), 0, 15, 0),
            (3, 2),
            lanes(3),
            Quantize(2, 0, 15),
            sort=True,
        ),
        unit("epitome_far", turned(conv(3, 128, (1, 1)), 3, 37), ((128, 1, 2), 0, 15, 0), (2, 3), lanes(2), sort=True),
        unit("epitome_mac", turned(conv(2, 5, (1, 2)), 5, 1), ((5, 2, 4), -8, 7, 0), (3, 2, "mac"), lanes(3)),
        unit(
            "epitome_scaled",
            turned(conv(2, 3, (2, 2)), 2, 1),
            ((3, 3, 5), 0, 15, 0),
            (2, 2, "lut", "rom", "dsp"),
            quantize=rescale(4, 9, 10, 0, 15),
        ),
        # thresholds
        unit("steps", conv(5, 2, (3, 3), **padded), ((2, 4, 6), 0, 15, 0), (3, 2), lanes(3), steps(5, 6, 9999, -3)),
        unit("steps_mac", conv(3, 2, (3, 3)), ((2, 4, 6), 0, 15, 0), (2, 1, "mac"), quantize=steps(1, 15, 99, 0)),
    ]


# a simulation needs none of this, and importing torch takes longer than all its clocks
UNITS = [] if "BENCH_CONFIG" in os.environ else units()
CONFIGS = [unit.parameters() for unit in UNITS]
# most of all clocks, which Verilator is faster with
ON_VERILATOR = (
    "epitome_far",
    "epitome_scaled",
    "far",
    "far_taps",
    "finer",
    "gather",
    "groups",
    "mac_far",
    "scaled_groups",
    "scaled_mac",
    "scaled_shared",
    "serial",
    "steps",
    "steps_mac",
)
# so few clocks that Verilator takes longer to compile them
ON_ICARUS = (
    "both",
    "coarser",
    "dsp_signed",
    "epitome",
    "epitome_mac",
    "even",
    "even_dsp",
    "even_fine",
    "even_mac",
    "exact",
    "linear",
    "mac_signed",
    "mac_wide",
    "mac_wider",
    "max_groups",
    "max_shared",
    "max_unsigned",
    "modes_dsp",
    "modes_mac",
    "phases",
    "scaled_short",
    "serial_short",
    "short",
    "shorter",
    "uneven",
)
ONLY = {
    simulator: [unit.parameters() for unit in UNITS if unit.name in names]
    for simulator, names in (("icarus", ON_ICARUS), ("verilator", ON_VERILATOR))
}


def beats(activations, order, bits):
    """[frames, activations] -> the beats of each frame, the first activation in the lowest bits."""
    sides = (activations % (1 << bits)).reshape(len(activations), -1, order.side)
    return [[sum(value << (i * bits) for i, value in enumerate(side)) for side in frame] for frame in sides.tolist()]


def evaluated(stage, x):
    y = stage.op.eval([stage.x], x)
    return stage.quantize.eval([stage.op.infer(stage.x)], y) if stage.quantize else y


def prepare(folder, config):
    import numpy as np
    import torch

    (unit,) = [unit for unit in UNITS if unit.rom_path == config["FILE"]]
    for name, text in unit.files().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    stage = unit.stage
    generator = torch.Generator().manual_seed(10)
    low, high = stage.x.qtype.low, stage.x.qtype.high
    count = len(stage.modes) or 1
    of_frames = [mode % count for mode in MODES]
    each = [(stage.modes or (stage,))[mode] for mode in of_frames]
    ends = [(own.x.qtype.low, own.x.qtype.high) for own in each]
    x = torch.stack([torch.randint(a, b + 1, stage.x.shape, generator=generator) for a, b in ends])
    x[0], x[1] = ends[0][0], ends[1][1]
    y = torch.cat([evaluated(own, frame[None]) for own, frame in zip(each, x, strict=True)])
    taken, sent = unit.order.flatten(x), unit.out_order.flatten(y)
    # a lane without a pixel brings anything, and may send anything
    nowhere = np.broadcast_to(unit.order.indices() < 0, taken.shape)
    taken = np.where(nowhere, np.random.default_rng(11).integers(low, high + 1, taken.shape), taken)
    somewhere = np.where(unit.out_order.indices() < 0, 0, -1)[None, :]
    bits = stage.x.qtype.bits, stage.y.qtype.bits
    known = {
        "x": beats(taken, unit.order, bits[0]),
        "y": beats(sent, unit.out_order, bits[1]),
        "mask": beats(somewhere, unit.out_order, bits[1])[0],
        "cycles": unit.in_mode(of_frames[-1]).cycles(),
        "modes": sum(mode << i * clog2(count) for i, mode in enumerate(of_frames)) | FRAMES << FRAMES * clog2(count),
    }
    (folder / BEATS).write_text(json.dumps(known))


async def begin(dut, source_stall=0.0, sink_stall=0.0):
    source = Source(dut, "s_axis", source_stall, seed=1)
    sink = Sink(dut, "m_axis", sink_stall, seed=2)
    known = json.loads(BEATS.read_text())
    modes = known["modes"] if "MODES" in config() else 0
    await start(dut, s_axis_tvalid=0, s_axis_tdata=0, m_axis_tready=0, modes=modes)
    return source, sink, known


def flat(frames):
    return [word for frame in frames for word in frame]


async def takes_all(sink, beats, frames=FRAMES):
    """Take every frame and compare it."""
    size = len(beats["mask"])
    words = await sink.take(frames * size)
    masked = [word & mask for word, mask in zip(words, beats["mask"] * frames, strict=True)]
    assert masked == flat(beats["y"])[: frames * size]


@cocotb.test()
@cocotb.parametrize((("source_stall", "sink_stall"), [(0.5, 0.5), (0.9, 0.0), (0.0, 0.9)]))
async def every_frame_is_what_the_ops_give(dut, source_stall, sink_stall):
    source, sink, beats = await begin(dut, source_stall, sink_stall)
    cocotb.start_soon(source.send(flat(beats["x"])))
    await takes_all(sink, beats)


@cocotb.test()
async def a_frame_takes_the_cycles_that_the_unit_says(dut):
    """Between the ends of frames, once the first ones have filled the ring."""
    source, sink, beats = await begin(dut)
    cocotb.start_soon(source.send(flat(beats["x"])))
    await takes_all(sink, beats)
    assert sink.times[-1] - sink.times[-1 - len(beats["mask"])] == beats["cycles"]


@cocotb.test()
@cocotb.parametrize(part=[0.5, 1.4])
async def reset_in_mid_frame_leaves_nothing_behind(dut, part):
    source, sink, beats = await begin(dut, 0.1, 0.3)
    sending = cocotb.start_soon(source.send(flat(beats["x"])))
    await sink.take(1 + int(part * len(beats["mask"])))
    for _ in range(7):  # not ready: the pipeline holds
        await FallingEdge(dut.clk)
    await interrupt(dut, sending, source)
    cocotb.start_soon(source.send(flat(beats["x"])))
    await takes_all(sink, beats, 2)
