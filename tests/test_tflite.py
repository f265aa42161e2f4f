"""TensorFlow Lite's int8 networks: every tensor is, bit for bit, what its kernels compute."""

import random

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import hwgen
from hwgen.config import BuildConfig
from hwgen.errors import HwgenError
from hwgen.formats import read_network
from hwgen.frontend import read_model
from hwgen.ops.rescale import Rescale, Steps
from hwgen.passes import run_passes
from hwgen.simulators import SIMULATORS
from tests.tflite_files import NONE, RELU, RELU6, RELU_N1_TO_1, VALID, File, Layers

REFERENCE = "tflite-reference"
FRAMES = 40


def residual(seed=0) -> tuple[Layers, int]:
    """Convolutions of strides and 1x1, a depthwise one of two channels each, ADD and SUB, an average of ties, a dense
    layer and a softmax."""
    net = Layers(seed, (9, 8, 3))
    first = net.conv(net.input, 6, stride=(2, 2))
    deep = net.conv(net.depthwise(first, times=2, fused=RELU6), 5, (1, 1), zero=7, fused=NONE)
    short = net.conv(first, 5, (1, 1), zero=-20, fused=NONE)
    scale = float(net.scales[deep][0])
    total = net.join("SUB", net.join("ADD", deep, short, scale * 1.3), deep, scale * 1.7, 3, NONE)
    pooled = net.pool("AVERAGE_POOL_2D", total)
    return net, net.fully_connected(net.reshape(pooled, (1, 20)), 4)


def moves() -> tuple[Layers, int]:
    """A maximum, another scale, padding, a concatenation, a mean of rows and columns."""
    net = Layers(1, (8, 8, 2))
    top = net.pool("MAX_POOL_2D", net.conv(net.input, 4, padding=VALID, zero=3, fused=NONE))
    again = net.quantize(top, float(net.scales[top][0]) * 1.37, -9)
    padded = net.pad(again, ((0, 0), (1, 0), (0, 2), (0, 0)))
    deep = net.depthwise(net.concat(padded, padded), zero=2, fused=NONE)
    return net, net.fully_connected(net.mean(deep, float(net.scales[deep][0]) * 0.61, -4), 3, fused=RELU)


def one_layer(seed=2) -> tuple[Layers, int]:
    net = Layers(seed, (6, 5, 4))
    deep = net.depthwise(net.input, padding=VALID, zero=2, fused=RELU_N1_TO_1)
    return net, net.mean(deep, float(net.scales[deep][0]) * 0.3, -4, keep=True)


NETWORKS = [residual, moves, one_layer]


def inputs(net: Layers, count=FRAMES) -> np.ndarray:
    return np.random.default_rng(5).integers(-128, 128, (count, *net.shapes[net.input][1:])).astype(np.int8)


def run(content: bytes, frames: np.ndarray, resolver, tensors) -> dict[int, np.ndarray]:
    """What TensorFlow Lite computes of int8 frames: the tensors by their numbers."""
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=resolver, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    found = {number: [] for number in tensors}
    for frame in frames:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame[None])
        interpreter.invoke()
        for number in tensors:
            found[number].append(interpreter.get_tensor(number)[0].copy())
    return {number: np.stack(values) for number, values in found.items()}


def written(tmp_path, content: bytes) -> str:
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    return str(path)


def traced(module, x: torch.Tensor) -> dict[int, np.ndarray]:
    """Every tensor of a module by its number in the file, channels last, less its zero point."""
    values = {}
    for name, _, (gives,) in module.calls:
        if not gives.startswith("output"):
            module.get_submodule(name).register_forward_hook(
                lambda _, __, result, gives=gives: values.__setitem__(int(gives), result)
            )
    with torch.no_grad():
        module(x)
    axes = (0, 3, 2, 1) if x.shape[1] > x.shape[2] else (0, 2, 3, 1)  # turned, or not
    return {n: (y.permute(*axes) if y.dim() == 4 else y).numpy() for n, y in values.items()}


def graph_of(path: str, target: str):
    module, example = read_network(path, target)
    return module, run_passes(read_model(module, example, BuildConfig(target=target).requantization)[0])


