"""Box sums before a convolution instead of an average behind it (hwgen/passes/box_before_conv.py): terms, cycles and
area of both forms and of what hwgen chooses; and accuracy with the pool before and behind the activation.

    python -m benchmarks.mlcnn [--only PATTERN] [--mnist FOLDER]

FOLDER holds MNIST's four idx.gz files; without it the rows of MNIST stay as they are. A run whose result is in
mlcnn.json is not done again. The tables of docs/mlcnn.md are made from that file.
"""

import fnmatch
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, stdev

import click
import numpy as np
import torch
from torch import nn

from benchmarks.netlist import synthesize
from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.tables import table, write_document
from examples.common import Batches, train_float
from examples.digits.model import test_data as digits_test
from examples.digits.model import train_data as digits_train
from examples.digits.train import shift as shift_digits
from examples.lenet5.model import read_mnist
from examples.lenet5.train import shift as shift_mnist
from hwgen import build, simulate
from hwgen.compress import Recipe, Training, accuracy, convert, fit, prepare
from hwgen.compress.methods import Magnitude
from hwgen.compress.size import sizes
from hwgen.config import BuildConfig
from hwgen.design import Design
from hwgen.errors import DoesNotFit
from hwgen.frontend import import_model
from hwgen.nn import ActQuant
from hwgen.ops.conv import Conv
from hwgen.passes import run_passes
from hwgen.passes.box_before_conv import averaged, of_fewer_terms
from hwgen.terms import term_table

HERE = Path(__file__).parent
RESULTS, DOCUMENT = HERE / "mlcnn.json", HERE.parent / "docs" / "mlcnn.md"
COUNTS = ("LUT", "LUTRAM", "FF", "BRAM36", "DSP")
FORMS = ("average behind", "box sums", "as chosen")
SEEDS = range(5)
IMAGES = 20_000  # of MNIST's 60,000, to train with


def powers(module: nn.Sequential, zeros: float = 0.5) -> nn.Sequential:
    """The module with weights of powers of two, +-2^0 to 2^-3, a part of them zero, and small biases on their grid."""
    rng = np.random.default_rng(1)
    for layer in module:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            shape = layer.weight.shape
            weight = 2.0 ** -rng.integers(0, 4, shape) * rng.choice([-1, 1], shape) * (rng.random(shape) > zeros)
            layer.weight.data = torch.from_numpy(weight).float()
            layer.bias = nn.Parameter(torch.from_numpy(np.round(rng.normal(0, 4, shape[0])) / 16).float())
    return module.eval()


def one_convolution(outputs: int = 16, window: int = 2, kernel: int = 3, zeros: float = 0.5) -> nn.Sequential:
    """Of 16 channels of 32 x 32 pixels, of 4 bits."""
    conv = nn.Conv2d(16, outputs, kernel, padding=kernel // 2)
    return powers(nn.Sequential(ActQuant(4, -4), conv, nn.AvgPool2d(window), nn.ReLU(), ActQuant(4, -2)), zeros)


def two_convolutions() -> nn.Sequential:
    """Of MNIST's size: 8 and 16 channels, and a Linear layer."""
    first = (ActQuant(8, -8), nn.Conv2d(1, 8, 3, padding=1), nn.AvgPool2d(2), nn.ReLU(), ActQuant(4, -3))
    second = (nn.Conv2d(8, 16, 3, padding=1), nn.AvgPool2d(2), nn.ReLU(), ActQuant(4, -2))
    return powers(nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(16 * 49, 10)))


# a network, its input, and what is asked of it
BUILDS: dict[str, tuple[Callable[[], nn.Sequential], tuple[int, ...], dict]] = {
    "one convolution, --lanes 16": (one_convolution, (16, 32, 32), {"lanes": 16}),
    "one convolution, --fps 20000": (one_convolution, (16, 32, 32), {"fps": 20000.0}),
    "two convolutions, --lanes 16": (two_convolutions, (1, 28, 28), {"lanes": 16}),
    "two convolutions, --fps 50000": (two_convolutions, (1, 28, 28), {"fps": 50000.0}),
}
# estimates at one rate
RATE = 3000.0
SWEEP: dict[str, Callable[[], nn.Sequential]] = {
    "3x3, 16 to 16 channels, 2x2": one_convolution,
    "3x3, 16 to 16 channels, 4x4": partial(one_convolution, window=4),
    "3x3, 16 to 16 channels, whole frame": partial(one_convolution, window=32),
    "3x3, 16 to 16 channels, 90 % zeros, 2x2": partial(one_convolution, zeros=0.9),
    "3x3, 16 to 4 channels, 2x2": partial(one_convolution, outputs=4),
    "3x3, 16 to 64 channels, 2x2": partial(one_convolution, outputs=64),
    "1x1, 16 to 16 channels, 2x2": partial(one_convolution, kernel=1),
    "1x1, 16 to 2 channels, 2x2": partial(one_convolution, outputs=2, kernel=1),
    "5x5, 16 to 16 channels, 2x2": partial(one_convolution, kernel=5),
}


