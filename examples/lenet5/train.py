"""The float LeNet-5 and the batches that `hwgen compress` takes: examples/lenet5/train.py:job

The environment variable MNIST names the folder with MNIST's train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz.
"""

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this file may be run from any folder

from examples.common import Batches, train_float
from examples.lenet5.model import network, read_mnist
from hwgen.errors import BadInput

VALIDATION = 5000


def shift(images: torch.Tensor) -> torch.Tensor:
    """The batch moved by up to one pixel in each direction."""
    dy, dx = torch.randint(-1, 2, (2,)).tolist()
    return torch.nn.functional.pad(images, (dx, -dx, dy, -dy))


def job():
    """(the trained float network, batches of 55,000 images, batches of the 5,000 that are kept for validation)."""
    folder = Path(os.environ.get("MNIST", ""))
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        raise BadInput("MNIST's training images are not there", str(folder), "set MNIST to the folder that holds them")
    torch.set_num_threads(1)  # more are slower on networks this small
    x, y = read_mnist(folder, "train")
    train = Batches(x[:-VALIDATION], y[:-VALIDATION], 128, shift)
    model = network().to(memory_format=torch.channels_last)
    train_float(model, train, epochs=8, rate=2e-3, seed=0)
    return model, train, Batches(x[-VALIDATION:], y[-VALIDATION:], 1000)
