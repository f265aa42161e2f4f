"""A transformer's block on sequences such as a keyword spotter reads: frames of ten coefficients, eight words."""

import numpy as np
import torch
from torch import Tensor, nn

from examples.networks.task import Task

STEPS, COEFFICIENTS, WORDS = 16, 10, 8


class Keywords(nn.Module):
    """[N, 16, 10] -> [N, 8]: torch's encoder layer, positions that are learned, the mean over time."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(COEFFICIENTS, 16)
        self.position = nn.Parameter(torch.randn(1, STEPS, 16) * 0.1)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, activation="gelu", batch_first=True)
        self.head = nn.Linear(16, WORDS)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x) + self.position).mean(dim=1))


def data(train: bool) -> tuple[Tensor, Tensor]:
    """Each word is a path through the coefficients; each utterance goes it at a pace of its own, with noise."""
    paths = np.random.default_rng(5).normal(0, 1, (WORDS, 4, COEFFICIENTS))
    random = np.random.default_rng(6 if train else 7)
    count = 1600 if train else 400
    y = random.integers(0, WORDS, count)
    pace = np.cumsum(random.uniform(0.4, 1.6, (count, STEPS)), axis=1)
    at = 3 * (pace - pace[:, :1]) / (pace[:, -1:] - pace[:, :1]) * 0.999
    before, part = at.astype(int), (at % 1)[..., None]
    word = paths[y]
    index = np.arange(count)[:, None]
    x = word[index, before] * (1 - part) + word[index, before + 1] * part + random.normal(0, 1.6, (count, STEPS, 10))
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y)


TASK = Task(Keywords, data, epochs=20)
