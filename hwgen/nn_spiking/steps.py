"""The borders of time: `StepsIn` and `StepsOut`, each one custom operator, and when a sample may end."""

import torch
from torch import Tensor, nn

from hwgen.errors import BadInput
from hwgen.grids import require_int
from hwgen.nn_spiking.neuron import MAX_STEPS
from hwgen.nn_spiking.neurons import word

MAX_MARGIN = 1 << 40
HOWS = ("sum", "last")


@torch.library.custom_op("hwgen::steps_in", mutates_args=())
def steps_in(x: Tensor, steps: int) -> Tensor:
    """Each frame `steps` times, one after the other."""
    return x.repeat_interleave(steps, 0)


@steps_in.register_fake
def _(x, steps):
    return x.new_empty(x.shape[0] * steps, *x.shape[1:])


def _steps_in_setup(ctx, inputs, output):
    ctx.steps = inputs[1]


def _steps_in_backward(ctx, grad):
    return grad.unflatten(0, (-1, ctx.steps)).sum(1), None


steps_in.register_autograd(_steps_in_backward, setup_context=_steps_in_setup)


def ended(sums: Tensor, margin: float) -> Tensor:
    """The step, from 0, with which each sample ends: the first whose greatest sum exceeds the second one by more than a
    margin, else the last.

    sums -- [samples, steps, ...], of the steps so far
    """
    best, second = sums.flatten(2).topk(2, 2).values.unbind(2)
    enough = best - second > margin
    enough[:, -1] = True
    return enough.long().argmax(1)


def until(x: Tensor, margin: float) -> Tensor:
    """The sums [samples, ...] of the steps of each sample until it ends; x -- [samples, steps, ...]."""
    sums = x.cumsum(1)
    return sums[torch.arange(len(x)), ended(sums, margin)]


@torch.library.custom_op("hwgen::steps_out", mutates_args=())
def steps_out(x: Tensor, steps: int, how: str, margin: float | None = None) -> Tensor:
    """The sum of each `steps` frames, with a margin of the first of them until it is reached; or the last of them."""
    if len(x) % steps:
        raise BadInput(
            f"{len(x)} frames are no whole samples of {steps} steps", "StepsOut", f"give a multiple of {steps}"
        )
    x = x.unflatten(0, (-1, steps))
    if margin is not None:
        return until(x, margin)
    return x.sum(1) if how == "sum" else x[:, -1].clone()


@steps_out.register_fake
def _(x, steps, how, margin=None):
    if isinstance(x.shape[0], int) and x.shape[0] % steps:
        raise BadInput(
            f"an example of {x.shape[0]} frames is no whole samples of {steps} steps",
            "StepsOut",
            f"give {steps} frames, or hwgen.nn.StepsIn({steps}) before the first neuron",
        )
    return x.new_empty(x.shape[0] // steps, *x.shape[1:])


def _steps_out_setup(ctx, inputs, output):
    x, ctx.steps, ctx.how, margin = inputs
    taken = None
    if margin is not None:
        last = ended(x.unflatten(0, (-1, ctx.steps)).cumsum(1), margin)
        taken = (torch.arange(ctx.steps, device=x.device) <= last[:, None]).flatten()
    ctx.save_for_backward(taken)


def _steps_out_backward(ctx, grad):
    (taken,) = ctx.saved_tensors
    if ctx.how == "sum":
        each = grad.repeat_interleave(ctx.steps, 0)
        each = each if taken is None else each * taken.reshape(-1, *[1] * (each.dim() - 1))
        return each, None, None, None
    found = grad.new_zeros(len(grad), ctx.steps, *grad.shape[1:])
    found[:, -1] = grad
    return found.flatten(0, 1), None, None, None


steps_out.register_autograd(_steps_out_backward, setup_context=_steps_out_setup)


class StepsIn(nn.Module):
    """Each frame as `steps` time steps: what is before it is computed once a sample (direct coding).

    x is [N, ...]; the result is [N * steps, ...]: each frame `steps` times, one after the other. Gradient: the sum over
    the steps. Raises BadInput for steps outside 1 to 65,536.
    """

    def __init__(self, steps: int):
        super().__init__()
        require_int("steps", steps, 1, MAX_STEPS, "StepsIn")
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        return steps_in(x, self.steps)

    def extra_repr(self) -> str:
        return f"steps={self.steps}"


class StepsOut(nn.Module):
    """One frame of the `steps` of a sample: their sum (spike counts, summed scores), or the last.

    margin  None, or with a sum how far the greatest number of a frame must exceed the second one, for a sample to end:
            it is then the sum of the steps until this is so, and hardware leaves out the others (early exit)

    x is [N * steps, ...]; the result is [N, ...]. Gradient: as of the sum of the steps that are taken, or of the last
    step alone. Raises BadInput for steps outside 1 to 65,536, another `how` or margin, or a batch of no whole samples.
    """

    def __init__(self, steps: int, how: str = "sum", margin: float | None = None):
        super().__init__()
        require_int("steps", steps, 1, MAX_STEPS, "StepsOut")
        self.steps, self.how, self.margin = steps, word("how", how, HOWS, "StepsOut"), margin
        if margin is not None and (how != "sum" or not 0 <= margin < MAX_MARGIN):
            raise BadInput(f"margin = {margin!r} with how = {how!r}", "StepsOut", "give 0 or more, with a sum")

    def forward(self, x: Tensor) -> Tensor:
        return steps_out(x, self.steps, self.how, self.margin)

    def extra_repr(self) -> str:
        return f"steps={self.steps}, how={self.how}, margin={self.margin}"