@pytest.mark.parametrize("network", NETWORKS)
def test_every_tensor_is_the_reference_kernels(network, tmp_path):
    net, last = network()
    content, frames = net.written(last), inputs(net)
    module, graph = graph_of(written(tmp_path, content), REFERENCE)
    x = torch.from_numpy(frames).double()
    found = traced(module, x)
    kernels = run(content, frames, OpResolverType.BUILTIN_REF, found)
    for number, values in found.items():
        assert np.array_equal(values + net.zeros[number], kernels[number]), number
        assert len(np.unique(values)) > 7, f"tensor {number} tells little"
    assert np.array_equal(graph.golden(x)[0].numpy(), kernels[last])
    assert np.array_equal(module(x).numpy(), kernels[last])


@pytest.mark.parametrize("seed", [0, 1])
def test_rational_arithmetic_is_what_the_default_kernels_approximate(seed, tmp_path):
    """XNNPACK rounds float32 products; none of these is near enough to a tie to tell."""
    net, last = residual(seed)
    content, frames = net.written(net.softmax(last)), inputs(net)
    module, graph = graph_of(written(tmp_path, content), "exact")
    x = torch.from_numpy(frames).double()
    found = traced(module, x)
    kernels = run(content, frames, OpResolverType.AUTO, [number for number in found if number <= last])
    assert all(np.array_equal(found[number] + net.zeros[number], kernels[number]) for number in kernels)
    levels = graph.eval(*graph.quantize_inputs(x))[0].reshape(FRAMES, -1).numpy()
    assert np.array_equal(levels + net.zeros[last], kernels[last])
    # the softmax is the host's
    assert graph.outputs[0].host is not None
    logits = (kernels[last] - np.float64(net.zeros[last])) * net.scales[last][0].astype(np.float64)
    assert torch.equal(graph.golden(x)[0], torch.softmax(torch.from_numpy(logits), -1))


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_rtl_of_thresholds_and_lines(simulator, tmp_path):
    """Sums without a ReLU become levels by thresholds, a sum of two by two multipliers, an average by a line."""
    net = Layers(8, (4, 3, 2))
    first, second = (net.conv(net.input, 3, (1, 1), zero=zero, fused=NONE) for zero in (4, -30))
    total = net.join("ADD", first, second, float(net.scales[first][0]) * 1.3)
    last = net.pool("AVERAGE_POOL_2D", total, (4, 3))
    content = net.written(last)
    module, example = read_network(written(tmp_path, content), REFERENCE)
    design = hwgen.build(module, example, out=tmp_path / "out", config=BuildConfig(target=REFERENCE))
    assert {Steps, Rescale} <= {type(node.op) for node in design.graph.nodes}
    frames = inputs(net, 6)
    kernels = run(content, frames, OpResolverType.BUILTIN_REF, [last])[last]
    assert np.array_equal(design.graph.golden(torch.from_numpy(frames).double())[0].numpy(), kernels)
    for stall in (0.0, 0.4):
        result = hwgen.verify(tmp_path / "out", frames.astype(np.float64), simulator=simulator, stall=stall)
        assert result["equal"] == 6


@pytest.mark.parametrize("factor", [1, 4])
def test_weights_with_a_common_divisor_keep_the_multiplier_of_the_file(factor, tmp_path):
    """Whose first rounding is of sums as they are in the file: of a half or a third of the sums it is another one. All
    pairs of two inputs, which every sum from one end to the other is of."""
    net = Layers(4, (64, 64, 2), zero=0)
    weights = (factor * np.array([[1, 2], [2, 1], [1, 1]], np.int8)).reshape(3, 1, 1, 2)
    weight = net.tensor(weights.shape, np.array([0.0101, 0.0057, 0.0049]), data=weights)
    bias = net.tensor((3,), 0.0002, kind="INT32", data=factor * np.array([3, -1, 1], np.int32))
    last = net.tensor((1, 64, 64, 3), 0.00015 * factor, -5)
    options: dict = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    net.operator("CONV_2D", [net.input, weight, bias], [last], Padding=VALID, FusedActivationFunction=NONE, **options)
    frames = np.stack(np.meshgrid(*[np.arange(-128, 128)] * 2), -1).reshape(16, 64, 64, 2).astype(np.int8)
    content = net.written(last)
    _, graph = graph_of(written(tmp_path, content), REFERENCE)
    found = graph.golden(torch.from_numpy(frames).double())[0].numpy()
    assert np.array_equal(found, run(content, frames, OpResolverType.BUILTIN_REF, [last])[last])


