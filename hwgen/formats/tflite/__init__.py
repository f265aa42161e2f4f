"""TensorFlow Lite: int8 networks, as their kernels compute them, and float ones.

Of an int8 network the module takes the integers of its input as floats, [N, rows, columns, channels] as the file has
it, and returns those of its outputs. Each operator is a submodule, named by its output tensor, whose result is the
tensor's integers less their zero point, with the channels first (see `walk.Order`). A SOFTMAX at the end is the host's,
in floats, so its result is probabilities; a DEQUANTIZE there gives floats, too, and a float input is quantized by a
QUANTIZE.

The target says how sums become levels. `exact`: of the rational number that the file's scales make of the sum, half
even. `tflite-reference`: as TensorFlow Lite's reference kernels (BUILTIN_REF), bit for bit.

A file of floats alone becomes layers of torch, to be compressed.
"""

from pathlib import Path

from hwgen.errors import BadInput
from hwgen.formats import Read, needs
from hwgen.formats.tflite.file import Subgraph, parse
from hwgen.formats.tflite.integers import Integers
from hwgen.formats.tflite.layers import Floats
from hwgen.target import EXACT, TFLITE_REFERENCE

SUFFIXES = (".tflite",)
TARGETS = (EXACT, TFLITE_REFERENCE)


def read(path: str, target: str = "exact") -> Read:
    """The network of a .tflite file, as (module, example_inputs).

    target -- exact or tflite-reference. Raises BadInput where the file is broken, UnsupportedLayer, or Obstacles that
    tell all of them, where an operator is none of those here.
    """
    if target not in TARGETS:
        raise BadInput(f"target = {target!r} for a .tflite file", path, f"use {' or '.join(TARGETS)}")
    graph = _graph(path)
    quantized = any(tensor.kind not in ("FLOAT32", "INT32", "INT64") for tensor in graph.tensors)
    return (Integers if quantized else Floats)(graph, path, target).read()


def floats(path: str) -> Read:
    """The network of a .tflite file, as `read`, but in layers of floats, to be compressed: those that the integers of
    its weights and biases stand for, without the quantizers of its activations."""
    return Floats(_graph(path), path, EXACT).read()


def _graph(path: str) -> Subgraph:
    schema = needs("tflite", path, "tflite")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"the file cannot be read: {error.strerror}", path, "name a .tflite file") from None
    return parse(content, path, schema)
