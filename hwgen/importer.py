"""From one torch.export program to a Graph of integers; all that stands in the way is told at once."""

import inspect
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import torch
from torch.export import ExportedProgram

from hwgen.errors import BadInput, DoesNotFit, HwgenError, MissingActQuant, Obstacles, OffGrid, UnsupportedLayer
from hwgen.functions import LINE_BITS, Function
from hwgen.ir import Graph, Node, Op, TensorType
from hwgen.ops import Import, importers
from hwgen.ops.concat import Concat
from hwgen.ops.conv import Conv
from hwgen.ops.lookup import TABLE_BITS
from hwgen.ops.move import Move
from hwgen.ops.offset import Offset
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.views import View, alike, frame_shape, laid_out

ACT_QUANT = "hwgen.act_quant.default"
COMPRESS = (
    "compress the float network first: hwgen compress train.py:job --recipe recipe.json -o DIR (docs/compress.md), "
    "then build DIR/model.pt2; or make hwgen.nn.ActQuant the first layer, and put one before each other layer"
)
HALVES = (torch.float16, torch.bfloat16, torch.float32)


class Tensor(str):
    """The name of a tensor that the network computes; any other str is an argument, such as padding="same"."""


_UNKNOWN = object()  # the result of a call that failed, where it cannot be a frame


