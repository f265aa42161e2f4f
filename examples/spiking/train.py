"""The spiking network for MNIST and the batches that `hwgen compress` takes: examples/spiking/train.py:job

The environment variable MNIST names the folder with MNIST's train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz.
"""

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this file may be run from any folder

from examples.common import Batches
from examples.lenet5.model import read_mnist
from examples.lenet5.train import VALIDATION, shift
from examples.spiking.model import encode, network
from hwgen.errors import BadInput

BATCH = 256


class Coded:
    """Batches whose pixels become spikes, drawn anew each time, from torch's global generator."""

    def __init__(self, batches: Batches, coding: str, steps: int):
        self.batches, self.coding, self.steps = batches, coding, steps

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        for x, y in self.batches:
            seed = int(torch.randint(1 << 31, (1,)))
            yield torch.from_numpy(encode(x.numpy(), self.coding, self.steps, seed)).float(), y


def data(folder: Path, coding: str = "direct", steps: int = 5) -> tuple[Coded, Coded]:
    """Batches of 55,000 images to train with, and of the 5,000 that are kept for validation."""
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        raise BadInput("MNIST's training images are not there", str(folder), "set MNIST to the folder that holds them")
    x, y = read_mnist(folder, "train")
    train = Batches(x[:-VALIDATION], y[:-VALIDATION], BATCH, shift)
    validation = Batches(x[-VALIDATION:], y[-VALIDATION:], 1000)
    return Coded(train, coding, steps), Coded(validation, coding, steps)


def job():
    """(a network as it is before training, batches of 55,000 images, batches of the 5,000 kept for validation)."""
    torch.set_num_threads(1)  # more are slower on a network this small
    torch.manual_seed(0)
    return network(), *data(Path(os.environ.get("MNIST", "")))
