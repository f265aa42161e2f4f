"""PT2E: float networks that torchao quantizes with the quantizer that it brings for XNNPACK, and torch computes in
float32."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config

from benchmarks.imports.networks import digits


def quantized(network: nn.Module, path: Path, bits: int = 8) -> None:
    """Writes the network as a .pt2 file, weights of a scale a channel and activations of `bits` bits, calibrated on
    digits; its batch is that of the tests."""
    x, _, tests, _ = digits()
    most = (1 << (bits - 1)) - 1
    config = get_symmetric_quantization_config(
        is_per_channel=True, act_qmin=-most - 1, act_qmax=most, weight_qmin=-most, weight_qmax=most
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (tests,)).module()
        program = prepare_pt2e(program, XNNPACKQuantizer().set_global(config))
        program(tests.new_tensor(x[: len(tests)]))
        torch.export.save(torch.export.export(convert_pt2e(program), (tests,)), path)


def run(path: Path, x: np.ndarray) -> np.ndarray:
    """What torch computes of the file, for the frames of the tests."""
    with torch.no_grad():
        return torch.export.load(path).module()(torch.from_numpy(x)).numpy()
