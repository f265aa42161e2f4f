"""The networks that the tools quantize here: six small ones for scikit-learn's digits, [N, 1, 8, 8], written once, in
float or in Brevitas' layers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import nn


@dataclass(frozen=True)
class Kit:
    """The layers that a network is made of.

    first   puts the input on its grid
    conv    (inputs, outputs, kernel, stride, groups)
    linear  (inputs, outputs)
    relu    with its quantizer, if it has one
    grid    puts the operands of an addition on one
    average over all of a frame of 4x4, or what the kit makes of it
    """

    first: Callable[[], nn.Module]
    conv: Callable[..., nn.Module]
    linear: Callable[[int, int], nn.Module]
    relu: Callable[[], nn.Module]
    grid: Callable[[], nn.Module]
    average: Callable[[int], nn.Module]


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


FLOAT = Kit(nn.Identity, _conv, nn.Linear, nn.ReLU, nn.Identity, nn.AvgPool2d)


class Block(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, kit: Kit, *shape: int):
        super().__init__()
        self.conv, self.norm, self.relu = kit.conv(*shape), nn.BatchNorm2d(shape[1]), kit.relu()

    def forward(self, x):
        return self.relu(self.norm(self.conv(x)))


class Residual(nn.Module):
    """Two convolutions and the sum with their input, or with a 1x1 convolution of it."""

    def __init__(self, kit: Kit, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.first = Block(kit, inputs, outputs, 3, stride)
        self.second, self.norm = kit.conv(outputs, outputs), nn.BatchNorm2d(outputs)
        self.short = None
        if stride > 1 or inputs != outputs:
            self.short = nn.Sequential(kit.conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        self.grid, self.relu = kit.grid(), kit.relu()

    def forward(self, x):
        y = self.grid(self.norm(self.second(self.first(x))))
        return self.relu(self.grid(x if self.short is None else self.short(x)) + y)


def _plain(kit: Kit) -> list[nn.Module]:
    return [Block(kit, 1, 8), nn.MaxPool2d(2), Block(kit, 8, 12), nn.Flatten(), kit.linear(192, 10)]


def _depthwise(kit: Kit) -> list[nn.Module]:
    layers = [Block(kit, 1, 8), Block(kit, 8, 8, 3, 1, 8), Block(kit, 8, 16, 1), nn.MaxPool2d(2)]
    return [*layers, Block(kit, 16, 16, 3, 1, 16), Block(kit, 16, 16, 1), nn.Flatten(), kit.linear(256, 10)]


def _residual(kit: Kit) -> list[nn.Module]:
    return [Block(kit, 1, 8), Residual(kit, 8, 8), nn.MaxPool2d(2), kit.average(4), nn.Flatten(), kit.linear(8, 10)]


def _perceptron(kit: Kit) -> list[nn.Module]:
    hidden = [nn.Flatten(), kit.linear(64, 32), nn.BatchNorm1d(32), kit.relu()]
    return [*hidden, kit.linear(32, 32), kit.relu(), kit.linear(32, 10)]


def _wide(kit: Kit) -> list[nn.Module]:
    layers = [Block(kit, 1, 64, 3, 2), Residual(kit, 64, 64), kit.average(4)]
    return [*layers, nn.Flatten(), kit.linear(64, 10)]


def _resnet8(kit: Kit) -> list[nn.Module]:
    """ResNet-8 of MLPerf Tiny, with frames of 8x8."""
    layers = [Block(kit, 1, 16), Residual(kit, 16, 16), Residual(kit, 16, 32, 2), Residual(kit, 32, 64, 2)]
    return [*layers, kit.average(2), nn.Flatten(), kit.linear(64, 10)]


NETWORKS = {
    "plain": _plain,
    "depthwise": _depthwise,
    "residual": _residual,
    "perceptron": _perceptron,
    "wide": _wide,
    "resnet8": _resnet8,
}


@cache
def digits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images [N, 1, 8, 8] from -1 to 1 and labels, for training; the same, for tests."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x = torch.from_numpy(np.asarray(found.images, np.float32)[:, None] / 8 - 1)
    y = torch.from_numpy(np.asarray(found.target, np.int64))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    x, y = x[order], y[order]
    return x[:1400], y[:1400], x[1400:], y[1400:]


def make(name: str, kit: Kit = FLOAT, epochs: int = 1, seed: int = 0) -> nn.Module:
    """A network, trained on digits for some epochs; ready for inference."""
    torch.manual_seed(seed)
    network = nn.Sequential(kit.first(), *NETWORKS[name](kit))
    fit(network, epochs)
    return network.eval()


def fit(network: nn.Module, epochs: int) -> None:
    x, y, *_ = digits()
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    network.train()
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        for batch in order.split(50):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(_floats(network(x[batch])), y[batch])
            loss.backward()
            optimizer.step()


def _floats(result) -> torch.Tensor:
    """A tensor, also of Brevitas' tensors."""
    return getattr(result, "value", result)
