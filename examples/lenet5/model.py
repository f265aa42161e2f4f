"""LeNet-5 for MNIST: the float network, its data, and the compressed one."""

import gzip
from collections import OrderedDict
from pathlib import Path

import numpy as np
from torch import nn

HERE = Path(__file__).parent


def network() -> nn.Sequential:
    """[N, 1, 28, 28] pixels 0 to 255/256 -> [N, 10]; the greatest is the digit."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 6, 5, padding=2),
            pool1=nn.MaxPool2d(2),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(6, 16, 5),
            pool2=nn.MaxPool2d(2),
            relu2=nn.ReLU(),
            flatten=nn.Flatten(),
            linear1=nn.Linear(400, 120),
            relu3=nn.ReLU(),
            linear2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            linear3=nn.Linear(84, 10),
        )
    )


def read_mnist(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images [n, 1, 28, 28] float32 in steps of 1/256 and labels [n]; part is "train" or "t10k"."""
    pixels = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return images.astype(np.float32) / 256, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def test_data() -> tuple[np.ndarray, np.ndarray]:
    """The 10,000 test images and their labels, from the files beside this one."""
    return read_mnist(HERE / "data", "t10k")
