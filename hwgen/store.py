"""The golden graph of a build on disk: golden.json for the structure, golden.npz for the numbers."""

import json
from dataclasses import fields
from io import BytesIO
from pathlib import Path

import numpy as np

from hwgen.errors import BadInput
from hwgen.ir import Graph, Node, TensorType
from hwgen.ops.add import Add
from hwgen.ops.conv import Conv
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType

OPS = {op.__name__: op for op in (Add, Conv, MaxPool, Quantize)}


def dump(graph: Graph) -> tuple[str, bytes]:
    """The graph as (JSON text, npz bytes); the same graph gives the same bytes."""
    arrays, nodes = {}, []
    for node in graph.nodes:
        values = {field.name: getattr(node.op, field.name) for field in fields(node.op)}
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
    """The graph of the build in `folder`; raises BadInput when its files cannot be read."""
    try:
        text = json.loads((folder / "golden.json").read_text())
        with np.load(folder / "golden.npz", allow_pickle=False) as arrays:
            nodes = tuple(_node(entry, arrays) for entry in text["nodes"])
        kind = text["input_type"]
        input_type = TensorType(tuple(kind["shape"]), QType(kind["low"], kind["high"]), kind["exponent"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"the golden graph cannot be read: {error}", str(folder), "build again") from error
    return Graph(
        text["input_name"],
        input_type,
        tuple(text["input_shape"]),
        nodes,
        text["output_name"],
        tuple(text["output_shape"]),
    )


def _node(entry: dict, arrays) -> Node:
    op = OPS[entry["op"]]
    values = {}
    for field in fields(op):
        value = entry[field.name]
        array = f"{entry['name']}.{field.name}"
        values[field.name] = arrays[array] if array in arrays else tuple(value) if isinstance(value, list) else value
    return Node(entry["name"], op(**values), tuple(entry["inputs"]))
