"""A node of an .onnx file as its builder sees it, and the builders by the names of their nodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from hwgen.errors import BadInput, UnsupportedLayer
from hwgen.formats import Call


@dataclass(frozen=True)
class Value:
    """What is known of a computed tensor: its shape, and 'float' or, between a QuantizeLinear and a DequantizeLinear,
    the name of its integers."""

    shape: tuple[int, ...]
    kind: str = "float"


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that the file holds or that was evaluated; its exact values are value + rest, where float64 does not
    hold them (biases of 32 bits with a scale)."""

    value: np.ndarray
    rest: np.ndarray | None = None


@dataclass
class Node:
    """One node: its inputs, in the places that the file gives them, and its attributes.

    opset  version of its domain
    """

    proto: onnx.NodeProto
    name: str
    opset: int
    inputs: list[Value | Constant | None]
    _read: set[str] = field(default_factory=set)

    def refusal(self, what: str, hint: str) -> UnsupportedLayer:
        return UnsupportedLayer(f"{self.proto.op_type}: {what}", self.name, hint)

    def broken(self, what: str, hint: str = "check the file: onnx.checker.check_model(path)") -> BadInput:
        return BadInput(f"{self.proto.op_type}: {what}", self.name, hint)

    # attributes

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute as a number, a text, or a list of numbers; its default where the node does not have it."""
        self._read.add(name)
        found = next((a for a in self.proto.attribute if a.name == name), None)
        if found is None:
            return default
        value = onnx.helper.get_attribute_value(found)
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        kind = (int, float) if isinstance(default, int | float | type(None)) else type(default)
        if default is not None and not isinstance(value, kind):
            raise self.broken(f"its attribute {name} is {str(value)[:40]!r}")
        return list(value) if isinstance(value, Sequence) else value

    def integers(self, name: str, default: list[int]) -> list[int]:
        """An attribute of as many integers as its default has."""
        found = self.attribute(name, list(default))
        if len(found) != len(default) or not all(isinstance(n, int) for n in found):
            raise self.broken(f"its attribute {name} is {found}, which should be {len(default)} integers")
        return found

    def ignore(self, *names: str) -> None:
        """Attributes that change nothing here."""
        self._read.update(names)

    def leftover(self) -> list[str]:
        """Attributes that nothing looked at."""
        return [a.name for a in self.proto.attribute if a.name not in self._read]

    # inputs

    def has(self, n: int) -> bool:
        return n < len(self.inputs) and self.inputs[n] is not None

    def _input(self, n: int) -> Value | Constant:
        found = self.inputs[n] if n < len(self.inputs) else None
        if found is None:
            raise self.broken(f"it has no input {n}")
        return found

    def shape(self, n: int) -> tuple[int, ...]:
        """The shape of an input, computed or constant."""
        found = self._input(n)
        return found.shape if isinstance(found, Value) else found.value.shape

    def value(self, n: int) -> Value:
        """A computed input."""
        found = self._input(n)
        if isinstance(found, Value):
            return found
        raise self.refusal(f"its input {self.proto.input[n]} is a constant", "fold constants before the export")

    def constant(self, n: int) -> np.ndarray:
        """A constant input; exact."""
        value, rest = self.parts(n)
        if rest is not None:
            raise self.refusal(
                f"its input {self.proto.input[n]} has integers of 32 bits", "only biases may be that wide"
            )
        return value

    def parts(self, n: int) -> tuple[np.ndarray, np.ndarray | None]:
        """A constant input as two arrays, whose sum it is; mostly one."""
        found = self._input(n)
        if isinstance(found, Constant):
            return found.value, found.rest
        raise self.refusal(
            f"its input {self.proto.input[n]} is computed, and must be a constant",
            "export it with constant weights, shapes and scales",
        )

    def optional(self, n: int, default: Any = None) -> Any:
        """A constant input, or the default where there is none."""
        return self.constant(n) if self.has(n) else default

    def weights(self, n: int) -> np.ndarray:
        """A constant input of finite numbers, in float64."""
        return finite(self, self.constant(n), self.proto.input[n])

    def listed(self, n: int, default: list[int] | None = None) -> list[int]:
        """A constant input of integers, in one dimension, such as axes or a shape."""
        if not self.has(n) and default is not None:
            return default
        found = self.constant(n)
        if found.dtype.kind not in "iu" or found.ndim > 1:
            raise self.broken(f"its input {self.proto.input[n]} should be a list of integers")
        return [int(v) for v in found.reshape(-1)]

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front."""
        if not isinstance(axis, int) or not -rank <= axis < rank:
            raise self.broken(f"axis {axis} of a tensor of {rank} dimensions")
        return axis % rank

    # steps

    def apply(self, function: Callable) -> Call:
        """A step that is `function` of all inputs in their order, constants as tensors in their places."""
        inputs = [(n, value) for n, value in enumerate(self.inputs) if value is not None]
        computed = [isinstance(value, Value) for _, value in inputs]
        constants = [torch.from_numpy(self.weights(n)) for n, value in inputs if isinstance(value, Constant)]

        def run(*values):
            tensors, given = iter(values[: sum(computed)]), iter(values[sum(computed) :])
            return function(*[next(tensors if own else given) for own in computed])

        return Call(run, *constants)


def finite(node: Node, values: np.ndarray, what: str) -> np.ndarray:
    """Numbers in float64; refuses NaN and infinity."""
    values = np.asarray(values).astype(np.float64)
    if not np.isfinite(values).all():
        raise node.broken(f"{what} holds NaN or infinity", "train it again")
    return values


def buffer(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values, np.float64))  # a copy: a file's own are not writable


Built = nn.Module | Constant


@dataclass(frozen=True)
class Builder:
    """How nodes of one name become steps.

    function  (node) -> the step, which takes the computed inputs in their order; or a Constant, of constants alone
    levels    whether integers between QuantizeLinear and DequantizeLinear may pass: 'refused', 'kept' (the result has
              the kind of the first computed input), or 'made' (the function is told, and names the kind of its result)
    constant  whether it is given nodes of constants alone
    """

    function: Callable[[Node], Any]
    levels: str = "refused"
    constant: bool = False


BUILDERS: dict[tuple[str, str], Builder] = {}
QONNX = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")


def builds(*names: str, domains: Sequence[str] = ("",), **traits) -> Callable:
    """Registers a builder for nodes of some names; traits are the fields of `Builder`."""

    def register(function: Callable) -> Callable:
        BUILDERS.update({(domain, name): Builder(function, **traits) for domain in domains for name in names})
        return function

    return register
