"""MNIST by networks of leaking neurons: trained with surrogate gradients, pruned, on powers of two of 4 bits."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor, nn

from benchmarks.spatial.tables import table
from benchmarks.spiking import programs
from examples.spiking.model import encode, network, test_data
from examples.spiking.train import data
from hwgen import spikes
from hwgen.compress import Recipe, Training, convert, fit, prepare
from hwgen.compress.methods import Magnitude
from hwgen.compress.recipe import Override
from hwgen.nn import ActQuant

CURVE = (1, 2, 3, 5, 10, 15, 25)


@dataclass(frozen=True)
class Net:
    hidden: int
    coding: str
    steps: int
    zeros: float  # of the first layer; half of the second's
    epochs: int
    seeds: int
    leak: tuple[int, ...] = (3,)

    def network(self, steps: int) -> nn.Sequential:
        return network(self.hidden, steps, self.coding, self.leak)

    def recipe(self, seed: int) -> Recipe:
        return Recipe(
            pruning=Magnitude(self.zeros, scope="layer"),
            overrides=(Override("linear2", zeros=0.5),),
            input_bits=8 if self.coding == "direct" else 1,
            break_even=False,
            prune_until=0.4,
            quantize_from=0.3,
            training=Training(epochs=self.epochs, rate=4e-3, grid_rate=4e-3, seed=seed),
        )


NETS = {
    "784-128-10, direct": Net(128, "direct", 5, 0.85, 8, 3),
    "784-128-10, direct, one step": Net(128, "direct", 1, 0.85, 8, 1),
    "784-128-10, direct, 25 steps": Net(128, "direct", 25, 0.85, 8, 1),
    "784-128-10, rate": Net(128, "rate", 10, 0.8, 8, 1),
    "784-128-10, latency": Net(128, "latency", 10, 0.8, 8, 1),
    "784-400-10, direct": Net(400, "direct", 5, 0.9, 4, 1),
}


def run(name: str, seed: int, folder: Path) -> dict:
    """Trains one, and looks once at the test images. FOLDER holds MNIST's training images."""
    torch.set_num_threads(1)
    own = NETS[name]
    torch.manual_seed(seed)
    model = own.network(own.steps)
    prepared = prepare(model, own.recipe(seed))
    train, validation = data(folder, own.coding, own.steps)
    history = fit(prepared, train, validation)
    trained = convert(prepared)
    x, y = test_data()
    programs.save(f"mnist / {name} / {seed}", trained, torch.from_numpy(encode(x[:1], own.coding, own.steps)).float())
    found = {"validation": max(epoch["accuracy"] for epoch in history), "images": len(y)}
    weights = {layer: trained.get_submodule(layer).weight for layer in ("linear1", "linear2")}
    found["zeros"] = {layer: (w == 0).double().mean().item() for layer, w in weights.items()}
    found["nonzero"] = {layer: int(w.count_nonzero()) for layer, w in weights.items()}
    labels, digest, fired = torch.from_numpy(y), hashlib.sha256(), 0.0
    most = own.steps if own.coding == "latency" else CURVE[-1]  # a spike's time is relative to the steps
    right, by_steps = 0, torch.zeros(most)
    with torch.no_grad():
        for part, frames in _frames(own, own.steps, digest):
            right += int((trained(frames).argmax(1) == labels[part]).sum())
        state = trained.state_dict()
        for part, frames in _frames(own, most):
            scores, spiked = _each_step(own, most, state, frames)
            fired += spiked * (part.stop - part.start) / len(y)
            by_steps += (spikes.running(scores, most).argmax(2) == labels[part, None]).sum(0)
    found["accuracy"] = 100 * right / len(y)
    found["by steps"] = {steps: 100 * by_steps[steps - 1].item() / len(y) for steps in CURVE if steps <= most}
    found["spikes a neuron and step"] = fired
    return found | ({} if own.coding == "direct" else {"sha256 of the spikes": digest.hexdigest()})


def _frames(own: Net, steps: int, digest=None) -> Iterator[tuple[slice, Tensor]]:
    """All test images, coded; the digest takes all frames in."""
    x, _ = test_data()
    coded = encode(x, own.coding, steps)
    each = len(coded) // len(x)
    for start in range(0, len(x), 500):
        frames = coded[start * each : (start + 500) * each]
        if digest is not None:
            digest.update(frames.tobytes())
        yield slice(start, start + 500), torch.from_numpy(frames).float()


def _each_step(own: Net, steps: int, state: dict, frames: Tensor) -> tuple[Tensor, float]:
    """What the last layer gives at each of so many steps, by the weights of a network for others; and the share of its
    neurons that spike in a step."""
    model = own.network(steps).eval()
    model.load_state_dict(state)
    bits = 8 if own.coding == "direct" else 1
    hidden = nn.Sequential(ActQuant(bits, -bits if bits > 1 else 0), *list(model)[:-2])(frames)
    return model.linear2(hidden), hidden.mean().item()


def tables(results: dict) -> str:
    rows = []
    for name, own in NETS.items():
        runs = [found for seed in range(own.seeds) if (found := results.get(f"mnist / {name} / {seed}"))]
        if runs:
            curve = (_mean([run["by steps"].get(str(steps)) for run in runs]) for steps in CURVE)
            values = [run["accuracy"] for run in runs]
            each = ", ".join(f"{value:.2f}" for value in values)
            zeros = f"{mean(run['zeros']['linear1'] for run in runs):.1%}"
            fired = f"{mean(run['spikes a neuron and step'] for run in runs):.3f}"
            rows.append((name, str(own.steps), zeros, f"{mean(values):.2f}", each, fired, *curve))
    curve = (f"T = {steps}" for steps in CURVE)
    head = ("network", "T", "zeros, layer 1", "accuracy, %", "by seed", "spikes a neuron and step", *curve)
    return table(head, rows)


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{mean(known):.2f}" if known else "-"
