"""One set of float weights trained for several recipes at once: the modes of `hwgen.build(modes=...)`.

Joint training with distillation from mode to mode (Any-Precision DNN: Yu et al., AAAI 2021): the first mode learns the
labels, each other one the answers of the mode before it, and all move the same weights. What a batch norm of its own
would give a mode is what is left of one once it is folded: a factor and a bias of each output channel. The scale of a
layer's levels is a power of two, which DoReFa's mean magnitude is not.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx, nn

from hwgen.compress.convert import convert
from hwgen.compress.prepare import prepare
from hwgen.compress.prepared import Prepared
from hwgen.compress.recipe import Recipe
from hwgen.errors import BadInput


class PreparedModes(nn.Module):
    """A network under compression in several modes, which `fit` trains as it does a `Prepared`.

    modes -- a Prepared for each recipe. Their weights before grids are one tensor; factors of channels, biases, scales
    of weights and masks are each mode's own; activations are clipped alike, in levels of the mode's bits.
    forward gives the outputs side by side, [N, classes, modes].
    """

    def __init__(self, modes: Sequence[Prepared]):
        super().__init__()
        self.modes = nn.ModuleList(modes)
        for mode in modes[1:]:
            for name, layer in mode.layers.items():
                layer.module.parametrizations.weight.original = modes[0].layers[name].original
            for one, other in zip(modes[0].quantizers, mode.quantizers, strict=True):
                other.follow(one)
        for mode in modes:
            for layer in mode.layers.values():
                layer.grid.scaled_by_channel(layer.original)

    @property
    def recipe(self) -> Recipe:
        """The first mode's, whose `training` is that of all."""
        return self.modes[0].recipe  # type: ignore[return-value]

    @property
    def layers(self):
        return self.modes[0].layers

    @property
    def done(self) -> Tensor:
        return self.modes[0].done  # type: ignore[return-value]

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.stack([mode(*inputs) for mode in self.modes], dim=-1)

    def terms_per_frame(self) -> int:
        """Of all modes together."""
        return sum(mode.terms_per_frame() for mode in self.modes)  # type: ignore[operator]

    def step(self, done: float) -> None:
        for mode in self.modes:
            mode.step(done)  # type: ignore[operator]

    def penalty(self) -> Tensor:
        return sum((mode.penalty() for mode in self.modes), torch.zeros(()))  # type: ignore[operator]

    def loss(self, own: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, y: Tensor) -> Tensor:
        """own(first outputs, y), and for each other mode the cross entropy with the softmax of the mode before, which
        learns nothing from that."""
        found, teachers = own(outputs[..., 0], y), outputs.detach().softmax(1)
        for i in range(1, outputs.shape[-1]):
            found = found - (teachers[..., i - 1] * outputs[..., i].log_softmax(1)).sum(1).mean()
        return found


def prepare_modes(
    model: nn.Module, recipes: Sequence[Recipe], example_inputs: tuple[torch.Tensor, ...] | None = None
) -> PreparedModes:
    """A copy of `model` that trains under all recipes at once, that of the widest weights and activations first.

    Raises as `prepare`, and BadInput for recipes that search or count their terms, or are trained otherwise than the
    first.
    """
    if len(recipes) < 2:
        raise BadInput(f"{len(recipes)} recipe", "prepare_modes", "give one for each mode, or use prepare()")
    for number, recipe in enumerate(recipes):
        measures = recipe.pruning is not None and recipe.pruning.measures
        if measures or recipe.terms_per_frame is not None or recipe.accuracy_drop is not None:
            what = "it searches, or shares terms out"
            raise BadInput(what, f"the recipe of mode {number}", "give `pruning` with `zeros`, or none")
        if recipe.training != recipes[0].training or recipe.quantize_from != recipes[0].quantize_from:
            what = "its training or quantize_from is not that of mode 0"
            raise BadInput(what, f"the recipe of mode {number}", "all modes are trained at once: give it the same")
    return PreparedModes([prepare(model, recipe, example_inputs) for recipe in recipes])


def convert_modes(prepared: PreparedModes) -> list[fx.GraphModule]:
    """A plain module for each mode, as `convert` gives it, but of one structure: no filter is taken out."""
    return [convert(mode, compacted=False) for mode in prepared.modes]  # type: ignore[arg-type]
