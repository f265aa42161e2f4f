"""MobileNetV3 in small: inverted residuals, hardswish, squeeze-and-excitation, on the MNIST images that are here."""

import torch
from torch import Tensor, nn

from examples.lenet5.model import test_data
from examples.networks.task import Task

TRAINING = 8000  # of the 10,000 images; the others are for testing


class Gate(nn.Module):
    """Squeeze-and-excitation: each channel times a number that the mean of all channels gives it."""

    def __init__(self, channels: int):
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, channels // 4, 1), nn.Conv2d(channels // 4, channels, 1)
        self.average, self.relu, self.sigmoid = nn.AdaptiveAvgPool2d(1), nn.ReLU(), nn.Hardsigmoid()

    def forward(self, x):
        return x * self.sigmoid(self.excite(self.relu(self.squeeze(self.average(x)))))


class Inverted(nn.Module):
    """Wider, depthwise, gated, and narrow again."""

    def __init__(self, inputs: int, wide: int, outputs: int, stride: int):
        super().__init__()
        self.adds = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            *(nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish()),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            *(nn.BatchNorm2d(wide), nn.Hardswish(), Gate(wide)),
            *(nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        )

    def forward(self, x):
        return x + self.layers(x) if self.adds else self.layers(x)


def network() -> nn.Module:
    """[N, 1, 28, 28] -> [N, 10]."""
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish()),
        *(Inverted(8, 24, 8, 1), Inverted(8, 32, 16, 2), Inverted(16, 48, 16, 1)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 32), nn.Hardswish(), nn.Dropout(0.1), nn.Linear(32, 10)),
    )


def data(train: bool) -> tuple[Tensor, Tensor]:
    """MNIST's test images [N, 1, 28, 28], 0 to 1, in their order: the first are for training."""
    x, y = (values[:TRAINING] if train else values[TRAINING:] for values in test_data())
    return torch.from_numpy(x), torch.from_numpy(y)


TASK = Task(network, data, epochs=6)
