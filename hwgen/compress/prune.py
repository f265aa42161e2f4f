"""Which weights go: each method's masks, from the weights themselves. What a mask does is in weights.py."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hwgen.compress.formats import digits
from hwgen.compress.weights import BiasGrid, WeightGrid


@dataclass(eq=False)
class Layer:
    """A layer under compression.

    module a convolution, transposed or not, or a Linear, its weight and bias parametrized
    prune  whether its weights may be pruned
    zeros  its own fraction, where a method knows fractions
    last   whether it is the network's last
    filters  whether each index of the weight's dimension 0 makes an output of its own
    follows  a depthwise layer's layer before it, with which its filters go
    times  that its weights are used, for as many parts of the outputs (hwgen.compress.epitome)
    """

    name: str
    module: Any
    prune: bool
    zeros: float | None
    last: bool
    filters: bool = True
    follows: str | None = None
    times: int = 1

    @property
    def pixels(self) -> int:
        """Output positions of a frame; 0 until a batch has passed."""
        return int(self.grid.pixels)

    @property
    def grid(self) -> WeightGrid:
        return self.module.parametrizations.weight[0]

    @property
    def original(self) -> Tensor:
        """The trained weight, before pruning and grid, [C, ...]."""
        return self.module.parametrizations.weight.original

    @property
    def bias_grid(self) -> BiasGrid | None:
        return self.module.parametrizations.bias[0] if self.module.bias is not None else None


def ramp(done: float, until: float) -> float:
    """The cubic ramp from 0 to 1 at `until` (Zhu and Gupta, arXiv 1710.01878): 1 - (1 - done/until)^3."""
    return 1.0 if done >= until else 1 - (1 - done / until) ** 3


def keep_greatest(w: Tensor, zeros: float) -> Tensor:
    """The mask, of w's shape, without the round(zeros * n) weights of least magnitude."""
    magnitude = w.detach().abs().flatten()
    count = round(zeros * len(magnitude))
    kept = len(magnitude) - count
    # the smaller part is looked for: it is much the faster
    few = magnitude.topk(min(kept, count), largest=kept < count, sorted=False).indices
    mask = torch.full(magnitude.shape, kept >= count)
    mask[few] = kept < count
    return mask.reshape(w.shape)


def magnitude_masks(
    weights: dict[str, Tensor], zeros: float, own: dict[str, float], scope: str, floor: float
) -> dict[str, Tensor]:
    """Masks by layer: of the least magnitudes of all layers together ("global"), or of each ("layer").

    own    fractions of single layers; a layer that has one keeps out of the global count
    floor  of the global count: each layer keeps ceil(floor * (1 - zeros) * n) of its n weights at least, the greatest
    """
    masks = {
        name: keep_greatest(w, own.get(name, zeros)) for name, w in weights.items() if scope == "layer" or name in own
    }
    together = [name for name in weights if name not in masks]
    if together:
        ranked = [_above_all(weights[name], floor * (1 - zeros)) for name in together]
        joined = keep_greatest(torch.cat(ranked), zeros)
        parts = joined.split([weights[name].numel() for name in together])
        masks |= {name: part.reshape(weights[name].shape) for name, part in zip(together, parts, strict=True)}
    return masks


def _above_all(w: Tensor, fraction: float) -> Tensor:
    """The magnitudes of w, flat; infinite for the ceil(fraction * n) greatest, which so are kept before all others."""
    magnitude = w.detach().abs().flatten()
    # a fraction times a count may lie a rounding error above an integer
    count = math.ceil(fraction * len(magnitude) - 1e-9)
    magnitude[magnitude.topk(count, sorted=False).indices] = torch.inf
    return magnitude


