"""From a trained `Prepared` to the plain module that `hwgen.build` takes."""

import copy
from typing import Any

from torch import fx, nn

from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.compact import compact
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
    for name, module in list(network.named_modules()):
        if isinstance(module, LearnedActQuant):
            if not module.calibrated:
                raise BadInput(
                    "no batch has calibrated the activations",
                    name,
                    "call quantize() and pass a batch, or train past the recipe's quantize_from",
                )
            network.set_submodule(name, module.frozen())
    for name, layer in prepared.layers.items():
        network.set_submodule(name, _plain(layer.module))
    compact(network)
    return network.eval()


def _plain(layer: Any) -> nn.Module:
    """The layer with the weights it computes with. (remove_parametrizations would change the class, which a copy shares
    with its original.)"""
    bias = layer.bias
    if isinstance(layer, nn.Linear):
        plain: nn.Module = nn.Linear(layer.in_features, layer.out_features, bias is not None)
    else:
        kind: Any = nn.Conv1d if isinstance(layer, nn.Conv1d) else nn.Conv2d
        plain = kind(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
            bias is not None,
            layer.padding_mode,
        )
    plain.weight = nn.Parameter(layer.weight.detach().contiguous().clone(), requires_grad=False)
    if bias is not None:
        plain.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return plain
