"""What units say that they will take, before synthesis, against what yosys makes of them, unit by unit.

python -m benchmarks.estimates [--only PATTERN]       networks of all kinds of units; the tables of docs/synthesis.md
python -m benchmarks.estimates DIR...                 builds, each unit and each kind

Each unit is synthesized by itself. What was counted of the networks is in estimates.json, and is not counted again
where a unit's Verilog is the same; estimates are those of this commit. The FACTORS of lanes are fitted to other units
(`python -m benchmarks.fit_lanes`).
"""

import fnmatch
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from torch import nn

from benchmarks import counting, depths
from benchmarks.kinds import lanes_of
from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.tables import table, write_document
from hwgen import build
from hwgen.board import read_board
from hwgen.config import BuildConfig
from hwgen.flow import read_design
from hwgen.load import load
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant
from hwgen.synth.parts import parts_of

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("estimates.json")
KEYS = ("LUT", "BRAM36")
AT_ONCE = 16  # units that yosys maps in one run
CLOSE = 0.05, 0.1


class Residual(nn.Module):
    """Two convolutions, the second with a bypass, a max pool and a linear layer; 4-bit weights, half of them zero."""

    def __init__(self, seed: int = 5):
        super().__init__()
        rng = np.random.default_rng(seed)
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


def _weigh(layer: nn.Conv2d | nn.Linear, rng: np.random.Generator, zeros: float) -> nn.Module:
    weight = rng.integers(-7, 8, layer.weight.shape) * (rng.random(layer.weight.shape) > zeros)
    return _give(layer, weight, rng.integers(-64, 64, len(weight)) / 2.0**7)


def _give(layer: nn.Conv2d | nn.Linear, weight: np.ndarray, bias: np.ndarray) -> nn.Module:
    """Sixteenths, and biases."""
    layer.weight = nn.Parameter(torch.tensor(weight / 2.0**4, dtype=torch.float32))
    layer.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))
    return layer


def network():
    return Residual().eval(), (torch.zeros(1, 3, 12, 12),)


