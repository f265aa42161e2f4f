"""NIR, the Neuromorphic Intermediate Representation: spiking networks of snnTorch, Norse, spikingjelly and others.

A file holds differential equations: tau v' = v_leak - v + r I, and a spike where v > v_threshold. What it does not hold
is asked for, never assumed: how long a time step is, how many a sample has, whether a spike subtracts the threshold or
sets the membrane back, what numbers the input is, and in how many bits the weights are. Steps are forward Euler, as all
these tools compute them: v += dt / tau * (v_leak - v + r I).

The module takes frames [samples * steps, ...], a frame being a time step, and gives the spikes of each. It is in
integers; what was put in the place of the file's real numbers is in its `notes`.
"""

from torch import Tensor, nn

from hwgen.errors import BadInput
from hwgen.formats import Read, needs
from hwgen.target import EXACT

SUFFIXES = (".nir",)
# options of `read` beyond the target
ASKS = ("steps", "dt", "reset", "input_grid", "weight_bits", "guard", "leak_tolerance", "fire")


def read(path: str, target: str = EXACT, **asked) -> Read:
    """The network of a .nir file, as (module, example_inputs), an example being one frame.

    asked -- the fields of hwgen.formats.nir.asked.Asked. Raises BadInput where one that the network needs is not given,
    or the file is broken; UnsupportedLayer, or Obstacles that tell all of them, for what is not built.
    """
    if target != EXACT:
        raise BadInput(f"target = {target!r} for a .nir file", path, f"use {EXACT}")
    needs("h5py", path, "nir")
    from hwgen.formats.nir.asked import Asked
    from hwgen.formats.nir.walk import network

    return network(path, Asked(**asked))


def compare(path: str, module: nn.Module, x: Tensor, **asked) -> list[str]:
    """For each layer of neurons, how many of its spikes for frames [samples * steps, ...] are not those of the file's
    equations in float64, and how far outputs are off. Raises BadInput for frames of another shape, or no whole
    samples."""
    from hwgen.formats.nir.asked import Asked
    from hwgen.formats.nir.mismatch import lines

    return lines(path, module, Asked(**asked), x)
