"""From one torch.export program to a Graph of integers; all that stands in the way is told at once."""

import inspect
import operator
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import inf

import numpy as np
import torch
from torch.export import ExportedProgram

from hwgen.errors import BadInput, DoesNotFit, HwgenError, MissingActQuant, Obstacles, UnsupportedLayer
from hwgen.ir import Graph, Output, TensorType
from hwgen.nests import as_arrays, as_double, doubles, leaves
from hwgen.nodes import Floats, Tensor
from hwgen.ops import Import, importers
from hwgen.qtype import QType
from hwgen.target import EXACT, Target
from hwgen.tensors import Tensors, is_power
from hwgen.views import alike, frame_shape

ACT_QUANT = "hwgen.act_quant.default"
COMPRESS = (
    "compress the float network first: hwgen compress train.py:job --recipe recipe.json -o DIR (docs/compress.md), "
    "then build DIR/model.pt2; or make hwgen.nn.ActQuant the first layer, and put one before each other layer"
)

FOREIGN = (
    "have the tool that quantized the other layers quantize this one, too: what it reads, and its weights; "
    "of an input, put hwgen.nn.ActQuant in front of the module that hwgen.formats.read_network gives"
)

_UNKNOWN = object()  # the result of a call that failed, where it cannot be a frame
_LOST = object()  # that of a call of constants alone, or of what is left of these


