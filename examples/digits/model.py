"""A small residual network on scikit-learn's 8x8 digits, with one layer of every kind that hwgen takes."""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from hwgen.nn import ActQuant

TEST_IMAGES = 360


class Digits(nn.Module):
    """[N, 1, 8, 8] pixels 0 to 1 in steps of 1/16 -> [N, 10] accumulators; the greatest is the digit."""

    def __init__(self):
        super().__init__()
        self.quant_in = ActQuant(5, -4)
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.quant1 = ActQuant(4, -2)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.quant2 = ActQuant(6, -2, signed=True)
        self.quant_add = ActQuant(5, -2)
        self.pool = nn.MaxPool2d(2)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.quant3 = ActQuant(5, -2)
        self.pointwise = nn.Conv2d(16, 32, 1)
        self.quant4 = ActQuant(4, -1)
        self.average = nn.AvgPool2d(2)
        self.quant5 = ActQuant(5, -2)
        self.linear = nn.Linear(32 * 2 * 2, 10)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()

    def forward(self, x):
        x = self.quant1(self.relu(self.conv1(self.quant_in(x))))
        x = self.quant_add(self.relu(self.quant2(self.conv2(x)) + x))
        x = self.quant3(self.relu(self.depthwise(self.pool(x))))
        x = self.quant4(self.relu(self.pointwise(x)))
        return self.linear(self.flatten(self.quant5(self.average(x))))


def load() -> tuple[nn.Module, tuple[torch.Tensor]]:
    """The compressed network in eval mode and an example of its inputs."""
    model = Digits()
    model.load_state_dict(torch.export.load(Path(__file__).with_name("digits.pt2")).state_dict)
    return model.eval(), (torch.zeros(1, 1, 8, 8),)


def _shuffled() -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images = (pixels[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return images, labels[order]


def train_data() -> tuple[np.ndarray, np.ndarray]:
    """Images [1437, 1, 8, 8] float32 and labels [1437]."""
    images, labels = _shuffled()
    return images[:-TEST_IMAGES], labels[:-TEST_IMAGES]


def test_data() -> tuple[np.ndarray, np.ndarray]:
    """Images [360, 1, 8, 8] float32 and labels [360]; none of them is in `train_data`."""
    images, labels = _shuffled()
    return images[-TEST_IMAGES:], labels[-TEST_IMAGES:]