def test_levels_behind_a_relu_are_a_line(tmp_path):
    net = Layers(5, (4, 4, 8))
    last = net.conv(net.input, 6, (1, 1))
    _, graph = graph_of(written(tmp_path, net.written(last)), REFERENCE)
    assert any(isinstance(node.op, Rescale) for node in graph.nodes)


def test_nibbles(tmp_path):
    """Weights of 4 bits, two a byte."""
    net = Layers(6, (3, 3, 4))
    weights = net.rng.integers(-7, 8, (5, 3, 3, 4))
    pairs = (weights.reshape(-1)[0::2] & 15) | ((weights.reshape(-1)[1::2] & 15) << 4)
    weight = net.tensor(weights.shape, np.full(5, 0.02), kind="INT4", data=pairs.astype(np.uint8))
    y = net.tensor((1, 3, 3, 5), 0.05, 3)
    options: dict = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    bias = net.tensor((5,), 0.0004, kind="INT32", data=np.arange(5, dtype=np.int32) * 90)
    net.operator("CONV_2D", [net.input, weight, bias], [y], Padding=0, **options)
    content, frames = net.written(y), inputs(net)
    module, _ = read_network(written(tmp_path, content), REFERENCE)
    found = module(torch.from_numpy(frames).double()).numpy()
    assert np.array_equal(found, run(content, frames, OpResolverType.BUILTIN_REF, [y])[y])


def test_floats_at_both_ends(tmp_path):
    """QUANTIZE of a float input, DEQUANTIZE of the result."""
    net = Layers(7, (4, 4, 2))
    x = net.tensor((1, 4, 4, 2), kind="FLOAT32", name="floats")
    net.operator("QUANTIZE", [x], [net.input])
    last = net.conv(net.input, 3)
    y = net.tensor(net.shapes[last], kind="FLOAT32", name="result")
    net.operator("DEQUANTIZE", [last], [y])
    content = net.content([x], [y])
    module, graph = graph_of(written(tmp_path, content), REFERENCE)
    frames = np.random.default_rng(1).normal(0, 2, (FRAMES, 4, 4, 2)).astype(np.float32)
    kernels = run(content, frames, OpResolverType.BUILTIN_REF, [last, y])
    found = module(torch.from_numpy(frames).double()).numpy()
    scale = net.scales[last][0]
    assert np.array_equal(np.rint(found / scale) + net.zeros[last], kernels[last])
    assert np.array_equal(found.astype(np.float32), kernels[y])
    assert np.array_equal(graph.golden(torch.from_numpy(frames))[0].numpy(), found)


def float_network() -> tuple[File, int, int]:
    """Small integers, of which float32 sums are exact."""
    net, rng = File(), np.random.default_rng(3)
    x = net.tensor((1, 6, 6, 2), kind="FLOAT32", name="input")
    weights = net.tensor((3, 3, 3, 2), kind="FLOAT32", data=rng.integers(-3, 4, (3, 3, 3, 2)).astype(np.float32))
    bias = net.tensor((3,), kind="FLOAT32", data=np.array([1, -2, 3], np.float32))
    y = net.tensor((1, 3, 3, 3), kind="FLOAT32", name="first")
    strides: dict = {"StrideH": 2, "StrideW": 2, "DilationHFactor": 1, "DilationWFactor": 1}
    net.operator("CONV_2D", [x, weights, bias], [y], Padding=0, FusedActivationFunction=RELU, **strides)
    each = net.tensor((1, 3, 3, 3), kind="FLOAT32", data=rng.integers(-3, 4, (1, 3, 3, 3)).astype(np.float32))
    z = net.tensor((1, 3, 3, 3), kind="FLOAT32", name="second")
    ones: dict = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, "DepthMultiplier": 1}
    net.operator("DEPTHWISE_CONV_2D", [y, each, bias], [z], Padding=0, **ones)
    total = net.tensor((1, 3, 3, 3), kind="FLOAT32", name="total")
    net.operator("ADD", [y, z], [total], FusedActivationFunction=RELU)
    dense = net.tensor((4, 27), kind="FLOAT32", data=rng.integers(-3, 4, (4, 27)).astype(np.float32))
    result = net.tensor((1, 4), kind="FLOAT32", name="result")
    net.operator("FULLY_CONNECTED", [total, dense, -1], [result])
    return net, x, result


