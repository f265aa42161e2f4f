"""Rounding half up, as QONNX says it: half a step is added, and a Quant rounds down."""

from collections import Counter

import numpy as np
from onnx import ModelProto, NodeProto, numpy_helper

MODE = "TIES_UP"  # of a Quant that rounds so by itself: no file has it


def half_up(model: ModelProto) -> None:
    """Makes one Quant, of MODE, of each addition of half its scale and a Quant that rounds down, if nothing else reads
    the sum."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node if len(node.output) == 1}
    read = Counter([*(name for node in graph.node for name in node.input), *(end.name for end in graph.output)])
    for node in list(graph.node):
        mode = next((each for each in node.attribute if each.name == "rounding_mode"), None)
        if node.op_type not in ("Quant", "IntQuant") or mode is None or mode.s != b"FLOOR" or len(node.input) < 2:
            continue
        add, scale = makers.get(node.input[0]), constants.get(node.input[1])
        if add is None or scale is None or read[node.input[0]] > 1:
            continue
        if _adds(add, constants, numpy_helper.to_array(scale) / 2):
            node.input[0] = add.input[0]
            mode.s = MODE.encode()
            graph.node.remove(add)


def _adds(node: NodeProto, constants: dict, half: np.ndarray) -> bool:
    """Whether a node adds one number to its first input: half."""
    if node.op_type != "Add" or node.domain or node.input[-1] not in constants or half.size != 1:
        return False
    number = numpy_helper.to_array(constants[node.input[-1]])
    return number.size == 1 and number.dtype == half.dtype and bool((number.reshape(-1) == half.reshape(-1)).all())
