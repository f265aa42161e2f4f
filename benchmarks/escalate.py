"""Kernels of a basis and coefficients (hwgen/compress/decompose.py) against the same layer pruned as it is: accuracy,
terms and ROM bits.

    python -m benchmarks.escalate [--only PATTERN]

A convolution of 16, 64 or 256 channels is the middle of a network for 8x8 digits; the others are the same in all rows
and are not pruned. A run whose result is in escalate.json is not done again. The tables of docs/escalate.md are made
from that file.
"""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Literal

import click
import torch
from torch import nn

from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.tables import table, write_document
from examples.common import Batches, train_float
from examples.digits.model import test_data, train_data
from hwgen.compress import Recipe, Training, accuracy, convert, fit, prepare
from hwgen.compress.formats import PowerOfTwo, Ternary, Uniform
from hwgen.compress.methods import Magnitude
from hwgen.compress.recipe import Decomposition, Override
from hwgen.compress.size import sizes

RESULTS = Path(__file__).with_suffix(".json")
DOCUMENT = Path(__file__).parents[1] / "docs" / "escalate.md"
SEEDS = {16: 5, 64: 3, 256: 1}
EPOCHS, BATCH, RATE = 8, 64, 2e-3
NEAR = 0.5  # points that count as equal accuracy


@dataclass(frozen=True)
class Variant:
    """Of the convolution: `kernels` of a basis, 0: as it is; which stage is first; whether the basis has 6 bits and the
    coefficients are ternary, instead of powers of two of 4 bits for all; the part of its zeros."""

    kernels: int
    zeros: float
    first: Literal["basis", "coefficients"] = "basis"
    hybrid: bool = False

    def __str__(self) -> str:
        if not self.kernels:
            return "pruned as it is"
        return f"M = {self.kernels}, {self.first} first{', hybrid' if self.hybrid else ''}"

    def recipe(self, seed: int) -> Recipe:
        others = tuple(Override(name, prune=False) for name in ("0", "7"))
        pruned, zeros = "3.coefficients" if self.kernels else "3", min(self.zeros, 0.999)
        own = [Override(pruned, zeros=zeros)]
        if self.kernels:
            basis = Uniform(6) if self.hybrid else PowerOfTwo(4)
            own.append(Override("3.basis", weights=basis, prune=False))
        if self.hybrid:
            own.append(Override("3.coefficients", weights=Ternary(), granularity="channel"))
        return Recipe(
            input_bits=5,
            pruning=Magnitude(zeros=zeros),
            break_even=False,
            decompose=(Decomposition("3", self.kernels, self.first),) if self.kernels else (),
            overrides=(*others, *own),
            prune_until=0.4,
            quantize_from=0.4,
            training=Training(epochs=EPOCHS, rate=RATE, grid_rate=RATE, seed=seed),
        )


DIRECT = [Variant(0, zeros) for zeros in (0.5, 0.8, 0.9, 0.95, 0.98)]
VARIANTS = {
    16: [
        *DIRECT,
        *(Variant(m, zeros) for m in (2, 4) for zeros in (0.0, 0.5, 0.8)),
        *(Variant(2, zeros, "coefficients") for zeros in (0.0, 0.5, 0.8)),
        *(Variant(2, zeros, hybrid=True) for zeros in (0.0, 0.5, 0.8)),
    ],
    64: [
        *DIRECT[1:4],
        *(Variant(2, zeros) for zeros in (0.5, 0.8, 0.9)),
        Variant(2, 0.8, "coefficients"),
        Variant(2, 0.8, hybrid=True),
    ],
    256: [*DIRECT[2:], Variant(1, 0.8), Variant(2, 0.8), Variant(2, 0.9)],
}


