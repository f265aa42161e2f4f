"""A walk through the operators of a file, whatever its numbers are; all that stands in the way is told at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwgen.errors import BadInput, HwgenError, Obstacles, UnsupportedLayer
from hwgen.formats import Call, Network, Read
from hwgen.formats.tflite.file import OperatorInfo, Subgraph, TensorInfo

NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)  # fused activations
SAME = 0  # padding


@dataclass(frozen=True)
class Order:
    """How the module holds images, which the file has as [N, rows, columns, channels]: with the channels first, and
    turned, columns before rows, where the input has more rows than columns, as lanes are along what is last."""

    turned: bool

    @property
    def axes(self) -> tuple[int, int, int, int]:
        """Of the file's, in the module's order."""
        return (0, 3, 2, 1) if self.turned else (0, 3, 1, 2)

    def held(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """A tensor that the file has in `shape`, as the module holds it."""
        return x.permute(*self.axes) if len(shape) == 4 else x

    def given(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """The same back."""
        return x.permute(*((0, 3, 2, 1) if self.turned else (0, 2, 3, 1))) if len(shape) == 4 else x

    def flat(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """A tensor of the module, each frame's numbers in the order of the file."""
        return self.given(x, shape).reshape(-1, prod(shape))

    def weights(self, weight: np.ndarray, depthwise: bool) -> np.ndarray:
        """Those of a convolution, [outputs, inputs of a group, ...], of the file's."""
        if depthwise:
            return weight.transpose(3, 0, 2, 1) if self.turned else weight.transpose(3, 0, 1, 2)
        return weight.transpose(*self.axes)


