"""Compression measured: accuracy against terms on MNIST and on the digits, every run with its seed.

FOLDER holds MNIST's four idx.gz files. A run whose result is in compress.json is not done again, so the command
may be stopped at any time. The tables of docs/compress.md are made from that file.
"""

import fnmatch
import json
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

import click
import torch
from rich.console import Console
from torch import nn

from benchmarks import price
from examples.common import Batches, train_float
from examples.digits.model import test_data as digits_test
from examples.digits.model import train_data as digits_train
from examples.digits.train import shift as shift_digits
from examples.lenet5.model import network as lenet5
from examples.lenet5.model import read_mnist
from examples.lenet5.train import shift as shift_mnist
from hwgen.compress import Recipe, Training, accuracy, convert, fit, prepare
from hwgen.compress.formats import (
    AdditivePowersOfTwo,
    Binary,
    KMeans,
    SignedDigits,
    Ternary,
)
from hwgen.compress.methods import ADMM, FilterSimilarity, Magnitude, NofM, PowerOfTwoAdapted
from hwgen.compress.size import sizes

HERE = Path(__file__).parent
RESULTS = HERE / "compress.json"
FLOATS = HERE.parent / "build" / "compress"  # trained float networks, made anew where they are missing
DOCUMENT, START, END = HERE.parent / "docs" / "compress.md", "<!-- made by benchmarks.compress -->", "<!-- end -->"
VALIDATION = 5000


def lenet5_caffe() -> nn.Module:
    """The LeNet-5 of the pruning literature: 430,500 weights, of which ADMM-NN keeps one in 85."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, 10),
    )


def digits_cnn() -> nn.Module:
    """A plain network for 8x8 digits, whose filters can be taken out."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


@dataclass(frozen=True)
class Net:
    make: Callable[[], nn.Module]
    epochs: int  # of the float network
    rate: float


NETS = {"lenet5": Net(lenet5, 8, 2e-3), "caffe": Net(lenet5_caffe, 8, 2e-3), "digits": Net(digits_cnn, 60, 3e-3)}
FORMATS = {name: own for name, own in price.FORMATS.items() if name != "ternary"}
ZEROS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)
QUICK = Training(epochs=6)
FEW = Training(epochs=3)
LONG = Training(epochs=20, rate=2e-3, grid_rate=2e-3)
MAIN = [("PoT 4", 0.0), ("PoT 4", 0.9), ("PoT 4", 0.95), ("APoT 4", 0.0), ("APoT 4", 0.9), ("APoT 4", 0.95)]


def runs() -> dict[str, tuple[str, Recipe, int]]:
    """(network, recipe, seed) by name, in the order in which they are done."""
    found = {}

    def add(net: str, what: str, recipe: Recipe, seeds: int, first: int = 0) -> None:
        for seed in range(first, seeds):
            training = replace(recipe.training, seed=seed)
            found[f"{net} / {what} / {seed}"] = net, replace(recipe, training=training), seed

    eighty_five = Recipe(prune_until=0.4, quantize_from=0.45, training=LONG)
    add("caffe", "85x, magnitude, PoT 4", replace(eighty_five, pruning=Magnitude(1 - 1 / 86)), 3)
    for name, own in FORMATS.items():
        for zeros in ZEROS:
            add("lenet5", f"{name}, {zeros:.0%}, magnitude", _magnitude(own, zeros), 1)
    add("caffe", "85x, ADMM, PoT 4", replace(eighty_five, pruning=ADMM(1 - 1 / 86)), 1)
    for budget in (60_000, 30_000):
        add("lenet5", f"{budget:,} terms a frame, long", replace(eighty_five, terms_per_frame=budget), 1)
    for name, zeros in MAIN:
        add("lenet5", f"{name}, {zeros:.0%}, magnitude", _magnitude(FORMATS[name], zeros), 3, first=1)
    for filters in (0.3, 0.4, 0.5):
        digits = Recipe(
            weights=AdditivePowersOfTwo(4),
            granularity="channel",
            pruning=FilterSimilarity(filters),
            training=Training(epochs=60, rate=2e-3),
        )
        seeds = 3 if filters == 0.5 else 1
        add("digits", f"SPQ, {filters:.0%}", replace(digits, quantize_from=0.0, prune_until=0.5), seeds)
        add("digits", f"PPQ, {filters:.0%}", replace(digits, quantize_from=0.5, prune_until=0.4), seeds)
    base = Recipe(training=QUICK)
    ninety_five = {
        "magnitude per layer": replace(base, pruning=Magnitude(0.95, scope="layer")),
        "magnitude, no regrowth": replace(base, pruning=Magnitude(0.95, regrow=False)),
        "ADMM": replace(base, pruning=ADMM(0.95)),
        "ADMM, levels later": replace(base, pruning=ADMM(0.95, levels=False)),
        "terms, PoT 4": replace(base, terms_per_frame=50_000, quantize_from=0.4),
        "terms, 3 digits": replace(
            base, terms_per_frame=50_000, weights=SignedDigits(3, 6), granularity="channel", quantize_from=0.4
        ),
        "accuracy drop 0.5, PoT 4": replace(
            base, accuracy_drop=0.5, quantize_from=0.0, training=replace(FEW, rounds=8)
        ),
        "PoT-adapted, drop 0.5": replace(
            base, pruning=PowerOfTwoAdapted(0.5, rounds=3), quantize_from=0.0, training=FEW
        ),
        "2 of 4": replace(base, pruning=NofM(2, 4)),
        "1 of 4": replace(base, pruning=NofM(1, 4)),
        "ternary": replace(base, weights=Ternary(), granularity="channel", quantize_from=0.0, training=QUICK),
        "binary": replace(base, weights=Binary(), granularity="channel", quantize_from=0.0, training=QUICK),
        "k-means 8": replace(base, weights=KMeans(8, 6), quantize_from=0.0, training=FEW),
        "learned scales, channel": replace(base, pruning=Magnitude(0.95), granularity="channel", scale="learned"),
    }
    for what, recipe in ninety_five.items():
        add("lenet5", what, recipe, 1)
    return found


