"""From a float network to one that trains under a recipe: batch norms folded, quantizers in, weights parametrized."""

import copy
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from hwgen.compress import check
from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.compact import depthwise
from hwgen.compress.prepared import Prepared
from hwgen.compress.price import format_arguments, layer_break_even
from hwgen.compress.prune import Layer
from hwgen.compress.recipe import LayerRecipe, Recipe, layer_recipes
from hwgen.compress.trace import (
    ADD_CALLS,
    AVERAGE_CALLS,
    AVERAGES,
    BATCH_NORMS,
    FUNCTION_CALLS,
    FUNCTIONS,
    MAXIMA,
    MAXIMUM_CALLS,
    MOVE_CALLS,
    MOVES,
    RELU_CALLS,
    RELUS,
    WEIGHTED,
    call_counts,
    is_one_of,
    maker,
    module_of,
    moved,
    new_name,
    plain,
    tensors,
    trace,
)
from hwgen.compress.weights import BiasGrid, WeightGrid
from hwgen.errors import BadInput, HwgenError, Obstacles, UnsupportedLayer
from hwgen.nn import ActQuant
from hwgen.ops.lookup import TABLE_BITS


def prepare(model: nn.Module, recipe: Recipe, example_inputs: tuple[torch.Tensor, ...] | None = None) -> Prepared:
    """A copy of `model` that trains under `recipe`; `model` stays as it is.

    With example_inputs, a tuple with one tensor [1, ...], everything that `hwgen.build` would refuse afterwards is
    found now; without, weights that would be left in float alone.

    Batch norms are folded into the layer before them, with their running statistics, and the folded weights train. A
    quantizer is put behind every tensor that reaches a layer with weights, an average pool, an addition or a function
    of one activation, which becomes a table; ActQuants that are there already stay as they are.

    The model is traced by torch.fx; weights must be in Conv1d, Conv2d and Linear modules. Raises BadInput for a
    recipe's pattern that matches nothing, UnsupportedLayer for what cannot be traced, folded or built, Obstacles for
    several such layers: all are named at once.
    """
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        raise BadInput("the model is not on the CPU", type(model).__name__, "model.cpu(): compression trains there")
    network = _checked(model, example_inputs)
    nodes = [node for node in network.graph.nodes if isinstance(module_of(network, node), WEIGHTED)]
    names = list(dict.fromkeys(node.target for node in nodes))
    if not names:
        raise UnsupportedLayer(
            "the model has no layer with weights", type(model).__name__, "use Conv1d, Conv2d, Linear"
        )
    modules: dict[str, Any] = {name: network.get_submodule(name) for name in names}
    plan = layer_recipes(recipe, {name: len(module.weight) for name, module in modules.items()})
    bits = {node: plan[node.target].input_bits for node in nodes}
    _insert_quantizers(network, recipe, bits)
    if example_inputs is not None:
        top = max(f.magnitudes()[-1] for own in plan.values() for f in own.formats)
        if obstacles := check.off_grid(network, top, example_inputs):
            raise Obstacles.of(obstacles)
    layers = []
    for name, module in modules.items():
        own = plan[name]
        layers.append(
            Layer(
                name,
                module,
                own.prune and _pays(module, own, recipe, name == names[0]),
                own.zeros,
                last=name == names[-1],
            )
        )
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
        _observe(layers[-1])
    for node in nodes:
        if depthwise(modules[node.target]):
            layers[names.index(node.target)].follows = maker(network, node)
    return Prepared(network, layers, recipe)


def _checked(model: nn.Module, example_inputs: tuple[torch.Tensor, ...] | None) -> fx.GraphModule:
    """The traced copy with its batch norms folded; raises all that is in the way of compressing it."""
    obstacles: list[HwgenError] = []
    network = None
    try:
        network = trace(copy.deepcopy(model))
    except UnsupportedLayer as error:
        obstacles.append(error)
    if network is not None:
        obstacles += [*check.left_out(network), *_fold_batch_norms(network), *_bad_weights(network)]
    if example_inputs is not None:
        obstacles += check.but_at(check.refused(model, example_inputs), obstacles)
    if network is None or obstacles:
        raise Obstacles.of(obstacles)
    return network


def _pays(module: nn.Module, own: LayerRecipe, recipe: Recipe, first: bool) -> bool:
    """Whether the zeros that are asked of the layer reach its break-even: no slower than a dense engine of its size."""
    zeros = own.zeros if own.zeros is not None else getattr(recipe.pruning, "zeros", None)
    if not recipe.break_even or zeros is None:
        return True
    bits = own.input_bits or (recipe.input_bits if first else recipe.activation_bits)
    formats = [format_arguments(f.magnitudes()) for f in set(own.formats)]
    return all(zeros >= layer_break_even(module, input_bits=bits, **f).throughput for f in formats)


def _observe(layer: Layer) -> None:
    """Notes the layer's pixels when a batch passes, and the squares of its weights' gradients."""

    def note_pixels(module: Any, inputs, output):  # a copy's hook counts for the copy, so not layer.grid
        grid = module.parametrizations.weight[0]
        grid.pixels.add_(1 if isinstance(module, nn.Linear) else output[0, 0].numel())

    def note_gradient(parameter):
        layer.grid.fisher.lerp_(parameter.grad.square(), 0.01)

    layer.module.register_forward_hook(note_pixels)
    layer.original.register_post_accumulate_grad_hook(note_gradient)


