"""The network as a torch.fx graph: which nodes hold weights, which only move numbers."""

import operator

import torch
from torch import fx, nn

import hwgen.nn
from hwgen.compress.activations import LearnedActQuant
from hwgen.errors import UnsupportedLayer

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, hwgen.nn.AvgPool2d)
RELUS = (nn.ReLU, nn.ReLU6)
MOVES = (nn.Flatten, nn.Dropout, nn.Dropout2d, nn.Identity, nn.Unflatten)  # the same numbers, elsewhere
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d)
RELU_CALLS = {torch.relu, torch.relu_, nn.functional.relu, nn.functional.relu6, "relu", "relu_"}
MOVE_CALLS = {torch.flatten, nn.functional.dropout, "flatten", "view", "reshape"}
MAXIMUM_CALLS = {nn.functional.max_pool2d, nn.functional.max_pool1d, torch.max_pool2d, torch.max_pool1d}
AVERAGE_CALLS = {nn.functional.avg_pool2d, nn.functional.avg_pool1d, nn.functional.adaptive_avg_pool2d}
ADD_CALLS = {operator.add, operator.iadd, torch.add, "add", "add_"}


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module, name):
        return isinstance(module, (hwgen.nn.ActQuant, hwgen.nn.AvgPool2d)) or super().is_leaf_module(module, name)


def trace(model: nn.Module) -> fx.GraphModule:
    """The model's graph over its own modules; raises UnsupportedLayer for a forward() that torch.fx cannot follow."""
    try:
        return fx.GraphModule(model, _Tracer().trace(model), type(model).__name__)
    except Exception as error:  # whatever the user's forward does under tracing
        first = (str(error).splitlines() or [""])[0]
        raise UnsupportedLayer(
            f"torch.fx cannot trace the model: {type(error).__name__}: {first}",
            type(model).__name__,
            "no control flow that depends on the data in forward()",
        ) from error


def module_of(network: fx.GraphModule, node) -> nn.Module | None:
    return network.get_submodule(node.target) if isinstance(node, fx.Node) and node.op == "call_module" else None


def is_one_of(network: fx.GraphModule, node: fx.Node, modules: tuple, calls: set) -> bool:
    if node.op == "call_module":
        return isinstance(network.get_submodule(node.target), modules)
    return node.op in ("call_function", "call_method") and node.target in calls


def tensors(node: fx.Node) -> list[fx.Node]:
    """The node's tensor inputs: an addition has two, all else one."""
    return [a for a in node.args[:2] if isinstance(a, fx.Node)] if node.args else [node.kwargs["input"]]


def moved(network: fx.GraphModule, node: fx.Node):
    """The nodes that only move the numbers of `node`, or choose among them."""
    for user in node.users:
        if is_one_of(network, user, (*MOVES, *MAXIMA), MOVE_CALLS | MAXIMUM_CALLS) and tensors(user)[0] is node:
            yield user
            yield from moved(network, user)


def readers(network: fx.GraphModule, node: fx.Node):
    """The nodes that compute with the channels of `node`, behind activations, pools, quantizers and flattening."""
    keeps_zero = (*MOVES, *MAXIMA, *AVERAGES, *RELUS, hwgen.nn.ActQuant, LearnedActQuant)
    for user in node.users:
        if is_one_of(network, user, keeps_zero, MOVE_CALLS | MAXIMUM_CALLS | AVERAGE_CALLS | RELU_CALLS):
            yield from readers(network, user)
        else:
            yield user
