"""A temporal convolutional network: which of five shapes a noisy wave has."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.networks.task import Task

STEPS, SHAPES = 64, 5


class Block(nn.Module):
    """Causal dilated convolutions: what padding has put behind the end is cut off."""

    def __init__(self, inputs: int, outputs: int, dilation: int):
        super().__init__()
        self.past = 2 * dilation
        self.conv1 = nn.Conv1d(inputs, outputs, 3, padding=self.past, dilation=dilation)
        self.conv2 = nn.Conv1d(outputs, outputs, 3, padding=self.past, dilation=dilation)
        self.shortcut = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x):
        y = functional.relu(self.conv1(x)[:, :, : -self.past])
        y = functional.relu(self.conv2(y)[:, :, : -self.past])
        return functional.relu(y + self.shortcut(x))


class Tcn(nn.Module):
    """[N, 1, 64] -> [N, 5]: the last step knows all of the wave."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Block(1, 8, 1), Block(8, 8, 2), Block(8, 8, 4), Block(8, 8, 8))
        self.head = nn.Linear(8, SHAPES)

    def forward(self, x):
        return self.head(self.blocks(x)[:, :, -1])


def data(train: bool) -> tuple[Tensor, Tensor]:
    """Sines, squares, saws, chirps and bursts, each with a rate, a phase and noise of its own."""
    random = np.random.default_rng(3 if train else 4)
    count = 1500 if train else 400
    y = random.integers(0, SHAPES, count)
    t = np.linspace(0, 1, STEPS)[None]
    phase = (random.uniform(2, 5, (count, 1)) * t + random.uniform(0, 1, (count, 1))) % 1
    chirp = np.sin(2 * np.pi * (random.uniform(1, 2, (count, 1)) * t + random.uniform(4, 6, (count, 1)) * t**2))
    burst = np.sin(2 * np.pi * 12 * t) * np.exp(-(((t - random.uniform(0.2, 0.8, (count, 1))) / 0.12) ** 2))
    waves = np.stack([np.sin(2 * np.pi * phase), np.sign(phase - 0.5), 2 * phase - 1, chirp, burst])
    x = waves[y, np.arange(count)] * random.uniform(0.6, 1.2, (count, 1)) + random.normal(0, 0.25, (count, STEPS))
    return torch.from_numpy(x[:, None].astype(np.float32)), torch.from_numpy(y)


TASK = Task(Tcn, data)
