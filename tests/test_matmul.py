"""Products of two computed matrices: what attention is made of."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwgen import BuildConfig, flow, simulate
from hwgen.design import Design
from hwgen.errors import DoesNotFit, MissingActQuant, UnsupportedLayer
from hwgen.functions import Levels
from hwgen.ir import Graph, Input, Node, Op, Output, TensorType
from hwgen.nn import ActQuant, Softmax
from hwgen.ops.conv import Conv
from hwgen.ops.lookup import Lookup
from hwgen.ops.matmul import MatMul
from hwgen.ops.move import Move
from hwgen.ops.quantize import Quantize
from hwgen.pace import interval_of
from hwgen.qtype import QType


def graph_of(kind: TensorType, nodes: Mapping[str, tuple[Op, tuple[str, ...]]]) -> Graph:
    """A graph of one input; nodes -- by name, the op and what it reads; the last is the output."""
    found = tuple(Node(name, op, inputs) for name, (op, inputs) in nodes.items())
    inputs = (Input("input", kind, kind.shape),)
    shape = Graph(inputs, found, ()).types()[found[-1].name].shape
    return Graph(inputs, found, (Output(found[-1].name, shape),))


def built(graph: Graph, out: Path, monkeypatch, **options) -> Design:
    """A graph that no module was exported to, built."""
    monkeypatch.setattr(flow, "read_model", lambda *_: (graph, []))
    return flow.build(torch.nn.Identity(), out=out, config=BuildConfig(**options))


def pointwise(rng, outputs: int, channels: int) -> Conv:
    weight = rng.integers(-3, 4, (outputs, channels, 1, 1)) / 4
    return Conv(weight, rng.integers(-4, 5, outputs) / 8)


def attention(channels=3, depth=4, length=6, rows=1, seed=1) -> Graph:
    """Scores of queries and keys, a table of each, and their product with other scores."""
    rng, nodes = np.random.default_rng(seed), {}
    kind = TensorType((channels, rows, length), QType(-8, 7), -3)
    for name, low in (("q", -8), ("k", -8), ("v", 0)):
        nodes[name] = pointwise(rng, depth, channels), ("input",)
        nodes[f"{name}q"] = Quantize(-2, low, 7 if low else 15), (name,)
    nodes["scores"] = MatMul(), ("qq", "kq")
    nodes["scored"] = Quantize(-2, -16, 15), ("scores",)
    x = TensorType((length, rows, length), QType(-16, 15), -2)
    values = np.exp(np.arange(-16, 16) / 4 - 1)
    nodes["weights"] = Lookup.of("exp", values, Levels.of(Quantize(-5, 0, 31)), -5, x, ""), ("scored",)
    nodes["values"] = MatMul(), ("vq", "kq")
    nodes["valued"] = Quantize(-2, -16, 15), ("values",)
    nodes["result"] = MatMul(), ("weights", "valued")
    nodes["rounded"] = Quantize(-3, -64, 63), ("result",)
    return graph_of(kind, nodes)


def frames(graph: Graph, count: int) -> np.ndarray:
    """Real numbers on the grid of a graph's input."""
    kind = graph.inputs[0].type
    rng = np.random.default_rng(3)
    return rng.integers(kind.qtype.low, kind.qtype.high + 1, (count, *kind.shape)) * 2.0**kind.exponent


def check(folder: Path, graph: Graph, simulator="icarus", stalls=(0.0, 0.3), count=6) -> int:
    """Runs a build with and without stalls; the interval measured without."""
    x = frames(graph, count)
    want = graph.golden(torch.from_numpy(x))[0].numpy()
    assert len(np.unique(want)) > 1
    interval = 0
    for stall in stalls:
        y, run = simulate(folder, x, simulator=simulator, stall=stall)
        assert np.array_equal(y, want)
        interval = run.interval if not stall else interval
    return interval


@pytest.mark.parametrize("drop", [0, 3])
def test_the_product_is_that_of_torch(drop):
    rng = np.random.default_rng(drop)
    a, b = TensorType((5, 3, 4), QType(-8, 7), -2), TensorType((5, 3, 6), QType(0, 15), -3 - drop)
    frames_a = torch.from_numpy(rng.integers(-8, 8, (2, *a.shape)))
    frames_b = torch.from_numpy(rng.integers(0, 16, (2, *b.shape)))
    op = MatMul()
    y, kind = op.eval([a, b], frames_a, frames_b), op.infer(a, b)
    assert tuple(y.shape[1:]) == kind.shape == (6, 3, 4) and kind.exponent == -5 - drop
    real = frames_a.double() * 2.0**-2, frames_b.double() * 2.0 ** (-3 - drop)
    want = real[1].permute(0, 2, 3, 1) @ real[0].permute(0, 2, 1, 3)  # [N, rows, M, L]
    assert torch.equal(y.double() * 2.0**kind.exponent, want.permute(0, 2, 1, 3))
    assert kind.qtype == QType(-8 * 15 * 5, 7 * 15 * 5)


