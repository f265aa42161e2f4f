"""ONNX files: what is read of them is what the tools that wrote them compute, and what cannot be is named."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantFormat

import hwgen
from benchmarks.imports import brevitas, ort
from benchmarks.imports.executor import Executor, execute
from benchmarks.imports.networks import digits, make
from benchmarks.imports.ties import near_ties
from hwgen.config import BuildConfig
from hwgen.errors import BadInput, HwgenError, MissingActQuant, UnsupportedLayer
from hwgen.formats import read_network
from hwgen.frontend import read_model
from hwgen.nn import ActQuant
from hwgen.ops.rescale import Steps
from hwgen.passes import run_passes
from hwgen.simulators import SIMULATORS
from hwgen.verify import verify

DATA = Path(__file__).parent / "data"
QONNX = "qonnx.custom_op.general"


def frames() -> np.ndarray:
    """The images of the test, and as many frames of noise."""
    x = digits()[2].numpy()
    return np.concatenate([x, np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)])


def levels(path: Path, x: np.ndarray, *others: np.ndarray, target: str = "exact") -> list[np.ndarray]:
    """The golden integers of a file's only output, and what other results are on their grid; that of torch in float64
    is the same."""
    network, example = read_network(str(path), target)
    graph = run_passes(read_model(network, example, BuildConfig(target=target).requantization)[0])
    q = graph.eval(*graph.quantize_inputs(torch.from_numpy(x)))[0]
    (output,) = graph.outputs
    exponent = graph.types()[output.name].exponent
    one, zero = (output.dequantize(value, exponent) for value in (torch.ones_like(q), torch.zeros_like(q)))
    with torch.no_grad():
        exact = network(torch.from_numpy(x).double())
    scale, offset = (one - zero).numpy(), zero.numpy()
    found = [np.rint((np.asarray(y, np.float64) - offset) / scale) for y in (exact, *others)]
    golden = np.rint((output.dequantize(q, exponent).numpy() - offset) / scale)
    if target == "exact":
        assert np.array_equal(golden, found[0])
    return [golden, *found[1:]]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Callable[..., tuple[Path, torch.nn.Module]]:
    """Writes a network in a tool's form, once for all tests."""
    folder, known = tmp_path_factory.mktemp("written"), {}

    def write(tool: str, name: str, *how) -> tuple[Path, torch.nn.Module]:
        path = folder / f"{'_'.join(map(str, (tool, name, *how)))}.onnx".replace(".QuantFormat", "")
        if path not in known:
            if tool == "ort":
                known[path] = make(name)
                ort.quantized(known[path], path, *how)
            else:
                form, *kit = how
                known[path] = make(name, brevitas.kit(*kit))
                brevitas.write(known[path], path, form)
        return path, known[path]

    return write


# the tools


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("plain", ("W8A8",)),
        ("residual", ("W4A8",)),
        ("depthwise", ("W8A8s",)),
        ("perceptron", ("W4A8",)),
        ("depthwise", ("W8A8", QuantFormat.QOperator)),
    ],
)
def test_onnxruntime_gives_the_same_integers(written, name, how):
    path, _ = written("ort", name, *how)
    golden, theirs = levels(path, frames(), ort.run(path, frames()))
    assert np.array_equal(golden, theirs)


def test_what_onnxruntime_rounds_otherwise_is_a_tie(written):
    path, _ = written("ort", "wide", "W8A8s")  # sums of 576 products, and an addition
    x = np.concatenate([frames(), frames() * np.float32(1.07)])
    differ, others = near_ties(path, ort.levels(path, x), x)
    assert others == 0 and differ <= 20
    golden, theirs = levels(path, x, ort.run(path, x))
    assert abs(golden - theirs).max() <= 1 and (golden != theirs).sum() <= 20


