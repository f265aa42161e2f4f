"""StepsIn and StepsOut: a frame as several time steps, and one frame of the steps of a sample."""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor, prod

import torch

from hwgen.errors import DoesNotFit, UnsupportedLayer
from hwgen.ir import Op, TensorType
from hwgen.nn_spiking import StepsIn as StepsInModule
from hwgen.nn_spiking import StepsOut as StepsOutModule
from hwgen.nn_spiking.steps import until
from hwgen.ops import imports
from hwgen.ops.quantize import RESULT_BITS
from hwgen.qtype import QType


@dataclass(frozen=True)
class StepsIn(Op):
    """Each frame `steps` times, one after the other."""

    steps: int
    elementwise = True
    degree = 1

    def of_steps(self, steps):
        return replace(self, steps=min(steps, self.steps))

    @property
    def multiple(self) -> Fraction:  # type: ignore[override]
        return Fraction(self.steps)

    def infer(self, x: TensorType) -> TensorType:
        return x

    def eval(self, types, x):
        return x.repeat_interleave(self.steps, 0)


@dataclass(frozen=True)
class StepsOut(Op):
    """The sum of each `steps` frames; `last`: the last of them.

    margin  None, or how far the greatest number of a sum must exceed the second one, for the steps behind to be left
            out: a float
    path    the layer's path in the module, for messages
    """

    steps: int
    last: bool = False
    path: str = ""
    margin: float | None = None

    def of_steps(self, steps):
        return replace(self, steps=min(steps, self.steps))

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        return self.margin is None

    @property
    def degree(self) -> int | None:  # type: ignore[override]
        return 1 if self.margin is None else None

    @property
    def frames(self) -> int:  # type: ignore[override]
        return self.steps

    @property
    def multiple(self) -> Fraction:  # type: ignore[override]
        return Fraction(1, self.steps)

    def infer(self, x: TensorType) -> TensorType:
        if self.last:
            return x
        if self.margin is not None and prod(x.shape) < 2:
            raise UnsupportedLayer("a margin between the numbers of a frame of one", self.path, "leave the margin out")
        qtype = QType(min(x.qtype.low, x.qtype.low * self.steps), max(x.qtype.high, x.qtype.high * self.steps))
        if qtype.bits > RESULT_BITS:
            raise DoesNotFit(
                f"the sum over {self.steps} steps needs {qtype.bits} bits, above {RESULT_BITS}",
                self.path,
                "put hwgen.nn.ActQuant before it",
            )
        return TensorType(x.shape, qtype, x.exponent)

    @property
    def aborts(self) -> bool:  # type: ignore[override]
        return self.margin is not None and self.steps > 1

    def level(self, x: TensorType) -> int:
        """The margin on x's grid: integers are apart by more than it where they are by more than this."""
        assert self.margin is not None
        return floor(self.margin * 2.0**-x.exponent)

    def eval(self, types, x):
        each = x.reshape(-1, self.steps, *x.shape[1:])
        if self.margin is not None:
            return until(each, self.level(types[0]))
        return each[:, -1] if self.last else torch.sum(each, 1)


def _stepped(importer, op, x):
    """The result of an op after which the batch has another number of frames."""
    importer.batch = importer.node.meta["val"].shape[0]
    return importer.add(op, x)


@imports("hwgen.steps_in.default")
def steps_in(importer, x, steps):
    StepsInModule(steps)  # its limits hold for a program that calls the op itself, too
    return _stepped(importer, StepsIn(steps), x)


@imports("hwgen.steps_out.default")
def steps_out(importer, x, steps, how, margin=None):
    StepsOutModule(steps, how, margin)
    return _stepped(importer, StepsOut(steps, how == "last", importer.path, margin), x)