class Importer:
    """Walks one exported program.

    Calls of constants alone are evaluated. A call that only moves numbers is evaluated on their places (`moved`), one
    of each number by itself on the values of its function (`pointwise`); what is left becomes nodes. A function of
    hwgen/ops/ calls `add` and its like below, `type` and `shape`, and may ask how the call at work is used. A call that
    fails leaves its error in `obstacles` and a stand-in of its shape, so that what is behind it is looked at too.

    A tensor is a view of its base: a node of the graph, the input's floats, or a function that awaits its quantizer.
    """

    def __init__(self, program: ExportedProgram):
        self.program = program
        self.nodes: list[Node] = []
        self.types: dict[str, TensorType] = {}  # of nodes
        self.views: dict[str, View] = {}  # of tensors
        self.functions: dict[str, Function] = {}  # of bases: what they are of a narrower tensor
        self.deferred: set[str] = set()  # the bases that are functions and nothing else
        self.raw: dict[str, tuple[tuple[str, np.ndarray], ...]] = {}  # bases that are floats: what was done to them
        self.path = ""
        self.args: list = []  # of the call at work
        self.kwargs: dict = {}
        self.batch: int | torch.SymInt | None = None
        self.input_type: TensorType | None = None
        self.input_shape: tuple[int, ...] = ()
        self.roots: dict[str, str] = {}  # program node -> the node whose memory it shares
        self.stale: dict[str, str] = {}  # program node -> the in-place call after which it is another tensor
        self.obstacles: list[HwgenError] = []
        self.guesses: set[str] = set()  # bases whose shape alone is known: something before them failed

    def graph(self) -> Graph:
        """The whole program's graph. Raises the one thing that stands in its way, or Obstacles that list them all."""
        signature = self.program.graph_signature
        self.constants = {**self.program.state_dict, **self.program.constants}
        self.owners = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        values: dict[str, object] = {}
        result = None
        for node in self.program.graph.nodes:
            self.node, self.path = node, _module_path(node)
            try:
                values[node.name] = result = self._value(node, values)
            except HwgenError as error:
                self._note(error, node, values)
                values[node.name] = result = self._stand_in(node.meta.get("val"))
        if self.obstacles:
            raise Obstacles.of(self._told())
        # or there was an obstacle; above all, no stand-in becomes hardware
        assert self.input_type is not None and isinstance(result, Tensor) and not self.guesses
        return Graph(
            "input", self.input_type, self.input_shape, tuple(self.nodes), self.framed(result), self.shape(result)
        )

    def _value(self, node, values: dict[str, object]):
        """What a node of the program stands for."""
        if node.op == "placeholder":
            if node.name in self.owners:
                return _as_double(self.constants[self.owners[node.name]].detach())
            return self._input(node)
        self._check_aliases(node)
        return self._output(node, values) if node.op == "output" else self._call(node, values)

    def _output(self, node, values: dict[str, object]):
        results = [values.get(getattr(leaf, "name", "")) for leaf in node.args[0]]
        if len(results) != 1 or not (isinstance(results[0], Tensor) or results[0] is _UNKNOWN):
            raise UnsupportedLayer(
                f"the network has {len(results)} outputs, or one that is no tensor it computes",
                "output",
                "return one tensor",
            )
        if isinstance(results[0], Tensor) and not self.obstacles:
            base = self.views[results[0]].base
            if self.input_type is None or base in self.raw:
                raise MissingActQuant(
                    "the input never meets a quantizer", "input", "make hwgen.nn.ActQuant the first layer"
                )
            self.exact(results[0])
        return results[0]

    def _call(self, node, values: dict[str, object]):
        """What one call of the program becomes; its shape must be the one that torch found."""
        if node.target is operator.getitem:  # of a call with several results
            of = values[node.args[0].name]
            return of[node.args[1]] if isinstance(of, list | tuple) else of
        args = [_resolve(a, values) for a in node.args]
        kwargs = {k: _resolve(a, values) for k, a in node.kwargs.items()}
        leaves = list(_leaves([*args, *kwargs.values()]))
        if _changes_in_place(node) and getattr(node.args[0], "name", None) in self.owners:
            return self._change_of_a_constant(node)
        computed = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        unknown = any(leaf is _UNKNOWN for leaf in leaves)
        if not computed and not unknown:
            return self._constant(node, args, kwargs)
        found = self._import_of(node)
        if found is None and (not _is_pointwise(node) or unknown):
            raise UnsupportedLayer(
                f"no op imports {node.target}",
                self.path,
                "replace the layer, or add a file to hwgen/ops/ (see CONTRIBUTING.md)",
            )
        if unknown:
            return self._stand_in(node.meta.get("val"))
        self.args, self.kwargs = args, kwargs
        if found is None:
            result = self.pointwise()
        else:
            args, kwargs = _as_arrays(args), _as_arrays(kwargs)
            self._check_call(found, node, args, computed)
            try:
                inspect.signature(found.function).bind(self, *args, **kwargs)
            except TypeError as error:
                raise UnsupportedLayer(
                    f"{node.target} with arguments that are not built: {error}", self.path, "leave them at their defaults"
                ) from None
            result = found.function(self, *args, **kwargs)
        return self._shaped(result, node.meta.get("val"))

    def _constant(self, node, args: list, kwargs: dict):
        """The value of a call of constants alone, in float64; memory is shared as in torch."""
        name = str(node.target)
        if "assert" in name or "sym_constrain" in name:
            return None
        own = isinstance(node.target, torch._ops.OpOverload)
        if own and torch.Tag.nondeterministic_seeded in node.target.tags:
            raise UnsupportedLayer(f"{name} gives random numbers", self.path, "call module.eval() before the export")
        try:
            with torch.no_grad():
                return _as_double(node.target(*_doubles(args), **_doubles(kwargs)))
        except Exception as error:  # whatever torch cannot do in float64
            first = (str(error).splitlines() or [""])[0]
            raise UnsupportedLayer(
                f"{name} of constants cannot be evaluated: {type(error).__name__}: {first}",
                self.path,
                "compute it before the export and store it as a buffer",
            ) from None

    def _check_call(self, found, node, args: list, computed: list[Tensor]) -> None:
        """That constants and computed tensors are where the op takes them, and that there is a batch."""
        if found.tensors == 1 and (isinstance(args[0], np.ndarray) or len(computed) > 1):
            raise UnsupportedLayer(
                f"{node.target} of a constant, or with a computed tensor for a weight",
                self.path,
                "use a layer's own weights",
            )
        rank = node.args[0].meta["val"].dim() if found.rank is not None else None
        if rank != found.rank:
            raise UnsupportedLayer(
                f"{node.target} on a tensor of {rank} dimensions, which torch takes as unbatched",
                self.path,
                f"give it a batch: {found.rank} dimensions",
            )

    def _change_of_a_constant(self, node):
        owner = self.owners[node.args[0].name]
        if not owner.endswith("num_batches_tracked"):  # of a batch norm, which says itself that it is in training
            raise UnsupportedLayer(
                f"{node.target} changes {owner}, which is no tensor that the network computes",
                self.path,
                "call module.eval() before the export, or keep no state in the module",
            )
        return None

    def _shaped(self, result, val):
        """A result in the shape that torch found; the same but for dimensions of one, or the batch is lost."""
        if isinstance(result, list | tuple):
            return [self._shaped(*pair) for pair in zip(result, val, strict=True)]
        if not isinstance(result, Tensor):
            return result
        view, shape = self.views[result], self._of_one(val.shape)
        if shape is None or not alike(shape, view.shape):
            raise UnsupportedLayer(
                f"its result has the shape {list(val.shape)} in torch, "
                f"which is no frame of {list(view.shape[1:])} for each input",
                self.path,
                "keep the batch as the first dimension",
            )
        if shape != view.shape:
            index = None if view.index is None else view.index.reshape(shape)
            result = self._named(replace(view, shape=shape, index=index))
        return result

    def _of_one(self, shape: Sequence) -> tuple[int, ...] | None:
        """A shape with a batch of one; None where the batch is not first, or a size is dynamic."""
        if isinstance(self.batch, int) and self.batch > 1:
            return (1, *shape[1:]) if shape and shape[0] == self.batch else None
        one = tuple(n if isinstance(n, int) else 1 if n == self.batch else 0 for n in shape)
        return one if all(one) or not shape else None

    def _check_aliases(self, node) -> None:
        """An in-place call changes every tensor that shares its memory; none may be read again by its old name."""
        for read in node.all_input_nodes:
            if read.name in self.stale:
                raise UnsupportedLayer(
                    f"{read.name} is read after {self.stale[read.name]} changed it in place",
                    self.path,
                    "use the call that is not in place",
                )
        if not node.args or not isinstance(node.args[0], torch.fx.Node) or node.args[0].name in self.owners:
            return
        found = self._import_of(node)
        in_place = _changes_in_place(node)
        if in_place or node.target is operator.getitem or (found is not None and found.shares):
            argument: str = node.args[0].name
            root = self.roots.get(argument, argument)
            if in_place:
                shared = [n for n in {root, *self.roots} if self.roots.get(n, n) == root]
                self.stale.update({name: node.name for name in shared})
            self.roots[node.name] = root

    # what stands in the way

    def _note(self, error: HwgenError, node, values: dict[str, object]) -> None:
        """Keeps an error, if it does not come of the numbers of a stand-in."""
        read = _leaves([values.get(argument.name) for argument in node.all_input_nodes])
        guessed = any(isinstance(value, Tensor) and self._is_guess(value) for value in read)
        if not (guessed and isinstance(error, DoesNotFit | MissingActQuant | OffGrid)):
            self.obstacles.append(error)

    def _is_guess(self, x: Tensor) -> bool:
        base = self.views[x].base
        return base in self.guesses or (base in self.functions and self.functions[base].x in self.guesses)

    def _told(self) -> list[HwgenError]:
        """A network without any quantizer is a float one: its weights and activations are for compression to mend."""
        if any(str(node.target) == ACT_QUANT for node in self.program.graph.nodes):
            return self.obstacles
        others = [error for error in self.obstacles if isinstance(error, UnsupportedLayer | BadInput)]
        return [
            *others,
            MissingActQuant(
                "the network has no quantizer: its input never meets a quantizer, and its activations are floats",
                "input",
                COMPRESS,
            ),
        ]

    def _stand_in(self, val):
        """In the place of a call that failed: a tensor of torch's shape, where that is a frame for each input."""
        if isinstance(val, list | tuple):
            return [self._stand_in(part) for part in val]
        shape = self._of_one(val.shape) if isinstance(val, torch.Tensor) and val.dim() else None
        if shape is None:
            return _UNKNOWN
        name = self._unique(self.path or "unknown")
        self.types[name] = TensorType(frame_shape(shape[1:]), QType(0, 1), 0)
        self.guesses.add(name)
        return self._whole(name, shape)

    # tensors and what they are views of

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
        if view.base in self.raw:
            raise MissingActQuant(
                "the network's input reaches it as floats",
                self.path,
                "make hwgen.nn.ActQuant the first layer",
            )
        if view.base in self.deferred:
            of = self.functions[view.base]
            if of.exact is None:
                raise MissingActQuant(
                    f"the result of {of.name} is used as floats",
                    of.path,
                    f"put hwgen.nn.ActQuant behind the {of.name}: it says on which grid its results are",
                )
            return view.on(of.exact())
        return view

    def type(self, name: Tensor) -> TensorType:
        """The type of a tensor of integers as the frame that `framed` makes of it."""
        view = self.exact(name)
        kind = self.types[view.base]
        qtype = QType(min(kind.qtype.low, 0), max(kind.qtype.high, 0)) if view.zeros else kind.qtype
        return TensorType(frame_shape(view.shape[1:]), qtype, kind.exponent)

    def moved(self, x: Tensor, function: Callable):
        """The tensor, or the list of tensors, that `function` picks: it is given a float64 tensor of the user's shape,
        and moves, repeats and leaves out its numbers; -1 becomes zero."""
        view = self.views[x]
        places = torch.from_numpy(view.places.astype(np.float64))
        batch = self.batch if isinstance(self.batch, int) else 1
        if batch > 1:
            of = torch.arange(batch).reshape(batch, *[1] * (places.dim() - 1)) * view.size
            places = torch.where(places < 0, places, places + of)
        result = function(places)
        if isinstance(result, list | tuple):
            return [self._picked(view, part, batch) for part in result]
        return self._picked(view, result, batch)

    def _picked(self, view: View, places: torch.Tensor, batch: int) -> Tensor:
        index = places.numpy().astype(np.int64)
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
        return self._node(Move(np.ascontiguousarray(index), self.path), view.base)

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
        if quantize is not None and view.base in self.raw:
            return self._quantize_input(quantize, x)
        if not view.covers or (view.zeros and quantize is not None and not quantize.low <= 0 <= quantize.high):
            view = View(self.framed(x), prod(view.shape), view.shape)
        if quantize is not None and self._better_as_function(view.base):
            return self._named(view.on(self._of_function(self.functions[view.base], quantize)))
        base = self._node(op, self.exact(self._named(view)).base)
        return self._named(view.on(base))

    def _better_as_function(self, base: str) -> bool:
        """Whether a quantizer of it is a table: it is nothing else, or the result of a product."""
        if base in self.deferred:
            return True
        of = self.functions.get(base)
        node = next((node for node in reversed(self.nodes) if node.name == base), None)
        return of is not None and node is not None and len(node.inputs) > 1

    def _of_function(self, of: Function, quantize: Quantize) -> str:
        """The node of a function and its quantizer."""
        kind, here = self.types[of.x], self.path
        self.path = of.path  # the layer's own name
        try:
            if of.line:
                return self._node(quantize, self._node(of.scale(quantize, kind), of.x))
            return self._node(of.table(quantize, kind), of.x)
        finally:
            self.path = here

    def _node(self, op: Op, *inputs: str) -> str:
        """Appends a node, whose name comes back."""
        name = self._unique(self.path or type(op).__name__)
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
                f"{list(views[0].shape)} and {list(views[1].shape)} do not broadcast", self.path, "make the shapes equal"
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

    def function(self, x: Tensor) -> Function:
        """What a tensor is of the narrowest one that it is computed from, number by number."""
        base = self.views[x].base
        if base in self.raw:
            self.exact(x)
        return self.functions.get(base) or Function.itself(base, self.types[base], self.path)

    def pointwise(self) -> Tensor:
        """The call at work, of tensors that are functions of the same one: a table, once a quantizer says on which grid
        its results are."""
        name, computed = _short(self.node), [leaf for leaf in _leaves([*self.args, *self.kwargs.values()]) if isinstance(leaf, Tensor)]
        views = [self.views[x] for x in computed]
        functions = [self.function(x) for x in computed]
        if any(of.x != functions[0].x or not view.same(views[0]) for of, view in zip(functions, views, strict=True)):
            for x in computed:
                self.exact(x)
            raise UnsupportedLayer(
                f"{name} of several tensors", self.path, "only functions of one activation are built"
            )
        kind = self.types[functions[0].x]
        if kind.qtype.bits > TABLE_BITS:
            raise UnsupportedLayer(
                f"{name} of {kind.qtype.bits} bits: a table takes up to {TABLE_BITS}",
                self.path,
                f"put hwgen.nn.ActQuant(bits, exponent, signed) of up to {TABLE_BITS} bits before it",
            )
        return self.defer(views[0], replace(functions[0], name=name, path=self.path, values=self._values(), line=False))

    def _values(self) -> np.ndarray:
        """The results of the call at work on the values of the functions that its tensors are: float64."""
        def value(leaf):
            return torch.from_numpy(self.function(leaf).values) if isinstance(leaf, Tensor) else leaf

        args, kwargs = _mapped(value, self.args), _mapped(value, self.kwargs)
        return self.node.target(*_doubles(args), **_doubles(kwargs)).double().numpy()

    def defer(self, view: View, function: Function) -> Tensor:
        """The tensor of a function in floats, where `view` is that of what it is a function of."""
        base = f"{function.name} of {function.x}, {len(self.functions)}"
        self.functions[base] = replace(function, exact=None)
        self.deferred.add(base)
        return self._named(view.on(base))

    def affine(self, x: Tensor, scale, offset) -> Tensor:
        """scale * x + offset, as the call at work computes it: constants that broadcast against the user's shape."""
        view = self.views[x]
        if view.base in self.raw:
            return self._step(x)
        line = np.size(scale) == 1 and np.size(offset) == 1
        try:
            result = self._affine(x, np.asarray(scale, np.float64), np.asarray(offset, np.float64))
        except (OffGrid, DoesNotFit, MissingActQuant):
            of = self.function(x) if line else None
            if of is None or self.types[of.x].qtype.bits > (LINE_BITS if of.line else TABLE_BITS):
                raise
            return self.defer(view, replace(of, name=_short(self.node), path=self.path, values=self._values()))
        base = self.views[result].base
        if line and self.types[self.function(x).x].qtype.bits <= TABLE_BITS:
            of = self.function(x)
            self.functions[base] = replace(of, name=_short(self.node), path=self.path, values=self._values())
        return result

    def _affine(self, x: Tensor, scale: np.ndarray, offset: np.ndarray) -> Tensor:
        """The same, exactly: by channel, or with a constant for each place, or else each number a channel."""
        view = self.exact(x)
        shape = np.broadcast_shapes(view.shape, scale.shape, offset.shape)
        if shape != view.shape:
            x = self.moved(x, lambda places: torch.broadcast_to(places, shape))
            view = self.exact(x)
        if not view.covers or view.zeros:
            view = View(self.framed(x), prod(shape), shape)
        frame = self.types[view.base].shape
        scales, offsets = (view.back(values).reshape(frame) for values in (scale, offset))
        if np.isnan(scales).any() or np.isnan(offsets).any():  # of numbers that are there several times
            view = View(self.framed(x), prod(shape), shape)
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
            return self._named(view.on(self._node(Offset(offsets, self.path), base)))
        flat = self._node(Move(np.arange(view.size).reshape(-1, 1, 1), self.path), view.base)
        return self._named(view.on(self._node(depthwise(scales.reshape(-1), offsets.reshape(-1), self.path), flat)))

    # how the call at work is used

    def module(self) -> str:
        """The class of the innermost module that makes the call at work, as torch.nn.modules.dropout.Dropout."""
        return next(reversed([kind for _, kind in (self.node.meta.get("nn_module_stack") or {}).values()]), "")

    def made_by(self) -> str:
        """The name of the call that makes the first argument of the one at work."""
        return str(self.node.args[0].target)

    def is_last(self) -> bool:
        """Whether the result of the call at work is the network's output and nothing else."""
        return all(user.op == "output" for user in self.node.users)

    def quantizers(self) -> set[int] | None:
        """The exponents of the ActQuants that alone read the result of the call at work, through calls that pick among
        its numbers; None if anything else reads it."""
        exponents, calls = set(), [self.node]
        for call in calls:
            for user in call.users:
                found = self._import_of(user)
                if str(user.target) == ACT_QUANT:
                    exponents.add(user.kwargs["exponent"] if "exponent" in user.kwargs else user.args[2])
                elif user.target is operator.getitem or (found is not None and found.picks):
                    calls.append(user)
                else:
                    return None
        return exponents

    def _import_of(self, node) -> Import | None:
        """How a call is imported: by its name, or that without the overload."""
        name = str(node.target)
        return importers().get(name) or importers().get(name.rpartition(".")[0])

    # the input, and names

    def _input(self, node) -> Tensor:
        if self.raw:
            raise UnsupportedLayer("the network has several inputs", node.name, "join them before the network")
        shape = list(getattr(node.meta["val"], "shape", []))
        if len(shape) < 2:
            raise UnsupportedLayer(
                f"an input of shape {shape}",
                node.name,
                "take a batch of inputs: [N, features], [N, channels, columns], [N, channels, rows, columns] ...",
            )
        if not all(isinstance(n, int) for n in shape[1:]):
            raise UnsupportedLayer(
                f"an input of dynamic shape {shape}",
                node.name,
                "export it with a static shape; the batch may vary",
            )
        self.batch, self.input_shape = shape[0], tuple(shape[1:])
        self.raw["raw"] = ()
        return self._whole("raw", (1, *shape[1:]))

    def _step(self, x: Tensor) -> Tensor:
        """The call at work, of the network's input and constants: the host does it."""
        raise self._no_steps(x)

    def _quantize_input(self, op: Quantize, x: Tensor) -> Tensor:
        view = self.views[x]
        kind = TensorType(frame_shape(self.input_shape), QType(op.low, op.high), op.exponent)
        if self.input_type not in (None, kind):
            raise UnsupportedLayer(
                "the input is quantized in two ways", self.path, "quantize it once, and use the result twice"
            )
        self.input_type = self.types["input"] = kind
        return self._named(view.on("input"))

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


