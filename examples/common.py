"""What the examples' training scripts share: batches, and the float network that compression starts from."""

import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Batches:
    """Batches (x, y) of images [n, C, H, W] and labels [n]; far faster than collating one image after the other.

    move  a function that moves a batch of images, for training: the batches then come in random order, drawn from
          torch's global generator, and what is left of the last one is left out. None: in order, all of them
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, size: int, move: Callable[[Tensor], Tensor] | None = None):
        self.x, self.y, self.size, self.move = torch.from_numpy(x), torch.from_numpy(y), size, move

    def __len__(self) -> int:
        return len(self.x) // self.size if self.move else -(-len(self.x) // self.size)

    def __iter__(self):
        order = torch.randperm(len(self.x))[: len(self) * self.size] if self.move else torch.arange(len(self.x))
        for chosen in order.split(self.size):
            yield self.move(self.x[chosen]) if self.move else self.x[chosen], self.y[chosen]


def train_float(model: nn.Module, train: Batches, *, epochs: int, rate: float, seed: int) -> nn.Module:
    """Adam with a cosine rate on cross entropy: the float network that a user arrives with."""
    torch.manual_seed(seed)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(train))
    model.train()
    for epoch in range(epochs):
        total = 0.0
        for x, y in train:
            loss = functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"float epoch {epoch + 1} of {epochs}  loss {total / len(train):.4f}", file=sys.stderr, flush=True)
    return model.eval()
