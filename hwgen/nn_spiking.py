"""Spiking neurons in integers: leaky integrate-and-fire, the integrator without spikes, and the borders of time.

A time step is a frame: `steps` frames that follow each other in the batch are one sample. Each module is one custom
operator (`hwgen::lif`, `hwgen::li`, `hwgen::steps_in`, `hwgen::steps_out`), so that it stays one node through
`torch.export`. `integrate` is the definition of the neurons, which the golden model computes on integers too.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hwgen.errors import BadInput
from hwgen.grids import MAX_EXPONENT, require_float, require_int, round_half_up

MAX_STEPS = 1 << 16
MAX_SHIFT = 16  # of a leak
MAX_TERMS = 4  # of it
MAX_GUARD = 16
MAX_LEVEL = 1 << 40  # of a threshold, or a first membrane, on its grid
MAX_MARGIN = 1 << 40
SLOPE = 4.0  # of the surrogate gradient
RESETS = ("subtract", "zero", "none")
FIRES = (">", ">=")
ORDERS = ("now", "late", "spiker")
LEAK_ROUNDINGS = ("floor", "half_up")
HOWS = ("sum", "last")


@dataclass(frozen=True)
class Neuron:
    """What is fixed of a neuron, in integers on its membrane's grid; see `LIF`.

    steps    of a sample
    leak     shifts of the membrane's leak, at most four; () does not leak
    synapse  None, or the shifts of a leaking current before the membrane
    start    the membrane before the first step
    guard    bits of that grid below the currents'
    half_up  whether a leak is rounded half up, else down
    reset, at, order  of a neuron with a threshold; at: it fires at the threshold, too
    """

    steps: int
    leak: tuple[int, ...] = ()
    synapse: tuple[int, ...] | None = None
    start: int = 0
    guard: int = 0
    half_up: bool = False
    reset: str = "subtract"
    at: bool = False
    order: str = "now"

    def leaked(self, v: Any, shifts: tuple[int, ...]) -> Any:
        """What a leak leaves of v: integers, int64 or in floats."""
        left = v
        for shift in shifts:
            part = v + (((1 << shift) >> 1) if self.half_up else 0)
            is_float = isinstance(v, Tensor) and v.is_floating_point()
            left = left - (torch.floor(part * 2.0**-shift) if is_float else part >> shift)
        return left

    def fires(self, v, level):
        """Whether a membrane v fires at a threshold."""
        return v >= level if self.at else v > level


Leaked = Callable[[Tensor, tuple[int, ...]], Tensor]
Fires = Callable[[Tensor], Tensor]


def integrate(
    x: Tensor, neuron: Neuron, level: Tensor | None, leaked: Leaked, fires: Fires, back: Fires | None = None
) -> tuple[Tensor, Tensor]:
    """The definition of `LIF` and, without a level, of `LI`: (what is sent, the membranes behind each step), both
    [samples, steps, ...].

    x       currents [samples, steps, ...], integers on the membrane's grid
    level   threshold, on the same grid; broadcasts against a step's currents
    leaked  what a leak leaves of a state; fires -- 1 for each membrane that fires, 0 for others
    back    None, or what the spikes of a step add to the currents of the next one
    """
    v = torch.full_like(x[:, 0], neuron.start)
    current = torch.zeros_like(v)
    sent, membranes = [], []
    for step in x.unbind(1):
        if back is not None and sent:
            step = step + back(sent[-1])
        current = step if neuron.synapse is None else leaked(current, neuron.synapse) + step
        if level is None:
            out = v = leaked(v, neuron.leak) + current
        elif neuron.order == "now":
            u = leaked(v, neuron.leak) + current
            out = fires(u)
            v = _reset(u, out, level, neuron)
        else:
            fired = fires(v)
            if neuron.order == "late":
                base = v * (1 - fired.detach()) if neuron.reset == "zero" else v
                v = leaked(base, neuron.leak) + current
                v = v - level * fired.detach() if neuron.reset == "subtract" else v
                out = fires(v)
            else:
                kept = fired.detach()
                v = _reset(v, fired, level, neuron) * kept + leaked(v, neuron.leak) * (1 - kept) + current
                out = fired
        sent.append(out)
        membranes.append(v)
    return torch.stack(sent, 1), torch.stack(membranes, 1)


def _reset(u: Tensor, fired: Tensor, level: Tensor, neuron: Neuron) -> Tensor:
    """The membranes u, after a reset of those that fired; no gradient goes through the choice."""
    fired = fired.detach()
    if neuron.reset == "subtract":
        return u - level * fired
    return u * (1 - fired) if neuron.reset == "zero" else u


def shifts_of(share: float, terms: int) -> tuple[int, ...]:
    """The sum of so many different powers 2^-1 ... 2^-16 that is nearest to a share, as shifts, the lesser first."""
    if terms == 0:
        return ()
    if terms == 1 and share == 1.0:
        return (0,)
    able = itertools.combinations(range(1, MAX_SHIFT + 1), terms)
    return min(able, key=lambda shifts: abs(share - sum(2.0**-shift for shift in shifts)))


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


def _shifts(what: str, shifts: Sequence[int], at: str) -> tuple[int, ...]:
    """A leak's shifts, the lesser first; raises BadInput for others."""
    found = tuple(shifts)
    several = len(found) > 1 and (len({*found}) < len(found) or 0 in found)
    if len(found) > MAX_TERMS or several:
        raise BadInput(f"{what} = {shifts!r}", at, "give (), (a,), (a, b) ...: v - v / 2^a - v / 2^b, all different")
    for shift in found:
        require_int(what, shift, 0, MAX_SHIFT, at)
    return tuple(sorted(found))


