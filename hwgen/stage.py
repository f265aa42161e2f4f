"""A stage: what one hardware unit computes, whatever the engine that does it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from hwgen.ir import Op, TensorType, Window
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.ops.rescale import Quantizer
from hwgen.qtype import QType

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Stage:
    """An op of the graph, with the requantization that rides on it (None: its exact result is sent).

    name      of the op's node, which is the layer's
    inputs, types  the tensors of the graph that it reads, and their types
    result, y      the tensor that it sends, and its type
    loadable  whether a host can replace its weights, where its engine reads them from a memory
    modes     of a stage whose weights or quantizers a frame chooses (hwgen/modes.py): the stage of each mode. Its own
              op and quantizer are those of the first, its types hold what all modes have
    """

    name: str
    op: Op
    quantize: Quantizer | None
    inputs: tuple[str, ...]
    types: tuple[TensorType, ...]
    result: str
    y: TensorType
    loadable: bool = False
    modes: tuple["Stage", ...] = ()

    @staticmethod
    def alone(
        name: str,
        op: Op,
        quantize: Quantizer | None,
        x: TensorType,
        y: TensorType | None = None,
        loadable: bool = False,
    ) -> "Stage":
        """A stage of one input that no graph holds; y -- its result, if not what the op and `quantize` give."""
        if y is None:
            y = op.infer(x) if quantize is None else quantize.infer(op.infer(x))
        return Stage(name, op, quantize, ("x",), (x,), name, y, loadable)

    @property
    def x(self) -> TensorType:
        """The type of the first input."""
        return self.types[0]

    @property
    def window(self) -> Window:
        """What an output pixel reads; only of an op that has one."""
        assert self.op.window is not None, f"{self.name}: {self.op} reads no window"
        return self.op.window

    @property
    def rounds(self) -> Quantize | None:
        """The quantizer, where it is a shift of the exact result: the low bits need not be kept."""
        return self.quantize if isinstance(self.quantize, Quantize) else None

    @cached_property
    def unclamped(self) -> QType:
        """The range of the result before the clamp."""
        acc = self.op.infer(*self.types)
        return Quantize(self.y.exponent, -UNBOUNDED, UNBOUNDED).infer(acc).qtype

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once for this stage and key: a schedule asks for the same list many times."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def loading(self) -> "Stage":
        """The same with weights that a host can replace. What was made of the one is made of the other, so a key of
        `once` holds `loadable` where that matters."""
        other = replace(self, loadable=True)
        vars(other)["_made"] = self._made
        return other

    def has(self, key: Hashable) -> bool:
        """Whether `once` has made what a key stands for."""
        return key in self._made

    @cached_property
    def _made(self) -> dict:
        return {}
