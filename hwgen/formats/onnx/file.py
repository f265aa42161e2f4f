"""An .onnx file, looked at before its content is believed: parsed without external data, sizes checked, constants as
arrays."""

import re
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from hwgen.errors import BadInput

MOST = 1 << 28  # bytes of a file
MOST_NUMBERS = 1 << 27  # of a tensor
OLDEST = 7  # opset: broadcasting as numpy does it

# bytes of a number, or bits where several share a byte
_BITS: dict[int, int] = {
    TensorProto.FLOAT: 32,
    TensorProto.DOUBLE: 64,
    TensorProto.FLOAT16: 16,
    TensorProto.BFLOAT16: 16,
    TensorProto.BOOL: 8,
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.INT8: 8,
    TensorProto.UINT8: 8,
    TensorProto.INT16: 16,
    TensorProto.UINT16: 16,
    TensorProto.INT32: 32,
    TensorProto.UINT32: 32,
    TensorProto.INT64: 64,
    TensorProto.UINT64: 64,
}
_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def load(path: str) -> onnx.ModelProto:
    """The model in a file; raises BadInput for one that is broken, too large, too old, or not a whole by itself."""
    size = Path(path).stat().st_size
    if size > MOST:
        raise BadInput(f"the file has {size:,} bytes, above {MOST:,}", path, "leave out what is not the network")
    try:
        model = onnx.load_model_from_string(Path(path).read_bytes())
    except (DecodeError, ValueError, RecursionError) as error:
        raise BadInput(f"it cannot be read as ONNX: {error}", path, "write it with onnx.save") from error
    if not all(isinstance(name, str) for name in _names(model)):
        raise BadInput("it holds a name that is no text", path, "write it with onnx.save")
    if not model.graph.node:
        raise BadInput("it holds no nodes", path, "write it with onnx.save")
    if model.functions:
        raise BadInput(
            f"it defines functions of its own: {model.functions[0].name}",
            path,
            "write them out first: onnx.inliner.inline_local_functions",
        )
    if model.graph.sparse_initializer:
        raise BadInput("it holds sparse initializers", path, "store them densely")
    version = opsets(model).get("", 0)
    if version < OLDEST:
        raise BadInput(
            f"its opset is {version}, below {OLDEST}" if version else "it does not name the opset of ONNX's operators",
            path,
            "convert it with onnx.version_converter.convert_version(model, 13)",
        )
    return model


def _names(model: onnx.ModelProto) -> Iterator[str | bytes]:
    """All names that are read; protobuf gives bytes where they are not UTF-8."""
    graph = model.graph
    yield from (entry.domain for entry in model.opset_import)
    yield from (tensor.name for tensor in graph.initializer)
    for info in (*graph.input, *graph.output):
        yield info.name
        yield from (dim.dim_param for dim in info.type.tensor_type.shape.dim)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def opsets(model: onnx.ModelProto) -> dict[str, int]:
    """The version of each domain; that of ONNX itself is called ''."""
    return {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in model.opset_import}


def array(tensor: TensorProto, what: str) -> np.ndarray:
    """The numbers of a tensor, in the type that the file gives them; raises BadInput unless there are as many as its
    shape says."""
    dims = list(tensor.dims)
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise BadInput(
            "its numbers are in another file, which is not read",
            what,
            "save it whole: onnx.save(onnx.load(path), path, save_as_external_data=False)",
        )
    bits = _BITS.get(tensor.data_type)
    if bits is None:
        raise BadInput(f"numbers of type {_type_name(tensor.data_type)}", what, "use floats or integers")
    count = prod(dims)
    if min(dims, default=0) < 0 or count > MOST_NUMBERS:
        raise BadInput(f"a tensor of shape {dims}", what, f"at most {MOST_NUMBERS:,} numbers, and no negative size")
    held = max(len(tensor.raw_data), *(len(getattr(tensor, field)) for field in _FIELDS))
    needed = -(-count * bits // 8) if tensor.raw_data else _entries(tensor.data_type, count)
    if held != needed:
        unit = "bytes" if tensor.raw_data else "numbers"
        raise BadInput(f"its shape {dims} needs {needed:,} {unit}, and it holds {held:,}", what, "write it again")
    try:
        return numpy_helper.to_array(tensor)
    except Exception as error:  # whatever a broken tensor does to onnx
        raise BadInput(f"its numbers cannot be read: {error}", what, "write it again") from error


def _entries(kind: int, count: int) -> int:
    """Entries of a typed field: numbers of 4 bits share one, as bytes do."""
    return -(-count // 2) if _BITS[kind] == 4 else count


def _type_name(kind: int) -> str:
    return TensorProto.DataType.Name(kind).lower() if kind in TensorProto.DataType.values() else str(kind)


def input_shape(info: onnx.ValueInfoProto, path: str) -> tuple[int, ...]:
    """The static shape of an input, a dynamic batch being one."""
    kind = info.type.tensor_type
    if not info.type.HasField("tensor_type") or not kind.HasField("shape"):
        raise BadInput(f"the input {info.name} has no shape", path, "export it with a static shape")
    dims = [dim.dim_value for dim in kind.shape.dim]
    dims = [1 if n == 0 and size <= 0 else size for n, size in enumerate(dims)]
    if min(dims, default=1) < 1:
        named = [dim.dim_param or dim.dim_value or "?" for dim in kind.shape.dim]
        raise BadInput(
            f"the input {info.name} has the dynamic shape [{', '.join(map(str, named))}]",
            path,
            "export it with a static shape; the batch may vary",
        )
    if prod(dims) > MOST_NUMBERS:
        raise BadInput(f"the input {info.name} has the shape {dims}", path, f"at most {MOST_NUMBERS:,} numbers")
    return tuple(dims)


def annotated(graph: onnx.GraphProto) -> dict[str, tuple[int, int]]:
    """The ranges of integers that FINN notes of tensors: INT4, UINT8 ..."""
    found = {}
    for note in graph.quantization_annotation:
        kinds = [entry.value for entry in note.quant_parameter_tensor_names if entry.key == "finn_datatype"]
        ends = integer_range(str(kinds[0]).lower()) if kinds else None
        if ends is not None and ends[1] < 1 << 16:
            found[note.tensor_name] = ends
    return found


def integer_range(kind: str) -> tuple[int, int] | None:
    """The least and greatest of the integers of a numpy or ONNX type; None for another type."""
    found = re.fullmatch(r"(u?)int(\d{1,2})", kind)
    if found is None or found[2] == "0":
        return None
    bits = int(found[2])
    return (0, 2**bits - 1) if found[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def kind_of(info: onnx.ValueInfoProto, path: str) -> str:
    """'float' of an input of floats, else the name of its integers: 'uint8'."""
    kind = info.type.tensor_type.elem_type
    if kind in FLOATS:
        return "float"
    if kind in _BITS and _BITS[kind] <= 16 and kind != TensorProto.BOOL:
        return _type_name(kind)
    raise BadInput(f"the input {info.name} is of type {_type_name(kind)}", path, "take floats, or integers to 16 bits")
