"""Hyperspectral patches, synthetic: spiking 3-D and hybrid CNNs against the CNNs that they come from."""

from functools import partial
from statistics import mean

import torch
from torch import fx, nn

from benchmarks.spatial.tables import table
from benchmarks.spiking import programs
from benchmarks.spiking.counts import operations
from examples.common import Batches, train_float
from examples.spiking.cubes import CLASSES, patches
from hwgen.compress import Prepared, Recipe, Training, accuracy, convert, fit, prepare, to_spiking
from hwgen.compress.formats import Uniform
from hwgen.compress.spiking import SpikeLoss
from hwgen.nn import LIF

SEEDS = range(5)
STEPS = 5
RECORDS = (2400, 400, 1500)  # to train with, for validation, for the test
KINDS = ("3-D", "hybrid")
EPOCHS = {"CNN": 16, "6 bits": 5, "SNN": 14}
PENALTY = 0.02
# which numbers of a neuron learn, and what spikes cost
VARIANTS: dict[str, tuple[tuple[str, ...], float]] = {
    "SNN": (("leak", "threshold"), 0.0),
    "SNN, spikes cost": (("leak", "threshold"), PENALTY),
    "SNN, leak and threshold fixed": ((), PENALTY),
}
# pJ at 45 nm, of float32: Horowitz, Computing's energy problem (ISSCC 2014), as papers on spiking networks take them
MAC, ADDITION = 4.6, 0.9


def network(kind: str) -> nn.Sequential:
    """Patches [N, 1, 20, 11, 11] -> [N, 9]: two 3-D convolutions, or one and a 2-D one, with batch norms, and
    two Linear layers."""
    first = nn.Conv3d(1, 4, (7, 3, 3), stride=(3, 2, 2))
    if kind == "3-D":
        second, features = [nn.Conv3d(4, 8, 3), nn.BatchNorm3d(8)], 8 * 3 * 3 * 3
    else:
        second, features = [nn.Flatten(1, 2), nn.Conv2d(20, 16, 3), nn.BatchNorm2d(16)], 16 * 3 * 3
    last = (nn.Flatten(), nn.Linear(features, 32), nn.ReLU(), nn.Linear(32, CLASSES))
    return nn.Sequential(first, nn.BatchNorm3d(4), nn.ReLU(), *second, nn.ReLU(), *last)


def leaking(network: fx.GraphModule, trainable: tuple[str, ...]) -> fx.GraphModule:
    """Neurons that leak 9/128 a step and are reset a step late in the place of those of a converted network."""
    for name, module in list(network.named_modules()):
        if isinstance(module, LIF):
            own = LIF(
                module.steps,
                module.exponent,
                leak=(4, 7),
                threshold=module.threshold,
                order="late",
                guard=4,
                trainable=trainable,
            )
            network.set_submodule(name, own)
    return network


def _trained(model: nn.Module, train: Batches, validation: Batches, epochs: int, seed: int, penalty: float = 0.0):
    """On 6-bit weights from the start; the best epoch on the validation records."""
    training = Training(epochs=epochs, rate=4e-3, grid_rate=4e-3, seed=seed)
    recipe = Recipe(weights=Uniform(6), granularity="channel", activation_bits=6, quantize_from=0.0, training=training)
    prepared: Prepared = prepare(model, recipe)
    spiking = any(isinstance(module, LIF) for module in prepared.modules())
    loss = SpikeLoss(prepared, penalty, partial(_mean_loss, STEPS)) if spiking else nn.functional.cross_entropy
    fit(prepared, train, validation, loss=loss)
    if isinstance(loss, SpikeLoss):
        loss.close()
    return convert(prepared)


def _mean_loss(steps: int, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs / steps, y)


def run(kind: str, seed: int) -> dict:
    """Of one seed: accuracies in %, operations a record, leaks and thresholds before and after."""
    torch.set_num_threads(1)
    moved = (nn.Identity(), None, None)
    train, validation, test = (
        Batches(*patches(count, 10 * part + seed), 500 if move is None else 50, move)
        for part, (count, move) in enumerate(zip(RECORDS, moved, strict=True), 1)
    )
    cnn = train_float(network(kind), train, epochs=EPOCHS["CNN"], rate=3e-3, seed=seed)
    found: dict = {"CNN": accuracy(cnn, test)}
    found["6-bit CNN"] = accuracy(_trained(cnn, train, validation, EPOCHS["6 bits"], seed), test)
    for name, (trainable, penalty) in VARIANTS.items():
        start = leaking(to_spiking(cnn, train, STEPS, percentile=0.97), trainable)
        snn = _trained(start, train, validation, EPOCHS["SNN"], seed, penalty)
        found[name] = {
            "accuracy": accuracy(snn, test),
            "operations": operations(snn, test.x[:500]),
            "before": _neurons(start),
            "after": _neurons(snn),
        }
        if seed == 0:
            programs.save(f"cubes / {kind} / {name}", snn, test.x[:1])
    return found


def _neurons(network: nn.Module) -> list[dict]:
    neurons = [module for module in network.modules() if isinstance(module, LIF)]
    return [{"share": m.share.item(), "leak": list(m.leak), "threshold": m.threshold.item()} for m in neurons]


def tables(results: dict) -> str:
    rows = []
    for kind in KINDS:
        of = [found for seed in SEEDS if (found := results.get(f"cubes / {kind} / {seed}"))]
        for name in of[0] if of else ():
            plain = isinstance(of[0][name], float)
            values = [run[name] if plain else run[name]["accuracy"] for run in of]
            cells = [kind, name, str(len(of)), f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"]
            if plain:
                rows.append((*cells, *[""] * 5))
                continue
            counts = [run[name]["operations"] for run in of]
            macs, first, added = (mean(c[key] for c in counts) for key in ("macs", "first", "additions"))
            fired = ", ".join(f"{mean(layer):.2f}" for layer in zip(*(c["spikes"] for c in counts), strict=True))
            ratio = macs * MAC / (first * MAC + added * ADDITION)
            rows.append((*cells, fired, f"{macs:,.0f}", f"{first:,.0f}", f"{added:,.0f}", f"{ratio:.2f}"))
    head = ("network", "trained as", "seeds", "accuracy, %", "spikes a neuron, by layer", "MACs of the CNN")
    return table((*head, "MACs of layer 1", "additions", "energy of the CNN / SNN, by formula"), rows)
