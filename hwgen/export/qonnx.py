"""Writes the golden graph of a build as QONNX: convolutions of floats behind Quant nodes, for FINN, qonnx and others.

Quantized Neural Networks in ONNX: Pappalardo, Umuroglu et al., "QONNX: Representing Arbitrary-Precision Quantized
Neural Networks", 2022. Every tensor of the graph is a value of the file with the same name, worth the same number.
"""

from collections.abc import Callable, Sequence
from functools import singledispatch
from itertools import permutations
from pathlib import Path

import numpy as np
import torch

from hwgen import store
from hwgen.errors import BadInput, DoesNotFit, HwgenError, MissingTool, Obstacles, UnsupportedLayer
from hwgen.folder import writing
from hwgen.ir import Graph, Input, Node, Op, Output, TensorType
from hwgen.manifest import read_build
from hwgen.ops.add import Add
from hwgen.ops.concat import Concat
from hwgen.ops.conv import Conv
from hwgen.ops.lookup import Lookup
from hwgen.ops.matmul import MatMul
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.move import NOWHERE, Move, keeps_order
from hwgen.ops.mul import Mul
from hwgen.ops.offset import Offset
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Rescale, Steps
from hwgen.qtype import QType, signed_width, width
from hwgen.version import VERSION

SUFFIXES = (".qonnx", ".onnx")
DOMAIN = "qonnx.custom_op.general"
OPSET, IR_VERSION = 13, 8  # old enough for what reads QONNX
MOST_STEPS = 1 << 12  # thresholds of a channel
FLOAT_BITS = 24  # a float32 holds all integers of so many bits
STEPS = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div"}
ON_HOST = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}
ZEROS = {
    "floor": (0, 1),
    "ceil": (0, 1),
    "half_even": (0,),
    "half_odd": (1,),
}  # zero points modulo 2 that change nothing
ROUNDINGS = {
    "half_even": "ROUND",
    "half_odd": "ROUND",
    "floor": "FLOOR",
    "ceil": "CEIL",
    "to_zero": "DOWN",
    "half_away": "HALF_UP",
}


def export(folder: str | Path, out: str | Path) -> list[str]:
    """Writes the network of the build in `folder` to the new file `out`, and tells what an executor in float32 may
    round; raises BadInput, MissingTool without the extra `onnx`, and UnsupportedLayer or DoesNotFit, all of them at
    once, for what QONNX cannot say."""
    out = Path(out)
    if out.suffix not in SUFFIXES:
        raise BadInput(f"the suffix {out.suffix!r}", str(out), f"name it net{SUFFIXES[0]} or net{SUFFIXES[1]}")
    if out.exists():
        raise BadInput("the file is there already", str(out), "remove it, or give another name")
    if read_build(folder)[0]["modes"]:
        raise BadInput("the build has several modes, which QONNX has not", str(folder), "build one alone and export it")
    model, notes = model_of(store.load(Path(folder)), Path(folder).resolve().name)
    with writing(out):
        out.write_bytes(model.SerializeToString(deterministic=True))
    return notes


def model_of(graph: Graph, name: str = "net"):
    """(onnx.ModelProto, notes) of a graph; the same graph gives the same model. The notes tell of what an executor in
    float32 may round."""
    writer = Writer(graph)
    for one in graph.inputs:
        writer.attempt(one.name, lambda one=one: writer.input(one))
    for node in graph.nodes:
        writer.attempt(node.name, lambda node=node: _write(node.op, node, writer))
        if (bits := writer.types[node.name].qtype.bits) >= FLOAT_BITS:
            writer.notes.append(f"{node.name}: its {bits} bits are too many for the {FLOAT_BITS} of a float32")
    writer.outputs()
    if writer.obstacles:
        raise Obstacles.of(writer.obstacles)
    return writer.model(name), writer.notes


