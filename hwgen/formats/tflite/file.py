"""A .tflite file as plain data: tensors and operators of its one subgraph, read within the bounds of the file."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Any

import numpy as np

from hwgen.errors import BadInput, UnsupportedLayer

IDENTIFIER = b"TFL3"
VERSION = 3
MOST_NUMBERS = 1 << 24  # of one tensor that is computed
MOST_DIMENSIONS = 8
AGAIN = "convert the network again"
# what Python's flatbuffers raise where an offset of the file leads to no such thing
BROKEN = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError, KeyError, MemoryError)
NUMPY = {"FLOAT32": np.float32, "INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16, "INT32": np.int32}
NUMPY |= {"INT64": np.int64}


@dataclass(frozen=True, eq=False)
class TensorInfo:
    """A tensor of the file.

    kind    of its numbers: INT8, FLOAT32 ...
    scales  float32, one, or one for each index along `axis`; empty where it is not quantized
    zeros   int64, of the shape of `scales`
    data    its numbers in `shape`, of a constant; None
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    scales: np.ndarray
    zeros: np.ndarray
    axis: int
    data: np.ndarray | None

    @property
    def quantized(self) -> bool:
        return self.scales.size > 0


@dataclass(frozen=True, eq=False)
class OperatorInfo:
    """An operator of the file: its kind (CONV_2D ...), numbers of the tensors that it reads (-1: left out) and makes,
    and its options by the names of the schema."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Subgraph:
    tensors: tuple[TensorInfo, ...]
    operators: tuple[OperatorInfo, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def parse(content: bytes, path: str, schema: ModuleType) -> Subgraph:
    """The subgraph of a file; schema -- the module of flatbuffer classes.

    Raises BadInput where the bytes are no such file, and UnsupportedLayer for what they hold beyond one subgraph.
    """
    if len(content) < 8 or content[4:8] != IDENTIFIER:
        raise BadInput("the file is no TensorFlow Lite model: its identifier is not TFL3", path, "name a .tflite file")
    try:
        return _Parser(content, path, schema).subgraph()
    except BROKEN as error:
        raise BadInput(
            f"the file is broken: {type(error).__name__}: {error}", path, "convert the network again"
        ) from None


class _Parser:
    def __init__(self, content: bytes, path: str, schema: ModuleType):
        self.content, self.path, self.schema = content, path, schema
        self.model = schema.Model.GetRootAsModel(content, 0)
        self.kinds = _names(schema.TensorType)
        self.operators = _names(schema.BuiltinOperator)
        self.options = _names(schema.BuiltinOptions)

    def subgraph(self) -> Subgraph:
        if self.model.Version() != VERSION:
            raise BadInput(
                f"the schema's version is {self.model.Version()}", self.path, f"convert to version {VERSION}"
            )
        if (count := self.model.SubgraphsLength()) != 1:
            raise UnsupportedLayer(
                f"the file has {count} subgraphs", self.path, "convert the network without control flow: one subgraph"
            )
        graph = self.model.Subgraphs(0)
        tensors = tuple(self._tensor(graph.Tensors(i)) for i in self._range(graph.TensorsLength()))
        operators = tuple(self._operator(graph.Operators(i)) for i in self._range(graph.OperatorsLength()))
        inputs, outputs = self._list(graph, "Inputs"), self._list(graph, "Outputs")
        self._check_order(tensors, operators, inputs, outputs)
        return Subgraph(tensors, operators, inputs, outputs)

    def _range(self, length: int) -> range:
        """Of the elements of a vector, which the file must have room for."""
        if not 0 <= length <= len(self.content) // 4:
            raise ValueError(f"a vector of {length} elements in {len(self.content)} bytes")
        return range(length)

    def _list(self, table, name: str) -> tuple[int, ...]:
        """The integers of a vector."""
        return tuple(int(getattr(table, name)(i)) for i in self._range(getattr(table, f"{name}Length")()))

    def _tensor(self, tensor) -> TensorInfo:
        name = (tensor.Name() or b"").decode(errors="replace")
        if tensor.ShapeLength() > MOST_DIMENSIONS:
            raise ValueError(f"{name} has {tensor.ShapeLength()} dimensions")
        shape = self._list(tensor, "Shape")
        if any(n < 0 for n in shape):
            raise ValueError(f"{name} has the shape {list(shape)}")
        kind = self.kinds.get(tensor.Type(), f"type {tensor.Type()}")
        if tensor.Sparsity() is not None:
            raise UnsupportedLayer(f"{name} is a sparse tensor", name, "convert the network without sparse encoding")
        scales, zeros, axis = self._scales(tensor.Quantization(), name)
        data = self._data(tensor.Buffer(), kind, shape, name)
        if data is None and prod(shape) > MOST_NUMBERS:
            raise UnsupportedLayer(f"{name} has {prod(shape)} numbers", name, f"use at most {MOST_NUMBERS}")
        return TensorInfo(name, kind, shape, scales, zeros, axis, data)

    def _scales(self, quantization, name: str) -> tuple[np.ndarray, np.ndarray, int]:
        if quantization is None or not quantization.ScaleLength():
            return np.zeros(0, np.float32), np.zeros(0, np.int64), 0
        if quantization.DetailsType():
            raise UnsupportedLayer(f"{name} is quantized in a way of its own", name, "use affine quantization")
        self._range(quantization.ScaleLength())
        scales = np.array(quantization.ScaleAsNumpy(), np.float32)
        zeros = np.zeros(len(scales), np.int64)
        if quantization.ZeroPointLength():
            zeros[:] = quantization.ZeroPointAsNumpy()
        if not (np.isfinite(scales) & (scales > 0)).all():
            bad = scales[~(np.isfinite(scales) & (scales > 0))][0]
            raise BadInput(f"a scale of {name} is {bad}", name, "convert the network again: scales are positive")
        return scales, zeros, quantization.QuantizedDimension()

    def _data(self, number: int, kind: str, shape: tuple[int, ...], name: str) -> np.ndarray | None:
        """The numbers of a constant tensor, whose buffer must have as many bytes as its shape asks for."""
        if not 0 <= number < self.model.BuffersLength():
            raise ValueError(f"{name} is in buffer {number} of {self.model.BuffersLength()}")
        buffer = self.model.Buffers(number)
        if buffer.Offset() > 1 or buffer.Size() > 1:
            raise UnsupportedLayer(
                f"the numbers of {name} are outside of the flatbuffer", name, "convert to a file of less than 2 GB"
            )
        if not buffer.DataLength():
            return None
        data = buffer.DataAsNumpy()
        count = prod(shape)
        if kind == "INT4":
            if data.size != (count + 1) // 2:
                raise ValueError(f"{name} of shape {list(shape)} has {data.size} bytes")
            nibbles = np.stack([data & 15, data >> 4], axis=-1).reshape(-1)[:count].astype(np.int8)
            return (nibbles - 16 * (nibbles > 7)).astype(np.int8).reshape(shape)
        if kind not in NUMPY:
            return data
        numbers = np.dtype(NUMPY[kind])
        if data.size != count * numbers.itemsize:
            raise ValueError(f"{name} of shape {list(shape)} and {kind} has {data.size} bytes")
        return np.frombuffer(data.tobytes(), numbers).reshape(shape)

    def _operator(self, operator) -> OperatorInfo:
        index = operator.OpcodeIndex()
        if not 0 <= index < self.model.OperatorCodesLength():
            raise ValueError(f"an operator has the code {index} of {self.model.OperatorCodesLength()}")
        code = self.model.OperatorCodes(index)
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = self.operators.get(number, f"operator {number}")
        if kind == "CUSTOM":
            kind = f"custom operator {(code.CustomCode() or b'').decode(errors='replace')}"
        inputs, outputs = self._list(operator, "Inputs"), self._list(operator, "Outputs")
        return OperatorInfo(kind, inputs, outputs, self._options_of(operator))

    def _options_of(self, operator) -> dict[str, Any]:
        table = operator.BuiltinOptions()
        name = self.options.get(operator.BuiltinOptionsType())
        if table is None or not hasattr(self.schema, str(name)):
            return {}
        options = getattr(self.schema, str(name))()
        options.Init(table.Bytes, table.Pos)
        return dict(_numbers(options))

    def _check_order(self, tensors, operators, inputs, outputs) -> None:
        """That every tensor that is read is there, and that each is made once, before it is read."""
        known = {i for i, tensor in enumerate(tensors) if tensor.data is not None}
        for number in (*inputs, *outputs, *(i for one in operators for i in (*one.inputs, *one.outputs))):
            if not -1 <= number < len(tensors):
                raise ValueError(f"a tensor {number} of {len(tensors)}")
        if -1 in (*inputs, *outputs) or known & set(inputs) or len(set(inputs)) < len(inputs):
            raise ValueError("the network's inputs are no tensors of their own")
        known |= {-1, *inputs}
        for operator in operators:
            for number in operator.inputs:
                if number not in known:
                    raise ValueError(f"{tensors[number].name} is read before it is computed")
            if -1 in operator.outputs or known & set(operator.outputs) or not operator.outputs:
                raise ValueError(f"an operator {operator.kind} makes no tensor of its own")
            known |= set(operator.outputs)
        if not set(outputs) <= known:
            raise ValueError("an output is computed nowhere")


def _names(enum) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


def _numbers(options) -> Iterator[tuple[str, Any]]:
    """The options that are one number each."""
    for name in dir(type(options)):
        reader: Callable = getattr(options, name)
        if name[0].isupper() and not name.startswith(("Init", "GetRoot")) and reader.__code__.co_argcount == 1:
            value = reader()
            if isinstance(value, int | float):
                yield name, value