@pytest.mark.parametrize(
    ("name", "form", "kit"),
    [
        ("depthwise", "qonnx", (4,)),
        ("plain", "qcdq", (4,)),
        ("residual", "qonnx", (4, True)),
        ("perceptron", "qonnx", (8, False, True)),
        ("residual", "thresholds", (3,)),
        ("plain", "thresholds", (4,)),
    ],
)
def test_brevitas_and_its_files_runtimes_give_the_same_integers(written, name, form, kit):
    path, network = written("brevitas", name, form, *kit)
    x = frames()
    runtime = ort.run(path, x) if form == "qcdq" else execute(path, x)
    golden, theirs, own = levels(path, x, runtime, brevitas.run(network, x))
    assert np.array_equal(golden, theirs)
    if form != "thresholds":  # which round half up
        assert np.array_equal(golden, own)


def test_what_float32_rounds_otherwise_is_a_tie(written):
    path, _ = written("brevitas", "plain", "qonnx", 8)
    x = np.concatenate([frames(), frames() * np.float32(1.01)])
    differ, others = near_ties(path, Executor(path).tensors(x), x)
    assert others == 0 and differ <= 20


@pytest.mark.parametrize("path", sorted(DATA.glob("pquant_*.onnx")), ids=lambda path: path.stem)
def test_pquants_files(path):
    x = frames().transpose(0, 2, 3, 1) if "keras" in path.stem else frames()
    theirs = execute(path, x) if path.stem.endswith("qonnx") else ort.run(path, x)
    golden, theirs = levels(path, x, theirs)
    assert np.array_equal(golden, theirs)


# single nodes


