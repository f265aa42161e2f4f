"""Takes out the filters that compute nothing, and what reads them."""

from collections import Counter
from typing import Any

import torch
from torch import Tensor, fx, nn

from hwgen.compress.trace import TRANSPOSED, WEIGHTED, call_counts, module_of, readers


def compact(network: fx.GraphModule) -> dict[str, int]:
    """Removes every filter of zero weights and bias whose channel only layers with weights read; its outputs are zero,
    so every number that comes out stays the same. The filters removed, by layer.

    A channel that an addition, the network's output, a transposed convolution or a layer that is called twice reads
    stays. A depthwise layer loses the channels of the layer before it, if its own bias there is zero too.
    """
    removed, calls = {}, call_counts(network)
    for node in network.graph.nodes:
        layer = module_of(network, node)
        if calls[node.target] > 1 or not _plain(layer) or getattr(layer, "groups", 1) > 1:
            continue
        behind = _behind(network, node, calls)
        if behind is None:
            continue
        live = _live(layer, behind)
        if live.all():
            continue
        _keep_outputs(layer, live)
        for reader in behind:
            if depthwise(reader):
                _keep_outputs(reader, live)
                reader.groups = reader.in_channels = int(live.sum())
            else:
                _keep_inputs(reader, live)
        removed[node.target] = int((~live).sum())
    return removed


# whether the layer is a Linear, whether its channels are flattened, whether the reader is a Linear
FITTING = ((False, False, False), (False, True, True), (True, False, True))


def _plain(layer: nn.Module | None) -> bool:
    return isinstance(layer, WEIGHTED) and not isinstance(layer, TRANSPOSED)


def depthwise(layer: nn.Module) -> bool:
    groups = getattr(layer, "groups", 1)
    return groups > 1 and groups == layer.in_channels == layer.out_channels


def _behind(network: fx.GraphModule, node: fx.Node, calls: Counter) -> list[Any] | None:
    """The layers that read the node's channels, through depthwise ones too; None if something else does."""
    found = []
    linear = isinstance(module_of(network, node), nn.Linear)
    for reader, flat in readers(network, node, spatial=not linear):
        layer = module_of(network, reader)
        if not _plain(layer) or calls[reader.target] > 1:
            return None
        # a Linear's channels are the last dimension, a convolution's the second, which flattening brings to the last
        if (linear, flat, isinstance(layer, nn.Linear)) not in FITTING:
            return None
        found.append(layer)
        if depthwise(layer):
            further = _behind(network, reader, calls)
            if further is None:
                return None
            found += further
        elif getattr(layer, "groups", 1) > 1:
            return None
    return found


def _live(layer: Any, behind: list[Any]) -> Tensor:
    """bool [outputs]: whether a weight or a bias, of the layer or of a depthwise one behind it, gives the channel a
    value. Where none does, the first channel stays, for a layer has one at least."""
    live = layer.weight.flatten(1).any(1)
    if layer.bias is not None:
        live |= layer.bias != 0
    for reader in behind:
        if depthwise(reader) and reader.bias is not None:
            live |= reader.bias != 0
    if not live.any():
        live[0] = True
    return live


def _keep_outputs(layer: Any, live: Tensor) -> None:
    layer.weight = nn.Parameter(layer.weight[live], requires_grad=False)
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias[live], requires_grad=False)
    if isinstance(layer, nn.Linear):
        layer.out_features = int(live.sum())
    else:
        layer.out_channels = int(live.sum())


def _keep_inputs(layer: Any, live: Tensor) -> None:
    """Behind flattening, each channel is a run of a Linear's inputs."""
    run = layer.weight.shape[1] // len(live)
    layer.weight = nn.Parameter(layer.weight[:, torch.repeat_interleave(live, run)], requires_grad=False)
    if isinstance(layer, nn.Linear):
        layer.in_features = layer.weight.shape[1]
    else:
        layer.in_channels = layer.weight.shape[1]
