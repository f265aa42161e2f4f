"""Lif and Li: leaky integrate-and-fire neurons, and integrators without a threshold; a frame is a time step."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from hwgen.errors import BadInput, DoesNotFit, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.nn_spiking import LI, LIF
from hwgen.nn_spiking.neuron import Neuron, integrate, left, shifts_of
from hwgen.ops import imports
from hwgen.ops.quantize import RESULT_BITS, UNBOUNDED, Quantize
from hwgen.qtype import QType, signed_width

Ends = tuple[int, int]  # the least and the greatest


@dataclass(frozen=True, eq=False)
class Li(Op):
    """Membranes behind each step, which leak before the next one: hwgen.nn.LI.

    steps     frames of a sample
    exponent  the grid of membranes, start and thresholds
    leak      shifts, at most four, of which more than two are rounded half up
    start     the membrane before the first step
    half_up   whether a leak is rounded half up, else down
    path      the layer's path in the module, for messages
    """

    steps: int
    exponent: int
    leak: tuple[int, ...] = ()
    start: int = 0
    half_up: bool = False
    path: str = ""
    pixelwise = True

    @property
    def frames(self) -> int:  # type: ignore[override]
        return self.steps

    def of_steps(self, steps):
        return replace(self, steps=min(steps, self.steps))

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        return True

    @property
    def neuron(self) -> Neuron:
        return Neuron(self.steps, self.leak, None, self.start, half_up=self.half_up)

    def shift(self, x: TensorType) -> int:
        """Bits of a membrane below those of its currents."""
        return x.exponent - self.exponent

    def infer(self, x: TensorType) -> TensorType:
        self._check(x)
        return TensorType(x.shape, QType(*self.reach(x)), self.exponent)

    def _check(self, x: TensorType) -> None:
        if self.steps < 1 or self.shift(x) < 0:
            raise UnsupportedLayer(
                f"{self.steps} steps of currents worth 2^{x.exponent} on a grid of 2^{self.exponent}",
                self.path,
                "give the membrane a grid that holds its currents",
            )
        if len(self.leak) > 2 and not self.half_up:
            raise UnsupportedLayer("a leak of more than two shifts, rounded down", self.path, "round it half up")
        bits = self.bits(x)
        if bits > RESULT_BITS:
            raise DoesNotFit(
                f"a membrane needs {bits} bits, above {RESULT_BITS}", self.path, "quantize the currents before it"
            )

    def reach(self, x: TensorType) -> Ends:
        """Ends of the membranes behind all steps."""
        return _hull(list(self._after(x)))

    def bits(self, x: TensorType) -> int:
        """Bits of a membrane, two's complement."""
        return max(signed_width(*self.reach(x)), 2, *(k + 1 for k in self.leak))

    def _after(self, x: TensorType) -> Iterator[Ends]:
        """The ends of u, the sum of membrane and current, of each step until they change no more."""
        low, high = x.qtype.low << self.shift(x), x.qtype.high << self.shift(x)
        before = (self.start, self.start)
        for _ in range(self.steps):
            left = self._leaked(before)
            u = left[0] + low, left[1] + high
            yield u
            if u == before:
                return
            before = u

    def _leaked(self, v: Ends) -> Ends:
        """What a leak leaves of the numbers from v[0] to v[1]: it rises from one to the next, but for steps down where
        both of two parts rise, at multiples of the greater power; rounded half up no two parts rise at one number."""
        among = [*v]
        if len(self.leak) > 1 and not self.half_up:
            power = 1 << max(self.leak)
            first, last = -(-v[0] // power) * power, v[1] // power * power
            among += [n for n in (first, last - 1) if v[0] <= n <= v[1]]
        return _hull([(left, left) for left in (self.neuron.leaked(n, self.leak) for n in among)])

    def eval(self, types, x):
        return self._run(types[0], x)[0]

    def _run(self, kind: TensorType, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(what is sent, the membranes behind each step), int64 as x."""
        neuron = self.neuron
        level = self._level()

        def fires(v: torch.Tensor) -> torch.Tensor:
            return neuron.fires(v, level).long()

        currents = (x << self.shift(kind)).reshape(-1, self.steps, *x.shape[1:])
        sent, membranes = integrate(currents, neuron, level, neuron.leaked, fires)
        return sent.reshape(x.shape), membranes.reshape(x.shape)

    def _level(self) -> torch.Tensor | None:
        return None

    def kept(self, kind: TensorType, x: torch.Tensor) -> torch.Tensor:
        """What a neuron keeps behind each step, int64 as x: what the next one adds its currents to; of order "spiker"
        above that, from bit `bits` on, whether it fires."""
        return self.kept_of(kind, self._run(kind, x)[1])

    def kept_of(self, kind: TensorType, membranes: torch.Tensor) -> torch.Tensor:
        """That of membranes behind each step."""
        neuron, level = self.neuron, self._level()
        fired = None if level is None or neuron.order == "now" else neuron.fires(membranes, level).long()
        words = left(membranes, fired, level, neuron, neuron.leaked) & ((1 << self.bits(kind)) - 1)
        return words if fired is None or neuron.order != "spiker" else words | fired << self.bits(kind)


@dataclass(frozen=True, eq=False)
class Lif(Li):
    """Spikes of each step: hwgen.nn.LIF.

    levels  int64 [1] or [channels]: thresholds on the membrane's grid
    reset   subtract, zero or none
    at      whether it fires at the threshold, too
    order   now, late or spiker
    """

    levels: np.ndarray = field(repr=False, kw_only=True)
    reset: str = "subtract"
    at: bool = False
    order: str = "now"

    def __str__(self) -> str:
        levels = str(self.levels[0]) if len(self.levels) == 1 else f"[{len(self.levels)}]"
        more = f", leak {self.leak}" if self.leak else ""
        return f"Lif[{self.steps} steps, threshold {levels} * 2^{self.exponent}{more}, {self.reset}, {self.order}]"

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        return len(self.levels) == 1

    @property
    def neuron(self) -> Neuron:
        return Neuron(
            self.steps,
            self.leak,
            None,
            self.start,
            half_up=self.half_up,
            reset=self.reset,
            at=self.at,
            order=self.order,
        )

    def infer(self, x: TensorType) -> TensorType:
        if len(self.levels) not in (1, x.shape[0]) or int(self.levels.min()) < 1:
            raise UnsupportedLayer(
                f"{len(self.levels)} thresholds, of which the least is {self.levels.min()}, for {x.shape[0]} channels",
                self.path,
                "give one, or one for each channel, above 0",
            )
        if self.order != "now" and self.start >= int(self.levels.min()) + (not self.at):
            raise BadInput(
                f"start = {self.start} fires at a threshold of {self.levels.min()}, before the first step",
                self.path,
                'choose a lesser one, or order "now"',
            )
        self._check(x)
        return TensorType(x.shape, QType(0, 1), 0)

    def least(self, level: int) -> int:
        """The least membrane that fires."""
        return level + (not self.at)

    def reach(self, x: TensorType) -> Ends:
        """Ends of the membranes that are read: at the start, behind all steps, but of order "spiker" the last, and
        before a reset."""
        return _hull([ends for level in self._levels() for ends in self._of(x, level)])

    def bits(self, x: TensorType) -> int:
        highest = self.reach(x)[1]
        most = max(min(self.least(level), highest + 1) for level in self._levels())
        return max(super().bits(x), signed_width(0, most))

    def hardware_levels(self, x: TensorType) -> np.ndarray:
        """The thresholds, those that no membrane reaches no greater than a membrane has bits for."""
        return np.minimum(self.levels, self.reach(x)[1] + (self.at))

    def _levels(self) -> list[int]:
        return sorted({int(level) for level in self.levels})

    def _of(self, x: TensorType, level: int) -> Iterator[Ends]:
        """The ends of the sums of membrane and current, and of the membranes behind, of each step until they change no
        more; of one threshold."""
        low, high = x.qtype.low << self.shift(x), x.qtype.high << self.shift(x)
        v = (self.start, self.start)
        yield v
        for _ in range(self.steps - (self.order == "spiker")):
            left = self._left(v, level)
            u = left[0] + low, left[1] + high
            yield u
            after = _hull(self._parts(u, level, lambda ends: ends, lambda ends: self._reset(ends, level)))
            after = after if self.order == "now" else u
            yield after
            if after == v:
                return
            v = after

    def _left(self, v: Ends, level: int) -> Ends:
        """What the next step begins with."""
        if self.order == "now":
            return self._leaked(v)
        if self.order == "spiker":
            return _hull(self._parts(v, level, self._leaked, lambda ends: self._reset(ends, level)))

        def late(ends: Ends) -> Ends:
            if self.reset == "zero":
                return 0, 0
            less = level if self.reset == "subtract" else 0
            left = self._leaked(ends)
            return left[0] - less, left[1] - less

        return _hull(self._parts(v, level, self._leaked, late))

    def _parts(self, v: Ends, level: int, quiet, fired) -> list[Ends]:
        """The numbers from v[0] to v[1] that do not fire, and those that do, each as a function leaves them."""
        least = self.least(level)
        below, above = (v[0], min(v[1], least - 1)), (max(v[0], least), v[1])
        return [quiet(below)] * (below[0] <= below[1]) + [fired(above)] * (above[0] <= above[1])

    def _reset(self, v: Ends, level: int) -> Ends:
        if self.reset == "subtract":
            return v[0] - level, v[1] - level
        return (0, 0) if self.reset == "zero" else v

    def _level(self) -> torch.Tensor:
        return torch.from_numpy(self.levels).reshape(-1, 1, 1)


def _hull(some: list[Ends]) -> Ends:
    return min(low for low, _ in some), max(high for _, high in some)


def thresholds(threshold, grid: int) -> np.ndarray:
    """Thresholds as a module has them, int64 on the membrane's grid."""
    return np.asarray(np.floor(np.asarray(threshold, np.float64) * 2.0**-grid + 0.5).clip(min=1), np.int64)


def currents_on(importer, x, exponent: int):
    """The input on a grid that holds no more than the currents': rounded where it is finer."""
    if importer.is_floats(x) or importer.type(x).exponent < exponent:
        x = importer.add(Quantize(exponent, -UNBOUNDED, UNBOUNDED), x)
    return x


def _synapse(importer, x, steps: int, grid: int, synapse, half_up: bool):
    """A second state before the membrane, where there is one."""
    if synapse is None:
        return x
    return importer.add(Li(steps, grid, tuple(int(k) for k in synapse), 0, half_up, importer.path), x)


@imports("hwgen.lif.default")
def lif(importer, x, share, threshold, numbers, words, synapse=None):
    steps, exponent, guard, start, terms = (int(number) for number in numbers)
    rounding, reset, fire, order = words.split()
    leak, grid = shifts_of(float(share), terms), exponent - guard
    common = {"leak": leak, "guard": guard, "rounding": rounding, "start": start * 2.0**grid, "synapse": synapse}
    levels = thresholds(threshold, grid)
    # the module's limits hold for a program that calls the op itself, too
    LIF(steps, exponent, threshold=torch.as_tensor(levels * 2.0**grid), reset=reset, fire=fire, order=order, **common)
    half_up = rounding == "half_up"
    x = _synapse(importer, currents_on(importer, x, exponent), steps, grid, synapse, half_up)
    op = Lif(
        steps,
        grid,
        leak,
        start,
        half_up,
        importer.path,
        levels=levels.reshape(-1),
        reset=reset,
        at=fire == ">=",
        order=order,
    )
    return importer.add(op, x) if levels.ndim == 0 else importer.over(x, 1, op)


@imports("hwgen.li.default")
def li(importer, x, share, numbers, words, synapse=None):
    steps, exponent, guard, start, terms = (int(number) for number in numbers)
    leak, grid, rounding = shifts_of(float(share), terms), exponent - guard, words.split()[0]
    LI(steps, exponent, leak=leak, guard=guard, rounding=rounding, start=start * 2.0**grid, synapse=synapse)
    half_up = rounding == "half_up"
    x = _synapse(importer, currents_on(importer, x, exponent), steps, grid, synapse, half_up)
    return importer.add(Li(steps, grid, leak, start, half_up, importer.path), x)
