"""What units say that they will take, before synthesis, against what yosys makes of them, unit by unit.

DIR are builds. Each unit is synthesized by itself, once: what hwgen synth has counted before is in its cache. The
closed forms were fitted to examples/digits (--engine spatial) and to single units; the network below was not looked at
before:

    hwgen build benchmarks/estimates.py:network -o DIR --engine spatial --pixels 2 --levels 2
"""

from collections import defaultdict
from pathlib import Path

import click
import numpy as np
import torch
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from torch import nn

from hwgen.flow import read_design
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant
from hwgen.synth import yosys

KEYS = ("LUT", "BRAM36")


class Residual(nn.Module):
    """Two convolutions, the second with a bypass, a max pool and a linear layer; 4-bit weights, half of them zero."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(5)
        self.q, self.q1, self.q3 = ActQuant(6, -6), ActQuant(5, -4), ActQuant(4, -2)
        self.q2, self.q4 = ActQuant(6, -4, signed=True), ActQuant(7, -2, signed=True)
        self.c1 = _weigh(nn.Conv2d(3, 6, 3, padding=1), rng, 0.5)
        self.c2 = _weigh(nn.Conv2d(6, 6, 3, padding=1), rng, 0.6)
        self.pool = nn.MaxPool2d(3)
        self.fc = _weigh(nn.Linear(6 * 16, 5), rng, 0.6)

    def forward(self, x):
        x = self.q1(torch.relu(self.c1(self.q(x))))
        x = self.q3(torch.relu(self.q2(self.c2(x)) + x))
        return self.q4(self.fc(self.pool(x).flatten(1)))


def network():
    return Residual().eval(), (torch.zeros(1, 3, 12, 12),)


def _weigh(layer: nn.Module, rng: np.random.Generator, zeros: float) -> nn.Module:
    weight = rng.integers(-7, 8, layer.weight.shape) * (rng.random(layer.weight.shape) > zeros)
    layer.weight.data = torch.tensor(weight / 2.0**4, dtype=torch.float32)
    layer.bias.data = torch.tensor(rng.integers(-64, 64, layer.bias.shape) / 2.0**7, dtype=torch.float32)
    return layer


@click.command(help=__doc__)
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--jobs", default=2, show_default=True)
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Of counts, as of hwgen synth.")
def main(folders, jobs, cache):
    console = Console(width=140)
    kinds, total = defaultdict(list), []
    table = _table("build", "unit", "kind")
    for folder in folders:
        estimates = {placed.unit.name: placed.unit.estimate() for placed in read_design(folder).placed}
        manifest = read_manifest(folder)
        with console.status(str(folder)) as status:
            result = yosys.synthesize(folder, jobs, manifest["core"], status.update, whole=False, cache=cache)
        for known, unit in zip(manifest["units"], result["units"], strict=True):
            pair = estimates[unit["name"]], unit["resources"]
            kinds[known["kind"]].append(pair)
            total.append(pair)
            table.add_row(manifest["name"], unit["name"], known["kind"], *_cells([pair]))
    console.print(table)
    table = _table("kind", "units", "worst LUT error")
    for kind, pairs in [*sorted(kinds.items()), ("all", total)]:
        worst = max((_error(*pair, "LUT") for pair in pairs), key=abs)
        table.add_row(kind, str(len(pairs)), f"{worst:+.1%}", *_cells(pairs))
    console.print(table)
    console.print(f"yosys {result['version']}; {result['flags']}")


def _table(*names: str) -> Table:
    table = Table(box=MARKDOWN)
    for name in (*names, *(f"{key}: {what}" for key in KEYS for what in ("estimate", "yosys", "error"))):
        table.add_column(name, justify="left" if name in ("build", "unit", "kind") else "right")
    return table


def _cells(pairs: list[tuple[dict, dict]]) -> list[str]:
    cells = []
    for key in KEYS:
        estimate, found = (sum(side[key] for side in sides) for sides in zip(*pairs, strict=True))
        cells += [f"{estimate:g}", f"{found:g}", f"{_error({key: estimate}, {key: found}, key):+.1%}"]
    return cells


def _error(estimate: dict, found: dict, key: str) -> float:
    """Relative to what was found; infinite where nothing was."""
    return estimate[key] / found[key] - 1 if found[key] else float("inf") * estimate[key] if estimate[key] else 0.0


if __name__ == "__main__":
    main()