class Reader:
    """Walks a subgraph, operator by operator; what stands in the way is told at once."""

    KINDS: ClassVar[dict[str, str]]  # of an operator -> the method that reads it

    def __init__(self, graph: Subgraph, path: str, target: str):
        self.graph, self.path, self.target = graph, path, target
        self.network = Network([str(n) for n in graph.inputs], [f"output {n}" for n in graph.outputs])
        images = [graph.tensors[number].shape for number in graph.inputs if len(graph.tensors[number].shape) == 4]
        self.order = Order(bool(images) and all(rows > columns for _, rows, columns, _ in images))
        self.hosted: dict[int, int] = {}  # results that are the host's -> the tensor that they are made of
        self.obstacles: list[HwgenError] = []

    def read(self) -> Read:
        examples = []
        for number in self.graph.inputs:
            self._try(self._input, number, at=self.name(number))
            examples.append(torch.zeros(self.graph.tensors[number].shape, dtype=torch.float64))
        for operator in self.graph.operators:
            self._try(self._operator, operator, at=self.name(operator.outputs[0]))
        for number in self.graph.outputs:
            self._try(self._output, number, at=self.name(number))
        if self.obstacles:
            raise Obstacles.of(self.obstacles)
        return self.network.double().eval(), tuple(examples)

    def _try(self, function: Callable, value, at: str) -> None:
        try:
            function(value)
        except HwgenError as error:
            self.obstacles += [one if one.at else type(one)(one.what, at, one.hint) for one in error.each()]

    def _operator(self, operator: OperatorInfo) -> None:
        if operator.kind not in self.KINDS:
            raise UnsupportedLayer(
                f"the operator {operator.kind} is not read", "", f"use {', '.join(sorted(self.KINDS))}"
            )
        if len(operator.outputs) != 1:
            raise UnsupportedLayer(f"{operator.kind} with {len(operator.outputs)} results", "", "use one")
        if any(number in self.hosted for number in operator.inputs) and operator.kind != "DEQUANTIZE":
            raise UnsupportedLayer(f"{operator.kind} behind a SOFTMAX", "", "end the network with the SOFTMAX")
        getattr(self, self.KINDS[operator.kind])(operator)

    def name(self, number: int) -> str:
        """A tensor's name: the first of those that a fused operator joins."""
        return self.graph.tensors[number].name.split(";")[0] or f"tensor_{number}"

    def tensor(self, operator: OperatorInfo, place: int) -> TensorInfo:
        """An input of an operator."""
        if place >= len(operator.inputs) or operator.inputs[place] < 0:
            raise BadInput(f"{operator.kind} has no input {place}", "", "convert the network again")
        return self.graph.tensors[operator.inputs[place]]

    def result(self, operator: OperatorInfo) -> TensorInfo:
        return self.graph.tensors[operator.outputs[0]]

    def constant(self, operator: OperatorInfo, place: int, kinds: Sequence[str]) -> np.ndarray:
        tensor = self.tensor(operator, place)
        if tensor.data is None:
            raise UnsupportedLayer(f"{operator.kind} with computed {tensor.name}", "", "use constants for it")
        if tensor.kind not in kinds:
            raise UnsupportedLayer(f"{operator.kind} with {tensor.name} of {tensor.kind}", "", f"use {kinds[0]}")
        return tensor.data

    def bias(self, operator: OperatorInfo, outputs: int, kind: str) -> np.ndarray:
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            return np.zeros(outputs, np.int64)
        bias = self.constant(operator, 2, [kind])
        self.expect(bias.shape, (outputs,), "its bias has")
        return bias

    def expect(self, found: Sequence[int], asked: Sequence[int], what: str = "its result has") -> None:
        if tuple(found) != tuple(asked):
            raise BadInput(
                f"{what} the shape {list(found)}, where its operator gives {list(asked)}",
                "",
                "convert the network again, for a batch of one",
            )

    def add(self, operator: OperatorInfo, step: nn.Module, inputs: int = 1) -> None:
        """Appends the step of an operator that reads its first `inputs` tensors."""
        takes = [str(number) for number in operator.inputs[:inputs]]
        self.network.step(self.name(operator.outputs[0]), step, takes, [str(operator.outputs[0])])

    # geometry

    def image(self, tensor: TensorInfo) -> tuple[int, int, int]:
        """(rows, columns, channels) of a tensor."""
        if len(tensor.shape) != 4 or tensor.shape[0] != 1 or min(tensor.shape) < 1:
            raise UnsupportedLayer(
                f"{tensor.name or 'a tensor'} of shape {list(tensor.shape)}", "", "use [1, rows, columns, channels]"
            )
        _, rows, columns, channels = tensor.shape
        return rows, columns, channels

    def window(self, operator: OperatorInfo, kernel: tuple[int, int]) -> tuple["Windows", tuple[int, int]]:
        """How a kernel goes over the first input, and the rows and columns of its result."""
        options = operator.options
        rows, columns, _ = self.image(self.tensor(operator, 0))
        stride = options.get("StrideH", 0), options.get("StrideW", 0)
        dilation = options.get("DilationHFactor", 1), options.get("DilationWFactor", 1)
        if min(*stride, *dilation, *kernel) < 1:
            raise BadInput(
                f"a window of {kernel}, stride {stride}, dilation {dilation}", "", "convert the network again"
            )
        sides = [
            _padding(*numbers, options.get("Padding") == SAME)
            for numbers in zip((rows, columns), kernel, stride, dilation, strict=True)
        ]
        (top, bottom, down), (left, right, across) = sides
        if min(down, across) < 1:
            raise BadInput(f"a window of {kernel} on {rows}x{columns}", "", "convert the network again")
        if self.order.turned:
            sides = (kernel[1], kernel[0]), (stride[1], stride[0]), (dilation[1], dilation[0])
            return Windows(*sides, (top, bottom, left, right)), (down, across)
        return Windows(kernel, stride, dilation, (left, right, top, bottom)), (down, across)

    # what only moves numbers

    def _reshape(self, operator: OperatorInfo) -> None:
        before, after = self.tensor(operator, 0).shape, self.result(operator).shape
        if prod(before) != prod(after) or before[:1] != (1,) or after[:1] != (1,):
            raise UnsupportedLayer(f"a reshape of {list(before)} to {list(after)}", "", "keep a batch of one first")
        order = self.order
        self.add(operator, Call(lambda x: order.held(order.given(x, before).reshape(-1, *after[1:]), after)))

    def _pad(self, operator: OperatorInfo) -> None:
        before, after = self.tensor(operator, 0).shape, self.result(operator).shape
        sides = self.constant(operator, 1, ["INT32", "INT64"]).astype(np.int64)
        self.expect(sides.shape, (len(before), 2), "its padding has")
        if (sides < 0).any() or sides[0].any():
            raise UnsupportedLayer("a padding of the batch, or of less than nothing", "", "pad rows and columns")
        self.expect(after, [n + int(pair.sum()) for n, pair in zip(before, sides, strict=True)])
        axes = self.order.axes if len(before) == 4 else range(len(before))
        pads = [int(n) for axis in reversed(axes) for n in sides[axis]]
        self.add(operator, Call(lambda x: F.pad(x, pads)))

    def _concatenate(self, operator: OperatorInfo) -> None:
        if operator.options.get("FusedActivationFunction", NONE) != NONE:
            raise UnsupportedLayer("CONCATENATION with an activation", "", "put that into the layers before")
        parts, whole = [self.graph.tensors[n].shape for n in operator.inputs], self.result(operator).shape
        axis = operator.options.get("Axis", 0)
        axis += len(whole) if axis < 0 else 0
        if not 0 < axis < len(whole) or any(len(part) != len(whole) for part in parts):
            raise UnsupportedLayer(f"CONCATENATION along {axis}", "", "join channels, rows or columns")
        along = sum(part[axis] for part in parts)
        for part in parts:
            self.expect(whole, (*part[:axis], along, *part[axis + 1 :]))
        dim = self.order.axes.index(axis) if len(whole) == 4 else axis
        self.add(operator, Call(lambda *x: torch.cat(x, dim)), len(operator.inputs))

    def _max_pool(self, operator: OperatorInfo) -> None:
        windows, size = self.window(operator, self.kernel(operator))
        self.expect(self.result(operator).shape, (1, *size, self.image(self.tensor(operator, 0))[2]))
        if any(windows.pads):
            raise UnsupportedLayer("MAX_POOL_2D with padding", "", "pad before it, or use padding='valid'")
        self.add(operator, nn.Sequential(nn.MaxPool2d(windows.kernel, windows.stride), *self.clamp(operator)))

    def kernel(self, operator: OperatorInfo) -> tuple[int, int]:
        return operator.options.get("FilterHeight", 0), operator.options.get("FilterWidth", 0)

    def pooled(self, operator: OperatorInfo) -> nn.AvgPool2d:
        """The average of an AVERAGE_POOL_2D."""
        windows, size = self.window(operator, self.kernel(operator))
        self.expect(self.result(operator).shape, (1, *size, self.image(self.tensor(operator, 0))[2]))
        if any(windows.pads):
            raise UnsupportedLayer("AVERAGE_POOL_2D with padding", "", "use padding='valid'")
        return nn.AvgPool2d(windows.kernel, windows.stride)

    def over(self, operator: OperatorInfo) -> None:
        """Checks that MEAN is over rows and columns."""
        before, after = self.tensor(operator, 0), self.result(operator).shape
        *_, channels = self.image(before)
        axes = sorted(int(axis) % 4 for axis in self.constant(operator, 1, ["INT32"]).reshape(-1))
        if axes != [1, 2]:
            raise UnsupportedLayer(f"MEAN over the dimensions {axes}", "", "take it over rows and columns: 1 and 2")
        self.expect(after, (1, 1, 1, channels) if len(after) == 4 else (1, channels))

    # for both kinds

    def clamp(self, operator: OperatorInfo) -> list[nn.Module]:
        raise NotImplementedError

    def _input(self, number: int) -> None:
        raise NotImplementedError

    def _output(self, number: int) -> None:
        raise NotImplementedError


