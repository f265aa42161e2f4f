"""Nodes without a state: weights, pools, flatten."""

from dataclasses import replace
from math import prod

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hwgen.errors import BadInput, UnsupportedLayer
from hwgen.formats import Call
from hwgen.formats.nir.value import Job, Value, builds
from hwgen.formats.nir.weights import error


def _integers(job: Job, x: Value) -> tuple[torch.Tensor, torch.Tensor, Value]:
    """The weights as integers, the bias on the grid of their sums, and what the sums are worth."""
    weight = job.array("weight") * x.scale
    bias = job.array("bias", 0.0) if "bias" in job.node.values else np.zeros(len(weight))
    if bias.shape not in ((), (len(weight),)) or not np.isfinite(bias).all():
        raise BadInput(f"a bias of shape {list(bias.shape)}", job.node.name, f"give [{len(weight)}] finite numbers")
    unit = job.scale * 2.0**x.exponent
    rounded = np.rint(np.broadcast_to(bias, len(weight)) / unit) * 2.0**x.exponent
    if missed := error(weight, job.scale):
        job.note(f"weights are integers times {job.scale:.6g}; the worst is off by {missed:.2%} of the greatest")
    if (off := np.abs(rounded * job.scale - bias).max()) > 0:
        job.note(f"biases are multiples of {unit:.6g}; the worst is off by {off:.3g}")
    result = replace(x, scale=job.scale)
    return torch.from_numpy(np.rint(weight / job.scale)), torch.from_numpy(rounded.copy()), result


@builds("Affine", "Linear")
def linear(job: Job, x: Value) -> tuple[nn.Module, Value]:
    weight, bias, result = _integers(job, x)
    if weight.dim() != 2 or x.shape[-1:] != weight.shape[1:]:
        raise BadInput(
            f"weights of shape {list(weight.shape)} on frames {list(x.shape)}",
            job.node.name,
            "give [outputs, inputs], inputs being the last dimension of a frame",
        )
    return Call(functional.linear, weight, bias), result


@builds("Conv1d", "Conv2d")
def convolution(job: Job, x: Value) -> tuple[nn.Module, Value]:
    weight, bias, result = _integers(job, x)
    count = 1 if job.node.kind == "Conv1d" else 2
    groups = job.integers("groups", 1, 1, 1)[0]
    if weight.dim() != count + 2 or len(x.shape) != count + 1 or x.shape[0] != weight.shape[1] * groups:
        raise BadInput(
            f"weights of shape {list(weight.shape)}, groups {groups}, on frames {list(x.shape)}",
            job.node.name,
            f"give [outputs, channels / groups, {'columns' if count == 1 else 'rows, columns'}] and frames to match",
        )
    stride, dilation = job.integers("stride", count, 1, 1), job.integers("dilation", count, 1, 1)
    padding = job.node.values.get("padding", "valid")
    if not isinstance(padding, str):
        padding = job.integers("padding", count, 0)
    elif padding not in ("same", "valid"):
        raise BadInput(f"padding = {padding!r}", job.node.name, "use numbers, same or valid")
    function = functional.conv1d if count == 1 else functional.conv2d
    return Call(lambda x, w, b: function(x, w, b, stride, padding, dilation, groups), weight, bias), result


@builds("SumPool2d", "AvgPool2d")
def pool(job: Job, x: Value) -> tuple[nn.Module, Value]:
    """The sum of each window; a divisor that is no power of two becomes part of what is behind it."""
    kernel, padding = job.integers("kernel_size", 2, 1), job.integers("padding", 2, 0, 0)
    stride = job.integers("stride", 2, 1)
    if len(x.shape) != 3 or any(2 * pad > size for pad, size in zip(padding, kernel, strict=True)):
        raise BadInput(
            f"a window of {list(kernel)} with padding {list(padding)} on frames {list(x.shape)}",
            job.node.name,
            "give frames [channels, rows, columns], and padding of at most half a window",
        )
    count = 1 if job.node.kind == "SumPool2d" else prod(kernel)
    if count & (count - 1):
        job.note(f"sums of windows; 1/{count} is in the weights or thresholds behind it")
        count, result = 1, replace(x, scale=x.scale / count)
    else:
        result = replace(x, exponent=x.exponent - count.bit_length() + 1)
    divisor = prod(kernel) if count > 1 else 1
    return Call(lambda x: functional.avg_pool2d(x, kernel, stride, padding, divisor_override=divisor)), result


@builds("Flatten")
def flatten(job: Job, x: Value) -> tuple[nn.Module, Value]:
    rank = len(x.shape)
    ends = [int(job.array(name, default)) for name, default in (("start_dim", 0), ("end_dim", -1))]
    if not all(-rank <= end < rank for end in ends):
        raise BadInput(f"start_dim, end_dim = {ends} of frames {list(x.shape)}", job.node.name, "see nir.Flatten")
    start, end = (end % rank + 1 for end in ends)
    if start > end:
        raise UnsupportedLayer(f"start_dim, end_dim = {ends}", job.node.name, "give the lesser first")
    return nn.Flatten(start, end), x