def _fold_batch_norms(network: fx.GraphModule) -> list[HwgenError]:
    """Folds each batch norm into the layer before it; those that cannot be are told."""
    calls, obstacles = call_counts(network), []
    for node in list(network.graph.nodes):
        norm = module_of(network, node)
        if not isinstance(norm, BATCH_NORMS):
            continue
        before = tensors(node)[0]
        layer = module_of(network, before)
        alone = len(before.users) == 1 and calls[before.target] == 1
        statistics = norm.running_mean is not None
        if not (alone and statistics and plain(layer) and norm.num_features == len(layer.weight)):
            obstacles.append(
                UnsupportedLayer(
                    "the batch norm does not follow a layer with weights that it can be folded into",
                    node.target,
                    "put it right behind a Conv or Linear of as many channels, called once, with running statistics",
                )
            )
            continue
        if norm.weight is None:  # torch's fuse_linear_bn_eval asks for one
            norm.weight = nn.Parameter(torch.ones(norm.num_features, dtype=layer.weight.dtype))
            norm.bias = nn.Parameter(torch.zeros(norm.num_features, dtype=layer.weight.dtype))
        if isinstance(layer, nn.Linear):
            fused = fuse_linear_bn_eval(layer.eval(), norm.eval())
        else:
            fused = fuse_conv_bn_eval(layer.eval(), norm.eval())
        network.set_submodule(str(before.target), fused)
        node.replace_all_uses_with(before)
        network.graph.erase_node(node)
    network.delete_all_unused_submodules()
    network.recompile()
    return obstacles


def _bad_weights(network: fx.GraphModule) -> list[HwgenError]:
    """Layers whose weights cannot be trained by themselves."""
    found: list[HwgenError] = []
    seen: dict[int, str] = {}
    for name in call_counts(network):
        module = network.get_submodule(name)
        if not isinstance(module, WEIGHTED):
            continue
        if parametrize.is_parametrized(module):
            found.append(UnsupportedLayer("the layer is parametrized already", name, "remove_parametrizations() first"))
            continue
        if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
            found.append(BadInput("the layer has weights or biases that are not finite", name, "train it again"))
        if id(module.weight) in seen:
            what = f"the layer shares its weights with {seen[id(module.weight)]}"
            found.append(UnsupportedLayer(what, name, "copy them"))
        seen[id(module.weight)] = name
    return found


def _insert_quantizers(network: fx.GraphModule, recipe: Recipe, input_bits: dict[fx.Node, int | None]) -> None:
    """A LearnedActQuant behind every source of a tensor that must be integers, where it is not quantized already."""
    quantized: set[fx.Node] = set()
    nodes = list(network.graph.nodes)
    asking = [
        node
        for node in nodes
        if is_one_of(network, node, (*WEIGHTED, *AVERAGES, *FUNCTIONS), AVERAGE_CALLS | FUNCTION_CALLS)
        or (is_one_of(network, node, (), ADD_CALLS) and len(tensors(node)) == 2)
    ]
    asked = {_source(network, tensor, quantized) for node in asking for tensor in tensors(node)}
    for node in nodes:
        module = module_of(network, node)
        if node in asking:
            for tensor in tensors(node):
                source = _source(network, tensor, quantized)
                # the greatest of quantized numbers are quantized
                before = source
                while before not in quantized and is_one_of(
                    network, before, (*MOVES, *MAXIMA), MOVE_CALLS | MAXIMUM_CALLS
                ):
                    before = tensors(before)[0]
                    source = before if before in asked else source
                if source in quantized or any(user in quantized for user in source.users):
                    continue
                of_network = _of_input(network, source)
                bits = input_bits.get(node) or (recipe.input_bits if of_network else recipe.activation_bits)
                if is_one_of(network, node, FUNCTIONS, FUNCTION_CALLS):
                    bits = min(bits, TABLE_BITS)
                signed = None if of_network else not _never_negative(network, source)
                name = new_name(network, f"quant_{source.name.strip('_')}")
                network.add_submodule(name, LearnedActQuant(bits, signed, learned=not of_network))
                with network.graph.inserting_after(source):
                    quantizer = network.graph.call_module(name)
                source.replace_all_uses_with(quantizer)
                quantizer.args = (source,)
                quantized.add(quantizer)
                quantized.update(moved(network, quantizer))
        if isinstance(module, ActQuant) or (
            is_one_of(network, node, (*MOVES, *MAXIMA), MOVE_CALLS | MAXIMUM_CALLS) and tensors(node)[0] in quantized
        ):
            quantized.add(node)
    network.recompile()


def _source(network: fx.GraphModule, node: fx.Node, quantized: set) -> fx.Node:
    """Where the numbers of `node` were made: before flattening and the like."""
    while node not in quantized and is_one_of(network, node, MOVES, MOVE_CALLS):
        node = tensors(node)[0]
    return node


def _of_input(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the numbers are the network's input, or the greatest or averages of it."""
    pools = (*MOVES, *MAXIMA, *AVERAGES), MOVE_CALLS | MAXIMUM_CALLS | AVERAGE_CALLS
    while is_one_of(network, node, *pools) or isinstance(module_of(network, node), LearnedActQuant):
        node = tensors(node)[0]
    return node.op == "placeholder"


def _never_negative(network: fx.GraphModule, node: fx.Node) -> bool:
    if is_one_of(network, node, RELUS, RELU_CALLS):
        return True
    same_sign = (*MOVES, *MAXIMA, *AVERAGES), MOVE_CALLS | MAXIMUM_CALLS | AVERAGE_CALLS
    if is_one_of(network, node, *same_sign):
        return _never_negative(network, tensors(node)[0])
    if isinstance(quantizer := module_of(network, node), LearnedActQuant):
        return quantizer.may_be_signed is False
    if isinstance(quantizer, ActQuant):
        return not quantizer.signed
    if is_one_of(network, node, (), ADD_CALLS):
        return all(_never_negative(network, side) for side in tensors(node))
    return False
