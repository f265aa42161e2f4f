"""QONNX's executor on a batch: each node by qonnx's own custom ops, or by onnxruntime."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from qonnx.core.execute_custom_node import execute_custom_node
from qonnx.custom_op.registry import is_custom_op

RENAMED = {name: "qonnx.custom_op.general" for name in ("finn.custom_op.general", "onnx.brevitas")}


class Executor:
    """Computes files as qonnx.core.onnx_exec.execute_onnx does, node by node in float32; that takes the batch that the
    file names, and makes a session for each node anew."""

    def __init__(self, path: Path | str):
        self.model = onnx.load(str(path))
        for node in self.model.graph.node:
            node.domain = RENAMED.get(node.domain, node.domain)
        graph = self.model.graph
        self.versions = {RENAMED.get(own.domain, own.domain): own.version for own in self.model.opset_import}
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.inputs = [info.name for info in graph.input if info.name not in self.constants]
        self.sessions: dict[int, onnxruntime.InferenceSession] = {}

    def tensors(self, *arrays: np.ndarray) -> dict[str, np.ndarray]:
        """All tensors of the file by their names, for inputs [N, ...]."""
        values = self.constants | {
            name: array.astype(np.float32) for name, array in zip(self.inputs, arrays, strict=True)
        }
        for n, node in enumerate(self.model.graph.node):
            if is_custom_op(node.domain, node.op_type):
                values.update({name: np.zeros(0, np.float32) for name in node.output})
                version = self.versions.get(node.domain, 1)
                execute_custom_node(node, values, self.model.graph, onnx_opset_version=version)
            else:
                feeds = {name: values[name] for name in node.input if name}
                values.update(zip(node.output, self._session(n, node, feeds).run(None, feeds), strict=True))
        return values

    def _session(self, n: int, node, feeds: dict[str, np.ndarray]) -> onnxruntime.InferenceSession:
        if n not in self.sessions:
            infos = [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), None)
                for name, value in feeds.items()
            ]
            results = [helper.make_empty_tensor_value_info(name) for name in node.output]
            version = helper.make_opsetid("", self.versions[""])
            model = helper.make_model(helper.make_graph([node], "node", infos, results), opset_imports=[version])
            model.ir_version = 8
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = 1, 3
            self.sessions[n] = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        return self.sessions[n]


def execute(path: Path | str, *arrays: np.ndarray) -> np.ndarray:
    """The first output of a file, for inputs [N, ...]."""
    executor = Executor(path)
    return executor.tensors(*arrays)[executor.model.graph.output[0].name]
