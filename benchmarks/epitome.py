"""Layers whose outputs share lists, against pruning at the same bits of lists, on digits; and a network that so fits.

python -m benchmarks.epitome train SEED...   (results in benchmarks/epitome.json; what is there is not trained again)
python -m benchmarks.epitome fit             (a network on a board that its lists exceed; epitome.json too)
python -m benchmarks.epitome                 (the tables into docs/epitome.md)
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from benchmarks.modes import EXAMPLE, data, floats, trained
from benchmarks.spatial.tables import table, write_document
from hwgen import build
from hwgen.compress import Recipe, Training, accuracy, convert, fit, prepare
from hwgen.compress.methods import Magnitude
from hwgen.compress.recipe import Epitome, Override
from hwgen.compress.size import sizes
from hwgen.config import BuildConfig
from hwgen.errors import DoesNotFit
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant

RESULTS = Path(__file__).with_name("epitome.json")
PAGE = Path(__file__).parents[1] / "docs" / "epitome.md"
LAYERS = {"3": 8, "7": 16}  # the convolutions that share lists or are pruned, and their input channels
# of the weights as many zeros as make the lists of both as long
WAYS = {
    "all weights": {},
    "epitome, R = 2": {"times": 2},
    "pruned, half": {"zeros": 0.52},
    "epitome, R = 4": {"times": 4},
    "pruned, three in four": {"zeros": 0.78},
}
BOARD, SIZE = "pynq-z2", 640


def recipe(seed: int, times: int = 0, zeros: float = 0.0) -> Recipe:
    overrides = []
    for name, channels in LAYERS.items():
        if times:
            overrides.append(Override(name, epitome=Epitome(times, channels // times)))
        if zeros:
            overrides.append(Override(name, zeros=zeros))
    overrides += [Override(name, prune=False) for name in ("0", "12")] if zeros else []
    return Recipe(
        overrides=tuple(overrides),
        pruning=Magnitude(zeros=zeros) if zeros else None,
        break_even=False,
        quantize_from=0.5,
        training=Training(epochs=12, rate=3e-3, grid_rate=3e-3, seed=seed),
    )


def train(seed: int) -> dict:
    """Accuracy on the test images in percent, and bits of the lists of LAYERS, of each of WAYS."""
    model, (batches, test), found = floats(seed), data(seed), {}
    for name, own in WAYS.items():
        prepared = prepare(model, recipe(seed, **own), EXAMPLE)
        fit(prepared, batches, show=lambda line: None)
        module = convert(prepared)
        bits = sum(row.memory_bits for row in sizes(module, EXAMPLE) if row.name in LAYERS)
        found[name] = [accuracy(module, test), bits]
    return found


def wide(times: int) -> nn.Module:
    """Two Linears of SIZE outputs, weights powers of two; with times > 1 as epitomes."""
    rng = np.random.default_rng(1)
    layers: list[nn.Module] = [ActQuant(4, -4, False)]
    for _ in range(2):
        layer = nn.Linear(SIZE, SIZE)
        first = rng.choice([-1, 1], (SIZE // times, SIZE)) * 2.0 ** rng.integers(-9, -5, (SIZE // times, SIZE))
        weight = np.concatenate([np.roll(first, -i * SIZE // times, axis=1) for i in range(times)])
        layer.weight.data, layer.bias.data = torch.from_numpy(weight).float(), torch.zeros(SIZE)
        layers += [layer, nn.ReLU(), ActQuant(4, -3, False)]
    return nn.Sequential(*layers).eval()


def fitted() -> dict:
    """What the wide network says of its board, and takes of it with lists that are shared."""
    found = {}
    example = (torch.zeros(1, SIZE),)
    with TemporaryDirectory() as name:
        for times in (1, 2, 4, 8):
            folder = Path(name) / str(times)
            try:
                design = build(wide(times), example, out=folder, config=BuildConfig(board=BOARD, name="net", lanes=1))
            except DoesNotFit as error:
                found[times] = {"refused": error.what}
                continue
            takes = design.estimate()
            found[times] = {"BRAM36": takes["BRAM36"], "LUT": takes["LUT"], "cycles": read_manifest(folder)["interval"]}
    return found


def document(known: dict) -> str:
    """The tables of docs/epitome.md."""
    text = _trained(known["seeds"]) + "\n" if known["seeds"] else ""
    rows = []
    for times, one in known["fit"].items():
        if "refused" in one:
            rows.append((times, "-", "-", "-", one["refused"]))
        else:
            rows.append((times, f"{one['BRAM36']:g}", f"{one['LUT']:,}", f"{one['cycles']:,}", "fits"))
    return text + table(("R", "BRAM36", "LUT", "cycles a frame", f"on {BOARD}"), rows)


def _trained(seeds: dict) -> str:
    rows = []
    for name in WAYS:
        accuracies, bits = ([seed[name][i] for seed in seeds.values()] for i in range(2))
        each = ", ".join(f"{value:.2f}" for value in accuracies)
        rows.append((name, f"{np.mean(bits):,.0f}", f"{np.mean(accuracies):.2f}", each))
    return table(("the two convolutions", "bits of their lists", "accuracy, %", "of each seed"), rows)


def main(*words: str) -> None:
    torch.set_num_threads(1)
    known = trained(RESULTS, words[1:] if words[:1] == ("train",) else (), train)
    if words[:1] == ("train",):
        return
    if words[:1] == ("fit",):
        known["fit"] = fitted()
        print(known["fit"])
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    else:
        write_document("epitome", document(known), PAGE)


if __name__ == "__main__":
    main(*sys.argv[1:])
