"""From a .nir file to a module with a step for each of its nodes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import prod

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from hwgen.errors import BadInput, HwgenError, Obstacles, UnsupportedLayer
from hwgen.formats import Call, Network, Read
from hwgen.formats.nir import layers, neurons  # noqa: F401  they register their builders
from hwgen.formats.nir.asked import Asked
from hwgen.formats.nir.file import MOST_NUMBERS, Node
from hwgen.formats.nir.topology import Topology
from hwgen.formats.nir.value import BUILDERS, INTEGRATING, SPIKING, WEIGHTS, Job, Value
from hwgen.formats.nir.weights import scale_of
from hwgen.nn import ActQuant


def network(path: str, asked: Asked) -> Read:
    """The module of a file, and an example of its input."""
    return Walk(Topology.of(path), asked).read()


class Walk:
    """Goes through the nodes in the order of the edges.

    values  what each node gives; None where it could not be built
    """

    def __init__(self, topology: Topology, asked: Asked):
        self.topology, self.nodes, self.asked = topology, topology.graph.nodes, asked
        self.values: dict[str, Value | None] = {}
        self.errors: list[HwgenError] = []
        self.groups = self._groups()
        self.scales: dict[str, float] = {}
        self.network = Network(topology.inputs, topology.outputs)
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)

    def _groups(self) -> dict[str, list[Node]]:
        """The nodes with weights whose sums meet in one node, by the name of each of them."""
        groups: dict[str, list[Node]] = {}
        for sources in self.topology.before.values():
            met = [self.nodes[name] for name in sources if self.nodes[name].kind in WEIGHTS and name not in groups]
            groups |= {node.name: met for node in met}
        return groups

    def _scale(self, node: Node, scale: float) -> float:
        """What an integer of a node's weights is worth, the same for all whose sums meet with its own; scale -- what an
        integer of its input is worth."""
        if node.name not in self.scales:
            met = self.groups.get(node.name, [node])
            weights = [(one, one.values.get("weight"), scale if one is node else 1.0) for one in met]
            arrays = [(one, array * worth) for one, array, worth in weights if isinstance(array, np.ndarray)]
            found = scale_of([each for each in arrays if each[1].size], self.asked.weight_bits)
            self.scales |= {one.name: found for one in met}
        return self.scales[node.name]

    def read(self) -> Read:
        self.errors += self._missing()
        for name in [] if self.errors else self.topology.order():
            try:
                self.values[name] = self._node(self.nodes[name])
            except HwgenError as error:
                self.errors += error.each()
                self.values[name] = None
        if self.errors:
            raise Obstacles.of(self.errors)
        shapes = [self.topology.shape(name) for name in self.topology.inputs]
        return self.network.double().eval(), tuple(torch.zeros(1, *shape, dtype=torch.float64) for shape in shapes)

    def _missing(self) -> Iterator[HwgenError]:
        """What the nodes need and the user has not said."""
        kinds = {node.kind for node in self.nodes.values()}
        asks: list[Callable] = [partial(self._scale, node, 1.0) for node in self.nodes.values() if node.kind in WEIGHTS]
        asks.append(self.asked.grid)
        if kinds & {*SPIKING, *INTEGRATING}:
            asks += [self.asked.the_steps, self.asked.the_dt]
        if kinds & {*SPIKING}:
            asks.append(self.asked.the_reset)
        for ask in asks:
            try:
                ask()
            except HwgenError as error:
                yield from error.each()
        self.scales.clear()

    def _node(self, node: Node) -> Value | None:
        if node.name in self.topology.inputs:
            return self._input(node)
        sources = [self.values[name] for name in self.topology.sources(node.name)]
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
        module, result = BUILDERS[node.kind](self._job(node, x), x)
        self._append(node, module)
        return self._result(node, module, x, result)

    def _input(self, node: Node) -> Value:
        bits, exponent, signed = self.asked.grid()
        self.network.step(f"{node.name}_grid", ActQuant(bits, exponent, signed), [node.name], [node.name])
        return Value(self.topology.shape(node.name), exponent)

    def _job(self, node: Node, x: Value) -> Job:
        back = self.topology.back.get(node.name)
        scale = self._scale(node, x.scale) if node.kind in WEIGHTS else 1.0
        return Job(node, self.asked, scale, self.nodes[back] if back else None, self.network.notes)

    def _sum(self, node: Node, values: list[Value]) -> Value:
        """The value of all that leads to a node."""
        first = values[0]
        if any(value.shape != first.shape or value.scale != first.scale for value in values):
            raise UnsupportedLayer(
                "tensors of several shapes or scales meet", node.name, "put weights between, or average pools elsewhere"
            )
        return replace(first, exponent=min(value.exponent for value in values))

    def _border(self, node: Node, x: Value) -> Value:
        """Of a graph within it a name; at the end of the network what was scaled becomes what it is worth."""
        module = nn.Identity()
        if node.name in self.topology.outputs and x.scale != 1.0:
            module = Call(lambda x, scale: x * scale, torch.tensor(x.scale, dtype=torch.float64))
        self._append(node, module)
        return x

    def _append(self, node: Node, module: nn.Module) -> None:
        """A step that reads the sum of what leads to the node."""
        tensor, *others = self.topology.sources(node.name)
        for other in others:
            total = f"{tensor}+{other}"
            self.network.step(f"{node.name}_sum", Call(torch.add), [tensor, other], [total])
            tensor = total
        self.network.step(node.name, module, [tensor], [node.name])

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
