"""A layer's channels on two kinds of lanes (hwgen/split.py): cycles and area of one convolution beside equal area
without a split, and accuracy where the format of each channel is learned (hwgen/compress/channels.py).

    python -m benchmarks.split [--only PATTERN]

A run whose result is in split.json is not done again. The tables of docs/split.md are made from that file. Areas are
estimates, cycles those of the schedule, which RTL does not exceed (tests/test_split.py).
"""

import fnmatch
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import click
import numpy as np
import torch
from torch import nn

from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.tables import table, write_document
from examples.common import Batches, train_float
from examples.digits.model import test_data, train_data
from examples.digits.train import shift
from hwgen.board import load_board
from hwgen.compress import Recipe, Training, accuracy, convert, fit, prepare
from hwgen.compress.channels import search
from hwgen.compress.formats import PowerOfTwo, Uniform
from hwgen.compress.recipe import Override, Split
from hwgen.design import place
from hwgen.engines import Border, Context
from hwgen.engines.concat import ChannelBeats
from hwgen.frontend import import_model
from hwgen.ir import Graph, Input, Node, Output, TensorType
from hwgen.lanes.fold import Fold
from hwgen.lower import lower
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.pace import interval_of
from hwgen.passes import run_passes
from hwgen.qtype import QType
from hwgen.split import lengths, prefix, split_channels

HERE = Path(__file__).parent
RESULTS, DOCUMENT = HERE / "split.json", HERE.parent / "docs" / "split.md"
CHANNELS, LANES = 32, 32
SEEDS = range(5)
LAYER, LAYER_LANES = "3", 4  # of the digits network, and its lanes on each side


def convolution(powers: int) -> Graph:
    """3x3, 16 to 32 channels of 32 x 32 pixels of 8 bits: `powers` channels of 4-bit powers of two, half of them zero,
    the others of 8-bit integers."""
    rng = np.random.default_rng(0)
    shape = (CHANNELS, 16, 3, 3)
    integers = rng.integers(-127, 128, shape) / 128
    few = 2.0 ** -rng.integers(0, 7, shape) * rng.choice([-1, 1], shape) * (rng.random(shape) > 0.5)
    weight = np.where((np.arange(CHANNELS) < powers)[:, None, None, None], few, integers)
    kind = TensorType((16, 32, 32), QType(0, 255), -8)
    nodes = (
        Node("conv", Conv(weight, np.zeros(CHANNELS), (1, 1), (1, 1, 1, 1)), ("input",)),
        Node("result", Quantize(-4, 0, 255), ("conv",)),
    )
    return Graph((Input("input", kind, kind.shape),), nodes, (Output("result", (CHANNELS, 32, 32)),))


def placed(graph: Graph, folds: list[Fold], first: list[int] | None = None) -> dict:
    """Cycles, LUT, DSP and BRAM36 of the layer alone, on a fold, or on two with those channels on the first."""
    board = load_board("zcu104")
    if first is not None:
        graph = split_channels(graph, "conv", first)
        chosen = {"result_first": folds[0], "result_second": folds[1], "result": ChannelBeats(lanes=LANES)}
    else:
        chosen = {"result": folds[0]}
    stages = lower(graph)
    design = place("", graph, stages, {"input": Border(), **chosen}, Context.of(graph, stages, board.device, 3))
    units = [one.unit for one in design.placed if "reorder" not in one.unit.name]  # what the border takes is left out
    takes = [unit.estimate() for unit in units]
    total = {name: sum(each.get(name, 0) for each in takes) for name in ("LUT", "DSP", "BRAM36")}
    slowest = max(one.unit.cycles() for one in design.placed if "reorder" not in one.unit.name)
    return {"cycles": slowest, "interval": interval_of(design), **total}


def lut(groups: int = 1) -> Fold:
    return Fold(LANES, groups, "lut")


def mac(groups: int = 1) -> Fold:
    return Fold(LANES, groups, "mac")


def parted(powers: int) -> dict:
    graph = convolution(powers)
    return placed(graph, [lut(), mac()], prefix(*lengths(lower(graph)[0])))


PLACED = {
    "32 of integers, LUT lanes": lambda: placed(convolution(0), [lut()]),
    "32 of integers, MAC lanes": lambda: placed(convolution(0), [mac()]),
    "32 of integers, 2 groups of MAC lanes": lambda: placed(convolution(0), [mac(2)]),
    "32 of integers, 3 groups of MAC lanes": lambda: placed(convolution(0), [mac(3)]),
    "32 of integers, split": lambda: parted(0),
    "32 of powers of two, LUT lanes": lambda: placed(convolution(32), [lut()]),
    "32 of powers of two, 2 groups of LUT lanes": lambda: placed(convolution(32), [lut(2)]),
    "32 of powers of two, split": lambda: parted(32),
    "20 of powers of two, 12 of integers, LUT lanes": lambda: placed(convolution(20), [lut()]),
    "20 of powers of two, 12 of integers, MAC lanes": lambda: placed(convolution(20), [mac()]),
    "20 of powers of two, 12 of integers, 2 groups of MAC lanes": lambda: placed(convolution(20), [mac(2)]),
    "20 of powers of two, 12 of integers, split": lambda: parted(20),
}


