"""The network as a torch.fx graph, and what each of its calls does: by its name, whether a module, a function or a
method makes it."""

import operator
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeGuard

import torch
from torch import fx, nn

import hwgen.nn
from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.modules import Affine, Constant, Normalize, Shares, Steps
from hwgen.errors import UnsupportedLayer
from hwgen.ops.lookup import FUNCTIONS as LOOKUPS

Weighted = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d | nn.Linear
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED, nn.Linear)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
# what is on a grid whatever it reads
NEURONS = (hwgen.nn.LIF, hwgen.nn.LI)
ON_GRID = (hwgen.nn.ActQuant, LearnedActQuant, Constant, Normalize, Shares, Steps, *NEURONS)
OWN = (*ON_GRID, Affine, hwgen.nn.AvgPool2d, hwgen.nn.StepsIn, hwgen.nn.StepsOut)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# the same numbers, elsewhere, zeros around them
MOVES = _names("""
    cat chunk clone concat concatenate constantpad contiguous detach double expand expandas flatten flip float getattr
    getitem identity movedim narrow pad permute pixelshuffle pixelunshuffle channelshuffle repeat repeatinterleave
    reshape reshapeas roll rot90 select slice split squeeze stack stepsin stepsout stochasticdepth swapaxes swapdims t
    tensorsplit tile to transpose typeas unbind unflatten unfold unsqueeze upsamplenearest view viewas zeropad
    alphadropout dropout featurealphadropout featuredropout
""")
# each result is one of the numbers that were read
PICKS = _names("adaptivemaxpool amax amin max maxpool min")
CLAMPS = _names("clamp clampmax clampmin clip hardtanh relu relu6")
SCALARS = _names("add div divide mul multiply neg negative rsub sub subtract truediv")
SUMS = _names("""
    adaptiveavgpool addmm avgpool baddbmm bmm dot einsum interpolate matmul maximum mean minimum mm mv sum upsample
    upsamplebilinear upsamplingbilinear
""")
# functions of one activation, which become tables between two quantizers
FUNCTIONS = {name.replace("_", "") for name in LOOKUPS} | _names("""
    absolute ceil expm1 floor log log1p logsigmoid pow prelu reciprocal round softsign tanhshrink
""")
SIZES = {"size", "dim", "ndim", "shape", "numel", "ndimension", "nelement", "device", "dtype"}
_NAMED = {
    operator.add: "add",
    operator.iadd: "add",
    operator.sub: "sub",
    operator.isub: "sub",
    operator.mul: "mul",
    operator.imul: "mul",
    operator.truediv: "div",
    operator.itruediv: "div",
    operator.pow: "pow",
    operator.neg: "neg",
}


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m, module_qualified_name):
        own = isinstance(m, OWN) or plain(m) or type(m).__name__ == "StochasticDepth"
        return own or super().is_leaf_module(m, module_qualified_name)

    def iter(self, obj: Any):
        """A loop over the parts of a tensor, where the call says how many they are."""
        node = obj.node
        if getattr(node.target, "__name__", node.target) in ("chunk", "split", "split_with_sizes", "tensor_split"):
            parts = argument(node, "chunks", 1) or node.kwargs.get(
                "split_size_or_sections", node.kwargs.get("sections")
            )
            if isinstance(parts, tuple | list) or node.target in (torch.chunk, "chunk"):
                return iter([obj[i] for i in range(parts if isinstance(parts, int) else len(parts))])
        return super().iter(obj)


def plain(module: nn.Module | None) -> TypeGuard[Weighted]:
    """Whether a module is a convolution, transposed or not, or a Linear, or of a subclass that computes as these do."""
    kind = next((kind for kind in WEIGHTED if isinstance(module, kind)), None)
    return kind is not None and all(
        getattr(type(module), call, None) is getattr(kind, call, None) for call in ("forward", "_conv_forward")
    )


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


def module_of(network: fx.GraphModule, node) -> Any:
    """The module that a node calls, or None."""
    called = isinstance(node, fx.Node) and node.op == "call_module"
    return network.get_submodule(str(node.target)) if called else None


