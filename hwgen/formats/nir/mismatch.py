"""What is built against the equations of its file."""

import torch
from torch import Tensor, nn

from hwgen.errors import BadInput
from hwgen.formats import Network
from hwgen.formats.nir.asked import Asked
from hwgen.formats.nir.reference import tensors
from hwgen.formats.nir.topology import Topology
from hwgen.formats.nir.value import SPIKING


def lines(path: str, module: nn.Module, asked: Asked, x: Tensor) -> list[str]:
    """A line for each layer of spikes, and one for each output; x -- frames of the one input."""
    assert isinstance(module, Network)
    topology = Topology.of(path)
    if len(topology.inputs) > 1:
        raise BadInput(f"the network has {len(topology.inputs)} inputs", path, "compare networks of one")
    shape, steps = topology.shape(topology.inputs[0]), asked.the_steps()
    if tuple(x.shape[1:]) != shape or not len(x) or len(x) % steps:
        raise BadInput(
            f"frames of shape {list(x.shape)}", "--input", f"give [samples * {steps}, {str(list(shape))[1:]}"
        )
    with torch.no_grad():
        ours = module.tensors(x.double())
    theirs = tensors(topology, asked, x)
    found = []
    for name, node in topology.graph.nodes.items():
        if node.kind in SPIKING:
            differ, spikes = int((ours[name] != theirs[name]).sum()), int(theirs[name].sum())
            share = f"{differ / theirs[name].numel():.2%}"
            found.append(
                f"{name}: {differ:,} of {theirs[name].numel():,} spikes ({share}) differ from the file's equations "
                f"in float64, which give {spikes:,}"
            )
    for name in topology.outputs:
        off = float((ours[name] - theirs[name]).abs().max())
        found.append(f"{name}: off by at most {off:.6g}")
    return found