class Writer:
    """The nodes of a file as they are appended.

    A tensor of frames (channels, 1, 1) has the shape [1, channels] in the file, any other [1, channels, rows, columns].
    values -- the file's name of each tensor of the graph
    """

    def __init__(self, graph: Graph):
        try:
            import onnx
        except ImportError as error:
            raise MissingTool("onnx is not installed", "hwgen export", "pip install hwgen[onnx]") from error
        self.onnx, self.graph, self.types = onnx, graph, graph.types()
        self.names = {one.name for one in (*graph.inputs, *graph.nodes)}
        self.values: dict[str, str] = {node.name: node.name for node in graph.nodes}
        self.nodes, self.constants, self.ends = [], [], ([], [])
        self.obstacles: list[HwgenError] = []
        self.notes: list[str] = []

    def attempt(self, at: str, write: Callable[[], None]) -> None:
        """Writes a part of the network, or keeps what stands in its way; `at` names it where that names nothing."""
        try:
            write()
        except HwgenError as error:
            self.obstacles.append(type(error)(error.what, error.at or at, error.hint))

    def model(self, name: str):
        """The whole file."""
        make = self.onnx.helper
        graph = make.make_graph(self.nodes, name, *self.ends, self.constants)
        opsets = [make.make_opsetid("", OPSET), make.make_opsetid(DOMAIN, 1)]
        model = make.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        model.producer_name, model.producer_version = "hwgen", VERSION
        self.onnx.checker.check_model(model)
        return model

    # pieces

    def unique(self, name: str) -> str:
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name

    def emit(self, kind: str, inputs: Sequence[str], result: str, **attributes) -> str:
        """Appends a node that is named as its result, whose name is returned."""
        domain = DOMAIN if kind in ("Quant", "MultiThreshold") else ""
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [result], result, domain=domain, **attributes))
        return result

    def then(self, kind: str, inputs: Sequence[str], name: str, **attributes) -> str:
        """As `emit`, with a result of a name that nothing else has yet."""
        return self.emit(kind, inputs, self.unique(name), **attributes)

    def constant(self, name: str, values) -> str:
        """Floats, each of which a float32 must hold, or int64."""
        values = np.asarray(values)
        if values.dtype.kind == "f":
            narrow = values.astype(np.float32)
            wrong = values[narrow != values]
            if wrong.size:
                raise DoesNotFit(
                    f"{name} holds {wrong.flat[0]!r}, which is no float32", "", "use fewer bits, or fewer inputs a sum"
                )
            values = narrow
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(values), self.unique(name)))
        return self.constants[-1].name

    def rounded(self, name: str, values: np.ndarray) -> str:
        """Floats of the host, which computes in float64, as float32."""
        narrow = values.astype(np.float32)
        if (narrow != values).any():
            self.notes.append(f"{name}: the host's float64 numbers are rounded to float32")
        return self.constant(name, narrow)

    def as_frame(self, value: str, shape: Sequence[int]) -> str:
        """The value of a tensor with four dimensions."""
        return value if shape[1:] != (1, 1) else self.reshaped(value, shape, f"{value}_frame")

    def as_stored(self, value: str, shape: Sequence[int], result: str) -> str:
        """A value of four dimensions, named `result` where it is no single pixel, as the tensor `result`."""
        return result if shape[1:] != (1, 1) else self.emit("Flatten", [value], result, axis=1)

    def reshaped(self, value: str, shape: Sequence[int], name: str) -> str:
        return self.then("Reshape", [value, self.constant(f"{name}_shape", np.array([0, *shape]))], name)

    def quantized(self, value: str, kind: QType, exponent: int, rounding: str, result: str) -> str:
        """A value as integers in the range of `kind`, each worth 2^exponent."""
        if rounding == "half_up" and kind.low >= 0:
            rounding = "half_away"  # which agrees above zero
        elif rounding == "half_up":
            half = self.constant(f"{result}_half", 2.0 ** (exponent - 1))
            value, rounding = self.then("Add", [value, half], f"{result}_plus_half"), "floor"
        zero, bits, signed, narrow = _word(kind, rounding)
        if rounding == "half_odd" and not zero:
            raise UnsupportedLayer("half is rounded to odd without an odd zero point", result, "round half to even")
        whole = (kind.low + zero, kind.high + zero) == _range(bits, signed, narrow)
        more = [
            self.constant(f"{result}_{name}", float(number))
            for name, number in (("scale", 2.0**exponent), ("zero", zero), ("bits", bits))
        ]
        modes = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": ROUNDINGS[rounding]}
        quant = self.emit("Quant", [value, *more], result if whole else self.unique(f"{result}_unclipped"), **modes)
        if whole:
            return quant
        ends = [self.constant(f"{result}_{name}", getattr(kind, name) * 2.0**exponent) for name in ("low", "high")]
        return self.emit("Clip", [quant, *ends], result)

    def counted(self, value: str, x: TensorType, y: TensorType, level: Callable, kinds: int, result: str) -> str:
        """A value by thresholds: level -- the integers of y for int64 [1, kinds, n, 1] of x, monotone in each kind."""
        if y.qtype.high - y.qtype.low > MOST_STEPS:
            raise DoesNotFit(
                f"its {y.qtype.high - y.qtype.low} thresholds a channel are more than {MOST_STEPS}",
                result,
                "quantize its result to fewer bits",
            )
        thresholds, falls = _thresholds(level, x.qtype, y.qtype, kinds)
        if falls.any():
            signs = np.where(falls, -1.0, 1.0).reshape(-1, *[1] * (0 if x.shape[1:] == (1, 1) else 2))
            value = self.then("Mul", [value, self.constant(f"{result}_signs", signs)], f"{result}_turned")
        kept = self.constant(f"{result}_thresholds", thresholds * 2.0**x.exponent)
        worth = 2.0**y.exponent
        name = f"{'INT' if y.qtype.signed else 'UINT'}{y.qtype.bits}"
        return self.emit(
            "MultiThreshold", [value, kept], result, out_dtype=name, out_scale=worth, out_bias=y.qtype.low * worth
        )

    # the border

    def input(self, one: Input) -> None:
        """The user's floats, what the host does to them, the first quantizer, and the frame that they become."""
        info = self.onnx.helper.make_tensor_value_info(one.name, self.onnx.TensorProto.FLOAT, [1, *one.shape])
        self.ends[0].append(info)
        value = one.name
        for n, (step, numbers) in enumerate(one.steps):
            kept = self.rounded(f"{one.name}_step_{n}", numbers)
            value = self.then(STEPS[step], [value, kept], f"{one.name}_{step}_{n}")
        kind = one.type
        if one.rounding not in (*ROUNDINGS, "half_up"):
            raise UnsupportedLayer(f"an input that is rounded {one.rounding}", one.name, "round it half to even")
        result = self.unique(f"{one.name}_quantized")
        value = self.quantized(value, kind.qtype, kind.exponent, one.rounding, result)
        stored = _stored(kind.shape)
        if one.view is not None or one.shape != stored:
            index = np.arange(np.prod(stored)) if one.view is None else one.view
            value = self.moved(value, one.shape, index.reshape(stored), self.unique(f"{one.name}_frame"))
        self.values[one.name] = value

    def outputs(self) -> None:
        """What the host makes of what is sent."""
        for one in self.graph.outputs:
            self.attempt(one.name, lambda one=one: self.output(one))

    def output(self, one: Output) -> None:
        value, shape = self.values[one.name], self.types[one.name].shape
        if one.view is not None or one.shape != _stored(shape):
            index = np.arange(np.prod(shape)).reshape(one.shape) if one.view is None else one.view
            value = self.moved(value, _stored(shape), index, self.unique(f"{one.name}_seen"))
        for what, kind in (("scale", "Mul"), ("offset", "Add")):
            numbers = getattr(one, what)
            if numbers is not None:
                kept = self.rounded(f"{one.name}_{what}", numbers)
                value = self.then(kind, [value, kept], f"{one.name}_{kind.lower()}")
        if one.host is not None:
            value = self.then(ON_HOST[one.host[0]], [value], f"{one.name}_{one.host[0]}", axis=one.host[1])
        if value in [end.name for end in self.ends[1]]:  # sent twice
            value = self.then("Identity", [value], f"{one.name}_again")
        info = self.onnx.helper.make_tensor_value_info(value, self.onnx.TensorProto.FLOAT, [1, *one.shape])
        self.ends[1].append(info)

    def moved(self, value: str, shape: Sequence[int], index: np.ndarray, result: str) -> str:
        """A value whose dimensions behind the batch are `shape`, by an index of places in it, or NOWHERE for zeros; the
        result has those of the index."""
        size, after = int(np.prod(shape)), np.array([0, *index.shape])
        if index.size == size and (index.reshape(-1) == np.arange(size)).all():
            return self.emit("Reshape", [value, self.constant(f"{result}_shape", after)], result)
        places = np.arange(size).reshape(shape)
        for order in permutations(range(len(shape))):
            if np.array_equal(places.transpose(order), index):
                return self.emit("Transpose", [value], result, perm=[0, *(1 + axis for axis in order)])
        flat = self.reshaped(value, (-1,), f"{result}_flat")
        if (index == NOWHERE).any():
            widths = self.constant(f"{result}_widths", np.array([0, 0, 0, 1]))
            flat = self.then("Pad", [flat, widths], f"{result}_padded")
            index = np.where(index == NOWHERE, size, index)
        kept = self.constant(f"{result}_places", index.reshape(-1).astype(np.int64))
        picked = self.then("Gather", [flat, kept], f"{result}_picked", axis=1)
        return self.emit("Reshape", [picked, self.constant(f"{result}_shape", after)], result)


