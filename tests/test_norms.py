"""Layer normalization, softmax, argmax and top-k: worked values, gradients, golden integers, RTL."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from hwgen import BuildConfig, build, simulate
from hwgen.errors import BadInput, DoesNotFit, HwgenError, ToolFailed
from hwgen.frontend import import_model
from hwgen.grids import limits
from hwgen.ir import TensorType
from hwgen.nn import ActQuant, LayerNorm, Softmax
from hwgen.nn_sequence import exponentials, integer_eps, normalize, reciprocal_root, share_of_sum
from hwgen.ops.layernorm import LayerNorm as LayerNormOp
from hwgen.ops.softmax_int import Softmax as SoftmaxOp
from hwgen.ops.topk import TopK as TopKOp
from hwgen.pace import interval_of
from hwgen.passes import run_passes
from hwgen.qtype import QType

FLOATS = (torch.float32, torch.float64)


class ArgMax(nn.Module):
    def forward(self, x):
        return x.argmax(1, keepdim=True)


class Top(nn.Module):
    """The values of the greatest three; their numbers are not asked for."""

    def forward(self, x):
        return x.topk(3, 1)[0]


def root(v: int, bits: int) -> tuple[int, int]:
    """The definition of a reciprocal root in whole numbers."""
    if v < 2:
        return (1 << bits) - 1, bits
    h = next(h for h in range(bits, 200) if math.isqrt((1 << (2 * h)) // v) >> (bits - 1))
    return math.isqrt((1 << (2 * h)) // v), h


def normalized(x: list[int], eps: int, bits: int, exponent: int) -> list[int]:
    """The definition of a LayerNorm in whole numbers."""
    n, s = len(x), sum(x)
    r, h = root(n * sum(each * each for each in x) - s * s + eps, bits + 2)
    low, high = limits(bits, True)
    exact = [Fraction((n * each - s) * r, 1) / Fraction(2) ** (h + exponent) for each in x]
    return [min(max(math.floor(y + Fraction(1, 2)), low), high) for y in exact]


def shared(x: list[int], table: list[int], bits: int) -> list[int]:
    """The definition of a Softmax in whole numbers."""
    e = [table[max(x) - each] if max(x) - each < len(table) else 0 for each in x]
    k = table[0].bit_length() + bits + 2
    r = (1 << k) // sum(e)
    return [min(math.floor(Fraction(each * r, 1 << (k - bits)) + Fraction(1, 2)), (1 << bits) - 1) for each in e]


@given(st.integers(0, (1 << 40) - 1) | st.integers(0, 70), st.integers(4, 18))
def test_a_reciprocal_root_has_exactly_its_bits(v, bits):
    r, h = (int(value) for value in reciprocal_root(torch.tensor([v]), bits))
    assert (r, h) == root(v, bits) and r.bit_length() == bits


@st.composite
def pixels(draw):
    """Channels of one pixel: any, at two values, or all but a few alike; and bits that hold them."""
    bits = draw(st.integers(1, 12))
    low, high = limits(bits, draw(st.booleans()))
    number = st.integers(low, high)
    kind = draw(st.sampled_from(("any", "two", "alike")))
    if kind == "any":
        return draw(st.lists(number, min_size=1, max_size=40)), (low, high)
    if kind == "two":
        return draw(st.lists(st.sampled_from((low, high)), min_size=1, max_size=40)), (low, high)
    return [draw(number)] * draw(st.integers(0, 40)) + draw(st.lists(number, min_size=1, max_size=2)), (low, high)


@settings(deadline=None)
@given(pixels(), st.integers(0, 100), st.integers(2, 12), st.data())
def test_layer_norm_is_as_defined_and_within_its_type(pixel, eps, bits, data):
    x, (low, high) = pixel
    exponent = data.draw(st.integers(-bits, 0))
    kind = TensorType((len(x), 1, 1), QType(low, high), 0)
    op = LayerNormOp(eps, bits, exponent)
    y = op.eval([kind], torch.tensor(x)[None, :, None, None]).flatten().tolist()
    assert y == normalized(x, eps, bits, exponent)
    found = op.infer(kind).qtype
    assert all(found.low <= each <= found.high for each in y)


@settings(deadline=None)
@given(pixels(), st.integers(1, 12), st.integers(2, 16), st.integers(-5, 3))
def test_softmax_is_as_defined_and_within_its_type(pixel, bits, table_bits, in_exponent):
    x, (low, high) = pixel
    table = exponentials(in_exponent, table_bits)
    op = SoftmaxOp(table.numpy(), bits)
    kind = TensorType((len(x), 1, 1), QType(low, high), in_exponent)
    y = op.eval([kind], torch.tensor(x)[None, :, None, None]).flatten().tolist()
    assert y == shared(x, table.tolist(), bits)
    assert min(y) >= 0 and max(y) <= op.infer(kind).qtype.high
    assert table[0] == (1 << table_bits) - 1 and table[-1] > 0
    assert math.exp(-len(table) * 2.0**in_exponent) * int(table[0]) < 0.5 + 1e-9


@settings(deadline=None)
@given(pixels(), st.data())
def test_the_greatest_come_first_and_of_like_ones_the_lowest(pixel, data):
    x, (low, high) = pixel
    k = data.draw(st.integers(1, len(x)))
    order = sorted(range(len(x)), key=lambda i: (-x[i], i))[:k]
    kind, frame = TensorType((len(x), 1, 1), QType(low, high), 3), torch.tensor(x)[None, :, None, None]
    assert TopKOp(k).eval([kind], frame).flatten().tolist() == order
    assert TopKOp(k, True).eval([kind], frame).flatten().tolist() == [x[i] for i in order]
    assert frame.argmax(1).item() == order[0]  # torch promises as much of argmax, and nothing of topk


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("dim", [1, -1, -2])
def test_modules_compute_the_integers_along_any_dimension(dtype, dim):
    torch.manual_seed(2)
    x = ActQuant(8, -4, True)(torch.randn(3, 5, 7, 6, dtype=dtype) * 3)
    q = (x * 16).long()
    norm, soft = LayerNorm(-4, 7, -4, eps=0.01, dim=dim), Softmax(-4, 9, dim=dim)
    n = x.shape[dim]
    want = normalize(q, dim, integer_eps(0.01, n, -4), 7, -4)
    assert norm(x).dtype == dtype and torch.equal(norm(x), want.to(dtype) / 16)
    assert torch.equal(soft(x), share_of_sum(q, dim, exponentials(-4, 13), 9).to(dtype) / 512)


@pytest.mark.parametrize("channels", [2, 4, 16, 64, 256])
def test_errors_against_the_float_layers(channels):
    """Half of a unit for rounding, a quarter for the reciprocal, the table's own; all of it as the docstrings say."""
    torch.manual_seed(4)
    x = ActQuant(8, -4, True)(torch.randn(4000, channels, dtype=torch.float64) * 2)
    error = (LayerNorm(-4, 8, -5)(x) - functional.layer_norm(x, (channels,)).clamp(-4, 127 / 32)) * 32
    assert error.abs().max() < 0.76 and error.abs().mean() < 0.27
    error = (Softmax(-4, 8)(x) - x.softmax(-1)) * 256
    assert error.abs().max() <= 1.0 and error.abs().mean() < 0.28