def forced(module: nn.Module, example: tuple[torch.Tensor, ...], form: str, goal: dict) -> BuildConfig:
    """A form is asked for by naming a layer that it alone has."""
    own = "auto" if "fps" in goal else "lanes"
    names = averaged(run_passes(import_model(module, example)))
    layers = {"average behind": names.values(), "box sums": [f"{conv}_rows" for conv in names], "as chosen": ()}
    patterns = ",".join([f"*={own}", *(f"{layer}={own}" for layer in layers[form])])
    return BuildConfig(engine=patterns, name="net", **goal)


def terms_of(design: Design) -> dict[str, int]:
    """Of a frame, by layer: of each convolution, pool and box sum."""
    types, found = design.graph.types(), {}
    for node in design.graph.nodes:
        if isinstance(node.op, Conv):
            _, rows, columns = types[node.name].shape
            found[node.name] = len(term_table(node.op.integers.reshape(len(node.op.weight), -1))) * rows * columns
    return found


def built(name: str, form: str) -> dict:
    """What a form takes, as yosys counts its core, and whether its RTL equals PyTorch on Verilator with stalls."""
    make, shape, goal = BUILDS[name]
    module, example = make(), (torch.zeros(1, *shape),)
    convs = averaged(run_passes(import_model(module, example)))
    with tempfile.TemporaryDirectory(prefix="hwgen-mlcnn-") as work:
        folder = Path(work) / "net"
        design = build(module, example, out=folder, config=forced(module, example, form, goal))
        x = np.random.default_rng(2).random((20, *shape)) * 1.2 - 0.1
        y, _ = simulate(folder, x, simulator="verilator", stall=0.3)
        with torch.no_grad():
            equal = int((y == module.double()(torch.from_numpy(x)).numpy()).reshape(len(x), -1).all(1).sum())
        _, run = simulate(folder, x, simulator="verilator")
        netlist = synthesize(folder)
    terms = terms_of(design)
    return {
        "conv_terms": {conv: terms[conv] for conv in convs},
        "terms": sum(terms.values()),
        "interval": run.interval,
        "estimate": design.estimate(),
        "counts": netlist.counts,
        "tool": netlist.tool,
        "equal": equal,
        "frames": len(x),
    }


def estimated(name: str) -> dict:
    """Both forms of a layer at one rate, and which is chosen."""
    module, example = SWEEP[name](), (torch.zeros(1, 16, 32, 32),)
    goal = {"fps": RATE, "dsp": False}
    found: dict = {}
    fewer = of_fewer_terms(run_passes(import_model(module, example)))
    with tempfile.TemporaryDirectory(prefix="hwgen-mlcnn-") as work:
        for form in FORMS if fewer else ("average behind", "as chosen"):
            config = forced(module, example, form, goal)
            design = build(module, example, out=Path(work) / "net", config=config)
            found[form] = {"terms": sum(terms_of(design).values()), **design.estimate()}
            boxed = any("_rows" in node.name for node in design.graph.nodes)
    return found | {"boxed": boxed}


def digits_network(pool_first: bool) -> nn.Sequential:
    """Two convolutions, each with a batch norm, a ReLU and an average pool in one order or the other."""

    def block(channels: int, outputs: int) -> list[nn.Module]:
        last = [nn.AvgPool2d(2), nn.ReLU()] if pool_first else [nn.ReLU(), nn.AvgPool2d(2)]
        return [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), *last]

    return nn.Sequential(*block(1, 16), *block(16, 32), nn.Flatten(), nn.Linear(128, 10))


