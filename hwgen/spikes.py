"""Frames of spikes from numbers between 0 and 1, before a network whose input is spikes; and when a sample may end.

A sample of a spiking network is `steps` frames, one behind the other. In direct coding the numbers themselves are the
input of every step: `hwgen.nn.StepsIn` in the network does that, and the frames stay as they are.
"""

import numpy as np
import torch
from torch import Tensor

from hwgen.errors import BadInput

Array = np.ndarray


def rate(x: Array, steps: int, seed: int) -> Array:
    """Spikes [N * steps, ...] uint8, each drawn for itself with the probability x: numbers [N, ...] from 0 to 1.

    The same seed gives the same spikes: those of numpy's PCG64, sample by sample, so that the first samples of a
    longer x get the spikes that they get alone.
    """
    _check(x, steps, "rate")
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = np.empty((len(x), steps, *x.shape[1:]), np.uint8)
    for sample, numbers in zip(drawn, x, strict=True):
        sample[:] = generator.random(sample.shape, np.float32) < numbers
    return drawn.reshape(-1, *x.shape[1:])


def latency(x: Array, steps: int, least: float = 0.0) -> Array:
    """Spikes [N * steps, ...] uint8: one for each number above `least`, the greater the earlier.

    A number x [N, ...] from 0 to 1 spikes at step floor((1 - x) * steps), that is 1 at the first step and numbers up
    to 1 / steps at the last.
    """
    _check(x, steps, "latency")
    if not 0 <= least < 1:
        raise BadInput(f"least = {least!r}", "latency", "use a number from 0 up to, not including, 1")
    at = np.minimum(np.floor((1 - x) * steps), steps - 1)
    when = np.arange(steps).reshape(1, -1, *[1] * (x.ndim - 1))
    spikes = (at[:, None] == when) & (x > least)[:, None]
    return spikes.astype(np.uint8).reshape(-1, *x.shape[1:])


def _check(x: Array, steps: int, at: str) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise BadInput(f"steps = {steps!r}", at, "use an integer from 1")
    if x.ndim < 2 or not np.all((x >= 0) & (x <= 1)):
        raise BadInput("x is not [N, ...] of numbers from 0 to 1", at, "scale it first")


def running(scores: Tensor, steps: int) -> Tensor:
    """Sums [N, steps, C] over the steps so far, of scores [N * steps, C]; raises BadInput for part of a sample."""
    if steps < 1 or scores.ndim != 2 or len(scores) % steps:
        raise BadInput(f"scores {list(scores.shape)} of {steps} steps", "running", "give scores [N * steps, C]")
    return scores.reshape(-1, steps, scores.shape[1]).cumsum(1)


def early_exit(scores: Tensor, steps: int, margin: float) -> tuple[Tensor, Tensor]:
    """The class of each sample, and after how many steps it was known; both int64 [N].

    scores -- [N * steps, C], what the last layer gives at each step. A sample ends at the first step at which the
    greatest sum so far is at least `margin` above the second, else with its last step; of equal sums the lower class.
    """
    sums = running(scores, steps)
    best = sums.topk(2, 2).values
    found = best[..., 0] - best[..., 1] >= margin
    found[:, -1] = True
    at = found.int().argmax(1)
    return sums.argmax(2)[torch.arange(len(sums)), at], at + 1


def margin_for(scores: Tensor, steps: int, labels: Tensor, drop: float = 0.0) -> float:
    """The least margin by which early exit is right for no fewer of these samples than all steps are, less `drop`
    points; of scores and labels that the network was not trained with. Infinite where no margin does it."""
    sums = running(scores, steps)
    goal = int((sums[:, -1].argmax(1) == labels).sum()) - drop * len(labels) / 100
    best = sums.topk(2, 2).values
    for margin in torch.quantile((best[..., 0] - best[..., 1]).flatten(), torch.linspace(0, 1, 101).to(sums.dtype)):
        if int((early_exit(scores, steps, margin.item())[0] == labels).sum()) >= goal:
            return margin.item()
    return float("inf")
