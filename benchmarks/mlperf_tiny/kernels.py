"""TensorFlow Lite's own kernels, and what hwgen's integers have to do with theirs."""

import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from hwgen.config import BuildConfig
from hwgen.formats import Network, read_network
from hwgen.formats.tflite.walk import Order
from hwgen.frontend import read_model
from hwgen.ir import Graph
from hwgen.passes import run_passes

BATCH = 50
RESOLVERS = {"tflite-reference": OpResolverType.BUILTIN_REF, "exact": OpResolverType.AUTO}


class Kernels:
    """An interpreter of a file, which keeps every tensor."""

    def __init__(self, path: Path, target: str):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it keeps them
            self.interpreter = Interpreter(
                str(path),
                experimental_op_resolver_type=RESOLVERS[target],
                experimental_preserve_all_tensors=True,
            )
        self.interpreter.allocate_tensors()
        (self.input,), (self.output,) = self.interpreter.get_input_details(), self.interpreter.get_output_details()

    def run(self, frames: np.ndarray, tensors) -> dict[int, np.ndarray]:
        """The int8 tensors of these numbers, less their zero points, as the module holds them: float64."""
        found = {number: [] for number in tensors}
        for frame in frames:
            self.interpreter.set_tensor(self.input["index"], frame[None])
            self.interpreter.invoke()
            for number in tensors:
                found[number].append(self.interpreter.get_tensor(number).astype(np.float64))
        zeros = {one["index"]: one["quantization"][1] for one in self.interpreter.get_tensor_details()}
        stacked = {number: np.concatenate(values) - zeros[number] for number, values in found.items()}
        _, rows, columns, *_ = (*self.input["shape"], 0)
        axes = Order(bool(rows > columns)).axes
        return {number: x.transpose(*axes) if x.ndim == 4 else x for number, x in stacked.items()}


def random_frames(shape: tuple[int, ...], count: int) -> np.ndarray:
    """int8, uniform."""
    return np.random.default_rng(0).integers(-128, 128, (count, *shape)).astype(np.int8)


def graph_of(path: Path, target: str) -> tuple[Network, tuple[torch.Tensor, ...], Graph]:
    """The module of a file, an example of its input, and its graph of integers."""
    module, example = read_network(str(path), target)
    assert isinstance(module, Network)
    config = BuildConfig(target=target)
    return module, example, run_passes(read_model(module, example, config.requantization)[0])


def before_softmax(module: Network, graph: Graph) -> int:
    """The number of the last tensor that is compared: a SOFTMAX behind it is the host's, in floats."""
    *_, (_, (takes,), (gives,)), _ = module.calls
    return int(gives if graph.outputs[0].host is None else takes)


def outputs(path: Path, target: str, frames: np.ndarray) -> dict[str, int]:
    """Of all frames, the last tensor of the golden graph against the kernels': values, those that differ, and the
    frames in which any does."""
    module, _, graph = graph_of(path, target)
    last, kernels = before_softmax(module, graph), Kernels(path, target)
    counted = {"values": 0, "differ": 0, "frames": len(frames), "frames_differ": 0}
    for start in range(0, len(frames), BATCH):
        some = frames[start : start + BATCH]
        wanted = kernels.run(some, [last])[last]
        apart = _golden(graph, some).reshape(len(some), -1) != wanted.reshape(len(some), -1)
        counted["values"] += apart.size
        counted["differ"] += int(apart.sum())
        counted["frames_differ"] += int(apart.any(1).sum())
    return counted


def _golden(graph: Graph, frames: np.ndarray) -> np.ndarray:
    """The integers that the network sends."""
    return graph.eval(*graph.quantize_inputs(torch.from_numpy(frames).double()))[0].numpy()


def layers(path: Path, frames: np.ndarray) -> dict[str, float]:
    """Of each layer's integers, by rational arithmetic on what the default kernels computed before it, against those
    that these computed of the same: values, those that differ, and the furthest that one of them is from the middle
    between two integers, in parts of its value."""
    module, _, graph = graph_of(path, "exact")
    kernels, last = Kernels(path, "exact"), before_softmax(module, graph)
    steps = [(name, takes, int(gives)) for name, takes, (gives,) in module.calls[1:-1] if int(gives) <= last]
    numbers = {int(n) for _, takes, gives in steps for n in (*takes, gives)}
    counted = {"values": 0, "differ": 0, "furthest": 0.0, "most": 0}
    for start in range(0, len(frames), BATCH):
        found = kernels.run(frames[start : start + BATCH], numbers)
        for name, takes, gives in steps:
            step, tensors = module.get_submodule(name), [torch.from_numpy(found[int(n)].copy()) for n in takes]
            with torch.no_grad(), _Rounded() as rounded:
                levels = step(*tensors).numpy()
            apart = levels != found[gives]
            counted["values"] += apart.size
            counted["differ"] += int(apart.sum())
            if apart.any():
                numbers_before = rounded.last[apart]
                tie = abs(abs(numbers_before - np.floor(numbers_before)) - 0.5)
                counted["furthest"] = max(counted["furthest"], float((tie / abs(numbers_before)).max()))
                counted["most"] = max(counted["most"], int(abs(levels - found[gives]).max()))
    return counted


class _Rounded:
    """What the layers of the module round, while it is entered."""

    def __enter__(self):
        from hwgen.formats.tflite import integers

        self.last = np.zeros(0)
        real = integers.quantize_affine

        def spy(x, scale, *rest):
            self.last = (x / scale).numpy()
            return real(x, scale, *rest)

        self.patch = patch.object(integers, "quantize_affine", spy)
        self.patch.__enter__()
        return self

    def __exit__(self, *error):
        self.patch.__exit__(*error)
