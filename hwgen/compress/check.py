"""What `hwgen build` would refuse in a float network once it is compressed: told before any training."""

import copy

import torch
from torch import fx, nn

from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.trace import BATCH_NORMS, module_of, plain
from hwgen.errors import BadInput, HwgenError, UnsupportedLayer
from hwgen.frontend import import_model
from hwgen.lower import lower
from hwgen.nn import ActQuant
from hwgen.passes import run_passes

TAKEN = "put the weights into Conv1d, Conv2d or Linear modules"


def left_out(network: fx.GraphModule) -> list[HwgenError]:
    """Weights that compression would leave in float: of other modules, and those that forward() itself uses."""
    found: list[HwgenError] = []
    own: dict[str, list[str]] = {}
    for node in network.graph.nodes:
        module = module_of(network, node)
        if node.op == "get_attr":
            path, _, name = node.target.rpartition(".")
            own.setdefault(path or name, []).append(name)
        elif module is None or plain(module) or isinstance(module, BATCH_NORMS):
            continue
        elif any(True for _ in module.parameters()):
            what = f"{type(module).__name__} has weights that are not compressed"
            found.append(UnsupportedLayer(what, node.target, TAKEN))
    for path, names in own.items():
        what = f"forward() itself computes with {', '.join(names)}, which compression does not see"
        found.append(UnsupportedLayer(what, path, TAKEN))
    return found


def refused(model: nn.Module, example_inputs: tuple[torch.Tensor, ...]) -> list[HwgenError]:
    """The layers of a float network that `build` does not take, on whatever grid."""
    return [error for error in _obstacles(model, example_inputs) if isinstance(error, UnsupportedLayer | BadInput)]


def off_grid(network: fx.GraphModule, top: int, example_inputs: tuple[torch.Tensor, ...]) -> list[HwgenError]:
    """What of a network with its quantizers put in is on no grid, or too wide: each weight is taken to be +-`top`, the
    greatest that its format has, and each exponent to be chosen, 0."""
    network = copy.deepcopy(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, LearnedActQuant):
            network.set_submodule(name, ActQuant(module.bits, 0, bool(module.may_be_signed)))
    for name, parameter in network.named_parameters():
        greatest = torch.where(parameter < 0, -1.0, 1.0) * (0 if name.endswith("bias") else top)
        parameter.data = greatest.to(parameter.dtype)
    return [e for e in _obstacles(network, example_inputs) if not isinstance(e, UnsupportedLayer | BadInput)]


def _obstacles(model: nn.Module, example_inputs: tuple[torch.Tensor, ...]) -> list[HwgenError]:
    try:
        lower(run_passes(import_model(model, example_inputs)))
    except HwgenError as error:
        return error.each()
    return []


def but_at(errors: list[HwgenError], named: list[HwgenError]) -> list[HwgenError]:
    """Those of `errors` that are not of a module which `named` names already, or inside one."""
    paths = tuple(error.at for error in named)

    def inside(place: str) -> bool:
        return place in paths or place.startswith(tuple(f"{path}." for path in paths))

    return [error for error in errors if not all(inside(place) for place in error.at.split(", "))]
