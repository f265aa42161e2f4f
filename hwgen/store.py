"""The golden graph of a build on disk: golden.json for the structure, golden.npz for the numbers."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from hwgen.errors import BadInput
from hwgen.ir import ON_HOST, STEPS, Graph, Input, Node, Op, Output, TensorType
from hwgen.nn_affine import ROUNDINGS
from hwgen.ops import importers
from hwgen.qtype import QType

DTYPES = (np.float64, np.int64)  # of arrays
HELD = {"view": np.int64, "scale": np.float64, "offset": np.float64}  # arrays that an output may have


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Type(_Strict):
    shape: tuple[int, int, int]
    low: int
    high: int
    exponent: int


class _Input(_Strict):
    """`steps` are names, `rounding` one, and whether there is a `view`: golden.npz holds the arrays."""

    name: str
    type: _Type
    shape: tuple[int, ...]
    view: bool
    steps: list[str]
    rounding: str


class _Output(_Strict):
    """Whether there is a `view`, a `scale` and an `offset`: golden.npz holds the arrays."""

    name: str
    shape: tuple[int, ...]
    view: bool
    scale: bool
    offset: bool
    host: tuple[str, int] | None


class _Text(_Strict):
    """golden.json; a node has name, op and inputs, and the fields of its op, null where golden.npz holds an array."""

    inputs: list[_Input]
    nodes: list[dict]
    outputs: list[_Output]


def ops() -> dict[str, type[Op]]:
    """The op classes that the files of hwgen/ops/ declare, by name."""
    importers()  # reads every file
    found, left = {}, list(Op.__subclasses__())
    while left:
        op = left.pop()
        left += op.__subclasses__()
        if is_dataclass(op) and op.__module__.startswith("hwgen.ops."):
            found[op.__name__] = op
    return found


def names(mode: int = 0) -> tuple[str, str]:
    """The files of a mode's golden graph, JSON and npz."""
    return f"golden{mode or ''}.json", f"golden{mode or ''}.npz"


def dump(graph: Graph) -> tuple[str, bytes]:
    """The graph as (JSON text, npz bytes); the same graph gives the same bytes."""
    nodes = []
    inputs, outputs, arrays = border(graph)
    for node in graph.nodes:
        values = {name: getattr(node.op, name) for name in _fields(node.op)}
        for key, value in values.items():
            if isinstance(value, np.ndarray):
                arrays[f"{node.name}.{key}"] = value
                values[key] = None
        nodes.append({"name": node.name, "op": type(node.op).__name__, "inputs": node.inputs, **values})
    text = {"inputs": inputs, "nodes": nodes, "outputs": outputs}
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    return json.dumps(text, indent=1) + "\n", buffer.getvalue()


def border(graph: Graph) -> tuple[list[dict], list[dict], dict[str, Any]]:
    """The inputs and outputs of a graph as golden.json has them, and their arrays by name."""
    inputs, outputs, arrays = [], [], {}
    for i, one in enumerate(graph.inputs):
        low, high = one.type.qtype.low, one.type.qtype.high
        kind = {"shape": one.type.shape, "low": low, "high": high, "exponent": one.type.exponent}
        entry = {"name": one.name, "type": kind, "shape": one.shape, "view": one.view is not None}
        inputs.append(entry | {"steps": [step for step, _ in one.steps], "rounding": one.rounding})
        arrays |= {f"inputs.{i}.steps.{n}": value for n, (_, value) in enumerate(one.steps)}
        arrays |= {} if one.view is None else {f"inputs.{i}.view": one.view}
    for i, one in enumerate(graph.outputs):
        held = {name: getattr(one, name) for name in HELD}
        has = {name: value is not None for name, value in held.items()}
        outputs.append({"name": one.name, "shape": one.shape, **has, "host": one.host})
        arrays |= {f"outputs.{i}.{name}": value for name, value in held.items() if has[name]}
    return inputs, outputs, arrays


def load(folder: Path, mode: int = 0) -> Graph:
    """The graph of the build in `folder`, of one of its modes; raises BadInput when its files are not of the form that
    `dump` gives."""
    try:
        text_path, arrays_path = (folder / name for name in names(mode))
        text = _Text.model_validate_json(text_path.read_bytes())
        with np.load(arrays_path, allow_pickle=False) as file:
            arrays = dict(file)
        known = ops()
        nodes = tuple(_node(entry, known, arrays) for entry in text.nodes)
        inputs = tuple(_input(one, f"inputs.{i}", arrays) for i, one in enumerate(text.inputs))
        outputs = tuple(_output(one, f"outputs.{i}", arrays) for i, one in enumerate(text.outputs))
        if arrays:
            raise ValueError(f"nothing has the array {next(iter(arrays))}")
        graph = Graph(inputs, nodes, outputs)
        _check_border(graph)
    except Exception as error:  # zip, zlib, JSON, numpy and every layer have errors of their own
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"the golden graph cannot be read: {first}", str(folder), "build again") from error
    return graph


