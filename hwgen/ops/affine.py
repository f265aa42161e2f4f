"""Quantizers of torch, PT2E and hwgen.nn_affine: levels of any scale and zero point, and what they are worth.

Constants under a quantizer, which are weights, get the levels that torch's float32 gives them; levels are worth exactly
(level - zero) * scale, of the scale as float32.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports

ROUNDING = "half_even"


@imports("hwgen.quantize_affine.default")
def quantize_affine(importer, x, scale, zero, axis, low, high, rounding):
    return importer.quantized(x, scale, zero, axis, low, high, rounding)


@imports("hwgen.count_steps.default")
def count_steps(importer, x, thresholds):
    return importer.counted(x, thresholds)


# torch's fake quantizers


def _fake_of_constants(kernel: Callable) -> Callable:
    """What a fake quantizer's levels of constants are worth; its own float32 result tells the level."""

    def worth(x, scale, zero, *rest):
        scale, zero = (torch.as_tensor(values) for values in (scale, zero))
        axis = rest[0] if len(rest) == 3 else 0
        single = _single(scale)
        of_kernel = single.item() if scale.dim() == 0 and kernel is torch.fake_quantize_per_tensor_affine else single
        zero = zero.item() if isinstance(of_kernel, float) else zero.to(torch.int32)
        along = _along(single.double(), axis, x.dim())
        return torch.round(kernel(x.float(), of_kernel, zero, *rest).double() / along) * along

    return worth


@imports("aten.fake_quantize_per_tensor_affine", tensors=None, constant=_fake_of_constants(torch.fake_quantize_per_tensor_affine))
def fake_quantize_per_tensor_affine(importer, x, scale, zero_point, quant_min, quant_max):
    return _fake(importer, x, scale, zero_point, 0, quant_min, quant_max)


@imports("aten.fake_quantize_per_channel_affine", tensors=None, constant=_fake_of_constants(torch.fake_quantize_per_channel_affine))
def fake_quantize_per_channel_affine(importer, x, scale, zero_point, axis, quant_min, quant_max):
    return _fake(importer, x, scale, zero_point, axis, quant_min, quant_max)


def _fake(importer, x, scale, zero, axis: int, low: int, high: int):
    return _worth(importer, _levels(importer, x, scale, zero, axis, low, high), scale, zero, axis)


# PT2E


def _quantize_of_constants(x, scale, zero, *rest):
    """The levels of constants, by the operator's own float32."""
    kernel = torch.ops.quantized_decomposed.quantize_per_channel if len(rest) == 4 else torch.ops.quantized_decomposed.quantize_per_tensor
    scale = _single(scale) if isinstance(scale, torch.Tensor) else scale
    return kernel(x.float(), scale, zero, *rest)


def _dequantize_of_constants(x, scale, zero, *rest, out_dtype=None):
    axis = rest[0] if len(rest) == 4 else 0
    scale, zero = torch.as_tensor(scale), torch.as_tensor(0 if zero is None else zero)
    scale, zero = (_along(values.double(), axis, x.dim()) for values in (_single(scale), zero))
    return (x.double() - zero) * scale


@imports("quantized_decomposed.quantize_per_tensor", tensors=None, constant=_quantize_of_constants)
def quantize_per_tensor(importer, x, scale, zero_point, quant_min, quant_max, dtype):
    return _levels(importer, x, scale, zero_point, 0, quant_min, quant_max)


@imports("quantized_decomposed.quantize_per_channel", tensors=None, constant=_quantize_of_constants)
def quantize_per_channel(importer, x, scales, zero_points, axis, quant_min, quant_max, dtype):
    return _levels(importer, x, scales, zero_points, axis, quant_min, quant_max)


@imports("quantized_decomposed.dequantize_per_tensor", tensors=None, constant=_dequantize_of_constants)
def dequantize_per_tensor(importer, x, scale, zero_point, quant_min, quant_max, dtype, out_dtype=None):
    return _worth(importer, x, scale, zero_point, 0)


@imports("quantized_decomposed.dequantize_per_channel", tensors=None, constant=_dequantize_of_constants)
def dequantize_per_channel(importer, x, scales, zero_points, axis, quant_min, quant_max, dtype, out_dtype=None):
    return _worth(importer, x, scales, 0 if zero_points is None else zero_points, axis)


@imports("quantized_decomposed.choose_qparams", "quantized_decomposed.choose_qparams_symmetric")
@imports("quantized_decomposed.choose_qparams_per_token", "quantized_decomposed.choose_qparams_per_token_asymmetric")
@imports("quantized_decomposed.quantize_per_token", "quantized_decomposed.dequantize_per_token", tensors=None)
@imports("torchao.choose_qparams_affine")
def choose_qparams(importer, *_, **__):
    raise _dynamic(importer)


def _dynamic(importer) -> UnsupportedLayer:
    return UnsupportedLayer(
        "dynamic quantization: the scale is computed from the activation",
        importer.path,
        "quantize statically, and calibrate: is_dynamic=False",
    )


def _grouped(*_, **__):
    raise ValueError("scales that differ from group to group within an output")


@imports("quantized_decomposed.quantize_per_channel_group", tensors=None, constant=_grouped)
@imports("quantized_decomposed.dequantize_per_channel_group", tensors=None, constant=_grouped)
@imports("torchao.quantize_affine", "torchao.dequantize_affine", tensors=None, constant=_grouped)
def grouped(importer, *_, **__):
    raise UnsupportedLayer("scales by group", importer.path, "quantize per tensor or per channel")


# all of them


def _levels(importer, x, scale, zero, axis: int, low, high):
    """The levels of a computed tensor."""
    if not importer.is_tensor(x) or any(importer.is_tensor(values) for values in (scale, zero, low, high)):
        raise _dynamic(importer)
    scale, zero = np.asarray(_single(torch.as_tensor(scale)).double()), np.asarray(zero, np.float64)
    return importer.quantized(x, scale, zero, axis, int(low), int(high), ROUNDING)


def _worth(importer, x, scale, zero, axis: int):
    """What the levels of a computed tensor are worth."""
    if not importer.is_tensor(x) or any(importer.is_tensor(values) for values in (scale, zero)):
        raise _dynamic(importer)
    dims = len(importer.shape(x)) + 1
    scale = _along(_single(torch.as_tensor(scale)).double(), axis, dims).numpy()
    zero = _along(torch.as_tensor(zero).double(), axis, dims).numpy()
    return importer.affine(x, scale, -zero * scale, by_number=False)  # exact: 24 bits times a zero point's


def _single(scale: torch.Tensor) -> torch.Tensor:
    return scale.to(torch.float32)


def _along(values: torch.Tensor, axis: int, dims: int) -> torch.Tensor:
    """Values of one number, or of one for each index along a dimension, as they broadcast."""
    if values.numel() == 1:
        return values.reshape(())
    shape = [1] * dims
    shape[axis] = -1
    return values.reshape(shape)
