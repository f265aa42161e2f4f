"""Brings a traced network to what the rest of compression knows: weights in layers of their own, batch norms folded,
attention and normalization in their parts. Every rewrite computes the same."""

import copy
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from hwgen.compress import modules
from hwgen.compress.modules import settle
from hwgen.compress.trace import (
    BATCH_NORMS,
    MOVES,
    TRANSPOSED,
    argument,
    call_counts,
    call_of,
    module_of,
    new_name,
    operands,
    plain,
    trace,
)
from hwgen.errors import HwgenError, UnsupportedLayer


def baked(model: nn.Module) -> nn.Module:
    """A copy that holds the values of parametrized and masked weights: weight_norm, spectral_norm, torch.nn.utils.prune
    and one's own."""
    kept = [value for module in model.modules() for value in vars(module).values() if isinstance(value, torch.Tensor)]
    copied = copy.deepcopy(model, {id(value): value.detach().clone() for value in kept})
    for module in copied.modules():
        if parametrize.is_parametrized(module):
            settle(module)
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(module, hook._tensor_name)
            elif type(hook).__name__ == "WeightNorm":
                nn.utils.remove_weight_norm(module, hook.name)
            elif type(hook).__name__ == "SpectralNorm":
                nn.utils.remove_spectral_norm(module, hook.name)
    return copied


def rewrite(network: fx.GraphModule, bits: int, example_inputs: tuple[torch.Tensor, ...] | None) -> list[HwgenError]:
    """Rewrites the network in place; what cannot be is told. bits -- of the results of norms and softmaxes."""
    obstacles: list[HwgenError] = []
    note_shapes(network, example_inputs)
    _fold_constants(network)
    known: set[fx.Node] = set()
    while left := [node for node in network.graph.nodes if node not in known]:
        for node in left:
            known.add(node)
            try:
                _rewrite(network, node, bits)
            except HwgenError as error:
                obstacles.append(type(error)(error.what, str(node.target), error.hint))
    _hold_constants(network)
    note_shapes(network, example_inputs)
    obstacles += fold_batch_norms(network)
    network.graph.eliminate_dead_code()
    network.delete_all_unused_submodules()
    _drop_unread(network)
    network.recompile()
    return obstacles


def _drop_unread(network: fx.GraphModule) -> None:
    """Parameters that forward() itself used, and that layers or constants hold now, are gone."""
    called = [str(node.target) for node in network.graph.nodes if node.op == "call_module"]
    read = {str(node.target) for node in network.graph.nodes if node.op == "get_attr"}
    for key in [key for key, _ in network.named_parameters(remove_duplicate=False)]:
        path, _, name = key.rpartition(".")
        if key not in read and not any(f"{path}.".startswith(f"{target}.") for target in called):
            delattr(network.get_submodule(path), name)


def note_shapes(network: fx.GraphModule, example_inputs: tuple[torch.Tensor, ...] | None) -> None:
    """Leaves the shape of every tensor that one node makes in its meta, if there is an example to look at."""

    class Looking(fx.Interpreter):
        def run_node(self, n):
            value = super().run_node(n)
            if isinstance(value, torch.Tensor):
                n.meta["shape"] = tuple(value.shape)
            return value

    if example_inputs is not None:
        with torch.no_grad(), suppress(Exception):  # whatever a network does: the check of the whole tells it
            Looking(network).run(*example_inputs)


def _rewrite(network: fx.GraphModule, node: fx.Node, bits: int) -> None:
    call, module = call_of(network, node), module_of(network, node)
    if isinstance(module, modules.PARTS):  # called a second time
        inline(network, node, module)
    elif call in PARTS and (parts := PARTS[call](network, node, bits)) is not None:
        inline(network, node, parts)
    elif call in ("max", "min") and _values_only(node):
        _greatest(network, node, call)
    elif call == "softmax" and not _is_last(network, node):
        dim = argument(node, "dim", 1) if module is None else getattr(module, "dim", -3)
        if dim is None:
            raise UnsupportedLayer("a softmax without a dimension", "", "give it dim")
        _to_module(network, node, modules.Shares(dim, bits))
    elif module is None and (layer := _layer(network, node, call)) is not None:
        _to_module(network, node, layer)
    elif module is not None and getattr(module, "inplace", False) and len(operands(node)[0].users) == 1:
        module.inplace = False