def _stored(shape: Sequence[int]) -> tuple[int, ...]:
    """The dimensions behind the batch that a frame has in the file."""
    return tuple(shape[:1]) if tuple(shape[1:]) == (1, 1) else tuple(shape)


def _word(kind: QType, rounding: str) -> tuple[int, int, bool, bool]:
    """(zero point, bits, signed, narrow) of the Quant whose range is the least that holds `kind`. The zero point is
    added before Quant rounds."""
    span = kind.high - kind.low
    if kind.low < 0 and kind.low % 2 in ZEROS.get(rounding, ()) and (span + 1) & span == 0:
        bits = span.bit_length()
        if -2 * kind.low != span + 1 or rounding == "half_odd":
            return -kind.low, bits, False, False
    signed = kind.low < 0
    bits = width(kind.low, kind.high)
    return 0, max(2, bits) if signed else bits, signed, kind.low == -kind.high < 0  # one signed bit is -1 or 1


def _range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """The ends of a Quant of so many bits."""
    most = (1 << bits - signed) - 1
    return (-most - (not narrow), most) if signed else (0, most - narrow)


def _thresholds(level: Callable, x: QType, y: QType, kinds: int) -> tuple[np.ndarray, np.ndarray]:
    """(thresholds, falls): int64 [kinds, y.high - y.low], the least integers of x, or where a kind's level falls of
    -x, at which the level is above y.low, y.low + 1 ...; above x's range where it never is. By bisection."""

    def levels(integers: np.ndarray) -> np.ndarray:
        return level(torch.from_numpy(integers)[None, :, :, None])[0, :, :, 0].numpy()

    ends = levels(np.tile([x.low, x.high], (kinds, 1)))
    falls = ends[:, 0] > ends[:, 1]
    sign = np.where(falls, -1, 1)[:, None]
    wanted = np.arange(y.low + 1, y.high + 1)[None, :]
    below = np.where(sign < 0, -x.high, x.low) - 1 + np.zeros_like(wanted)  # not there
    above = np.where(sign < 0, -x.low, x.high) + 1 + np.zeros_like(wanted)  # there, or beyond all that may come
    while (above - below > 1).any():
        middle = (above + below) >> 1
        inside = np.clip(middle * sign, x.low, x.high)
        there = levels(inside) >= wanted
        above, below = np.where(there, middle, above), np.where(there, below, middle)
    return above, falls


