"""Operators on integers, as onnxruntime writes them in the place of QuantizeLinear and DequantizeLinear (QOperator),
written out as the nodes that they stand for."""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import AttributeProto, NodeProto, helper


@dataclass(frozen=True)
class Form:
    """Where the inputs of an operator are.

    kind      the node between the quantizers
    operands  first of the three inputs of each: levels, scale, zero point
    result    first of the two inputs of the result: scale, zero point
    axis      of the second operand, along which scales differ
    bias      of 32 bits, each worth the product of the scales of the operands; None: there is none
    """

    kind: str
    operands: tuple[int, ...]
    result: int
    axis: int = 0
    bias: int | None = None


FORMS = {
    ("", "QLinearConv"): Form("Conv", (0, 3), 6, 0, 8),
    ("", "QLinearMatMul"): Form("MatMul", (0, 3), 6, -1),
    ("com.microsoft", "QGemm"): Form("Gemm", (0, 3), 7, 1, 6),
    ("com.microsoft", "QLinearAdd"): Form("Add", (0, 3), 6),
    ("com.microsoft", "QLinearMul"): Form("Mul", (0, 3), 6),
    ("com.microsoft", "QLinearAveragePool"): Form("AveragePool", (0,), 3),
    ("com.microsoft", "QLinearGlobalAveragePool"): Form("GlobalAveragePool", (0,), 3),
    ("com.microsoft", "QLinearLeakyRelu"): Form("LeakyRelu", (0,), 3),
    ("com.microsoft", "QLinearSigmoid"): Form("Sigmoid", (0,), 3),
}


def written_out(node: NodeProto) -> Sequence[NodeProto]:
    """The nodes of floats, between DequantizeLinear and QuantizeLinear, that a node on integers stands for; any other
    node itself."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    if domain == "com.microsoft" and node.op_type == "QLinearConcat":
        count = (len(node.input) - 2) // 3
        form = Form("Concat", tuple(2 + 3 * n for n in range(count)), 0)
    elif (domain, node.op_type) in FORMS:
        form = FORMS[domain, node.op_type]
    else:
        return [node]
    return _parts(node, form)


def _parts(node: NodeProto, form: Form) -> list[NodeProto]:
    name = node.name or next(iter(node.output), "") or node.op_type
    inputs = [*node.input, *[""] * 9]
    attributes = {a.name: a for a in node.attribute}
    if "channels_last" in attributes and not helper.get_attribute_value(attributes["channels_last"]):
        del attributes["channels_last"]  # any other value stays, and is refused
    axis = form.axis
    if form.kind == "Gemm" and "transB" in attributes and helper.get_attribute_value(attributes["transB"]):
        axis = 0
    parts, taken = [], []
    for n, first in enumerate(form.operands):
        taken.append(f"{name} operand {n}")
        parts.append(_node("DequantizeLinear", name, inputs[first : first + 3], taken[-1], axis if n else 1))
    if form.bias is not None and inputs[form.bias]:
        scales = [inputs[first + 1] for first in form.operands]
        parts.append(_node("Mul", name, scales, f"{name} scale"))
        taken.append(f"{name} bias")
        parts.append(_node("DequantizeLinear", name, [inputs[form.bias], f"{name} scale"], taken[-1], 0))
    result = [f"{name} result", *inputs[form.result : form.result + 2]]
    core = helper.make_node(form.kind, taken, result[:1], name)
    core.attribute.extend(attributes.values())
    return [*parts, core, _node("QuantizeLinear", name, result, next(iter(node.output), ""))]


def _node(kind: str, name: str, inputs: Sequence[str], output: str, axis: int | None = None) -> NodeProto:
    node = helper.make_node(kind, inputs, [output], name)
    if axis is not None:
        node.attribute.append(AttributeProto(name="axis", type=onnx.AttributeProto.INT, i=axis))
    return node