def test_a_float_file_becomes_layers(tmp_path):
    net, x, result = float_network()
    content = net.content([x], [result])
    module, example = read_network(written(tmp_path, content), "exact")
    assert {type(layer).__name__ for layer in module.modules()} >= {"Conv2d", "Linear", "ReLU"}
    frames = np.random.default_rng(1).integers(-8, 9, (FRAMES, 6, 6, 2)).astype(np.float32)
    kernels = run(content, frames, OpResolverType.BUILTIN_REF, [result])[result]
    assert np.array_equal(module(torch.from_numpy(frames).double()).detach().numpy(), kernels)
    with pytest.raises(HwgenError, match="no quantizer"):
        hwgen.build(module, example, out=tmp_path / "out")


def conv(net: Layers, x: int, y: int, **changes) -> None:
    """A 1x1 convolution of 4 channels to 3 with what is changed of it."""
    options = {"scale": np.full(3, 0.1), "axis": 0, "zero": 0, "kind": "INT8", "bias_kind": "INT32", "data": None}
    options |= changes
    data = np.ones((3, 1, 1, 4), np.int8) if options["data"] is None else options["data"]
    weight = net.tensor(
        (3, 1, 1, 4), options["scale"], options["zero"], options["kind"], data, options["axis"], name="weight"
    )
    bias = net.tensor((3,), 0.002, kind=options["bias_kind"], data=np.zeros(3, np.int32), name="bias")
    ones: dict = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    net.operator("CONV_2D", [x, weight, bias], [y], **{"Padding": 0, "FusedActivationFunction": RELU, **ones})