class Windows:
    """How a kernel goes over rows and columns; `pads` in the order of torch's pad: left, right, top, bottom."""

    def __init__(
        self,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int],
        pads: tuple[int, int, int, int],
    ):
        self.kernel, self.stride, self.dilation, self.pads = kernel, stride, dilation, pads
        left, right, top, bottom = pads
        self.even = left == right and top == bottom
        self.padding = (top, left) if self.even else (0, 0)

    @property
    def before(self) -> list[nn.Module]:
        """What pads for a layer that pads alike on both sides."""
        return [] if self.even else [nn.ZeroPad2d(self.pads)]

    def conv2d(self, x: Tensor, weight: Tensor, bias: Tensor, groups: int) -> Tensor:
        x = x if self.even else F.pad(x, self.pads)
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, groups)

    def layer(self, inputs: int, outputs: int, groups: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, self.kernel, self.stride, self.padding, self.dilation, groups)


def _padding(size: int, kernel: int, stride: int, dilation: int, same: bool) -> tuple[int, int, int]:
    """What is padded before and behind, and how many results there are."""
    reach = dilation * (kernel - 1) + 1
    if not same:
        return 0, 0, (size - reach) // stride + 1
    count = -(-size // stride)
    lacks = max(0, (count - 1) * stride + reach - size)
    return lacks // 2, lacks - lacks // 2, count