def shared_lists() -> tuple[nn.Module, tuple[torch.Tensor]]:
    """A convolution of 12 channels whose outputs share lists four times, and a Linear of 32 that does so twice."""
    rng = np.random.default_rng(6)
    convolution, linear = nn.Conv2d(12, 16, 3, padding=1), nn.Linear(16, 32)
    for layer, times, step in ((convolution, 4, 3), (linear, 2, 8)):
        first = rng.integers(-7, 8, (layer.weight.shape[0] // times, *layer.weight.shape[1:]))
        turned = np.concatenate([np.roll(first, -i * step, axis=1) for i in range(times)])
        _give(layer, turned, np.zeros(len(turned)))
    acts = [ActQuant(8, -8), ActQuant(4, -1), ActQuant(6, 0, signed=True)]
    layers = (acts[0], convolution, nn.ReLU(), acts[1], nn.MaxPool2d(8), nn.Flatten(), linear, acts[2])
    return nn.Sequential(*layers).eval(), (torch.zeros(1, 12, 8, 8),)


@dataclass(frozen=True)
class Network:
    """model -- makes what `build` takes; options -- of BuildConfig; lanes -- the only kind, if any; modes -- of further
    modes, the seeds"""

    model: Callable
    options: dict
    lanes: str = ""
    modes: tuple[int, ...] = ()

    def build(self, folder: Path) -> None:
        with lanes_of(self.lanes) if self.lanes else ExitStack():
            model, example = self.model()
            more = [(Residual(seed).eval(), example) for seed in self.modes]
            build(model, example, out=folder, modes=more, config=BuildConfig(name="net", **self.options))


def _file(path: str) -> Callable:
    return lambda: load(str(ROOT / path))


def _random(name: str, format: str, bits: int) -> Callable:
    def made():
        from benchmarks.networks.variants import network as variant

        return variant(name, 0.5, format, bits)

    return made


LENET = _file("examples/lenet5/lenet5.pt2")
LANES = {"engine": "lanes"}
NETWORKS = {
    "LeNet-5, 16 accumulators": Network(LENET, {"lanes": 16}),
    "LeNet-5, 4 accumulators": Network(LENET, {"lanes": 4}),
    "LeNet-5, DSP lanes": Network(LENET, LANES | {"lanes": 8}, "dsp"),
    "LeNet-5, loadable": Network(LENET, LANES | {"loadable": "*"}),
    "LeNet-5, parity": Network(LENET, LANES | {"protect": "parity"}),
    "LeNet-5, ecc,tmr-control": Network(LENET, LANES | {"protect": "ecc,tmr-control"}),
    "digits": Network(_file("examples/digits/model.py:load"), LANES),
    "digits, spatial": Network(_file("examples/digits/model.py:load"), {"engine": "spatial"}),
    "ResNet-8, powers of two": Network(_random("resnet8", "pot4", 4), LANES),
    "DS-CNN, MAC lanes": Network(_random("ds_cnn", "uniform4", 8), LANES, "mac"),
    "MobileNetV1-0.25": Network(_random("mobilenet_025_96", "pot4", 8), LANES | {"lanes": 8}),
    "two convolutions, spatial": Network(network, {"engine": "spatial", "pixels": 2, "levels": 2}),
    "two convolutions, three modes": Network(network, LANES, modes=(7, 8)),
    "shared lists": Network(shared_lists, LANES),
    "spiking 784-128-10": Network(_file("examples/spiking/mnist_128.pt2"), LANES | {"lanes": 8}),
}


# of benchmarks.depths: those of other units than lanes are looked at
OTHERS = (
    "joins, LUT lanes",
    "over channels",
    "over channels, in DSP slices",
    "product of matrices",
    "LSTM",
    "GRU",
    "time steps",
    "spikes that come back",
    "lists for spikes",
)
LANES_UNIT = "term_lanes"

Pair = tuple[dict[str, float], dict[str, float]]  # estimated, and counted


def build_network(name: str, folder: Path) -> None:
    NETWORKS[name].build(folder) if name in NETWORKS else depths.build_network(name, folder)


def measure(folder: Path, known: dict, lanes: bool = True) -> dict:
    """Of each unit of a build its kind, the estimate, and what yosys counts.

    known -- what was measured before; lanes -- whether those are looked at too
    """
    manifest, design = read_manifest(folder), read_design(folder)
    parts = parts_of(folder, manifest, manifest["core"], whole=False)
    keys = {part.name: part.key([read_board(folder, manifest).device.yosys]) for part in parts}
    given = {unit["name"]: unit for unit in manifest["units"]}
    counted = {name: found["counted"] for name, found in known.items() if found["sources"] == keys.get(name)}
    wanted = [name for name in keys if lanes or given[name]["kind"] != LANES_UNIT]
    missing = [name for name in wanted if name not in counted]
    for start in range(0, len(missing), AT_ONCE):
        some = missing[start : start + AT_ONCE]
        instances = [_instance(given[name]) for name in some]
        counts = counting.count_each(folder, instances, manifest["sources"], manifest.get("synthesis"))
        counted |= {name: {key: count[key] for key in KEYS} for name, count in zip(some, counts, strict=True)}
    return {
        placed.unit.name: {
            "kind": given[placed.unit.name]["kind"],
            "sources": keys[placed.unit.name],
            "estimate": {key: placed.unit.estimate()[key] for key in KEYS},
            "counted": counted[placed.unit.name],
        }
        for placed in design.placed
        if placed.unit.name in wanted
    }


def _instance(unit: dict) -> str:
    return f"{unit['module']} #({', '.join(f'.{name}({value})' for name, value in unit['parameters'].items())})"


def by_unit(found: dict) -> Iterator[tuple]:
    """Rows."""
    for name, one in found.items():
        yield name, one["kind"], *_cells([(one["estimate"], one["counted"])])


def by_kind(results: dict) -> Iterator[tuple]:
    """Rows: those of a kind that are alike count once."""
    kinds: dict[str, dict[str, Pair]] = {}
    for found in results.values():
        for one in found.values():
            kinds.setdefault(one["kind"], {})[one["sources"]] = one["estimate"], one["counted"]
    for kind, pairs in sorted(kinds.items()):
        yield kind, *_summary(pairs.values())
    yield "all", *_summary([pair for pairs in kinds.values() for pair in pairs.values()])


def lanes_by_network(results: dict) -> Iterator[tuple]:
    every: dict[str, Pair] = {}
    for name, found in results.items():
        lanes = {
            one["sources"]: (one["estimate"], one["counted"]) for one in found.values() if one["kind"] == LANES_UNIT
        }
        every |= lanes
        if lanes:
            yield name, *_summary(lanes.values())
    yield "all, each once", *_summary(every.values())


def _summary(pairs: Iterable[Pair]) -> tuple:
    pairs = list(pairs)
    off = [_error(*pair, "LUT") for pair in pairs]
    shares = (f"{np.mean([abs(one) <= close for one in off]):.0%}" for close in CLOSE)
    return str(len(pairs)), *_cells(pairs), *shares, f"{max(off, key=abs):+.1%}"


def _cells(pairs: list[Pair]) -> list[str]:
    cells = []
    for key in KEYS:
        estimate, found = (sum(side[key] for side in sides) for sides in zip(*pairs, strict=True))
        cells += [f"{estimate:,g}", f"{found:,g}", f"{_error({key: estimate}, {key: found}, key):+.1%}"]
    return cells


def _error(estimate: dict, found: dict, key: str) -> float:
    """Relative to what was found; infinite where nothing was."""
    return estimate[key] / found[key] - 1 if found[key] else float("inf") * estimate[key] if estimate[key] else 0.0


EACH = [f"{key}: {what}" for key in KEYS for what in ("estimate", "yosys", "error")]
ALL = ("units", *EACH, *(f"LUT within {close:.0%}" for close in CLOSE), "worst LUT error")


def tables(results: dict) -> str:
    return "\n".join(
        (table(("kind", *ALL), list(by_kind(results))), table(("lanes of", *ALL), list(lanes_by_network(results))))
    )


@click.command(help=__doc__)
@click.argument("folders", metavar="[DIR]...", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--only", default="*", help="Networks that match this pattern.")
def main(folders, only):
    console = Console(width=200)
    if folders:
        found = {folder.name: measure(folder, {}) for folder in folders}
        for one in found.values():
            console.print(table(("unit", "kind", *EACH), list(by_unit(one))))
        console.print(tables(found))
        return
    for name in (*NETWORKS, *OTHERS):
        if fnmatch.fnmatch(name, only):
            with tempfile.TemporaryDirectory() as folder:
                build_network(name, Path(folder) / "net")
                found = measure(Path(folder) / "net", read(RESULTS).get(name, {}), lanes=name in NETWORKS)
            record(RESULTS, name, found)
            click.echo(f"{name}: {json.dumps(list(by_unit(read(RESULTS)[name])))}", err=True)
    known = read(RESULTS)
    results = {name: known[name] for name in (*NETWORKS, *OTHERS) if name in known}
    write_document("estimates", tables(results), ROOT / "docs" / "synthesis.md")
    click.echo(tables(results))


if __name__ == "__main__":
    main()