def broken(name: str) -> bytes:
    """A network with one thing in it that is not read."""
    net = Layers(0, (3, 3, 4))
    x, kind = net.input, "INT8"
    if name in ("int16", "uint8"):
        kind = name.upper()
        x = net.tensor((1, 3, 3, 4), 0.02, 0, kind, name="x")
    if name in ("hybrid", "float island"):
        kind = "FLOAT32"
        x = net.tensor((1, 3, 3, 4), kind=kind, name="x")
        net.operator("DEQUANTIZE", [net.input], [x])
    y = net.tensor((1, 3, 3, 3), None if kind == "FLOAT32" else 0.05, -128 if kind == "INT8" else 0, kind, name="y")
    changes: dict = {
        "axis": {"axis": 3, "scale": np.full(4, 0.1)},
        "weight zero": {"zero": 3},
        "no scale": {"scale": None},
        "negative scale": {"scale": np.array([0.1, -0.1, 0.1])},
        "nan": {"scale": np.array([0.1, np.nan, 0.1])},
        "float bias": {"bias_kind": "FLOAT32"},
        "short": {"data": b"\x01" * 11},
        "float island": {"kind": "FLOAT32", "scale": None, "data": np.ones((3, 1, 1, 4), np.float32)},
    }
    conv(net, x, y, **changes.get(name, {}))
    outputs = [y]
    if name == "custom":
        outputs = [net.tensor((1, 3, 3, 3), 0.05, -128, name="z")]
        net.operator("CUSTOM", [y], outputs, custom="MyOp")
    if name == "unknown":
        outputs = [net.tensor((1, 3, 3, 3), 0.05, -128, name="z")]
        net.operator("HARD_SWISH", [y], outputs)
    if name == "too large":
        net.tensor((1, 1 << 13, 1 << 13, 4), 0.05, name="huge")
    if name == "read before":
        z = net.tensor((1, 3, 3, 3), 0.05, -128, name="z")
        net.operator("ADD", [y, z], [net.tensor((1, 3, 3, 3), 0.05, -128)])
    if name == "buffer":
        net.tensor((3,), kind="INT32", buffer=99, name="outside")
    if name == "shape":
        outputs = [net.tensor((1, 2, 2, 3), 0.05, -128, name="z")]
        net.operator("RESHAPE", [y], outputs)
    content = net.content(
        [x if name in ("int16", "uint8") else net.input],
        outputs,
        subgraphs=2 if name == "subgraphs" else 1,
        version=2 if name == "version" else 3,
        outside=name == "outside",
    )
    return {"identifier": content[:4] + b"TFL9" + content[8:], "cut": content[: len(content) // 2]}.get(name, content)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("int16", "activations of INT16"),
        ("uint8", "activations of UINT8"),
        ("hybrid", "dynamic range quantization"),
        ("float island", "DEQUANTIZE inside of the network(.|\\n)*CONV_2D of floats in an int8 network"),
        ("axis", "weight has 4 scales along dimension 3"),
        ("weight zero", "weight has a zero point"),
        ("no scale", "weight has no scale"),
        ("negative scale", "a scale of weight is -0.1"),
        ("nan", "a scale of weight is nan"),
        ("float bias", "bias of FLOAT32"),
        ("short", "weight of shape .* has 11 bytes"),
        ("custom", "custom operator MyOp"),
        ("unknown", "the operator HARD_SWISH is not read"),
        ("subgraphs", "2 subgraphs"),
        ("version", "the schema's version is 2"),
        ("outside", "weight are outside of the flatbuffer"),
        ("too large", "huge has 268435456 numbers"),
        ("read before", "z is read before it is computed"),
        ("buffer", "outside is in buffer 99"),
        ("shape", r"a reshape of \[1, 3, 3, 3\] to \[1, 2, 2, 3\]"),
        ("identifier", "no TensorFlow Lite model"),
        ("cut", "the file is broken"),
    ],
)
def test_what_is_not_read_is_told(name, message, tmp_path):
    with pytest.raises(HwgenError, match=message) as caught:
        read_network(written(tmp_path, broken(name)), REFERENCE)
    assert all(error.at for error in caught.value.each())


def test_all_that_stands_in_the_way_is_told_at_once(tmp_path):
    net = Layers(0, (3, 3, 4))
    y = net.tensor((1, 3, 3, 3), 0.05, -128, name="y")
    conv(net, net.input, y, axis=3, scale=np.full(4, 0.1))
    z = net.tensor((1, 3, 3, 3), 0.05, -128, name="z")
    net.operator("HARD_SWISH", [y], [z])
    with pytest.raises(HwgenError) as caught:
        read_network(written(tmp_path, net.written(z)), REFERENCE)
    assert [error.at for error in caught.value.each()] == ["y", "z"]


def test_another_target(tmp_path):
    net, last = one_layer()
    with pytest.raises(HwgenError, match="onnxruntime"):
        read_network(written(tmp_path, net.written(last)), "onnxruntime")


def test_mutated_bytes_are_refused_or_read(tmp_path):
    net, last = residual()
    content, rng = net.written(net.softmax(last)), random.Random(9)
    told = 0
    for _ in range(300):
        mutated = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 8])):
            first = 0 if rng.random() < 0.3 else max(0, len(mutated) - 4000)  # tables are behind the numbers
            place = rng.randrange(first, len(mutated))
            if rng.random() < 0.1 and len(mutated) > 100:
                del mutated[place : place + rng.randrange(1, 40)]
            elif rng.random() < 0.5:
                mutated[place] = rng.randrange(256)
            else:
                mutated[place] ^= 1 << rng.randrange(8)
        try:
            read_network(written(tmp_path, bytes(mutated)), REFERENCE)
        except HwgenError as error:
            told += all(one.what and one.at for one in error.each())
    assert told > 100
