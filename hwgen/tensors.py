"""The tensors of a network that is being read: what each is a view or a function of, and the nodes that they need."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, isinf, prod
from typing import Any

import numpy as np
import torch

from hwgen.errors import DoesNotFit, MissingActQuant, OffGrid, UnsupportedLayer
from hwgen.functions import End, Function, Levels, Line, single_product
from hwgen.ir import STEPS, Input, Node, Op, Output, TensorType
from hwgen.nn_affine import rounding_of
from hwgen.ops.add import Add
from hwgen.ops.concat import Concat
from hwgen.ops.conv import Conv, depthwise
from hwgen.ops.lookup import TABLE_BITS
from hwgen.ops.move import Move
from hwgen.ops.offset import Offset
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.qtype import QType
from hwgen.requantizers import Requantization, counter, requantizer, sum_requantizer
from hwgen.rules import Rule
from hwgen.target import Target
from hwgen.terms import significant_bits, trailing_exponent
from hwgen.views import View, frame_shape, laid_out

FINER_BITS = 12  # by which a constant may make integers wider that another tool's quantizer made
# calls that never fall, of which the levels of any number are steps
RISING = (
    *("atan", "celu", "clamp", "clamp_max", "clamp_min", "elu", "exp", "hardsigmoid", "hardtanh", "leaky_relu"),
    *("log_sigmoid", "prelu", "relu", "relu6", "selu", "sigmoid", "softplus", "tanh"),
)
RISING_SAMPLES = 1001
HALVES = (torch.float16, torch.bfloat16, torch.float32)


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


class Tensors:
    """What the functions of hwgen/ops/ build a network with.

    A tensor is a view of its base: a node of the graph, an input's floats, or a function that awaits its quantizer. A
    call that only moves numbers is evaluated on their places (`moved`), one of each number by itself on the values of
    its function (`pointwise`); what is left becomes nodes.

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
        op, inputs, behind = self._of_integers(op, inputs)
        base = self._node(op, *(self.framed(x) for x in inputs))
        return behind(self._whole(base, (1, *self.types[base].shape)))

    def _each(self, op: Op, x: Tensor) -> Tensor:
        """A node of an elementwise op, on what the tensor is a view of where that is no more than the tensor."""
        view, quantize = self.views[x], op.requantization
        if isinstance(quantize, Quantize) and view.base in self.floats:
            return self._quantize_input(Levels.of(quantize), quantize.exponent, x)
        if isinstance(quantize, Quantize) and view.base in self.deferred:
            return self._levels(x, Levels.of(quantize), quantize.exponent)
        if not view.covers or (
            view.zeros and isinstance(quantize, Quantize) and not quantize.low <= 0 <= quantize.high
        ):
            view = self._settled(x)
        if isinstance(quantize, Quantize) and self._better_as_function(view.base):
            of = self.functions[view.base]
            return self._named(view.on(self._of_function(of, Levels.of(quantize), quantize.exponent)))
        base = self._node(op, self.exact(self._named(view)).base)
        return self._named(view.on(base))

    def _levels(self, x: Tensor, levels: Levels, exponent: int) -> Tensor:
        """The levels, each worth 2^exponent, that a quantizer makes of a function that awaits it."""
        view = self.views[x]
        of = self.functions[view.base]
        if not view.covers and not view.zeros:
            of, view = self._part(of, view)
        if (
            view.zeros
            and isinstance(of, Line)
            and (of.rising is not None or any(levels.of_end(of.cut_off(offset)) for offset in of.offsets))
        ):
            if of.kinds is not None or of.other is not None:
                raise UnsupportedLayer(
                    f"padding of {of.name}, whose channels have several offsets", self.path, "quantize it before"
                )
            view = self._settled(self._named(view.on(of.x)))
            of = replace(of, x=view.base)
        return self._named(view.on(self._of_function(of, levels, exponent)))

    def _part(self, of: Function | Line, view: View) -> tuple[Function | Line, View]:
        """A function of those numbers alone that a view of it takes, and the view of all of these."""
        index = view.places.reshape(frame_shape(view.shape[1:]))
        path, self.path = self.path, of.path
        source = self._node(Move(index, of.path), of.x, name=f"{of.path} moved")
        self.path = path
        of = replace(of, x=source)
        if isinstance(of, Line):
            other = None
            if of.other is not None:
                other = self._node(Move(index, of.path), of.other[0], name=f"{of.path} moved"), of.other[1]
            kinds = None if of.kinds is None else of.kinds[index.reshape(-1)]
            of = replace(of, kinds=kinds, other=other)
        return of, View(source, index.size, view.shape)

    def _better_as_function(self, base: str) -> bool:
        """Whether a quantizer of a node is a table of what it is computed from: it is the result of a product."""
        of = self.functions.get(base)
        node = next((node for node in reversed(self.nodes) if node.name == base), None)
        return of is not None and node is not None and len(node.inputs) > 1

    def _of_function(self, of: Function | Line, levels: Levels, exponent: int) -> str:
        """The node of a function and its quantizer, whose levels are each worth 2^exponent."""
        kind, here = self.types[of.x], self.path
        self.path = of.path  # the layer's own name
        try:
            if isinstance(of, Function):
                return self._node(of.lookup(levels, exponent, kind), of.x)
            return self._of_line(of, of.levels(levels), exponent)
        finally:
            self.path = here

    def _of_line(self, of: Line, levels: Levels, exponent: int) -> str:
        """The node that requantizes a line by channel, or each number as a channel of its own."""
        kind = self.types[of.x]
        if of.kinds is not None:
            kinds = of.kinds.reshape(kind.shape)
            if (kinds != kinds[:, :1, :1]).any():
                flat = self._node(Move(np.arange(kinds.size).reshape(-1, 1, 1), self.path), of.x)
                of, kinds = replace(of, x=flat), kinds.reshape(-1, 1, 1)
                kind = self.types[flat]
            of = replace(of, kinds=kinds[:, 0, 0])
        if of.other is not None:
            add, op, note = sum_requantizer(of, levels, exponent, kind, self.types[of.other[0]])
            name = self._node(op, self._node(add, of.x, of.other[0]))
            self.requantizations.append(replace(note, name=name))
            return name
        return self._requantized(of, requantizer, levels, exponent)

    def _requantized(self, of: Line, fit: Callable, *how) -> str:
        """The node of the op that `fit` of hwgen/requantizers.py finds for a line of one tensor, whose kinds are those
        of the channels; where steps would fall it is of the negative of these channels."""
        made = next((node for node in reversed(self.nodes) if node.name == of.x), None)
        reach = None if made is None else made.op.channel_ends(*(self.types[name] for name in made.inputs))
        carried = made is not None and isinstance(made.op, Conv)
        try:
            op, note = fit(of, *how, self.types[of.x], reach, carried, self.target)
        except UnsupportedLayer:
            if min(of.scales) >= 0:
                raise
            channels = self.types[of.x].shape[0]
            signs = np.array([-1.0 if scale < 0 else 1.0 for scale in of.scales])
            each = np.broadcast_to(signs, channels) if of.kinds is None else signs[of.kinds]
            base = self._node(depthwise(each, np.zeros(channels), of.path), of.x)
            return self._requantized(replace(of, x=base, scales=tuple(map(abs, of.scales))), fit, *how)
        name = self._node(op, of.x)
        if note is not None:
            self.requantizations.append(replace(note, name=name))
        return name

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
        op, (x,), behind = self._of_integers(op, (x,))
        view = self.exact(x)
        places = np.moveaxis(view.places, dim, 0)
        rest = places.shape[1:]
        own = self.types[view.base].shape
        flat = View.of(view.base, view.size, places.reshape(len(places), -1))
        frame = own if flat.index is None and own[0] == len(places) else (len(places), *laid_out(rest))
        base = self._node(op, self.framed(x, places.reshape(frame)))
        channels = self.types[base].shape[0]
        index = np.moveaxis(np.arange(channels * prod(rest)).reshape(channels, *rest), 0, dim)
        return behind(self._named(View.of(base, index.size, index)))

    def join(self, op: Op, a: Tensor, b: Tensor) -> Tensor:
        """Appends a node that takes a number of each of two tensors for each of its results; shapes are broadcast."""
        if self.line(a) is not None or self.line(b) is not None:
            return self._joined_lines(op, a, b)
        bases, index = self._sides(a, b)
        return self._named(View.of(self._node(op, *bases), index.size, index))

    def _sides(self, a: Tensor, b: Tensor) -> tuple[list[str], np.ndarray]:
        """The nodes of two tensors, broadcast, in frames that are alike, and the index of the user's shape in these."""
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
        index = np.empty(prod(shape), np.int64)
        index[order] = np.arange(prod(shape))
        return bases, index.reshape(shape)

    def concat(self, parts: Sequence[Tensor], dim: int) -> Tensor:
        """The tensors one behind the other along a dimension of the user's shape, the batch counted."""
        if any(self.line(part) is not None for part in parts):
            return self._concat_lines(parts, dim)
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

    def clipped(self, x: Tensor, low: float, high: float) -> Tensor:
        """An input's floats, or a function that awaits its quantizer, cut off by the call at work."""
        view, of = self.views[x], self.line(x)
        ends = [end if isinf(end) else Fraction(end) for end in (low, high)]
        if view.base in self.floats:
            if view.zeros and not low <= 0 <= high:  # the zeros would be cut off, too
                self.exact(x)
            base = f"{self.floats[view.base].name}, cut {len(self.floats)}"
            self.floats[base] = self.floats[view.base].cut(*ends)
            return self._named(view.on(base))
        return self.pointwise() if of is None else self.defer(self.views[x], of.cut(*ends))

    def is_narrow(self, x: Tensor) -> bool:
        """Whether a tensor is a function of one that a table takes."""
        return self.types[self.source(x)].qtype.bits <= TABLE_BITS

    def of_one(self, tensors: Sequence[Tensor]) -> bool:
        """Whether tensors are functions of the same one, number by number, which a table takes."""
        if any(self.views[x].base in self.floats or not self.views[x].same(self.views[tensors[0]]) for x in tensors):
            return False
        known = [self.functions[base] for x in tensors if (base := self.views[x].base) in self.functions]
        plain = all(
            isinstance(of, Function) or (of.kinds is None and of.other is None and of.rising is None) for of in known
        )
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

    def _called(self) -> Function:
        """The function that the call at work makes of the one that its tensors are."""
        of = self.function(self.computed()[0])
        return Function(of.x, _short(self.node), self.path, self._values())

    def matmul(self, op: Op, a: Tensor, b: Tensor) -> Tensor:
        """Appends a node of hwgen/ops/matmul.py: a [..., L, K] times b [..., K, M], what is before these dimensions
        broadcast: its rows."""
        (a, b), behind = self._factors(a, b)
        views = [self.exact(a), self.exact(b)]
        length, outputs = views[0].shape[-2], views[1].shape[-1]
        before = np.broadcast_shapes(*(view.shape[:-2] for view in views))
        rows = prod(before)
        left, right = (view.spread((*before, *view.shape[-2:])).reshape(rows, *view.shape[-2:]) for view in views)
        sides = self.framed(a, left.transpose(2, 0, 1)), self.framed(b, right.transpose(1, 0, 2))
        base = self._node(op, *sides)
        index = np.arange(outputs * rows * length).reshape(outputs, *before, length)
        return behind(self._named(View.of(base, index.size, np.moveaxis(index, 0, -1))))

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
            return self._risen(name in RISING)
        if not self.of_one(computed):
            for x in computed:
                self.exact(x)
            raise UnsupportedLayer(
                f"{name} of several tensors", self.path, "only functions of one activation are built"
            )
        return self.defer(self.views[computed[0]], self._called())

    def _risen(self, rises: bool) -> Tensor:
        """The call at work, of a line that is too wide for a table: where it rises its levels are steps."""
        name, computed = _short(self.node), self.computed()
        x = computed[0]
        base = self.views[x].base
        of = self.functions[base] if base in self.deferred else Line.itself(base, self.types[base], self.path)
        kind = self.types[of.x]
        node, args, kwargs = self.node, self.args, self.kwargs

        def call(values: np.ndarray) -> np.ndarray:
            given = torch.from_numpy(np.asarray(values, np.float64))
            these, named = (mapped(lambda leaf: given if isinstance(leaf, Tensor) else leaf, a) for a in (args, kwargs))
            result = node.target(*doubles(these), **doubles(named))
            return (result[0] if isinstance(result, tuple) else result).numpy()

        if rises and len(computed) == 1 and isinstance(of, Line) and of.other is None:
            found = of.followed(call, name, self.path)
            samples = np.linspace(kind.qtype.low, kind.qtype.high, RISING_SAMPLES).astype(np.int64)
            risen = np.diff(found.values(np.tile(samples, (len(of.scales), 1))), axis=1)
            signs = np.array([-1 if scale < 0 else 1 for scale in of.scales])
            if (risen * signs[:, None] >= 0).all():
                return self.defer(self.views[x], found)
        raise UnsupportedLayer(
            f"{name} of {kind.qtype.bits} bits: a table takes up to {TABLE_BITS}, and it is not known to rise",
            self.path,
            f"put hwgen.nn.ActQuant(bits, exponent, signed) of up to {TABLE_BITS} bits before it",
        )

    def _settle_zeros(self) -> None:
        """Makes the zeros of the views that the call at work takes numbers like the others, unless it makes zeros of
        them."""
        padded = [x for x in self.computed() if self.views[x].zeros]
        if padded and self._at(lambda x: torch.zeros_like(self._of_each(x)[:1])).any():  # NaN is not zero
            for x in padded:
                self.views[x] = self._settled(x)

    def _values(self) -> np.ndarray:
        """The results of the call at work on the values of the functions that its tensors are: float64."""

        return self._at(self._of_each).reshape(-1)

    def _of_each(self, x: Tensor) -> torch.Tensor:
        """The values that a tensor may have, one for each integer in the range of its source."""
        return torch.tensor(self.function(x).values)

    def _at(self, values: Callable[[Tensor], torch.Tensor]) -> np.ndarray:
        """The results of the call at work where its tensors have other values."""

        def value(leaf):
            return values(leaf) if isinstance(leaf, Tensor) else leaf

        result = self.again(*mapped(value, self.args), **mapped(value, self.kwargs))
        return (result[0] if isinstance(result, tuple) else result).numpy()

    def again(self, *args, **kwargs):
        """The call at work, of other arguments, in float64."""
        return self.node.target(*doubles(args), **doubles(kwargs))

    def defer(self, view: View, function: Function | Line) -> Tensor:
        """The tensor of a function in floats, where `view` is that of what it is a function of."""
        base = f"{function.name} of {function.x}, {len(self.functions)}"
        self.functions[base] = function
        self.deferred.add(base)
        return self._named(view.on(base))

    def _is_plain(self, of: Line) -> bool:
        """Whether a line is what its tensor is worth, anyway."""
        own = Line.itself(of.x, self.types[of.x], of.path)
        return self.dyadic and of.uniform and (of.scale, of.offset) == (own.scale, own.offset)

    def affine(self, x: Tensor, scale, offset, by_number: bool = True, divisor: Any = 1) -> Tensor:
        """scale * x / divisor + offset, exactly, as the call at work computes it: constants that broadcast against the
        user's shape; a line where that is on no grid.

        by_number -- whether that call takes a number, too, as it takes the tensor
        """
        scale, offset, divisor = (self.of_one_frame(values) for values in (scale, offset, divisor))
        view = self.views[x]
        if view.base in self.floats:
            return self._step(x)
        finite = all(np.isfinite(values).all() for values in (scale, offset)) and (divisor != 0).all()
        of = self.line(x)
        if of is None or not finite:
            numbers = (
                by_number and max(np.size(scale), np.size(offset), np.size(divisor)) == 1 and self.computed() == [x]
            )
            try:
                with np.errstate(divide="ignore", invalid="ignore"):
                    exact = scale / divisor
                if (finite and (exact * divisor != scale).any()) or (_odd_part(divisor) != 1).any():
                    raise OffGrid(f"a quotient by {divisor.reshape(-1)[0]:g} is on no grid", self.path)
                if self.foreign and not self.is_function(x) and self._is_wide(exact, offset, self.types[view.base]):
                    raise OffGrid("a factor or an offset that the quantizer behind it takes", self.path)
                result = self._affine(x, exact, offset)
                return self.known(result) if numbers else result
            except (OffGrid, DoesNotFit, MissingActQuant):
                if not finite or (self.is_function(x) and not numbers):
                    raise
                self._settle_zeros()
                view = self.views[x]
                if self.is_function(x) and self.is_narrow(x):
                    return self.defer(view, self._called())
                if self.is_function(x):
                    return self._risen(bool((scale / divisor > 0).all()))
                of = Line.itself(view.base, self.types[view.base], self.path)
        of = replace(of, name=_short(self.node), path=self.path)
        return self._along_line(self._named(view.on(of.x)), of, scale, offset, divisor)

    @staticmethod
    def _is_wide(scale: np.ndarray, offset: np.ndarray, kind: TensorType) -> bool:
        """Whether integers times the scales and plus the offsets take far more bits."""
        some, factors = offset[offset != 0], scale[scale != 0]
        fine = some.size > 0 and int(trailing_exponent(some).min()) < kind.exponent - FINER_BITS
        return fine or (factors.size > 0 and int(significant_bits(factors).max()) > FINER_BITS)

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

    # lines of integers

    def _along_line(self, raw: Tensor, of: Line, scale: np.ndarray, offset: np.ndarray, divisor: np.ndarray) -> Tensor:
        """scale * it / divisor + offset of a line whose integers are `raw`: constants that broadcast against that."""
        if scale.size == offset.size == divisor.size == 1:
            of = of.scaled(*(float(number.reshape(())) for number in (scale, offset, divisor)))
            return raw if self._is_plain(of) else self.defer(self.views[raw], of)
        if of.other is not None or of.clipped:
            raise UnsupportedLayer(
                f"the result of {of.name} is scaled place by place before it is quantized",
                self.path,
                "put a quantizer behind the sum or the clipping",
            )
        scale, divisor = np.broadcast_arrays(scale, divisor)
        shape = np.broadcast_shapes(self.views[raw].shape, scale.shape, offset.shape)
        if shape != self.views[raw].shape:
            raw = self.moved(raw, lambda places: torch.broadcast_to(places, shape))
        found = [self._backed(raw, values) for values in (scale, divisor, offset)]
        if any(values is None for values in found) or self.views[raw].zeros:
            places = self.views[raw].places.reshape(-1)
            of = replace(of, kinds=None if of.kinds is None else of.kinds[places])
            raw = self._named(self._settled(raw))
            found = [self._backed(raw, values) for values in (scale, divisor, offset)]
        of = replace(of, x=self.views[raw].base)
        steps, which = np.unique(np.stack(found), axis=1, return_inverse=True)  # type: ignore[arg-type]
        return self.defer(self.views[raw], of.scaled_by_place(steps, which.reshape(-1)))

    def _backed(self, x: Tensor, values: np.ndarray) -> np.ndarray | None:
        """Constants of the user's shape where they belong in the base of a view; None where they do not."""
        view = self.views[x]
        if not view.covers:
            return None
        found = view.back(values)
        return None if np.isnan(found).any() else found

    def _unclipped(self, x: Tensor) -> tuple[Tensor, Line]:
        """The integers of a tensor and the line that they are worth, where what it is cut off at is done to them."""
        view, of = self.views[x], self.line(x)
        if of is None:
            self.exact(x)
            return x, Line.itself(view.base, self.types[view.base], self.path)
        raw = view.on(of.x)
        if not of.clipped:
            return self._named(raw), of
        steps = [] if of.kinds is not None else [end if isinf(end) else (end - of.offset) / of.scale for end in of.ends]
        if of.other is not None or not steps or any(not isinf(end) and Fraction(end).denominator > 1 for end in steps):
            raise MissingActQuant(f"the result of {of.name} is used as floats", of.path, _QUANTIZE)
        kind = self.types[of.x]
        low, high = (int(min(max(end, -UNBOUNDED), UNBOUNDED)) for end in sorted(steps))
        base = self._node(Quantize(kind.exponent, low, high), of.x)
        return self._named(raw.on(base)), replace(of, x=base, ends=(-inf, inf))

    def _exact_line(self, x: Tensor, of: Line) -> View:
        """The view of a line's numbers as integers on a grid, where there is one."""
        raw, of = self._unclipped(x)
        worth = Fraction(2) ** self.types[of.x].exponent
        numbers = [[scale / worth for scale in of.scales], list(of.offsets)]
        dyadic = all(_is_float(number) for side in numbers for number in side)
        if of.other is not None or not dyadic:
            raise MissingActQuant(f"the result of {of.name} is used as floats", of.path, _QUANTIZE)
        if of.kinds is None:
            scale, offset = (np.array(float(side[0])) for side in numbers)
        else:
            kinds = of.kinds[self.views[raw].places]
            scale, offset = (np.array([float(number) for number in side])[kinds] for side in numbers)
        return self.views[self._affine(raw, scale, offset)]

    def _of_integers(self, op: Op, inputs: Sequence[Tensor]) -> tuple[Op, tuple[Tensor, ...], Callable]:
        """What works on integers in the place of an op of lines, on which integers, and what makes of its result the
        line that it is."""
        lines = [self.line(x) for x in inputs]
        if isinstance(op, Conv):
            if lines[0] is not None or not op.is_on_grid:
                return self._convolution(op, inputs[0])
        elif len(inputs) == 1 and lines[0] is not None and op.degree is not None:
            raw, of = self._rising(inputs[0], lines[0]) if op.maximum else self._unclipped(inputs[0])
            if of.other is None and min(of.scales) > 0:
                channels = self._channels(raw, of)
                if op.degree == 0:
                    return op, (raw,), lambda result: result
                return op, (raw,), lambda result: self._by_channel(result, of, of.scales, of.offsets, channels)
        return op, tuple(inputs), lambda result: result

    def _rising(self, x: Tensor, of: Line) -> tuple[Tensor, Line]:
        """The integers of a tensor, those of negative factors negated, and the line that they are worth, cut off as it
        is: the greatest of some is worth the most, whatever that is cut off at."""
        raw = self._named(self.views[x].on(of.x))
        if of.other is not None or min(of.scales) > 0:
            return raw, of
        signs = np.array([-1.0 if scale < 0 else 1.0 for scale in of.scales])
        signs = signs[0] if of.kinds is None else signs[of.kinds[self.views[raw].places]]
        raw = self._affine(raw, signs, np.zeros_like(signs))
        if of.kinds is not None:
            of = replace(of, kinds=np.asarray(self.views[raw].back(of.kinds[self.views[x].places])).astype(np.int64))
        single = None if of.single is None else abs(of.single)
        return raw, replace(of, x=self.views[raw].base, scales=tuple(map(abs, of.scales)), single=single)

    def _channels(self, raw: Tensor, of: Line) -> np.ndarray | None:
        """The kind of each channel of the frame of a line's integers; None where there is one."""
        if of.kinds is None:
            return None
        view = self.views[raw]
        kinds = of.kinds[view.places].reshape(frame_shape(view.shape[1:]))
        if (kinds != kinds[:, :1, :1]).any():
            raise UnsupportedLayer(
                f"{of.name} has scales that differ within a channel", self.path, "put a quantizer before this layer"
            )
        return kinds[:, 0, 0]

    def _by_channel(self, result: Tensor, of: Line, scales, offsets, channels, single=None) -> Tensor:
        """A line of the tensor of a new node; channels -- the kind of each channel of its frame; None: there is one."""
        view = self.views[result]
        kinds = None
        if channels is not None:
            shape = self.types[view.base].shape
            kinds = np.broadcast_to(channels[:, None, None], shape).reshape(-1).astype(np.int64)
        single = of.single if single is None else single
        line = Line(view.base, of.name, of.path, tuple(scales), tuple(offsets), kinds, ends=of.ends, single=single)
        return self.defer(view, line)

    def _convolution(self, op: Conv, x: Tensor) -> tuple[Op, tuple[Tensor, ...], Callable]:
        """A convolution of a line, or with weights on a grid of their own for each output, as one of integers."""
        raw, of = self._unclipped(x)
        channels = self._channels(raw, of)
        depthwise = op.groups == len(op.weight) and op.weight.shape[1] == 1
        if of.other is not None or (channels is not None and not depthwise):
            raise UnsupportedLayer(
                f"its input, {of.name}, has scales that differ from channel to channel",
                self.path,
                "put a quantizer before this layer, of one scale for all channels",
            )
        integers, worths = op.on_integers()
        own = [0] * len(worths) if channels is None else channels.tolist()
        sums = integers.weight.sum(axis=(1, 2, 3)).tolist()
        if any(of.offsets) and any(op.padding):
            raise UnsupportedLayer(
                f"padding with zeros of {of.name}, whose integers are not worth a multiple of their scale",
                self.path,
                "take the zero point away before this layer",
            )
        scales = [of.scales[k] * worth for k, worth in zip(own, worths, strict=True)]
        offsets = [
            of.offsets[k] * worth * int(total) + Fraction(bias)
            for k, worth, total, bias in zip(own, worths, sums, op.bias.tolist(), strict=True)
        ]
        single = None
        if of.single is not None:
            single = single_product(of.single[own], worths)
        one = len(set(zip(scales, offsets, strict=True))) == 1
        named = replace(of, name=_short(self.node), path=self.path)
        if one:
            scales, offsets, single = scales[:1], offsets[:1], None if single is None else single[:1]

        def behind(result: Tensor) -> Tensor:
            return self._by_channel(result, named, scales, offsets, None if one else np.arange(len(scales)), single)

        return integers, (raw,), behind

    def _joined_lines(self, op: Op, a: Tensor, b: Tensor) -> Tensor:
        """A sum or a product of lines."""
        if op.degree == 2:
            (a, b), behind = self._factors(a, b)
            return behind(self.join(op, a, b))
        if not isinstance(op, Add):
            self.exact(a)
            self.exact(b)
            return self.join(op, a, b)
        (raw_a, of_a), (raw_b, of_b) = self._unclipped(a), self._unclipped(b)
        if any(of.kinds is not None or of.other is not None for of in (of_a, of_b)):
            worst = of_a if of_a.kinds is not None or of_a.other is not None else of_b
            raise UnsupportedLayer(
                f"a sum with {worst.name}, which is not quantized and has several scales",
                self.path,
                f"put a quantizer behind {worst.name}",
            )
        sign = op.multipliers[1]
        bases, index = self._sides(raw_a, raw_b)
        view = View.of(bases[0], index.size, index)
        offset = of_a.offset + sign * of_b.offset
        name = _short(self.node)
        if abs(of_a.scale) == abs(of_b.scale) and self._same_grid(*bases):
            base = self._node(Add(self.path, (1, sign if of_a.scale == of_b.scale else -sign)), *bases)
            return self.defer(view.on(base), Line(base, name, self.path, (of_a.scale,), (offset,)))
        other = bases[1], sign * of_b.scale
        return self.defer(view, Line(bases[0], name, self.path, (of_a.scale,), (offset,), other=other))

    def _same_grid(self, a: str, b: str) -> bool:
        return self.types[a].exponent == self.types[b].exponent

    def _factors(self, a: Tensor, b: Tensor) -> tuple[tuple[Tensor, Tensor], Callable]:
        """The integers of the two factors of a product, and what makes of that the line that it is."""
        if self.line(a) is None and self.line(b) is None:
            return (a, b), lambda result: result
        (raw_a, of_a), (raw_b, of_b) = self._unclipped(a), self._unclipped(b)
        for of in (of_a, of_b):
            if not of.uniform or of.offset:
                raise UnsupportedLayer(
                    f"a product with {of.name}, which has several scales, or an offset",
                    self.path,
                    f"put a quantizer behind {of.name}, and take its zero point away",
                )
        named = replace(of_a, name=_short(self.node), path=self.path, single=None)
        scales = (of_a.scale * of_b.scale,)
        return (raw_a, raw_b), lambda result: self._by_channel(result, named, scales, (Fraction(0),), None)

    def _concat_lines(self, parts: Sequence[Tensor], dim: int) -> Tensor:
        """Lines one behind the other: a kind for each."""
        pairs = [self._unclipped(part) for part in parts]
        for _, of in pairs:
            if not of.uniform:
                raise UnsupportedLayer(
                    f"a concatenation with {of.name}, which is not quantized and has several scales",
                    self.path,
                    f"put a quantizer behind {of.name}",
                )
        exponents = {self.types[of.x].exponent for _, of in pairs}
        if len(exponents) > 1:
            raise UnsupportedLayer(
                "a concatenation of numbers with scales and of others", self.path, "put a quantizer behind each part"
            )
        result = self.concat([raw for raw, _ in pairs], dim)
        kinds_of = sorted({(of.scale, of.offset) for _, of in pairs})
        each = [kinds_of.index((of.scale, of.offset)) for _, of in pairs]
        sizes = [self.views[raw].shape[dim] for raw, _ in pairs]
        along = np.repeat(each, sizes).reshape(-1, *[1] * (len(self.views[result].shape) - 1 - dim))
        scales, offsets = zip(*kinds_of, strict=True)
        kinds = None
        if len(kinds_of) > 1:
            if not self.views[result].covers:
                result = self._named(self._settled(result))
            kinds = self.views[result].back(along).astype(np.int64)
        view = self.views[result]
        return self.defer(view, Line(view.base, "cat", self.path, scales, offsets, kinds))

    def quantized(
        self, x: Tensor, scale, zero, axis: int, low: int, high: int, rounding: str, rule: Rule | None = None
    ) -> Tensor:
        """The levels that hwgen.quantize_affine makes of a tensor, for its arguments: a line of integers that are these
        levels less the zero point, so that what is padded with them is worth zero; rule -- see `Levels`."""
        self.foreign = True
        key, zero_first = rounding_of(rounding)
        scale, zero = (np.asarray(values, np.float64).reshape(-1) for values in (scale, zero))
        if not (np.isfinite(scale) & (scale > 0)).all():
            raise OffGrid(
                f"a quantizer's scale is {float(scale[~(np.isfinite(scale) & (scale > 0))][0])}",
                self.path,
                "look for a channel that was never calibrated; scales are positive numbers",
            )
        point = int(zero[0])
        if (zero != point).any():
            raise UnsupportedLayer(
                "an activation's zero points differ from channel to channel, or are no integers",
                self.path,
                "use one zero point for all channels",
            )
        if len(scale) > 1:
            along = scale.reshape(
                [-1 if n == axis % len(self.views[x].shape) else 1 for n in range(len(self.views[x].shape))]
            )
            x, scale = self.affine(x, 1, 0, by_number=False, divisor=along), np.ones(1)
        shifted = point if zero_first and key in ("half_away", "to_zero") else 0
        if zero_first and key == "half_even" and point % 2:
            key = "half_odd"
        if key == "half_away" and low >= point and not shifted:
            key = "half_up"  # above zero
        levels = Levels(Fraction(float(scale[0])), low - point, high - point, key, shifted, rule)
        exponent = _exponent(levels.scale) if self.dyadic else 0
        if self.views[x].base in self.floats:
            result = self._quantize_input(levels, exponent, x)
        else:
            if not self.is_function(x):
                view = self.views[x]
                x = self.defer(view, Line.itself(view.base, self.types[view.base], self.path))
            result = self._levels(x, levels, exponent)
        of = Line(
            self.views[result].base, "levels", self.path, offsets=(Fraction(point),), single=np.ones(1, np.float32)
        )
        return self.defer(self.views[result], of)

    def counted(self, x: Tensor, steps: np.ndarray) -> Tensor:
        """How many steps of its channel each number is not below: what hwgen.count_steps makes of a tensor."""
        of = self.line(x)
        if of is None:
            view = self.exact(x)
            of = Line.itself(view.base, self.types[view.base], self.path)
        if of.other is not None or np.isnan(steps).any():
            raise UnsupportedLayer(
                f"thresholds of {of.name} of two scales, or that are no numbers", self.path, "quantize the sum first"
            )
        raw = self._named(self.views[x].on(of.x))
        kinds = self._channels(raw, of)
        view = self._settled(raw)
        kind = self.types[view.base]
        if len(steps) > 1 or kinds is not None:
            own = np.zeros(kind.shape[0], np.int64) if kinds is None else kinds
            if len(steps) not in (1, len(own)):
                raise UnsupportedLayer(
                    f"thresholds of {len(steps)} channels for {len(own)}", self.path, "give each channel its thresholds"
                )
            scales, offsets = (tuple(numbers[k] for k in own) for numbers in (of.scales, of.offsets))
            steps = np.broadcast_to(steps, (len(own), steps.shape[1]))
            of = replace(of, scales=scales, offsets=offsets, kinds=np.arange(len(own)))
        return self._named(view.on(self._requantized(replace(of, x=view.base, path=self.path), counter, steps)))

    # inputs and outputs

    def _step(self, x: Tensor) -> Tensor:
        """The call at work, of an input's floats and constants: the host does it, before it quantizes them."""
        view, name = self.views[x], _short(self.node)
        of = self.floats[view.base]
        constants = [leaf for leaf in leaves([self.args, self.kwargs]) if not isinstance(leaf, Tensor)]
        first = isinstance(self.args[0], Tensor)
        if name not in STEPS or len(constants) != 1 or not (first or name in ("add", "mul")) or of.ends != (-inf, inf):
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

    def _quantize_input(self, levels: Levels, exponent: int, x: Tensor) -> Tensor:
        """The tensor of an input's integers, each worth 2^exponent; its frame is that of the user's shape, or of what
        was made of it before the first quantizer by moving all of it."""
        view = self.views[x]
        of = self.floats[view.base]
        known = self.inputs.get(of.name)
        steps = of.steps
        if levels.zero:
            raise UnsupportedLayer(
                f"an input rounded by {levels.rounding} with a zero point", self.path, "round half even"
            )
        levels = replace(levels, low=levels.of_end(of.ends[0]), high=levels.of_end(of.ends[1]))
        if levels.scale != Fraction(2) ** exponent:
            steps = (*steps, ("div", np.array(float(levels.scale))))
        kind = TensorType(self.types[of.name].shape, QType(levels.low, levels.high), exponent)
        if known is None:
            shape = view.shape[1:] if view.whole else of.shape
            moved = None if not view.whole or view.index is None else view.index.reshape(-1)
            kind = replace(kind, shape=frame_shape(shape))
            known = self.inputs[of.name] = Input(of.name, kind, of.shape, moved, steps, levels.rounding)
            self.types[of.name] = kind
        quantized = (known.type, known.rounding, [step for step, _ in known.steps])
        alike = quantized == (kind, levels.rounding, [step for step, _ in steps])
        if not alike or not all(np.array_equal(a, b) for (_, a), (_, b) in zip(known.steps, steps, strict=True)):
            raise UnsupportedLayer(
                "the input is quantized in two ways", self.path, "quantize it once, and use the result twice"
            )
        index = view.places
        if known.view is not None:
            index = np.where(index < 0, -1, np.argsort(known.view)[index])
        return self._named(View.of(of.name, view.size, index))

    def left_to_host(self, x: Tensor, what: str, dim: int) -> Tensor:
        """The tensor, as an output of which the host makes `what` along a dimension of the user's shape."""
        result = self._named(self.views[x])
        self.hosts[result] = (what, dim)
        return result

    def output(self, x: Tensor) -> Output:
        """What is sent of a tensor: all of its base, if the host can pick its numbers from that; of a line its
        integers."""
        of, host = self.line(x), self.hosts.get(x)
        if of is None or of.other is not None:
            raw, scale, offset = self._named(self.exact(x)), None, None
        else:
            raw, of = self._unclipped(x)
            worth = Fraction(2) ** self.types[of.x].exponent
            sides = [[number / worth for number in of.scales], of.offsets]
            if of.kinds is None:
                scale, offset = (np.array(float(side[0])) for side in sides)
            else:
                kinds = of.kinds[self.views[raw].places[0]]
                scale, offset = (np.array([float(number) for number in side])[kinds] for side in sides)
            scale = None if (scale == 1).all() else scale
            offset = None if (offset == 0).all() else offset
        view = self.exact(raw)
        if view.shape[:1] != (1,):
            raise UnsupportedLayer(
                f"a result of shape {list(view.shape)}, which is no frame of numbers for each input",
                "output",
                "keep the batch as the first dimension",
            )
        if view.covers and not view.zeros:
            index = None if view.index is None else view.index[0]
            return Output(view.base, view.shape[1:], index, host, scale, offset)
        return Output(self.framed(raw), view.shape[1:], None, host, scale, offset)

    def _unique(self, path: str) -> str:
        base = re.sub(r"\W+", "_", path, flags=re.ASCII).strip("_").lower() or "layer"
        base = base if base[0].isalpha() else f"layer_{base}"
        base = f"{base}_layer" if _RESERVED.fullmatch(base) else base
        name, count = base, 2
        while name in self.types:
            name, count = f"{base}_{count}", count + 1
        return name


_QUANTIZE = "put a quantizer behind it: it says on which grid its results are"


def _exponent(scale: Fraction) -> int:
    """That of a power of two; 0 of any other number."""
    return scale.numerator.bit_length() - scale.denominator.bit_length() if is_power(scale) else 0


def is_power(scale: Fraction) -> bool:
    return all(number & (number - 1) == 0 for number in scale.as_integer_ratio())


def _is_float(number: Fraction) -> bool:
    """Whether float64 holds a number."""
    return Fraction(float(number)) == number


def _odd_part(values: np.ndarray) -> np.ndarray:
    """abs(values) without its factors of two: float64."""
    mantissa = abs(np.frexp(values)[0]) * 2.0**53
    integer = mantissa.astype(np.int64)
    return integer / np.maximum(1, integer & -integer)


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
