"""Layers whose outputs share weights, their input channels turned: what is trained is the part that is kept."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hwgen.compress.recipe import Epitome
from hwgen.errors import BadInput


class Turned(nn.Module):
    """A parametrization: weights [n, channels, ...] -> [times * n, channels, ...], each part turned a step further."""

    def __init__(self, times: int, step: int):
        super().__init__()
        self.times, self.step = times, step

    def forward(self, w: Tensor) -> Tensor:
        return torch.cat([w.roll(-i * self.step, 1) for i in range(self.times)])


class Repeated(nn.Module):
    """A parametrization: biases [n] -> [times * n]."""

    def __init__(self, times: int):
        super().__init__()
        self.times = times

    def forward(self, b: Tensor) -> Tensor:
        return b.repeat(self.times)


@torch.no_grad()
def shrink(module: Any, epitome: Epitome, name: str) -> None:
    """Leaves a layer the weights and biases that are kept: the means of those that are to be equal."""
    outputs, channels = module.weight.shape[:2]
    where = f"the epitome of {name}"
    if getattr(module, "groups", 1) != 1 or not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
        raise BadInput("the layer has groups, or is no Conv1d, Conv2d or Linear", where, "name another layer")
    if outputs % epitome.times:
        divisors = [n for n in range(2, outputs + 1) if outputs % n == 0]
        what = f"times = {epitome.times} does not divide its {outputs} outputs"
        raise BadInput(what, where, f"use one of {', '.join(map(str, divisors))}")
    if epitome.step >= channels:
        what = f"step = {epitome.step}, with {channels} input channels"
        raise BadInput(what, where, f"use 1 to {channels - 1}" if channels > 1 else "name another layer")
    parts = module.weight.reshape(epitome.times, outputs // epitome.times, *module.weight.shape[1:])
    back = torch.stack([part.roll(i * epitome.step, 1) for i, part in enumerate(parts)])
    # parts that have nothing in common would leave next to nothing: as large as they were
    mean = back.mean(0)
    module.weight = nn.Parameter(mean * (back.square().mean() / mean.square().mean().clamp(min=1e-12)).sqrt())
    if module.bias is not None:
        module.bias = nn.Parameter(module.bias.reshape(epitome.times, -1).mean(0))


def expand(module: Any, epitome: Epitome) -> None:
    """Gives a layer all its weights again, of those that are kept and behind their grids."""
    turned = Turned(epitome.times, epitome.step)
    parametrize.register_parametrization(module, "weight", turned, unsafe=True)
    if module.bias is not None:
        parametrize.register_parametrization(module, "bias", Repeated(epitome.times), unsafe=True)
