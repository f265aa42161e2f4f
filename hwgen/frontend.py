"""Reads a network: nn.Module -> torch.export program -> Graph of integers."""

import re

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

import hwgen.nn  # noqa: F401  registers the custom ops that a program may hold
from hwgen.errors import BadInput, HwgenError, MissingActQuant, UnsupportedLayer
from hwgen.ir import Graph, Node, Op, TensorType
from hwgen.ops import importers
from hwgen.ops.flatten import Flatten
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType


def import_model(model: nn.Module | ExportedProgram, example_inputs: tuple[torch.Tensor, ...] | None = None) -> Graph:
    """The graph of integers that equals model.double() in eval mode on every input."""
    if isinstance(model, nn.Module):
        if not isinstance(example_inputs, tuple) or not all(isinstance(x, torch.Tensor) for x in example_inputs):
            raise BadInput(
                f"example_inputs is {type(example_inputs).__name__}", "build", "pass a tuple of tensors: (x,)"
            )
        was_training = [m for m in model.modules() if m.training]
        try:
            model.eval()
            with torch.no_grad():
                model = torch.export.export(model, example_inputs)
        except HwgenError:
            raise
        except Exception as error:
            first = next((line for line in str(error).splitlines() if line.strip()), "")
            raise UnsupportedLayer(
                f"torch.export fails: {type(error).__name__}: {first}",
                type(model).__name__,
                "make torch.export.export(module, example_inputs) work first",
            ) from error
        finally:
            for module in was_training:
                module.training = True
    return Importer(model).graph()


