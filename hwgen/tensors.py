"""The tensors of a network that is being read: what each is a view or a function of, and the nodes that they need."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, prod
from typing import Any

import numpy as np
import torch

from hwgen.errors import DoesNotFit, MissingActQuant, OffGrid, UnsupportedLayer
from hwgen.functions import LINE_BITS, LINE_VALUES, MULTIPLIER_BITS, Function, depthwise
from hwgen.ir import STEPS, Input, Node, Op, Output, TensorType
from hwgen.ops.concat import Concat
from hwgen.ops.lookup import TABLE_BITS
from hwgen.ops.move import Move
from hwgen.ops.offset import Offset
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.views import View, frame_shape, laid_out

HALVES = (torch.float16, torch.bfloat16, torch.float32)


class Tensor(str):
    """The name of a tensor that the network computes; any other str is an argument, such as padding="same"."""


@dataclass(frozen=True, eq=False)
class Floats:
    """An input, and what its floats have passed: see `hwgen.ir.Input`; shape -- the user's, without the batch"""

    name: str
    shape: tuple[int, ...]
    steps: tuple[tuple[str, np.ndarray], ...] = ()


class Tensors:
    """What the functions of hwgen/ops/ build a network with.

    A tensor is a view of its base: a node of the graph, an input's floats, or a function that awaits its quantizer. A
    call that only moves numbers is evaluated on their places (`moved`), one of each number by itself on the values of
    its function (`pointwise`); what is left becomes nodes.

    path, node, args, kwargs -- of the call at work
    """

    def __init__(self):
        self.nodes: list[Node] = []
        self.types: dict[str, TensorType] = {}  # of nodes
        self.views: dict[str, View] = {}  # of tensors
        self.functions: dict[str, Function] = {}  # of bases: what they are of a narrower tensor
        self.deferred: set[str] = set()  # the bases that are functions and nothing else
        self.floats: dict[str, Floats] = {}  # the bases that are an input's
        self.inputs: dict[str, Input] = {}
        self.hosts: dict[str, tuple[str, int]] = {}  # tensors that leave the network: what the host makes of them
        self.guesses: set[str] = set()  # bases whose shape alone is known: something before them failed
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
            table = of.on_grid(self.types[of.x])
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
        """The type of a tensor of integers as the frame that `framed` makes of it."""
        view = self.exact(name)
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
        if isinstance(result, list | tuple):
            return [self._picked(view, part, batch) for part in result]
        return self._picked(view, result, batch)

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

    def add(self, op: Op, *inputs: Tensor) -> Tensor:
        """Appends a node that reads the tensors in the default layout, and returns its tensor: of one input in the
        user's shape where the op works on each number by itself, else in the shape of the op's frame."""
        if len(inputs) == 1 and op.elementwise:
            return self._each(op, inputs[0])
        frames = [self.framed(x) for x in inputs]
        base = self._node(op, *frames)
        return self._whole(base, (1, *self.types[base].shape))

    def _each(self, op: Op, x: Tensor) -> Tensor:
        """A node of an elementwise op, on what the tensor is a view of where that is no more than the tensor."""
        view, quantize = self.views[x], op.requantization
        if quantize is not None and view.base in self.floats:
            return self._quantize_input(quantize, x)
        if quantize is not None and view.base in self.deferred:
            of = self.functions[view.base]
            if not view.covers and not view.zeros:
                of, view = self._part(of, view)
            return self._named(view.on(self._of_function(of, quantize)))
        if not view.covers or (view.zeros and quantize is not None and not quantize.low <= 0 <= quantize.high):
            view = self._settled(x)
        if quantize is not None and self._better_as_function(view.base):
            return self._named(view.on(self._of_function(self.functions[view.base], quantize)))
        base = self._node(op, self.exact(self._named(view)).base)
        return self._named(view.on(base))

    def _part(self, of: Function, view: View) -> tuple[Function, View]:
        """A function of those numbers alone that a view of it takes, and the view of all of these."""
        index = view.places.reshape(frame_shape(view.shape[1:]))
        kinds = None if of.kinds is None else of.kinds.reshape(-1)[index.reshape(-1)]
        source = self._node(Move(index, self.path), of.x, name=f"{self.path} moved")
        return replace(of, x=source, kinds=kinds), View(source, index.size, view.shape)

    def _better_as_function(self, base: str) -> bool:
        """Whether a quantizer of a node is a table of what it is computed from: it is the result of a product."""
        of = self.functions.get(base)
        node = next((node for node in reversed(self.nodes) if node.name == base), None)
        return of is not None and node is not None and len(node.inputs) > 1

    def _of_function(self, of: Function, quantize: Quantize) -> str:
        """The node of a function and its quantizer."""
        kind, here = self.types[of.x], self.path
        self.path = of.path  # the layer's own name
        try:
            if of.line:
                quantize = of.quantizer(quantize)
                return self._node(quantize, self._scaled(of, quantize))
            return self._node(of.table(quantize, kind), of.x)
        finally:
            self.path = here

    def _scaled(self, of: Function, quantize: Quantize) -> str:
        """The node of a line, scaled by channel, or each number as a channel of its own."""
        factors, offsets = of.scale(quantize, self.types[of.x])
        shape = self.types[of.x].shape
        kinds = np.zeros(shape, np.int64) if of.kinds is None else of.kinds.reshape(shape)
        source = of.x
        if (kinds != kinds[:, :1, :1]).any():
            source = self._node(Move(np.arange(prod(shape)).reshape(-1, 1, 1), self.path), source)
            kinds = kinds.reshape(-1, 1, 1)
        by_channel = kinds[:, 0, 0]
        return self._node(depthwise(factors[by_channel], offsets[by_channel], of.path, MULTIPLIER_BITS), source)

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

    # several dimensions

    def over(self, x: Tensor, dim: int, op: Op) -> Tensor:
        """Appends a node that works on the channels of each pixel, dimension `dim` of the user's shape (the batch
        counted) being the channels; the result has another size there, or the same."""
        view = self.exact(x)
        places = np.moveaxis(view.places, dim, 0)
        rest = places.shape[1:]
        own = self.types[view.base].shape
        flat = View.of(view.base, view.size, places.reshape(len(places), -1))
        frame = own if flat.index is None and own[0] == len(places) else (len(places), *laid_out(rest))
        base = self._node(op, self.framed(x, places.reshape(frame)))
        channels = self.types[base].shape[0]
        index = np.moveaxis(np.arange(channels * prod(rest)).reshape(channels, *rest), 0, dim)
        return self._named(View.of(base, index.size, index))

    def join(self, op: Op, a: Tensor, b: Tensor) -> Tensor:
        """Appends a node that takes a number of each of two tensors for each of its results; shapes are broadcast."""
        views = [self.exact(a), self.exact(b)]
        try:
            shape = np.broadcast_shapes(*(view.shape for view in views))
        except ValueError:
            raise UnsupportedLayer(
                f"{list(views[0].shape)} and {list(views[1].shape)} do not broadcast",
                self.path,
                "make the shapes equal",
            ) from None
        able = [view.whole and view.shape == shape for view in views]
        first = 1 if able[1] and not able[0] else 0
        if able[first]:
            # as the one lies in its frame, so must the other
            order = np.argsort(views[first].places.reshape(-1))
            frame = self.types[views[first].base].shape
        else:
            order, frame = np.arange(prod(shape)), frame_shape(shape[1:])
        bases = [
            self.framed(x, view.spread(shape).reshape(-1)[order].reshape(frame))
            for x, view in zip((a, b), views, strict=True)
        ]
        base = self._node(op, *bases)
        index = np.empty(prod(shape), np.int64)
        index[order] = np.arange(prod(shape))
        return self._named(View.of(base, prod(shape), index.reshape(shape)))

    def concat(self, parts: Sequence[Tensor], dim: int) -> Tensor:
        """The tensors one behind the other along a dimension of the user's shape, the batch counted."""
        views = [self.exact(part) for part in parts]
        merged = views[:1]
        for view in views[1:]:
            last = merged[-1]
            if view.base == last.base:
                merged[-1] = View.of(view.base, view.size, np.concatenate([last.places, view.places], axis=dim))
            else:
                merged.append(view)
        if len(merged) == 1:
            return self._named(merged[0])
        axis, sides, others = self._along(merged, dim)
        base, indices, start = "", [], 0
        whole = [*sides]
        whole[axis] = sum(view.shape[dim] for view in merged)
        for view in merged:
            own = [*sides]
            own[axis] = view.shape[dim]
            at = np.arange(own[axis]).reshape(-1, *[1] * (len(view.shape) - 1 - dim))
            frame = np.empty(prod(own), np.int64)
            frame[_place(others, axis, at, own).reshape(-1)] = view.places.reshape(-1)
            part = self.framed(self._named(view), frame.reshape(own))
            base = self._node(Concat(axis, self.path), base, part) if base else part
            indices.append(_place(others, axis, at + start, whole))
            start += own[axis]
        return self._named(View.of(base, prod(whole), np.concatenate(indices, axis=dim)))

    def _along(self, views: list[View], dim: int) -> tuple[int, tuple[int, ...], list[np.ndarray]]:
        """How to concatenate: along which axis of frames of which shape, and which coordinates in these a number has by
        the other dimensions, those along the axis being of no account. As one of them lies already, or by channels."""
        for view in views:
            frame = self.types[view.base].shape
            if not view.whole:
                continue
            places = np.unravel_index(view.places, frame)
            along = np.arange(view.shape[dim]).reshape(-1, *[1] * (len(view.shape) - 1 - dim))
            first = [np.take(place, [0], dim) for place in places]
            for axis in range(3):
                fixed = all((places[n] == first[n]).all() for n in range(3) if n != axis)
                if fixed and frame[axis] == view.shape[dim] and (places[axis] == along).all():
                    return axis, frame, first
        shape = views[0].shape
        rest = (*shape[:dim], *shape[dim + 1 :])
        rows, columns = laid_out(rest)
        at = np.unravel_index(np.expand_dims(np.arange(prod(rest)).reshape(rest), dim), (1, rows, columns))
        return 0, (shape[dim], rows, columns), list(at)

    # functions of one activation

    def source(self, x: Tensor) -> str:
        """The narrowest tensor of integers that a tensor is computed from, number by number; raises MissingActQuant for
        an input's floats."""
        base = self.views[x].base
        if base in self.floats:
            self.exact(x)
        return self.functions[base].x if base in self.functions else base

    def function(self, x: Tensor) -> Function:
        """What a tensor is of its source; only of a source of up to LINE_BITS."""
        base = self.views[x].base
        return self.functions.get(base) or Function.itself(base, self.types[base], self.path)

    def is_floats(self, x: Tensor) -> bool:
        """Whether a tensor has no integers: an input's floats, or a function without a quantizer."""
        return self.views[x].base in self.floats or self.is_function(x)

    def is_function(self, x: Tensor) -> bool:
        """Whether a tensor is a function that awaits its quantizer."""
        return self.views[x].base in self.deferred

    def clipped(self, x: Tensor, low: float, high: float) -> Tensor:
        """A function that awaits its quantizer, cut off by the call at work."""
        view = self.views[x]
        of = self.functions[view.base]
        return self.defer(view, of.clipped(low, high)) if of.line else self.pointwise()

    def is_narrow(self, x: Tensor) -> bool:
        """Whether a tensor is a function of one that a table takes."""
        return self.types[self.source(x)].qtype.bits <= TABLE_BITS

    def of_one(self, tensors: Sequence[Tensor]) -> bool:
        """Whether tensors are functions of the same one, number by number, which a table takes."""
        if any(self.views[x].base in self.floats or not self.views[x].same(self.views[tensors[0]]) for x in tensors):
            return False
        known = [self.functions[base] for x in tensors if (base := self.views[x].base) in self.functions]
        plain = all(of.kinds is None and of.ends == (-inf, inf) for of in known)
        return plain and len({self.source(x) for x in tensors}) == 1 and self.is_narrow(tensors[0])

    def computed(self) -> list[Tensor]:
        """The tensors that the call at work takes."""
        return [leaf for leaf in leaves([self.args, self.kwargs]) if isinstance(leaf, Tensor)]

    def known(self, x: Tensor) -> Tensor:
        """The tensor, noted as what the call at work makes of a narrower one, if it is of one alone."""
        base = self.views[x].base
        if self.of_one(self.computed()) and self._in_place(base):
            self.functions[base] = self._called()
        return x

    def _in_place(self, base: str) -> bool:
        """Whether each number of a node's result is where those are that it is computed from: no Move is between."""
        node = next(node for node in reversed(self.nodes) if node.name == base)
        source = self.source(self.computed()[0])
        return all(name == source or ((of := self.functions.get(name)) and of.x == source) for name in node.inputs)

    def _called(self, line: bool = False) -> Function:
        """The function that the call at work makes of the one that its tensors are."""
        of = self.function(self.computed()[0])
        return replace(of, name=_short(self.node), path=self.path, values=self._values(), line=of.line and line)

    def line(self, x: Tensor, name: str, values: Callable[[np.ndarray], np.ndarray], kinds=None) -> Tensor:
        """Multiples of a tensor of integers and constants, in floats: what a quantizer makes of them is exact, whatever
        the factors.

        values -- gives float64 [kinds, n] of float64 [n]; kinds -- of each place, an array that broadcasts against the
        user's shape; None where there is one
        """
        view = self.exact(x)
        kind = self.types[view.base]
        too_much = DoesNotFit(
            f"{name} of {kind.qtype.bits} bits, above {LINE_BITS}, or with too many factors",
            self.path,
            "quantize its input to fewer bits",
        )
        if kind.qtype.bits > LINE_BITS:
            raise too_much
        itself = Function.itself(view.base, kind, self.path)
        found = values(itself.values[0])
        if found.size > LINE_VALUES:
            raise too_much
        if kinds is not None:
            if not view.covers or view.zeros:
                view = self._settled(x)
            kinds = view.back(kinds).astype(np.int64)
        return self.defer(view, replace(itself, name=name, values=found, kinds=kinds))

    def matmul(self, op: Op, a: Tensor, b: Tensor) -> Tensor:
        """Appends a node of hwgen/ops/matmul.py: a [..., L, K] times b [..., K, M], what is before these dimensions
        broadcast: its rows."""
        views = [self.exact(a), self.exact(b)]
        length, outputs = views[0].shape[-2], views[1].shape[-1]
        before = np.broadcast_shapes(*(view.shape[:-2] for view in views))
        rows = prod(before)
        left, right = (view.spread((*before, *view.shape[-2:])).reshape(rows, *view.shape[-2:]) for view in views)
        sides = self.framed(a, left.transpose(2, 0, 1)), self.framed(b, right.transpose(1, 0, 2))
        base = self._node(op, *sides)
        index = np.arange(outputs * rows * length).reshape(outputs, *before, length)
        return self._named(View.of(base, index.size, np.moveaxis(index, 0, -1)))

    def pointwise(self) -> Tensor:
        """The call at work, of tensors that are functions of the same one: a table, once a quantizer says on which grid
        its results are."""
        name, computed = _short(self.node), self.computed()
        if any(getattr(leaf, "ndim", 0) and leaf.numel() > 1 for leaf in leaves([self.args, self.kwargs])):
            raise UnsupportedLayer(
                f"{name} with a constant that differs from place to place",
                self.path,
                "use one number for all, or sums and products with constants: x * mask + value",
            )
        self._settle_zeros()
        source = self.types[self.source(computed[0])]
        if source.qtype.bits > TABLE_BITS:
            raise UnsupportedLayer(
                f"{name} of {source.qtype.bits} bits: a table takes up to {TABLE_BITS}",
                self.path,
                f"put hwgen.nn.ActQuant(bits, exponent, signed) of up to {TABLE_BITS} bits before it",
            )
        if not self.of_one(computed):
            for x in computed:
                self.exact(x)
            raise UnsupportedLayer(
                f"{name} of several tensors", self.path, "only functions of one activation are built"
            )
        return self.defer(self.views[computed[0]], self._called())

    def _settle_zeros(self) -> None:
        """Makes the zeros of the views that the call at work takes numbers like the others, unless it makes zeros of
        them."""
        padded = [x for x in self.computed() if self.views[x].zeros]
        if padded and self._at(lambda x: torch.zeros_like(self._of_each(x)[:1])).any():  # NaN is not zero
            for x in padded:
                self.views[x] = self._settled(x)

    def _values(self) -> np.ndarray:
        """The results of the call at work on the values of the functions that its tensors are: float64."""

        return self._at(self._of_each).reshape(1, -1)

    def _of_each(self, x: Tensor) -> torch.Tensor:
        """The values that a tensor may have, one for each integer in the range of its source."""
        return torch.tensor(self.function(x).values[0])

    def _at(self, values: Callable[[Tensor], torch.Tensor]) -> np.ndarray:
        """The results of the call at work where its tensors have other values."""

        def value(leaf):
            return values(leaf) if isinstance(leaf, Tensor) else leaf

        result = self.again(*mapped(value, self.args), **mapped(value, self.kwargs))
        return (result[0] if isinstance(result, tuple) else result).numpy()

    def again(self, *args, **kwargs):
        """The call at work, of other arguments, in float64."""
        return self.node.target(*doubles(args), **doubles(kwargs))

    def defer(self, view: View, function: Function) -> Tensor:
        """The tensor of a function in floats, where `view` is that of what it is a function of."""
        base = f"{function.name} of {function.x}, {len(self.functions)}"
        self.functions[base] = function
        self.deferred.add(base)
        return self._named(view.on(base))

    def affine(self, x: Tensor, scale, offset, by_number: bool = True) -> Tensor:
        """scale * x + offset, as the call at work computes it: constants that broadcast against the user's shape.

        by_number -- whether that call takes a number, too, as it takes the tensor
        """
        scale, offset = self.of_one_frame(scale), self.of_one_frame(offset)
        view = self.views[x]
        if view.base in self.floats:
            return self._step(x)
        line = by_number and np.size(scale) == 1 and np.size(offset) == 1 and self.computed() == [x]
        try:
            result = self._affine(x, scale, offset)
        except (OffGrid, DoesNotFit, MissingActQuant):
            if not line or not (np.isfinite(scale).all() and np.isfinite(offset).all()):
                raise
            self._settle_zeros()
            view = self.views[x]
            source = self.types[self.source(x)]
            of = self.functions.get(view.base)
            straight = of is None or (of.line and of.kinds is None and of.ends == (-inf, inf))
            if source.qtype.bits > (LINE_BITS if straight else TABLE_BITS):
                raise
            return self.defer(view, self._called(line=True))
        return self.known(result) if line else result

    def of_one_frame(self, values) -> np.ndarray:
        """Constants of the user's shape, a batch of one among it, as float64: those of a batch that is all alike."""
        values = np.asarray(values, np.float64)
        alike = values.ndim > 1 and isinstance(self.batch, int) and len(values) == self.batch
        alike = alike and bool((values == values[:1]).all())
        return values[:1] if alike else values

    def _affine(self, x: Tensor, scale: np.ndarray, offset: np.ndarray) -> Tensor:
        """The same, exactly: by channel, or with a constant for each place, or else each number a channel."""
        view = self.exact(x)
        if not (np.isfinite(scale).all() and np.isfinite(offset).all()):
            raise OffGrid(
                f"a constant of {_short(self.node)} is not finite",
                self.path,
                "use the least number on the grid for -inf",
            )
        shape = np.broadcast_shapes(view.shape, scale.shape, offset.shape)
        if shape != view.shape:
            x = self.moved(x, lambda places: torch.broadcast_to(places, shape))
            view = self.exact(x)
        if not view.covers or view.zeros:
            view = self._settled(x)
        frame = self.types[view.base].shape
        scales, offsets = (view.back(values).reshape(frame) for values in (scale, offset))
        if np.isnan(scales).any() or np.isnan(offsets).any():  # of numbers that are there several times
            view = self._settled(x)
            frame = self.types[view.base].shape
            scales, offsets = (view.back(values).reshape(frame) for values in (scale, offset))
        by_channel = [(values == values[:, :1, :1]).all() for values in (scales, offsets)]
        if all(by_channel):
            base = self._node(depthwise(scales[:, 0, 0], offsets[:, 0, 0], self.path), view.base)
            return self._named(view.on(base))
        if by_channel[0]:
            base = view.base
            if (scales != 1).any():
                base = self._node(depthwise(scales[:, 0, 0], np.zeros(frame[0]), self.path), base)
            return self._named(view.on(self._node(Offset.of(offsets, self.path), base)))
        flat = self._node(Move(np.arange(view.size).reshape(-1, 1, 1), self.path), view.base)
        return self._named(view.on(self._node(depthwise(scales.reshape(-1), offsets.reshape(-1), self.path), flat)))

    # inputs and outputs

    def _step(self, x: Tensor) -> Tensor:
        """The call at work, of an input's floats and constants: the host does it, before it quantizes them."""
        view, name = self.views[x], _short(self.node)
        of = self.floats[view.base]
        constants = [leaf for leaf in leaves([self.args, self.kwargs]) if not isinstance(leaf, Tensor)]
        first = isinstance(self.args[0], Tensor)
        if name not in STEPS or len(constants) != 1 or not (first or name in ("add", "mul")):
            self.exact(x)
        values = self.of_one_frame(constants[0])
        if view.zeros and name in ("add", "sub"):  # the zeros would be shifted, too
            self.exact(x)
        if values.size == 1:
            values = values.reshape(())
        else:
            fits = np.broadcast_shapes(view.shape, values.shape) == view.shape
            if not fits or not view.covers or np.isnan(values := view.back(values)).any():
                self.exact(x)
            values = values.reshape(of.shape)
        base = f"{of.name}, {name} {len(self.floats)}"
        self.floats[base] = Floats(of.name, of.shape, (*of.steps, (name, values)))
        return self._named(view.on(base))

    def _quantize_input(self, op: Quantize, x: Tensor) -> Tensor:
        """The tensor of an input's integers; its frame is that of the user's shape, or of what was made of it before
        the first quantizer by moving all of it."""
        view = self.views[x]
        of = self.floats[view.base]
        known = self.inputs.get(of.name)
        if known is None:
            shape = view.shape[1:] if view.whole else of.shape
            moved = None if not view.whole or view.index is None else view.index.reshape(-1)
            kind = TensorType(frame_shape(shape), QType(op.low, op.high), op.exponent)
            known = self.inputs[of.name] = Input(of.name, kind, of.shape, moved, of.steps)
            self.types[of.name] = kind
        quantized = (known.type.qtype, known.type.exponent, [step for step, _ in known.steps])
        alike = quantized == (QType(op.low, op.high), op.exponent, [step for step, _ in of.steps])
        if not alike or not all(np.array_equal(a, b) for (_, a), (_, b) in zip(known.steps, of.steps, strict=True)):
            raise UnsupportedLayer(
                "the input is quantized in two ways", self.path, "quantize it once, and use the result twice"
            )
        index = view.places
        if known.view is not None:
            index = np.where(index < 0, -1, np.argsort(known.view)[index])
        return self._named(View.of(of.name, view.size, index))

    def left_to_host(self, x: Tensor, what: str, dim: int) -> Tensor:
        """The tensor, as an output of which the host makes `what` along a dimension of the user's shape."""
        result = self._named(self.exact(x))
        self.hosts[result] = (what, dim)
        return result

    def output(self, x: Tensor) -> Output:
        """What is sent of a tensor: all of its base, if the host can pick its numbers from that."""
        view, host = self.exact(x), self.hosts.get(x)
        if view.shape[:1] != (1,):
            raise UnsupportedLayer(
                f"a result of shape {list(view.shape)}, which is no frame of numbers for each input",
                "output",
                "keep the batch as the first dimension",
            )
        if view.covers and not view.zeros:
            return Output(view.base, view.shape[1:], None if view.index is None else view.index[0], host)
        return Output(self.framed(x), view.shape[1:], None, host)

    def _unique(self, path: str) -> str:
        base = re.sub(r"\W+", "_", path, flags=re.ASCII).strip("_").lower() or "layer"
        base = base if base[0].isalpha() else f"layer_{base}"
        base = f"{base}_layer" if _RESERVED.fullmatch(base) else base
        name, count = base, 2
        while name in self.types:
            name, count = f"{base}_{count}", count + 1
        return name


