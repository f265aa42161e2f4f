"""What `hwgen build` would refuse in a float network once it is compressed: told before any training."""

import copy
from typing import Any

import torch
from torch import fx, nn

from hwgen.compress.convert import freeze
from hwgen.compress.modules import OWN_WEIGHTS
from hwgen.compress.trace import BATCH_NORMS, NEURONS, module_of, plain
from hwgen.errors import HwgenError, UnsupportedLayer
from hwgen.frontend import import_model
from hwgen.lower import lower
from hwgen.passes import run_passes

TAKEN = "put the weights into convolutions, transposed or not, Linear, or norms"


def left_out(network: fx.GraphModule) -> list[HwgenError]:
    """Modules whose weights compression would leave in float."""
    found: list[HwgenError] = []
    for node in network.graph.nodes:
        module = module_of(network, node)
        if module is None or plain(module) or isinstance(module, (*BATCH_NORMS, *OWN_WEIGHTS, *NEURONS)):
            continue
        if isinstance(module, nn.PReLU) and module.num_parameters == 1:
            continue  # in a table
        if any(True for _ in module.parameters()):
            what = f"{type(module).__name__} has weights that are not compressed"
            found.append(UnsupportedLayer(what, str(node.target), TAKEN))
    return found


def refused(network: Any, example_inputs: tuple[torch.Tensor, ...]) -> list[HwgenError]:
    """What `build` does not take of a network; lower() too, as it knows what no engine takes."""
    try:
        lower(run_passes(import_model(network, example_inputs)))
    except HwgenError as error:
        return error.each()
    return []


def before_training(network: fx.GraphModule, top: int, example_inputs: tuple[torch.Tensor, ...]) -> list[HwgenError]:
    """What `build` would refuse of a network with its quantizers put in: each weight is taken to be +-`top`, the
    greatest that its format has, and each exponent to be chosen, 0."""
    network = copy.deepcopy(network)
    freeze(network)
    for name, parameter in network.named_parameters():
        greatest = torch.where(parameter < 0, -1.0, 1.0) * (0 if name.endswith("bias") else top)
        parameter.data = greatest.to(parameter.dtype)
    return refused(network, example_inputs)


def but_at(errors: list[HwgenError], named: list[HwgenError]) -> list[HwgenError]:
    """Those of `errors` that are not of a module which `named` names already, or inside one."""
    paths = tuple(error.at for error in named)

    def inside(place: str) -> bool:
        return place in paths or place.startswith(tuple(f"{path}." for path in paths))

    return [error for error in errors if not all(inside(place) for place in error.at.split(", "))]