def call_of(network: fx.GraphModule, node: fx.Node) -> str:
    """What a node does: the name that a module, a function and a method have in common, such as "leakyrelu" or
    "maxpool"; "" for what is no call."""
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        kinds = [kind for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn.modules")]
        name = (kinds[0] if kinds and kinds[0] is not nn.Module else type(module)).__name__
        mode = getattr(module, "mode", None)
    elif node.op == "call_method":
        name, mode = str(node.target), None
    elif node.op == "call_function":
        name = _NAMED.get(node.target) or getattr(node.target, "__name__", "")
        mode = argument(node, "mode", 3, "nearest") if "interpolate" in name or "upsample" in name else None
    else:
        return ""
    if name in SIZES or (node.target is getattr and node.args[1] in SIZES):
        return "size"
    name = re.sub(r"(?<=[a-z])[123]d$", "", name.lower().replace("_", ""))
    return "upsamplenearest" if mode is not None and str(mode).startswith("nearest") else name


def argument(node: fx.Node, name: str, place: int, default: Any = None) -> Any:
    """An argument of a call by its name or its place."""
    return node.kwargs.get(name, node.args[place] if len(node.args) > place else default)


def is_number(node: fx.Node) -> bool:
    """Whether a node is a size, or made of sizes alone."""
    if node.op in ("placeholder", "get_attr", "output", "call_module"):
        return False
    if node.target in SIZES or (node.target is getattr and node.args[1] in SIZES):
        return True
    return bool(node.all_input_nodes) and all(map(is_number, node.all_input_nodes))


def operands(node: fx.Node) -> list[fx.Node]:
    """The tensors that a node reads, in order, each as often as it is read."""
    found: list[fx.Node] = []

    def look(argument):
        found.append(argument)
        return argument

    fx.map_arg((node.args, node.kwargs), look)
    return [a for a in found if not is_number(a)]


def moves(network: fx.GraphModule, node: fx.Node) -> bool:
    return call_of(network, node) in MOVES


def _flattens(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether all dimensions but the batch become one."""
    call = call_of(network, node)
    if call == "flatten":
        module = module_of(network, node)
        ends = (
            (module.start_dim, module.end_dim)
            if isinstance(module, nn.Flatten)
            else (argument(node, "start_dim", 1, 0), argument(node, "end_dim", 2, -1))
        )
        return ends == (1, -1)
    return call in ("view", "reshape") and len(node.args) == 3 and argument(node, "", 2) == -1


def maker(network: fx.GraphModule, node: fx.Node) -> str | None:
    """The layer with weights that made the channels which `node`, a convolution, reads; None for an addition or the
    input."""
    node = operands(node)[0]
    while _keeps_channels(network, node, spatial=True):
        node = operands(node)[0]
    return str(node.target) if isinstance(module_of(network, node), WEIGHTED) else None


def _keeps_channels(network: fx.GraphModule, node: fx.Node, spatial: bool) -> bool:
    """Whether a node computes channel by channel, and nothing of zeros; spatial -- the channels are dimension 1, pixels
    the others."""
    call, module = call_of(network, node), module_of(network, node)
    if isinstance(module, (hwgen.nn.ActQuant, LearnedActQuant)) or call in ("relu", "relu6", "dropout", "identity"):
        return True
    if call == "pad":
        return spatial and len(argument(node, "pad", 1)) == 2 and not argument(node, "value", 3)
    return spatial and call in ("maxpool", "adaptivemaxpool", "avgpool", "adaptiveavgpool", "zeropad")


def readers(
    network: fx.GraphModule, node: fx.Node, spatial: bool, flat: bool = False
) -> Iterator[tuple[fx.Node, bool]]:
    """The nodes that compute with the channels of `node`, behind activations, pools, quantizers and flattening, each
    with whether the channels were flattened on the way; spatial -- the channels are dimension 1, pixels the others."""
    for user in node.users:
        if is_number(user):
            continue
        if _keeps_channels(network, user, spatial):
            yield from readers(network, user, spatial, flat)
        elif spatial and _flattens(network, user):
            yield from readers(network, user, False, True)
        else:
            yield user, flat
