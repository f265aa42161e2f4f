"""QONNX export: qonnx's own executor gives the integers of every tensor; what the format cannot say is refused."""

import io
import json
import sys
from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

import hwgen
from hwgen import store
from hwgen.cli import main
from hwgen.errors import BadInput, HwgenError, MissingTool, Obstacles
from hwgen.export.qonnx import model_of
from hwgen.frontend import import_model
from hwgen.ir import Graph, Input, Node, Output, TensorType
from hwgen.load import load, load_data
from hwgen.ops.add import Add
from hwgen.ops.conv import Conv
from hwgen.ops.lookup import Lookup
from hwgen.ops.move import Move
from hwgen.ops.offset import Offset
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Rescale, Steps
from hwgen.passes import run_passes
from hwgen.qtype import QType
from tests.networks import make_network


def executed(model, *x: torch.Tensor) -> dict[str, np.ndarray]:
    """Every tensor that qonnx computes of a batch, by name."""
    for end in (*model.graph.input, *model.graph.output):
        end.type.tensor_type.shape.dim[0].dim_value = len(x[0])
    feed = {end.name: each.float().numpy() for end, each in zip(model.graph.input, x, strict=True)}
    return execute_onnx(ModelWrapper(model).transform(InferShapes()), feed, return_full_exec_context=True)


def check(graph: Graph, *x: torch.Tensor):
    """All tensors, and what the host makes of the outputs; returns the model."""
    model, notes = model_of(graph)
    assert not notes
    got, types = executed(model, *x), graph.types()
    inputs = {one.name for one in graph.inputs}
    for name, q in graph.trace(*graph.quantize_inputs(*x)):
        want = q.numpy() * 2.0 ** types[name].exponent
        value = got[f"{name}_quantized" if name in inputs else name]
        view = next((one.view for one in graph.inputs if one.name == name), None)
        value = value if view is None else value.reshape(len(value), -1)[:, view]
        assert np.array_equal(value.reshape(want.shape), want), name
    for end, want in zip(model.graph.output, graph.golden(*x), strict=True):
        assert np.array_equal(got[end.name], want.numpy()), end.name
    return model


@pytest.mark.parametrize("example", ["lenet5", "digits"])
def test_the_examples_have_the_same_integers_in_every_layer(example):
    graph = run_passes(import_model(*load(f"examples/{example}/{example}.pt2")))
    x, _ = load_data(f"examples/{example}/model.py:test_data", 20)
    model = check(graph, torch.as_tensor(np.asarray(x)))
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["Quant"] >= 2 * len([1 for node in graph.nodes if isinstance(node.op, Conv)])
    assert model_of(graph)[0] == model_of(graph)[0]


@pytest.mark.parametrize("example", ["lenet5", "digits"])
def test_the_importer_reads_the_same_graph(example, tmp_path):
    graph = run_passes(import_model(*load(f"examples/{example}/{example}.pt2")))
    (tmp_path / "net.qonnx").write_bytes(model_of(graph)[0].SerializeToString())
    again = run_passes(import_model(*load(str(tmp_path / "net.qonnx"))))
    (text, packed), (other, others) = (store.dump(each) for each in (graph, again))
    assert without_paths(text) == without_paths(other)
    arrays, same = np.load(io.BytesIO(packed)), np.load(io.BytesIO(others))
    assert arrays.keys() == same.keys() and all(np.array_equal(arrays[name], same[name]) for name in arrays)


def without_paths(text: str) -> dict:
    """Without what no value depends on: an average pool is read back as a convolution."""
    known = json.loads(text)
    return known | {"nodes": [{**node, "path": "", "activations_limited": None} for node in known["nodes"]]}


def test_random_networks(tmp_path):
    """Those of which QONNX can say all; read back, they give the same outputs."""
    kinds, refused = Counter(), []
    for seed in (1, 2, 3, 4, 8, 13, 24, 25, 31, 33, 55, 97):
        network = make_network(Random(seed))
        graph = run_passes(import_model(network.module, network.example))
        try:
            model_of(graph)
        except HwgenError as error:
            refused += [each.what for each in error.each()]
            continue
        x = network.x[:2].float()
        if max(kind.qtype.bits for kind in graph.types().values()) < 24:
            check(graph, x)
            (tmp_path / "net.qonnx").write_bytes(model_of(graph)[0].SerializeToString())
            again = run_passes(import_model(*load(str(tmp_path / "net.qonnx"))))
            assert all(torch.equal(*pair) for pair in zip(again.golden(x), graph.golden(x), strict=True))
            kinds.update(type(node.op).__name__ for node in graph.nodes)
    assert all(what.startswith("QONNX has no word for") for what in refused)
    assert kinds.keys() >= {"Conv", "Quantize", "Move", "MaxPool", "Lookup", "Concat", "Add", "Mul"}


