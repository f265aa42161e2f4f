"""Respiration and two public series: a 1-D CNN, and the spiking networks that it becomes."""

import functools
import io
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import Tensor, fx, nn

from benchmarks.spatial.tables import table
from benchmarks.spiking import programs
from benchmarks.spiking.counts import operations
from examples.common import Batches, train_float
from examples.spiking import respiration
from hwgen import spikes
from hwgen.compress import Recipe, Training, accuracy, convert, fit, prepare, to_spiking
from hwgen.compress.formats import Uniform
from hwgen.compress.recipe import Override

WHEEL = "aeon==1.6.0"  # holds both public series; nothing of it is installed
SEEDS = range(5)
STEPS = (1, 2, 4, 8, 16, 32, 64)
LEVELS = {8: 3, 16: 4}  # bits of the activations of the network that is trained for so many steps


@dataclass(frozen=True)
class Series:
    """A data set and its CNN: Conv1d, average pool, three Linear layers.

    kernel, stride, pool  of the first layer
    epochs    in float, on the grids, and spiking
    noise     of what is added to records in training
    """

    length: int
    classes: int
    kernel: int
    stride: int
    pool: int
    epochs: tuple[int, int, int]
    batch: int
    noise: float

    def network(self) -> nn.Sequential:
        features = 16 * (((self.length - self.kernel) // self.stride + 1) // self.pool)
        first = (nn.Conv1d(1, 16, self.kernel, self.stride), nn.ReLU(), nn.AvgPool1d(self.pool), nn.Flatten())
        last = (nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, self.classes))
        return nn.Sequential(*first, *last)


SERIES = {
    "respiration": Series(256, 5, 15, 2, 4, (20, 8, 3), 50, 0.0),
    "GunPoint": Series(150, 2, 15, 2, 4, (800, 300, 60), 20, 0.02),
    "ItalyPowerDemand": Series(24, 2, 5, 1, 4, (150, 80, 25), 18, 0.03),
}
Data = tuple[np.ndarray, np.ndarray]


@functools.cache
def _wheel() -> Path:
    if not (found := sorted(programs.FOLDER.glob("aeon-*.whl"))):
        programs.FOLDER.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(programs.FOLDER), WHEEL]
        subprocess.run(command, check=True)
        found = sorted(programs.FOLDER.glob("aeon-*.whl"))
    return found[0]


def _read(name: str, part: str) -> Data:
    with zipfile.ZipFile(_wheel()) as wheel:
        text = io.StringIO(wheel.read(f"aeon/datasets/data/{name}/{name}_{part}.ts").decode())
    lines = [line.strip() for line in text if line.strip() and line[0] not in "#@"]
    rows, labels = zip(*(line.rsplit(":", 1) for line in lines), strict=True)
    x = np.array([[float(number) for number in row.split(",")] for row in rows])
    return x[:, None], np.array([int(float(label)) for label in labels]) - 1


@functools.cache
def data(name: str, seed: int) -> tuple[Data, Data, Data]:
    """(training, validation, test), records from 0 to 255/256 in steps of 1/256. Of the public series a fifth of the
    few training records is validation; their test records are the publisher's."""
    if name == "respiration":
        return (
            respiration.records(3000, 100 + seed),
            respiration.records(200, 200 + seed),
            respiration.records(500, 1),
        )
    (x, y), (xt, yt) = _read(name, "TRAIN"), _read(name, "TEST")
    low, high = x.min(), x.max()

    def scaled(x: np.ndarray) -> np.ndarray:
        return np.floor(((x - low) / (high - low)).clip(0, 1) * 255 + 0.5).astype(np.float32) / 256

    order = np.random.default_rng(seed).permutation(len(y))
    x, y, kept = scaled(x)[order], y[order], len(y) // 5
    return (x[kept:], y[kept:]), (x[:kept], y[:kept]), (scaled(xt), yt)


def _float(name: str, seed: int) -> tuple[Batches, nn.Module]:
    """Batches to train with, and the CNN in float."""
    own = SERIES[name]

    def disturb(x: Tensor) -> Tensor:
        return (x + own.noise * torch.randn_like(x)).clamp(0, 1) if own.noise else x

    batches = Batches(*data(name, seed)[0], own.batch, disturb)
    return batches, train_float(own.network(), batches, epochs=own.epochs[0], rate=2e-3, seed=seed)


def make(name: str, steps: int) -> None:
    """The programs of seed 0 for so many steps: spiking, and in one pass."""
    batches, model = _float(name, 0)
    _save(name, steps, _trained(model, batches, SERIES[name].epochs[1], 4e-3, 0, LEVELS[steps]), batches)


