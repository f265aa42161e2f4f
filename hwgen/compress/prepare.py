"""From a float network to one that trains under a recipe: rewritten, quantizers put in, weights parametrized."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils import parametrize

from hwgen.compress import check
from hwgen.compress.compact import depthwise
from hwgen.compress.decompose import decompose
from hwgen.compress.epitome import expand, shrink
from hwgen.compress.modules import OWN_WEIGHTS, Steps
from hwgen.compress.pools import pool_of, reorder_pools
from hwgen.compress.prepared import Prepared
from hwgen.compress.price import format_arguments, layer_break_even
from hwgen.compress.prune import Layer
from hwgen.compress.quantizers import insert_quantizers
from hwgen.compress.recipe import LayerRecipe, Recipe, layer_recipes
from hwgen.compress.rewrite import baked, note_shapes, rewrite
from hwgen.compress.trace import TRANSPOSED, WEIGHTED, call_counts, maker, module_of, trace
from hwgen.compress.weights import BiasGrid, WeightGrid
from hwgen.errors import BadInput, HwgenError, Obstacles, UnsupportedLayer

SCALE_BITS = 8  # of a factor for a whole channel, with its sign


def prepare(model: nn.Module, recipe: Recipe, example_inputs: tuple[torch.Tensor, ...] | None = None) -> Prepared:
    """A copy of `model` that trains under `recipe`; `model` stays as it is.

    With example_inputs, a tuple of tensors [1, ...], everything that `hwgen.build` would refuse afterwards is found
    now; without, weights that would be left in float alone.

    Parametrized and masked weights are taken by value. Batch norms are folded into the layer before them, with their
    running statistics, or become a scale and a shift; attention and norms are taken apart. A quantizer is put behind
    every tensor that reaches a layer with weights, a sum or a product, and on both sides of a function of one
    activation, which becomes a table; ActQuants that are there already stay as they are.

    The model is traced by torch.fx. Raises BadInput for a recipe's pattern that matches nothing, UnsupportedLayer for
    what cannot be traced or built, Obstacles for several such layers: all are named at once.
    """
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        raise BadInput("the model is not on the CPU", type(model).__name__, "model.cpu(): compression trains there")
    network, obstacles = _traced(model, recipe, example_inputs)
    between = decompose(network, recipe.decompose)
    note_shapes(network, example_inputs)
    if recipe.reorder_pools:
        reorder_pools(network)
    nodes = {node: name for node in network.graph.nodes if (name := _layer_of(network, node)) is not None}
    names = list(dict.fromkeys(nodes.values()))
    if not names and not obstacles:
        raise UnsupportedLayer(
            "the model has no layer with weights", type(model).__name__, "use Conv1d, Conv2d, Linear"
        )
    modules: dict[str, Any] = {name: network.get_submodule(name) for name in names}
    plan = layer_recipes(recipe, {name: len(module.weight) for name, module in modules.items()})
    for name, bits in between.items():
        plan[name] = replace(plan[name], input_bits=plan[name].input_bits or bits)
    insert_quantizers(network, recipe, {node: plan[name].input_bits for node, name in nodes.items()})
    if example_inputs is not None:
        top = max((f.magnitudes()[-1] for own in plan.values() for f in own.formats), default=1)
        obstacles += check.but_at(check.before_training(network, top, example_inputs), obstacles)
    if obstacles:
        raise Obstacles.of(obstacles)
    _hold_to_grids(network, recipe)
    layers = [_compressed(name, modules[name], plan[name], recipe, names) for name in names]
    for node, name in nodes.items():
        if depthwise(modules[name]):
            layers[names.index(name)].follows = maker(network, node)
    for layer in layers:
        layer.filters &= not isinstance(_parent(network, layer.name), Steps)
        (node,) = [node for node, name in nodes.items() if name == layer.name][:1]
        _observe(layer, network, pool_of(network, node))
    return Prepared(network, layers, recipe)


def _layer_of(network: fx.GraphModule, node: fx.Node) -> str | None:
    """The layer with weights that a node calls, or holds the recurrent weights of."""
    module = module_of(network, node)
    if isinstance(module, Steps):
        return f"{node.target}.hidden"
    return str(node.target) if isinstance(module, WEIGHTED) else None


def _parent(network: fx.GraphModule, name: str) -> nn.Module:
    return network.get_submodule(name.rpartition(".")[0])


def _traced(
    model: nn.Module, recipe: Recipe, example_inputs: tuple[torch.Tensor, ...] | None
) -> tuple[fx.GraphModule, list[HwgenError]]:
    """The rewritten copy, and what is in the way of compressing it."""
    try:
        network = trace(baked(model))
    except UnsupportedLayer as error:
        found = check.refused(model, example_inputs) if example_inputs is not None else []
        others: list[HwgenError] = [e for e in found if isinstance(e, BadInput | UnsupportedLayer)]
        raise Obstacles.of([error, *check.but_at(others, [error])]) from error
    obstacles = rewrite(network, recipe.activation_bits, example_inputs)
    return network, [*obstacles, *check.but_at(check.left_out(network), obstacles), *_bad_weights(network)]


def _hold_to_grids(network: fx.GraphModule, recipe: Recipe) -> None:
    """Scales, shifts and other tensors of the network's own that are no layer's weights."""
    for module in list(network.modules()):
        if isinstance(module, OWN_WEIGHTS):
            for name, parameter in list(module.named_parameters(recurse=False)):
                factor = name == "weight"
                grid = BiasGrid(parameter, SCALE_BITS if factor else recipe.bias_bits, each=factor)
                parametrize.register_parametrization(module, name, grid)


def _compressed(name: str, module: Any, own: LayerRecipe, recipe: Recipe, names: list[str]) -> Layer:
    """A layer, its weights and biases parametrized."""
    last = name == names[-1]
    prune = own.prune and _pays(module, own, recipe, name == names[0])
    whole = not isinstance(module, TRANSPOSED) and own.epitome is None
    layer = Layer(name, module, prune, own.zeros, last, filters=whole)
    if own.epitome is not None:
        layer.times = own.epitome.times
        shrink(module, own.epitome, name)
        own = replace(own, formats=own.formats[: len(module.weight)])
    grid = WeightGrid(
        module.weight,
        list(own.formats),
        per_channel=own.granularity == "channel",
        scale=own.scale,
        gradient=recipe.gradient,
    )
    parametrize.register_parametrization(module, "weight", grid)
    if module.bias is not None:
        parametrize.register_parametrization(module, "bias", BiasGrid(module.bias, recipe.bias_bits))
    if own.epitome is not None:
        expand(module, own.epitome)
    return layer


def _pays(module: nn.Module, own: LayerRecipe, recipe: Recipe, first: bool) -> bool:
    """Whether the zeros that are asked of the layer reach its break-even: no slower than a dense engine of its size."""
    zeros = own.zeros if own.zeros is not None else getattr(recipe.pruning, "zeros", None)
    if not recipe.break_even or zeros is None:
        return True
    bits = own.input_bits or (recipe.input_bits if first else recipe.activation_bits)
    formats = [format_arguments(f.magnitudes()) for f in set(own.formats)]
    return all(zeros >= layer_break_even(module, input_bits=bits, **f).throughput for f in formats)


def _observe(layer: Layer, network: fx.GraphModule, pool: Callable[[torch.Tensor], torch.Tensor] | None) -> None:
    """Notes the layer's pixels when a batch passes, and the squares of its weights' gradients.

    pool -- where it alone reads the layer's sums, and so the weights' terms are of its pixels
    """
    steps = _parent(network, layer.name)
    recurrent, transposed = isinstance(steps, Steps), isinstance(layer.module, TRANSPOSED)

    def note_pixels(module: Any, inputs, output):  # a copy's hook counts for the copy, so not layer.grid
        if recurrent:  # each weight meets the state once a step
            module.hidden.parametrizations.weight[0].pixels.add_(output.shape[1])
        elif transposed:  # each weight meets each pixel of the input
            module.parametrizations.weight[0].pixels.add_(inputs[0][0, 0].numel())
        else:
            made = output[:1].detach() if pool is None else pool(output[:1].detach())
            module.parametrizations.weight[0].pixels.add_(made.numel() // len(module.weight))

    def note_gradient(parameter):
        layer.grid.fisher.lerp_(parameter.grad.square(), 0.01)

    called = steps if recurrent else layer.module
    called.register_forward_hook(note_pixels)
    layer.original.register_post_accumulate_grad_hook(note_gradient)


def _bad_weights(network: fx.GraphModule) -> list[HwgenError]:
    """Layers whose weights cannot be trained."""
    found: list[HwgenError] = []
    for name in call_counts(network):
        module = network.get_submodule(str(name))
        finite = all(bool(torch.isfinite(p).all()) for p in module.parameters())
        if isinstance(module, (*WEIGHTED, *OWN_WEIGHTS)) and not finite:
            found.append(BadInput("the layer has weights or biases that are not finite", str(name), "train it again"))
    return found
