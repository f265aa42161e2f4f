"""Brevitas: networks trained with quantized layers, exported as QONNX, as QDQ with integer weights (QCDQ), or with
thresholds (MultiThreshold), as FINN's transformation makes them."""

import warnings
from collections import Counter
from functools import partial
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import onnx
import torch
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFixedPoint,
    Int32Bias,
    ShiftedUint8ActPerTensorFloat,
    Uint8ActPerTensorFixedPoint,
    Uint8ActPerTensorFloat,
)
from onnx import NodeProto, helper, numpy_helper
from torch import nn

from benchmarks.imports.networks import Kit, digits


def kit(bits: int = 8, fixed: bool = False, shifted: bool = False) -> Kit:
    """Weights and activations of `bits` bits (the input's and the last layer's weights of 8), with scales of a number a
    channel; fixed -- with powers of two a tensor; shifted -- with a zero point where there is no ReLU."""
    weight = Int8WeightPerTensorFixedPoint if fixed else Int8WeightPerChannelFloat
    signed = Int8ActPerTensorFixedPoint if fixed else Int8ActPerTensorFloat
    signed = ShiftedUint8ActPerTensorFloat if shifted else signed
    unsigned = Uint8ActPerTensorFixedPoint if fixed else Uint8ActPerTensorFloat

    def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
        return qnn.QuantConv2d(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
            weight_quant=weight,
            weight_bit_width=bits,
        )

    def average(size: int) -> nn.Module:
        return nn.AvgPool2d(size) if not fixed else nn.Sequential(nn.AvgPool2d(size), identity(8))

    identity = lambda width: qnn.QuantIdentity(act_quant=signed, bit_width=width, return_quant_tensor=True)  # noqa: E731
    return Kit(
        partial(identity, 8),
        conv,
        lambda inputs, outputs: qnn.QuantLinear(inputs, outputs, True, weight_quant=weight, bias_quant=Int32Bias),
        lambda: qnn.QuantReLU(act_quant=unsigned, bit_width=bits, return_quant_tensor=True),
        partial(identity, bits),
        average,
    )


def write(network: nn.Module, path: Path, form: str = "qonnx") -> None:
    """Writes a trained network as 'qonnx', 'qcdq' or 'thresholds'."""
    options: dict = {
        "args": digits()[0][:1],
        "export_path": str(path),
        "dynamo": False,
        "input_names": ["x"],
        "output_names": ["y"],
        "dynamic_axes": {"x": {0: "batch"}, "y": {0: "batch"}},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export = export_onnx_qcdq if form == "qcdq" else export_qonnx
        export(network, **options)
    if form == "thresholds":
        onnx.save(with_thresholds(onnx.load(str(path))), str(path))


def run(network: nn.Module, x: np.ndarray) -> np.ndarray:
    """What Brevitas itself computes, in float32."""
    with torch.no_grad():
        result = network(torch.from_numpy(x.astype(np.float32)))
    return getattr(result, "value", result).numpy()


def with_thresholds(model: onnx.ModelProto) -> onnx.ModelProto:
    """QONNX whose quantizers of activations are MultiThreshold, as FINN's ConvertQONNXtoFINN and streamlining write
    them: a ReLU and a batch norm with positive factors before one are in its thresholds."""
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    nodes, gone = [], set()
    for node in graph.node:
        if node.op_type != "Quant" or node.input[0] in {"x", *constants}:  # weights, and the input
            continue
        scale, bits = (float(constants[node.input[n]]) for n in (1, 3))
        signed, narrow = (helper.get_attribute_value(a) for a in _named(node, "signed", "narrow"))
        low = -(2 ** (bits - 1)) + narrow if signed else 0
        steps = np.arange(2**bits - 1 - narrow, dtype=np.float64)
        thresholds, source = ((low + steps + 0.5) * scale)[None, :], node.input[0]
        for kind in ("Relu", "BatchNormalization"):
            maker = makers.get(source)
            if maker is None or maker.op_type != kind or readers[source] > 1:
                continue
            if kind == "BatchNormalization":
                gamma, beta, mean, variance = (constants[name].astype(np.float64) for name in maker.input[1:5])
                if (gamma <= 0).any():
                    continue
                (epsilon,) = (helper.get_attribute_value(a) for a in _named(maker, "epsilon"))
                factor = gamma / np.sqrt(variance + epsilon)
                thresholds = (thresholds - beta[:, None]) / factor[:, None] + mean[:, None]
            gone.add(maker.output[0])
            source = maker.input[0]
        name = f"{node.output[0]}_thresholds"
        graph.initializer.append(numpy_helper.from_array(thresholds.astype(np.float32), name))
        made = helper.make_node(
            "MultiThreshold",
            [source, name],
            node.output,
            node.name.replace("Quant", "MultiThreshold"),
            domain="qonnx.custom_op.general",
            out_dtype=f"{'' if signed else 'U'}INT{int(bits)}",
            out_scale=scale,
            out_bias=float(low * scale),
        )
        nodes.append((node, made))
    replaced = {id(old): new for old, new in nodes}
    kept = [replaced.get(id(node), node) for node in graph.node if node.output[0] not in gone]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(copies)
    return model


def _named(node: NodeProto, *names: str):
    return [next(a for a in node.attribute if a.name == name) for name in names]
