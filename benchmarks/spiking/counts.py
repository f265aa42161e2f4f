"""Operations of a spiking network a sample: multiplications where numbers come in, additions where spikes do."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwgen.ir import Graph
from hwgen.nn import LIF, ActQuant
from hwgen.ops.conv import Conv
from hwgen.ops.lif import Lif

# pJ at 45 nm, of float32: Horowitz, Computing's energy problem (ISSCC 2014), as papers on spiking networks take them
MAC, ADDITION = 4.6, 0.9
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def operations(network: nn.Module, x: Tensor) -> dict[str, Any]:
    """A sample's, on an average of x; a weight that is zero is none:

    macs       of the network as a CNN, every layer once
    first      of the layers before the first neurons, each once
    additions  of weights, one for each that a spike reaches, over all steps; where spikes were averaged, for each
    spikes     of each neuron over all steps, by layer
    """
    found: dict[str, Any] = {"macs": 0.0, "first": 0.0, "additions": 0.0, "spikes": []}
    worth: list[int] = []  # spikes that 1 of the tensor at hand stands for, behind the first neurons

    def layer(module, inputs, output):
        reaches = _weights_of(module, inputs[0])
        found["macs"] += reaches.sum().item()
        if worth:
            found["additions"] += (inputs[0] * reaches).sum().item() * worth[-1] / len(x)
        else:
            found["first"] += reaches.sum().item()

    def neurons(module, inputs, output):
        worth.append(1)
        found["spikes"].append(output.mean().item() * module.steps)

    def counts(module, inputs, output):
        if worth:
            worth.append(1 << -module.exponent)

    hooks = []
    for kinds, hook in ((LAYERS, layer), (LIF, neurons), (ActQuant, counts)):
        hooks += [m.register_forward_hook(hook) for m in network.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return found


def _weights_of(module: Any, read: Tensor) -> Tensor:
    """How many weights each number of a frame [1, ...] meets: the gradient of the layer with ones for its weights."""
    frame = torch.ones_like(read[:1]).requires_grad_()
    ones = {"weight": (module.weight != 0).to(read.dtype)}
    ones |= {} if module.bias is None else {"bias": torch.zeros_like(module.bias)}
    with torch.enable_grad():
        made = torch.func.functional_call(_plain(module), ones, (frame,))
        return torch.autograd.grad(made.sum(), frame)[0]


def _plain(module: nn.Module) -> nn.Module:
    """The module without its hooks."""
    other = module.__new__(type(module))
    other.__dict__ = {**module.__dict__, "_forward_hooks": {}}
    return other


def traced(graph: Graph, values: Mapping[str, Tensor], samples: int) -> dict[str, Any]:
    """`operations` from the integers [frames, channels, rows, columns] of each tensor that layers read, as the running
    RTL sent them; 1 of a tensor behind neurons, or of an input of one bit, stands for a spike."""
    found: dict[str, Any] = {"macs": 0, "first": 0, "additions": 0.0, "spikes": []}
    # what is made of spikes
    behind = {given.name for given in graph.inputs if (given.type.qtype.low, given.type.qtype.high) == (0, 1)}
    for node in graph.nodes:
        (source, *_), op = node.inputs, node.op
        if isinstance(op, Lif):
            sent = values[node.name]
            found["spikes"].append(sent.double().mean().item() * op.steps)
        elif isinstance(op, Conv) and op.has_weights:
            reaches = _reaches(op, values[source][:1])
            found["macs"] += int(reaches.sum())
            if source in behind:
                found["additions"] += (values[source].double() * reaches).sum().item() / samples
            else:
                found["first"] += int(reaches.sum())
        if isinstance(op, Lif) or behind.intersection(node.inputs):
            behind.add(node.name)
    return found


def _reaches(op: Conv, frame: Tensor) -> Tensor:
    """How many weights of a convolution each integer of a frame [1, ...] meets."""
    frame = torch.ones_like(frame, dtype=torch.float64).requires_grad_()
    with torch.enable_grad():
        made = functional.conv2d(
            functional.pad(frame, (*op.padding[2:], *op.padding[:2])),
            torch.from_numpy(op.weight != 0).double(),
            None,
            op.stride,
            0,
            op.dilation,
            op.groups,
        )
        return torch.autograd.grad(made.sum(), frame)[0]