def _layer(network: fx.GraphModule, node: fx.Node, call: str) -> nn.Module | None:
    """The layer that a function makes of constants; dropout, so that it follows train() and eval()."""
    if call in LAYERS:
        return LAYERS[call](network, node)
    kind = DROPOUTS.get(getattr(node.target, "__name__", "").strip("_"))
    return kind(argument(node, "p", 1, 0.5)) if kind is not None else None


def _values_only(node: fx.Node) -> bool:
    """Whether of the greatest numbers and their places the numbers alone are read."""
    values = [user for user in node.users if user.args[1:] in ((0,), ("values",))]
    return bool(values) and len(values) == len(node.users) and argument(node, "dim", 1) is not None


def _greatest(network: fx.GraphModule, node: fx.Node, call: str) -> None:
    given = operands(node)[0], argument(node, "dim", 1), argument(node, "keepdim", 2, False)
    with network.graph.inserting_after(node):
        values = network.graph.call_function(getattr(torch, f"a{call}"), given)
    for user in list(node.users):
        user.replace_all_uses_with(values)
        network.graph.erase_node(user)
    network.graph.erase_node(node)


def _is_last(network: fx.GraphModule, node: fx.Node) -> bool:
    return all(
        user.op == "output" or (call_of(network, user) in MOVES and _is_last(network, user)) for user in node.users
    )


def _to_module(network: fx.GraphModule, node: fx.Node, module: nn.Module) -> None:
    """A call of a new module, with the first tensor that `node` reads, in its place."""
    name = new_name(network, str(node.target).replace(".", "_") if node.op == "call_module" else node.name)
    network.add_submodule(name, module)
    with network.graph.inserting_after(node):
        made = network.graph.call_module(name, tuple(operands(node)[:1]))
    node.replace_all_uses_with(made)
    network.graph.erase_node(node)


class _Call(nn.Module):
    """A call of `parts` with the arguments of a node, whose nodes are `given`."""

    def __init__(self, parts: nn.Module, arguments: tuple, given: list[fx.Node]):
        super().__init__()
        self.parts, self.arguments, self.given = parts, arguments, given

    def forward(self, *tensors):
        args, kwargs = fx.map_arg(self.arguments, lambda a: tensors[self.given.index(a)])
        return self.parts(*args, **kwargs)


def inline(network: fx.GraphModule, node: fx.Node, parts: nn.Module) -> None:
    """The graph of `parts`, a module that computes the same, in the place of `node`; under its name, if it has one."""
    if node.op == "call_module":
        name, given, arguments = str(node.target), node.all_input_nodes, (node.args, node.kwargs)
        network.set_submodule(name, parts)
    else:
        name, given = new_name(network, node.name), [a for a in operands(node) if a.op != "get_attr"]
        arguments = (tuple(given), {})
        network.add_submodule(name, parts)
    values: dict[fx.Node, fx.Node] = {}
    with network.graph.inserting_before(node):
        for own in trace(_Call(parts, arguments, given)).graph.nodes:
            if own.op == "output":
                _replace(network, node, fx.map_arg(own.args[0], values.__getitem__))
            elif own.op != "placeholder" and own.all_input_nodes and own.all_input_nodes[0].op == "placeholder":
                values[own] = given[own.args[1]]
            elif own.op != "placeholder":
                values[own] = network.graph.node_copy(own, values.__getitem__)
                stack = own.meta.get("nn_module_stack", {})
                values[own].meta["nn_module_stack"] = {
                    key: (name + path.removeprefix("parts"), kind) for key, (path, kind) in stack.items()
                }
                if own.op in ("call_module", "get_attr"):
                    values[own].target = name + str(own.target).removeprefix("parts")


