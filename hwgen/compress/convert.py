"""From a trained `Prepared` to the plain module that `hwgen.build` takes."""

import copy
from typing import Any

from torch import fx
from torch.nn.utils import parametrize

from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.compact import compact
from hwgen.compress.modules import Normalize, Shares, Steps, settle
from hwgen.compress.prepared import Prepared
from hwgen.compress.trace import WEIGHTED, plain
from hwgen.errors import BadInput


def convert(prepared: Prepared, *, compacted: bool = True) -> fx.GraphModule:
    """A plain module in eval mode: its weights and biases lie on their grids, its activations meet ActQuants.

    What the recipe still owes is done first: pruning to the full, projection. Filters that are pruned whole, and that
    nothing needs, are taken out, unless `compacted` is False; the numbers that come out stay the same. `prepared`
    itself is not changed.
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
    if compacted and all(layer.times == 1 for layer in prepared.layers.values()):  # else channels would be counted anew
        compact(network)
    return network.eval()


def freeze(network: fx.GraphModule) -> None:
    """Plain modules for those that train: ActQuants, integer norms, weights as they are computed with."""
    modules: list[tuple[str, Any]] = list(network.named_modules())
    for name, module in modules:
        if isinstance(module, LearnedActQuant | Normalize | Shares | Steps):
            module = module.frozen()
            network.set_submodule(name, module)
        if parametrize.is_parametrized(module):
            settle(module)
            if plain(module):
                object.__setattr__(module, "__class__", next(k for k in type(module).__mro__ if k in WEIGHTED))
            module._forward_hooks.clear()
    network.requires_grad_(False)
