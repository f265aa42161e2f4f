"""Which format each output channel has, learned with the weights, for layers on two kinds of lanes (`hwgen build
--split`).

ODiMO (Risso et al.; read in its authors' code and in their library plinio): each channel has a weight for each format,
the softmax over the formats of what is trained; the layer computes with the mean of its weights in both formats under
these. The cost of a layer is a smooth maximum of the cycles of both kinds of lanes, to which each channel adds by its
own: terms in the first format, weights that are not zero in the second. Float training warms up; the temperature of the
softmax falls in the search; at the end each channel has the format of greater weight.
"""

import fnmatch
from dataclasses import replace

import torch
from torch import Tensor, nn

from hwgen.compress.fit import Batches, fit
from hwgen.compress.formats import digits
from hwgen.compress.prepare import prepare
from hwgen.compress.prepared import Prepared
from hwgen.compress.prune import Layer
from hwgen.compress.recipe import Override, Recipe, Split
from hwgen.compress.weights import WeightGrid
from hwgen.errors import BadInput

WARMEST, COLDEST = 5.0, 0.5  # temperatures of the softmax, at the beginning of the search and at its end
FASTER = 30.0  # times as fast as weights the formats are learned
SHARP = 10.0  # of the smooth maximum, in units of the layer's cycles where one kind of lanes has all channels


class TwoFormats(WeightGrid):
    """A parametrization of a weight [C, ...] by the mean of two formats, once `on_grid`.

    second  the grid of the other format
    choice  parameter [C]: FASTER times it is the logit of the second format against the first
    """

    temperature: Tensor

    def __init__(self, w: Tensor, split: Split, gradient: str):
        super().__init__(w, [split.first] * len(w), per_channel=True, scale="mse", gradient=gradient)
        self.second = WeightGrid(w, [split.second] * len(w), per_channel=True, scale="mse", gradient=gradient)
        self.choice = nn.Parameter(torch.zeros(len(w)))
        self.register_buffer("temperature", torch.tensor(WARMEST))

    @property
    def share(self) -> Tensor:
        """How much of each channel is in the second format, 0 to 1, [C]."""
        return torch.sigmoid(FASTER * self.choice / self.temperature)

    def to_grid(self, w):
        super().to_grid(w)
        self.second.to_grid(w)

    def forward(self, w):
        first = super().forward(w)
        if not self.on_grid:
            return first
        share = self.share.reshape(-1, *[1] * (w.ndim - 1))
        return (1 - share) * first + share * self.second(w)

    def cycles(self, w: Tensor, accumulators: float) -> tuple[Tensor, Tensor]:
        """Of an output position on each kind of lanes, and on one that had all channels: the smooth maximum of the
        first two, and the greater of the others. accumulators -- of the second kind for one of the first"""
        with torch.no_grad():
            level = self.level(w / torch.exp2(self.exponent)).long()
            terms = torch.from_numpy(digits(level.numpy())).flatten(1).sum(1)
            weights = (self.second.level(w / torch.exp2(self.second.exponent)) != 0).flatten(1).sum(1) / accumulators
            whole = torch.maximum(terms.sum(), weights.sum()).clamp(min=1)
        sides = torch.stack([((1 - self.share) * terms).sum(), (self.share * weights).sum()]) / whole
        return (torch.softmax(SHARP * sides, 0) * sides).sum(), whole


class Searching(Prepared):
    """A prepared network whose layers of TwoFormats are dear by their cycles; `fit` trains it."""

    def step(self, done):
        super().step(done)
        turn = self.recipe.quantize_from
        part = 0.0 if done <= turn else (done - turn) / (1 - turn)
        for grid in self.mixed.values():
            grid.temperature.fill_(WARMEST * (COLDEST / WARMEST) ** part)

    @property
    def mixed(self) -> dict[str, TwoFormats]:
        return {name: layer.grid for name, layer in self.layers.items() if isinstance(layer.grid, TwoFormats)}

    def penalty(self):
        split = self.recipe.split
        if split is None or self.done < self.recipe.quantize_from:
            return torch.zeros(())
        cost, all_on_one = torch.zeros(()), torch.zeros(())
        for name, grid in self.mixed.items():
            part, whole = grid.cycles(self.layers[name].original, split.accumulators)
            cost, all_on_one = cost + int(grid.pixels) * whole * part, all_on_one + int(grid.pixels) * whole
        return split.strength * cost / all_on_one


def search(model: nn.Module, recipe: Recipe, example_inputs: tuple[Tensor, ...], train: Batches, **how) -> Recipe:
    """The recipe without `split`, with the format that each channel of the layers it names was found to have.

    how -- as `fit` takes it: folder, show. Nothing is pruned meanwhile. Raises BadInput for a pattern that matches no
    layer.
    """
    split = recipe.split
    assert split is not None
    own = replace(recipe, pruning=None, terms_per_frame=None, accuracy_drop=None)
    prepared = prepare(model, own, example_inputs)
    searching = Searching(prepared.network, list(prepared.layers.values()), own)
    for layer in _named(searching, split.layers):
        if len(layer.original) < 2:
            raise BadInput(f"{layer.name} has one output channel", "split", "leave it out")
        grid = TwoFormats(layer.original.detach(), split, recipe.gradient)
        layer.module.parametrizations.weight[0] = grid
    fit(searching, train, **how)
    found = list(recipe.overrides)
    for name, grid in searching.mixed.items():
        found.append(Override(name, weights=split.first))
        chosen = (grid.choice > 0).tolist()
        found += [Override(f"{name}[{i}]", weights=split.second) for i, second in enumerate(chosen) if second]
    return replace(recipe, split=None, overrides=tuple(found))


def _named(prepared: Prepared, patterns: tuple[str, ...]) -> list[Layer]:
    """The layers that match one of the patterns, in the network's order."""
    names = [fnmatch.filter(prepared.layers, pattern) for pattern in patterns]
    for pattern, found in zip(patterns, names, strict=True):
        if not found:
            hint = f"the layers are {', '.join(prepared.layers)}"
            raise BadInput(f"the pattern {pattern!r} matches no layer", "split.layers", hint)
    return [layer for name, layer in prepared.layers.items() if any(name in found for found in names)]
