"""A network under compression: when it prunes, when it quantizes, what it still owes."""

import torch
from torch import fx, nn

from hwgen.compress import admm, prune
from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.prune import Layer
from hwgen.compress.recipe import ADMM, FilterSimilarity, Magnitude, NofM, Recipe
from hwgen.errors import BadInput


class Prepared(nn.Module):
    """A network under compression: what `prepare` gives, `fit` or your own loop trains, and `convert` ends.

    Your own loop: call `step(done)` before each batch, done from 0 to 1 over the whole training, and add `penalty()` to
    the loss. `network` is the torch.fx module that computes; `layers` the compressed layers by name, in the network's
    order. All state is in the state_dict.
    """

    def __init__(self, network: fx.GraphModule, layers: list[Layer], recipe: Recipe):
        super().__init__()
        self.network, self.recipe = network, recipe
        self.layers = {layer.name: layer for layer in layers}
        if isinstance(recipe.pruning, ADMM):
            self.admm = admm.State({name: layer.original for name, layer in self.layers.items() if layer.prune})
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
        shared = all(bool(layer.grid.capped) for layer in self._prunable().values())
        return not shared or (done == 1 and self.terms_per_frame() > budget)

    @torch.no_grad()
    def quantize(self) -> None:
        """Puts weights, biases and activations on their grids, from now on. The next batch calibrates activations."""
        for layer in self.layers.values():
            if not layer.grid.on_grid:
                layer.grid.to_grid(layer.original)
            if layer.bias_grid is not None:
                layer.bias_grid.on_grid.fill_(True)
        for quantizer in self.quantizers:
            quantizer.start()

    def _prunable(self) -> dict[str, Layer]:
        return {name: layer for name, layer in self.layers.items() if layer.prune}

    def _prune(self, part: float, done: float) -> None:
        method, layers = self.recipe.pruning, self._prunable()
        regrow = part < 1 and not (isinstance(method, Magnitude) and not method.regrow)
        for layer in layers.values():
            layer.grid.regrow.fill_(regrow and method is not None and not isinstance(method, ADMM))
        own = {name: layer.zeros * part for name, layer in layers.items() if layer.zeros is not None}
        weights = {name: layer.original for name, layer in layers.items()}
        if isinstance(method, Magnitude):
            self._keep(prune.magnitude_masks(weights, method.zeros * part, own, method.scope))
        elif isinstance(method, NofM) and part == 1:
            self._keep({name: prune.n_of_m_mask(w, method.n, method.m) for name, w in weights.items()})
        elif isinstance(method, FilterSimilarity):
            self.keep_filters(
                {
                    name: prune.filter_mask(layer.original, own.get(name, method.filters * part))
                    for name, layer in layers.items()
                    if not layer.last
                }
            )
        elif isinstance(method, ADMM):
            self.admm.advance(self, done)
            if part == 1:
                self._keep(self.admm.masks())
        elif self.recipe.terms_per_frame is not None:
            self.limit_terms(self.recipe.terms_per_frame, part)

    def _keep(self, masks: dict[str, torch.Tensor]) -> None:
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
        layers = list(self._prunable().values())
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

    def penalty(self) -> torch.Tensor:
        """What a training loop adds to its loss: ADMM's rho/2 |W - Z + U|^2 until `prune_until`, else 0."""
        if isinstance(self.recipe.pruning, ADMM) and self.done < self.recipe.prune_until:
            return self.admm.penalty(self)
        return torch.zeros(())