KIND = TensorType((2, 3, 4), QType(-100, 99), -3)


def chain(*ops, kind=KIND) -> Graph:
    names = ["input", *(f"op{n}" for n in range(len(ops)))]
    nodes = tuple(Node(name, op, (source,)) for op, source, name in zip(ops, names, names[1:], strict=False))
    graph = Graph((Input("input", kind, kind.shape),), nodes, ())
    return replace(graph, outputs=(Output(names[-1], graph.types()[names[-1]].shape),))


def every(graph: Graph, seed=1) -> torch.Tensor:
    """Frames that hold every integer of the input, and beyond it."""
    kind, dice = graph.inputs[0].type, np.random.default_rng(seed)
    x = np.arange(kind.qtype.low - 3, kind.qtype.high + 4).repeat(2 * np.prod(kind.shape))
    return (
        torch.from_numpy(dice.permutation(x)[: len(x) // np.prod(kind.shape) * np.prod(kind.shape)]).reshape(
            -1, *kind.shape
        )
        * 2.0**kind.exponent
    )


NUMBERS = np.array([29, -13])
CHAINS = {
    "half even by a power of two": (Rescale(np.ones(1, int), np.full(1, 4), np.ones(1, int), 3, -8, 7, -1),),
    "any factor, one that falls": (Rescale(NUMBERS, np.array([5, -70]), np.zeros(1, int), 7, -15, 15),),
    "ties of any factor": (Rescale(np.full(1, 3), np.full(1, 4), np.full(1, 3), 3, -9, 20),),
    "never as low as it may be": (Rescale(np.ones(1, int), np.zeros(1, int), np.zeros(1, int), 5, -128, 127),),
    "steps": (Steps(np.array([[-50, -1, 0, 0, 70], [-7, 3, 4, 5, 200]]), -2, 1),),
    "a table that falls": (Lookup(np.arange(100, -100, -1) // 9, -100, -2, "minus"),),
    "odd ends": (Quantize(-1, -3, 9), Quantize(0, -1, 0)),
    "symmetric ends": (Quantize(-1, -7, 7),),
    "constants": (
        Offset(np.arange(24).reshape(2, 3, 4) - 7, -4),
        Offset(np.full((2, 3, 4), 3), -1),
        Quantize(-2, 0, 31),
    ),
    "flat": (Move(np.arange(24).reshape(24, 1, 1)), Offset(np.arange(24).reshape(24, 1, 1), 0)),
    "an even zero point": (Quantize(-1, -36, 27),),
    "an odd zero point": (Quantize(-1, -35, 28),),
    "a finer grid": (Quantize(-5, -(1 << 9), (1 << 9) - 1),),
    "turned, cut and padded": (
        Move(np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)),
        Move(np.array([[[3, -1, 0]], [[-1, 23, 3]]])),
        Move(np.array([4, 3, 0]).reshape(3, 1, 1)),
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_quantizers_and_moves(name):
    graph = chain(*CHAINS[name])
    check(graph, every(graph))


def test_what_the_host_does_is_in_the_file():
    """Exact in float32: the numbers here are few bits."""
    last = np.arange(24).reshape(3, 4, 2).transpose(2, 0, 1).reshape(-1)
    steps = (("sub", np.array([0.5, -1.25])), ("div", np.array(0.25)))
    one = Input("input", TensorType((2, 3, 4), QType(-8, 7), -1), (3, 4, 2), last, steps, "half_even")
    pool = Conv(np.ones((2, 1, 3, 4)), np.array([0.5, 0.0]), groups=2)
    outputs = (
        Output("sum", (2,), scale=np.array([0.75, -3.0]), offset=np.array([0.5, 1.0])),
        Output("input", (3, 4, 2), np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0)),
        Output("sum", (1, 2)),
        Output("sum", (2,)),
        Output("sum", (2,)),
    )
    x = torch.from_numpy(np.random.default_rng(2).integers(-40, 40, (9, 3, 4, 2)) / 16.0)
    graph = Graph((one,), (Node("sum", pool, ("input",)),), outputs)
    check(graph, x)
    model, _ = model_of(replace(graph, outputs=(replace(outputs[0], host=("softmax", -1)),)))
    assert model.graph.node[-1].op_type == "Softmax" and model.graph.node[-1].attribute[0].i == -1
    inexact = replace(graph, outputs=(replace(outputs[0], scale=np.array(0.1)),))
    assert model_of(inexact)[1] == ["sum_scale: the host's float64 numbers are rounded to float32"]


@pytest.mark.parametrize("multipliers", [(1, 1), (1, -1), (5, -3), (-1, 7), (0, -9)])
def test_sums_of_multiples(multipliers):
    """Of grids that differ, too."""
    ends = [Input(name, replace(KIND, exponent=e), KIND.shape) for name, e in (("a", -3), ("b", -1))]
    nodes = (Node("sum", Add("", multipliers), ("a", "b")), Node("small", Quantize(2, -128, 127), ("sum",)))
    dice = np.random.default_rng(3)
    x = [torch.from_numpy(dice.integers(-300, 300, (5, *KIND.shape)) / 16.0) for _ in ends]
    check(Graph(tuple(ends), nodes, (Output("small", KIND.shape),)), *x)


@pytest.mark.parametrize(
    ("rounding", "low"), [("half_even", -36), ("half_odd", -35), ("half_even", -35), ("floor", -35)]
)
def test_zero_points(rounding, low):
    """Stored less the zero point; Quant adds it before it rounds."""
    one = Input("input", TensorType((3, 1, 1), QType(low, low + 63), -1), (3,), rounding=rounding)
    x = torch.arange(-100, 101).reshape(-1, 3) / 4
    model = check(Graph((one,), (), (Output("input", (3,)),)), x)
    (zero,) = [onnx.numpy_helper.to_array(each) for each in model.graph.initializer if each.name.endswith("zero")]
    assert zero == (0 if (rounding, low) == ("half_even", -35) else -low)


def test_a_sum_that_no_float32_holds_is_told():
    kind = TensorType((1, 1, 1), QType(0, 65535), 0)
    graph = chain(Conv(np.full((1, 1, 1, 1), 32767.0), np.zeros(1)), Quantize(20, 0, 255), kind=kind)
    assert model_of(graph)[1] == ["op0: its 31 bits are too many for the 24 of a float32"]


def test_all_that_cannot_be_said_is_told_at_once():
    up_and_down = Lookup(np.abs(np.arange(-100, 100)), -100, 0, "abs")
    wide = Rescale(np.ones(1, int), np.zeros(1, int), np.zeros(1, int), 0, -(1 << 20), 1 << 20)
    kind = TensorType((2, 3, 4), QType(-(1 << 20), 1 << 20), 0)
    with pytest.raises(Obstacles) as raised:
        model_of(chain(wide, Quantize(0, -100, 99), up_and_down, kind=kind))
    assert "2097152 thresholds a channel" in str(raised.value) and "Lookup[abs] rises and falls" in str(raised.value)
    bias = Conv(np.ones((2, 2, 1, 1)), np.array([2.0**30 + 0.5, 0]))
    with pytest.raises(HwgenError, match="op0_bias holds") as one:
        model_of(chain(bias))
    assert one.value.at == "op0"


def cli(*arguments):
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_the_command_line_writes_a_file_once(tmp_path, monkeypatch):
    folder, out = tmp_path / "net", tmp_path / "net.qonnx"
    hwgen.build(*load("examples/digits/digits.pt2"), out=folder)
    said = cli("export", folder, "-o", out)
    assert said.exit_code == 0 and f"{out}: QONNX, {out.stat().st_size:,} bytes" in said.output
    x, _ = load_data("examples/digits/model.py:test_data", 3)
    x = torch.as_tensor(np.asarray(x))
    model = ModelWrapper(str(out)).model
    assert np.array_equal(executed(model, x)["linear"], store.load(folder).golden(x)[0].numpy())
    again = cli("export", folder, "-o", out)
    assert again.exit_code == 1 and "the file is there already" in again.output
    wrong = cli("export", folder, "-o", tmp_path / "net.pb")
    assert wrong.exit_code == 1 and "the suffix '.pb'" in wrong.output and "net.qonnx" in wrong.output
    nowhere = cli("export", folder, "-o", tmp_path / "none" / "net.qonnx")
    assert nowhere.exit_code == 1 and "cannot be written" in nowhere.output
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingTool, match="onnx is not installed") as raised:
        hwgen.export(folder, tmp_path / "other.qonnx")
    assert "hwgen[onnx]" in raised.value.hint
    (folder / "golden.json").write_text("{}")
    with pytest.raises(BadInput):
        hwgen.export(folder, tmp_path / "other.qonnx")