def network(channels: int) -> nn.Sequential:
    first = (nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    own = (nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*first, *own, nn.Flatten(), nn.Linear(4 * channels, 10))


def runs() -> Iterator[tuple[str, int, int, Variant]]:
    """Key, channels, seed, variant."""
    for channels, count in SEEDS.items():
        for seed in range(count):
            for variant in VARIANTS[channels]:
                yield f"{channels} / {variant} / {variant.zeros} / {seed}", channels, seed, variant


def measured(trained: nn.Module, variant: Variant, seed: int, train: Batches, test: Batches) -> dict:
    """Of the convolution alone, but for the accuracy."""
    example = (torch.zeros(1, 1, 8, 8),)
    prepared = prepare(trained, variant.recipe(seed), example)
    fit(prepared, train, show=lambda line: None)
    converted = convert(prepared)
    rows = [row for row in sizes(converted, example) if row.name.startswith("3")]
    return {
        "accuracy": accuracy(converted, test),
        "terms": sum(row.terms_per_frame for row in rows),
        "memory_bits": sum(row.memory_bits for row in rows),
        "float": accuracy(trained, test),
    }


def _of(results: dict, channels: int, variant: Variant) -> tuple[float, float, float, float, int] | None:
    """Accuracy, its deviation, terms and ROM bits on average, and how many seeds."""
    found = [results.get(f"{channels} / {variant} / {variant.zeros} / {seed}") for seed in range(SEEDS[channels])]
    known = [one for one in found if one]
    if not known:
        return None
    accuracies = [one["accuracy"] for one in known]
    spread = stdev(accuracies) if len(known) > 1 else 0.0
    return (
        mean(accuracies),
        spread,
        mean(o["terms"] for o in known),
        mean(o["memory_bits"] for o in known),
        len(known),
    )


def _all(results: dict) -> str:
    rows = []
    for channels, variants in VARIANTS.items():
        for variant in variants:
            if (found := _of(results, channels, variant)) is None:
                continue
            percent, spread, terms, bits, seeds = found
            rows.append(
                (
                    *(str(channels), str(variant), f"{variant.zeros:.0%}", f"{percent:.2f} ± {spread:.2f}"),
                    *(f"{terms:,.0f}", f"{bits / 1000:,.1f}", str(seeds)),
                )
            )
    return table(("channels", "the convolution", "zeros", "accuracy, %", "terms a frame", "ROM kbit", "seeds"), rows)


def _at_equal_accuracy(results: dict) -> str:
    """Of each kind the fewest terms and ROM bits whose accuracy is within NEAR of the best of pruning as it is."""
    rows = []
    for channels, variants in VARIANTS.items():
        known = [(variant, found) for variant in variants if (found := _of(results, channels, variant))]
        direct = [found for variant, found in known if not variant.kernels]
        if not direct:
            continue
        least = max(found[0] for found in direct) - NEAR
        base = _least([found for found in direct if found[0] >= least])
        for kind in dict.fromkeys(str(variant) for variant, _ in known):
            good = [found for variant, found in known if str(variant) == kind and found[0] >= least]
            cells = ["none reaches it", "-"]
            if good:
                cells = [f"{own:,.0f} ({own / of:.2f}x)" for own, of in zip(_least(good), base, strict=True)]
            rows.append((str(channels), f"{least:.2f}", kind, *cells))
    return table(("channels", "accuracy of at least, %", "the convolution", "terms a frame", "ROM bits"), rows)


def _least(found: list) -> tuple[float, float]:
    return min(one[2] for one in found), min(one[3] for one in found)


@click.command(help=__doc__)
@click.option("--only", default="*", help="Runs that match this pattern.")
def main(only):
    torch.set_num_threads(1)
    train, test = Batches(*train_data(), BATCH, lambda x: x), Batches(*test_data(), 360)
    trained: tuple[tuple[int, int], nn.Module] | None = None
    for key, channels, seed, variant in runs():
        if not fnmatch.fnmatch(key, only) or key in read(RESULTS):
            continue
        if trained is None or trained[0] != (channels, seed):
            model = train_float(network(channels), train, epochs=2 * EPOCHS, rate=RATE, seed=seed)
            trained = (channels, seed), model
        click.echo(key, err=True)
        record(RESULTS, key, measured(trained[1], variant, seed, train, test))
    results = read(RESULTS)
    text = "\n".join((_at_equal_accuracy(results), _all(results)))
    write_document("escalate", text, DOCUMENT)
    click.echo(text)


if __name__ == "__main__":
    main()
