"""What the examples' training scripts share: weight grids, pruning masks, one training loop, one table."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.utils import parametrize

APOT4 = (0, 1, 2, 3, 4, 6, 8, 10)  # two terms at most


def power_of_two(bits: int) -> tuple[int, ...]:
    """The magnitudes of a `bits` wide power-of-two weight; 4 bits: 0, 1, 2, 4 ... 64."""
    return (0, *(1 << c for c in range((1 << (bits - 1)) - 1)))


def project(w: Tensor, magnitudes: tuple[int, ...], exponent: int) -> Tensor:
    """The nearest of +-magnitudes * 2^exponent to each weight; a tie goes to the larger magnitude."""
    levels = torch.tensor(magnitudes, dtype=w.dtype)
    nearest = torch.bucketize(w.abs() * 2.0**-exponent, (levels[1:] + levels[:-1]) / 2, right=True)
    return levels[nearest] * w.sign() * 2.0**exponent


def best_exponent(w: Tensor, magnitudes: tuple[int, ...]) -> int:
    """The exponent whose projection has the least squared error; of equals the greatest: no idle low bits."""
    return min(range(3, -17, -1), key=lambda e: (project(w, magnitudes, e) - w).square().sum().item())


@dataclass(frozen=True)
class Recipe:
    """How one layer is compressed.

    zeros       the fraction of its weights that pruning sets to zero
    input_unit  the exponent of its input's ActQuant
    magnitudes  of its weights, times one power of two
    """

    zeros: float
    input_unit: int
    magnitudes: tuple[int, ...] = power_of_two(4)


class OnGrid(nn.Module):
    """A parametrization: the weight is projected to a grid, the gradient goes straight through."""

    def __init__(self, magnitudes: tuple[int, ...], exponent: int):
        super().__init__()
        self.magnitudes, self.exponent = magnitudes, exponent

    def forward(self, w: Tensor) -> Tensor:
        return w + (project(w, self.magnitudes, self.exponent) - w).detach()


class Masked(nn.Module):
    """A parametrization: the weights of least magnitude are zero."""

    def __init__(self, w: Tensor):
        super().__init__()
        self.register_buffer("mask", torch.ones_like(w))

    def forward(self, w: Tensor) -> Tensor:
        return w * self.mask

    def prune(self, w: Tensor, zeros: float) -> None:
        """Masks the fraction `zeros` of the weights; w is the weight before the mask."""
        self.mask.fill_(1).view(-1)[w.abs().flatten().argsort()[: round(zeros * w.numel())]] = 0


def fit(model, x, y, *, epochs: int, rate: float, batch: int, augment=None, each_step: Callable | None = None):
    """Adam with a cosine rate on cross entropy, drawing its batches from torch's global generator.

    x, y       images [n, ...] and labels [n]; the last part of a batch is left out of the epoch
    augment    a batch of images -> another of the same shape
    each_step  called before each step with the part of the training that is done, 0 to 1
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    steps = epochs * (len(x) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    step, started = 0, time.monotonic()
    model.train()
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x))[: len(x) // batch * batch].split(batch):
            if each_step:
                each_step(step / steps)
            images = augment(x[chosen]) if augment else x[chosen]
            loss = nn.functional.cross_entropy(model(images), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step, total = step + 1, total + loss.item()
        seconds = time.monotonic() - started
        print(
            f"  epoch {epoch + 1:2}/{epochs}  loss {total / (len(x) // batch):.4f}  {seconds:.0f} s",
            flush=True,
        )


def compress(model, x, y, recipes: dict[str, Recipe], *, bias_bits: int, epochs: tuple, rates: tuple, **options):
    """Float training, pruning on a cubic ramp, training on the grids; leaves a plain module on its grids.

    recipes        by layer name, one for each layer with weights
    bias_bits      the width of the biases, signed, at most; they are multiples of the layer's product grid
    epochs, rates  of the three phases
    """
    layers = {name: model.get_submodule(name) for name in recipes}
    print("float")
    fit(model, x, y, epochs=epochs[0], rate=rates[0], **options)

    for layer in layers.values():
        parametrize.register_parametrization(layer, "weight", Masked(layer.weight))

    def prune(t: float) -> None:
        ramp = 1 - (1 - min(t / 0.6, 1)) ** 3
        for name, layer in layers.items():
            weight = layer.parametrizations.weight
            weight[0].prune(weight.original.detach(), recipes[name].zeros * ramp)

    print("prune")
    fit(model, x, y, epochs=epochs[1], rate=rates[1], each_step=prune, **options)

    for name, layer in layers.items():
        recipe = recipes[name]
        unit = best_exponent(layer.weight.detach(), recipe.magnitudes)
        parametrize.register_parametrization(layer, "weight", OnGrid(recipe.magnitudes, unit))
        top = math.ceil(math.log2(layer.bias.abs().max().item()))
        bias_unit = max(top - (bias_bits - 1), unit + recipe.input_unit)
        parametrize.register_parametrization(layer, "bias", OnGrid(tuple(range(1 << (bias_bits - 1))), bias_unit))
    print("grid")
    fit(model, x, y, epochs=epochs[2], rate=rates[2], **options)

    for layer in layers.values():
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        parametrize.remove_parametrizations(layer, "bias", leave_parametrized=True)
    model.eval()


def terms(w: Tensor) -> int:
    """Non-zero canonical signed digits of all weights, which are multiples of 2^-40."""
    n = (w.detach().double().abs() * 2.0**40).long()
    # The canonical form of n has a digit wherever n and 3n differ.
    return sum(v.bit_count() for v in (n ^ 3 * n).flatten().tolist())


@torch.no_grad()
def accuracy(model: nn.Module, x: np.ndarray, labels: np.ndarray) -> float:
    """Percent of the images whose greatest output is the label, computed in float64."""
    answers = copy.deepcopy(model).double()(torch.from_numpy(x).double()).argmax(1).numpy()
    return 100 * float((answers == labels).mean())


def print_table(model: nn.Module, x: np.ndarray, labels: np.ndarray) -> None:
    """The table of an example's README: per layer weights, zeros and terms; then the test accuracy."""
    weights = [(name.removesuffix(".weight"), w) for name, w in model.named_parameters() if w.ndim > 1]
    rows = [(name, w.numel(), int(w.count_nonzero()), terms(w)) for name, w in weights]
    rows.append(("all", *(sum(row[i] for row in rows) for i in (1, 2, 3))))
    table = Table("layer")
    for header in ("weights", "non-zero", "zeros %", "terms"):
        table.add_column(header, justify="right")
    for name, count, kept, digits in rows:
        table.add_row(name, f"{count:,}", f"{kept:,}", f"{100 * (1 - kept / count):.1f}", f"{digits:,}")
    Console().print(table)
    print(f"accuracy {accuracy(model, x, labels):.2f} % of {len(x):,} test images")