class Importer:
    """Walks one exported program; ops/ call `add`, `type`, `shape`, `path` and `flatten`."""

    def __init__(self, program: ExportedProgram):
        self.program = program
        self.nodes: list[Node] = []
        self.types: dict[str, TensorType] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}  # the user's shapes, no batch
        self.path = ""
        self.raw: set[str] = set()  # tensors that are still the user's floats
        self.input_type: TensorType | None = None
        self.roots: dict[str, str] = {}  # program node -> the node whose memory it shares
        self.stale: dict[str, str] = {}  # program node -> the in-place call after which it is another tensor

    def graph(self) -> Graph:
        signature = self.program.graph_signature
        constants = {**self.program.state_dict, **self.program.constants}
        owners = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        values: dict[str, object] = {}
        result = None
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                if node.name in owners:
                    values[node.name] = constants[owners[node.name]].detach().double().numpy()
                else:
                    values[node.name] = self._input(node)
            elif node.op == "call_function":
                self.path = _module_path(node)
                self._check_aliases(node)
                values[node.name] = self._call(node, values)
            elif node.op == "output":
                self.path = "output"
                self._check_aliases(node)
                results = [values.get(getattr(leaf, "name", None)) for leaf in node.args[0]]
                if len(results) != 1 or not isinstance(results[0], str):
                    raise UnsupportedLayer(
                        f"the network has {len(results)} outputs, or one that is no tensor it computes",
                        "output",
                        "return one tensor",
                    )
                (result,) = results
        if self.input_type is None or result in self.raw:
            raise MissingActQuant(
                "the input never meets a quantizer", "input", "make hwgen.nn.ActQuant the first layer"
            )
        return Graph("input", self.input_type, self.input_shape, tuple(self.nodes), result, self.shapes[result])

    def _call(self, node, values: dict[str, object]):
        """What one call of the program becomes; its shape must be the one that torch found."""
        target = str(node.target)
        importer = importers().get(target)
        if importer is None:
            raise UnsupportedLayer(
                f"no op imports {target}",
                self.path,
                "replace the layer, or add a file to hwgen/ops/ (see CONTRIBUTING.md)",
            )
        args = [_resolve(a, values) for a in node.args]
        kwargs = {k: _resolve(a, values) for k, a in node.kwargs.items()}
        computed = [a for a in (*args, *kwargs.values()) if isinstance(a, str) and a in (self.raw | set(self.types))]
        if not isinstance(args[0], str) or len(computed) > _COMPUTED.get(target.split(".")[1], 1):
            raise UnsupportedLayer(
                f"{target} of a constant, or with a computed tensor for a weight",
                self.path,
                "use a layer's own weights",
            )
        rank = next((r for name, r in _RANKS.items() if name in target), None)
        if rank is not None and node.args[0].meta["val"].dim() != rank:
            raise UnsupportedLayer(
                f"{target} on a tensor of {node.args[0].meta['val'].dim()} dimensions, which torch takes as unbatched",
                self.path,
                f"give it a batch: {rank} dimensions",
            )
        try:
            result = importer(self, *args, **kwargs)
        except TypeError as error:
            raise UnsupportedLayer(
                f"{target} with arguments that are not built: {error}", self.path, "leave them at their defaults"
            ) from error
        if isinstance(result, str):
            self._check_shape(result, node)
        return result

    def _check_shape(self, name: str, node) -> None:
        batch, *shape = node.meta["val"].shape
        self.shapes.setdefault(name, tuple(shape))
        known = self.shapes[name] if name in self.raw else self.types[name].shape
        padded = {1: [*shape, 1, 1], 2: [*shape[:1], 1, *shape[1:]]}.get(len(shape), shape)
        if batch != self.batch or tuple(shape) != self.shapes[name] or (name in self.types and tuple(padded) != known):
            raise UnsupportedLayer(
                f"its result has the shape {[batch, *shape]} in torch, which is no frame of {list(known)} for each input",
                self.path,
                "keep the batch as the first dimension",
            )

    def _check_aliases(self, node) -> None:
        """An in-place call changes every tensor that shares its memory; those must not be read again by their old names."""
        for argument in node.all_input_nodes:
            if argument.name in self.stale:
                raise UnsupportedLayer(
                    f"{argument.name} is read after {self.stale[argument.name]} changed it in place",
                    self.path,
                    "use the call that is not in place",
                )
        name = str(node.target).split(".")[-2:][0]
        if isinstance(node.args[0], torch.fx.Node) and (name.endswith("_") or name in _ALIASES):
            root = self.roots.get(node.args[0].name, node.args[0].name)
            if name.endswith("_"):
                shared = [n for n in {root, *self.roots} if self.roots.get(n, n) == root]
                self.stale.update(dict.fromkeys(shared, node.name))
            self.roots[node.name] = root

    def _input(self, node) -> str:
        if self.shapes:
            raise UnsupportedLayer("the network has several inputs", node.name, "join them before the network")
        shape = tuple(node.meta["val"].shape)
        if len(shape) not in (2, 3, 4):
            raise UnsupportedLayer(
                f"an input of shape {list(shape)}",
                node.name,
                "take [N, channels, rows, columns], [N, channels, columns] or [N, features]",
            )
        if not all(isinstance(n, int) for n in shape[1:]):
            raise UnsupportedLayer(
                f"an input of dynamic shape {list(shape)}",
                node.name,
                "export it with a static shape; the batch may vary",
            )
        self.batch, self.input_shape = shape[0], shape[1:]
        self.shapes["raw"] = shape[1:]
        self.raw.add("raw")
        return "raw"

    def is_tensor(self, value) -> bool:
        return isinstance(value, str)

    def shape(self, name: str) -> tuple[int, ...]:
        """The user's shape of a tensor, without the batch."""
        return self.shapes[name]

    def type(self, name: str) -> TensorType:
        if name in self.raw:
            raise MissingActQuant(
                "the network's input reaches it as floats",
                self.path,
                "make hwgen.nn.ActQuant the first layer",
            )
        return self.types[name]

    def flatten(self, x: str) -> str:
        if x in self.raw:
            self.raw.add("raw_flat")
            self.shapes["raw_flat"] = (int(np.prod(self.shapes[x])),)
            return "raw_flat"
        name = self.add(Flatten(), x)
        self.shapes[name] = self.types[name].shape[:1]
        return name

    def add(self, op: Op, *inputs: str) -> str:
        """Appends a node and returns its tensor's name."""
        if isinstance(op, Quantize) and inputs[0] in self.raw:
            return self._quantize_input(op, inputs[0])
        kinds = [self.type(name) for name in inputs]
        name = self._unique(self.path or type(op).__name__)
        result = op.infer(*kinds)
        if min(result.shape) < 1:
            raise UnsupportedLayer(
                f"its output would have shape {list(result.shape)}",
                self.path,
                "the window is larger than the input",
            )
        self.types[name] = result
        self.nodes.append(Node(name, op, inputs))
        return name

    def _quantize_input(self, op: Quantize, raw: str) -> str:
        shape = self.shapes[raw]
        shape = {1: lambda f: (f, 1, 1), 2: lambda c, n: (c, 1, n), 3: lambda *s: s}[len(shape)](*shape)
        kind = TensorType(shape, QType(op.low, op.high), op.exponent)
        if self.input_type not in (None, kind):
            raise UnsupportedLayer(
                "the input is quantized in two ways", self.path, "quantize it once, and use the result twice"
            )
        self.input_type = self.types["input"] = kind
        self.shapes["input"] = self.shapes[raw]
        return "input"

    def _unique(self, path: str) -> str:
        base = re.sub(r"\W+", "_", path, flags=re.ASCII).strip("_").lower() or "layer"
        base = base if base[0].isalpha() else f"layer_{base}"
        base = f"{base}_layer" if _RESERVED.fullmatch(base) else base
        name, count = base, 2
        while name in self.types:
            name, count = f"{base}_{count}", count + 1
        return name


# calls whose result shares the memory of their argument, in eval mode
_ALIASES = {"view", "_unsafe_view", "reshape", "flatten", "dropout", "feature_dropout", "alias", "detach", "contiguous"}
# dimensions that a call's name stands for; computed tensors that a call may take, if not one
_RANKS = {"2d": 4, "1d": 3}
_COMPUTED = {"add": 2, "add_": 2}
# the core's ports, and the names that streams inside it are given
_RESERVED = re.compile(r"[sm]_axis|reorder_.*|.*_(fork\d+_[ab]|queued\d+|held|flat)")


def _resolve(argument, values):
    if isinstance(argument, torch.fx.Node):
        return values[argument.name]
    if isinstance(argument, (list, tuple)):
        return [_resolve(a, values) for a in argument]
    return argument


def _module_path(node) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    path = list(stack.values())[-1][0] if stack else ""
    # torch gives calls outside of any module a made-up one
    return str(node.target).split(".")[-2] if not path or path.startswith("_empty_nn_module_stack") else path
