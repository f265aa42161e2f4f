"""From a .nir file to a module with a step for each of its nodes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from hwgen.errors import BadInput, HwgenError, Obstacles, UnsupportedLayer
from hwgen.formats import Call, Network, Read
from hwgen.formats.nir import layers, neurons  # noqa: F401  they register their builders
from hwgen.formats.nir.asked import Asked
from hwgen.formats.nir.file import MOST_NUMBERS, Graph, Node, parse
from hwgen.formats.nir.value import BUILDERS, WEIGHTS, Job, Value
from hwgen.formats.nir.weights import scale_of
from hwgen.nn import ActQuant

SPIKING = ("IF", "LIF", "CubaLIF")
INTEGRATING = ("LI", "CubaLI", "I")


def network(path: str, asked: Asked) -> Read:
    """The module of a file, and an example of its input."""
    return Walk(parse(path), path, asked).read()


class Walk:
    """Goes through the nodes in the order of the edges.

    before, behind  the neighbours of each node
    back            of a neuron, the node of weights that leads from its spikes back to it
    values          what each node gives; None where it could not be built
    """

    def __init__(self, graph: Graph, path: str, asked: Asked):
        self.graph, self.path, self.asked = graph, path, asked
        self.before: dict[str, list[str]] = {name: [] for name in graph.nodes}
        self.behind: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, target in graph.edges:
            self.before[target].append(source)
            self.behind[source].append(target)
        self.back = dict(self._loops())
        self.values: dict[str, Value | None] = {}
        self.errors: list[HwgenError] = []
        ends = {kind: sorted(n.name for n in graph.nodes.values() if n.kind == kind) for kind in ("Input", "Output")}
        self.inputs = [name for name in ends["Input"] if not self.before[name]]
        self.outputs = [name for name in ends["Output"] if not self.behind[name]]
        if not self.inputs or not self.outputs:
            raise BadInput("it has no input, or no output", path, "write it again with nir.write")
        self.scales = self._scales()
        self.network = Network(self.inputs, self.outputs)
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)

    def _loops(self) -> Iterator[tuple[str, str]]:
        """(neuron, weights) where these weights take the neuron's spikes and give it currents, and nothing else."""
        for name, node in self.graph.nodes.items():
            if node.kind in WEIGHTS and self.before[name] == self.behind[name] and len(self.before[name]) == 1:
                (neuron,) = self.before[name]
                if self.graph.nodes[neuron].kind in SPIKING:
                    yield neuron, name

    def _scales(self) -> dict[str, float]:
        """What an integer of each node's weights is worth, one for all whose sums meet in a node."""
        nodes = self.graph.nodes
        scales: dict[str, float] = {}
        for targets in self.before.values():
            met = [name for name in targets if nodes[name].kind in WEIGHTS and name not in scales]
            arrays = [(nodes[name], nodes[name].values.get("weight")) for name in met]
            usable = [(node, array) for node, array in arrays if isinstance(array, np.ndarray) and array.size]
            try:
                scales |= dict.fromkeys(met, scale_of(usable, self.asked.weight_bits) if usable else 1.0)
            except HwgenError as error:
                self.errors += error.each()
        return scales

    def read(self) -> Read:
        self.errors += self._missing()
        for name in [] if self.errors else self._order():
            try:
                self.values[name] = self._node(self.graph.nodes[name])
            except HwgenError as error:
                self.errors += error.each()
                self.values[name] = None
        if self.errors:
            raise Obstacles.of(self.errors)
        examples = tuple(torch.zeros(1, *self._shape(name), dtype=torch.float64) for name in self.inputs)
        return self.network.double().eval(), examples

    def _missing(self) -> Iterator[HwgenError]:
        """What the nodes need and the user has not said."""
        kinds = {node.kind for node in self.graph.nodes.values()}
        asks: list[Callable] = [self.asked.grid]
        if kinds & {*SPIKING, *INTEGRATING}:
            asks += [self.asked.the_steps, self.asked.the_dt]
        if kinds & {*SPIKING}:
            asks.append(self.asked.the_reset)
        for ask in asks:
            try:
                ask()
            except HwgenError as error:
                yield error

    def _order(self) -> list[str]:
        """The nodes, each behind those that it reads; loops of recurrent weights are none."""
        weights = set(self.back.values())
        left = {name: [n for n in before if n not in weights] for name, before in self.before.items()}
        left = {name: before for name, before in left.items() if name not in weights}
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

    def _shape(self, name: str) -> tuple[int, ...]:
        """That of a frame of an input."""
        value = self.graph.nodes[name].values.get("shape")
        dims = [] if not isinstance(value, np.ndarray) else value.reshape(-1).tolist()
        if not 1 <= len(dims) <= 3 or any(n < 1 for n in dims) or prod(dims) > MOST_NUMBERS:
            raise BadInput(f"the input {name} has the shape {dims}", self.path, "give the shape of one frame")
        return tuple(int(n) for n in dims)

    def _node(self, node: Node) -> Value | None:
        if node.name in self.inputs:
            bits, exponent, signed = self.asked.grid()
            self.network.step(f"{node.name}_grid", ActQuant(bits, exponent, signed), [node.name], [node.name])
            return Value(self._shape(node.name), exponent, spikes=(bits, exponent, signed) == (1, 0, False))
        before = self.before[node.name]
        sources = [self.values[name] for name in before if name != self.back.get(node.name)]
        if not sources:
            raise BadInput(f"nothing leads to the {node.kind}", node.name, "leave it out, or join it")
        values = [value for value in sources if value is not None]
        if len(values) < len(sources):
            return None
        x = self._sum(node, values)
        if node.kind in ("Input", "Output"):
            return self._border(node, x)
        if node.kind not in BUILDERS:
            raise UnsupportedLayer(f"a node of type {node.kind}", node.name, f"built are {', '.join(sorted(BUILDERS))}")
        module, result = BUILDERS[node.kind](self._job(node), x)
        return self._append(node, module, self._result(node, module, x, result))

    def _job(self, node: Node) -> Job:
        back = self.back.get(node.name)
        recurrent = (self.graph.nodes[back], self.scales.get(back, 1.0)) if back else None
        return Job(node, self.asked, self.scales.get(node.name, 1.0), recurrent, self.network.notes)

    def _sum(self, node: Node, values: list[Value]) -> Value:
        """The value of all that leads to a node."""
        first = values[0]
        if any(value.shape != first.shape or value.scale != first.scale for value in values):
            raise UnsupportedLayer(
                "tensors of several shapes or scales meet", node.name, "put weights between, or average pools elsewhere"
            )
        if len(values) > 1:
            return replace(first, exponent=min(value.exponent for value in values), spikes=False)
        return first

    def _border(self, node: Node, x: Value) -> Value:
        """Of a graph within it a name; at the end of the network what was scaled becomes what it is worth."""
        module = nn.Identity()
        if node.name in self.outputs and x.scale != 1.0:
            module = Call(lambda x, scale: x * scale, torch.tensor(x.scale, dtype=torch.float64))
        return self._append(node, module, x)

    def _append(self, node: Node, module: nn.Module, result: Value) -> Value:
        sources = [name for name in self.before[node.name] if name != self.back.get(node.name)]
        tensor = sources[0]
        for other in sources[1:]:
            total = f"{tensor}+{other}"
            self.network.step(f"{node.name}_sum", Call(torch.add), [tensor, other], [total])
            tensor = total
        self.network.step(node.name, module, [tensor], [node.name])
        return result

    def _result(self, node: Node, module: nn.Module, x: Value, result: Value) -> Value:
        """A value with the shape that the module gives."""
        with self.fake, torch.no_grad():
            try:
                shape = tuple(module(torch.zeros(1, *x.shape, dtype=torch.float64)).shape[1:])
            except RuntimeError as error:
                first = (str(error).splitlines() or [""])[0]
                raise BadInput(f"frames {list(x.shape)}: {first}", node.name, "check its shapes") from None
        if prod(shape) > MOST_NUMBERS:
            raise BadInput(f"it makes frames {list(shape)}", node.name, f"at most {MOST_NUMBERS:,} numbers")
        return replace(result, shape=shape)
