"""LeNet-5 on MNIST with power-of-two weights, nine in ten of them pruned."""

import gzip
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hwgen.nn import ActQuant

HERE = Path(__file__).parent


def network() -> nn.Sequential:
    """[N, 1, 28, 28] pixels 0 to 255/256 -> [N, 10] accumulators; the greatest is the digit."""
    return nn.Sequential(
        OrderedDict(
            quant_in=ActQuant(8, -8),
            conv1=nn.Conv2d(1, 6, 5, padding=2),
            relu1=nn.ReLU(),
            quant1=ActQuant(4, -2),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, 5),
            relu2=nn.ReLU(),
            quant2=ActQuant(4, -1),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            linear1=nn.Linear(400, 120),
            relu3=nn.ReLU(),
            quant3=ActQuant(4, -1),
            linear2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            quant4=ActQuant(4, -1),
            linear3=nn.Linear(84, 10),
        )
    )


def load() -> tuple[nn.Module, tuple[torch.Tensor]]:
    """The trained network in eval mode and an example of its inputs."""
    model = network()
    model.load_state_dict(torch.load(HERE / "lenet5.pt", weights_only=True))
    return model.eval(), (torch.zeros(1, 1, 28, 28),)


def read_mnist(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images [n, 1, 28, 28] float32 in steps of 1/256 and labels [n]; part is "train" or "t10k"."""
    pixels = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return images.astype(np.float32) / 256, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def test_data() -> tuple[np.ndarray, np.ndarray]:
    """The 10,000 test images and their labels, from the files beside this one."""
    return read_mnist(HERE / "data", "t10k")


if __name__ == "__main__":
    from examples.common import print_table

    print_table(load()[0], *test_data())
