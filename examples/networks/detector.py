"""A detector with two outputs: which digit is among the clutter, and where."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.networks.task import Answers, Task, placed

SIZE = 16


class Detector(nn.Module):
    """[N, 1, 16, 16] -> classes [N, 10], and the digit's place [N, 2], rows and columns in eighths."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.125)),
            *(nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.LeakyReLU(0.125)),
            *(nn.Conv2d(16, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24), nn.LeakyReLU(0.125), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(24 * 16, 48), nn.ReLU()),
        )
        self.classes, self.place = nn.Linear(48, 10), nn.Linear(48, 2)

    def forward(self, x):
        x = self.features(x)
        return self.classes(x), self.place(x)


def data(train: bool) -> tuple[Tensor, Tensor]:
    """Images, and for each its label, row and column."""
    x, labels, corners = placed(train, SIZE, clutter=4, times=6)
    return x, torch.cat([labels[:, None], corners], 1)


def loss(answers: Answers, y: Tensor) -> Tensor:
    classes, place = answers
    return functional.cross_entropy(classes, y[:, 0]) + 4 * functional.l1_loss(place, y[:, 1:] / 8)


def score(answers: Answers, y: Tensor) -> float:
    """Percent of the frames whose digit is right and found within a pixel and a half."""
    classes, place = answers
    right = classes.argmax(1) == y[:, 0]
    near = ((place * 8 - y[:, 1:]).abs() < 1.5).all(1)
    return 100 * float((right & near).float().mean())


TASK = Task(Detector, data, loss, score, "digit and place right", epochs=12)