def _replace(network: fx.GraphModule, node: fx.Node, result: Any) -> None:
    """`result` for the value of `node`: a node, or a tuple that is taken apart."""
    if isinstance(result, fx.Node):
        node.replace_all_uses_with(result)
    elif result is None and node.users:
        what = "an attention's weights or an LSTM's cell state are read"
        raise UnsupportedLayer(what, "", "read its other results alone")
    else:
        for user in list(node.users):
            _replace(network, user, result and result[argument(user, "index", 1)])
    network.graph.erase_node(node)


# constants


def constant_of(network: fx.GraphModule, node) -> Any:
    """The tensor of the network's own that a node stands for."""
    if not (isinstance(node, fx.Node) and node.op == "get_attr"):
        return None
    path, _, name = str(node.target).rpartition(".")
    return getattr(network.get_submodule(path), name)


def _fold_constants(network: fx.GraphModule) -> None:
    """Calls of nothing but the network's own tensors are taken by value."""
    for node in list(network.graph.nodes):
        folded = node.op in ("call_function", "call_method", "call_module") and node.all_input_nodes
        if not folded or any(constant_of(network, a) is None for a in node.all_input_nodes):
            continue
        with torch.no_grad():
            args, kwargs = fx.map_arg((node.args, node.kwargs), lambda a: constant_of(network, a))
            if node.op == "call_module":
                value = network.get_submodule(str(node.target))(*args, **kwargs)
            elif node.op == "call_method":
                value = getattr(args[0], str(node.target))(*args[1:], **kwargs)
            else:
                value = node.target(*args, **kwargs)
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            continue
        trains = any(constant_of(network, a).requires_grad for a in node.all_input_nodes)
        name = new_name(network, f"{node.all_input_nodes[0].target}".replace(".", "_"))
        network.register_parameter(name, nn.Parameter(value.detach().clone(), requires_grad=trains))
        with network.graph.inserting_after(node):
            made = network.graph.get_attr(name)
        node.replace_all_uses_with(made)
        network.graph.erase_node(node)