# the core's ports, and the names that streams inside it are given
_RESERVED = re.compile(r"[sm]\d*_axis|reorder_.*|.*_(fork\d+_[ab]|queued\d+|held|flat)")


def _place(others: list[np.ndarray], axis: int, along: np.ndarray, frame: Sequence[int]) -> np.ndarray:
    """The places in a frame of the coordinates `others`, but for `axis`, where they are `along`."""
    at = [along if n == axis else other for n, other in enumerate(others)]
    return np.ravel_multi_index(np.broadcast_arrays(*at), tuple(frame))


def mapped(function: Callable, value) -> Any:
    """A nest of lists and dicts with `function` of each leaf."""
    if isinstance(value, list | tuple):
        return [mapped(function, part) for part in value]
    if isinstance(value, dict):
        return {key: mapped(function, part) for key, part in value.items()}
    return function(value)


def leaves(value) -> Iterator:
    """The leaves of a nest of lists and dicts."""
    if isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield value


def as_double(value):
    """Tensors of floats, in a nest, as float64."""

    def double(leaf):
        return leaf.double() if isinstance(leaf, torch.Tensor) and leaf.dtype in HALVES else leaf

    return mapped(double, value)


def doubles(value) -> Any:
    """Arguments of a call that shall be in float64: arrays as tensors, and float64 for narrower floats."""

    def double(leaf):
        leaf = torch.from_numpy(leaf) if isinstance(leaf, np.ndarray) else leaf
        return torch.float64 if isinstance(leaf, torch.dtype) and leaf in HALVES else leaf

    return mapped(double, value)


def as_arrays(value):
    """Tensors, in a nest, as arrays."""
    return mapped(lambda leaf: leaf.numpy() if isinstance(leaf, torch.Tensor) else leaf, value)


def _short(node) -> str:
    """What a call is called: aten.sigmoid_.default is sigmoid."""
    return str(node.target).split(".")[1].rstrip("_")
