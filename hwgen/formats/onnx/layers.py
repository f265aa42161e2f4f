"""Layers with weights, and pools."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from hwgen.formats import Call
from hwgen.formats.onnx.node import Constant, Node, Value, buffer, builds, finite

CONV = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}
TRANSPOSED = {3: functional.conv_transpose1d, 4: functional.conv_transpose2d, 5: functional.conv_transpose3d}
MAX_POOL = {3: functional.max_pool1d, 4: functional.max_pool2d, 5: functional.max_pool3d}
AVG_POOL = {3: functional.avg_pool1d, 4: functional.avg_pool2d, 5: functional.avg_pool3d}
LAST = ("qonnx.custom_op.channels_last",)


def spatial(node: Node, kinds: dict, shape: Sequence[int]):
    """The torch function for a tensor of a shape."""
    if len(shape) not in kinds:
        raise node.refusal(f"a tensor of {len(shape)} dimensions", f"use one of {', '.join(map(str, kinds))}")
    return kinds[len(shape)]


def pads_of(node: Node, shape: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]):
    """What is padded before and behind each spatial dimension: ([before, ...], [behind, ...])."""
    count = len(shape) - 2
    auto = node.attribute("auto_pad", "NOTSET")
    pads = node.integers("pads", [0] * (2 * count))
    if min(pads) < 0:
        raise node.refusal(f"pads {pads}", "cut with Slice instead of negative pads")
    if auto in ("NOTSET", ""):
        return pads[:count], pads[count:]
    if auto not in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        raise node.broken(f"auto_pad {auto}")
    if auto == "VALID":
        return [0] * count, [0] * count
    totals = [
        max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
        for size, k, s, d in zip(shape[2:], kernel, stride, dilation, strict=True)
    ]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def outer_pads(before: Sequence[int], behind: Sequence[int]) -> list[int]:
    """As functional.pad takes them: the last dimension first."""
    return [n for pair in zip(reversed(before), reversed(behind), strict=True) for n in pair]


def window(node: Node, shape: Sequence[int], kernel: Sequence[int]):
    """Strides, dilations and pads of a node with windows."""
    count = len(shape) - 2
    if len(kernel) != count or min(kernel, default=0) < 1:
        raise node.broken(f"a kernel of shape {list(kernel)} on a tensor of shape {list(shape)}")
    stride, dilation = node.integers("strides", [1] * count), node.integers("dilations", [1] * count)
    if min(*stride, *dilation) < 1:
        raise node.broken(f"strides {stride}, dilations {dilation}")
    return stride, dilation, *pads_of(node, shape, kernel, stride, dilation)


def bias_parts(node: Node, n: int) -> list[np.ndarray]:
    """A bias as none, one, or two arrays whose sum it is."""
    if not node.has(n):
        return []
    parts = [part for part in node.parts(n) if part is not None]
    return [finite(node, part, node.proto.input[n]).reshape(-1) for part in parts]


def with_bias(layer, parts: Sequence[np.ndarray], rank: int):
    """layer(x, weight, bias) and the tensors behind its weight; the second part of a bias is added to the result."""
    if len(parts) < 2:
        return layer, [buffer(part) for part in parts]
    shape = [-1] + [1] * (rank - 2)
    return lambda x, w, b, rest: layer(x, w, b) + rest, [buffer(parts[0]), buffer(parts[1].reshape(shape))]


def convolution(node: Node, shape: Sequence[int], weight: np.ndarray, parts: Sequence[np.ndarray]) -> Call:
    """A convolution of a tensor of a shape, channels before rows and columns."""
    conv = spatial(node, CONV, shape)
    groups = node.attribute("group", 1)
    if weight.ndim != len(shape) or groups < 1 or weight.shape[1] * groups != shape[1] or len(weight) % groups:
        raise node.broken(
            f"weights of shape {list(weight.shape)} in {groups} groups on a tensor of shape {list(shape)}"
        )
    kernel = node.integers("kernel_shape", list(weight.shape[2:]))
    if kernel != list(weight.shape[2:]):
        raise node.broken(f"kernel_shape {kernel} and weights of shape {list(weight.shape)}")
    stride, dilation, before, behind = window(node, shape, kernel)
    padding, extra = (before, []) if before == behind else (0, outer_pads(before, behind))

    def layer(x, w, b=None):
        x = functional.pad(x, extra) if extra else x
        return conv(x, w, b, stride, padding, dilation, groups)

    run, biases = with_bias(layer, parts, len(shape))
    return Call(run, buffer(weight), *biases)


@builds("Conv")
def conv(node: Node):
    return convolution(node, node.value(0).shape, node.weights(1), bias_parts(node, 2))


@builds("ConvTranspose")
def conv_transpose(node: Node):
    shape, weight = node.value(0).shape, node.weights(1)
    layer = spatial(node, TRANSPOSED, shape)
    groups, count = node.attribute("group", 1), len(shape) - 2
    if node.attribute("output_shape") or node.attribute("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise node.refusal("an output_shape, or auto_pad", "say pads and output_padding")
    if weight.ndim != len(shape) or weight.shape[0] != shape[1] or groups < 1:
        raise node.broken(f"weights of shape {list(weight.shape)} on a tensor of shape {list(shape)}")
    kernel = node.integers("kernel_shape", list(weight.shape[2:]))
    stride, dilation, before, behind = window(node, shape, kernel)
    more = node.integers("output_padding", [0] * count)
    crop = before != behind
    padding = 0 if crop else before
    keep = tuple(slice(a, -b if b else None) for a, b in zip(before, behind, strict=True))

    def run(x, w, b=None):
        y = layer(x, w, b, stride, padding, more, groups, dilation)
        return y[(slice(None), slice(None), *keep)] if crop else y

    function, biases = with_bias(run, bias_parts(node, 2), len(shape))
    return Call(function, buffer(weight), *biases)


def linear(weight: np.ndarray, parts: Sequence[np.ndarray]) -> Call:
    """weight [out, in]"""
    run, biases = with_bias(functional.linear, parts, 2)
    if len(parts) > 1:
        biases[1] = biases[1].reshape(-1)
    return Call(run, buffer(weight), *biases)


@builds("Gemm")
def gemm(node: Node):
    alpha, beta = float(node.attribute("alpha", 1.0)), float(node.attribute("beta", 1.0))
    if node.attribute("transA", 0):
        raise node.refusal("transA", "transpose before it")
    weight = node.weights(1)
    weight = weight if node.attribute("transB", 0) else weight.T
    shape = node.value(0).shape
    if weight.ndim != 2 or len(shape) != 2 or weight.shape[1] != shape[1]:
        raise node.broken(f"weights of shape {list(node.weights(1).shape)} on a tensor of shape {list(shape)}")
    if node.has(2) and isinstance(node.inputs[2], Value):
        return Call(lambda x, c, w: functional.linear(x, w * alpha) + c * beta, buffer(weight))
    biases = bias_parts(node, 2)
    if any(part.size not in (1, len(weight)) for part in biases):
        raise node.broken(f"a bias of {biases[0].size} numbers for {len(weight)} outputs")
    parts = [np.broadcast_to(part * beta, len(weight)) for part in biases]
    return linear(weight * alpha, parts)


@builds("MatMul")
def matmul(node: Node):
    a, b = node.inputs
    if isinstance(a, Value) and isinstance(b, Constant) and b.value.ndim == 2 and len(a.shape) > 1:
        if a.shape[-1] != len(b.value):
            raise node.broken(f"weights of shape {list(b.value.shape)} on a tensor of shape {list(a.shape)}")
        return linear(node.weights(1).T, [])
    return node.apply(torch.matmul)


@builds("BatchNormalization")
def batch_normalization(node: Node):
    return _batch_norm(node, node.value(0).shape)


def _batch_norm(node: Node, shape: Sequence[int]) -> Call:
    node.ignore("momentum", "is_test")
    if node.attribute("training_mode", 0) or not node.attribute("spatial", 1):
        raise node.refusal("a batch norm in training, or one for each pixel", "call module.eval() before the export")
    values = [node.weights(n) for n in range(1, 5)]
    if len(shape) < 2 or any(v.shape != (shape[1],) for v in values):
        raise node.broken(f"parameters of shape {list(values[0].shape)} on a tensor of shape {list(shape)}")
    epsilon = float(node.attribute("epsilon", float(np.float32(1e-5))))
    if (values[3] + epsilon <= 0).any():
        raise node.broken("a variance that is not above zero")
    return Call(
        lambda x, scale, bias, mean, var: functional.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon),
        *map(buffer, values),
    )


# pools


def _ceil_mode(node: Node, shape, kernel, stride, dilation, before, behind) -> tuple[bool, tuple[int, ...]]:
    """Whether the last window of torch's pool, padded before only, may begin inside and end outside; and its size."""
    asked = bool(node.attribute("ceil_mode", 0))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if before == behind:
        return asked, ()
    wanted = [(n + a + b - r) // s + 1 for n, a, b, r, s in zip(shape[2:], before, behind, reach, stride, strict=True)]
    found = [-(-(n + 2 * a - r) // s) + 1 for n, a, r, s in zip(shape[2:], before, reach, stride, strict=True)]
    if asked or wanted != found:
        raise node.refusal(f"pads {before} before and {behind} behind", "pad alike on both sides")
    return True, tuple(wanted)


def max_pooling(node: Node, shape: Sequence[int]) -> Call:
    pool = spatial(node, MAX_POOL, shape)
    node.ignore("storage_order")
    kernel = node.attribute("kernel_shape", [])
    stride, dilation, before, behind = window(node, shape, kernel)
    ceil, _ = _ceil_mode(node, shape, kernel, stride, dilation, before, behind)
    return Call(lambda x: pool(x, kernel, stride, before, dilation, ceil))


@builds("MaxPool", levels="kept")
def max_pool(node: Node):
    return max_pooling(node, node.value(0).shape)


@builds("AveragePool")
def average_pool(node: Node):
    return averaging(node, node.value(0).shape)


def averaging(node: Node, shape: Sequence[int]) -> Call:
    pool = spatial(node, AVG_POOL, shape)
    kernel = node.attribute("kernel_shape", [])
    include = bool(node.attribute("count_include_pad", 0))
    stride, dilation, before, behind = window(node, shape, kernel)
    if set(dilation) != {1}:
        raise node.refusal(f"dilations {dilation}", "average over windows without holes")
    ceil = bool(node.attribute("ceil_mode", 0))
    if before != behind and not include:
        raise node.refusal(f"pads {before} before and {behind} behind", "pad alike on both sides, or count_include_pad")
    if before != behind:
        extra = outer_pads(before, behind)
        return Call(lambda x: pool(functional.pad(x, extra), kernel, stride, 0, ceil))
    return Call(lambda x: pool(x, kernel, stride, before, ceil, include))


@builds("GlobalAveragePool")
def global_average_pool(node: Node):
    dims = list(range(2, len(node.value(0).shape)))
    return Call(lambda x: x.mean(dims, True))


@builds("GlobalMaxPool", levels="kept")
def global_max_pool(node: Node):
    dims = list(range(2, len(node.value(0).shape)))
    return Call(lambda x: x.amax(dims, True))


def _reduction(node: Node) -> tuple[list[int], bool]:
    rank = len(node.value(0).shape)
    axes = node.listed(1) if node.has(1) else node.attribute("axes", [])
    if not axes and node.attribute("noop_with_empty_axes", 0):
        raise node.refusal("no axes, and noop_with_empty_axes", "leave it out")
    keep = bool(node.attribute("keepdims", 1))
    return sorted({node.axis(axis, rank) for axis in axes}) or list(range(rank)), keep


@builds("ReduceMean")
def reduce_mean(node: Node):
    axes, keep = _reduction(node)
    return Call(lambda x: x.mean(axes, keep))


@builds("ReduceSum")
def reduce_sum(node: Node):
    axes, keep = _reduction(node)
    return Call(lambda x: x.sum(axes, keep))


@builds("ReduceMax", levels="kept")
def reduce_max(node: Node):
    axes, keep = _reduction(node)
    return Call(lambda x: x.amax(axes, keep))


# QONNX's layers with channels behind rows and columns, weights too


def _first(shape: Sequence[int]) -> list[int]:
    return [shape[0], shape[-1], *shape[1:-1]]


def _channels_last(step: Call) -> Call:
    inner = step.function
    return Call(lambda x, *constants: inner(x.movedim(-1, 1), *constants).movedim(1, -1), *step.buffers())


@builds("Conv", domains=LAST)
def conv_last(node: Node):
    weight = np.moveaxis(node.weights(1), -1, 1)
    return _channels_last(convolution(node, _first(node.value(0).shape), weight, bias_parts(node, 2)))


@builds("MaxPool", domains=LAST, levels="kept")
def max_pool_last(node: Node):
    return _channels_last(max_pooling(node, _first(node.value(0).shape)))


@builds("BatchNormalization", domains=LAST)
def batch_normalization_last(node: Node):
    return _channels_last(_batch_norm(node, _first(node.value(0).shape)))