@singledispatch
def _write(op: Op, node: Node, writer: Writer) -> None:
    """Appends what an op is in the file; the last node is named as its tensor."""
    raise UnsupportedLayer(
        f"QONNX has no word for {type(op).__name__}", node.name, "export a network without this layer"
    )


@_write.register
def _conv(op: Conv, node: Node, writer: Writer) -> None:
    (source,) = node.inputs
    x, y, name = writer.types[source], writer.types[node.name], node.name
    weights = op.integers
    exponent = op.exponents[0]
    as_matrix = op.groups == 1 and op.kernel == x.shape[1:] and not any(op.padding)
    bits = max(2, signed_width(int(weights.min()), int(weights.max())))
    kept = writer.constant(f"{name}_floats", op.weight.reshape(len(weights), -1) if as_matrix else op.weight)
    more = [
        writer.constant(f"{name}_{what}", float(number))
        for what, number in (("scale", 2.0**exponent), ("zero", 0), ("bits", bits))
    ]
    quant = writer.then("Quant", [kept, *more], f"{name}_weight", signed=1, narrow=0, rounding_mode="ROUND")
    bias = [writer.constant(f"{name}_bias", op.bias)] if op.bias.any() else []
    value = writer.values[source]
    if as_matrix:
        flat = value if x.shape[1:] == (1, 1) else writer.then("Flatten", [value], f"{name}_flat", axis=1)
        writer.emit("Gemm", [flat, quant, *bias], name, transB=1)
        return
    top, bottom, left, right = op.padding
    result = name if y.shape[1:] != (1, 1) else writer.unique(f"{name}_frame")
    writer.emit(
        "Conv",
        [writer.as_frame(value, x.shape), quant, *bias],
        result,
        kernel_shape=op.kernel,
        strides=op.stride,
        pads=[top, left, bottom, right],
        dilations=op.dilation,
        group=op.groups,
    )
    writer.as_stored(result, y.shape, name)


@_write.register
def _max_pool(op: MaxPool, node: Node, writer: Writer) -> None:
    x, y = writer.types[node.inputs[0]], writer.types[node.name]
    top, bottom, left, right = op.padding
    result = node.name if y.shape[1:] != (1, 1) else writer.unique(f"{node.name}_frame")
    writer.emit(
        "MaxPool",
        [writer.as_frame(writer.values[node.inputs[0]], x.shape)],
        result,
        kernel_shape=op.kernel,
        strides=op.stride,
        pads=[top, left, bottom, right],
        dilations=op.dilation,
    )
    writer.as_stored(result, y.shape, node.name)


