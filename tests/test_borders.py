"""Networks with several inputs and outputs, and what the host does at each."""

import io
import json

import numpy as np
import pytest
import torch

from hwgen import BuildConfig, flow, simulate, store
from hwgen.errors import BadInput, UnsupportedLayer
from hwgen.ir import Graph, Input, Node, Output, TensorType
from hwgen.ops.add import Add
from hwgen.ops.conv import Conv
from hwgen.pace import interval_of
from hwgen.passes import run_passes
from hwgen.qtype import QType
from hwgen.simulators import SIMULATORS
from tests.test_examples_rtl import behind_axi

MEAN, DEVIATION = np.array([[[0.485]], [[0.456]]]), np.array([[[0.229]], [[0.224]]])


def several() -> Graph:
    """Two inputs, one normalized, one given with channels last; the sum, what is inside and an input come out."""
    kind = TensorType((2, 3, 4), QType(-8, 7), -2)
    last = np.arange(24).reshape(3, 4, 2).transpose(2, 0, 1).reshape(-1)
    back = np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0)
    conv = Conv(np.array([[[[1.0]], [[-0.5]]], [[[2.0]], [[1.0]]]]), np.array([0.25, 0.0]))
    return Graph(
        (
            Input("left", kind, (2, 3, 4), steps=(("sub", MEAN), ("div", DEVIATION))),
            Input("right", kind, (3, 4, 2), view=last),
        ),
        (Node("conv", conv, ("right",)), Node("sum", Add(), ("left", "conv"))),
        (Output("sum", (3, 4, 2), view=back, host=("softmax", -1)), Output("conv", (24,)), Output("left", (2, 3, 4))),
    )


def module(left, right):
    """What `several` computes, in float64."""

    def quantized(x):
        return torch.clamp(torch.floor(x * 4 + 0.5), -8, 7) / 4

    left = quantized((left - torch.from_numpy(MEAN)) / torch.from_numpy(DEVIATION))
    x = quantized(right).permute(0, 3, 1, 2)
    conv = torch.stack([x[:, 0] - 0.5 * x[:, 1] + 0.25, 2 * x[:, 0] + x[:, 1]], dim=1)
    return torch.softmax((left + conv).permute(0, 2, 3, 1), dim=-1), conv.flatten(1), left


def floats(*shapes, count=5, seed=1):
    dice = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(count, *shape, generator=dice).double() for shape in shapes)


def test_integers_of_several_inputs_and_outputs_equal_the_module():
    graph, x = several(), floats((2, 3, 4), (3, 4, 2))
    for which in (graph, run_passes(graph)):
        for got, want in zip(which.golden(*x), module(*x), strict=True):
            assert torch.equal(got, want)


def test_the_golden_graph_keeps_its_border(tmp_path):
    text, arrays = store.dump(several())
    (tmp_path / "golden.json").write_text(text)
    (tmp_path / "golden.npz").write_bytes(arrays)
    read = store.load(tmp_path)
    assert store.dump(read) == (text, arrays)
    x = floats((2, 3, 4), (3, 4, 2))
    assert all(torch.equal(a, b) for a, b in zip(read.golden(*x), several().golden(*x), strict=True))


WRONG = {
    "a view that names a place twice": lambda a, m: a["inputs.1.view"].put(0, 1),
    "a view beyond the frame": lambda a, m: a["outputs.0.view"].put(0, 24),
    "a view of another shape": lambda a, m: a.update({"outputs.0.view": a["outputs.0.view"].reshape(-1)}),
    "a view that is missing": lambda a, m: a.pop("inputs.1.view"),
    "a view of floats": lambda a, m: a.update({"inputs.1.view": a["inputs.1.view"].astype(float)}),
    "a step that is none": lambda a, m: m["inputs"][0].update(steps=["sub", "pow"]),
    "a step of another shape": lambda a, m: a.update({"inputs.0.steps.0": np.zeros((5, 2, 3, 4))}),
    "steps without arrays": lambda a, m: m["inputs"][1].update(steps=["sub"]),
    "a function that no host has": lambda a, m: m["outputs"][0].update(host=["sigmoid", 1]),
    "a dimension that is none": lambda a, m: m["outputs"][0].update(host=["softmax", 4]),
    "the batch's dimension": lambda a, m: m["outputs"][0].update(host=["softmax", -4]),
    "two inputs of one name": lambda a, m: m["inputs"][1].update(name="left"),
    "no output": lambda a, m: m.update(outputs=[]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_border_that_is_none_is_refused(tmp_path, case):
    text, packed = store.dump(several())
    arrays, meanings = dict(np.load(io.BytesIO(packed))), json.loads(text)
    WRONG[case](arrays, meanings)
    (tmp_path / "golden.json").write_text(json.dumps(meanings))
    np.savez(tmp_path / "golden.npz", **arrays)
    with pytest.raises(BadInput, match="golden graph cannot be read"):
        store.load(tmp_path)


def test_an_input_that_no_output_depends_on_is_refused():
    graph = several()
    with pytest.raises(UnsupportedLayer, match="no output depends on this input") as raised:
        run_passes(Graph(graph.inputs, graph.nodes, (Output("left", (2, 3, 4)),)))
    assert raised.value.at == "right"


def test_a_network_that_computes_nothing():
    kind = TensorType((2, 1, 1), QType(0, 3), 0)
    ends = tuple(Input(name, kind, (2,)) for name in ("a", "b"))
    graph = run_passes(Graph(ends, (), tuple(Output(name, (2,)) for name in ("b", "a", "b"))))
    a, b = floats((2,), (2,))
    got = graph.golden(a, b)
    want = [x.add(0.5).floor().clamp(0, 3) for x in (b, a, b)]
    assert all(torch.equal(one, other) for one, other in zip(got, want, strict=True))


# in hardware


def built(graph: Graph, out, monkeypatch, **options):
    """A graph that no module was exported to, built."""
    monkeypatch.setattr(flow, "import_model", lambda model, example: graph)
    return flow.build(torch.nn.Identity(), out=out, config=BuildConfig(**options))


def exact(graph: Graph, folder, x, **options):
    """The run of a build, whose results are those of the graph."""
    y, run = simulate(folder, x, **options)
    y = y if isinstance(y, tuple) else (y,)
    for got, want in zip(y, graph.golden(*x), strict=True):
        assert np.array_equal(got, want.numpy())
    return run


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("options", [{}, {"engine": "spatial"}], ids=["lanes", "spatial"])
def test_several_inputs_and_outputs_in_rtl(tmp_path, monkeypatch, simulator, options):
    graph = several()
    design = built(graph, tmp_path / "net", monkeypatch, **options)
    assert [len(design.inputs), len(design.outputs)] == [2, 3]
    x = floats((2, 3, 4), (3, 4, 2))
    run = exact(graph, tmp_path / "net", x, simulator=simulator)
    assert run.interval is not None and run.interval <= interval_of(design)
    exact(graph, tmp_path / "net", x, simulator=simulator, stall=0.4)


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_top_of_several_streams_works_behind_axi(tmp_path, monkeypatch, simulator):
    built(several(), tmp_path / "net", monkeypatch)
    behind_axi(tmp_path / "net", tmp_path, simulator, *floats((2, 3, 4), (3, 4, 2)))