def model(nodes, constants=(), shape=(1, 4, 4, 4), opset=13, inputs=1, kind=TensorProto.FLOAT, quantized=False):
    """A model of some nodes, from x (x0, x1 ...) to y."""
    names = ["x"] if inputs == 1 else [f"x{n}" for n in range(inputs)]
    infos = [helper.make_tensor_value_info(name, kind, list(shape)) for name in names]
    graph = helper.make_graph(
        nodes,
        "g",
        infos,
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    domains = {node.domain for node in nodes} - {"", "ai.onnx"}
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture
def saved(tmp_path) -> Callable[[onnx.ModelProto], Path]:
    def save(made: onnx.ModelProto) -> Path:
        path = tmp_path / "net.onnx"
        path.write_bytes(made.SerializeToString())
        return path

    return save


def f32(*values) -> np.ndarray:
    return np.array(values, np.float32)


def i64(*values) -> np.ndarray:
    return np.array(values, np.int64)


def whole(*shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9, 9, shape).astype(np.float32)


def node(kind, *more, **attributes) -> list[onnx.NodeProto]:
    """x and more inputs -> y"""
    return [helper.make_node(kind, ["x", *more], ["y"], f"the_{kind}", **attributes)]


NODES = {
    "conv": (node("Conv", "w", "b", pads=[1, 0, 2, 1], strides=[2, 1]), {"w": whole(6, 4, 3, 2), "b": whole(6)}),
    "conv same": (node("Conv", "w", auto_pad="SAME_LOWER", group=2), {"w": whole(6, 2, 2, 2)}),
    "conv 1d": (node("Conv", "w", dilations=[2]), {"w": whole(3, 4, 2)}, {"shape": (1, 4, 9)}),
    "conv transpose": (
        node("ConvTranspose", "w", "b", strides=[2, 2], pads=[1, 1, 0, 1], output_padding=[1, 0]),
        {"w": whole(4, 3, 3, 3), "b": whole(3)},
    ),
    "gemm": (node("Gemm", "w", "b", transB=1, alpha=2.0), {"w": whole(5, 4), "b": whole(5)}, {"shape": (1, 4)}),
    "matmul": (node("MatMul", "w"), {"w": whole(4, 3)}),
    "matmul from the left": (
        [helper.make_node("MatMul", ["w", "x"], ["y"], "m")],
        {"w": whole(3, 4)},
        {"shape": (1, 4, 4)},
    ),
    "prelu": (node("PRelu", "w"), {"w": f32(0.5, 0.25, 2, 1).reshape(4, 1, 1)}),
    "leaky relu": (node("LeakyRelu", alpha=0.125), {}),
    "hard sigmoid": (node("HardSigmoid", alpha=0.25, beta=0.5), {}),
    "clip": (node("Clip", "low"), {"low": f32(-3)[0]}),
    "clip of old": (node("Clip", min=-2.0, max=5.0), {}, {"opset": 10}),
    "max pool": (node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]), {}),
    "max pool ceil": (node("MaxPool", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1, pads=[1, 0, 1, 0]), {}),
    "average": (node("AveragePool", kernel_shape=[2, 2], strides=[1, 2], pads=[1, 1, 1, 1], count_include_pad=1), {}),
    "average of what is there": (node("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 1, 1]), {}),
    "average, sides apart": (
        node("AveragePool", kernel_shape=[2, 2], pads=[1, 0, 0, 0], count_include_pad=1),
        {},
    ),
    "global average": (node("GlobalAveragePool"), {}),
    "reduce mean": (node("ReduceMean", axes=[-1], keepdims=0), {}),
    "reduce mean 18": (node("ReduceMean", "axes"), {"axes": i64(2, 3)}, {"opset": 18}),
    "reduce sum": (node("ReduceSum", "axes", keepdims=0), {"axes": i64(1)}),
    "subtraction from a constant": ([helper.make_node("Sub", ["c", "x"], ["y"], "s")], {"c": whole(4, 1, 1)}),
    "division": (node("Div", "c"), {"c": f32(4)}),
    "power": (node("Pow", "c"), {"c": f32(2)[0]}),
    "flatten": (node("Flatten", axis=2), {}),
    "reshape": (node("Reshape", "s"), {"s": i64(0, -1, 8)}),
    "squeeze": (node("Squeeze", "a"), {"a": i64(0)}, {"shape": (1, 4, 3)}),
    "unsqueeze": (node("Unsqueeze", "a"), {"a": i64(1, -1)}),
    "unsqueeze of old": (node("Unsqueeze", axes=[1]), {}, {"opset": 11}),
    "transpose": (node("Transpose", perm=[0, 2, 3, 1]), {}),
    "concat with a constant": (node("Concat", "c", axis=1), {"c": whole(1, 2, 4, 4)}),
    "slice": (
        node("Slice", "a", "b", "axes", "steps"),
        {"a": i64(-1, 1), "b": i64(-9, 4), "axes": i64(2, 3), "steps": i64(-2, 2)},
    ),
    "gather": (node("Gather", "c", axis=1), {"c": i64(3, -4, 0)}),
    "gather of one": (node("Gather", "c", axis=2), {"c": i64(1)[0]}),
    "pad": (node("Pad", "p"), {"p": i64(0, 0, 1, 0, 0, 1, 0, 2)}),
    "pad by reflection": (node("Pad", "p", mode="reflect"), {"p": i64(0, 0, 1, 1, 0, 0, 1, 2)}),
    "depth to space": (node("DepthToSpace", blocksize=2), {}),
    "depth to space crd": (node("DepthToSpace", blocksize=2, mode="CRD"), {}),
    "space to depth": (node("SpaceToDepth", blocksize=2), {}),
    "resize": (
        node("Resize", "", "s", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        {"s": f32(1, 1, 2, 3)},
    ),
    "resize to a size": (node("Resize", "", "", "s", mode="nearest"), {"s": i64(1, 4, 3, 7)}),
    "expand": (node("Expand", "s"), {"s": i64(1, 4, 4)}, {"shape": (1, 1, 1, 4)}),
    "tile": (node("Tile", "s"), {"s": i64(1, 2, 1, 3)}),
    "shapes": (
        [
            helper.make_node("Shape", ["x"], ["s"], "shape"),
            helper.make_node("Gather", ["s", "zero"], ["batch"], "gather"),
            helper.make_node("Unsqueeze", ["batch", "axes"], ["first"], "unsqueeze"),
            helper.make_node("Concat", ["first", "rest"], ["to"], "concat", axis=0),
            helper.make_node("Reshape", ["x", "to"], ["y"], "reshape"),
        ],
        {"zero": i64(0)[0], "axes": i64(0), "rest": i64(-1)},
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_a_node_computes_what_onnxruntime_does(saved, name):
    nodes, constants, *more = NODES[name]
    path = saved(model(nodes, constants, **dict(*more)))
    network, example = read_network(str(path))
    assert example[0].dtype == torch.float32  # without a quantizer it is to be compressed
    for seed in range(3):
        x = whole(*example[0].shape, seed=seed)
        wanted = ort.run(path, x)
        with torch.no_grad():
            assert np.array_equal(network.double()(torch.from_numpy(x).double()).numpy(), wanted)


def test_split_gives_several_tensors(saved):
    parts = [helper.make_node("Split", ["x", "s"], ["a", "b"], "split", axis=1)]
    joined = [*parts, helper.make_node("Concat", ["b", "a"], ["y"], "concat", axis=1)]
    path = saved(model(joined, {"s": i64(1, 3)}))
    x = whole(1, 4, 4, 4)
    assert np.array_equal(read_network(str(path))[0](torch.from_numpy(x)).numpy(), ort.run(path, x))


# single quantizers

TICKS = np.arange(-40, 40, dtype=np.float32)[None] / 8  # all the ties of a scale of 1/4 and of 1/2


def quantizers(*nodes, constants, version=1):
    made = model(list(nodes), constants, (1, TICKS.size))
    if version != 1:
        made.opset_import[1].version = version
    return made


def quant(source, target, scale, zero=0.0, bits=4.0, **attributes):
    """A Quant and its constants."""
    names = [f"{target} {what}" for what in ("scale", "zero", "bits")]
    made = helper.make_node("Quant", [source, *names], [target], f"quant {target}", domain=QONNX, **attributes)
    values = [np.asarray(value, np.float32) for value in (scale, zero, bits)]
    return made, dict(zip(names, values, strict=True))


def same_as_the_executor(path: Path, x: np.ndarray = TICKS) -> None:
    golden, theirs = levels(path, x, execute(path, x))
    assert np.array_equal(golden, theirs)
    network, _ = read_network(str(path))
    with torch.no_grad():
        assert np.array_equal(network(torch.from_numpy(x).double()).numpy(), theirs_of(path, x))


def theirs_of(path: Path, x: np.ndarray) -> np.ndarray:
    return Executor(path).tensors(x)["y"].astype(np.float64)


@pytest.mark.parametrize("mode", ["ROUND", "HALF_EVEN", "CEIL", "FLOOR", "DOWN", "HALF_UP"])
@pytest.mark.parametrize(("signed", "narrow", "zero"), [(1, 0, 0.0), (1, 1, 1.0), (0, 1, 0.0), (0, 0, 3.0)])
def test_each_rounding_of_qonnx(saved, mode, signed, narrow, zero):
    first, constants = quant("x", "q", 0.125, bits=8.0, signed=1, narrow=0)
    second, more = quant("q", "y", 0.5, zero, 3.0, signed=signed, narrow=narrow, rounding_mode=mode)
    same_as_the_executor(saved(quantizers(first, second, constants=constants | more)))


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL"])
@pytest.mark.parametrize("version", [1, 2])
def test_trunc(saved, mode, version):
    first, constants = quant("x", "q", 0.0625, bits=8.0, signed=1, narrow=0)
    values = {"s": f32(0.0625)[0], "z": f32(0)[0], "i": f32(8)[0], "o": f32(6)[0], "t": f32(0.25)[0]}
    inputs = ["s", "z", "i", "o"] if version == 1 else ["s", "z", "i", "t", "o"]
    more = {} if version == 1 else {"signed": 1, "narrow": 0}
    trunc = helper.make_node("Trunc", ["q", *inputs], ["y"], "trunc", domain=QONNX, rounding_mode=mode, **more)
    kept = {name: values[name] for name in inputs}
    same_as_the_executor(saved(quantizers(first, trunc, constants=constants | kept, version=version)))


@pytest.mark.parametrize("relu", [False, True])
def test_a_maximum_of_batch_norms_with_factors_of_both_signs(saved, relu):
    first, constants = quant("x", "q", 0.25, bits=6.0, signed=1, narrow=0)
    norm = helper.make_node("BatchNormalization", ["q", "g", "b", "m", "v"], ["n"], "norm", epsilon=0.0)
    middle = [helper.make_node("Relu", ["n"], ["r"], "relu")] if relu else []
    pool = helper.make_node("MaxPool", ["r" if relu else "n"], ["p"], "pool", kernel_shape=[2, 2], strides=[1, 2])
    last, more = quant("p", "y", 0.75, bits=5.0, signed=1, narrow=0)
    numbers = {"g": f32(1.5, -0.5, 0.75, -2), "b": f32(1, -1, 0.5, 3), "m": f32(0, 1, -1, 2), "v": f32(4, 1, 0.25, 16)}
    path = saved(model([first, norm, *middle, pool, last], constants | more | numbers))
    same_as_the_executor(path, whole(40, 4, 4, 4) / np.float32(1.5))


def test_an_input_clipped_before_its_quantizer(saved):
    clip = helper.make_node("Clip", ["x", "low", "high"], ["c"], "clip")
    last, constants = quant("c", "y", 0.5, 1.0, bits=5.0, signed=1, narrow=0)
    path = saved(quantizers(clip, last, constants=constants | {"low": f32(-1.3)[0], "high": f32(2.2)[0]}))
    same_as_the_executor(path)


def test_bipolar_and_one_bit(saved):
    first, constants = quant("x", "q", 0.125, bits=8.0, signed=1, narrow=0)
    bipolar = helper.make_node("BipolarQuant", ["q", "s"], ["b"], "bipolar", domain=QONNX)
    last, more = quant("b", "y", 1.0, bits=1.0, signed=1, narrow=1)
    same_as_the_executor(saved(quantizers(first, bipolar, last, constants=constants | more | {"s": f32(0.5)[0]})))


def test_thresholds_in_any_order_with_channels_last(saved):
    first, constants = quant("x", "q", 0.25, bits=8.0, signed=1, narrow=0)
    steps = np.sort(np.random.default_rng(0).integers(-20, 20, (5, 7)) / 4, axis=1).astype(np.float32)
    made = helper.make_node(
        "MultiThreshold",
        ["q", "t"],
        ["y"],
        "thresholds",
        domain=QONNX,
        out_dtype="INT4",
        out_scale=0.5,
        out_bias=-1.5,
        data_layout="NHWC",
    )
    path = saved(model([first, made], constants | {"t": steps}, (1, 4, 4, 5)))
    same_as_the_executor(path, np.random.default_rng(1).integers(-24, 24, (50, 4, 4, 5)).astype(np.float32) / 4)


def test_layers_with_channels_last(saved):
    domain = "qonnx.custom_op.channels_last"
    first, constants = quant("x", "q", 0.25, bits=6.0, signed=1, narrow=0)
    conv = helper.make_node("Conv", ["q", "w"], ["c"], "conv", domain=domain, kernel_shape=[2, 2], pads=[1, 0, 0, 1])
    pool = helper.make_node("MaxPool", ["c"], ["m"], "pool", domain=domain, kernel_shape=[2, 2], strides=[2, 2])
    last, more = quant("m", "y", 2.0, bits=8.0, signed=1, narrow=0)
    path = saved(model([first, conv, pool, last], constants | more | {"w": whole(3, 2, 2, 5)}, (1, 4, 4, 5)))
    x = np.random.default_rng(1).integers(-24, 24, (20, 4, 4, 5)).astype(np.float32) / 4
    network, _ = read_network(str(path))
    inner = torch.nn.functional.pad(torch.from_numpy(x).permute(0, 3, 1, 2), (0, 1, 1, 0))
    weight = torch.from_numpy(whole(3, 2, 2, 5)).permute(0, 3, 1, 2)
    pooled = torch.nn.functional.max_pool2d(torch.nn.functional.conv2d(inner, weight), 2).permute(0, 2, 3, 1)
    wanted = (pooled / 2).round().clamp(-128, 127) * 2
    assert torch.equal(network(torch.from_numpy(x).double()), wanted.double())
    levels(path, x)


def test_a_bias_of_32_bits_is_exact():
    from hwgen.formats.onnx.quantizers import exact

    found = exact(np.array([2**31 - 1, -(2**31), 12345]), np.float32([1.1, 0.3, 7e-9]))
    assert found.rest is not None
    for n, integer in enumerate((2**31 - 1, -(2**31), 12345)):
        scale = np.float32([1.1, 0.3, 7e-9])[n]
        parts = int(found.value[n] * 2.0**80), int(found.rest[n] * 2.0**80)
        assert sum(parts) == integer * int(float(scale) * 2.0**80)


def test_an_input_of_integers(saved):
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["f"], "first"),
        helper.make_node("Mul", ["f", "c"], ["g"], "mul"),
        helper.make_node("QuantizeLinear", ["g", "t", "z"], ["q"], "second"),
        helper.make_node("DequantizeLinear", ["q", "t", "z"], ["y"], "third"),
    ]
    constants = {"s": f32(0.3)[0], "z": np.uint8(7), "c": f32(1.7321)[0], "t": f32(0.9)[0]}
    path = saved(model(nodes, constants, (1, 256), kind=TensorProto.UINT8))
    x = np.arange(256, dtype=np.float32)[None]
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    golden, theirs = levels(path, x, np.asarray(session.run(None, {"x": x.astype(np.uint8)})[0]))
    assert np.array_equal(golden, theirs)


def test_an_input_of_integers_by_finns_note(saved):
    made = irregular()
    note = onnx.TensorAnnotation(tensor_name="x")
    note.quant_parameter_tensor_names.add(key="finn_datatype", value="INT4")
    made.graph.quantization_annotation.append(note)
    del made.graph.node[0]
    made.graph.node[0].input[0] = "x"
    same_as_the_executor(saved(made), np.random.default_rng(0).integers(-8, 8, (50, 8)).astype(np.float32))


# RTL


def irregular() -> onnx.ModelProto:
    """8 features, a matrix, thresholds that are no line, a matrix, a quantizer."""
    first, constants = quant("x", "q", 0.25, bits=5.0, signed=1, narrow=0)
    steps = np.sort(np.random.default_rng(0).integers(-40, 40, (6, 7)), axis=1).astype(np.float32)
    domain = {"domain": QONNX, "out_dtype": "UINT3"}
    nodes = [
        first,
        helper.make_node("MatMul", ["q", "w"], ["a"], "one"),
        helper.make_node("MultiThreshold", ["a", "t"], ["b"], "steps", **domain),
        helper.make_node("MatMul", ["b", "v"], ["c"], "two"),
    ]
    last, more = quant("c", "y", 3.0, bits=5.0, signed=1, narrow=0)
    matrices = {"w": whole(8, 6), "v": whole(6, 4, seed=1), "t": steps}
    return model([*nodes, last], constants | more | matrices, (1, 8))


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("tool", ["onnxruntime", "thresholds"])
def test_rtl_equals_golden_with_stalls(tmp_path, saved, written, tool, simulator):
    if tool == "onnxruntime":
        path, x = written("ort", "perceptron", "W8A8")[0], frames()[-12:]
    else:
        path, x = saved(irregular()), whole(12, 8) / 4
        same_as_the_executor(path, x)
    network, example = read_network(str(path))
    design = hwgen.build(network, example, out=tmp_path / "net")
    assert tool == "onnxruntime" or any(isinstance(node.op, Steps) for node in design.graph.nodes)
    found = verify(tmp_path / "net", x, simulator=simulator, stall=0.3)
    assert found["equal"] == 12


# what is refused


def linear(kind: str = "QuantizeLinear", source: str = "x", target: str = "q", name: str = "first", **attributes):
    return helper.make_node(kind, [source, "s", "z"], [target], name, **attributes)


def qdq(**changed) -> onnx.ModelProto:
    """x -> QuantizeLinear -> DequantizeLinear -> y"""
    nodes = [linear(), linear("DequantizeLinear", "q", "y", "second")]
    return model(nodes, {"s": f32(0.5)[0], "z": np.int8(0)} | changed)


def unknown(kind: str, domain: str = "", **attributes) -> onnx.ModelProto:
    return model([helper.make_node(kind, ["x"], ["y"], "strange", domain=domain, **attributes)])


def outside(made: onnx.ModelProto) -> onnx.ModelProto:
    tensor = made.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return made


def longer(made: onnx.ModelProto) -> onnx.ModelProto:
    made.graph.initializer[0].dims[:] = [1 << 20, 1 << 20]
    return made


def shorter(made: onnx.ModelProto) -> onnx.ModelProto:
    made.graph.initializer[0].dims[:] = [3]
    return made


def dynamic(made: onnx.ModelProto) -> onnx.ModelProto:
    made.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    return made


def no_opset(made: onnx.ModelProto) -> onnx.ModelProto:
    made.opset_import[0].version = 6
    return made


def twice(made: onnx.ModelProto) -> onnx.ModelProto:
    made.graph.node.append(made.graph.node[0])
    return made


def branch() -> onnx.ModelProto:
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "b", [], [])
    return model(
        [helper.make_node("If", ["c"], ["y"], "branch", then_branch=inner, else_branch=inner)], {"c": np.bool_(1)}
    )


REFUSED = [
    (lambda: outside(qdq()), BadInput, ("another file", "not read")),
    (lambda: longer(qdq()), BadInput, ("[1048576, 1048576]", "at most")),
    (lambda: shorter(qdq()), BadInput, ("needs 12 bytes", "holds 4")),
    (lambda: dynamic(qdq()), BadInput, ("[1, 4, height, 4]", "static shape")),
    (lambda: no_opset(qdq()), BadInput, ("opset is 6", "version_converter")),
    (lambda: twice(qdq()), BadInput, ("two nodes make the tensor q",)),
    (lambda: qdq(s=f32(0)[0]), BadInput, ("scale s is zero", "first")),
    (lambda: qdq(s=f32(np.nan)[0]), BadInput, ("scale s is NaN", "first")),
    (lambda: qdq(s=f32(-1)[0]), BadInput, ("scale s is negative", "first")),
    (lambda: qdq(s=f32(np.inf)[0]), BadInput, ("scale s is infinite", "first")),
    (lambda: qdq(z=np.float32(0)), UnsupportedLayer, ("levels of type float32", "first")),
    (lambda: qdq(s=abs(whole(4, 4)) + 1), UnsupportedLayer, ("shape [4, 4]", "each group")),
    (lambda: qdq(s=f32(1, 2, 3), z=np.int8([0, 0, 0])), BadInput, ("3 scales", "axis 1")),
    (lambda: model([linear(block_size=2)], {"s": f32(1), "z": np.int8([0])}), UnsupportedLayer, ("block of 2",)),
    (lambda: unknown("DynamicQuantizeLinear"), UnsupportedLayer, ("dynamic quantization", "quantize_static")),
    (lambda: unknown("LSTM"), UnsupportedLayer, ("LSTM is not built", "strange")),
    (lambda: unknown("Foo", "my.own"), UnsupportedLayer, ("'my.own'", "not known", "strange")),
    (branch, UnsupportedLayer, ("If is control flow", "branch")),
    (lambda: model(node("Conv", "w"), {"w": whole(6, 3, 3, 3)}), BadInput, ("[6, 3, 3, 3]", "the_Conv")),
    (lambda: model(node("Reshape", "s"), {"s": i64(1, 7)}), BadInput, ("to the shape [1, 7]", "the_Reshape")),
    (lambda: model(node("Conv", "w"), {"w": whole(6, 4, 3, 3) * np.nan}), BadInput, ("w holds NaN", "the_Conv")),
    (lambda: model(node("Relu", axis=3)), UnsupportedLayer, ("attributes axis", "the_Relu")),
    (lambda: model(node("Tile", "s"), {"s": i64(1, 1 << 12, 1 << 12, 1)}), UnsupportedLayer, ("result of shape",)),
    (lambda: model(node("Add", "nothing")), BadInput, ("reads nothing", "no node before")),
    (lambda: model([linear(), helper.make_node("Add", ["q", "q"], ["y"], "sum")], {"s": f32(1)[0], "z": np.int8(0)}),
        UnsupportedLayer, ("arithmetic on int8", "sum")),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "words"), REFUSED)