@_write.register
def _quantize(op: Quantize, node: Node, writer: Writer) -> None:
    x, y = writer.types[node.inputs[0]], writer.types[node.name]
    kind = QType(op.low, op.high) if op.bounded else y.qtype
    drops = op.shift(x) > 0
    writer.quantized(writer.values[node.inputs[0]], kind, op.exponent, "half_up" if drops else "half_even", node.name)


@_write.register(Rescale)
@_write.register(Steps)
def _rescale(op: Rescale | Steps, node: Node, writer: Writer) -> None:
    x, y = writer.types[node.inputs[0]], writer.types[node.name]
    kinds = len(op.multipliers if isinstance(op, Rescale) else op.thresholds)
    writer.counted(writer.values[node.inputs[0]], x, y, lambda q: op.eval([x], q), kinds, node.name)


@_write.register
def _lookup(op: Lookup, node: Node, writer: Writer) -> None:
    """A table whose results rise, or fall, is thresholds."""
    x, y = writer.types[node.inputs[0]], writer.types[node.name]
    rises = np.diff(op.table[x.qtype.low - op.first :][: x.qtype.high - x.qtype.low + 1])
    if (rises < 0).any() and (rises > 0).any():
        raise UnsupportedLayer(
            f"{op} rises and falls, and thresholds only do one", node.name, "use a monotone function, as ReLU"
        )
    writer.counted(writer.values[node.inputs[0]], x, y, lambda q: op.eval([x], q), 1, node.name)


@_write.register
def _add(op: Add, node: Node, writer: Writer) -> None:
    first, second = (
        writer.values[name]
        if abs(times) == 1
        else writer.then("Mul", [writer.values[name], writer.constant(f"{node.name}_factor", float(abs(times)))], more)
        for name, times, more in zip(node.inputs, op.multipliers, (f"{node.name}_a", f"{node.name}_b"), strict=True)
    )
    if op.multipliers[0] < 0:
        first = writer.then("Neg", [first], f"{node.name}_a_negative")
    writer.emit("Sub" if op.multipliers[1] < 0 else "Add", [first, second], node.name)


@_write.register
def _mul(op: Mul, node: Node, writer: Writer) -> None:
    writer.emit("Mul", [writer.values[name] for name in node.inputs], node.name)


@_write.register
def _offset(op: Offset, node: Node, writer: Writer) -> None:
    values = op.values * 2.0**op.exponent
    if (values == values[:, :1, :1]).all():
        values = values[:, :1, :1]
    if writer.types[node.name].shape[1:] == (1, 1):
        values = values.reshape(-1)
    kept = writer.constant(f"{node.name}_values", values)
    writer.emit("Add", [writer.values[node.inputs[0]], kept], node.name)


@_write.register
def _concat(op: Concat, node: Node, writer: Writer) -> None:
    y = writer.types[node.name]
    parts = [writer.as_frame(writer.values[name], writer.types[name].shape) for name in node.inputs]
    if y.shape[1:] == (1, 1):
        parts = [writer.values[name] for name in node.inputs]
    writer.emit("Concat", parts, node.name, axis=1 + op.axis)


@_write.register
def _matmul(op: MatMul, node: Node, writer: Writer) -> None:
    shapes = [writer.types[name].shape for name in node.inputs]
    y, name = writer.types[node.name], node.name
    a, b = (writer.as_frame(writer.values[each], shape) for each, shape in zip(node.inputs, shapes, strict=True))
    rows = writer.then("Transpose", [b], f"{name}_rows", perm=[0, 2, 3, 1])
    columns = writer.then("Transpose", [a], f"{name}_columns", perm=[0, 2, 1, 3])
    product = writer.then("MatMul", [rows, columns], f"{name}_product")
    result = name if y.shape[1:] != (1, 1) else writer.unique(f"{name}_frame")
    writer.emit("Transpose", [product], result, perm=[0, 2, 1, 3])
    writer.as_stored(result, y.shape, name)


@_write.register
def _move(op: Move, node: Node, writer: Writer) -> None:
    shape, after = writer.types[node.inputs[0]].shape, _stored(op.index.shape)
    value = writer.values[node.inputs[0]]
    if len(after) == 1 and keeps_order(op.index, shape):
        writer.emit("Flatten", [value], node.name, axis=1)
    else:
        writer.moved(value, _stored(shape), op.index.reshape(after), node.name)
