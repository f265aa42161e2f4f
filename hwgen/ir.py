"""The integer graph: tensors of integers with one exponent each, and `Graph.eval`, the golden model."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from hwgen.errors import UnsupportedLayer
from hwgen.nn_affine import ROUNDINGS
from hwgen.qtype import QType

if TYPE_CHECKING:
    from hwgen.ops.rescale import Quantizer


# what the host does in float64, as the module does: on the way in, with an array; on the way out, over a dimension
STEPS = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}
ON_HOST = {"softmax": torch.softmax, "log_softmax": torch.log_softmax}


@dataclass(frozen=True)
class TensorType:
    """A frame of shape (channels, rows, columns): integers of `qtype`, each worth 2^exponent."""

    shape: tuple[int, int, int]
    qtype: QType
    exponent: int

    def __str__(self) -> str:
        return f"{self.qtype}*2^{self.exponent}[{'x'.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Window:
    """The activations that an output pixel reads, of one channel: (rows, columns) of kernel, stride and dilation; rows
    of padding above the frame and columns to its left."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    top: int
    left: int

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns from the first to the last activation, dilation counted."""
        (tall, wide), (down, right) = self.kernel, self.dilation
        return down * (tall - 1) + 1, right * (wide - 1) + 1


class Op:
    """One layer's mathematics. A subclass is a frozen dataclass in its own file of hwgen/ops/.

    infer(*types) gives the type of the result, raising an HwgenError where the layer cannot be built;
    eval(types, *tensors) gives its value on int64 tensors of shape [N, channels, rows, columns], exactly;
    carries(quantizer) is whether the unit that computes it can also do what that requantization behind it does.

    window       what an output pixel reads, of an op that is a sum or a maximum over a window of its one input
    maximum      whether that is the greatest of the window; else it is a sum
    degree       n, where a positive factor of all its inputs is one of its result, to the power of n; None: it is not
    elementwise  whether it is a function of one activation of each input, so that it may come before or behind what
                 moves them
    pixelwise    whether each pixel of its result is a function of the same pixel of its inputs, wherever that is
    of_integers  whether its result depends on the integers of its one input, not on what they are worth
    frames       after so many frames it is as at the first one: 1, it has no state; T, samples are T frames that
                 follow each other
    multiple     frames of its result for each that it takes
    aborts       whether it may end a sample before all frames have come that it takes
    """

    window: "Window | None" = None
    maximum: ClassVar[bool] = False
    degree: int | None = None
    elementwise: bool = False
    of_integers: ClassVar[bool] = False
    pixelwise: bool = False
    frames: int = 1
    multiple: Fraction = Fraction(1)
    aborts: bool = False

    @property
    def has_weights(self) -> bool:
        """Whether it holds numbers that training finds."""
        return False

    @property
    def requantization(self) -> "Quantizer | None":
        """The op itself, where it is one that can ride on the unit of the op before it."""
        return None

    def carries(self, quantizer: "Quantizer") -> bool:
        return False

    def channel_ends(self, *types: TensorType) -> "np.ndarray | None":
        """The least and the greatest integer of each channel of the result, int64 [channels, 2]; None where those are
        as for all."""
        return None

    def of_coarser(self, bits: int) -> "Op | None":
        """The op of integers that are each worth 2^bits of its own, which does the same; None where another has to be
        made of these first. Asked where `of_integers`."""
        return None

    def of_steps(self, steps: int) -> "Op":
        """The op of samples of so many time steps at most; itself, where it knows of none."""
        return self

    def hardware(self, x: TensorType) -> "Op":
        """What a unit computes where the op is a stage of its own; x -- its first input."""
        return self

    def infer(self, *types: TensorType) -> TensorType:
        raise NotImplementedError(f"{type(self).__name__}.infer")

    def eval(self, types: list[TensorType], *tensors: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(f"{type(self).__name__}.eval")


@dataclass(frozen=True, eq=False)
class Node:
    """One use of an op. `name` is the layer's path in the user's module, made an identifier, and unique."""

    name: str
    op: Op
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Input:
    """What the network takes, and what the host does to it before the first word.

    name    of the tensor that it becomes
    shape   the user's own, without the batch: a Linear network has (features,)
    view    None, or for each activation of the flattened frame where it lies in the user's flattened shape: int64, each
            place once
    steps   what the user's floats pass before they are quantized, one after the other, in float64: a name of STEPS, and
            an array that broadcasts against the user's shape
    rounding  how what is between two integers is rounded: a key of ROUNDINGS
    """

    name: str
    type: TensorType
    shape: tuple[int, ...]
    view: np.ndarray | None = None
    steps: tuple[tuple[str, np.ndarray], ...] = ()
    rounding: str = "half_up"

    def quantize(self, x: torch.Tensor) -> torch.Tensor:
        """The user's floats [N, *shape] as int64 [N, channels, rows, columns]: behind the steps x / 2^exponent, rounded
        and clamped."""
        kind, x = self.type, x.double()
        for step, value in self.steps:
            x = STEPS[step](x, torch.from_numpy(value))
        q = ROUNDINGS[self.rounding](x * 2.0**-kind.exponent).clamp(kind.qtype.low, kind.qtype.high).long()
        q = q.reshape(len(x), -1)
        return (q if self.view is None else q[:, torch.from_numpy(self.view)]).reshape(-1, *kind.shape)


@dataclass(frozen=True, eq=False)
class Output:
    """What the network sends, and what the host makes of it.

    name    of the tensor that is sent, which others may read or send too
    shape   the user's own, without the batch
    view    None, or where each value of the user's shape lies in the flattened frame: int64 of that shape
    scale, offset  None, or what each value is multiplied by, and then plus, by the host: float64 arrays that broadcast
            against the user's shape
    host    None, or what is left to the host: a name of ON_HOST, and the dimension of [N, *shape] that it is over
    """

    name: str
    shape: tuple[int, ...]
    view: np.ndarray | None = None
    host: tuple[str, int] | None = None
    scale: np.ndarray | None = None
    offset: np.ndarray | None = None

    def dequantize(self, q: torch.Tensor, exponent: int) -> torch.Tensor:
        """Integers [N, channels, rows, columns], each worth 2^exponent, as float64 [N, *shape]."""
        y = q.double().reshape(len(q), -1) * 2.0**exponent
        y = (y if self.view is None else y[:, torch.from_numpy(self.view.reshape(-1))]).reshape(-1, *self.shape)
        y = y if self.scale is None else y * torch.from_numpy(self.scale)
        y = y if self.offset is None else y + torch.from_numpy(self.offset)
        return y if self.host is None else ON_HOST[self.host[0]](y, self.host[1])


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order of evaluation; each name stands for one tensor. Inputs and outputs are in their order in the
    module."""

    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def consumers(self, name: str) -> list[Node]:
        return [node for node in self.nodes if name in node.inputs]

    def is_output(self, name: str) -> bool:
        return any(output.name == name for output in self.outputs)

    def only_consumer(self, name: str) -> Node | None:
        """The node that alone reads `name`, None if there are several, or if it is an output of the network."""
        consumers = self.consumers(name)
        alone = len(consumers) == 1 and consumers[0].inputs.count(name) == 1 and not self.is_output(name)
        return consumers[0] if alone else None

    def unused(self, name: str) -> str:
        """`name`, or with underscores behind it, as no node or input is called."""
        while any(one.name == name for one in (*self.inputs, *self.nodes)):
            name += "_"
        return name

    def types(self) -> dict[str, TensorType]:
        """The type of every tensor by name."""
        types = {one.name: one.type for one in self.inputs}
        for node in self.nodes:
            types[node.name] = node.op.infer(*(types[name] for name in node.inputs))
        return types

    @cached_property
    def rates(self) -> dict[str, Fraction]:
        """Frames of each tensor for one of an input."""
        rates = {one.name: Fraction(1) for one in self.inputs}
        for node in self.nodes:
            of = {name: rates[name] for name in node.inputs}
            if len(set(of.values())) > 1:
                raise UnsupportedLayer(
                    "it joins " + " and ".join(f"{rate} frames of {name}" for name, rate in of.items()),
                    node.name,
                    "let all that it reads pass as many time steps: hwgen.nn.StepsIn and StepsOut",
                )
            rates[node.name] = rates[node.inputs[0]] * node.op.multiple
        return rates

    @property
    def turn(self) -> int:
        """Frames of an input for which each tensor has whole frames; 1 unless some leave time steps out."""
        return lcm(*(rate.denominator for rate in self.rates.values()))

    @property
    def frames(self) -> int:
        """Frames of a sample at the inputs: before and behind each so many, no op holds anything of frames before."""
        rates = self.rates
        samples = (Fraction(node.op.frames) / rates[node.inputs[0]] for node in self.nodes)
        return lcm(self.turn, *(sample.numerator for sample in samples))

    @property
    def turns(self) -> dict[str, int]:
        """Frames of each tensor in a turn."""
        turn = self.turn
        return {name: int(rate * turn) for name, rate in self.rates.items()}

    def of_steps(self, steps: int) -> "Graph":
        """The graph of samples of so many time steps at most: as many layers, other values."""
        return replace(self, nodes=tuple(replace(node, op=node.op.of_steps(steps)) for node in self.nodes))

    def sending(self, renamed: Mapping[str, str]) -> tuple[Output, ...]:
        """The outputs, where those of the tensors of `renamed` are of others."""
        return tuple(replace(output, name=renamed.get(output.name, output.name)) for output in self.outputs)

    def replacing(self, old: Node, *new: Node, output: str | None = None) -> "Graph":
        """The graph with `new` in the place of `old`; readers of `old` read `output` (default: the last of `new`)."""
        output = output or new[-1].name
        nodes = []
        for node in self.nodes:
            if node is old:
                nodes += new
            else:
                nodes.append(replace(node, inputs=tuple(output if n == old.name else n for n in node.inputs)))
        return replace(self, nodes=tuple(nodes), outputs=self.sending({old.name: output}))

    def quantize_inputs(self, *x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The user's floats [N, *shape] of each input as int64 [N, channels, rows, columns]."""
        return tuple(one.quantize(floats) for one, floats in zip(self.inputs, x, strict=True))

    def trace(self, *q: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """(name, int64 tensor [N, channels, rows, columns]) of every tensor, for the integers of each input, of whole
        samples."""
        types = self.types()
        values = {one.name: value for one, value in zip(self.inputs, q, strict=True)}
        unread = Counter(name for node in self.nodes for name in node.inputs)
        yield from list(values.items())
        for node in self.nodes:
            values[node.name] = node.op.eval([types[n] for n in node.inputs], *(values[n] for n in node.inputs))
            unread.subtract(node.inputs)
            for name in {*node.inputs}:
                if not unread[name]:  # all tensors of a large network at once are gigabytes
                    del values[name]
            yield node.name, values[node.name]

    def eval(self, *q: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The integers [N, channels, rows, columns] of each output for those of each input: the definition all else is
        checked against."""
        found = {name: value for name, value in self.trace(*q) if self.is_output(name)}
        return tuple(found[output.name] for output in self.outputs)

    def dequantize_outputs(self, *q: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The integers of each output as float64 [N, *shape]."""
        types = self.types()
        return tuple(
            output.dequantize(value, types[output.name].exponent) for output, value in zip(self.outputs, q, strict=True)
        )

    def golden(self, *x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The float64 [N, *shape] of each output for the user's floats of each input."""
        return self.dequantize_outputs(*self.eval(*self.quantize_inputs(*x)))

    def __str__(self) -> str:
        types = self.types()
        lines = [f"{one.name}: {one.type}" for one in self.inputs]
        lines += [f"{n.name}: {types[n.name]} = {n.op}({', '.join(n.inputs)})" for n in self.nodes]
        return "\n".join([*lines, f"return {', '.join(output.name for output in self.outputs)}"])
