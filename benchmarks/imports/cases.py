"""What is imported: a tool's network in a file, and what the tool itself computes of it."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from brevitas import export as exporters

from benchmarks.imports import brevitas, exact, fake, ort, pt2e
from benchmarks.imports.executor import execute
from benchmarks.imports.networks import NETWORKS, digits, make
from benchmarks.spatial.run import ROOT
from hwgen.load import load

Run = Callable[[np.ndarray], np.ndarray]  # frames [N, 1, 8, 8] -> [N, 10]
Written = tuple[Path, Run, Run]


@dataclass(frozen=True)
class Case:
    """tool, form  as the table names them; network -- of NETWORKS
    target  the tool's own, of BuildConfig, beside "exact"
    write   writes the network into a folder: the path of the file, the tool's run, and torch's in float64
    """

    tool: str
    form: str
    network: str
    write: Callable[[str, Path], Written]
    target: str = "exact"

    def __str__(self) -> str:
        return f"{self.tool}, {self.form}: {self.network}"


def _onnxruntime(kind: str, name: str, folder: Path) -> Written:
    path = folder / "net.onnx"
    ort.quantized(make(name, epochs=EPOCHS), path, kind)
    return path, partial(ort.run, path), partial(_file, path)


def _brevitas(export: str, bits: int, fixed: bool, name: str, folder: Path) -> Written:
    path = folder / "net.onnx"
    network = make(name, brevitas.kit(bits, fixed), EPOCHS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = getattr(exporters, export)
        written(network, digits()[2][:1], str(path), dynamo=False)
    return path, partial(_module, network), partial(_file, path)


def _pquant(form: str, name: str, folder: Path) -> Written:
    """Files that benchmarks.imports.pquant_files wrote; one is of Keras layers with the quantizers of HGQ2."""
    path = ROOT / "tests" / "data" / f"pquant_{name}_{form}.onnx"
    run = partial(execute, path) if form == "qonnx" else partial(ort.run, path)
    if not name.startswith("keras"):
        return path, run, partial(_file, path)
    return path, lambda x: run(_last(x)), lambda x: _file(path, _last(x))


def _last(x: np.ndarray) -> np.ndarray:
    """Frames with channels last."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def _file(path: Path, x: np.ndarray) -> np.ndarray:
    """What torch computes in float64 of the file's nodes, frame by frame, as the batch of a file is one."""
    network, _ = load(str(path))
    with torch.no_grad():
        return np.concatenate([network(frame).numpy() for frame in torch.from_numpy(x).double().split(1)])


def _program(path: Path, x: np.ndarray) -> np.ndarray:
    return exact.run(torch.export.load(path), torch.from_numpy(x)).numpy()


def _module(network: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        y = network(torch.from_numpy(x))
    return getattr(y, "value", y).numpy()


def _pt2e(bits: int, name: str, folder: Path) -> Written:
    path = folder / "net.pt2"
    pt2e.quantized(make(name, epochs=EPOCHS), path, bits)
    return path, partial(pt2e.run, path), partial(_program, path)


def _fake(bits: int, name: str, folder: Path) -> Written:
    path = folder / "net.pt2"
    network = make(name, fake.kit(bits), EPOCHS)
    tests = digits()[2]
    torch.export.save(torch.export.export(network, (tests,)), path)
    return path, partial(_module, network), partial(_program, path)


EPOCHS = 8
PQUANT = ("convolutions_rnd_conv", "perceptron_rnd", "keras_rnd_conv", "perceptron_trn")
FORMS = (
    ("onnxruntime", "QDQ W8A8", partial(_onnxruntime, "W8A8"), "onnxruntime", tuple(NETWORKS)),
    ("onnxruntime", "QDQ W4A8", partial(_onnxruntime, "W4A8"), "onnxruntime", ("plain", "residual", "wide")),
    ("Brevitas", "QONNX W8A8", partial(_brevitas, "export_qonnx", 8, False), "exact", tuple(NETWORKS)),
    ("Brevitas", "QONNX W4A4", partial(_brevitas, "export_qonnx", 4, False), "exact", tuple(NETWORKS)),
    (
        "Brevitas",
        "QONNX W8A8 fixed",
        partial(_brevitas, "export_qonnx", 8, True),
        "exact",
        ("plain", "residual"),
    ),
    ("Brevitas", "QCDQ W8A8", partial(_brevitas, "export_onnx_qcdq", 8, False), "exact", ("plain", "residual")),
    ("PQuant", "QONNX", partial(_pquant, "qonnx"), "exact", PQUANT),
    ("PQuant", "QDQ", partial(_pquant, "qdq"), "exact", PQUANT[:3]),
    ("PT2E", "int8", partial(_pt2e, 8), "exact", tuple(NETWORKS)),
    ("PT2E", "int4", partial(_pt2e, 4), "exact", ("plain", "residual")),
    ("fake quantize", "W8A8", partial(_fake, 8), "exact", ("plain", "depthwise", "residual", "resnet8")),
    ("fake quantize", "W4A4", partial(_fake, 4), "exact", ("plain", "residual")),
)
CASES = tuple(
    Case(tool, form, network, write, target) for tool, form, write, target, names in FORMS for network in names
)
