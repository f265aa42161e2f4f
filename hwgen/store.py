"""The golden graph of a build on disk: golden.json for the structure, golden.npz for the numbers."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from hwgen.errors import BadInput
from hwgen.ir import Graph, Node, Op, TensorType
from hwgen.ops import importers
from hwgen.qtype import QType

DTYPES = (np.float64, np.int64)  # of arrays


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _InputType(_Strict):
    shape: tuple[int, int, int]
    low: int
    high: int
    exponent: int


class _Text(_Strict):
    """golden.json; a node has name, op and inputs, and the fields of its op, null where golden.npz holds an array."""

    input_name: str
    input_type: _InputType
    input_shape: tuple[int, ...]
    nodes: list[dict]
    output_name: str
    output_shape: tuple[int, ...]


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


def dump(graph: Graph) -> tuple[str, bytes]:
    """The graph as (JSON text, npz bytes); the same graph gives the same bytes."""
    arrays, nodes = {}, []
    for node in graph.nodes:
        values = {name: getattr(node.op, name) for name in _fields(node.op)}
        for key, value in values.items():
            if isinstance(value, np.ndarray):
                arrays[f"{node.name}.{key}"] = value
                values[key] = None
        nodes.append({"name": node.name, "op": type(node.op).__name__, "inputs": node.inputs, **values})
    kind = graph.input_type
    text = {
        "input_name": graph.input_name,
        "input_type": {
            "shape": kind.shape,
            "low": kind.qtype.low,
            "high": kind.qtype.high,
            "exponent": kind.exponent,
        },
        "input_shape": graph.input_shape,
        "nodes": nodes,
        "output_name": graph.output_name,
        "output_shape": graph.output_shape,
    }
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    return json.dumps(text, indent=1) + "\n", buffer.getvalue()


def load(folder: Path) -> Graph:
    """The graph of the build in `folder`; raises BadInput when its files are not of the form that `dump` gives."""
    try:
        text = _Text.model_validate_json((folder / "golden.json").read_bytes())
        with np.load(folder / "golden.npz", allow_pickle=False) as file:
            arrays = dict(file)
        known = ops()
        nodes = tuple(_node(entry, known, arrays) for entry in text.nodes)
        if arrays:
            raise ValueError(f"no node has the array {next(iter(arrays))}")
        kind = text.input_type
        if kind.low > kind.high or min(kind.shape) < 1:
            raise ValueError(f"the input is {kind!r}")
        graph = Graph(
            text.input_name,
            TensorType(kind.shape, QType(kind.low, kind.high), kind.exponent),
            text.input_shape,
            nodes,
            text.output_name,
            text.output_shape,
        )
        if text.output_name not in graph.types():  # what a layer cannot take shows here
            raise ValueError(f"no node is {text.output_name}")
    except Exception as error:  # zip, zlib, JSON, numpy and every layer have errors of their own
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"the golden graph cannot be read: {first}", str(folder), "build again") from error
    return graph


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