def depthwise(scale: np.ndarray, offset: np.ndarray, path: str) -> Conv:
    """scale * x + offset by channel; what it scales may be as wide as it comes."""
    return Conv(scale[:, None, None, None], offset, groups=len(scale), path=path, activations_limited=False)


def _place(others: list[np.ndarray], axis: int, along: np.ndarray, frame: Sequence[int]) -> np.ndarray:
    """The places in a frame of the coordinates `others`, but for `axis`, where they are `along`."""
    at = [along if n == axis else other for n, other in enumerate(others)]
    return np.ravel_multi_index(np.broadcast_arrays(*at), tuple(frame))


def _resolve(argument, values: dict[str, object]):
    if isinstance(argument, torch.fx.Node):
        return values[argument.name]
    if isinstance(argument, list | tuple):
        return [_resolve(a, values) for a in argument]
    return argument


def _mapped(function: Callable, value):
    """A nest of lists and dicts with `function` of each leaf."""
    if isinstance(value, list | tuple):
        return [_mapped(function, part) for part in value]
    if isinstance(value, dict):
        return {key: _mapped(function, part) for key, part in value.items()}
    return function(value)


def _as_double(value):
    """Tensors of floats, in a nest, as float64."""
    wide = lambda leaf: leaf.double() if isinstance(leaf, torch.Tensor) and leaf.dtype in HALVES else leaf  # noqa: E731
    return _mapped(wide, value)


def _doubles(value):
    """Arguments with which a call is in float64: its tensors, and the types that it is told."""
    return _mapped(lambda leaf: torch.float64 if isinstance(leaf, torch.dtype) and leaf in HALVES else leaf, value)


def _as_arrays(value):
    return _mapped(lambda leaf: leaf.numpy() if isinstance(leaf, torch.Tensor) else leaf, value)


def _leaves(argument) -> Iterator:
    if isinstance(argument, list | tuple):
        for part in argument:
            yield from _leaves(part)
    else:
        yield argument


def _is_pointwise(node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and torch.Tag.pointwise in node.target.tags


def _short(node) -> str:
    """What a call is called: aten.sigmoid_.default is sigmoid."""
    return str(node.target).split(".")[1].rstrip("_")


def _changes_in_place(node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _module_path(node) -> str:
    if node.op == "output":
        return "output"
    stack = node.meta.get("nn_module_stack") or {}
    path = list(stack.values())[-1][0] if stack else ""
    # torch gives calls outside of any module a made-up one
    if path and not path.startswith("_empty_nn_module_stack"):
        return path
    return str(node.target).split(".")[-2] if isinstance(node.target, torch._ops.OpOverload) else str(node.target)
