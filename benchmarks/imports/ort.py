"""onnxruntime: float networks quantized by its quantize_static, and run by it."""

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn

from benchmarks.imports.networks import digits

# names of what quantize_static is asked for: types of weights and activations
KINDS = {
    "W8A8": (QuantType.QInt8, QuantType.QUInt8),
    "W8A8s": (QuantType.QInt8, QuantType.QInt8),
    "W4A8": (QuantType.QInt4, QuantType.QUInt8),
}


class _Frames(CalibrationDataReader):
    def __init__(self, name: str, x: torch.Tensor):
        self.frames = iter([{name: x[n : n + 50].numpy()} for n in range(0, len(x), 50)])

    def get_next(self):
        return next(self.frames, None)


def float_file(network: nn.Module, path: Path, example: torch.Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
        )


def quantized(network: nn.Module, path: Path, kind: str = "W8A8", form: QuantFormat = QuantFormat.QDQ) -> None:
    """Writes the network with integers of a kind of KINDS, calibrated on digits."""
    x, *_ = digits()
    floats = path.with_suffix(".float.onnx")
    float_file(network, floats, x[:1])
    weights, activations = KINDS[kind]
    logging.disable(logging.WARNING)
    try:
        quantize_static(
            floats,
            path,
            _Frames("x", x[:200]),
            quant_format=form,
            per_channel=True,
            weight_type=weights,
            activation_type=activations,
        )
    finally:
        logging.disable(logging.NOTSET)
        floats.unlink()


def run(path: Path, x: np.ndarray, optimize: bool = True) -> np.ndarray:
    """What onnxruntime computes of frames [N, ...], on one thread; optimize -- with its integer kernels."""
    return np.asarray(_run(path.read_bytes(), x, optimize)[0])


def levels(path: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """The results of all QuantizeLinear nodes, with the integer kernels, by their names."""
    model = onnx.load(str(path))
    names = [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    found = _run(model.SerializeToString(), x, True)
    return dict(zip(names, map(np.asarray, found[-len(names) :]), strict=True))


def _run(model: bytes, x: np.ndarray, optimize: bool) -> list:
    options = onnxruntime.SessionOptions()
    # without VNNI (AVX2 alone) products of unsigned and signed bytes are added in 16 bits that saturate, else
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)}))
