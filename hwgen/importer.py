"""From one torch.export program to a Graph of integers; all that stands in the way is told at once."""

import inspect
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.export import ExportedProgram

from hwgen.errors import BadInput, DoesNotFit, HwgenError, MissingActQuant, Obstacles, UnsupportedLayer
from hwgen.ir import Graph, Node, Op, TensorType
from hwgen.ops import importers
from hwgen.ops.flatten import Flatten
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType

ACT_QUANT = "hwgen.act_quant.default"
COMPRESS = (
    "compress the float network first: hwgen compress train.py:job --recipe recipe.json -o DIR (docs/compress.md), "
    "then build DIR/model.pt2; or make hwgen.nn.ActQuant the first layer, and put one before each other layer"
)


class Tensor(str):
    """The name of a tensor that the network computes; any other str is an argument, such as padding="same"."""


@dataclass(frozen=True)
class _Constant:
    """What a call makes of constants alone: not evaluated."""

    target: str


@dataclass(frozen=True)
class _Deferred:
    """A function of x, in floats: `make` gives the op of both once a quantizer says on which grid its results are."""

    x: Tensor
    function: str
    path: str
    make: Callable[[Quantize], Op]


_UNKNOWN = object()  # the result of a call that failed, where it cannot be a frame


class Importer:
    """Walks one exported program.

    A function of hwgen/ops/ calls `add`, `type`, `shape` and `flatten`, and may ask how the call at work is used. A
    call that fails leaves its error in `obstacles` and a stand-in of its shape, so that what is behind it is looked at
    too.
    """

    def __init__(self, program: ExportedProgram):
        self.program = program
        self.nodes: list[Node] = []
        self.types: dict[str, TensorType] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}  # the user's shapes, no batch
        self.path = ""
        self.raw: set[str] = set()  # tensors that are still the user's floats
        self.deferred: dict[str, _Deferred] = {}
        self.batch: int | torch.SymInt | None = None
        self.input_type: TensorType | None = None
        self.input_shape: tuple[int, ...] = ()
        self.roots: dict[str, str] = {}  # program node -> the node whose memory it shares
        self.stale: dict[str, str] = {}  # program node -> the in-place call after which it is another tensor
        self.obstacles: list[HwgenError] = []
        self.guesses: set[str] = set()  # tensors whose shape alone is known: something before them failed

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
        if not self.obstacles and isinstance(result, Tensor) and result in self.deferred:
            self.obstacles.append(self._floats(self.deferred[result]))
        if not self.obstacles and (self.input_type is None or result in self.raw):
            self.obstacles.append(
                MissingActQuant("the input never meets a quantizer", "input", "make hwgen.nn.ActQuant the first layer")
            )
        if self.obstacles:
            raise Obstacles.of(self._told())
        # or there was an obstacle; above all, no stand-in becomes hardware
        assert self.input_type is not None and isinstance(result, Tensor) and not self.guesses
        return Graph("input", self.input_type, self.input_shape, tuple(self.nodes), result, self.shapes[result])

    def _value(self, node, values: dict[str, object]):
        """What a node of the program stands for."""
        if node.op == "placeholder":
            if node.name in self.owners:
                return self.constants[self.owners[node.name]].detach().double().numpy()
            return self._input(node)
        self._check_aliases(node)
        return self._output(node, values) if node.op == "output" else self._call(node, values)

    def _output(self, node, values: dict[str, object]):
        results = [values.get(getattr(leaf, "name", "")) for leaf in node.args[0]]
        if len(results) == 1 and (isinstance(results[0], Tensor) or results[0] is _UNKNOWN):
            return results[0]
        raise UnsupportedLayer(
            f"the network has {len(results)} outputs, or one that is no tensor it computes",
            "output",
            "return one tensor",
        )

    def _call(self, node, values: dict[str, object]):
        """What one call of the program becomes; its shape must be the one that torch found."""
        args = [_resolve(a, values) for a in node.args]
        kwargs = {k: _resolve(a, values) for k, a in node.kwargs.items()}
        leaves = list(_leaves([*args, *kwargs.values()]))
        target = str(node.target)
        if node.target is operator.getitem:  # of a call with several results
            return args[0][args[1]] if isinstance(args[0], list) else args[0]
        if _changes_in_place(node) and getattr(node.args[0], "name", None) in self.owners:
            return self._change_of_a_constant(node)
        computed = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        unknown = any(leaf is _UNKNOWN for leaf in leaves)
        if not computed and not unknown:
            return _Constant(target)
        found = importers().get(target)
        if found is None:
            raise UnsupportedLayer(
                f"no op imports {target}",
                self.path,
                "replace the layer, or add a file to hwgen/ops/ (see CONTRIBUTING.md)",
            )
        if unknown:
            return self._stand_in(node.meta.get("val"))
        self._check_call(found, node, args, leaves, computed)
        try:
            inspect.signature(found.function).bind(self, *args, **kwargs)
        except TypeError as error:
            raise UnsupportedLayer(
                f"{target} with arguments that are not built: {error}", self.path, "leave them at their defaults"
            ) from None
        result = found.function(self, *args, **kwargs)
        if isinstance(result, Tensor):
            self._check_shape(result, node)
        return result

    def _check_call(self, found, node, args: list, leaves: list, computed: list[Tensor]) -> None:
        """That constants and computed tensors are where the op takes them, and that there is a batch."""
        made = next((leaf for leaf in leaves if isinstance(leaf, _Constant)), None)
        if made is not None:
            raise UnsupportedLayer(
                f"{node.target} with an argument that {made.target} computes from constants",
                self.path,
                "make it a plain parameter before the build: torch.nn.utils.prune.remove, remove_parametrizations, or "
                "compute it once and store it",
            )
        if isinstance(args[0], np.ndarray) or (found.tensors is not None and len(computed) > found.tensors):
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
        return _Constant(str(node.target))

    def _check_shape(self, name: Tensor, node) -> None:
        batch, *shape = node.meta["val"].shape
        self.shapes.setdefault(name, tuple(shape))
        floats = name in self.raw or name in self.deferred
        known = self.shapes[name] if floats else self.types[name].shape
        same = tuple(shape) == self.shapes[name] and (floats or frame_shape(shape) == known)
        if batch != self.batch or not same:
            raise UnsupportedLayer(
                f"its result has the shape {[batch, *shape]} in torch, "
                f"which is no frame of {list(known)} for each input",
                self.path,
                "keep the batch as the first dimension",
            )

    def _check_aliases(self, node) -> None:
        """An in-place call changes every tensor that shares its memory; none may be read again by its old name."""
        for read in node.all_input_nodes:
            if read.name in self.stale:
                raise UnsupportedLayer(
                    f"{read.name} is read after {self.stale[read.name]} changed it in place",
                    self.path,
                    "use the call that is not in place",
                )
        found = importers().get(str(node.target))
        in_place = _changes_in_place(node)
        if (in_place or (found is not None and found.shares)) and isinstance(node.args[0], torch.fx.Node):
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
        guessed = any(isinstance(value, Tensor) and value in self.guesses for value in read)
        if not (guessed and isinstance(error, DoesNotFit | MissingActQuant)):
            self.obstacles.append(error)

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
        batch, *shape = val.shape if isinstance(val, torch.Tensor) and val.dim() else (None,)
        if not 1 <= len(shape) <= 3 or batch != self.batch or not all(isinstance(n, int) for n in shape):
            return _UNKNOWN
        name = self._unique(self.path or "unknown")
        self.types[name] = TensorType(frame_shape(shape), QType(0, 1), 0)
        self.shapes[name] = tuple(shape)
        self.guesses.add(name)
        return name

    # what the functions of hwgen/ops/ call

    def is_tensor(self, value) -> bool:
        return isinstance(value, Tensor)

    def shape(self, name: Tensor) -> tuple[int, ...]:
        """The user's shape of a tensor, without the batch."""
        return self.shapes[name]

    def type(self, name: Tensor) -> TensorType:
        if name in self.raw:
            raise MissingActQuant(
                "the network's input reaches it as floats",
                self.path,
                "make hwgen.nn.ActQuant the first layer",
            )
        if name in self.deferred:
            raise self._floats(self.deferred[name])
        return self.types[name]

    def flatten(self, x: Tensor) -> Tensor:
        if x in self.raw:
            self.raw.add("raw_flat")
            self.shapes["raw_flat"] = (int(np.prod(self.shapes[x])),)
            return Tensor("raw_flat")
        name = self.add(Flatten(), x)
        self.shapes[name] = self.types[name].shape[:1]
        return name

    def add(self, op: Op, *inputs: Tensor) -> Tensor:
        """Appends a node and returns its tensor's name."""
        quantize = op.requantization
        if quantize is not None and inputs[0] in self.raw:
            return self._quantize_input(quantize, inputs[0])
        if quantize is not None and inputs[0] in self.deferred:
            of = self.deferred[inputs[0]]
            self.path = of.path  # the layer's own name
            return self.add(of.make(quantize), of.x)
        kinds = [self.type(name) for name in inputs]
        name = self._unique(self.path or type(op).__name__)
        result = op.infer(*kinds)
        if min(result.shape) < 1:
            raise UnsupportedLayer(
                f"its output would have shape {list(result.shape)}",
                self.path,
                "the window is larger than the input",
            )
        if self.guesses.intersection(inputs):
            if quantize is not None and quantize.bounded:
                result = replace(result, qtype=QType(quantize.low, quantize.high))
            else:
                self.guesses.add(name)
        self.types[name] = result
        self.nodes.append(Node(name, op, inputs))
        return name

    def over(self, x: Tensor, dim: int, op: Op) -> Tensor:
        """Appends a node that works on the channels of each pixel, which dimension `dim` is, the batch counted."""
        if dim not in (1, -len(self.shapes.get(x, ()))):
            raise UnsupportedLayer(f"a layer over dimension {dim}", self.path, "let it be dimension 1")
        name = self.add(op, x)
        if isinstance(self.node.meta["val"], list | tuple):
            self.shapes[name] = (self.types[name].shape[0], *self.shapes[x][1:])
        return name

    def defer(self, x: Tensor, function: str, make: Callable[[Quantize], Op]) -> Tensor:
        """The name of a function of x in floats: the quantizer that reads it makes it an op, `make(quantizer)`."""
        name = Tensor(f"{function}({x}), {self.path}")
        self.deferred[name] = _Deferred(x, function, self.path, make)
        self.shapes[name] = self.shapes[x]
        return name

    def _floats(self, of: _Deferred) -> MissingActQuant:
        return MissingActQuant(
            f"the result of {of.function} is used as floats",
            of.path,
            f"put hwgen.nn.ActQuant behind the {of.function}: it says on which grid the table's results are",
        )

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
                found = importers().get(str(user.target))
                if str(user.target) == ACT_QUANT:
                    exponents.add(user.kwargs["exponent"] if "exponent" in user.kwargs else user.args[2])
                elif found is not None and found.picks:
                    calls.append(user)
                else:
                    return None
        return exponents

    # the input, and names

    def _input(self, node) -> Tensor:
        if self.shapes:
            raise UnsupportedLayer("the network has several inputs", node.name, "join them before the network")
        shape = list(getattr(node.meta["val"], "shape", []))
        if len(shape) not in (2, 3, 4):
            raise UnsupportedLayer(
                f"an input of shape {shape}",
                node.name,
                "take [N, channels, rows, columns], [N, channels, columns] or [N, features]",
            )
        if not all(isinstance(n, int) for n in shape[1:]):
            raise UnsupportedLayer(
                f"an input of dynamic shape {shape}",
                node.name,
                "export it with a static shape; the batch may vary",
            )
        self.batch, self.input_shape = shape[0], tuple(shape[1:])
        self.shapes["raw"] = self.input_shape
        self.raw.add("raw")
        return Tensor("raw")

    def _quantize_input(self, op: Quantize, raw: Tensor) -> Tensor:
        kind = TensorType(frame_shape(self.shapes[raw]), QType(op.low, op.high), op.exponent)
        if self.input_type not in (None, kind):
            raise UnsupportedLayer(
                "the input is quantized in two ways", self.path, "quantize it once, and use the result twice"
            )
        self.input_type = self.types["input"] = kind
        self.shapes["input"] = self.shapes[raw]
        return Tensor("input")

    def _unique(self, path: str) -> Tensor:
        base = re.sub(r"\W+", "_", path, flags=re.ASCII).strip("_").lower() or "layer"
        base = base if base[0].isalpha() else f"layer_{base}"
        base = f"{base}_layer" if _RESERVED.fullmatch(base) else base
        name, count = base, 2
        while name in self.types:
            name, count = f"{base}_{count}", count + 1
        return Tensor(name)


# the core's ports, and the names that streams inside it are given
_RESERVED = re.compile(r"[sm]_axis|reorder_.*|.*_(fork\d+_[ab]|queued\d+|held|flat)")


def frame_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, rows, columns) of a user's shape without the batch: [features], [channels, columns], or all three."""
    if len(shape) == 1:
        return (shape[0], 1, 1)
    if len(shape) == 2:
        return (shape[0], 1, shape[1])
    channels, rows, columns = shape
    return (channels, rows, columns)


def _resolve(argument, values: dict[str, object]):
    if isinstance(argument, torch.fx.Node):
        return values[argument.name]
    if isinstance(argument, list | tuple):
        return [_resolve(a, values) for a in argument]
    return argument


def _leaves(argument) -> Iterator:
    if isinstance(argument, list):
        for part in argument:
            yield from _leaves(part)
    else:
        yield argument


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
