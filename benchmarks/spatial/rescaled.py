"""What a spatial layer takes whose outputs have scales of their own, as other tools quantize, beside the same layer
with one power of two: LUTs estimated, and as yosys maps them."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from torch import nn

from benchmarks.spatial.tables import table, write_document
from hwgen import build, flow
from hwgen.config import BuildConfig
from hwgen.flow import read_design
from hwgen.ir import Graph, Input, Node, Output, TensorType
from hwgen.manifest import read_manifest
from hwgen.ops.conv import Conv, sum_ends
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Quantizer, Rescale
from hwgen.qtype import QType
from hwgen.requantize import requantize
from hwgen.synth import yosys


@dataclass(frozen=True)
class Layer:
    """bits -- of weights, and of activations before and behind, which are not negative"""

    name: str
    outputs: int
    inputs: int
    taps: int
    bits: int
    groups: int = 1

    def sums(self) -> Conv:
        rng = np.random.default_rng(1)
        most = (1 << (self.bits - 1)) - 1
        shape = (self.outputs, self.inputs // self.groups, self.taps, self.taps)
        weights = np.clip(np.rint(rng.normal(0, most / 3, shape)), -most, most)
        return Conv(weights, np.rint(rng.normal(0, most * 4, self.outputs)), groups=self.groups)

    @property
    def x(self) -> TensorType:
        return TensorType((self.inputs, self.taps, 2 * self.taps), QType(0, (1 << self.bits) - 1), 0)

    def quantizers(self) -> dict[str, Quantizer]:
        """Levels that end at four deviations of a sum: of one power of two, and with a factor for each output."""
        op, high = self.sums(), (1 << self.bits) - 1
        deviation = np.sqrt((op.weight**2).sum(axis=(1, 2, 3)) / 3) * high
        factors = high / (4 * deviation) * np.random.default_rng(2).uniform(0.7, 1.4, self.outputs)
        low, top = sum_ends(op.integers.reshape(self.outputs, -1), self.x.qtype)
        bias = op.bias.astype(np.int64)
        reach = np.stack([low + bias, top + bias], axis=1)
        scales = [Fraction(float(np.float32(factor))) for factor in factors]
        fitted = requantize(scales, [Fraction(0)] * self.outputs, reach, 0, high, "half_even").op
        assert isinstance(fitted, Rescale)
        widest = int(abs(fitted.multipliers).max()).bit_length()
        return {
            "one power of two": Quantize(round(-np.log2(np.median(factors))), 0, high),
            f"factors of up to {widest} bits": fitted,
        }

    def graph(self, quantize: Quantizer) -> Graph:
        nodes = Node("sum", self.sums(), ("x",)), Node("y", quantize, ("sum",))
        shape = Graph((Input("x", self.x, self.x.shape),), nodes, ()).types()["y"].shape
        return Graph((Input("x", self.x, self.x.shape),), nodes, (Output("y", shape),))


LAYERS = (
    Layer("3x3, depthwise, 8", 8, 8, 3, 4, 8),
    Layer("3x3, depthwise, 8", 8, 8, 3, 8, 8),
    Layer("1x1, 64 to 8", 8, 64, 1, 4),
    Layer("1x1, 64 to 8", 8, 64, 1, 8),
    Layer("3x3, 16 to 8", 8, 16, 3, 4),
    Layer("3x3, 16 to 8", 8, 16, 3, 8),
)


def counted(layer: Layer, quantize: Quantizer, folder: Path, synthesize: bool) -> tuple[float, float | None]:
    """The LUTs of the unit, estimated and mapped."""
    graph, read = layer.graph(quantize), flow.read_model
    flow.read_model = lambda *_: (graph, [])
    try:
        build(nn.Identity(), out=folder, config=BuildConfig(engine="spatial"))
    finally:
        flow.read_model = read
    unit = next(placed.unit for placed in read_design(folder).placed if placed.unit.kind == "adder_graph")
    if not synthesize:
        return unit.estimate()["LUT"], None
    found = yosys.synthesize(folder, 1, read_manifest(folder)["core"], whole=False)["units"]
    return unit.estimate()["LUT"], next(one["resources"]["LUT"] for one in found if one["name"] == unit.name)


HEAD = (
    "layer",
    "bits",
    "requantized by",
    "LUT, estimated",
    "LUT, yosys",
    "against one power of two",
    "LUT more an output",
)


@click.command(help=__doc__)
@click.option("--synthesize/--no-synthesize", default=True, help="Without, the estimates are compared.")
def main(synthesize: bool):
    rows = []
    for layer in LAYERS:
        before = None
        for name, quantize in layer.quantizers().items():
            with TemporaryDirectory() as folder:
                estimate, mapped = counted(layer, quantize, Path(folder) / "net", synthesize)
            found = estimate if mapped is None else mapped
            before = before or found
            yosys_luts = "-" if mapped is None else f"{mapped:,}"
            more = f"{found / before:.2f}", f"{(found - before) / layer.outputs:.0f}"
            rows.append((layer.name, str(layer.bits), name, f"{estimate:,}", yosys_luts, *more))
            click.echo(table(HEAD, rows[-1:]).splitlines()[-1])
    if synthesize:
        write_document("spatial.rescaled", table(HEAD, rows))


if __name__ == "__main__":
    main()
