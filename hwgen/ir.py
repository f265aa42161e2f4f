"""The integer graph: tensors of integers with one exponent each, and `Graph.eval`, the golden model."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import lcm
from typing import TYPE_CHECKING, ClassVar

import torch

from hwgen.qtype import QType

if TYPE_CHECKING:
    from hwgen.ops.quantize import Quantize


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
    eval(types, *tensors) gives its value on int64 tensors of shape [N, channels, rows, columns], exactly.

    window       what an output pixel reads, of an op that is a sum or a maximum over a window of its one input
    maximum      whether that is the greatest of the window; else it is a sum
    elementwise  whether it is a function of one activation of each input, so that it may come before or behind what
                 moves them
    pixelwise    whether each pixel of its result is a function of the same pixel of its inputs, wherever that is
    requantizes  whether the unit that computes it can also do what a Quantize behind it does
    frames       after so many frames it is as at the first one: 1, it has no state; T, samples are T frames that
                 follow each other
    """

    window: "Window | None" = None
    maximum: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False
    requantizes: ClassVar[bool] = False
    pixelwise: bool = False
    frames: int = 1

    @property
    def has_weights(self) -> bool:
        """Whether it holds numbers that training finds."""
        return False

    @property
    def requantization(self) -> "Quantize | None":
        """The op itself, where it is a Quantize, which can ride on the unit of the op before it."""
        return None

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
class Graph:
    """Nodes in an order of evaluation; each name stands for one tensor.

    input_shape and output_shape are the user's own, without the batch: a Linear network has (features,).
    """

    input_name: str
    input_type: TensorType
    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    output_name: str
    output_shape: tuple[int, ...]

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def consumers(self, name: str) -> list[Node]:
        return [node for node in self.nodes if name in node.inputs]

    def only_consumer(self, name: str) -> Node | None:
        """The node that alone reads `name`, None if there are several, or if it is the network's output."""
        consumers = self.consumers(name)
        alone = len(consumers) == 1 and consumers[0].inputs.count(name) == 1 and name != self.output_name
        return consumers[0] if alone else None

    def types(self) -> dict[str, TensorType]:
        """The type of every tensor by name."""
        types = {self.input_name: self.input_type}
        for node in self.nodes:
            types[node.name] = node.op.infer(*(types[name] for name in node.inputs))
        return types

    @property
    def frames(self) -> int:
        """Frames of a sample: before and behind each so many, no op holds anything of frames before."""
        return lcm(*(node.op.frames for node in self.nodes))

    def replacing(self, old: Node, *new: Node, output: str | None = None) -> "Graph":
        """The graph with `new` in the place of `old`; readers of `old` read `output` (default: the last of `new`)."""
        output = output or new[-1].name
        nodes = []
        for node in self.nodes:
            if node is old:
                nodes += new
            else:
                nodes.append(replace(node, inputs=tuple(output if n == old.name else n for n in node.inputs)))
        name = output if self.output_name == old.name else self.output_name
        return replace(self, nodes=tuple(nodes), output_name=name)

    def quantize_input(self, x: torch.Tensor) -> torch.Tensor:
        """The user's floats [N, *input_shape] as int64 [N, channels, rows, columns]: floor(x / 2^exponent + 1/2),
        clamped."""
        kind = self.input_type
        scaled = x.double() * 2.0**-kind.exponent
        level = scaled.floor()
        level = level + (scaled - level >= 0.5)
        return level.clamp(kind.qtype.low, kind.qtype.high).long().reshape(-1, *kind.shape)

    def trace(self, q: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """(name, int64 tensor [N, channels, rows, columns]) of every tensor, for input integers q of whole samples."""
        types = self.types()
        values = {self.input_name: q}
        unread = Counter(name for node in self.nodes for name in node.inputs)
        yield self.input_name, q
        for node in self.nodes:
            values[node.name] = node.op.eval([types[n] for n in node.inputs], *(values[n] for n in node.inputs))
            unread.subtract(node.inputs)
            for name in {*node.inputs}:
                if not unread[name]:  # all tensors of a large network at once are gigabytes
                    del values[name]
            yield node.name, values[node.name]

    def eval(self, q: torch.Tensor) -> torch.Tensor:
        """The output integers [N, channels, rows, columns] for input integers q: the definition all else is checked
        against."""
        return next(value for name, value in self.trace(q) if name == self.output_name)

    def dequantize_output(self, q: torch.Tensor) -> torch.Tensor:
        """Output integers as float64 [N, *output_shape]."""
        return (q.double() * 2.0 ** self.types()[self.output_name].exponent).reshape(-1, *self.output_shape)

    def __str__(self) -> str:
        types = self.types()
        lines = [f"{self.input_name}: {self.input_type}"]
        lines += [f"{n.name}: {types[n.name]} = {n.op}({', '.join(n.inputs)})" for n in self.nodes]
        return "\n".join([*lines, f"return {self.output_name}"])
