"""The float digits network and the batches that `hwgen compress` takes.

hwgen compress examples/digits/train.py:job --recipe examples/digits/recipe.json -o build/compressed
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this file may be run from any folder

from examples.common import Batches, train_float
from examples.digits.model import Digits, train_data

VALIDATION = 137
STAY_OR_STEP = ((0, 0), (0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


def shift(images: torch.Tensor) -> torch.Tensor:
    """Two batches in three move by one pixel, so that 1,300 images are not learnt by heart."""
    dy, dx = STAY_OR_STEP[int(torch.randint(len(STAY_OR_STEP), (1,)))]
    return torch.nn.functional.pad(images, (dx, -dx, dy, -dy))


def job():
    """(the network trained in float, but for its ActQuants; batches of 1,300 images; 137 images for validation)."""
    torch.set_num_threads(1)  # more are slower on a network this small
    x, y = train_data()
    train = Batches(x[:-VALIDATION], y[:-VALIDATION], 32, shift)
    model = train_float(Digits(), train, epochs=40, rate=3e-3, seed=0)
    return model, train, Batches(x[-VALIDATION:], y[-VALIDATION:], VALIDATION)