def of_host(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is the network's input as the host may give it: normalized by numbers and buffers."""
    if node.op == "placeholder":
        return True
    call, read = call_of(network, node), operands(node)
    constants = [a for a in read if a.op == "get_attr" and not constant_of(network, a).requires_grad]
    others = [a for a in read if a not in constants]
    normalizes = call in ("add", "sub", "rsub", "mul", "div", "truediv", "to", "float") or call in MOVES
    return normalizes and len(others) == 1 and of_host(network, others[0])


def _hold_constants(network: fx.GraphModule) -> None:
    """Tensors of the network's own that it computes with come from a module, so that they may train on a grid."""
    held: dict[str, str] = {}
    for node in list(network.graph.nodes):
        value = constant_of(network, node)
        if value is None or not value.is_floating_point() or all(of_host(network, user) for user in node.users):
            continue
        if node.target not in held:
            held[node.target] = new_name(network, str(node.target).replace(".", "_") + "_constant")
            network.add_submodule(held[node.target], modules.Constant(value))
        with network.graph.inserting_after(node):
            made = network.graph.call_module(held[node.target])
        node.replace_all_uses_with(made)
        network.graph.erase_node(node)


# functions that have weights: layers


def _weights(network: fx.GraphModule, node: fx.Node, *names: tuple[str, int]) -> list[Any] | None:
    """The constants of a call by (name, place); None if one of them is computed."""
    found = []
    for name, place in names:
        given = argument(node, name, place)
        value = constant_of(network, given)
        if given is not None and value is None:
            return None
        found.append(value)
    return found


def _linear(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    found = _weights(network, node, ("weight", 1), ("bias", 2))
    return None if found is None else modules.linear(*found)


def _product(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """x @ W, where W is a matrix."""
    if constant_of(network, node.args[0]) is not None:
        return None
    found = _weights(network, node, ("other", 1))
    return modules.linear(found[0].T, None) if found is not None and found[0].dim() == 2 else None


def _convolution(kind: Any) -> Callable:
    def make(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
        found = _weights(network, node, ("weight", 1), ("bias", 2))
        if found is None:
            return None
        weight, bias = found
        names = ("stride", "padding", "output_padding", "groups", "dilation")
        if kind not in TRANSPOSED:
            names = ("stride", "padding", "dilation", "groups")
        given = {name: argument(node, name, 3 + i) for i, name in enumerate(names)}
        given = {name: value for name, value in given.items() if value is not None}
        groups = given.get("groups", 1)
        outputs, inputs = weight.shape[0], weight.shape[1] * groups
        if kind in TRANSPOSED:
            outputs, inputs = weight.shape[1] * groups, weight.shape[0]
        made = kind(inputs, outputs, tuple(weight.shape[2:]), bias=bias is not None, dtype=weight.dtype, **given)
        made.weight = nn.Parameter(weight.detach().clone())
        if bias is not None:
            made.bias = nn.Parameter(bias.detach().clone())
        return made

    return make


def _by_rank(*kinds: type[nn.Module]) -> Callable:
    def make(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
        weight = constant_of(network, argument(node, "weight", 1))
        return None if weight is None else _convolution(kinds[weight.dim() - 3])(network, node)

    return make


def _batch_norm(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    names = ("running_mean", "running_var", "weight", "bias")
    found = _weights(network, node, *((name, 1 + i) for i, name in enumerate(names)))
    if found is None or found[0] is None:
        return None
    norm = nn.BatchNorm2d(len(found[0]), argument(node, "eps", 7, 1e-5), dtype=found[0].dtype)
    for name, value in zip(names, found, strict=True):
        if value is not None:
            getattr(norm, name).data = value.detach().clone()
    return norm.eval()


def _prelu(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    found = _weights(network, node, ("weight", 1))
    if found is None:
        return None
    made = nn.PReLU(found[0].numel())
    made.weight = nn.Parameter(found[0].detach().clone().flatten())
    return made


LAYERS: dict[str, Callable[[fx.GraphModule, fx.Node], nn.Module | None]] = {
    "linear": _linear,
    "matmul": _product,
    "mm": _product,
    "conv": _by_rank(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    "convtranspose": _by_rank(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    "batchnorm": _batch_norm,
    "prelu": _prelu,
}
DROPOUTS: dict[str, type[nn.Module]] = {
    "dropout": nn.Dropout,
    "dropout1d": nn.Dropout1d,
    "dropout2d": nn.Dropout2d,
    "dropout3d": nn.Dropout3d,
    "feature_dropout": nn.Dropout2d,
    "alpha_dropout": nn.AlphaDropout,
    "feature_alpha_dropout": nn.FeatureAlphaDropout,
}


# layers in their parts


def _layer_norm(network: fx.GraphModule, node: fx.Node, bits: int) -> nn.Module | None:
    module = module_of(network, node)
    if isinstance(module, nn.LayerNorm):
        return modules.LayerNorm(tuple(module.normalized_shape), module.weight, module.bias, module.eps, bits)
    found = _weights(network, node, ("weight", 2), ("bias", 3))
    if found is None:
        return None
    weight, bias = found
    shape = tuple(argument(node, "normalized_shape", 1))
    return modules.LayerNorm(shape, weight, bias, argument(node, "eps", 4, 1e-5), bits)


def _group_norm(network: fx.GraphModule, node: fx.Node, bits: int) -> nn.Module | None:
    module, shape = module_of(network, node), node.meta.get("shape")
    if module is None or getattr(module, "track_running_stats", False) or shape is None:
        return None
    groups = module.num_groups if isinstance(module, nn.GroupNorm) else module.num_features
    return modules.GroupNorm(module, math.prod(shape[1:]) // groups, bits)


def _of(kind: type[nn.Module], make: Callable[..., nn.Module]) -> Callable:
    """`make` of the module that a node calls, if it is a `kind`."""

    def parts(network: fx.GraphModule, node: fx.Node, bits: int) -> nn.Module | None:
        module = module_of(network, node)
        return make(module) if isinstance(module, kind) else None

    return parts


def _recurrent(network: fx.GraphModule, node: fx.Node, bits: int) -> nn.Module | None:
    """A cell that begins with zeros."""
    for state in operands(node)[1:]:
        while call_of(network, state) in MOVES and operands(state):
            state = operands(state)[0]
        if call_of(network, state) not in ("zeros", "newzeros", "zeroslike"):
            raise UnsupportedLayer("a recurrent layer with a state that is given", "", "let it begin with zeros")
    return modules.Recurrent(module_of(network, node), bits)


def _scaled_dot_product(network: fx.GraphModule, node: fx.Node, bits: int) -> nn.Module | None:
    if argument(node, "attn_mask", 3) is not None or argument(node, "is_causal", 5, False):
        raise UnsupportedLayer("attention with a mask", "", "leave the mask out")
    if node.kwargs.get("enable_gqa"):
        raise UnsupportedLayer("attention with grouped queries", "", "repeat keys and values")
    return modules.ScaledDotProduct(argument(node, "scale", 6), argument(node, "dropout_p", 4, 0.0))


def _slopes(network: fx.GraphModule, node: fx.Node, bits: int) -> nn.Module | None:
    module = module_of(network, node)
    several = isinstance(module, nn.PReLU) and module.num_parameters > 1
    return modules.PReLU(module.weight) if several else None


PARTS: dict[str, Callable[[fx.GraphModule, fx.Node, int], nn.Module | None]] = {
    "layernorm": _layer_norm,
    "groupnorm": _group_norm,
    "instancenorm": _group_norm,
    "lstm": _recurrent,
    "gru": _recurrent,
    "rnn": _recurrent,
    "multiheadattention": _of(nn.MultiheadAttention, modules.Attention),
    "transformerencoderlayer": _of(nn.TransformerEncoderLayer, modules.EncoderLayer),
    "transformerencoder": _of(nn.TransformerEncoder, modules.Encoder),
    "scaleddotproductattention": _scaled_dot_product,
    "prelu": _slopes,
}


# batch norms


def fold_batch_norms(network: fx.GraphModule) -> list[HwgenError]:
    """Folds each batch norm into the layer before it, or makes it a scale and a shift; the others are told."""
    calls, obstacles = call_counts(network), []
    for node in list(network.graph.nodes):
        norm = module_of(network, node)
        if not isinstance(norm, BATCH_NORMS):
            continue
        if norm.running_mean is None:
            obstacles.append(
                UnsupportedLayer(
                    "the batch norm has no running statistics", str(node.target), "track_running_stats=True"
                )
            )
            continue
        if norm.weight is None:  # torch's fuse_linear_bn_eval asks for one
            norm.weight = nn.Parameter(torch.ones_like(norm.running_mean))
            norm.bias = nn.Parameter(torch.zeros_like(norm.running_mean))
        before = operands(node)[0]
        scale, shift = _scale_and_shift(norm)
        if _folds(network, before, norm) and calls[before.target] == 1:
            network.set_submodule(str(before.target), _fused(module_of(network, before), norm))
            node.replace_all_uses_with(before)
            network.graph.erase_node(node)
        else:
            network.set_submodule(str(node.target), modules.Affine(scale, shift))
    return obstacles


def _scale_and_shift(norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """What a batch norm does in eval mode."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def _folds(network: fx.GraphModule, before: fx.Node, norm) -> bool:
    layer = module_of(network, before)
    if not plain(layer) or len(before.users) > 1:
        return False
    if isinstance(layer, nn.Linear):
        return layer.out_features == norm.num_features and len(before.meta.get("shape", (1, 1))) == 2
    return layer.out_channels == norm.num_features


def _fused(layer, norm) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return fuse_linear_bn_eval(layer.eval(), norm.eval())
    return fuse_conv_bn_eval(layer.eval(), norm.eval(), transpose=isinstance(layer, TRANSPOSED))