def test_products_that_cannot_be_are_refused():
    x = TensorType((4, 1, 3), QType(-8, 7), 0)
    with pytest.raises(UnsupportedLayer, match="make channels"):
        MatMul().infer(x, TensorType((4, 2, 3), QType(-8, 7), 0))
    with pytest.raises(MissingActQuant, match="20 bits"):
        MatMul().infer(x, TensorType((4, 1, 3), QType(0, (1 << 20) - 1), 0))
    wide = TensorType((1 << 17, 1, 1), QType(0, (1 << 16) - 1), 0)
    with pytest.raises(DoesNotFit, match="49 bits"):
        MatMul().infer(wide, wide)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ({}, {"lanes": 1}),
        ({}, {"lanes": 6}),
        ({"rows": 3, "length": 4}, {"lanes": 2}),
        ({"length": 5, "depth": 2}, {"engine": "spatial"}),
        ({"length": 4}, {"fps": 2_000_000}),
    ],
)
def test_attention_equals_the_golden_integers(shape, options, tmp_path, monkeypatch):
    graph = attention(**shape)
    design = built(graph, tmp_path / "net", monkeypatch, **options)
    predicted = interval_of(design)
    measured = check(tmp_path / "net", design.graph)
    print(shape, options, "predicted", predicted, "measured", measured)
    assert measured <= predicted


class Attention(nn.Module):
    """Self-attention of several heads over a sequence, as it is written by hand."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.quant = heads, ActQuant(6, -4, signed=True)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        for layer in (self.qkv, self.out):
            layer.weight.data = torch.randint(-4, 5, layer.weight.shape) / 8
            layer.bias.data = torch.randint(-8, 9, layer.bias.shape) / 16
        self.quant_qkv, self.quant_scores = ActQuant(6, -3, signed=True), ActQuant(8, -4, signed=True)
        self.softmax, self.quant_out = Softmax(-4, 8), ActQuant(7, -4, signed=True)

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = self.quant_qkv(self.qkv(self.quant(x))).chunk(3, -1)
        q, k, v = (part.view(n, length, self.heads, width // self.heads).transpose(1, 2) for part in (q, k, v))
        weights = self.softmax(self.quant_scores(q @ k.transpose(-1, -2) * 0.5))
        y = self.quant_out(weights @ v)
        return self.out(y.transpose(1, 2).reshape(n, length, width))


@pytest.mark.sim
@pytest.mark.parametrize(
    ("heads", "options", "simulator"),
    [(1, {"lanes": 2}, "icarus"), (2, {"engine": "spatial"}, "icarus"), (2, {"fps": 200_000}, "verilator")],
)
def test_attention_equals_pytorch(heads, options, simulator, tmp_path):
    torch.manual_seed(1)
    net, x = Attention(4, heads).eval(), torch.randn(6, 5, 4)
    design = flow.build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(**options))
    assert sum(isinstance(node.op, MatMul) for node in design.graph.nodes) == 2
    want = net.double()(x.double()).detach().numpy()
    assert len(np.unique(want)) > 10
    for stall in (0.0, 0.3):
        y, run = simulate(tmp_path / "net", x.numpy(), simulator=simulator, stall=stall)
        assert np.array_equal(y, want)
        assert stall or run.interval <= interval_of(design), (run.interval, interval_of(design))


def random_product(seed: int) -> tuple[Graph, dict]:
    """Two factors of one input, each what it is, moved, or behind a convolution, their product, and how it is built."""
    rng = np.random.default_rng(seed)
    k, rows, columns = (int(rng.choice(n)) for n in ((1, 2, 3, 5, 8), (1, 1, 2, 3), (1, 2, 3, 4, 6, 7)))
    kind, nodes, sides = TensorType((k, rows, columns), QType(-8, 7), 0), {}, []
    whole = np.arange(k * rows * columns).reshape(kind.shape)
    for name in "ab":
        what = rng.choice(["input", "flipped", "cut", "pointwise", "window"])
        op: Op = pointwise(rng, k, k)
        if what == "input":
            sides.append("input")
            continue
        if what in ("flipped", "cut"):
            index = whole[:, ::-1, ::-1] if what == "flipped" else whole[:, :, : int(rng.integers(1, columns + 1))]
            nodes[name] = Move(np.ascontiguousarray(index)), ("input",)
            sides.append(name)
            continue
        if what == "window":
            op = Conv(rng.integers(-2, 3, (k, k, 3, 3)) / 2, np.zeros(k), padding=(1, 1, 1, 1))
        nodes[name] = op, ("input",)
        nodes[f"{name}_quantized"] = Quantize(1, -8, 7), (name,)
        sides.append(f"{name}_quantized")
    nodes["product"] = MatMul(), tuple(sides)
    if rng.random() < 0.7:
        nodes["rounded"] = Quantize(int(rng.integers(-2, 6)), -32, 31), ("product",)
    options = [{"lanes": 1}, {"lanes": int(rng.integers(1, 9))}, {"engine": "spatial"}, {"fps": 5_000_000 // columns}]
    return graph_of(kind, nodes), options[rng.integers(len(options))]


@pytest.mark.sim
@pytest.mark.parametrize("seed", range(6))
def test_products_of_random_factors(seed, tmp_path, monkeypatch):
    graph, options = random_product(seed)
    design = built(graph, tmp_path / "net", monkeypatch, **options)
    measured = check(tmp_path / "net", design.graph, stalls=(0.0, 0.5), count=8)
    assert measured <= interval_of(design)