def test_a_broken_or_foreign_file_is_named(saved, make, kind, words):
    path = saved(make())
    with pytest.raises(kind) as refused:
        read_network(str(path))
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_all_that_is_foreign_is_named_at_once(saved):
    nodes = [
        helper.make_node("LSTM", ["x"], ["a"], "one"),
        helper.make_node("Relu", ["a"], ["b"], "two"),
        helper.make_node("MatMulInteger", ["x"], ["c"], "three"),
        helper.make_node("Add", ["b", "c"], ["y"], "four"),
    ]
    with pytest.raises(HwgenError) as refused:
        read_network(str(saved(model(nodes))))
    assert [error.at for error in refused.value.each()] == ["one", "three"]


def test_a_float_network_is_to_be_compressed(saved):
    path = saved(model(node("Conv", "w"), {"w": whole(6, 4, 3, 3) / 7}))
    network, example = read_network(str(path))
    with pytest.raises(MissingActQuant) as refused:
        hwgen.build(network, example, out=path.parent / "out")
    assert "hwgen compress" in str(refused.value)


def test_floats_between_quantizers_are_named(saved):
    first, constants = quant("x", "q", 0.25, bits=6.0, signed=1, narrow=0)
    conv = helper.make_node("Conv", ["q", "w"], ["c"], "conv")
    again = helper.make_node("Conv", ["c", "w"], ["y"], "again")
    path = saved(model([first, conv, again], constants | {"w": whole(4, 4, 1, 1) / np.float32(7)}))
    network, example = read_network(str(path))
    with pytest.raises(HwgenError) as refused:
        read_model(network, example, BuildConfig().requantization)
    assert "conv" in str(refused.value)


