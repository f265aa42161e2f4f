"""RecurrentLif: neurons whose spikes of a step add to their currents of the next one; a frame is a time step."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from hwgen.errors import MissingActQuant, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.nn_spiking.neuron import Neuron, integrate, shifts_of
from hwgen.ops import imports
from hwgen.ops.conv import ACTIVATION_BITS, Conv
from hwgen.ops.lif import Li, Lif, currents_on, thresholds
from hwgen.qtype import QType


@dataclass(frozen=True, eq=False)
class RecurrentLif(Op):
    """Spikes of each step: hwgen.nn_spiking.RecurrentLIF, frames (neurons, 1, 1).

    weight  float64 [neurons, neurons], read by value: multiples of a power of two, at most 16 significant bits
    levels  int64 [1] or [neurons]: thresholds on the membrane's grid
    synapse None, or the shifts of a leaking current before the membrane
    others  as of hwgen.ops.lif.Lif
    """

    weight: np.ndarray = field(repr=False)
    levels: np.ndarray = field(repr=False)
    steps: int
    exponent: int
    leak: tuple[int, ...]
    synapse: tuple[int, ...] | None
    start: int
    half_up: bool
    reset: str
    at: bool
    order: str
    path: str = ""

    def __str__(self) -> str:
        return f"RecurrentLif[{len(self.weight)} neurons, {self.steps} steps, {self.reset}, {self.order}]"

    @property
    def frames(self) -> int:  # type: ignore[override]
        return self.steps

    def of_steps(self, steps):
        return replace(self, steps=min(steps, self.steps))

    @property
    def has_weights(self) -> bool:
        return True

    @cached_property
    def matrix(self) -> Conv:
        """What the spikes are multiplied with, as a layer."""
        return Conv(self.weight[:, :, None, None], np.zeros(len(self.weight)), path=self.path)

    @cached_property
    def sums(self) -> TensorType:
        """What the matrix makes of spikes."""
        return self.matrix.infer(TensorType((len(self.weight), 1, 1), QType(0, 1), 0))

    @cached_property
    def lif(self) -> Lif:
        """The neurons behind the currents, and their synapse."""
        return Lif(
            self.steps,
            self.exponent,
            tuple(self.leak),
            self.start,
            self.half_up,
            self.path,
            levels=self.levels,
            reset=self.reset,
            at=self.at,
            order=self.order,
        )

    @cached_property
    def li(self) -> Li | None:
        """The synapse, as an integrator."""
        if self.synapse is None:
            return None
        return Li(self.steps, self.exponent, tuple(self.synapse), 0, self.half_up, self.path)

    def currents(self, x: TensorType) -> TensorType:
        """An activation and a sum together."""
        exponent = min(x.exponent, self.sums.exponent)
        up = x.exponent - exponent, self.sums.exponent - exponent
        low, high = (
            (a << up[0]) + (b << up[1])
            for a, b in ((x.qtype.low, self.sums.qtype.low), (x.qtype.high, self.sums.qtype.high))
        )
        return TensorType(x.shape, QType(low, high), exponent)

    def added(self, x: TensorType) -> TensorType:
        """What a membrane adds: the currents, or what a synapse makes of them."""
        return self.currents(x) if self.li is None else self.li.infer(self.currents(x))

    def infer(self, x: TensorType) -> TensorType:
        if x.shape != (len(self.weight), 1, 1):
            raise UnsupportedLayer(
                f"{len(self.weight)} recurrent neurons on a frame {list(x.shape)}",
                self.path,
                f"give it [N, {len(self.weight)}]",
            )
        if self.currents(x).qtype.bits > 2 * ACTIVATION_BITS:
            raise MissingActQuant(
                f"its currents have {self.currents(x).qtype.bits} bits",
                self.path,
                "put hwgen.nn.ActQuant(bits, exponent, signed) before it",
            )
        return self.lif.infer(self.added(x))

    def eval(self, types, x):
        return self._run(types[0], x)[0]

    def kept(self, x: TensorType, values: torch.Tensor) -> torch.Tensor:
        """What a neuron keeps behind each step: `Lif.kept`."""
        return self.lif.kept_of(self.added(x), self._run(x, values)[1])

    def _run(self, x: TensorType, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(spikes, the membranes behind each step), int64 as values."""
        kind = self.currents(x)
        up = kind.exponent - self.exponent
        neuron = Neuron(
            self.steps,
            tuple(self.leak),
            None if self.synapse is None else tuple(self.synapse),
            self.start,
            half_up=self.half_up,
            reset=self.reset,
            at=self.at,
            order=self.order,
        )
        level = torch.from_numpy(self.levels)
        matrix = torch.from_numpy(self.matrix.integers[:, :, 0, 0].astype(np.float64)).T
        worth = self.sums.exponent - self.exponent

        def fires(v: torch.Tensor) -> torch.Tensor:
            return neuron.fires(v, level).long()

        def back(spikes: torch.Tensor) -> torch.Tensor:
            return (spikes.double() @ matrix).long() << worth  # exact: sums of 48 bits

        currents = (values << (x.exponent - kind.exponent + up)).reshape(-1, self.steps, len(self.weight))
        spikes, membranes = integrate(currents, neuron, level, neuron.leaked, fires, back)
        return spikes.reshape(values.shape), membranes.reshape(values.shape)


@imports("hwgen.recurrent_lif.default")
def recurrent_lif(importer, x, weight, share, threshold, numbers, words, synapse=None):
    steps, exponent, guard, start, terms = (int(number) for number in numbers)
    rounding, reset, fire, order = words.split()
    leak, grid = shifts_of(float(share), terms), exponent - guard
    levels = thresholds(threshold, grid)
    op = RecurrentLif(
        weight,
        levels.reshape(-1),
        steps,
        grid,
        leak,
        None if synapse is None else tuple(int(k) for k in synapse),
        start,
        rounding == "half_up",
        reset,
        fire == ">=",
        order,
        importer.path,
    )
    return importer.over(currents_on(importer, x, exponent), 1, op)