def test_gradients_are_those_of_the_float_layers():
    torch.manual_seed(5)
    x = (torch.randn(6, 9, dtype=torch.float64) * 2).requires_grad_()
    grad = torch.randn(6, 9, dtype=torch.float64)
    for module, layer in (
        (LayerNorm(-8, 12, -8), lambda x: functional.layer_norm(x, (9,))),
        (Softmax(-5, 8), lambda x: x.softmax(-1)),
    ):
        got, want = (torch.autograd.grad(f(x), x, grad)[0] for f in (module, layer))
        assert torch.allclose(got, want, atol=1e-12)


def test_a_layer_norm_at_its_ends_passes_no_gradient_there():
    x = torch.zeros(1, 64, requires_grad=True)
    with torch.no_grad():
        x[0, 3] = 8.0
    y = LayerNorm(-4, 4, -2)(x)
    assert y[0, 3] == 7 / 4
    (grad,) = torch.autograd.grad(y[0, 3], x)
    assert not grad.any()


def test_training_finds_what_a_softmax_is_to_pick():
    torch.manual_seed(6)
    net = nn.Sequential(nn.Linear(4, 8), ActQuant(8, -4, True), LayerNorm(-4, 8, -5), nn.Linear(8, 3), Softmax(-4, 8))
    x = torch.randn(256, 4)
    label = x[:, :3].argmax(1)
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss = functional.nll_loss((net(x) + 1e-3).log(), label)
        loss.backward()
        optimizer.step()
    assert (net(x).argmax(1) == label).float().mean() > 0.9


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LayerNorm(-4, 1, 0), "bits"),
        (lambda: LayerNorm(-4, 8, -9), "exponent"),
        (lambda: LayerNorm(-4, 8, 1), "exponent"),
        (lambda: LayerNorm(-65, 8, 0), "in_exponent"),
        (lambda: LayerNorm(-4, 8, -4, eps=0.0), "eps"),
        (lambda: LayerNorm(-4, 8, -4, eps=math.nan), "eps"),
        (lambda: LayerNorm(-4, 8, -4, dim=1.0), "dim"),  # type: ignore[arg-type]
        (lambda: Softmax(-4, 0), "bits"),
        (lambda: Softmax(-4, 8, table_bits=21), "table_bits"),
        (lambda: Softmax(-8, 8), "grid 2^-8"),
        (lambda: Softmax(-4, 8)(torch.zeros(2, 2, dtype=torch.int64)), "dtype"),
        (lambda: LayerNorm(-4, 8, -4)(torch.zeros(2, 2, dtype=torch.float16)), "dtype"),
        (lambda: LayerNorm(-20, 8, -4)(torch.eye(64) * 1e3), "variance"),
    ],
)
def test_arguments_that_cannot_be(make, words):
    with pytest.raises(BadInput, match=words.replace("^", r"\^")):
        make()