def _save(name: str, steps: int, network: fx.GraphModule, batches: Batches) -> None:
    sample = torch.from_numpy(data(name, 0)[2][0][:1])
    programs.save(f"series / {name} / {steps} steps", to_spiking(network, batches, steps), sample)
    programs.save(f"series / {name} / one pass, {LEVELS[steps]} bits", network, sample)


def run(name: str, seed: int) -> dict:
    """Accuracies in % of a seed: the CNN in float, on grids, and spiking by steps; early exit; operations a record."""
    torch.set_num_threads(1)
    own = SERIES[name]
    _, validation, test = data(name, seed)
    checked = Batches(*test, 500)
    batches, model = _float(name, seed)
    found: dict = {"CNN": accuracy(model, checked), "records": len(test[1])}
    found["ReLU"] = _spiking(model, batches, validation, test)
    networks = {}
    for steps, bits in LEVELS.items():
        network = networks[steps] = _trained(model, batches, own.epochs[1], 4e-3, seed, bits)
        result = _spiking(network, batches, validation, test)
        result["one pass"] = accuracy(network, checked)
        found[f"for {steps} steps"] = result
        if seed == 0:
            _save(name, steps, network, batches)
    network = _trained(to_spiking(networks[8], batches, 8), batches, own.epochs[2], 1e-3, seed)
    found["for 8 steps"]["trained on"] = accuracy(network, checked)
    return found


def _trained(model: nn.Module, batches: Batches, epochs: int, rate: float, seed: int, bits: int = 8) -> fx.GraphModule:
    """On weights of 8 bits from the start, and activations of `bits`, those of pools of 8; the last epoch counts."""
    recipe = Recipe(
        weights=Uniform(8),
        activation_bits=bits,
        quantize_from=0.0,
        overrides=(Override("4", input_bits=8),),
        training=Training(epochs=epochs, rate=rate, grid_rate=rate, seed=seed),
    )
    prepared = prepare(model, recipe)
    fit(prepared, batches, show=lambda line: None)
    return convert(prepared)


@torch.no_grad()
def _spiking(network: nn.Module, batches: Batches, validation: Data, test: Data) -> dict:
    """By steps, of the sums until then; early exit by the margin that costs nothing on the validation records."""
    last = STEPS[-1]
    spiking = to_spiking(network, batches, last, every_step=True)
    (xv, yv), (x, y) = ((torch.from_numpy(a), torch.from_numpy(b)) for a, b in (validation, test))
    scores = _in_parts(spiking, x)
    sums = spikes.running(scores, last)
    margin = spikes.margin_for(_in_parts(spiking, xv), last, yv)
    early, at = spikes.early_exit(scores, last, margin)
    return {
        "steps": {steps: 100 * (sums[:, steps - 1].argmax(1) == y).double().mean().item() for steps in STEPS},
        "early": 100 * (early == y).double().mean().item(),
        "mean steps": at.double().mean().item(),
        "operations": {steps: operations(to_spiking(network, batches, steps), x[:200]) for steps in (8, 16)},
    }


def _in_parts(network: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([network(part) for part in x.split(50)])


def tables(results: dict) -> str:
    """The Markdown of what was run."""
    rows, exits = [], []
    for name in SERIES:
        runs = [found for seed in SEEDS if (found := results.get(f"series / {name} / {seed}"))]
        for kind in ("ReLU", *(f"for {steps} steps" for steps in LEVELS)) if runs else ():
            of = [run[kind] for run in runs]
            once = _spread([one["one pass"] for one in of]) if "one pass" in of[0] else "-"
            curve = (_spread([one["steps"][str(steps)] for one in of]) for steps in STEPS)
            on = _spread([one["trained on"] for one in of]) if "trained on" in of[0] else "-"
            rows.append((name, kind, str(len(runs)), _spread([run["CNN"] for run in runs]), once, *curve, on))
            counts = [[one["operations"][steps] for one in of] for steps in ("8", "16")]
            ratios = [f"{mean(c['additions'] / c['macs'] for c in group):.2f}" for group in counts]
            first = f"{mean(c['first'] / c['macs'] for c in counts[0]):.2f}"
            early = _spread([one["early"] for one in of]), f"{mean(one['mean steps'] for one in of):.1f}"
            exits.append((name, kind, *early, first, *ratios))
    curve = (f"T = {steps}" for steps in STEPS)
    head = ("records", "activations", "seeds", "CNN, float", "CNN on its grids, one pass", *curve, "T = 8, trained on")
    ratios = ("MACs of layer 1 / CNN's", "additions behind / CNN's MACs, T = 8", "T = 16")
    return "\n".join((table(head, rows), table(("records", "activations", "early exit", "mean steps", *ratios), exits)))


def _spread(values: list[float]) -> str:
    return f"{mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"