def _magnitude(own, zeros: float) -> Recipe:
    if zeros == 0:
        return Recipe(weights=own, quantize_from=0.0, training=FEW)
    return Recipe(weights=own, pruning=Magnitude(zeros), training=QUICK)


def data(net: str, folder: Path) -> tuple[Batches, Batches, Batches]:
    """(train, validation, test). The digits are too few for a validation set of their own."""
    if net == "digits":
        test = Batches(*digits_test(), 360)
        return Batches(*digits_train(), 32, shift_digits), test, test
    x, y = read_mnist(folder, "train")
    train = Batches(x[:-VALIDATION], y[:-VALIDATION], 128, shift_mnist)
    return train, Batches(x[-VALIDATION:], y[-VALIDATION:], 1000), Batches(*read_mnist(folder, "t10k"), 1000)


def float_network(net: str, seed: int, train: Batches) -> nn.Module:
    """The trained float network, from its file if it was made before."""
    path = FLOATS / f"{net}_{seed}.pt"
    model = NETS[net].make().to(memory_format=torch.channels_last)
    if path.is_file():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    train_float(model, train, epochs=NETS[net].epochs, rate=NETS[net].rate, seed=seed)
    FLOATS.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{multiprocessing.current_process().pid}")
    torch.save(model.state_dict(), part)
    part.replace(path)
    return model


def measure(name: str, folder: Path) -> dict:
    """The result of one run; test images are looked at once, at its end."""
    torch.set_num_threads(1)
    net, recipe, seed = runs()[name]
    train, validation, test = data(net, folder)
    started = time.process_time()
    model = float_network(net, seed, train)
    float_seconds = time.process_time() - started
    of_float = accuracy(model, test)
    started = time.process_time()
    prepared = prepare(model, recipe)
    fit(prepared, train, None if net == "digits" else validation, show=lambda line: print(name, line, flush=True))
    converted = convert(prepared)
    example = next(iter(test))[0][:1]
    return {
        "net": net,
        "seed": seed,
        "float": of_float,
        "accuracy": accuracy(converted, test),
        "validation": None if net == "digits" else accuracy(converted, validation),
        "weights_before": sum(w.numel() for key, w in model.named_parameters() if w.ndim > 1),
        "layers": [asdict(row) for row in sizes(converted, (example,))],
        "cpu_seconds": round(time.process_time() - started, 1),
        "float_cpu_seconds": round(float_seconds, 1),
        "recipe": json.loads(recipe.to_json()),
    }


def read_results() -> dict:
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}


