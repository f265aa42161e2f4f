"""Hyperspectral patches, synthetic: spiking 3-D and hybrid CNNs against the CNNs that they come from."""

from statistics import mean

import torch
from torch import fx, nn

from benchmarks.spatial.tables import table
from benchmarks.spiking import programs
from benchmarks.spiking.counts import ADDITION, MAC, operations
from examples.common import Batches, train_float
from examples.spiking.cubes import CLASSES, patches
from hwgen.compress import Prepared, Recipe, Training, accuracy, convert, fit, prepare, to_spiking
from hwgen.compress.formats import Uniform
from hwgen.compress.spiking import SpikeLoss
from hwgen.nn import LIF

SEEDS = range(5)
STEPS = 5
BITS = 3  # of the activations of the CNN that is converted
RECORDS = (2400, 1500)  # to train with, for the test
KINDS = ("3-D", "hybrid")
EPOCHS = {"CNN": 40, "6 bits": 10, "3 bits": 40, "SNN": 60}
# which numbers of a neuron learn, what spikes cost, and for how many seeds
VARIANTS: dict[str, tuple[tuple[str, ...], float, int]] = {
    "SNN": (("leak", "threshold"), 0.0, 5),
    "SNN, spikes cost": (("leak", "threshold"), 0.05, 1),
    "SNN, leak and threshold fixed": ((), 0.0, 1),
}


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


def turned(x: torch.Tensor) -> torch.Tensor:
    """A batch of patches mirrored and turned at random, all alike: a field has no direction."""
    for axis in (-1, -2):
        x = x.flip(axis) if torch.rand(()) < 0.5 else x
    return x.transpose(-1, -2) if torch.rand(()) < 0.5 else x


def leaking(network: fx.GraphModule, trainable: tuple[str, ...]) -> fx.GraphModule:
    """Neurons that leak 9/256 a step and are reset a step late in the place of those of a converted network."""
    for name, module in list(network.named_modules()):
        if isinstance(module, LIF):
            own = LIF(
                module.steps,
                module.exponent,
                leak=(5, 8),
                threshold=module.threshold,
                order="late",
                guard=4,
                start=module.start,
                trainable=trainable,
            )
            network.set_submodule(name, own)
    return network


def _trained(model: nn.Module, train: Batches, what: str, seed: int, bits: int = 6, penalty: float = 0.0):
    """On 6-bit weights from the start, activations of `bits`; the last epoch counts."""
    spiking = any(isinstance(module, LIF) for module in model.modules())
    rate = 2e-3 if spiking else 3e-3
    training = Training(epochs=EPOCHS[what], rate=rate, grid_rate=rate, seed=seed)
    recipe = Recipe(
        weights=Uniform(6), granularity="channel", activation_bits=bits, quantize_from=0.0, training=training
    )
    prepared: Prepared = prepare(model, recipe)
    loss = SpikeLoss(prepared, penalty, _mean_loss) if spiking else nn.functional.cross_entropy
    fit(prepared, train, loss=loss)
    if isinstance(loss, SpikeLoss):
        loss.close()
    return convert(prepared)


def _mean_loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs / STEPS, y)


def run(kind: str, seed: int) -> dict:
    """Of one seed: accuracies in %, operations a record, leaks and thresholds before and after."""
    torch.set_num_threads(1)
    moved = (turned, None)
    train, test = (
        Batches(*patches(count, 10 * part + seed), 500 if move is None else 50, move)
        for part, (count, move) in enumerate(zip(RECORDS, moved, strict=True), 1)
    )
    cnn = train_float(network(kind), train, epochs=EPOCHS["CNN"], rate=3e-3, seed=seed)
    found: dict = {"CNN": accuracy(cnn, test)}
    found["6-bit CNN"] = accuracy(_trained(cnn, train, "6 bits", seed), test)
    coarse = _trained(cnn, train, "3 bits", seed, BITS)
    found["CNN of 3-bit activations"] = accuracy(coarse, test)
    found["converted, not trained"] = accuracy(to_spiking(coarse, train, STEPS), test)
    for name, (trainable, penalty, seeds) in VARIANTS.items():
        if seed >= seeds:
            continue
        start = leaking(to_spiking(coarse, train, STEPS), trainable)
        snn = _trained(start, train, "SNN", seed, 8, penalty)
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
            had = [run[name] for run in of if name in run]
            plain = isinstance(had[0], float)
            values = [one if plain else one["accuracy"] for one in had]
            cells = [kind, name, str(len(had)), f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"]
            if plain:
                rows.append((*cells, *[""] * 5))
                continue
            counts = [one["operations"] for one in had]
            macs, first, added = (mean(c[key] for c in counts) for key in ("macs", "first", "additions"))
            fired = ", ".join(f"{mean(layer):.2f}" for layer in zip(*(c["spikes"] for c in counts), strict=True))
            ratio = macs * MAC / (first * MAC + added * ADDITION)
            rows.append((*cells, fired, f"{macs:,.0f}", f"{first:,.0f}", f"{added:,.0f}", f"{ratio:.2f}"))
    head = ("network", "trained as", "seeds", "accuracy, %", "spikes a neuron, by layer", "MACs of the CNN")
    return table((*head, "MACs of layer 1", "additions", "energy of the CNN / SNN, by formula"), rows)