def _word(what: str, value: str, known: Sequence[str], at: str) -> str:
    if value not in known:
        raise BadInput(f"{what} = {value!r}", at, f"use {' or '.join(map(repr, known))}")
    return value


def _on_grid(what: str, value: float, grid: int, at: str) -> int:
    level = value * 2.0**-grid
    if not abs(level) < MAX_LEVEL:
        raise BadInput(f"{what} = {value!r} on the grid 2^{grid}", at, "choose it nearer to the grid")
    return int(round_half_up(torch.tensor(level, dtype=torch.float64), 0))


class LI(nn.Module):
    """A leaky integrator: the last layer of a network, whose membrane is read.

    With each step v = leak(v) + I, and v is sent: integers worth 2^(exponent - guard). The arguments are those of
    `LIF`, of which it has no threshold and no spikes.
    """

    def __init__(
        self,
        steps: int,
        exponent: int,
        *,
        leak: tuple[int, ...] = (),
        guard: int = 0,
        rounding: str = "floor",
        start: float = 0.0,
        synapse: tuple[int, ...] | None = None,
        trainable: tuple[str, ...] = (),
    ):
        super().__init__()
        at = type(self).__name__
        require_int("steps", steps, 1, MAX_STEPS, at)
        require_int("exponent", exponent, -MAX_EXPONENT, MAX_EXPONENT, at)
        require_int("guard", guard, 0, MAX_GUARD, at)
        self.steps, self.exponent, self.guard = steps, exponent, guard
        self.rounding = _word("rounding", rounding, LEAK_ROUNDINGS, at)
        self.start = start
        self.synapse = None if synapse is None else _shifts("synapse", synapse, at)
        self.trainable = (trainable,) if isinstance(trainable, str) else tuple(trainable)
        for one in self.trainable:
            _word("trainable", one, self.may_train, at)
        shifts = _shifts("leak", leak, at)
        if max(len(shifts), len(self.synapse or ())) > 2 and rounding != "half_up":
            raise BadInput(f"a leak of more than two shifts, rounded {rounding}", at, 'use rounding="half_up"')
        self.terms = len(shifts)
        if "leak" in self.trainable and (not shifts or 0 in shifts):
            raise BadInput(f"leak = {leak!r} that is trained", at, "give (a,) or (a, b), above 0, where it starts")
        self._first = _on_grid("start", start, exponent - guard, at)
        self._number("share", torch.tensor(sum((2.0**-shift for shift in shifts), 0.0)), "leak" in self.trainable)

    may_train: tuple[str, ...] = ("leak",)
    share: Tensor

    def _number(self, name: str, value: Tensor, trained: bool) -> None:
        if trained:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    @property
    def leak(self) -> tuple[int, ...]:
        """The shifts of the leak, where it is trained those nearest to it."""
        return shifts_of(float(self.share.detach()), self.terms)

    @property
    def _numbers(self) -> list[int]:
        return [self.steps, self.exponent, self.guard, self._first, self.terms]

    @property
    def _synapse(self) -> list[int] | None:
        return None if self.synapse is None else list(self.synapse)

    def forward(self, x: Tensor) -> Tensor:
        return li(x, self.share, self._numbers, f"{self.rounding} none > now", self._synapse)

    def extra_repr(self) -> str:
        return (
            f"steps={self.steps}, exponent={self.exponent}, leak={self.leak}, guard={self.guard}, "
            f"rounding={self.rounding}, start={self.start}, synapse={self.synapse}"
        )


