"""What is computed of each number by itself, or of two."""

import operator
from math import isfinite

import numpy as np
import onnx
import torch
from torch.nn import functional

from hwgen.formats import Call
from hwgen.formats.onnx.node import Constant, Node, Value, builds

TWO = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.truediv,
}
ONE = {
    "Abs": torch.abs,
    "Ceil": torch.ceil,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Log": torch.log,
    "Mish": functional.mish,
    "Neg": torch.neg,
    "Reciprocal": torch.reciprocal,
    "Sigmoid": torch.sigmoid,
    "Softplus": functional.softplus,
    "Softsign": functional.softsign,
    "Sqrt": torch.sqrt,
    "Tanh": torch.tanh,
    "HardSwish": functional.hardswish,
}


@builds(*TWO)
def two(node: Node):
    if len(node.inputs) != 2:
        raise node.broken(f"{len(node.inputs)} inputs")
    return node.apply(TWO[node.proto.op_type])


@builds("Sum")
def several(node: Node):
    return node.apply(lambda *values: sum(values[1:], values[0]))


@builds("Max", "Min")
def extremes(node: Node):
    return node.apply(torch.maximum if node.proto.op_type == "Max" else torch.minimum)


@builds(*ONE)
def one(node: Node):
    return Call(ONE[node.proto.op_type])


@builds("Relu", levels="kept")
def relu(node: Node):
    return Call(functional.relu)


@builds("Pow")
def power(node: Node):
    exponent = node.weights(1)
    if exponent.size != 1:
        raise node.refusal(f"{exponent.size} exponents", "one exponent for all numbers")
    value = float(exponent.reshape(-1)[0])
    return Call(lambda x: torch.pow(x, value))


@builds("Clip", levels="kept")
def clip(node: Node):
    old = node.opset < 11
    ends = [node.attribute(name) if old else node.optional(n) for n, name in ((1, "min"), (2, "max"))]
    least = np.finfo(np.float32)
    low, high = (None if end is None else float(np.asarray(end).reshape(-1)[0]) for end in ends)
    low = None if low is None or low <= least.min else low
    high = None if high is None or high >= least.max else high
    if not all(end is None or isfinite(end) for end in (low, high)):
        raise node.broken(f"it clips to {low} and {high}")
    if low is None and high is None:
        return Call(identity)
    return Call(lambda x: torch.clamp(x, low, high))


@builds("LeakyRelu")
def leaky_relu(node: Node):
    slope = float(node.attribute("alpha", float(np.float32(0.01))))
    return Call(lambda x: functional.leaky_relu(x, slope))


@builds("Elu")
def elu(node: Node):
    alpha = float(node.attribute("alpha", 1.0))
    return Call(lambda x: functional.elu(x, alpha))


@builds("Gelu")
def gelu(node: Node):
    kind = node.attribute("approximate", "none")
    return Call(lambda x: functional.gelu(x, approximate=kind))


@builds("PRelu")
def prelu(node: Node):
    """Slopes of one number, or of one for each channel."""
    shape, slope = node.value(0).shape, node.weights(1)
    channels = slope.reshape((1,) * (len(shape) - slope.ndim) + slope.shape) if slope.ndim < len(shape) else slope
    if slope.size != 1 and (channels.ndim != len(shape) or channels.shape[1] != slope.size):
        raise node.refusal(f"slopes of shape {list(slope.shape)}", "one, or one for each channel")
    return Call(functional.prelu, torch.from_numpy(slope.reshape(-1)))


@builds("HardSigmoid")
def hard_sigmoid(node: Node):
    alpha, beta = float(node.attribute("alpha", float(np.float32(0.2)))), float(node.attribute("beta", 0.5))
    return Call(lambda x: torch.clamp(x * alpha + beta, 0.0, 1.0))


@builds("Softmax", "LogSoftmax")
def softmax(node: Node):
    rank = len(node.value(0).shape)
    axis = node.axis(node.attribute("axis", -1 if node.opset >= 13 else 1), rank)
    if node.opset < 13 and any(size != 1 for size in node.value(0).shape[axis + 1 :]):
        raise node.refusal(
            f"one over dimensions {axis} and behind", "export it with opset 13, or over the last dimension"
        )
    function = functional.softmax if node.proto.op_type == "Softmax" else functional.log_softmax
    return Call(lambda x: function(x, axis))


@builds("ArgMax", levels="made")
def argmax(node: Node):
    if node.attribute("select_last_index", 0):
        raise node.refusal("select_last_index", "take the first of equal ones")
    axis = node.axis(node.attribute("axis", 0), len(node.value(0).shape))
    keep = bool(node.attribute("keepdims", 1))
    return Call(lambda x: torch.argmax(x, axis, keep)), "int64"


@builds("TopK", levels="made")
def topk(node: Node):
    (count,) = node.listed(1) if node.opset >= 10 else [node.attribute("k")]
    axis = node.axis(node.attribute("axis", -1), len(node.value(0).shape))
    largest, ordered = bool(node.attribute("largest", 1)), bool(node.attribute("sorted", 1))
    return Call(lambda x: torch.topk(x, count, axis, largest, ordered)), "int64"


def identity(x):
    return x


@builds("Identity", levels="kept")
def nothing(node: Node):
    return Call(identity)


@builds("Dropout")
def dropout(node: Node):
    node.ignore("ratio", "seed", "is_test")
    training = node.inputs[2] if node.has(2) else None
    if isinstance(training, Value) or (isinstance(training, Constant) and training.value.any()):
        raise node.refusal("dropout in training", "call module.eval() before the export")
    return Call(lambda x, *_: x)


@builds("Cast", levels="made")
def cast(node: Node):
    node.ignore("saturate", "round_mode")
    to, kind = node.attribute("to"), node.value(0).kind
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
    if to in floats:
        return Call(identity), "float"
    name = onnx.TensorProto.DataType.Name(to).lower() if to in onnx.TensorProto.DataType.values() else str(to)
    if kind != "float" and name in ("int32", "int64"):
        return Call(identity), kind
    raise node.refusal(f"from {kind} to {name}", "quantize with QuantizeLinear or Quant")
