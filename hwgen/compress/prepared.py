"""A network under compression: when it prunes, when it quantizes, what it still owes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from hwgen.compress import prune
from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.prune import Layer
from hwgen.compress.recipe import Recipe
from hwgen.compress.weights import BiasGrid
from hwgen.errors import BadInput


class Prepared(nn.Module):
    """A network under compression: what `prepare` gives, `fit` or your own loop trains, and `convert` ends.

    Your own loop: call `step(done)` before each batch, done from 0 to 1 over the whole training, and add `penalty()` to
    the loss. `network` is the torch.fx module that computes; `layers` the compressed layers by name, in the network's
    order. All state is in the state_dict.
    """

    done: torch.Tensor
    network: fx.GraphModule
    state: Any  # what the pruning method remembers: a module, or None

    def __init__(self, network: fx.GraphModule, layers: list[Layer], recipe: Recipe):
        super().__init__()
        self.network, self.recipe = network, recipe
        self.layers = {layer.name: layer for layer in layers}
        weights = {name: layer.original for name, layer in self.prunable().items()}
        self.state = recipe.pruning.state(weights) if recipe.pruning is not None else None
        self.register_buffer("done", torch.tensor(0.0, dtype=torch.float64))

    def forward(self, *inputs):
        for layer in self.layers.values():
            layer.grid.pixels.zero_()
        return self.network(*inputs)

    @property
    def quantizers(self) -> list[LearnedActQuant]:
        return [m for m in self.network.modules() if isinstance(m, LearnedActQuant)]

    def terms_per_frame(self) -> int:
        """Terms of all weights as they are, each counted for every pixel that it makes; a batch must have passed."""
        return sum(prune.layer_terms(layer) * layer.pixels for layer in self.layers.values())

    @torch.no_grad()
    def step(self, done: float) -> None:
        """Prunes and quantizes as far as the recipe says at `done`, 0 to 1, of the training."""
        if not 0 <= done <= 1:
            raise BadInput(f"done = {done}", "Prepared.step", "count from 0 to 1 over the training")
        recipe, before = self.recipe, self.done.item()
        if done >= recipe.quantize_from:
            self.quantize()
        until = recipe.prune_until
        if done < until or before < until or done == 0 or self._owes_terms(done):
            self._prune(prune.ramp(done, until), done)
        self.done.fill_(done)

    def _owes_terms(self, done: float) -> bool:
        """Whether the budget was not shared out yet, or the weights that are not pruned have outgrown it at the end."""
        budget = self.recipe.terms_per_frame
        if budget is None:
            return False
        shared = all(bool(layer.grid.capped) for layer in self.prunable().values())
        return not shared or (done == 1 and self.terms_per_frame() > budget)

    @torch.no_grad()
    def quantize(self) -> None:
        """Puts weights, biases and activations on their grids, from now on. The next batch calibrates activations."""
        for layer in self.layers.values():
            if not layer.grid.on_grid:
                layer.grid.to_grid(layer.original)
        for grid in self.network.modules():
            if isinstance(grid, BiasGrid):
                grid.on_grid.fill_(True)
        for quantizer in self.quantizers:
            quantizer.start()

    def prunable(self) -> dict[str, Layer]:
        """The layers whose weights may be pruned, by name."""
        return {name: layer for name, layer in self.layers.items() if layer.prune}

    def own_zeros(self, part: float) -> dict[str, float]:
        """Their own fractions of zeros at `part` of the ramp, of the layers that have one."""
        return {name: layer.zeros * part for name, layer in self.prunable().items() if layer.zeros is not None}

    def _prune(self, part: float, done: float) -> None:
        method = self.recipe.pruning
        for layer in self.prunable().values():
            layer.grid.regrow.fill_(method is not None and method.regrows(part))
        if method is not None:
            method.prune(self, part, done)
        elif self.recipe.terms_per_frame is not None:
            self.limit_terms(self.recipe.terms_per_frame, part)

    def keep(self, masks: dict[str, torch.Tensor]) -> None:
        """Prunes each layer's weights where its mask is false, and nowhere else."""
        for name, mask in masks.items():
            self.layers[name].grid.prune(mask)

    def keep_filters(self, masks: dict[str, torch.Tensor]) -> None:
        """Prunes whole filters and their biases; a depthwise layer follows the layer whose channels it takes."""
        masks = dict(masks)
        for name in masks:
            layer = self.layers[name]
            if layer.follows is not None:
                masks[name] = masks.get(layer.follows, torch.ones_like(masks[name]))
            mask = masks[name]
            layer.grid.prune(mask.reshape(-1, *[1] * (layer.original.ndim - 1)).expand_as(layer.original))
            if layer.bias_grid is not None:
                layer.bias_grid.keep.copy_(mask)

    def limit_terms(self, budget: int, part: float = 1.0) -> None:
        """Gives the layers' weights as many terms as `budget` terms a frame pay for, where they lower the loss most.

        With part < 1 the budget lies between the whole network's and this one, on a logarithmic scale.
        """
        layers = list(self.prunable().values())
        if not all(layer.pixels for layer in layers) or part == 0:
            return
        fixed = sum(prune.layer_terms(x) * x.pixels for x in self.layers.values() if not x.prune)
        most = sum(x.grid.most_terms() * x.original.numel() * x.pixels for x in layers)
        if budget - fixed < 1:
            raise BadInput(
                f"{budget} terms a frame are fewer than the {fixed} of the layers that are not pruned",
                "terms_per_frame",
                f"allow more than {fixed}",
            )
        if not layers:
            return
        left = (budget - fixed) if part == 1 else most * ((budget - fixed) / most) ** part
        for name, caps in prune.allocate_terms(layers, left).items():
            self.layers[name].grid.cap(caps)

    def loss(self, own: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], outputs, y) -> torch.Tensor:
        """What `fit` lowers, beside the penalty: own(outputs, y)."""
        return own(outputs, y)

    def penalty(self) -> torch.Tensor:
        """What a training loop adds to its loss: ADMM's rho/2 |W - Z + U|^2 until `prune_until`, else 0."""
        if self.recipe.pruning is not None and self.done < self.recipe.prune_until:
            return self.recipe.pruning.penalty(self)
        return torch.zeros(())