def n_of_m_mask(w: Tensor, n: int, m: int) -> Tensor:
    """Of each m neighbours along the inputs of a filter the n of greatest magnitude; a short last group keeps n too."""
    rows = w.detach().abs().flatten(1)
    groups = nn.functional.pad(rows, (0, -rows.shape[1] % m), value=-1.0).reshape(len(rows), -1, m)
    chosen = groups.topk(n, dim=2).indices
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(2, chosen, True)
    return mask.flatten(1)[:, : rows.shape[1]].reshape(w.shape)


def distance_sums(w: Tensor) -> Tensor:
    """For each filter of w [C, ...] the sum of its Euclidean distances to the others: small near the geometric
    median."""
    rows = w.detach().flatten(1)
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").sum(1)


def filter_mask(w: Tensor, filters: float) -> Tensor:
    """The filters [C] that stay when the round(filters * C) nearest the geometric median go; one stays at least."""
    count = min(round(filters * len(w)), len(w) - 1)
    keep = torch.ones(len(w), dtype=torch.bool)
    keep[distance_sums(w).argsort(stable=True)[:count]] = False
    return keep


@torch.no_grad()
def allocate_terms(layers: list[Layer], budget: float) -> dict[str, Tensor]:
    """Caps, uint8 of each weight's shape, under which all layers together take at most `budget` terms a frame.

    The k-th term of a weight gains fisher * (error with k - 1 terms - error with k), both squared, and costs the
    layer's pixels. Where a later term gains more than an earlier one (the codes of a codebook may have no single term),
    both count as their mean; the greatest gains per cost are taken.
    """
    gains, costs, places = [], [], []
    for layer in layers:
        grid, w = layer.grid, layer.original
        exponent = grid.exponent if grid.on_grid else grid.choose(w)
        v = w / torch.exp2(exponent)
        # a weight that never had a gradient is as little worth as the least of its layer
        worth = grid.fisher + grid.fisher.mean() * 1e-3 + 1e-30
        errors = [w.square()]
        for terms in range(1, grid.most_terms() + 1):
            level = grid.levels(v, terms)
            errors.append((w - level * torch.exp2(exponent)).square())
        for gain in _falling_gains(errors):
            gains.append((worth * gain / layer.pixels).flatten())
            costs.append(torch.full((w.numel(),), float(layer.pixels)))
            places.append((layer.name, w.shape))
    if not gains:
        return {}
    gain, cost = torch.cat(gains), torch.cat(costs)
    order = gain.argsort(descending=True, stable=True)
    taken = torch.zeros_like(gain, dtype=torch.bool)
    taken[order] = (cost[order].double().cumsum(0) <= budget) & (gain[order] > 0)
    caps = {}
    for (name, shape), part in zip(places, taken.split([len(g) for g in gains]), strict=True):
        caps[name] = caps.get(name, 0) + part.reshape(shape).to(torch.uint8)
    return caps


def _falling_gains(errors: list[Tensor]) -> list[Tensor]:
    """What each further term takes off the error, made non-increasing: the slopes of the errors' convex hull."""
    slopes = []
    for k in range(1, len(errors)):
        best = [
            torch.stack([(errors[i] - errors[j]) / (j - i) for j in range(k, len(errors))]).amax(0) for i in range(k)
        ]
        slopes.append(torch.stack(best).amin(0))
    return slopes


@torch.no_grad()
def without_smallest_code(layer: Layer) -> Tensor | None:
    """The mask of a layer on its grid without its smallest non-zero code; None if only one code is left."""
    grid = layer.grid
    level = grid.level(layer.original / torch.exp2(grid.exponent)).abs()
    codes = level[level > 0].unique()
    return level > codes[0] if len(codes) > 1 else None


@torch.no_grad()
def layer_terms(layer: Layer) -> int:
    """Terms of the layer's weights as they are; on no grid yet, one for each that is not pruned."""
    grid = layer.grid
    if not grid.on_grid:
        return layer.times * int(grid.keeps().sum())
    level = grid.level(layer.original / torch.exp2(grid.exponent))
    return layer.times * int(digits(level.cpu().numpy().astype("int64")).sum())