def tables(results: dict) -> str:
    """The Markdown of docs/compress.md between its markers."""
    return "\n".join(
        [
            "### The goal: LeNet-5 of the literature, one weight in 85\n",
            _table(
                (
                    "run",
                    "accuracy",
                    "float",
                    "non-zero weights",
                    "fewer weights",
                    "terms a frame",
                    "values",
                    "with places",
                ),
                [_goal_row(what, found) for what, found in _groups(results, "caffe").items()],
            ),
            "\n### Accuracy, and terms of all weights, by format and zeros\n",
            _table(
                ("format", *(f"{zeros:.0%} zeros" for zeros in ZEROS)),
                [(name, *(_cell(results, f"{name}, {zeros:.0%}, magnitude") for zeros in ZEROS)) for name in FORMATS],
            ),
            "\n### Methods, on the same network\n",
            _table(
                ("method", "accuracy", "zeros", "terms", "terms a frame", "ROM, bits", "CPU s"),
                [
                    _method_row(what, found)
                    for what, found in _groups(results, "lenet5").items()
                    if not what.endswith("magnitude")
                    or what in [f"PoT 4, {zeros:.0%}, magnitude" for zeros in (0.0, 0.9, 0.95)]
                ],
            ),
            "\n### Filters, on the digits\n",
            _table(
                ("filters pruned", "accuracy", "float", "weights left", "terms", "terms a frame"),
                [_digits_row(what, found) for what, found in _groups(results, "digits").items()],
            ),
        ]
    )


def _groups(results: dict, net: str) -> dict[str, list[dict]]:
    """The results of a network by what was done, of all its seeds, in the order of `runs`."""
    found = {}
    for name, (which, _, _) in runs().items():
        if which == net and name in results:
            found.setdefault(name.split(" / ")[1], []).append(results[name])
    return found


def _table(headers: tuple, rows: list[tuple]) -> str:
    lines = [headers, ["---", *["---:"] * (len(headers) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _accuracy(found: list[dict]) -> str:
    """Of all seeds: the mean, and the least and greatest."""
    values = [result["accuracy"] for result in found]
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _mean(found: list[dict], key: str) -> float:
    """Over the seeds, of a sum over all layers."""
    return mean(result["layers"][-1][key] for result in found)


def _cell(results: dict, what: str) -> str:
    found = _groups(results, "lenet5").get(what)
    return f"{_accuracy(found)}, {_mean(found, 'terms'):,.0f}" if found else "not run"


def _goal_row(what: str, found: list[dict]) -> tuple:
    before, kept = found[0]["weights_before"], _mean(found, "nonzero")
    bits = [_mean(found, key) for key in ("value_bits", "memory_bits")]
    sizes = [f"{size / 8192:.2f} KiB, {32 * before / size:,.0f}x" for size in bits]
    of_float = f"{mean(result['float'] for result in found):.2f}"
    cells = (
        _accuracy(found),
        of_float,
        f"{kept:,.0f}",
        f"{before / kept:.1f}x",
        f"{_mean(found, 'terms_per_frame'):,.0f}",
    )
    return what, *cells, *sizes


def _method_row(what: str, found: list[dict]) -> tuple:
    zeros = 1 - _mean(found, "nonzero") / _mean(found, "weights")
    counts = [f"{_mean(found, key):,.0f}" for key in ("terms", "terms_per_frame", "memory_bits")]
    return what, _accuracy(found), f"{zeros:.1%}", *counts, f"{mean(result['cpu_seconds'] for result in found):.0f}"


def _digits_row(what: str, found: list[dict]) -> tuple:
    left = f"{_mean(found, 'weights'):,.0f} of {found[0]['weights_before']:,}"
    of_float = f"{mean(result['float'] for result in found):.2f}"
    return (
        what,
        _accuracy(found),
        of_float,
        left,
        *(f"{_mean(found, key):,.0f}" for key in ("terms", "terms_per_frame")),
    )


def write_document(results: dict) -> None:
    before, start, rest = DOCUMENT.read_text().partition(START)
    _, end, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{start}\n{tables(results)}{end}{after}")


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--only", default="*", help="Runs whose name matches this pattern.")
@click.option("--jobs", default=2, show_default=True, help="Processes at once, a core each.")
def main(folder, only, jobs):
    results = read_results()
    wanted = [name for name in fnmatch.filter(runs(), only) if name not in results]
    console = Console(stderr=True)
    console.print(f"{len(results)} results are there, {len(wanted)} to do")
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        pending = {pool.submit(measure, name, folder): name for name in wanted}
        for future in as_completed(pending):
            name = pending[future]
            # another call of this command may have written meanwhile
            results = read_results() | {name: future.result()}
            part = RESULTS.with_suffix(".part")
            part.write_text(json.dumps(results, indent=1) + "\n")
            part.replace(RESULTS)
            console.print(f"{name}: {results[name]['accuracy']:.2f} %, {results[name]['layers'][-1]['terms']:,} terms")
    write_document(read_results())
    click.echo(tables(read_results()))


if __name__ == "__main__":
    main()
