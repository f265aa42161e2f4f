"""Brevitas: networks trained with quantized layers, exported as QONNX, as QDQ with integer weights (QCDQ), or with
thresholds (MultiThreshold), as FINN's transformation makes them."""

from functools import partial

import brevitas.nn as qnn
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFixedPoint,
    Int32Bias,
    ShiftedUint8ActPerTensorFloat,
    Uint8ActPerTensorFixedPoint,
    Uint8ActPerTensorFloat,
)
from torch import nn

from benchmarks.imports.networks import Kit


def kit(bits: int = 8, fixed: bool = False, shifted: bool = False) -> Kit:
    """Weights and activations of `bits` bits (the input's and the last layer's weights of 8), with scales of a number a
    channel; fixed -- with powers of two a tensor; shifted -- with a zero point where there is no ReLU."""
    weight = Int8WeightPerTensorFixedPoint if fixed else Int8WeightPerChannelFloat
    signed = Int8ActPerTensorFixedPoint if fixed else Int8ActPerTensorFloat
    signed = ShiftedUint8ActPerTensorFloat if shifted else signed
    unsigned = Uint8ActPerTensorFixedPoint if fixed else Uint8ActPerTensorFloat

    def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
        return qnn.QuantConv2d(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
            weight_quant=weight,
            weight_bit_width=bits,
        )

    def average(size: int) -> nn.Module:
        return nn.AvgPool2d(size) if not fixed else nn.Sequential(nn.AvgPool2d(size), identity(8))

    identity = lambda width: qnn.QuantIdentity(act_quant=signed, bit_width=width, return_quant_tensor=True)  # noqa: E731
    return Kit(
        partial(identity, 8),
        conv,
        lambda inputs, outputs: qnn.QuantLinear(
            inputs, outputs, True, weight_quant=weight, bias_quant=Int32Bias if not fixed else None
        ),
        lambda: qnn.QuantReLU(act_quant=unsigned, bit_width=bits, return_quant_tensor=True),
        partial(identity, bits),
        average,
    )
