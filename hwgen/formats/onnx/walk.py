"""From an .onnx file to a module with a step for each of its nodes."""

import logging
from collections.abc import Sequence
from contextlib import contextmanager
from math import prod

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import hwgen.nn_affine  # noqa: F401  registers the custom ops
from hwgen.errors import BadInput, HwgenError, Obstacles, UnsupportedLayer
from hwgen.formats import Call, Network, Read
from hwgen.formats.onnx import arithmetic, layers, moves, quantizers  # noqa: F401  they register their builders
from hwgen.formats.onnx.file import MOST_NUMBERS, annotated, array, input_shape, integer_range, kind_of, load, opsets
from hwgen.formats.onnx.half_up import half_up
from hwgen.formats.onnx.integer import written_out
from hwgen.formats.onnx.node import BUILDERS, Builder, Constant, Node, Value

_LOG = logging.getLogger("torch._subclasses.fake_tensor")
# of constants alone these are evaluated by onnx's own reference
FOLDED = {
    *("Add", "And", "Cast", "Ceil", "Clip", "Concat", "Div", "Equal", "Flatten", "Floor", "Gather", "Greater"),
    *("Identity", "Less", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "ReduceProd"),
    *("Reshape", "Slice", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where", "Abs", "Exp", "Log"),
}
# these make more numbers than they read
GROWING = {"ConstantOfShape": 0, "Expand": 1}
DYNAMIC = {"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "MatMulInteger", "ConvInteger"}
DYNAMIC |= {"MatMulIntegerToFloat"}
CONTROL = {"If", "Loop", "Scan"}
QUANTIZERS = {"QuantizeLinear", "DequantizeLinear", "Quant", "IntQuant", "BipolarQuant", "Trunc", "MultiThreshold"}


def network(path: str) -> Read:
    """The module of a file, and an example of its inputs; in float32, to be compressed, if nothing in it quantizes."""
    model = load(path)
    half_up(model)
    walk = Walk(model, path)
    walk.run()
    module = walk.module()
    quantized = any(node.op_type in QUANTIZERS or node.op_type.startswith("QLinear") for node in model.graph.node)
    dtype = torch.float64 if quantized else torch.float32
    examples = tuple(torch.zeros(shape, dtype=dtype) for shape in walk.inputs.values())
    return module.to(dtype).eval(), examples


class Walk:
    """Goes through the nodes of a model in their order. What is constant is evaluated; what cannot be built is noted,
    and all of it told at the end.

    known  what each tensor is, by its name; None where the node that makes it could not be built
    """

    def __init__(self, model: onnx.ModelProto, path: str):
        self.path, self.graph, self.opsets = path, model.graph, opsets(model)
        self.known: dict[str, Value | Constant | None] = {}
        self.errors: list[HwgenError] = []
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        for tensor in model.graph.initializer:
            self._name(tensor.name, Constant(array(tensor, f"{path}: {tensor.name}")))
        infos = [info for info in model.graph.input if info.name not in self.known]
        if not infos:
            raise BadInput("it has no inputs", path, "export it with its inputs")
        self.inputs = {info.name: input_shape(info, path) for info in infos}
        self.read = {name for node in model.graph.node for name in node.input}
        self.read.update(info.name for info in model.graph.output)
        self.network = Network(list(self.inputs), [info.name for info in model.graph.output])
        for info in infos:
            self._input(info)

    def _input(self, info: onnx.ValueInfoProto) -> None:
        """An input; one of integers, or which FINN notes to be, is put on their grid by a step of its own."""
        kind = kind_of(info, self.path)
        self._name(info.name, Value(self.inputs[info.name], kind))
        ends = annotated(self.graph).get(info.name) if kind == "float" else integer_range(kind)
        if ends is not None:
            low, high = ends
            one = torch.ones(1)
            step = Call(lambda x, s: torch.ops.hwgen.quantize_affine(x, s, s * 0, 0, low, high, "half_even"), one)
            self.network.step(info.name, step, [info.name], [info.name])

    def _name(self, name: str, what: Value | Constant | None) -> None:
        if name in self.known:
            raise BadInput(f"two nodes make the tensor {name}", self.path, "check it with onnx.checker.check_model")
        self.known[name] = what

    def run(self) -> None:
        for proto in [part for node in self.graph.node for part in written_out(node)]:
            name = proto.name or next(iter(proto.output), "") or proto.op_type
            results: Sequence[Value | Constant | None] = [None] * len(proto.output)
            try:
                results = self._node(proto, name)
            except HwgenError as error:
                self.errors += error.each()
            for output, result in zip(proto.output, results, strict=True):
                if output:
                    self._name(output, result)

    def module(self) -> nn.Module:
        if self.errors:
            raise Obstacles.of(self.errors)
        for output in self.graph.output:
            if not isinstance(self.known.get(output.name), Value):
                raise BadInput(f"the output {output.name} is not computed", self.path, "export it with its outputs")
        return self.network

    def _node(self, proto: onnx.NodeProto, name: str) -> Sequence[Value | Constant | None]:
        for tensor in proto.input:
            if tensor and tensor not in self.known:
                raise BadInput(f"it reads {tensor}, which no node before it makes", name, "sort the nodes")
        inputs = [self.known[tensor] if tensor else None for tensor in proto.input]
        if any(tensor and found is None for tensor, found in zip(proto.input, inputs, strict=True)):
            return [None] * len(proto.output)
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        node = Node(proto, name, self.opsets.get(domain, 1), inputs)
        builder = BUILDERS.get((domain, proto.op_type))
        if not any(isinstance(x, Value) for x in inputs) and not (builder and builder.constant):
            return [Constant(value) for value in folded(node, domain)]
        if not domain and proto.op_type == "Shape":
            return [Constant(_shape(node))]
        if builder is None:
            raise _unknown(node, domain)
        return self._built(node, builder)

    def _built(self, node: Node, builder: Builder) -> Sequence[Value | Constant | None]:
        """What a builder makes of a node; its step joins the network."""
        kinds = [x.kind for x in node.inputs if isinstance(x, Value)]
        levels = next((kind for kind in kinds if kind != "float"), None)
        if levels and builder.levels == "refused":
            raise node.refusal(
                f"arithmetic on {levels}", "put a DequantizeLinear before it, and a QuantizeLinear behind it"
            )
        built = builder.function(node)
        left = node.leftover()
        if left:
            raise node.refusal(f"its attributes {', '.join(left)}", "leave them at their defaults")
        if isinstance(built, Constant):
            return [built]
        step, kind = built if isinstance(built, tuple) else (built, kinds[0])
        return self._appended(node, step, kind)

    def _appended(self, node: Node, step: nn.Module, kind: str) -> Sequence[Value | None]:
        takes = [name for name, x in zip(node.proto.input, node.inputs, strict=True) if isinstance(x, Value)]
        shapes = self._shapes(node, step, [x.shape for x in node.inputs if isinstance(x, Value)])
        gives = list(node.proto.output)
        spare = [name for name in gives[len(shapes) :] if name in self.read]
        if spare:
            raise node.refusal(f"its output {spare[0]}", "use its first output only")
        names = [name or f"{node.name} {n}" for n, name in enumerate(gives[: len(shapes)])]
        self.network.step(node.name, step, takes, names)
        return [Value(shape, kind) for shape in shapes] + [None] * (len(gives) - len(shapes))

    def _shapes(self, node: Node, step: nn.Module, shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The shapes of a step's results, found without computing them."""
        try:
            with self.fake, torch.no_grad(), _unlogged():
                results = step(*[torch.empty(shape, dtype=torch.float64) for shape in shapes])
        except Exception as error:  # whatever torch says of shapes that do not fit
            first = (str(error).splitlines() or [""])[0]
            told = ", ".join(str(list(shape)) for shape in shapes)
            raise BadInput(
                f"{node.proto.op_type} of {told}: {first}", node.name, "check the file: onnx.checker.check_model(path)"
            ) from error
        results = results if isinstance(results, tuple | list) else [results]
        found = [tuple(result.shape) for result in results]
        if any(prod(shape) > MOST_NUMBERS or not prod(shape) for shape in found):
            raise node.refusal(f"a result of shape {list(found[0])}", f"from one to {MOST_NUMBERS:,} numbers")
        return found


@contextmanager
def _unlogged():
    """Without what torch logs of a call that fails: it is raised, and told in one line."""
    before, _LOG.disabled = _LOG.disabled, True
    try:
        yield
    finally:
        _LOG.disabled = before


def _unknown(node: Node, domain: str) -> HwgenError:
    """What stands in the way of a node that nothing builds."""
    kind = node.proto.op_type
    if kind in DYNAMIC:
        what = f"{kind} is dynamic quantization: its scale is found anew for each input"
        hint = "quantize statically: onnxruntime.quantization.quantize_static with calibration data"
    elif kind in CONTROL:
        what, hint = f"{kind} is control flow", "export the branch or the loop written out"
    elif (domain, kind) != ("", kind) and domain not in {own for own, _ in BUILDERS}:
        what, hint = f"{kind} is of the domain {domain!r}, which is not known", "use ONNX's or QONNX's operators"
    else:
        what, hint = f"{kind} is not built", "docs/import.md lists the nodes that are"
    return UnsupportedLayer(what, node.name, hint)


def _shape(node: Node) -> np.ndarray:
    shape = node.value(0).shape
    start, end = node.attribute("start", 0), node.attribute("end", len(shape))
    return np.array(shape[start:end], np.int64)


def folded(node: Node, domain: str) -> list[np.ndarray]:
    """A node of constants alone."""
    proto = node.proto
    if not domain and proto.op_type == "Constant":
        return [_constant(node)]
    if domain or proto.op_type not in FOLDED | set(GROWING):
        if (domain, proto.op_type) not in BUILDERS:
            raise _unknown(node, domain)
        raise node.refusal("it reads constants alone", "fold constants before the export")
    values = {name: node.constant(n) for n, name in enumerate(proto.input) if name}
    if proto.op_type in GROWING:
        sizes = node.listed(GROWING[proto.op_type])
        if min(sizes, default=1) < 0 or prod(sizes) > MOST_NUMBERS:
            raise node.broken(f"a constant of shape {sizes}")
    infos = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in values]
    results = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in proto.output]
    graph = onnx.helper.make_graph([proto], "constants", infos, results)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", node.opset)])
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(model).run(None, values)
    except Exception as error:  # whatever broken constants do to the reference
        first = (str(error).splitlines() or [""])[0]
        raise node.broken(f"of constants: {type(error).__name__}: {first}") from error
    found = [np.asarray(value) for value in found]
    if any(value.size > MOST_NUMBERS for value in found):
        raise node.broken(f"a constant of shape {list(found[0].shape)}")
    return found


def _constant(node: Node) -> np.ndarray:
    """The value of a Constant node."""
    found = {a.name: a for a in node.proto.attribute}
    if "value" in found:
        return array(found["value"].t, node.name)
    for name, dtype in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64)):
        if name in found:
            return np.array(node.attribute(name), dtype)
    if "value_ints" in found:
        return np.array(node.attribute("value_ints"), np.int64)
    raise node.refusal("its value is neither a tensor nor numbers", "store a dense tensor")
