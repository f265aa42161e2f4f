"""The nodes of a file in an order in which each is behind those that it reads."""

from collections.abc import Iterator
from math import prod

import numpy as np

from hwgen.errors import BadInput, UnsupportedLayer
from hwgen.formats.nir.file import MOST_NUMBERS, Graph, parse
from hwgen.formats.nir.value import SPIKING, WEIGHTS


class Topology:
    """The graph of a file.

    inputs, outputs  the nodes at its border
    before, behind   the neighbours of each node
    back             of a neuron, the node of weights that leads from its spikes back to it
    """

    def __init__(self, graph: Graph, path: str):
        self.graph, self.path = graph, path
        self.before: dict[str, list[str]] = {name: [] for name in graph.nodes}
        self.behind: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, target in graph.edges:
            self.before[target].append(source)
            self.behind[source].append(target)
        self.back = dict(self._loops())
        ends = {kind: sorted(n.name for n in graph.nodes.values() if n.kind == kind) for kind in ("Input", "Output")}
        self.inputs = [name for name in ends["Input"] if not self.before[name]]
        self.outputs = [name for name in ends["Output"] if not self.behind[name]]
        if not self.inputs or not self.outputs:
            raise BadInput("it has no input, or no output", path, "write it again with nir.write")

    @staticmethod
    def of(path: str) -> "Topology":
        return Topology(parse(path), path)

    def _loops(self) -> Iterator[tuple[str, str]]:
        """(neuron, weights) where these weights take the neuron's spikes and give it currents, and nothing else."""
        for name, node in self.graph.nodes.items():
            if node.kind in WEIGHTS and self.before[name] == self.behind[name] and len(self.before[name]) == 1:
                (neuron,) = self.before[name]
                if self.graph.nodes[neuron].kind in SPIKING:
                    yield neuron, name

    def order(self) -> list[str]:
        """The nodes but weights of loops; raises UnsupportedLayer for other loops."""
        weights = set(self.back.values())
        left = {name: self.sources(name) for name in self.before if name not in weights}
        order: list[str] = []
        while left:
            ready = [name for name, before in left.items() if not any(n in left for n in before)]
            if not ready:
                raise UnsupportedLayer(
                    f"a loop through {', '.join(left)}",
                    self.path,
                    "a loop may be a neuron and weights from its spikes back to it, as in RSynaptic and RLeaky",
                )
            order += ready
            left = {name: before for name, before in left.items() if name not in ready}
        return order

    def sources(self, name: str) -> list[str]:
        """What a node reads, but for the weights from its own spikes."""
        return [source for source in self.before[name] if source != self.back.get(name)]

    def shape(self, name: str) -> tuple[int, ...]:
        """That of a frame of an input."""
        value = self.graph.nodes[name].values.get("shape")
        dims = [] if not isinstance(value, np.ndarray) else value.reshape(-1).tolist()
        if not 1 <= len(dims) <= 3 or any(n < 1 for n in dims) or prod(dims) > MOST_NUMBERS:
            raise BadInput(f"the input {name} has the shape {dims}", self.path, "give the shape of one frame")
        return tuple(int(n) for n in dims)
