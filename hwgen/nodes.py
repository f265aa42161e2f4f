"""The nodes of a network that is being read, and its tensors: what each is a view of."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, prod
from typing import Any

import numpy as np
import torch

from hwgen.errors import MissingActQuant, UnsupportedLayer
from hwgen.functions import End, Function, Line
from hwgen.ir import Input, Node, Op, TensorType
from hwgen.nests import doubles, leaves, mapped
from hwgen.ops.lookup import TABLE_BITS
from hwgen.ops.move import Move
from hwgen.qtype import QType
from hwgen.requantizers import Requantization
from hwgen.target import Target
from hwgen.views import View, frame_shape


class Tensor(str):
    """The name of a tensor that the network computes; any other str is an argument, such as padding="same"."""


@dataclass(frozen=True, eq=False)
class Floats:
    """An input, and what its floats have passed: see `hwgen.ir.Input`; shape -- the user's, without the batch; ends --
    at which they are cut off behind the steps"""

    name: str
    shape: tuple[int, ...]
    steps: tuple[tuple[str, np.ndarray], ...] = ()
    ends: tuple[End, End] = (-inf, inf)

    def cut(self, low: End, high: End) -> "Floats":
        least, greatest = (min(max(end, low), high) for end in self.ends)
        return replace(self, ends=(least, greatest))


class Nodes:
    """Nodes, and tensors as views of them, of an input's floats, or of functions that await their quantizer.

    path, node, args, kwargs -- of the call at work
    """

    def __init__(self, target: Target):
        self.target = target
        self.nodes: list[Node] = []
        self.types: dict[str, TensorType] = {}  # of nodes
        self.views: dict[str, View] = {}  # of tensors
        self.functions: dict[str, Function | Line] = {}  # of bases: what they are of a narrower tensor
        self.deferred: set[str] = set()  # the bases that are functions and nothing else
        self.requantizations: list[Requantization] = []
        self.floats: dict[str, Floats] = {}  # the bases that are an input's
        self.inputs: dict[str, Input] = {}
        self.hosts: dict[str, tuple[str, int]] = {}  # tensors that leave the network: what the host makes of them
        self.guesses: set[str] = set()  # bases whose shape alone is known: something before them failed
        self.foreign = False  # whether another tool's quantizer was met
        self.dyadic = False  # whether these all have powers of two for scales
        self.path = ""
        self.node: Any = None
        self.args: list = []
        self.kwargs: dict = {}
        self.batch: int | torch.SymInt | None = None

    def _named(self, view: View) -> Tensor:
        """A new tensor, which is a view."""
        name = Tensor(f"{view.base}#{len(self.views)}")
        self.views[name] = view
        return name

    def _whole(self, base: str, shape: tuple[int, ...]) -> Tensor:
        """The tensor of all numbers of a base, in order."""
        self.views[base] = View(base, prod(shape), shape)
        return Tensor(base)

    def is_tensor(self, value) -> bool:
        return isinstance(value, Tensor)

    def shape(self, name: Tensor) -> tuple[int, ...]:
        """The user's shape of a tensor, without the batch."""
        return self.views[name].shape[1:]

    def exact(self, x: Tensor) -> View:
        """The view that a tensor of integers is; raises MissingActQuant for floats."""
        view = self.views[x]
        if view.base in self.floats:
            raise MissingActQuant(
                "the network's input reaches it as floats",
                self.path,
                "make hwgen.nn.ActQuant the first layer",
            )
        if view.base in self.deferred:
            of = self.functions[view.base]
            if isinstance(of, Line) and of.rising is None:
                return self._exact_line(x, of)
            table = of.on_grid(self.types[of.x]) if isinstance(of, Function) else None
            if table is not None:
                base = self._node(table, of.x)
                self.functions[base] = of
                return view.on(base)
            raise MissingActQuant(
                f"the result of {of.name} is used as floats",
                of.path,
                f"put hwgen.nn.ActQuant behind it ({of.name}): it says on which grid its results are",
            )
        return view

    def type(self, name: Tensor) -> TensorType:
        """The type of a tensor as the frame that `framed` makes of it; of a line, of its integers."""
        of = self.line(name)
        view = self.exact(name) if of is None else self.views[name].on(of.x)
        kind = self.types[view.base]
        qtype = QType(min(kind.qtype.low, 0), max(kind.qtype.high, 0)) if view.zeros else kind.qtype
        return TensorType(frame_shape(view.shape[1:]), qtype, kind.exponent)

    def moved(self, x: Tensor, function: Callable, batch: int = 1) -> Any:
        """The tensor, or the list of tensors, that `function` picks: it is given a float64 tensor of the user's shape,
        a batch of one or of `batch` among it, and moves, repeats and leaves out its numbers; -1 becomes zero."""
        view = self.views[x]
        places = torch.from_numpy(view.places.astype(np.float64))
        if batch > 1:
            of = torch.arange(batch).reshape(batch, *[1] * (places.dim() - 1)) * view.size
            places = torch.where(places < 0, places, places + of)
        result = function(places)
        if self._zero_is_worth(view.base):
            self._require_no_zeros(view.base, function(torch.arange(places.numel()).double().reshape(places.shape)))
        if isinstance(result, list | tuple):
            return [self._picked(view, part, batch) for part in result]
        return self._picked(view, result, batch)

    def _zero_is_worth(self, base: str) -> bool:
        """Whether the integer zero of a line is worth anything, so that zeros put beside it later are none of it."""
        of = self.functions.get(base) if base in self.deferred else None
        if not isinstance(of, Line):
            return False
        of_zero = of.values(np.zeros((len(of.scales), 1)))
        return bool(np.clip(of_zero, float(of.ends[0]), float(of.ends[1])).any())

    def _require_no_zeros(self, base: str, result) -> None:
        if any((part < 0).any() for part in (result if isinstance(result, list | tuple) else [result])):
            raise UnsupportedLayer(
                f"zeros beside {self.functions[base].name}, whose integer zero is worth something else",
                self.path,
                f"put a quantizer behind {self.functions[base].name}",
            )

    def _picked(self, view: View, places: torch.Tensor, batch: int) -> Tensor:
        index = places.numpy().astype(np.int64)
        if not index.size:
            raise UnsupportedLayer(
                f"its output would have shape {list(index.shape)}", self.path, "leave at least one number"
            )
        if batch > 1:
            first = index[:1]
            of = np.arange(batch).reshape(batch, *[1] * (index.ndim - 1)) * view.size
            if len(index) != batch or not np.array_equal(np.where(first < 0, first, first + of), index):
                raise UnsupportedLayer(
                    "it moves numbers from one input of the batch to another",
                    self.path,
                    "keep the batch as the first dimension",
                )
            index = first
        return self._named(View.of(view.base, view.size, index))

    def framed(self, x: Tensor, index: np.ndarray | None = None) -> str:
        """The node whose frame is the tensor in the default layout, or with `index` the one of (channels, rows,
        columns) that it says, of the tensor's base: a Move if need be."""
        view = self.exact(x)
        index = view.places.reshape(frame_shape(view.shape[1:])) if index is None else index
        kind = self.types[view.base]
        if kind.shape == index.shape and View.of(view.base, view.size, index).index is None:
            return view.base
        return self._node(Move(np.ascontiguousarray(index), self.path), view.base, name=f"{self.path} moved")

    def _settled(self, x: Tensor) -> View:
        """The view of a node that holds the numbers of a tensor, and no others, in the user's order."""
        shape = self.views[x].shape
        return View(self.framed(x), prod(shape), shape)

    def _node(self, op: Op, *inputs: str, name: str = "") -> str:
        """Appends a node, whose name comes back: that of the layer's path, or of `name`."""
        name = self._unique(name or self.path or type(op).__name__)
        result = op.infer(*(self.types[source] for source in inputs))
        if min(result.shape) < 1:
            raise UnsupportedLayer(
                f"its output would have shape {list(result.shape)}",
                self.path,
                "the window is larger than the input",
            )
        if self.guesses.intersection(inputs):
            quantize = op.requantization
            if quantize is not None and quantize.bounded:
                result = replace(result, qtype=QType(quantize.low, quantize.high))
            else:
                self.guesses.add(name)
        self.types[name] = result
        self.nodes.append(Node(name, op, inputs))
        return name

    def _unique(self, path: str) -> str:
        base = re.sub(r"\W+", "_", path, flags=re.ASCII).strip("_").lower() or "layer"
        base = base if base[0].isalpha() else f"layer_{base}"
        base = f"{base}_layer" if _RESERVED.fullmatch(base) else base
        name, count = base, 2
        while name in self.types:
            name, count = f"{base}_{count}", count + 1
        return name

    def source(self, x: Tensor) -> str:
        """The narrowest tensor of integers that a tensor is computed from, number by number; raises MissingActQuant for
        an input's floats."""
        base = self.views[x].base
        if base in self.floats:
            self.exact(x)
        return self.functions[base].x if base in self.functions else base

    def function(self, x: Tensor) -> Function:
        """What a tensor is of its source, which a table takes."""
        base = self.views[x].base
        of = self.functions.get(base) or Line.itself(base, self.types[base], self.path)
        return of.table(self.types[of.x])

    def line(self, x: Tensor) -> Line | None:
        """The line of integers that a tensor is until it is quantized; None where it is none, or a function of one."""
        base = self.views[x].base
        of = self.functions[base] if base in self.deferred else None
        return of if isinstance(of, Line) and of.rising is None else None

    def is_floats(self, x: Tensor) -> bool:
        """Whether a tensor has no integers: an input's floats, or a function without a quantizer."""
        return self.views[x].base in self.floats or self.is_function(x)

    def is_function(self, x: Tensor) -> bool:
        """Whether a tensor is a function that awaits its quantizer."""
        return self.views[x].base in self.deferred

    def is_narrow(self, x: Tensor) -> bool:
        """Whether a tensor is a function of one that a table takes."""
        return self.types[self.source(x)].qtype.bits <= TABLE_BITS

    def defer(self, view: View, function: Function | Line) -> Tensor:
        """The tensor of a function in floats, where `view` is that of what it is a function of."""
        base = f"{function.name} of {function.x}, {len(self.functions)}"
        self.functions[base] = function
        self.deferred.add(base)
        return self._named(view.on(base))

    def computed(self) -> list[Tensor]:
        """The tensors that the call at work takes."""
        return [leaf for leaf in leaves([self.args, self.kwargs]) if isinstance(leaf, Tensor)]

    def again(self, *args, **kwargs):
        """The call at work, of other arguments, in float64."""
        return self.node.target(*doubles(args), **doubles(kwargs))

    def _at(self, values: Callable[[Tensor], torch.Tensor]) -> np.ndarray:
        """The results of the call at work where its tensors have other values."""

        def value(leaf):
            return values(leaf) if isinstance(leaf, Tensor) else leaf

        result = self.again(*mapped(value, self.args), **mapped(value, self.kwargs))
        return (result[0] if isinstance(result, tuple) else result).numpy()

    def of_one_frame(self, values) -> np.ndarray:
        """Constants of the user's shape, a batch of one among it, as float64: those of a batch that is all alike."""
        values = np.asarray(values, np.float64)
        alike = values.ndim > 1 and isinstance(self.batch, int) and len(values) == self.batch
        alike = alike and bool((values == values[:1]).all())
        return values[:1] if alike else values

    def _backed(self, x: Tensor, values: np.ndarray) -> np.ndarray | None:
        """Constants of the user's shape where they belong in the base of a view; None where they do not."""
        view = self.views[x]
        if not view.covers:
            return None
        found = view.back(values)
        return None if np.isnan(found).any() else found

    def _exact_line(self, x: Tensor, of: Line) -> View:
        """The view of a line's numbers as integers on a grid, where there is one."""
        raise NotImplementedError


# the core's ports, and the names that streams inside it are given
_RESERVED = re.compile(r"[sm]\d*_axis|reorder_.*|.*_(fork\d+_[ab]|queued\d+|reg|held|flat)")


def short(node) -> str:
    """What a call is called: aten.sigmoid_.default is sigmoid."""
    return str(node.target).split(".")[1].rstrip("_")
