"""From a trained `Prepared` to the plain module that `hwgen.build` takes."""

import copy
from collections import OrderedDict
from typing import Any

from torch import fx, nn
from torch.nn.utils import parametrize

from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.compact import compact
from hwgen.compress.modules import Normalize, Shares, Steps
from hwgen.compress.prepared import Prepared
from hwgen.errors import BadInput


def convert(prepared: Prepared) -> fx.GraphModule:
    """A plain module in eval mode: its weights and biases lie on their grids, its activations meet ActQuants.

    What the recipe still owes is done first: pruning to the full, projection. Filters that are pruned whole, and that
    nothing needs, are taken out; the numbers that come out stay the same. `prepared` itself is not changed.
    Raises BadInput if no batch has passed since the activations were put on their grids.
    """
    prepared = copy.deepcopy(prepared)
    prepared.step(1.0)
    network = prepared.network
    for name, module in network.named_modules():
        if isinstance(module, LearnedActQuant) and not module.calibrated:
            raise BadInput(
                "no batch has calibrated the activations",
                name,
                "call quantize() and pass a batch, or train past the recipe's quantize_from",
            )
    freeze(network)
    compact(network)
    return network.eval()


def freeze(network: fx.GraphModule) -> None:
    """Plain modules for those that train: ActQuants, integer norms, weights as they are computed with."""
    for name, module in list(network.named_modules()):
        if isinstance(module, LearnedActQuant | Normalize | Shares | Steps):
            network.set_submodule(name, module.frozen())
        elif parametrize.is_parametrized(module):
            network.set_submodule(name, _plain(module))


def _plain(layer: Any) -> nn.Module:
    """The layer with the weights it computes with. (remove_parametrizations would change the class, which a copy shares
    with its original.)"""
    kinds = type(layer).__mro__[1:]
    kind: Any = next((kind for kind in kinds if kind.__module__.startswith("torch.nn.modules.")), kinds[0])
    kind = kinds[0] if kind is nn.Module else kind
    plain = kind.__new__(kind)
    plain.__dict__.update(layer.__dict__)
    plain._parameters, plain._modules, plain._forward_hooks = OrderedDict(), OrderedDict(), OrderedDict()
    values = {name: getattr(layer, name) for name in layer.parametrizations}
    for name in ("weight", "bias", "value"):
        if name in values:
            value = values[name].detach().contiguous().clone()
            plain.register_parameter(name, nn.Parameter(value, requires_grad=False))
        elif name in layer._parameters:
            plain.register_parameter(name, layer._parameters[name])
    return plain
