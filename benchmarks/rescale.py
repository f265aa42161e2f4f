"""What it costs that scales are no powers of two: a folded 3x3 convolution, 16 to 16 channels of 32x32, weights and
activations of as many bits, against the same layer with a shift: python -m benchmarks.rescale.

LUTs, block RAMs and DSP slices are yosys' counts, by the flags of hwgen synth; beside them hwgen's estimate of LUTs.
"""

from fractions import Fraction

import click
import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.fit_lanes import synthesize
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.ir import TensorType
from hwgen.lanes.fold import Fold
from hwgen.lanes.unit import TermLanes
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.requantize import requantize
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.sums import ExactSums

CHANNELS, SIZE = 16, 32
ZEROS = (0.0, 0.5)  # of the weights


def layer(bits: int, zeros: float) -> tuple[Conv, TensorType]:
    """Weights as a trained layer has them, a bias, and activations behind a ReLU."""
    numbers = np.random.default_rng(bits)
    most = (1 << (bits - 1)) - 1
    shape = (CHANNELS, CHANNELS, 3, 3)
    weight = np.clip(np.rint(numbers.normal(0, most / 3, shape)), -most, most)
    weight *= numbers.random(shape) >= zeros
    bias = numbers.integers(-(1 << (2 * bits)), 1 << (2 * bits), CHANNELS).astype(float)
    return Conv(weight, bias, padding=(1, 1, 1, 1)), TensorType((CHANNELS, SIZE, SIZE), QType(0, (1 << bits) - 1), 0)


def quantizers(conv: Conv, x: TensorType, bits: int) -> dict:
    """By name: to levels of as many bits, whose last one is the greatest of sums three deviations away."""
    levels = (1 << bits) - 1
    spread = float(np.abs(conv.integers).reshape(CHANNELS, -1).std(axis=1).mean()) * levels * np.sqrt(9 * CHANNELS)
    shift = int(np.log2(1.5 * spread / levels))
    reach = np.array([[one.low, one.high] for one in ExactSums.of(conv, x, None).ranges])
    random = np.random.default_rng(1)
    scales = [Fraction(float(np.float32(one))) / (1 << shift) for one in random.uniform(0.5, 1, CHANNELS)]
    none = [Fraction(0)] * CHANNELS
    scaled = requantize(scales, none, reach, 0, levels, "half_even").op
    return {
        "power of two": Quantize(shift, 0, levels),
        "half even": requantize([Fraction(1, 1 << shift)] * CHANNELS, none, reach, 0, levels, "half_even").op,
        "a channel's own": scaled,
        "in LUTs": scaled,
    }


def row(name: str, quantizer, conv: Conv, x: TensorType, lanes: int) -> tuple[TermLanes, dict]:
    stage = Stage.alone("layer", conv, quantizer, x)
    fold = Fold(lanes, multiplier="lut" if name == "in LUTs" else "dsp")
    unit = TermLanes(stage, fold, Order(x.shape).by_lanes(lanes), DEVICE)
    return unit, synthesize(unit)


@click.command(help=__doc__)
@click.option("--lanes", multiple=True, type=int, default=(8, 16), show_default=True)
@click.option("--bits", multiple=True, type=int, default=(8, 4), show_default=True)
def main(lanes, bits):
    layers = [(n, zeros) for n in bits for zeros in ZEROS]
    table = Table(
        "bits, zeros", "lanes", "scales", "LUT", "", "estimate", "BRAM36", "DSP", "cycles a frame", box=MARKDOWN
    )
    for bits, zeros in layers:
        conv, x = layer(bits, zeros)
        found = quantizers(conv, x, bits)
        for count in lanes:
            base = None
            for name, quantizer in found.items():
                unit, taken = row(name, quantizer, conv, x, count)
                base = base or taken["LUT"]
                table.add_row(
                    f"{bits}, {zeros:.0%}",
                    str(count),
                    name,
                    str(taken["LUT"]),
                    f"{taken['LUT'] / base:.2f}",
                    str(unit.estimate()["LUT"]),
                    f"{taken['BRAM36']:g}",
                    str(taken["DSP"]),
                    f"{unit.cycles():,}",
                )
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
