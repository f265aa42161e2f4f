"""Quantizers of torch, PT2E and hwgen.nn_affine: levels of any scale and zero point, and what they are worth.

Constants under a quantizer, which are weights, have the levels that torch's float32 gives them. A level is worth
(level - zero point) * scale, exactly, of the scale as a float32 number.
"""

from functools import partial

import numpy as np
import torch

from hwgen.errors import OffGrid, UnsupportedLayer
from hwgen.ops import imports

ROUNDING = "half_even"


@imports("hwgen.quantize_affine.default", quantizes=True)
def quantize_affine(importer, x, scale, zero, axis, low, high, rounding):
    return importer.quantized(x, scale, zero, axis, low, high, rounding)


@imports("hwgen.count_steps.default", quantizes=True)
def count_steps(importer, x, thresholds):
    return importer.counted(x, np.asarray(thresholds, np.float64))


# torch's fake quantizers


def _fake_of_constants(importer, kernel, x, scale, zero, *rest):
    """What a fake quantizer's levels of constants are worth: the kernel's own float32 result tells the level."""
    single = _scales(importer, scale)
    along = _along(single.double(), rest[0] if len(rest) == 3 else 0, x.dim())
    found = kernel(x.float(), single, torch.as_tensor(zero).to(torch.int32), *rest)
    return torch.round(found.double() / along) * along


@imports(
    "aten.fake_quantize_per_tensor_affine",
    tensors=None,
    quantizes=True,
    constant=lambda importer, *args: _fake_of_constants(importer, torch.fake_quantize_per_tensor_affine, *args),
)
def fake_quantize_per_tensor_affine(importer, x, scale, zero_point, quant_min, quant_max):
    return _faked(importer, x, scale, zero_point, 0, quant_min, quant_max)


@imports(
    "aten.fake_quantize_per_channel_affine",
    tensors=None,
    quantizes=True,
    constant=lambda importer, *args: _fake_of_constants(importer, torch.fake_quantize_per_channel_affine, *args),
)
def fake_quantize_per_channel_affine(importer, x, scale, zero_point, axis, quant_min, quant_max):
    return _faked(importer, x, scale, zero_point, axis, quant_min, quant_max)


def _faked(importer, x, scale, zero, axis: int, low: int, high: int):
    return _worth(importer, _levels(importer, x, scale, zero, axis, low, high), scale, zero, axis)


# PT2E


def _quantize_of_constants(importer, x, scale, zero, *rest):
    """The levels of constants, by the operator's own float32."""
    kernels = torch.ops.quantized_decomposed
    single = _scales(importer, scale)
    if len(rest) == 4:
        return kernels.quantize_per_channel(x.float(), single, zero, *rest)
    return kernels.quantize_per_tensor(x.float(), single if isinstance(scale, torch.Tensor) else scale, zero, *rest)


def _dequantize_of_constants(importer, x, scale, zero, *rest, out_dtype=None):
    axis = rest[0] if len(rest) == 4 else 0
    zero = torch.as_tensor(0 if zero is None else zero)
    scale, zero = (_along(values.double(), axis, x.dim()) for values in (_scales(importer, scale), zero))
    return (x.double() - zero) * scale


@imports("quantized_decomposed.quantize_per_tensor", tensors=None, quantizes=True, constant=_quantize_of_constants)
def quantize_per_tensor(importer, x, scale, zero_point, quant_min, quant_max, dtype):
    return _levels(importer, x, scale, zero_point, 0, quant_min, quant_max)


@imports("quantized_decomposed.quantize_per_channel", tensors=None, quantizes=True, constant=_quantize_of_constants)
def quantize_per_channel(importer, x, scales, zero_points, axis, quant_min, quant_max, dtype):
    return _levels(importer, x, scales, zero_points, axis, quant_min, quant_max)


@imports("quantized_decomposed.dequantize_per_tensor", tensors=None, constant=_dequantize_of_constants)
def dequantize_per_tensor(importer, x, scale, zero_point, quant_min, quant_max, dtype, out_dtype=None):
    return _worth(importer, x, scale, zero_point, 0)


@imports("quantized_decomposed.dequantize_per_channel", tensors=None, constant=_dequantize_of_constants)
def dequantize_per_channel(importer, x, scales, zero_points, axis, quant_min, quant_max, dtype, out_dtype=None):
    return _worth(importer, x, scales, 0 if zero_points is None else zero_points, axis)


# what is refused by name


def _refuse(importer, *_, what: str, hint: str, **__):
    raise UnsupportedLayer(what, importer.path, hint)


_DYNAMIC = {
    "what": "dynamic quantization: the scale is computed from the activation",
    "hint": "quantize statically, and calibrate: is_dynamic=False",
}
_dynamic = partial(_refuse, **_DYNAMIC)
_grouped = partial(
    _refuse,
    what="scales that differ from block to block of a tensor",
    hint="quantize per tensor or per channel, by PT2E or torch's fake quantizers",
)

for _of in ("choose_qparams", "choose_qparams_symmetric", "choose_qparams_per_token", "quantize_per_token"):
    imports(f"quantized_decomposed.{_of}", tensors=None, quantizes=True)(_dynamic)
imports("quantized_decomposed.choose_qparams_per_token_asymmetric", tensors=None, quantizes=True)(_dynamic)
imports("quantized_decomposed.dequantize_per_token", "torchao.choose_qparams_affine", tensors=None)(_dynamic)
for _of in ("quantized_decomposed.quantize_per_channel_group", "quantized_decomposed.dequantize_per_channel_group"):
    imports(_of, tensors=None, constant=_grouped)(_grouped)
imports("torchao.quantize_affine", "torchao.dequantize_affine", tensors=None, constant=_grouped)(_grouped)


# all of them


def _levels(importer, x, scale, zero, axis: int, low, high):
    """The levels of a computed tensor."""
    _check_static(importer, x, scale, zero)
    single, zero = _scales(importer, scale).double().numpy(), np.asarray(zero, np.float64)
    if (zero != np.round(zero)).any():  # or not a number
        raise UnsupportedLayer(f"a zero point of {zero.reshape(-1)[0]}", importer.path, "use an integer")
    return importer.quantized(x, single, zero, axis, int(low), int(high), ROUNDING)


def _worth(importer, x, scale, zero, axis: int):
    """What the levels of a computed tensor are worth."""
    _check_static(importer, x, scale, zero)
    dims = len(importer.shape(x)) + 1
    single = _along(_scales(importer, scale).double(), axis, dims).numpy()
    zero = _along(torch.as_tensor(zero).double(), axis, dims).numpy()
    return importer.affine(x, single, -zero * single, by_number=False)  # exact: 24 bits times those of a zero point


def _check_static(importer, x, scale, zero) -> None:
    if not importer.is_tensor(x) or importer.is_tensor(scale) or importer.is_tensor(zero):
        _dynamic(importer)


def _scales(importer, scale) -> torch.Tensor:
    """A quantizer's scales in float32, in which torch computes."""
    single = torch.as_tensor(scale).to(torch.float32)
    wrong = single[~(torch.isfinite(single) & (single > 0))]
    if wrong.numel():
        raise OffGrid(
            f"a quantizer's scale is {float(wrong[0])}",
            importer.path,
            "look for a channel that was never calibrated; scales are positive numbers",
        )
    return single


def _along(values: torch.Tensor, axis: int, dims: int) -> torch.Tensor:
    """Values of one number, or of one for each index along a dimension, as they broadcast."""
    if values.numel() == 1:
        return values.reshape(())
    shape = [1] * dims
    shape[axis] = -1
    return values.reshape(shape)