def test_an_input_grid_of_ones_own(saved):
    """Files whose first layer reads floats, as QKeras' do, get a grid from the user."""
    weights, constants = quant("w", "q", 0.25, bits=6.0, signed=1, narrow=0)
    matmul = helper.make_node("MatMul", ["x", "q"], ["y"], "matmul")
    path = saved(model([weights, matmul], constants | {"w": whole(4, 3)}, (1, 4)))
    network, example = read_network(str(path))
    with pytest.raises(MissingActQuant):
        read_model(network, example, BuildConfig().requantization)
    whole_network = torch.nn.Sequential(ActQuant(6, -2, signed=True), network)
    graph = read_model(whole_network, example, BuildConfig().requantization)[0]
    x = torch.from_numpy(whole(5, 4)).double() / 4
    assert torch.equal(graph.golden(x)[0], whole_network(x))


def test_mutated_bytes_only_raise_errors_of_ours(saved, written):
    whole_file = bytearray((DATA / "pquant_perceptron_rnd_qdq.onnx").read_bytes())
    random = np.random.default_rng(0)
    read = 0
    for _ in range(150):
        mutant = bytearray(whole_file)
        # most of the file is weights: mutate where structure is, too
        for place in random.integers(0, len(mutant), random.integers(1, 8)):
            mutant[place] = random.integers(0, 256)
        for place in random.integers(0, 700, random.integers(0, 3)):
            mutant[place] = random.integers(0, 256)
        path = saved(onnx.ModelProto())
        path.write_bytes(bytes(mutant[: random.integers(1, len(mutant))] if random.random() < 0.1 else mutant))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_network(str(path))
            read += 1
        except HwgenError:
            pass
    assert 0 < read < 150


def test_a_file_that_is_none(tmp_path):
    for content in (b"", b"no model", bytes(range(256)) * 10):
        path = tmp_path / "net.onnx"
        path.write_bytes(content)
        with pytest.raises(BadInput):
            read_network(str(path))
    with pytest.raises(BadInput, match="there is no file"):
        read_network(str(tmp_path / "none.onnx"))
    with pytest.raises(BadInput, match=r"use .*\.onnx"):
        read_network(str(tmp_path / "net.pb"))
