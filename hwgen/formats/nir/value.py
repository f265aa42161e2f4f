"""What is known of a tensor, and what makes modules of nodes."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from hwgen.errors import BadInput
from hwgen.formats.nir.asked import Asked
from hwgen.formats.nir.file import Node

WEIGHTS = ("Affine", "Linear", "Conv1d", "Conv2d")
SPIKING = ("IF", "LIF", "CubaLIF")
INTEGRATING = ("LI", "CubaLI", "I")
SIGNIFICANT = 20


def rounded(number):
    """A number of the file, or of several of them, to 20 significant bits: files are float32, in which r * dt / tau is
    seldom the 1 that it was made of."""
    fraction, exponent = np.frexp(number)
    return np.ldexp(np.rint(np.ldexp(fraction, SIGNIFICANT)), exponent - SIGNIFICANT)


@dataclass(frozen=True)
class Value:
    """A tensor: its numbers are multiples of 2^exponent, and a number x stands for the file's x * scale.

    shape   of a frame, without the batch
    """

    shape: tuple[int, ...]
    exponent: int = 0
    scale: float = 1.0


@dataclass(eq=False)
class Job:
    """What the builder of a node is given beyond its input.

    node       of the file
    scale      what an integer of its weights is worth
    recurrent  None, or the node of weights that lead from its spikes back to it
    notes      what was put in the place of the file's numbers, which it adds to
    """

    node: Node
    asked: Asked
    scale: float = 1.0
    recurrent: Node | None = None
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(f"{self.node.name}: {text}")

    def array(self, name: str, default: float | None = None) -> np.ndarray:
        """A float64 array of the node; raises BadInput if it is not there."""
        value = self.node.values.get(name)
        if value is None and default is not None:
            return np.array(default, dtype=np.float64)
        if not isinstance(value, np.ndarray):
            raise BadInput(f"the {self.node.kind} has no {name}", self.node.name, "write it again with nir.write")
        return value.astype(np.float64)

    def integers(self, name: str, count: int, least: int, default: int | None = None) -> tuple[int, ...]:
        """So many integers, of a file one for all or that many."""
        value = self.array(name, default)
        if value.size not in (1, count) or (value != np.floor(value)).any() or value.min() < least:
            raise BadInput(f"{name} = {value.tolist()}", self.node.name, f"give {count} integers from {least}")
        return tuple(int(one) for one in np.broadcast_to(value.reshape(-1), count))


# of each kind of node: what makes a module of it, and of its input's value the output's, whose shape is found by a run
Builder = Callable[[Job, Value], tuple[nn.Module, Value]]
BUILDERS: dict[str, Builder] = {}


def builds(*kinds: str):
    """Registers a builder."""

    def register(function: Builder) -> Builder:
        BUILDERS.update(dict.fromkeys(kinds, function))
        return function

    return register
