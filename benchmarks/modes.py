"""Switchable precision on digits: modes trained jointly against each alone, and what a second mode costs.

python -m benchmarks.modes train SEED...     (results in benchmarks/modes.json; what is there is not trained again)
python -m benchmarks.modes build             (verified in a random order of modes, counted by yosys; modes.json too)
python -m benchmarks.modes                   (the tables into docs/modes.md)
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from benchmarks.netlist import synthesize
from benchmarks.spatial.tables import table, write_document
from examples.common import Batches, train_float
from examples.digits.model import test_data, train_data
from examples.digits.train import shift
from hwgen import build, verify
from hwgen.compress import Recipe, Training, accuracy, convert, convert_modes, fit, prepare, prepare_modes
from hwgen.compress.formats import PowerOfTwo, SignedDigits
from hwgen.config import BuildConfig
from hwgen.manifest import read_manifest

RESULTS = Path(__file__).with_name("modes.json")
PAGE = Path(__file__).parents[1] / "docs" / "modes.md"
TRAINING = Training(epochs=10, rate=3e-3, grid_rate=3e-3)
COMMON = {"quantize_from": 0.25, "training": TRAINING}
# of the modes: two terms a weight, one, one with two-bit activations
RECIPES = [
    Recipe(weights=SignedDigits(terms=2, bits=6), activation_bits=4, **COMMON),
    Recipe(weights=PowerOfTwo(4), activation_bits=4, **COMMON),
    Recipe(weights=PowerOfTwo(4), activation_bits=2, **COMMON),
]
NAMES = ["2 terms, 4-bit activations", "1 term, 4 bits", "1 term, 2 bits"]
EXAMPLE = (torch.zeros(1, 1, 8, 8),)


def network() -> nn.Module:
    """8, 16 and 16 channels of 3x3, each with a batch norm, two pools, and a Linear."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(((1, 8), (8, 16), (16, 16))):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] * (number > 0)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 4, 10))


def data(seed: int):
    """Training batches, and the 360 test images in one."""
    return Batches(*train_data(), 64, shift), Batches(*test_data(), 360)


def floats(seed: int) -> nn.Module:
    return train_float(network(), data(seed)[0], epochs=10, rate=1e-2, seed=seed)


def recipe_of(number: int, seed: int) -> Recipe:
    """With the seed as the training's."""
    text = json.loads(RECIPES[number].to_json())
    text["training"]["seed"] = seed
    return Recipe.from_json(json.dumps(text))


def joint(model: nn.Module, seed: int, show=lambda line: None) -> list[nn.Module]:
    prepared = prepare_modes(model, [recipe_of(number, seed) for number in range(len(RECIPES))], EXAMPLE)
    fit(prepared, data(seed)[0], show=show)
    return [*convert_modes(prepared)]


def alone(model: nn.Module, number: int, seed: int) -> nn.Module:
    prepared = prepare(model, recipe_of(number, seed), EXAMPLE)
    fit(prepared, data(seed)[0], show=lambda line: None)
    return convert(prepared)


def train(seed: int) -> dict:
    """Accuracies on the test images, in percent, of each mode."""
    model, (_, test) = floats(seed), data(seed)
    together = [accuracy(each, test) for each in joint(model, seed)]
    each = [accuracy(alone(model, number, seed), test) for number in range(len(RECIPES))]
    return {"float": accuracy(model, test), "joint": together, "alone": each}


def hardware() -> dict:
    """Of seed 0: cycles of each mode, predicted and measured, and LUTs and lists of one, two and three modes."""
    modules = joint(floats(0), 0)
    found: dict = {"modes": [], "costs": []}
    x, y = test_data()
    with TemporaryDirectory() as name:
        for count in (1, 2, 3):
            folder, others = Path(name) / str(count), [(module, EXAMPLE) for module in modules[1:count]]
            build(modules[0], EXAMPLE, out=folder, modes=others, config=BuildConfig(name="net", lanes=8))
            known = read_manifest(folder)
            lists = [rom["depth"] * rom["width"] for rom in known["roms"].values()]
            found["costs"].append({"bits": sum(lists), **synthesize(folder).counts})
            if count == 3:
                result = verify(folder, x[:100], labels=y[:100], stall=0.0)
                stalled = verify(folder, x[:100], stall=0.3, seed=7)
                for number, mode in enumerate(known["modes"]):
                    measured = result["interval_of_modes"][number]
                    found["modes"].append({"predicted": mode["interval"], "measured": measured})
                found["equal"] = [result["equal"], stalled["equal"], result["frames"]]
    return found


def document(known: dict) -> str:
    """The tables of docs/modes.md, of what was run."""
    rows = []
    for number, name in enumerate(NAMES):
        together, each = ([seed[way][number] for seed in known["seeds"].values()] for way in ("joint", "alone"))
        means = [f"{sum(values) / len(values):.2f}" for values in (together, each)]
        rows.append((name, *means, *(", ".join(f"{value:.2f}" for value in values) for values in (together, each))))
    count = len(known["seeds"])
    text = (
        f"Accuracy on 360 test images, {count} seeds.\n\n"
        if count > 1
        else "Accuracy on 360 test images, one seed.\n\n"
    )
    text += table(("mode", "jointly, %", "alone, %", "each seed, jointly", "alone"), rows)
    return text + (_hardware(known["hardware"]) if "hardware" in known else "")


def _hardware(made: dict) -> str:
    rows = [
        (name, f"{mode['predicted']:,}", f"{mode['measured']:,}")
        for name, mode in zip(NAMES, made["modes"], strict=True)
    ]
    costs = [
        (str(count), f"{cost['LUT']:,}", f"{cost['FF']:,}", f"{cost['BRAM36']:g}", f"{cost['bits']:,}")
        for count, cost in enumerate(made["costs"], 1)
    ]
    equal, stalled, frames = made["equal"]
    text = f"Verified on Verilator, modes in random order: {equal} of {frames} frames equal, with stalls {stalled}.\n"
    cycles = table(("mode", "cycles a frame, predicted", "measured"), rows)
    return f"\n{cycles}\n{text}\n{table(('modes', 'LUT', 'FF', 'BRAM36', 'bits of lists'), costs)}"


def trained(results: Path, seeds: Sequence[str], one: Callable[[int], dict]) -> dict:
    """What a file of results holds, with what `one` gives of each seed that was not in it, kept there as it comes."""
    known = json.loads(results.read_text()) if results.exists() else {"seeds": {}}
    for seed in seeds:
        if seed not in known["seeds"]:
            known["seeds"][seed] = one(int(seed))
            print(seed, known["seeds"][seed], flush=True)
            results.write_text(json.dumps(known, indent=1) + "\n")
    return known


def main(*words: str) -> None:
    torch.set_num_threads(1)
    known = trained(RESULTS, words[1:] if words[:1] == ("train",) else (), train)
    if words[:1] == ("train",):
        return
    if words[:1] == ("build",):
        known["hardware"] = hardware()
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        return
    write_document("modes", document(known), PAGE)


if __name__ == "__main__":
    main(*sys.argv[1:])