def network() -> nn.Sequential:
    """[N, 1, 8, 8] -> [N, 10], 1,000 weights in the layer that is parted."""
    first = (nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(
        *first, nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)
    )


EXAMPLE = (torch.zeros(1, 1, 8, 8),)


def trained(seed: int) -> dict:
    """Accuracy on the test images, and cycles of the layer, of each way to give its channels formats."""
    torch.set_num_threads(1)
    x, y = train_data()
    train = Batches(x, y, 32, shift)
    test = Batches(*(part[:] for part in test_data()), 360)
    model = train_float(network(), train, epochs=12, rate=3e-3, seed=seed)
    base = Recipe(training=Training(epochs=15, seed=seed), quantize_from=0.3)
    split = replace(base, split=Split((LAYER,), strength=2.0))
    learned = search(model, split, EXAMPLE, train, show=lambda line: None)
    seconds = [one for one in learned.overrides if one.weights == Uniform()]
    chosen = np.random.default_rng(seed).permutation(16)[: len(seconds)]
    recipes = {
        "powers of two": replace(base, overrides=(Override(LAYER, weights=PowerOfTwo()),)),
        "8-bit integers": replace(base, overrides=(Override(LAYER, weights=Uniform()),)),
        "learned split": learned,
        "split at random": replace(
            base, overrides=tuple(Override(f"{LAYER}[{i}]", weights=Uniform()) for i in sorted(chosen.tolist()))
        ),
    }
    result = {"float": accuracy(model, test), "integers": len(seconds)}
    for name, recipe in recipes.items():
        prepared = prepare(model, recipe, EXAMPLE)
        fit(prepared, train, show=lambda line: None)
        compressed = convert(prepared)
        result[name] = {"accuracy": accuracy(compressed, test), **cycles(compressed)}
    return result


def cycles(model: nn.Module) -> dict:
    """Of the layer, on as many LUT lanes, MAC lanes, or both, by the best prefix."""
    stage = next(one for one in lower(run_passes(import_model(model, EXAMPLE))) if one.name.endswith(f"_{LAYER}"))
    terms, weights = lengths(stage)
    first = prefix(terms, weights)
    rest = [channel for channel in range(len(terms)) if channel not in first]
    positions = stage.y.shape[1] * -(-stage.y.shape[2] // LAYER_LANES)
    return {
        "LUT lanes": positions * int(terms.sum()),
        "MAC lanes": positions * int(weights.sum()),
        "split": positions * int(max(terms[first].sum(), weights[rest].sum())),
    }


TRAINED = ("powers of two", "8-bit integers", "learned split", "split at random")


def tables(results: dict) -> str:
    rows = [
        (
            name,
            f"{found['interval']:,}",
            f"{found['LUT']:,.0f}",
            f"{found['DSP']:,.0f}",
            f"{found['BRAM36']:g}",
            f"{found['interval'] * found['LUT'] / 1e6:,.0f}",
        )
        for name in PLACED
        if (found := results.get(f"placed / {name}"))
    ]
    parts = [table(("channels, and where", "cycles a frame", "LUT", "DSP", "BRAM36", "10^6 LUT x cycles"), rows)]
    seeds = [found for seed in SEEDS if (found := results.get(f"trained / {seed}"))]
    if len(seeds) > 1:
        rows = [("float", _spread([one["float"] for one in seeds]), "-", "-", "-")]
        for name in TRAINED:
            each = [one[name] for one in seeds]
            counts = [f"{mean(one[where] for one in each):,.0f}" for where in ("LUT lanes", "MAC lanes", "split")]
            rows.append((name, _spread([one["accuracy"] for one in each]), *counts))
        head = ("formats", f"accuracy, %, {len(seeds)} seeds", "cycles, LUT lanes", "MAC lanes", "split")
        integers = [one["integers"] for one in seeds]
        parts += [
            table(head, rows),
            f"Channels of integers that were learned: {', '.join(map(str, integers))} of 16.\n",
        ]
    return "\n".join(parts)


def _spread(values: list[float]) -> str:
    return f"{mean(values):.2f} +- {stdev(values):.2f}"


@click.command(help=__doc__)
@click.option("--only", default="*", help="Runs that match this pattern.")
def main(only):
    runs = {f"placed / {name}": make for name, make in PLACED.items()}
    runs |= {f"trained / {seed}": lambda seed=seed: trained(seed) for seed in SEEDS}
    for name in fnmatch.filter(runs, only):
        if name not in read(RESULTS):
            record(RESULTS, name, runs[name]())
            click.echo(name, err=True)
    text = tables(read(RESULTS))
    write_document("split", text, DOCUMENT)
    click.echo(text)


if __name__ == "__main__":
    main()
