"""The layers of spiking neurons that a user adds to a model: `LI` and `LIF`."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hwgen.errors import BadInput
from hwgen.grids import MAX_EXPONENT, require_int, round_half_up
from hwgen.nn_spiking.neuron import (
    FIRES,
    LEAK_ROUNDINGS,
    MAX_GUARD,
    MAX_SHIFT,
    MAX_STEPS,
    MAX_TERMS,
    ORDERS,
    RESETS,
    shifts_of,
)
from hwgen.nn_spiking.operators import li, lif, neuron_of, run

MAX_LEVEL = 1 << 40  # of a threshold, or a first membrane, on its grid


def _shifts(what: str, shifts: Sequence[int], at: str) -> tuple[int, ...]:
    """A leak's shifts, the lesser first; raises BadInput for others."""
    found = tuple(shifts)
    several = len(found) > 1 and (len({*found}) < len(found) or 0 in found)
    if len(found) > MAX_TERMS or several:
        raise BadInput(f"{what} = {shifts!r}", at, "give (), (a,), (a, b) ...: v - v / 2^a - v / 2^b, all different")
    for shift in found:
        require_int(what, shift, 0, MAX_SHIFT, at)
    return tuple(sorted(found))


def word(what: str, value: str, known: Sequence[str], at: str) -> str:
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
        self.rounding = word("rounding", rounding, LEAK_ROUNDINGS, at)
        self.start = start
        self.synapse = None if synapse is None else _shifts("synapse", synapse, at)
        self.trainable = (trainable,) if isinstance(trainable, str) else tuple(trainable)
        for one in self.trainable:
            word("trainable", one, self.may_train, at)
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
        self.reset = word("reset", reset, RESETS, "LIF")
        self.fire = word("fire", fire, FIRES, "LIF")
        self.order = word("order", order, ORDERS, "LIF")
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
