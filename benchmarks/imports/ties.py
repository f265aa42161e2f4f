"""Where a tool's float32 quantizes otherwise than rational arithmetic: whether that is a tie."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from hwgen.formats import read_network

NOISE = 2.0**-18  # of the greatest level


def near_ties(path: Path | str, theirs: Mapping[str, np.ndarray], x: np.ndarray) -> tuple[int, int]:
    """What quantizers with constant scales in a file make of frames [N, ...]: how many levels differ from those of
    rational arithmetic, in frames whose tensors before that are equal, and how many of these are no ties: further from
    the middle of two levels than NOISE.

    theirs  what the tool's runtime computes, by the names of the tensors: results of Quant, or of QuantizeLinear
    """
    graph = onnx.load(str(path)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants |= {n.output[0]: numpy_helper.to_array(n.attribute[0].t) for n in graph.node if n.op_type == "Constant"}
    network, _ = read_network(str(path))
    with torch.no_grad():
        ours = network.tensors(torch.from_numpy(x).double())  # type: ignore[operator]
    equal, differ, others = np.ones(len(x), bool), 0, 0
    for node in graph.node:
        result = node.output[0]
        if node.op_type not in ("Quant", "QuantizeLinear") or result not in ours or result not in theirs:
            continue
        scale, zero = (np.asarray(constants[node.input[n]], np.float64) for n in (1, 2))
        level, wanted = (np.asarray(values[result], np.float64) for values in (theirs, ours))
        if node.op_type == "Quant":  # whose result is what the levels are worth
            level, wanted = (np.rint(values / scale + zero) for values in (level, wanted))
        wrong = (level != wanted) & equal.reshape(-1, *[1] * (level.ndim - 1))
        ideal = (ours[node.input[0]].numpy() / scale + zero)[wrong]
        tie = np.abs(ideal - np.floor(ideal) - 0.5) <= NOISE * np.abs(wanted).max()
        differ, others = differ + int(wrong.sum()), others + int((~tie).sum())
        equal &= (level == wanted).reshape(len(x), -1).all(axis=1)
    return differ, others
