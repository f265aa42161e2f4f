"""Layers of floats, whatever a file stores its numbers as."""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from hwgen.errors import BadInput, UnsupportedLayer
from hwgen.formats import Call
from hwgen.formats.tflite.file import OperatorInfo
from hwgen.formats.tflite.walk import NONE, RELU, RELU6, RELU_N1_TO_1, Reader


class Floats(Reader):
    """A network as torch's layers of floats, whatever its numbers are stored as."""

    KINDS: ClassVar = {
        "CONV_2D": "_conv",
        "DEPTHWISE_CONV_2D": "_conv",
        "FULLY_CONNECTED": "_fully_connected",
        "ADD": "_sum",
        "AVERAGE_POOL_2D": "_average",
        "MEAN": "_mean",
        "MAX_POOL_2D": "_max_pool",
        "RELU": "_relu",
        "RELU6": "_relu",
        "RESHAPE": "_reshape",
        "SQUEEZE": "_reshape",
        "EXPAND_DIMS": "_reshape",
        "PAD": "_pad",
        "CONCATENATION": "_concatenate",
        "SOFTMAX": "_softmax",
        "QUANTIZE": "_same",
        "DEQUANTIZE": "_same",
    }

    def constant(self, operator: OperatorInfo, place: int, kinds: Sequence[str]) -> np.ndarray:
        """The numbers that integers with scales stand for."""
        tensor = self.tensor(operator, place)
        if tensor.data is None or not tensor.quantized:
            return super().constant(operator, place, kinds)
        if len(tensor.scales) > 1 and tensor.data.shape[tensor.axis : tensor.axis + 1] != tensor.scales.shape:
            raise BadInput(f"{tensor.name} has {len(tensor.scales)} scales", "", "convert the network again")
        along = [-1 if axis == tensor.axis else 1 for axis in range(tensor.data.ndim)]
        scales, zeros = (numbers.reshape(along) for numbers in (tensor.scales, tensor.zeros))
        return ((tensor.data.astype(np.int64) - zeros) * scales.astype(np.float64)).astype(np.float32)

    def clamp(self, operator: OperatorInfo) -> list[nn.Module]:
        named = {"RELU": RELU, "RELU6": RELU6}.get(operator.kind, NONE)
        fused = operator.options.get("FusedActivationFunction", named)
        layers = {NONE: [], RELU: [nn.ReLU()], RELU6: [nn.ReLU6()], RELU_N1_TO_1: [nn.Hardtanh()]}
        if fused not in layers:
            raise UnsupportedLayer(f"{operator.kind} with the activation {fused}", "", "use ReLU or ReLU6")
        return layers[fused]

    def _conv(self, operator: OperatorInfo) -> None:
        weight = self.constant(operator, 1, ["FLOAT32"])
        if weight.ndim != 4:
            raise BadInput(f"weights of shape {list(weight.shape)}", "", "convert the network again")
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        kernel, weight = weight.shape[1:3], self.order.weights(weight, depthwise)
        _, _, channels = self.image(self.tensor(operator, 0))
        outputs, inputs, *_ = weight.shape
        groups = channels if depthwise else channels // max(1, inputs)
        if inputs < 1 or groups * inputs != channels or outputs % groups:
            raise BadInput(f"weights of {outputs}x{inputs} channels for {channels}", "", "convert the network again")
        windows, size = self.window(operator, (kernel[0], kernel[1]))
        self.expect(self.result(operator).shape, (1, *size, outputs))
        layer = windows.layer(channels, outputs, groups)
        _set(layer, weight, self.bias(operator, outputs, "FLOAT32"))
        self.add(operator, nn.Sequential(*windows.before, layer, *self.clamp(operator)))

    def _fully_connected(self, operator: OperatorInfo) -> None:
        weight, shape = self.constant(operator, 1, ["FLOAT32"]), self.tensor(operator, 0).shape
        if weight.ndim != 2 or shape[:1] != (1,):
            raise UnsupportedLayer(f"FULLY_CONNECTED of {list(shape)}, {list(weight.shape)}", "", "use a batch of one")
        outputs, inputs = weight.shape
        self.expect([prod(shape)], [inputs], "its input, flattened, has")
        self.expect(self.result(operator).shape, (1, outputs))
        layer = nn.Linear(inputs, outputs)
        _set(layer, weight, self.bias(operator, outputs, "FLOAT32"))
        order = self.order
        before = [] if len(shape) == 2 else [Call(lambda x: order.flat(x, shape))]
        self.add(operator, nn.Sequential(*before, layer, *self.clamp(operator)))

    def _sum(self, operator: OperatorInfo) -> None:
        first, second = self.tensor(operator, 0), self.tensor(operator, 1)
        if first.data is not None or second.data is not None or first.shape != second.shape:
            raise UnsupportedLayer("ADD of a constant, or of two shapes", "", "add computed tensors of one shape")
        clamp = nn.Sequential(*self.clamp(operator))
        self.add(operator, Added(clamp), 2)

    def _average(self, operator: OperatorInfo) -> None:
        self.add(operator, nn.Sequential(self.pooled(operator), *self.clamp(operator)))

    def _mean(self, operator: OperatorInfo) -> None:
        self.over(operator)
        keep = len(self.result(operator).shape) == 4
        self.add(operator, Call(lambda x: x.mean((2, 3), keepdim=keep)))

    def _relu(self, operator: OperatorInfo) -> None:
        self.add(operator, nn.Sequential(*self.clamp(operator)))

    def _softmax(self, operator: OperatorInfo) -> None:
        beta = operator.options.get("Beta", 1.0)
        self.add(operator, Call(lambda x: torch.softmax(x * beta if beta != 1 else x, 1)))
        self.hosted[operator.outputs[0]] = operator.inputs[0]

    def _same(self, operator: OperatorInfo) -> None:
        self.expect(self.result(operator).shape, self.tensor(operator, 0).shape)
        self.add(operator, nn.Identity())

    def _input(self, number: int) -> None:
        shape, order = self.graph.tensors[number].shape, self.order
        step = Call(lambda x: order.held(x, shape))
        self.network.step(self.name(number), step, [str(number)], [str(number)])

    def _output(self, number: int) -> None:
        shape, order = self.graph.tensors[number].shape, self.order
        self.network.step("output", Call(lambda x: order.given(x, shape)), [str(number)], [f"output {number}"])


class Added(nn.Module):
    """A sum, and what is behind it."""

    def __init__(self, then: nn.Module):
        super().__init__()
        self.then = then

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.then(a + b)


def _set(layer: nn.Conv2d | nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    layer.weight.data = torch.tensor(np.ascontiguousarray(weight))
    assert layer.bias is not None
    layer.bias.data = torch.tensor(bias.astype(np.float32))
