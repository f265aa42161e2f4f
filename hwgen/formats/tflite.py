"""TensorFlow Lite: int8 networks, as their kernels compute them, and float ones.

Of an int8 network the module takes the integers of its input as floats, [N, rows, columns, channels] as the file has
it, and returns those of its outputs. Each operator is a submodule, named by its output tensor, whose result is the
tensor's integers less their zero point, with the channels first. A SOFTMAX at the end is the host's, in floats, so its
result is probabilities; a DEQUANTIZE there gives floats, too, and a float input is quantized by a QUANTIZE.

The target says how sums become levels. `exact`: of the rational number that the file's scales make of the sum, half
even. `tflite-reference`: as TensorFlow Lite's reference kernels (BUILTIN_REF), bit for bit.

A file of floats alone becomes layers of torch, to be compressed.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwgen import rules
from hwgen.errors import BadInput, HwgenError, Obstacles, UnsupportedLayer
from hwgen.fixed_point import requantize_fixed
from hwgen.flatbuffer import OperatorInfo, Subgraph, TensorInfo, parse
from hwgen.formats import Call, Network, Read, needs
from hwgen.nn_affine import quantize_affine
from hwgen.ops.rescale import Rescale
from hwgen.requantize import requantize, requantize_sum

SUFFIXES = (".tflite",)
TARGETS = (rules.EXACT, rules.TFLITE_REFERENCE)
INT8 = (-128, 127)
WEIGHTS = ("INT8", "INT4")
NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)  # fused activations
SAME = 0  # padding
QUANTIZE_AGAIN = "quantize activations and weights to int8 when you convert (full integer quantization)"


def read(path: str, target: str = "exact") -> Read:
    """The network of a .tflite file, as (module, example_inputs).

    target -- exact or tflite-reference. Raises BadInput where the file is broken, UnsupportedLayer, or Obstacles that
    tell all of them, where an operator is none of those here.
    """
    if target not in TARGETS:
        raise BadInput(f"target = {target!r} for a .tflite file", path, f"use {' or '.join(TARGETS)}")
    schema = needs("tflite", path, "tflite")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"the file cannot be read: {error.strerror}", path, "name a .tflite file") from None
    graph = parse(content, path, schema)
    quantized = any(tensor.kind not in ("FLOAT32", "INT32", "INT64") for tensor in graph.tensors)
    return (_Integers if quantized else _Floats)(graph, path, target).read()


class _Reader:
    """Walks a subgraph, operator by operator; what stands in the way is told at once."""

    KINDS: ClassVar[dict[str, str]]  # of an operator -> the method that reads it

    def __init__(self, graph: Subgraph, path: str, target: str):
        self.graph, self.path, self.target = graph, path, target
        self.network = Network([str(n) for n in graph.inputs], [f"output {n}" for n in graph.outputs])
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
        return Windows(kernel, stride, dilation, (left, right, top, bottom)), (down, across)

    # what only moves numbers

    def _reshape(self, operator: OperatorInfo) -> None:
        before, after = self.tensor(operator, 0).shape, self.result(operator).shape
        if prod(before) != prod(after) or before[:1] != (1,) or after[:1] != (1,):
            raise UnsupportedLayer(f"a reshape of {list(before)} to {list(after)}", "", "keep a batch of one first")
        self.add(operator, Call(lambda x: channels_first(channels_last(x).reshape(len(x), *after[1:]))))

    def _pad(self, operator: OperatorInfo) -> None:
        before, after = self.tensor(operator, 0).shape, self.result(operator).shape
        sides = self.constant(operator, 1, ["INT32", "INT64"]).astype(np.int64)
        self.expect(sides.shape, (len(before), 2), "its padding has")
        if (sides < 0).any() or sides[0].any():
            raise UnsupportedLayer("a padding of the batch, or of less than nothing", "", "pad rows and columns")
        self.expect(after, [n + int(pair.sum()) for n, pair in zip(before, sides, strict=True)])
        order = [0, 3, 1, 2] if len(before) == 4 else range(len(before))
        pads = [int(n) for axis in reversed(order) for n in sides[axis]]
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
        dim = {1: 2, 2: 3, 3: 1}[axis] if len(whole) == 4 else axis
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


class _Integers(_Reader):
    """An int8 network. Between the steps are integers less their zero point."""

    KINDS: ClassVar = {
        "CONV_2D": "_conv",
        "DEPTHWISE_CONV_2D": "_conv",
        "FULLY_CONNECTED": "_fully_connected",
        "ADD": "_sum",
        "SUB": "_sum",
        "AVERAGE_POOL_2D": "_average",
        "MEAN": "_mean",
        "MAX_POOL_2D": "_max_pool",
        "RELU": "_again",
        "RELU6": "_again",
        "RESHAPE": "_reshape",
        "SQUEEZE": "_reshape",
        "EXPAND_DIMS": "_reshape",
        "PAD": "_pad",
        "CONCATENATION": "_concatenate",
        "QUANTIZE": "_quantize",
        "DEQUANTIZE": "_dequantize",
        "SOFTMAX": "_softmax",
    }

    @property
    def reference(self) -> bool:
        return self.target == rules.TFLITE_REFERENCE

    def _operator(self, operator: OperatorInfo) -> None:
        if operator.kind in self.KINDS and operator.kind not in ("QUANTIZE", "DEQUANTIZE"):
            for number in (*operator.inputs, *operator.outputs):
                self._check_kind(operator, number)
        super()._operator(operator)

    def _check_kind(self, operator: OperatorInfo, number: int) -> None:
        """That an activation is int8, in one scale."""
        tensor = self.graph.tensors[number]
        if number < 0 or tensor.data is not None:
            return
        if tensor.kind == "FLOAT32":
            weights = [self.graph.tensors[n] for n in operator.inputs if n >= 0]
            if any(weight.data is not None and weight.kind in WEIGHTS for weight in weights):
                raise UnsupportedLayer(
                    f"{operator.kind} of floats with integer weights: dynamic range quantization", "", QUANTIZE_AGAIN
                )
            raise UnsupportedLayer(f"{operator.kind} of floats in an int8 network", "", QUANTIZE_AGAIN)
        self.zero(tensor)

    def zero(self, tensor: TensorInfo) -> int:
        """The zero point of an int8 tensor."""
        if tensor.kind != "INT8":
            raise UnsupportedLayer(f"activations of {tensor.kind}: {tensor.name}", "", QUANTIZE_AGAIN)
        if len(tensor.scales) != 1:
            raise UnsupportedLayer(f"{tensor.name} has {len(tensor.scales)} scales", "", "use one for an activation")
        zero = int(tensor.zeros[0])
        if not INT8[0] <= zero <= INT8[1]:
            raise BadInput(f"the zero point of {tensor.name} is {zero}", "", "convert the network again")
        return zero

    def ends(self, operator: OperatorInfo) -> tuple[int, int]:
        """The least and the greatest integer of the result, less its zero point, where its activation is cut off."""
        result = self.result(operator)
        zero, scale = self.zero(result), result.scales[0]
        low, high = INT8[0] - zero, INT8[1] - zero
        cuts = {NONE: (None, None), RELU: (0, None), RELU_N1_TO_1: (-1, 1), RELU6: (0, 6)}
        named = {"RELU": RELU, "RELU6": RELU6}.get(operator.kind, NONE)
        fused = operator.options.get("FusedActivationFunction", named)
        if fused not in cuts:
            raise UnsupportedLayer(f"{operator.kind} with the activation {fused}", "", "use ReLU or ReLU6")
        least, greatest = (None if cut is None else int(_half_away(np.float32(cut) / scale)) for cut in cuts[fused])
        return low if least is None else max(low, least), high if greatest is None else min(high, greatest)

    def clamp(self, operator: OperatorInfo) -> list[nn.Module]:
        low, high = self.ends(operator)
        zero = self.zero(self.result(operator))
        return [] if (low, high) == (INT8[0] - zero, INT8[1] - zero) else [nn.Hardtanh(low, high)]

    def same_scale(self, operator: OperatorInfo) -> None:
        result = self.result(operator)
        for number in operator.inputs:
            tensor = self.graph.tensors[number]
            if tensor.data is None and (self.zero(tensor), tensor.scales[0]) != (self.zero(result), result.scales[0]):
                raise UnsupportedLayer(
                    f"{operator.kind} from one scale to another", "", "convert the network again, or quantize before it"
                )

    # sums and their levels

    def levels(self, operator: OperatorInfo, factors: np.ndarray, rounding: str = "half_even") -> Callable:
        """Of sums [N, channels, ...] the levels of the result: sums * factors rounded, cut off.

        factors -- float64 [channels or 1], what TensorFlow Lite makes its multipliers of
        """
        low, high = self.ends(operator)
        if self.reference:
            return _fixed(*rules.quantized_multipliers(factors), low, high)
        return _affine(self.units(operator), self.result(operator), low, high, rounding)

    def units(self, operator: OperatorInfo) -> np.ndarray:
        """What an integer of the sums is worth, exactly: float64, one or one a channel."""
        of = [self.tensor(operator, place).scales.astype(np.float64) for place in range(len(operator.inputs[:2]))]
        return of[0] * of[1] if len(of) > 1 and of[1].size else of[0]

    def factors(self, operator: OperatorInfo) -> np.ndarray:
        return self.units(operator) / np.float64(self.result(operator).scales[0])

    def weights(self, operator: OperatorInfo, axis: int) -> np.ndarray:
        """Integers less their zero point; scales are one, or one a channel, which is `axis`."""
        weight, tensor = self.constant(operator, 1, WEIGHTS), self.tensor(operator, 1)
        if not tensor.quantized:
            raise BadInput(f"{tensor.name} has no scale", "", "convert the network again")
        if len(tensor.scales) > 1 and (tensor.axis != axis or len(tensor.scales) != weight.shape[axis]):
            raise UnsupportedLayer(
                f"{tensor.name} has {len(tensor.scales)} scales along dimension {tensor.axis} of {list(weight.shape)}",
                "",
                f"quantize weights by output channel: along dimension {axis}",
            )
        if tensor.zeros.any() and (operator.kind != "FULLY_CONNECTED" or len(tensor.zeros) > 1):
            raise UnsupportedLayer(f"{tensor.name} has a zero point", "", "quantize weights symmetrically")
        return weight.astype(np.int64) - tensor.zeros[0]

    def _conv(self, operator: OperatorInfo) -> None:
        _, _, channels = self.image(self.tensor(operator, 0))
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        if self.tensor(operator, 1).data is not None and len(self.tensor(operator, 1).shape) != 4:
            raise BadInput(f"weights of shape {list(self.tensor(operator, 1).shape)}", "", "convert the network again")
        weight = self.weights(operator, 3 if depthwise else 0)
        weight = weight.transpose(3, 0, 1, 2) if depthwise else weight.transpose(0, 3, 1, 2)
        outputs, inputs, *kernel = weight.shape
        groups = channels if depthwise else channels // max(1, inputs)
        if inputs < 1 or outputs < 1 or groups * inputs != channels or outputs % groups:
            raise BadInput(f"weights of {outputs}x{inputs} channels for {channels}", "", "convert the network again")
        windows, size = self.window(operator, (kernel[0], kernel[1]))
        self.expect(self.result(operator).shape, (1, *size, outputs))
        levels = self.levels(operator, self.factors(operator))
        bias = self.bias(operator, outputs, "INT32")
        step = Sums(lambda x, w, b: levels(windows.conv2d(x, w, b, groups)), weight, bias)
        self.add(operator, step)

    def _fully_connected(self, operator: OperatorInfo) -> None:
        shape = self.tensor(operator, 0).shape
        weight = self.weights(operator, 0)
        if weight.ndim != 2 or operator.options.get("WeightsFormat", 0) or shape[:1] != (1,):
            raise UnsupportedLayer(f"FULLY_CONNECTED of {list(shape)}, {list(weight.shape)}", "", "use a batch of one")
        outputs, inputs = weight.shape
        self.expect([prod(shape)], [inputs], "its input, flattened, has")
        self.expect(self.result(operator).shape, (1, outputs))
        # the reference kernel computes in float64, and rounds half away from zero
        rounding = "half_away" if self.reference else "half_even"
        levels = _affine(self.units(operator), self.result(operator), *self.ends(operator), rounding)
        step = Sums(
            lambda x, w, b: levels(F.linear(channels_last(x).reshape(len(x), -1), w, b)),
            weight,
            self.bias(operator, outputs, "INT32"),
        )
        self.add(operator, step)

    def _average(self, operator: OperatorInfo) -> None:
        """All kernels round the average of the integers as they are in the file, half away from zero."""
        self.same_scale(operator)
        pool, (low, high), zero = self.pooled(operator), self.ends(operator), self.zero(self.result(operator))
        pool.divisor_override, count = 1, prod(self.kernel(operator))

        def rule(sums: np.ndarray) -> np.ndarray:
            return _half_away((sums + count * zero) / count) - zero

        reach = np.array([[count * (INT8[0] - zero), count * (INT8[1] - zero)]])
        found = requantize([Fraction(1, count)], [Fraction(0)], reach, low, high, "half_away", rule=rule).op
        assert isinstance(found, Rescale), "averages of one rounding on either side of zero are a line"
        multiplier, scale = float(found.multipliers[0]), float(1 << found.shift)
        self.add(operator, Call(lambda x: _floor(pool(x) * multiplier + float(found.biases[0]), scale, low, high)))

    def _mean(self, operator: OperatorInfo) -> None:
        self.over(operator)
        rows, columns, _ = self.image(self.tensor(operator, 0))
        scale, result = self.tensor(operator, 0).scales.astype(np.float64), self.result(operator)
        keep, count = len(result.shape) == 4, rows * columns
        if not self.reference:
            levels = _affine(scale, result, *self.ends(operator), "half_even")
            self.add(operator, Call(lambda x: levels(x.mean((2, 3), keepdim=keep))))
            return
        # the reference kernel makes the division part of the multiplier, rounded down
        multiplier, shift = rules.quantized_multipliers(scale / np.float64(result.scales[0]))
        more = min(count.bit_length() - 1, 32, 31 + int(shift[0]))
        levels = _fixed((multiplier << more) // count, shift - more, *self.ends(operator))
        self.add(operator, Call(lambda x: levels(x.sum((2, 3), keepdim=keep))))

    def _again(self, operator: OperatorInfo) -> None:
        """From one scale to another."""
        self.expect(self.result(operator).shape, self.tensor(operator, 0).shape)
        self.add(operator, Call(self.levels(operator, self.factors(operator))))

    def _sum(self, operator: OperatorInfo) -> None:
        first, second, result = self.tensor(operator, 0), self.tensor(operator, 1), self.result(operator)
        if first.data is not None or second.data is not None or first.shape != second.shape:
            raise UnsupportedLayer(
                f"{operator.kind} of {list(first.shape)} and {list(second.shape)}, or of a constant",
                "",
                "add computed tensors of one shape",
            )
        self.expect(result.shape, first.shape)
        worth = [float(tensor.scales[0]) for tensor in (first, second, result)]
        worth[1] *= -1 if operator.kind == "SUB" else 1
        low, high = self.ends(operator)
        if not self.reference:
            scale, zero = torch.tensor([worth[2]], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)

            def levels(a: Tensor, b: Tensor) -> Tensor:
                return quantize_affine(a * worth[0] + b * worth[1], scale, zero, 0, low, high, "half_even")

            self.add(operator, Call(levels), 2)
            return
        factors = [Fraction(worth[place]) / Fraction(worth[2]) for place in (0, 1)]
        ends = [(INT8[0] - self.zero(tensor), INT8[1] - self.zero(tensor)) for tensor in (first, second)]
        rule = rules.tflite_reference_sum(*factors, Fraction(0))
        found = requantize_sum(*factors, Fraction(0), *ends, low, high, "half_away", rule=rule)
        if found is None:
            raise UnsupportedLayer(
                f"{operator.kind} of scales {first.scales[0]:.4g} and {second.scales[0]:.4g}: no multipliers give all "
                "its results",
                "",
                "quantize its inputs in scales that are nearer to each other",
            )
        (one, other), line = (float(found[0][0]), float(found[0][1])), found[1]
        bias, scale = float(line.biases[0]), float(1 << line.shift)
        self.add(operator, Call(lambda a, b: _floor(a * one + b * other + bias, scale, low, high)), 2)

    # what only moves numbers has the same scale behind it

    def _reshape(self, operator: OperatorInfo) -> None:
        self.same_scale(operator)
        super()._reshape(operator)

    def _pad(self, operator: OperatorInfo) -> None:
        self.same_scale(operator)
        super()._pad(operator)

    def _concatenate(self, operator: OperatorInfo) -> None:
        self.same_scale(operator)
        super()._concatenate(operator)

    def _max_pool(self, operator: OperatorInfo) -> None:
        self.same_scale(operator)
        super()._max_pool(operator)

    # the border

    def _input(self, number: int) -> None:
        tensor, name = self.graph.tensors[number], str(number)
        if tensor.kind == "FLOAT32":
            self.network.step(self.name(number), Call(channels_first), [name], [name])
            return
        zero, levels = self.zero(tensor), _stored(self.zero(tensor), 1.0, "half_even")
        self.network.step(self.name(number), Call(lambda x: channels_first(levels(x - zero))), [name], [name])

    def _quantize(self, operator: OperatorInfo) -> None:
        before, after = self.tensor(operator, 0), self.result(operator)
        self.expect(after.shape, before.shape)
        if before.kind == "INT8":
            self._again(operator)
        elif operator.inputs[0] in self.graph.inputs and before.kind == "FLOAT32":
            rounding = "half_away" if self.reference else "half_even"
            self.add(operator, Call(_stored(self.zero(after), float(after.scales[0]), rounding)))
        else:
            raise UnsupportedLayer(f"QUANTIZE of {before.kind} that is no input", "", QUANTIZE_AGAIN)

    def _dequantize(self, operator: OperatorInfo) -> None:
        if operator.outputs[0] not in self.graph.outputs:
            raise UnsupportedLayer("DEQUANTIZE inside of the network", "", QUANTIZE_AGAIN)
        source = operator.inputs[0]
        if source not in self.hosted:
            scale = float(self.tensor(operator, 0).scales[0]) if self.zero(self.tensor(operator, 0)) < 128 else 1.0
            self.add(operator, Call(lambda x: x * scale))
        else:
            self.add(operator, nn.Identity())
        self.hosted[operator.outputs[0]] = source

    def _softmax(self, operator: OperatorInfo) -> None:
        logits = self.tensor(operator, 0)
        self.expect(self.result(operator).shape, logits.shape)
        scale = float(logits.scales[0]) * operator.options.get("Beta", 1.0)
        dim = 1 if len(logits.shape) == 4 else -1
        self.add(operator, Call(lambda x: torch.softmax(x * scale, dim)))
        self.hosted[operator.outputs[0]] = operator.inputs[0]

    def _output(self, number: int) -> None:
        zero = 0 if number in self.hosted else self.zero(self.graph.tensors[number])
        step = Call(lambda x: channels_last(x + zero if zero else x))
        self.network.step("output", step, [str(number)], [f"output {number}"])


class _Floats(_Reader):
    """A network of floats, as torch's layers."""

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
    }

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
        weight = weight.transpose(3, 0, 1, 2) if depthwise else weight.transpose(0, 3, 1, 2)
        _, _, channels = self.image(self.tensor(operator, 0))
        outputs, inputs, *kernel = weight.shape
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
        flat = [] if len(shape) == 2 else [Call(lambda x: channels_last(x).reshape(len(x), -1))]
        self.add(operator, nn.Sequential(*flat, layer, *self.clamp(operator)))

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

    def _input(self, number: int) -> None:
        if self.graph.tensors[number].kind != "FLOAT32":
            raise UnsupportedLayer(f"an input of {self.graph.tensors[number].kind}", "", "use FLOAT32 or INT8")
        self.network.step(self.name(number), Call(channels_first), [str(number)], [str(number)])

    def _output(self, number: int) -> None:
        self.network.step("output", Call(channels_last), [str(number)], [f"output {number}"])


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


