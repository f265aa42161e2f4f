"""What a spiking neuron does in a step, in integers: the definition, which modules and the golden model compute."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MAX_STEPS = 1 << 16
MAX_SHIFT = 16  # of a leak
MAX_TERMS = 4  # of it
MAX_GUARD = 16
RESETS = ("subtract", "zero", "none")
FIRES = (">", ">=")
ORDERS = ("now", "late", "spiker")
LEAK_ROUNDINGS = ("floor", "half_up")


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
        fired = None if level is None or neuron.order == "now" else fires(v)
        u = left(v, fired, level, neuron, leaked) + current
        if level is None:
            out = v = u
        elif neuron.order == "now":
            out = fires(u)
            v = _reset(u, out, level, neuron)
        else:
            out, v = fired if neuron.order == "spiker" else fires(u), u
        sent.append(out)
        membranes.append(v)
    return torch.stack(sent, 1), torch.stack(membranes, 1)


def left(v: Tensor, fired: Tensor | None, level: Tensor | None, neuron: Neuron, leaked: Leaked) -> Tensor:
    """What the next step adds its currents to, of membranes v behind a step; fired -- fires(v), of other orders than
    "now". No gradient goes through it."""
    if fired is None or level is None:
        return leaked(v, neuron.leak)
    fired = fired.detach()
    if neuron.order == "spiker":
        return _reset(v, fired, level, neuron) * fired + leaked(v, neuron.leak) * (1 - fired)
    kept = leaked(v * (1 - fired) if neuron.reset == "zero" else v, neuron.leak)
    return kept - level * fired if neuron.reset == "subtract" else kept


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
