"""The modules a user adds to a PyTorch network: an activation quantizer, an exact average pooling, and from
nn_sequence.py a layer normalization and a softmax in integers.

Each is one custom operator (`hwgen::act_quant`, `hwgen::avg_pool2d`), so that it stays one node through
`torch.export`. A process that reloads an exported program must have imported this file.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwgen.errors import BadInput
from hwgen.grids import MAX_BITS, MAX_EXPONENT, limits, require_float, require_int, round_half_up
from hwgen.nn_recurrent import GRU as GRU
from hwgen.nn_recurrent import LSTM as LSTM
from hwgen.nn_recurrent import RNN as RNN
from hwgen.nn_sequence import LayerNorm as LayerNorm
from hwgen.nn_sequence import Softmax as Softmax
from hwgen.nn_spiking import LI as LI
from hwgen.nn_spiking import LIF as LIF
from hwgen.nn_spiking import StepsIn as StepsIn
from hwgen.nn_spiking import StepsOut as StepsOut


def reciprocal(count: int, bits: int) -> tuple[int, int]:
    """The dyadic number nearest 1 / count: (numerator, f) stands for numerator * 2^-f.

    The numerator is at least 2^(bits-1) and at most 2^bits, so the relative error is at most 2^-bits;
    a power of two is met exactly.
    """
    f = bits - 1 + (count - 1).bit_length()
    return ((1 << (f + 1)) + count) // (2 * count), f


@torch.library.custom_op("hwgen::act_quant", mutates_args=())
def act_quant(x: Tensor, bits: int, exponent: int, signed: bool) -> Tensor:
    """clamp(floor(x * 2^-exponent + 1/2), lo, hi) * 2^exponent; see `ActQuant`."""
    require_float(x, "act_quant")
    return round_half_up(x, exponent).clamp(*limits(bits, signed)) * 2.0**exponent


@act_quant.register_fake
def _(x, bits, exponent, signed):
    require_float(x, "act_quant")
    return torch.empty_like(x)


def _act_quant_setup(ctx, inputs, output):
    x, bits, exponent, signed = inputs
    level = round_half_up(x, exponent)
    low, high = limits(bits, signed)
    ctx.save_for_backward((level >= low) & (level <= high))


def _act_quant_backward(ctx, grad):
    (inside,) = ctx.saved_tensors
    return grad * inside, None, None, None


act_quant.register_autograd(_act_quant_backward, setup_context=_act_quant_setup)


@torch.library.custom_op("hwgen::avg_pool2d", mutates_args=())
def avg_pool2d(x: Tensor, kh: int, kw: int, sh: int, sw: int, bits: int) -> Tensor:
    """Window sums times the dyadic reciprocal of kh * kw; see `AvgPool2d`."""
    require_float(x, "avg_pool2d")
    numerator, f = reciprocal(kh * kw, bits)
    return functional.avg_pool2d(x, (kh, kw), (sh, sw), divisor_override=1) * (numerator * 2.0**-f)


@avg_pool2d.register_fake
def _(x, kh, kw, sh, sw, bits):
    require_float(x, "avg_pool2d")
    return functional.avg_pool2d(x, (kh, kw), (sh, sw), divisor_override=1)


def _avg_pool2d_setup(ctx, inputs, output):
    x, *ctx.window = inputs
    ctx.save_for_backward(x)


def _avg_pool2d_backward(ctx, grad):
    (x,) = ctx.saved_tensors
    kh, kw, sh, sw, bits = ctx.window
    numerator, f = reciprocal(kh * kw, bits)
    sums = torch.ops.aten.avg_pool2d_backward(grad, x, (kh, kw), (sh, sw), (0, 0), False, True, 1)
    return sums * (numerator * 2.0**-f), None, None, None, None, None


avg_pool2d.register_autograd(_avg_pool2d_backward, setup_context=_avg_pool2d_setup)


class ActQuant(nn.Module):
    """Rounds activations to `bits` wide integers times 2^exponent: the numbers that the hardware streams.

    value = clamp(floor(x * 2^-exponent + 1/2), lo, hi) * 2^exponent: ties go up, also below zero.
    lo, hi = 0, 2^bits - 1 unsigned; -2^(bits-1), 2^(bits-1) - 1 signed.

    bits      1 to 16
    exponent  -64 to 64: the weight of the least significant bit is 2^exponent
    signed    two's complement if true

    x has any shape and dtype float32 or float64; the result has the same shape and dtype, and is exact.
    Gradient: straight through where the rounded level lies in [lo, hi] before the clamp, zero elsewhere.
    Raises BadInput for an argument or a dtype outside these.
    """

    def __init__(self, bits: int, exponent: int, signed: bool = False):
        super().__init__()
        require_int("bits", bits, 1, MAX_BITS, "ActQuant")
        require_int("exponent", exponent, -MAX_EXPONENT, MAX_EXPONENT, "ActQuant")
        if not isinstance(signed, bool):
            raise BadInput(f"signed = {signed!r}", "ActQuant", "use True or False")
        self.bits, self.exponent, self.signed = bits, exponent, signed

    def forward(self, x: Tensor) -> Tensor:
        return act_quant(x, self.bits, self.exponent, self.signed)

    def extra_repr(self) -> str:
        return f"bits={self.bits}, exponent={self.exponent}, signed={self.signed}"


class AvgPool2d(nn.Module):
    """Average pooling whose divisor is a dyadic number, for windows that are not a power of two.

    result = (sum over the window) * r, r = round(2^f / k) / 2^f, with k = the pixels of the window and f
    such that the numerator has `bits` significant bits. |r * k - 1| <= 2^-bits; for k a power of two
    r = 1 / k and this is torch.nn.AvgPool2d. No padding; a window that does not fit whole is left out.

    kernel_size  an integer or (height, width), each 1 to 256
    stride       the same; the kernel size if left out
    bits         1 to 16

    x is [N, C, H, W], float32 or float64; the result is [N, C, (H - kh) // sh + 1, (W - kw) // sw + 1],
    exact as long as the sums times the numerator fit the float's significand.
    Gradient: r times the output's gradient to each pixel of its window.
    Raises BadInput for an argument or a dtype outside these.
    """

    def __init__(self, kernel_size: int | tuple[int, int], stride: int | tuple[int, int] | None = None, bits: int = 8):
        super().__init__()
        self.kernel_size = _pair("kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else _pair("stride", stride)
        require_int("bits", bits, 1, MAX_BITS, "AvgPool2d")
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool2d(x, *self.kernel_size, *self.stride, self.bits)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, bits={self.bits}"


def _pair(name: str, value: int | tuple[int, int]) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise BadInput(f"{name} = {value!r}", "AvgPool2d", "give an integer or (height, width)")
    for side in pair:
        require_int(name, side, 1, 256, "AvgPool2d")
    return pair