def lenet5(pool_first: bool) -> nn.Sequential:
    """With average pools, as the first LeNet-5 had."""

    def last() -> list[nn.Module]:
        return [nn.AvgPool2d(2), nn.ReLU()] if pool_first else [nn.ReLU(), nn.AvgPool2d(2)]

    convs = [nn.Conv2d(1, 6, 5, padding=2), *last(), nn.Conv2d(6, 16, 5), *last(), nn.Flatten()]
    return nn.Sequential(*convs, nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


Data = tuple[Batches, Batches]
TRAINED: dict[str, tuple[Callable[[bool], nn.Sequential], int, int, float]] = {
    "digits": (digits_network, 20, 10, 3e-3),  # epochs in float and of compression, rate
    "MNIST": (lenet5, 4, 3, 2e-3),
}


def data(name: str, mnist: Path | None) -> Data:
    """Batches to train with, and the test images."""
    if name == "digits":
        return Batches(*digits_train(), 32, shift_digits), Batches(*digits_test(), 360)
    assert mnist is not None
    x, y = read_mnist(mnist, "train")
    return Batches(x[:IMAGES], y[:IMAGES], 128, shift_mnist), Batches(*read_mnist(mnist, "t10k"), 1000)


def trained(name: str, seed: int, batches: Data) -> dict:
    """Accuracy in %, in float and compressed: of the pool behind the activation, of the pool moved before it by the
    recipe, and of a network that was trained with the pool before it."""
    make, epochs, compressing, rate = TRAINED[name]
    train, test = batches
    example = tuple(next(iter(test))[0][:1].split(1))
    found = {}
    floats = {first: train_float(make(first), train, epochs=epochs, rate=rate, seed=seed) for first in (False, True)}
    for label, first, reorder in (("behind", False, False), ("moved before", False, True), ("before", True, False)):
        recipe = Recipe(
            pruning=Magnitude(zeros=0.5),
            break_even=False,
            reorder_pools=reorder,
            prune_until=0.4,
            quantize_from=0.4,
            training=Training(epochs=compressing, rate=rate / 2, grid_rate=rate / 2, seed=seed),
        )
        prepared = prepare(floats[first], recipe, example)
        fit(prepared, train, show=lambda line: None)
        network = convert(prepared)
        total = sizes(network, example)[-1]
        found[label] = {
            "float": accuracy(floats[first], test),
            "compressed": accuracy(network, test),
            "terms": total.terms_per_frame,
            "memory_bits": total.memory_bits,
        }
    return found


def _hardware(results: dict) -> str:
    rows = []
    for name in BUILDS:
        for form in FORMS:
            if not (row := results.get(f"build / {name} / {form}")):
                continue
            if row.get("refused"):
                rows.append((name, form, *["refused"] * 4, *["-"] * len(COUNTS), "-"))
                continue
            counts = (f"{row['counts'][key]:,g}" for key in COUNTS)
            terms = " + ".join(f"{n:,}" for n in row["conv_terms"].values())
            numbers = (terms, f"{row['terms']:,}", f"{row['interval']:,}", f"{row['estimate']['LUT']:,.0f}")
            rows.append((name, form, *numbers, *counts, f"{row['equal']} of {row['frames']}"))
    head = ("network and goal", "form", "terms of the convolutions", "of all", "cycles", "LUT by estimate", *COUNTS)
    return table((*head, "frames equal"), rows)


def _sweep(results: dict) -> str:
    rows = []
    for name in SWEEP:
        if row := results.get(f"estimate / {name}"):
            both = [row.get(form) for form in FORMS[:2]]
            numbers = [f"{one['terms']:,}" if one else "no fewer" for one in both]
            numbers += [f"{one['LUT']:,.0f} LUT, {one['BRAM36']:g} BRAM36" if one else "-" for one in both]
            rows.append((name, *numbers, FORMS[1] if row["boxed"] else FORMS[0]))
    return table(("convolution and pool", "terms, average behind", "box sums", *FORMS[:2], "chosen"), rows)


def _accuracy(results: dict) -> str:
    rows = []
    for name in TRAINED:
        runs = [run for seed in SEEDS if (run := results.get(f"accuracy / {name} / {seed}"))]
        for label in runs[0] if runs else ():
            each = [[run[label][key] for run in runs] for key in ("float", "compressed")]
            accuracies = [f"{mean(of):.2f}" + (f" ± {stdev(of):.2f}" if len(of) > 1 else "") for of in each]
            terms = mean(run[label]["terms"] for run in runs)
            rows.append((name, label, *accuracies, f"{terms:,.0f}", str(len(runs))))
    return table(("images", "pool", "float, %", "compressed, %", "terms a frame", "seeds"), rows)


def _or_refused(run: Callable[[], dict]) -> dict:
    try:
        return run()
    except DoesNotFit as error:
        return {"refused": error.what}


@click.command(help=__doc__)
@click.option("--only", default="*", help="Runs that match this pattern.")
@click.option("--mnist", type=click.Path(path_type=Path, exists=True), help="Folder of MNIST's files.")
def main(only, mnist):
    torch.set_num_threads(1)
    runs: dict[str, Callable[[], dict]] = {}
    for name in BUILDS:
        runs |= {f"build / {name} / {form}": partial(_or_refused, partial(built, name, form)) for form in FORMS}
    runs |= {f"estimate / {name}": partial(estimated, name) for name in SWEEP}
    for seed in SEEDS:
        runs[f"accuracy / digits / {seed}"] = lambda seed=seed: trained("digits", seed, data("digits", None))
    if mnist:
        runs["accuracy / MNIST / 0"] = lambda: trained("MNIST", 0, data("MNIST", mnist))
    for key, run in runs.items():
        if fnmatch.fnmatch(key, only) and key not in read(RESULTS):
            click.echo(key, err=True)
            record(RESULTS, key, run())
    results = read(RESULTS)
    text = "\n".join((_hardware(results), _sweep(results), _accuracy(results)))
    write_document("mlcnn", text, DOCUMENT)
    click.echo(text)


if __name__ == "__main__":
    main()
