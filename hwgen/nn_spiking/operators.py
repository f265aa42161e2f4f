"""Neurons on floats, differentiable: one custom operator each, `hwgen::lif` and `hwgen::li`."""

from dataclasses import replace

import torch
from torch import Tensor

from hwgen.errors import BadInput
from hwgen.grids import require_float, round_half_up
from hwgen.nn_spiking.neuron import Neuron, integrate, shifts_of

SLOPE = 4.0  # of the surrogate gradient


class _Leak(torch.autograd.Function):
    """A leak, its gradient that of v * (1 - share)."""

    @staticmethod
    def forward(ctx, v, share, neuron, shifts):
        ctx.save_for_backward(v, share)
        return neuron.leaked(v, shifts)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        v, share = ctx.saved_tensors
        return grad * (1 - share), -(grad * v).sum(), None, None


class _Fire(torch.autograd.Function):
    """Spikes, their gradient that of a smooth step of z = v / level - 1: 1 / (1 + SLOPE * |z|)^2."""

    @staticmethod
    def forward(ctx, z, fired):
        ctx.save_for_backward(z)
        return fired

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        (z,) = ctx.saved_tensors
        return grad / (1 + SLOPE * z.abs()) ** 2, None


class _Round(torch.autograd.Function):
    """Nearest integers, at least `least`; straight through."""

    @staticmethod
    def forward(ctx, x, least):
        return round_half_up(x, 0).clamp(min=least)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        return grad, None


def _levels(threshold: Tensor, grid: int, rank: int) -> Tensor:
    """A threshold, or one for each channel, as integers that broadcast against a step [samples, channels, ...]."""
    level = _Round.apply(threshold * 2.0**-grid, 1)
    return level.reshape(-1, *[1] * (rank - 2)) if level.dim() else level


def run(
    x: Tensor,
    share: Tensor,
    threshold: Tensor | None,
    terms: int,
    exponent: int,
    neuron: Neuron,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`integrate` of floats [samples * steps, ...], the leak read of its share; differentiable.

    weight -- None, or [neurons, neurons]: of the spikes of a step, for the currents of the next one
    """
    if len(x) % neuron.steps:
        raise BadInput(
            f"{len(x)} frames are no whole samples of {neuron.steps} steps", "LIF", f"give a multiple of {neuron.steps}"
        )
    share = share + (share.clamp(0, 1) - share).detach()  # training may carry it beyond
    neuron = replace(neuron, leak=shifts_of(float(share.detach()), terms))
    currents = _Round.apply(x * 2.0**-exponent, -float("inf")) * 2.0**neuron.guard
    level = None if threshold is None else _levels(threshold, exponent - neuron.guard, x.dim())

    def leaked(v: Tensor, shifts: tuple[int, ...]) -> Tensor:
        fixed = share.new_tensor(sum(2.0**-shift for shift in shifts))
        return _Leak.apply(v, share if shifts is neuron.leak else fixed, neuron, shifts)

    def fires(v: Tensor) -> Tensor:
        assert level is not None
        return _Fire.apply(v / level - 1, neuron.fires(v.detach(), level.detach()).to(v.dtype))

    def back(spikes: Tensor) -> Tensor:
        assert weight is not None
        return spikes @ (weight * 2.0 ** (neuron.guard - exponent)).T

    currents = currents.unflatten(0, (-1, neuron.steps))
    sent, membranes = integrate(currents, neuron, level, leaked, fires, None if weight is None else back)
    return sent.flatten(0, 1), membranes.flatten(0, 1)


def neuron_of(numbers: list[int], words: list[str], synapse: list[int] | None) -> tuple[int, int, Neuron]:
    """(terms of the leak, exponent, neuron) from what an operator was given."""
    steps, exponent, guard, start, terms = numbers
    rounding, reset, fire, order = words
    return (
        terms,
        exponent,
        Neuron(
            steps,
            (),
            None if synapse is None else tuple(synapse),
            start,
            guard,
            rounding == "half_up",
            reset,
            fire == ">=",
            order,
        ),
    )


@torch.library.custom_op("hwgen::lif", mutates_args=())
def lif(
    x: Tensor, share: Tensor, threshold: Tensor, numbers: list[int], words: str, synapse: list[int] | None = None
) -> Tensor:
    """Spikes [samples * steps, ...]; see `LIF`.

    share    what a leak takes of the membrane, a float; threshold -- a float, or one for each channel
    numbers  steps, exponent, guard, start on the membrane's grid, and of how many shifts the leak is
    words    rounding, reset, fire and order, with blanks between
    synapse  shifts
    """
    require_float(x, "lif")
    terms, exponent, neuron = neuron_of(numbers, words.split(), synapse)
    return run(x, share, threshold, terms, exponent, neuron)[0]


@lif.register_fake
def _(x, share, threshold, numbers, words, synapse=None):
    require_float(x, "lif")
    return torch.empty_like(x)


@torch.library.custom_op("hwgen::li", mutates_args=())
def li(x: Tensor, share: Tensor, numbers: list[int], words: str, synapse: list[int] | None = None) -> Tensor:
    """Membranes [samples * steps, ...]; see `LI`. The arguments are those of `lif`."""
    require_float(x, "li")
    terms, exponent, neuron = neuron_of(numbers, words.split(), synapse)
    return run(x, share, None, terms, exponent, neuron)[0] * 2.0 ** (exponent - neuron.guard)


@li.register_fake
def _(x, share, numbers, words, synapse=None):
    require_float(x, "li")
    return torch.empty_like(x)


def _setup(ctx, inputs, output):
    x, share, *rest = inputs
    ctx.threshold = rest.pop(0) if isinstance(rest[0], Tensor) else None
    ctx.rest = rest
    ctx.save_for_backward(x, share, *([] if ctx.threshold is None else [ctx.threshold]))


def _backward(ctx, grad):
    """Through the steps once more, with surrogates for what has no gradient."""
    values = [value.detach().requires_grad_() for value in ctx.saved_tensors]
    numbers, words, synapse = ctx.rest
    terms, exponent, neuron = neuron_of(numbers, words.split(), synapse)
    x, share, threshold = values if len(values) == 3 else (*values, None)
    with torch.enable_grad():
        y = run(x, share, threshold, terms, exponent, neuron)[0]
        y = y if threshold is not None else y * 2.0 ** (exponent - neuron.guard)
    found = torch.autograd.grad(y, values, grad, allow_unused=True)
    return *found, None, None, None


lif.register_autograd(_backward, setup_context=_setup)
li.register_autograd(_backward, setup_context=_setup)