class Sums(Call):
    """A step of the integers of weights and bias."""

    def __init__(self, function: Callable, weight: np.ndarray, bias: np.ndarray):
        super().__init__(function, torch.tensor(weight.astype(np.float64)), torch.tensor(bias.astype(np.float64)))


class Added(nn.Module):
    """A sum, and what is behind it."""

    def __init__(self, then: nn.Module):
        super().__init__()
        self.then = then

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.then(a + b)


def channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2) if x.dim() == 4 else x


def channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


def _set(layer: nn.Conv2d | nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    layer.weight.data = torch.tensor(np.ascontiguousarray(weight))
    layer.bias.data = torch.tensor(bias.astype(np.float32))


def _padding(size: int, kernel: int, stride: int, dilation: int, same: bool) -> tuple[int, int, int]:
    """What is padded before and behind, and how many results there are."""
    reach = dilation * (kernel - 1) + 1
    if not same:
        return 0, 0, (size - reach) // stride + 1
    count = -(-size // stride)
    lacks = max(0, (count - 1) * stride + reach - size)
    return lacks // 2, lacks - lacks // 2, count


def _half_away(x: np.ndarray | np.floating) -> np.ndarray:
    """The nearest integers, as C's round: ties away from zero."""
    return np.sign(x) * np.floor(abs(x) + 0.5)


def _floor(x: Tensor, scale: float, low: int, high: int) -> Tensor:
    """The levels floor(x / scale), from low to high."""
    worth, zero = torch.tensor([scale], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    return quantize_affine(x, worth, zero, 0, low, high, "floor")


def _affine(units: np.ndarray, result: TensorInfo, low: int, high: int, rounding: str) -> Callable:
    """Of sums [N, channels, ...] whose integers are worth `units` the levels of a tensor, less its zero point."""
    scale = torch.tensor(result.scales[:1].astype(np.float64))
    worth, zero = torch.tensor(units), torch.zeros(1, dtype=torch.float64)

    def levels(x: Tensor) -> Tensor:
        along = worth.reshape([1, -1, *[1] * (x.dim() - 2)])
        return quantize_affine(x * along, scale, zero, 0, low, high, rounding)

    return levels


def _fixed(multipliers: np.ndarray, shifts: np.ndarray, low: int, high: int) -> Callable:
    """The same by multipliers and shifts of the reference kernels."""
    multiplier, shift = torch.tensor(multipliers), torch.tensor(shifts)
    return lambda x: requantize_fixed(x, multiplier, shift, low, high)


def _stored(zero: int, scale: float, rounding: str) -> Callable:
    """The levels of an input, less their zero point."""
    worth, none = torch.tensor([scale], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    low, high = INT8[0] - zero, INT8[1] - zero
    return lambda x: quantize_affine(x, worth, none, 0, low, high, rounding)