class Importer(Tensors):
    """Walks one exported program.

    Calls of constants alone are evaluated. A function of hwgen/ops/ makes nodes of the others, with what `Tensors`
    offers, and may ask how the call at work is used. A call that fails leaves its error in `obstacles` and a stand-in
    of its shape, so that what is behind it is looked at too.
    """

    def __init__(self, program: ExportedProgram, target: Target):
        super().__init__(target)
        self.program = program
        self.roots: dict[str, str] = {}  # program node -> the node whose memory it shares
        self.names: list[str] = []  # of the inputs
        self.stale: dict[str, str] = {}  # program node -> the in-place call after which it is another tensor
        self.batches: dict[str, int | torch.SymInt | None] = {}  # program node -> its frames in torch
        self.obstacles: list[HwgenError] = []

    def graph(self) -> Graph:
        """The whole program's graph. Raises the one thing that stands in its way, or Obstacles that list them all."""
        signature = self.program.graph_signature
        self.constants = {**self.program.state_dict, **self.program.constants}
        self.owners = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self.dyadic = self.target.rule == EXACT and all(map(self._is_dyadic, self.program.graph.nodes))
        values: dict[str, object] = {}
        result: object = None
        for node in self.program.graph.nodes:
            self.node, self.path = node, _module_path(node)
            try:
                values[node.name] = result = self._value(node, values)
            except HwgenError as error:
                self._note(error, node, values)
                read = [values.get(argument.name) for argument in node.all_input_nodes]
                constant = node.op == "call_function" and not any(isinstance(leaf, Tensor) for leaf in leaves(read))
                values[node.name] = _LOST if constant else self._stand_in(node.meta.get("val"))
        if self.obstacles:
            raise Obstacles.of(self._told())
        # or there was an obstacle; above all, no stand-in becomes hardware
        assert self.inputs and isinstance(result, tuple) and not self.guesses
        unread = [name for name in self.names if name not in self.inputs]
        if unread:
            raise MissingActQuant(
                f"the input {unread[0]} never meets a quantizer", "input", "make hwgen.nn.ActQuant the first layer"
            )
        return Graph(tuple(self.inputs[name] for name in self.names), tuple(self.nodes), result)

    def _is_dyadic(self, node) -> bool:
        """Whether a node is no quantizer of another tool, or one whose scale is a constant power of two."""
        found = self._import_of(node)
        if found is None or not found.quantizes or str(node.target).startswith("hwgen.count_steps"):
            return True
        scale = node.args[1]
        if isinstance(scale, torch.fx.Node):
            scale = self.constants.get(self.owners.get(scale.name, ""))
        numbers = [] if scale is None else torch.as_tensor(scale).double().reshape(-1).tolist()
        return len(numbers) == 1 and 0 < numbers[0] < inf and is_power(Fraction(numbers[0]))

    def _value(self, node, values: dict[str, object]):
        """What a node of the program stands for."""
        if node.op == "placeholder":
            if node.name in self.owners:
                return as_double(self.constants[self.owners[node.name]].detach())
            return self._input(node)
        self._check_aliases(node)
        return self._output(node, values) if node.op == "output" else self._call(node, values)

    def _input(self, node) -> Tensor:
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
        if self.batch not in (None, shape[0]):
            raise UnsupportedLayer(
                f"inputs of {self.batch} and {shape[0]} frames", node.name, "give all inputs the same batch"
            )
        self.batch = self.batches[node.name] = shape[0]
        # the only one has one name whatever forward() calls it, several have the names that it calls them
        alone = len(self.program.graph_signature.user_inputs) == 1
        name = "input" if alone else self._unique(node.name)
        self.names.append(name)
        self.types[name] = TensorType(frame_shape(shape[1:]), QType(0, 1), 0)  # until it is quantized
        self.floats[f"floats of {name}"] = Floats(name, tuple(shape[1:]))
        return self._whole(f"floats of {name}", (1, *shape[1:]))

    def _output(self, node, values: dict[str, object]) -> tuple[Output, ...]:
        results = [values.get(getattr(leaf, "name", "")) for leaf in node.args[0]]
        failed = [result is _UNKNOWN or result is _LOST for result in results]
        if not results or not all(
            isinstance(result, Tensor) or bad for result, bad in zip(results, failed, strict=True)
        ):
            raise UnsupportedLayer(
                f"the network has {len(results)} outputs, or one that is no tensor it computes",
                "output",
                "return tensors",
            )
        if self.obstacles:
            return ()
        if any(self.views[result].base in self.floats for result in results if isinstance(result, Tensor)):
            raise MissingActQuant(
                "the input never meets a quantizer", "input", "make hwgen.nn.ActQuant the first layer"
            )
        return tuple(self.output(result) for result in results if isinstance(result, Tensor))

    def _call(self, node, values: dict[str, object]):
        """What one call of the program becomes; its shape must be the one that torch found."""
        if node.target is operator.getitem:  # of a call with several results
            of = values[node.args[0].name]
            self.batches[node.name] = self._batch_of(node)
            return of[node.args[1]] if isinstance(of, list | tuple) else of
        args = [_resolve(a, values) for a in node.args]
        kwargs = {k: _resolve(a, values) for k, a in node.kwargs.items()}
        found = list(leaves([args, kwargs]))
        if _changes_in_place(node) and getattr(node.args[0], "name", None) in self.owners:
            return self._change_of_a_constant(node)
        computed = [leaf for leaf in found if isinstance(leaf, Tensor)]
        unknown, lost = (any(leaf is kind for leaf in found) for kind in (_UNKNOWN, _LOST))
        if lost and not computed and not unknown:
            return _LOST
        unknown = unknown or lost
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
        self.batch = self._batch_of(node)
        if found is None:
            result = self.pointwise()
        else:
            args, kwargs = as_arrays(args), as_arrays(kwargs)
            self._check_call(found, node, args, computed)
            try:
                inspect.signature(found.function).bind(self, *args, **kwargs)
            except TypeError as error:
                raise UnsupportedLayer(
                    f"{node.target} with arguments that are not built: {error}",
                    self.path,
                    "leave them at their defaults",
                ) from None
            result = found.function(self, *args, **kwargs)
        self.batches[node.name] = self.batch
        return self._shaped(result, node.meta.get("val"))

    def _batch_of(self, node):
        """The frames in torch of what a call takes: the inputs', or what StepsIn and StepsOut made of them."""
        return next((self.batches[n.name] for n in node.all_input_nodes if n.name in self.batches), self.batch)

    def _constant(self, node, args: list, kwargs: dict):
        """The value of a call of constants alone, in float64; memory is shared as in torch."""
        name = str(node.target)
        if "assert" in name or "sym_constrain" in name:
            return None
        own = isinstance(node.target, torch._ops.OpOverload)
        if own and torch.Tag.nondeterministic_seeded in node.target.tags:
            raise UnsupportedLayer(f"{name} gives random numbers", self.path, "call module.eval() before the export")
        found = self._import_of(node)
        call = node.target if found is None or found.constant is None else partial(found.constant, self)
        try:
            with torch.no_grad():
                return as_double(call(*doubles(args), **doubles(kwargs)))
        except HwgenError:
            raise
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
        return

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
        # by their names: to ask whether sizes are equal may be more than torch can tell
        one = tuple(n if isinstance(n, int) else 1 if str(n) == str(self.batch) else 0 for n in shape)
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
        read = leaves([values.get(argument.name) for argument in node.all_input_nodes])
        guessed = any(isinstance(value, Tensor) and self._is_guess(value) for value in read)
        if not (guessed and isinstance(error, DoesNotFit | MissingActQuant)):
            self.obstacles.append(error)

    def _is_guess(self, x: Tensor) -> bool:
        base = self.views[x].base
        return base in self.guesses or (base in self.functions and self.functions[base].x in self.guesses)

    def _told(self) -> list[HwgenError]:
        """A network without any quantizer is a float one: its weights and activations are for compression to mend."""
        calls = [node for node in self.program.graph.nodes if node.op == "call_function"]
        if any(str(node.target) == ACT_QUANT for node in calls):
            return self.obstacles
        if any((found := self._import_of(node)) is not None and found.quantizes for node in calls):
            return [
                type(error)(error.what, error.at, FOREIGN) if isinstance(error, MissingActQuant) else error
                for error in self.obstacles
            ]
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


def _resolve(argument, values: dict[str, object]):
    if isinstance(argument, torch.fx.Node):
        return values[argument.name]
    if isinstance(argument, list | tuple):
        return [_resolve(a, values) for a in argument]
    return argument


def _is_pointwise(node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and torch.Tag.pointwise in node.target.tags


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