def _input(entry: _Input, place: str, arrays: dict[str, np.ndarray]) -> Input:
    """The input of an entry, which takes its arrays out of `arrays`."""
    steps = tuple((step, _array(f"{place}.steps.{n}", np.float64, arrays)) for n, step in enumerate(entry.steps))
    kind = TensorType(entry.type.shape, QType(entry.type.low, entry.type.high), entry.type.exponent)
    view = _array(f"{place}.view", np.int64, arrays) if entry.view else None
    return Input(entry.name, kind, entry.shape, view, steps, entry.rounding)


def _output(entry: _Output, place: str, arrays: dict[str, np.ndarray]) -> Output:
    """The output of an entry, which takes its arrays out of `arrays`."""
    held = {name: _array(f"{place}.{name}", dtype, arrays) for name, dtype in HELD.items() if getattr(entry, name)}
    return Output(entry.name, entry.shape, host=entry.host, **held)


def _array(name: str, dtype: type, arrays: dict[str, np.ndarray]) -> np.ndarray:
    if name not in arrays or arrays[name].dtype != dtype:
        raise ValueError(f"the array {name} is missing, or not one of {dtype.__name__}")
    return arrays.pop(name)


def _check_border(graph: Graph) -> None:
    """Raises ValueError for inputs and outputs that are none, before anything is made of them."""
    names = [one.name for one in (*graph.inputs, *graph.nodes)]
    if not graph.inputs or not graph.outputs or len(set(names)) < len(names):
        raise ValueError("the network has no input, no output, or two tensors of one name")
    for one in graph.inputs:
        size, qtype = prod(one.shape), one.type.qtype
        sound = qtype.low <= qtype.high and min(one.type.shape) >= 1 and prod(one.type.shape) == size
        sound &= one.view is None or np.array_equal(np.sort(one.view), np.arange(size))
        sound &= all(step in STEPS for step, _ in one.steps)
        sound &= all(_spreads(value, one.shape) for _, value in one.steps) and one.rounding in ROUNDINGS
        if not sound:
            raise ValueError(f"the input {one.name} is {one.type} of shape {one.shape}")
    types = graph.types()  # what a layer cannot take shows here
    for one in graph.outputs:
        size = prod(types[one.name].shape)
        sound = prod(one.shape) == size if one.view is None else one.view.shape == one.shape
        sound &= one.view is None or bool(np.all((one.view >= 0) & (one.view < size)))
        dims = [dim for dim in range(-len(one.shape), len(one.shape) + 1) if dim != 0]
        sound &= all(
            value is None or (_spreads(value, one.shape) and bool(np.all(np.isfinite(value))))
            for value in (one.scale, one.offset)
        )
        sound &= one.host is None or (one.host[0] in ON_HOST and one.host[1] in dims)
        if not sound:
            raise ValueError(f"the output {one.name} is {types[one.name]} of shape {one.shape}")


def _spreads(value: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether an array broadcasts against a shape; raises ValueError where the two do not agree at all."""
    return np.broadcast_shapes(value.shape, shape) == shape


def _node(entry: dict, known: Mapping[str, type[Op]], arrays: dict[str, np.ndarray]) -> Node:
    """The node of an entry, which takes its arrays out of `arrays`."""
    name, inputs = entry.pop("name"), _value(tuple[str, ...], entry.pop("inputs"))
    op = known[entry.pop("op")]
    hints = get_type_hints(op)
    if entry.keys() != set(_fields(op)):
        raise ValueError(f"{name} has the fields {', '.join(entry)}, which are not those of {op.__name__}")
    values = {}
    for key, value in entry.items():
        if value is None and f"{name}.{key}" in arrays:
            values[key] = arrays.pop(f"{name}.{key}")
            if hints[key] is not np.ndarray or values[key].dtype not in DTYPES:
                raise ValueError(f"{name}.{key} is an array of {values[key].dtype}")
        else:
            values[key] = _value(hints[key], value)
    return Node(_value(str, name), op(**values), inputs)


def _fields(op: Any) -> list[str]:
    """The names of an op's fields, of its class or of one of it: every op is a dataclass."""
    return [field.name for field in fields(op)]


def _value(hint: Any, value: Any) -> Any:
    """A value of golden.json as the type that a field has: nothing is converted but a list to a tuple."""
    if hint is np.ndarray:
        raise ValueError("an array is missing")
    return TypeAdapter(hint).validate_json(json.dumps(value), strict=True)
