"""What pruning of all layers together does to a layer whose weights are small as a whole, with and without a floor.

    python -m benchmarks.starved

A perceptron 16-32-3 with batch norm on scikit-learn's digits, pooled to 4x4: which of three classes the digit is in,
digit modulo 3. Inputs are small, so the batch norm makes the first layer's folded weights greater than the last one's.
"""

import statistics

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from examples.common import Batches, train_float
from hwgen.compress import Recipe, accuracy, convert, fit, prepare
from hwgen.compress.methods import Magnitude

SEEDS = range(5)
METHODS = {
    "half of all, no floor": Magnitude(0.5, floor=0.0),
    "half of all (the default floor)": Magnitude(0.5),
    "half of each layer": Magnitude(0.5, scope="layer"),
}


def data(seed: int) -> tuple[Batches, Batches]:
    """1,438 frames to train on, 359 to validate with: [n, 16] from 0 to 1, labels 0 to 2."""
    pixels, digit = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(digit))
    x = (pixels.reshape(-1, 4, 2, 4, 2).sum((2, 4)).reshape(-1, 16) / 64).astype(np.float32)[order]
    y = (digit % 3)[order]
    count = len(y) // 5
    return Batches(x[count:], y[count:], 32, lambda x: x), Batches(x[:count], y[:count], count)


def main() -> None:
    torch.set_num_threads(1)
    print("| pruning | accuracy, % | of the last layer's 96 weights left |")
    print("|---|---|---|")
    found: dict[str, list[tuple[float, int]]] = {}
    for seed in SEEDS:
        train, validation = data(seed)
        model = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))
        train_float(model, train, epochs=40, rate=1e-2, seed=seed)
        found.setdefault("none: float", []).append((accuracy(model, validation), 96))
        for name, method in METHODS.items():
            prepared = prepare(model, Recipe(pruning=method))
            fit(prepared, train, validation, show=lambda line: None)
            network = convert(prepared)
            left = int(network.get_submodule("3").weight.count_nonzero())
            found.setdefault(name, []).append((accuracy(network, validation), left))
    for name, runs in found.items():
        reached, left = zip(*runs, strict=True)
        spread = f"{statistics.mean(reached):.2f} ({min(reached):.2f} to {max(reached):.2f})"
        print(f"| {name} | {spread} | {', '.join(map(str, left))} |")


if __name__ == "__main__":
    main()
