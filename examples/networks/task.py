"""What an example is: a float network, data with its generator, a loss and a score."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

Answers = Tensor | tuple[Tensor, ...]


def _accuracy(answers: Answers, y: Tensor) -> float:
    """Percent of the frames whose greatest output is the label."""
    assert isinstance(answers, Tensor)
    return 100 * float((answers.argmax(1) == y).float().mean())


@dataclass(frozen=True)
class Task:
    """An example.

    model   makes the float network
    data    (train, seed) -> x [N, ...] float32 and labels y [N, ...]; no frame of the test set is in the training set
    loss, score   of the network's outputs and y; the score is in percent
    measure       what the score is
    """

    model: Callable[[], nn.Module]
    data: Callable[[bool], tuple[Tensor, Tensor]]
    loss: Callable[[Answers, Tensor], Tensor] = functional.cross_entropy
    score: Callable[[Answers, Tensor], float] = _accuracy
    measure: str = "accuracy"
    epochs: int = 12
    activation_bits: int = field(default=8)


def digits(train: bool) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits: images [N, 8, 8] float32, 0 to 1, and labels [N]; 360 of the 1,797 are for testing."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    chosen = order[:-360] if train else order[-360:]
    return (pixels[chosen] / 16).astype(np.float32).reshape(-1, 8, 8), labels[chosen]


def placed(train: bool, size: int, clutter: int, times: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Digits on clutter, each training image `times` often: images [N, 1, size, size], labels [N], and the digits' rows
    and columns [N, 2]."""
    images, labels = (np.concatenate([part] * (times if train else 1)) for part in digits(train))
    random = np.random.default_rng(1 if train else 2)
    canvas = np.zeros((len(images), size, size), np.float32)
    corners = random.integers(0, size - 7, (len(images), 2))
    for image, (row, column), frame in zip(images, corners, canvas, strict=True):
        for _ in range(clutter):  # a short stroke
            y, x = random.integers(0, size, 2)
            dy, dx = random.integers(-1, 2, 2)
            for step in range(3):
                frame[(y + dy * step) % size, (x + dx * step) % size] = random.uniform(0.3, 1)
        patch = frame[row : row + 8, column : column + 8]
        np.copyto(patch, image, where=image > 0.2)
    return torch.from_numpy(canvas[:, None]), torch.from_numpy(labels), torch.from_numpy(corners)