class Calls(nn.Module):
    def __init__(self, *modules: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(modules)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def golden(net, x):
    graph = run_passes(import_model(net, (x.float()[:1],)))
    return graph, graph.golden(x)[0]


@pytest.mark.parametrize("before", [-6, -4, -3])
def test_a_module_on_another_grid_rounds_in_the_graph_too(before):
    torch.manual_seed(3)
    x = torch.randn(9, 6, 2, 2) * 2
    for module in (LayerNorm(-4, 8, -5, dim=1), Softmax(-4, 8, dim=1)):
        net = Calls(ActQuant(9, before, True), module).eval()
        graph, y = golden(net, x)
        assert torch.equal(y, net.double()(x.double()))
        assert len(graph.nodes) == (1 if before == -4 else 2)


def test_a_variance_that_is_too_wide_is_refused():
    with pytest.raises(DoesNotFit, match="the variance of 4096 channels"):
        golden(Calls(ActQuant(16, -4, True), LayerNorm(-4, 16, -8, dim=1)).eval(), torch.zeros(1, 4096))


def test_topk_that_cannot_be_is_refused():
    class Least(nn.Module):
        def forward(self, x):
            return x.topk(2, 1, largest=False)[0]

    class OfAll(nn.Module):
        def forward(self, x):
            return x.argmax().reshape(1, 1)

    for module, words in ((Least(), "least"), (OfAll(), "argmax over all")):
        with pytest.raises(HwgenError, match=words):
            golden(Calls(ActQuant(4, 0), module).eval(), torch.zeros(1, 4, 2, 2))


def corners(channels: int, *pixels: int) -> torch.Tensor:
    """Frames: random, all alike, all but one alike, at both ends, all zero."""
    torch.manual_seed(channels)
    x = torch.randn(6, channels, *pixels) * 3
    x[1] = 2.5
    x[2], x[2, :1] = -1.0, -1.0625
    x[3] = x[3].sign() * 9
    x[4] = 0
    return x


@pytest.mark.sim
@pytest.mark.parametrize(
    ("module", "shape", "simulator"),
    [
        (LayerNorm(-4, 8, -5, dim=1), (20, 2, 3), "icarus"),
        (LayerNorm(-4, 8, -5, dim=1), (20, 2, 3), "verilator"),
        (Softmax(-4, 8, dim=1), (20, 2, 3), "icarus"),
        (ArgMax(), (11, 2, 3), "icarus"),
        (Top(), (7, 3, 2), "icarus"),
    ],
)
def test_rtl_equals_the_module(module, shape, simulator, tmp_path):
    net, x = Calls(ActQuant(8, -4, True), module).eval(), corners(*shape)
    design = build(net, (x[:1],), out=tmp_path / "net")
    want = net.double()(x.double()).numpy()
    for stall in (0.0, 0.4):
        y, run = simulate(tmp_path / "net", x.numpy(), simulator=simulator, stall=stall)
        assert np.array_equal(y, want)
        if not stall:
            assert run.interval <= interval_of(design)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("module", "bits", "signed"),
    [
        (LayerNorm(-4, 4, -1, dim=1), 3, True),
        (LayerNorm(-4, 12, -9, eps=0.5, dim=1), 10, False),
        (LayerNorm(-4, 2, 0, dim=1), 1, True),
        (Softmax(-4, 1, dim=1), 8, False),
        (Softmax(2, 16, dim=1, table_bits=6), 5, True),
        (ArgMax(), 1, True),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 9])
