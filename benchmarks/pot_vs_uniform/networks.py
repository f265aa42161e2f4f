"""What is compared: a convolution of random weights, LeNet-5 as trained, ResNet-8 of random weights; and frames."""

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

from benchmarks.lanes import CHANNELS, SIZE, layer
from benchmarks.networks.variants import network
from benchmarks.pot_vs_uniform import lenet5
from examples.lenet5.model import test_data

CONVOLUTIONS = {"convolution": CHANNELS, "convolution8": 8}  # channels
FORMATS = ("pot4", "uniform4", "uniform8")
NAMES = {"pot4": "PoT-4", "uniform4": "uniform-4", "uniform8": "uniform-8"}


def convolution(format: str, percent: int, bits: int, channels: int = CHANNELS) -> nn.Sequential:
    """The layer of benchmarks.lanes, 3x3, 16 to 16 channels or fewer, activations of `bits` bits, `percent` of the
    weights zero.

    Zeros and signs are the same in all formats; each level but zero is as likely as any other.
    """
    net = layer(channels, SIZE, percent / 100, 0, bits)
    if format != "pot4":
        levels, exponent = {"uniform4": (7, -6), "uniform8": (127, -9)}[format]
        weight = net.get_parameter("1.weight")
        magnitude = np.random.default_rng(1).integers(1, levels + 1, weight.shape) * 2.0**exponent
        weight.data = weight.data.sign() * torch.tensor(magnitude, dtype=torch.float32)
    return net.eval()


def model(name: str, format: str, percent: int, bits: int) -> tuple[nn.Module | ExportedProgram, tuple | None]:
    """What hwgen.build takes."""
    if channels := CONVOLUTIONS.get(name):
        return convolution(format, percent, bits, channels), (torch.zeros(1, channels, SIZE, SIZE),)
    if name == "lenet5":
        return lenet5.load(format, percent), None
    return network(name, percent / 100, format, bits)


def frames(name: str, count: int) -> np.ndarray:
    """Real numbers [count, *shape]: MNIST's first test images; for the convolution their features, by 16 random 3x3
    filters and ReLU, the greatest of all frames just below 1."""
    images = torch.from_numpy(test_data()[0][:count]).double()
    if name == "lenet5":
        return images.numpy()
    filters = torch.from_numpy(np.random.default_rng(1).standard_normal((CHANNELS, 1, 3, 3)))
    features = torch.relu(nn.functional.conv2d(nn.functional.pad(images, (2, 2, 2, 2)), filters, padding=1))
    return (features / features.max() * 255 / 256)[:, : CONVOLUTIONS[name]].numpy()
