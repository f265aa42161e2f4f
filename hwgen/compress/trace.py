"""The network as a torch.fx graph: which nodes hold weights, which only move numbers."""

import operator
from collections import Counter
from typing import TypeGuard

import torch
from torch import fx, nn

import hwgen.nn
from hwgen.compress.activations import LearnedActQuant
from hwgen.errors import UnsupportedLayer
from hwgen.ops.lookup import FUNCTIONS as LOOKUPS

Weighted = nn.Conv1d | nn.Conv2d | nn.Linear
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, hwgen.nn.AvgPool2d)
RELUS = (nn.ReLU, nn.ReLU6)
# functions of one activation, which become tables between two quantizers
FUNCTIONS = (
    *(
        nn.CELU,
        nn.ELU,
        nn.GELU,
        nn.Hardshrink,
        nn.Hardsigmoid,
        nn.Hardswish,
        nn.LeakyReLU,
        nn.LogSigmoid,
        nn.Mish,
        nn.SELU,
    ),
    *(nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softshrink, nn.Tanh, nn.Threshold),
)
# the same numbers, elsewhere, zeros around them
MOVES = (nn.Flatten, nn.Dropout, nn.Dropout2d, nn.Identity, nn.ZeroPad2d)
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d)
RELU_CALLS = {torch.relu, torch.relu_, nn.functional.relu, nn.functional.relu6, "relu", "relu_"}
FUNCTION_CALLS = {getattr(home, name) for name in LOOKUPS for home in (torch, nn.functional) if hasattr(home, name)} | {
    "abs",
    "exp",
    "sigmoid",
    "sign",
    "sqrt",
    "square",
    "tanh",
    nn.functional.logsigmoid,
}
MOVE_CALLS = {torch.flatten, nn.functional.dropout, "flatten", "view", "reshape"}
MAXIMUM_CALLS = {nn.functional.max_pool2d, nn.functional.max_pool1d, torch.max_pool2d, torch.max_pool1d}
AVERAGE_CALLS = {nn.functional.avg_pool2d, nn.functional.avg_pool1d, nn.functional.adaptive_avg_pool2d}
ADD_CALLS = {operator.add, operator.iadd, torch.add, "add", "add_"}


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m, module_qualified_name):
        own = isinstance(m, (hwgen.nn.ActQuant, hwgen.nn.AvgPool2d)) or plain(m)
        return own or super().is_leaf_module(m, module_qualified_name)


def plain(module: nn.Module | None) -> TypeGuard[Weighted]:
    """Whether a module is a Conv1d, Conv2d or Linear, or of a subclass that computes as these do."""
    kind = next((kind for kind in WEIGHTED if isinstance(module, kind)), None)
    return kind is not None and all(
        getattr(type(module), call, None) is getattr(kind, call, None) for call in ("forward", "_conv_forward")
    )


def trace(model: nn.Module) -> fx.GraphModule:
    """The model's graph over its own modules; raises UnsupportedLayer for a forward() that torch.fx cannot follow."""
    try:
        network = fx.GraphModule(model, _Tracer().trace(model), type(model).__name__)
    except Exception as error:  # whatever the user's forward does under tracing
        first = (str(error).splitlines() or [""])[0]
        raise UnsupportedLayer(
            f"torch.fx cannot trace the model: {type(error).__name__}: {first}",
            type(model).__name__,
            "no control flow that depends on the data in forward()",
        ) from error
    _dropouts_to_modules(network)
    return network


def _dropouts_to_modules(network: fx.GraphModule) -> None:
    """Tracing has fixed the `training` of a functional dropout; a module's follows train() and eval()."""
    for node in list(network.graph.nodes):
        if node.op == "call_function" and node.target is nn.functional.dropout:
            p = node.kwargs.get("p", node.args[1] if len(node.args) > 1 else 0.5)
            name = new_name(network, node.name)
            network.add_submodule(name, nn.Dropout(p))
            with network.graph.inserting_after(node):
                module = network.graph.call_module(name, (tensors(node)[0],))
            node.replace_all_uses_with(module)
            network.graph.erase_node(node)
    network.recompile()


def new_name(network: fx.GraphModule, name: str) -> str:
    """`name`, or with a number behind it, as no module of the network is called."""
    found, count = name, 0
    while hasattr(network, found):
        count += 1
        found = f"{name}_{count}"
    return found


def call_counts(network: fx.GraphModule) -> Counter:
    """How often the network calls each module, by name."""
    return Counter(node.target for node in network.graph.nodes if node.op == "call_module")


def module_of(network: fx.GraphModule, node) -> nn.Module | None:
    called = isinstance(node, fx.Node) and node.op == "call_module"
    return network.get_submodule(str(node.target)) if called else None


def is_one_of(network: fx.GraphModule, node: fx.Node, modules: tuple, calls: set) -> bool:
    if node.op == "call_module":
        return isinstance(network.get_submodule(str(node.target)), modules)
    return node.op in ("call_function", "call_method") and node.target in calls


def tensors(node: fx.Node) -> list[fx.Node]:
    """The node's tensor inputs: an addition has two, all else one."""
    arguments = node.args[:2] if node.args else (node.kwargs["input"],)
    return [a for a in arguments if isinstance(a, fx.Node)]


def moved(network: fx.GraphModule, node: fx.Node):
    """The nodes that only move the numbers of `node`, or choose among them."""
    for user in node.users:
        if is_one_of(network, user, (*MOVES, *MAXIMA), MOVE_CALLS | MAXIMUM_CALLS) and tensors(user)[0] is node:
            yield user
            yield from moved(network, user)


_KEEP_ZERO = (
    (*MOVES, *MAXIMA, *AVERAGES, *RELUS, hwgen.nn.ActQuant, LearnedActQuant),
    MOVE_CALLS | MAXIMUM_CALLS | AVERAGE_CALLS | RELU_CALLS,
)


def maker(network: fx.GraphModule, node: fx.Node) -> str | None:
    """The layer with weights that made the channels which `node` reads; None for an addition or the input."""
    node = tensors(node)[0]
    while is_one_of(network, node, *_KEEP_ZERO):
        node = tensors(node)[0]
    return str(node.target) if isinstance(module_of(network, node), WEIGHTED) else None


def readers(network: fx.GraphModule, node: fx.Node):
    """The nodes that compute with the channels of `node`, behind activations, pools, quantizers and flattening."""
    for user in node.users:
        if user.target in ("size", "dim") or user.target is getattr:
            continue
        if is_one_of(network, user, *_KEEP_ZERO):
            yield from readers(network, user)
        else:
            yield user
