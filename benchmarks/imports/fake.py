"""torch's own fake quantizers: networks of float layers with a fake quantizer before each, as a loop for
quantization-aware training has them."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional

from benchmarks.imports.networks import Kit


class Quantizer(nn.Module):
    """A fake quantizer, its scale and zero point the range of what it has seen in training."""

    def __init__(self, low: int, high: int):
        super().__init__()
        self.low, self.high = low, high
        self.register_buffer("scale", torch.tensor(1.0))
        self.register_buffer("zero", torch.tensor(0, dtype=torch.int32))
        self.register_buffer("ends", torch.zeros(2))

    def forward(self, x):
        if self.training:
            seen = torch.cat([self.ends, x.detach().flatten()])
            self.ends = torch.stack([seen.min(), seen.max()])
            self.scale = ((self.ends[1] - self.ends[0]) / (self.high - self.low)).clamp(min=1e-6)
            self.zero = (self.low - torch.round(self.ends[0] / self.scale)).int()
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero, self.low, self.high)


def _weight(weight: torch.Tensor, most: int) -> torch.Tensor:
    """Weights with a scale for each output."""
    scale = weight.detach().flatten(1).abs().amax(1).clamp(min=1e-6) / most
    return torch.fake_quantize_per_channel_affine(weight, scale, torch.zeros_like(scale).int(), 0, -most, most)


class Conv(nn.Conv2d):
    most: int

    def forward(self, x):
        return functional.conv2d(
            x, _weight(self.weight, self.most), self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Linear(nn.Linear):
    most: int

    def forward(self, x):
        return functional.linear(x, _weight(self.weight, self.most), self.bias)


def kit(bits: int = 8) -> Kit:
    """Weights and activations of `bits` bits, the input and the operands of sums of 8."""
    most = (1 << (bits - 1)) - 1

    def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
        layer = Conv(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        layer.most = most
        return layer

    def linear(inputs: int, outputs: int) -> nn.Module:
        layer = Linear(inputs, outputs)
        layer.most = most
        return layer

    byte = partial(Quantizer, 0, 255)
    return Kit(
        byte,
        conv,
        linear,
        lambda: nn.Sequential(nn.ReLU(), Quantizer(0, (1 << bits) - 1)),
        byte,
        lambda size: nn.Sequential(nn.AvgPool2d(size), byte()),
    )