class LIF(LI):
    """Leaky integrate-and-fire neurons, one for each activation of a frame, in integers.

    A time step is a frame: `steps` frames that follow each other in the batch are a sample, at whose first step the
    membrane v is `start`. The input is rounded half up to currents I worth 2^exponent; membrane and threshold are
    integers worth 2^(exponent - guard). leak(v) = v - r(v / 2^a) - r(v / 2^b) ..., as many terms as `leak` has shifts,
    where r is `rounding`: floor, or floor(. + 1/2). With s(v) = v > threshold (or >=) a step is

        order "now":     u = leak(v) + I; send s(u); v = reset(u) where s(u), else u
        order "late":    v = leak(v) + I, less the threshold where s(v) of the old v, or leak(0) + I of a zero reset;
                         send s(v): the order of snnTorch
        order "spiker":  send s(v) of the old v; v = reset(v) + I where s(v), else leak(v) + I: Spiker+'s, in which a
                         neuron that fires does not leak in that step, and a spike tells of the step before

    reset(v) is v - threshold ("subtract"), 0 ("zero") or v ("none"). With a synapse I is what a second state c gives,
    c = leak(c) + I by the shifts of `synapse`, 0 before the first step: second order, as snnTorch's Synaptic.

    steps      1 to 65,536 frames of a sample
    exponent   -64 to 64, of the currents
    leak       (), (a,), (a, b), or three or four with half_up: each 0 to 16, several different ones above 0
    threshold  above 0, on the membrane's grid: a number, or a tensor [channels] of dimension 1 of the input
    guard      0 to 16 bits of the membrane below the grid of the currents
    start      rounded half up to the membrane's grid
    trainable  of "leak" and "threshold", what is learned: a leak is rounded to the nearest sum of as many different
               powers of two as it starts with, a threshold half up to its grid, at least one, both straight through

    x is [samples * steps, ...], float32 or float64; the result, 0.0 and 1.0, has the same shape and dtype, and is exact
    as long as a membrane fits the float's significand. Gradient: that of each step as written, through all steps of a
    sample; of a spike 1 / (1 + 4 |z|)^2 with z = v / threshold - 1; none through the choice of a reset.
    Raises BadInput for an argument, a dtype or a batch outside these.
    """

    may_train = ("leak", "threshold")
    threshold: Tensor

    def __init__(
        self,
        steps: int,
        exponent: int,
        *,
        leak: tuple[int, ...] = (),
        threshold: float | Tensor = 1.0,
        reset: str = "subtract",
        fire: str = ">",
        order: str = "now",
        guard: int = 0,
        rounding: str = "floor",
        start: float = 0.0,
        synapse: tuple[int, ...] | None = None,
        trainable: tuple[str, ...] = (),
    ):
        super().__init__(
            steps,
            exponent,
            leak=leak,
            guard=guard,
            rounding=rounding,
            start=start,
            synapse=synapse,
            trainable=trainable,
        )
        self.reset = _word("reset", reset, RESETS, "LIF")
        self.fire = _word("fire", fire, FIRES, "LIF")
        self.order = _word("order", order, ORDERS, "LIF")
        value = torch.as_tensor(threshold, dtype=torch.float64).detach().clone()
        levels = value * 2.0 ** (guard - exponent)
        trained = "threshold" in self.trainable
        if value.dim() > 1 or not bool(((levels > 0) & (levels < MAX_LEVEL)).all()):
            raise BadInput(f"threshold = {threshold!r}", "LIF", "give a number above 0, or a tensor [channels] of them")
        if not trained and bool((levels != levels.floor()).any()):
            raise BadInput(
                f"the threshold {threshold!r} is not on the grid 2^{exponent - guard} of the membrane",
                "LIF",
                "round it, or give more guard bits",
            )
        self._number("threshold", value.to(torch.get_default_dtype()), trained)

    def forward(self, x: Tensor) -> Tensor:
        words = f"{self.rounding} {self.reset} {self.fire} {self.order}"
        return lif(x, self.share, self.threshold, self._numbers, words, self._synapse)

    def membranes(self, x: Tensor) -> Tensor:
        """The membranes [samples * steps, ...] behind each step, as floats worth what they are; no gradient."""
        words = [self.rounding, self.reset, self.fire, self.order]
        terms, exponent, neuron = neuron_of(self._numbers, words, self._synapse)
        with torch.no_grad():
            found = run(x, self.share, self.threshold, terms, exponent, neuron)[1]
        return found * 2.0 ** (exponent - neuron.guard)

    def extra_repr(self) -> str:
        threshold = self.threshold.tolist() if self.threshold.dim() == 0 else f"[{len(self.threshold)}]"
        return (
            f"{super().extra_repr()}, threshold={threshold}, reset={self.reset}, fire={self.fire}, order={self.order}"
        )


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
        self.steps, self.how, self.margin = steps, _word("how", how, HOWS, "StepsOut"), margin
        if margin is not None and (how != "sum" or not 0 <= margin < MAX_MARGIN):
            raise BadInput(f"margin = {margin!r} with how = {how!r}", "StepsOut", "give 0 or more, with a sum")

    def forward(self, x: Tensor) -> Tensor:
        return steps_out(x, self.steps, self.how, self.margin)

    def extra_repr(self) -> str:
        return f"steps={self.steps}, how={self.how}, margin={self.margin}"