def test_odd_widths_and_few_channels(module, bits, signed, channels, tmp_path):
    net, x = Calls(ActQuant(bits, -4, signed), module).eval(), corners(channels, 1, 4) / (16 >> bits or 1)
    build(net, (x[:1],), out=tmp_path / "net")
    y, _ = simulate(tmp_path / "net", x.numpy(), simulator="icarus", stall=0.3)
    assert np.array_equal(y, net.double()(x.double()).numpy())


class Sequence(nn.Module):
    """Tokens [N, length, features], each normalized; then shares along the length, and the best two of the features
    and the best position of each."""

    def __init__(self):
        super().__init__()
        self.into, self.norm, self.share = ActQuant(7, -4, True), LayerNorm(-4, 8, -5), Softmax(-4, 8, dim=1)

    def forward(self, x):
        x = self.norm(self.into(x))
        values, order = self.share(x).topk(2, -1)
        return values, order, x.argmax(1)


@pytest.mark.sim
def test_along_the_last_dimension_and_the_second(tmp_path):
    """Of like shares torch promises no order: which they are is checked by what they pick."""
    net = Sequence().eval()
    x = torch.stack([torch.randperm(5 * 6, generator=torch.Generator().manual_seed(n)) for n in range(6)])
    x = x.reshape(6, 5, 6).float() / 4 - 3
    build(net, (x[:1],), out=tmp_path / "net")
    values, order, best = (result.numpy() for result in net.double()(x.double()))
    got, _ = simulate(tmp_path / "net", x.numpy(), simulator="icarus", stall=0.3)
    assert np.array_equal(got[0], values) and np.array_equal(got[2], best)
    shares = net.share(net.norm(net.into(x.double()))).numpy()
    assert np.array_equal(np.take_along_axis(shares, got[1].astype(int), -1), values)
    assert got[1].shape == order.shape and (got[1][..., 0] != got[1][..., 1]).all()


class Block(nn.Module):
    """A residual around a normalization, a softmax gate, and a classifier whose scores are compared."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(8)
        self.into, self.conv, self.quant = ActQuant(6, -4, True), nn.Conv2d(3, 12, 3, padding=1), ActQuant(8, -4, True)
        self.norm, self.back = LayerNorm(-4, 8, -5, dim=1), ActQuant(8, -4, True)
        self.mix, self.scores = nn.Conv2d(12, 5, 1), ActQuant(8, -4, True)
        self.share, self.best = Softmax(-4, 8, dim=1), ArgMax()
        for layer in (self.conv, self.mix):
            layer.weight.data = torch.randint(-3, 4, layer.weight.shape) / 8
            layer.bias.data = torch.randint(-8, 8, layer.bias.shape) / 16

    def forward(self, x):
        x = self.quant(self.conv(self.into(x)))
        x = self.back(self.norm(x) + x)
        return self.best(self.share(self.scores(self.mix(x))))


@pytest.mark.sim
@pytest.mark.parametrize(
    "options", [{"lanes": 3}, {"engine": "spatial", "pixels": 5}, {"engine": "auto", "fps": 300_000}]
)
def test_a_network_of_all_of_them(options, tmp_path):
    net, x = Block().eval(), torch.randn(4, 3, 5, 5)
    design = build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(**options))
    want = net.double()(x.double()).detach().numpy()
    for stall in (0.0, 0.4):
        y, run = simulate(tmp_path / "net", x.numpy(), simulator="icarus", stall=stall)
        assert np.array_equal(y, want)
        if not stall:
            assert run.interval <= interval_of(design)


@pytest.mark.sim
def test_a_wrong_table_of_exponentials_ends_the_simulation(tmp_path):
    net = Calls(ActQuant(6, -3, True), Softmax(-3, 4, dim=1)).eval()
    build(net, (torch.zeros(1, 4),), out=tmp_path / "net")
    (rom,) = (tmp_path / "net" / "rom").iterdir()
    rom.write_text("\n".join(reversed(rom.read_text().split())) + "\n")
    with pytest.raises(ToolFailed, match=r"ROM (.|\n)*does not hold"):
        simulate(tmp_path / "net", np.zeros((1, 4)), simulator="icarus", edited=True)
