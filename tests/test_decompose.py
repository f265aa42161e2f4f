"""Convolutions whose kernels are sums of a few: two layers each, in either order, trained, and as hardware."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from hwgen import build, simulate
from hwgen.compress import Recipe, convert, prepare
from hwgen.compress.decompose import factors
from hwgen.compress.formats import Ternary, Uniform
from hwgen.compress.recipe import Decomposition, Override
from hwgen.compress.size import sizes
from hwgen.config import BuildConfig
from hwgen.errors import BadInput, UnsupportedLayer
from hwgen.frontend import import_model
from hwgen.ir import TensorType
from hwgen.ops.conv import Conv
from hwgen.passes import run_passes
from hwgen.qtype import QType
from tests.graphs import frames_of, graph_of

ORDERS = ("basis", "coefficients")
CONVOLUTIONS = {
    "strided": lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "dilated, in groups": lambda: nn.Conv2d(4, 6, (3, 2), padding=(2, 0), dilation=2, groups=2, bias=False),
    "depthwise": lambda: nn.Conv2d(4, 4, 3, padding="same", groups=4),
    "of one dimension": lambda: nn.Conv1d(4, 6, 5, padding=2),
}


def network(conv: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(1)
    conv = conv or nn.Conv2d(4, 6, 3, padding=1)
    first = (nn.Conv1d if isinstance(conv, nn.Conv1d) else nn.Conv2d)(2, 4, 1)
    net = nn.Sequential(first, nn.ReLU(), conv, nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)).eval()
    net(torch.zeros(1, 2, *[8] * (conv.weight.dim() - 2)))
    return net


@pytest.mark.parametrize("first", ORDERS)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_a_whole_basis_computes_the_same(case, first):
    conv = CONVOLUTIONS[case]()
    net, x = network(conv), torch.rand(3, 2, *[8] * (conv.weight.dim() - 2))
    want = net(x)
    kernels = 4 if case == "depthwise" else conv.weight[0, 0].numel()
    prepared = prepare(net, Recipe(decompose=(Decomposition("2", kernels, first),)), (x[:1],))
    assert [name for name in prepared.layers if name.startswith("2.")] == [
        f"2.{name}" for name in (ORDERS if first == "basis" else ORDERS[::-1])
    ]
    assert torch.allclose(prepared(x), want, atol=1e-5)


def test_fewer_kernels_are_those_of_least_error():
    weight = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values = torch.linalg.svdvals(weight.reshape(30, 9))
    for kernels in (1, 3, 8):
        c, b = factors(weight, kernels)
        error = (torch.einsum("ocm,mij->ocij", c, b) - weight).square().sum()
        assert torch.isclose(error, values[kernels:].square().sum())
        assert torch.allclose(c.square().mean(dim=(0, 1)), torch.ones(kernels, dtype=torch.float64))


@pytest.mark.parametrize("first", ORDERS)
def test_stages_without_rounding_between_have_the_integers_of_one(first):
    """On integers: what is between is the exact sums, of at most 16 bits."""
    rng, x = np.random.default_rng(1), TensorType((3, 6, 6), QType(-8, 7), 0)
    b, c = rng.integers(-3, 4, (2, 3, 3)).astype(float), rng.integers(-2, 3, (4, 3, 2)).astype(float)
    bias, sides = np.arange(4.0), (1, 1, 1, 1)
    whole = graph_of(x, ("conv", Conv(np.einsum("ocm,mij->ocij", c, b), bias, padding=sides), ("x",)))
    if first == "basis":
        stages = (
            Conv(np.tile(b, (3, 1, 1))[:, None], np.zeros(6), padding=sides, groups=3),
            Conv(c.reshape(4, 6, 1, 1), bias),
        )
    else:
        stages = (
            Conv(c.transpose(0, 2, 1).reshape(8, 3, 1, 1), np.zeros(8)),
            Conv(np.tile(b[None], (4, 1, 1, 1)), bias, padding=sides, groups=4),
        )
    two = graph_of(x, ("one", stages[0], ("x",)), ("two", stages[1], ("one",)))
    assert two.types()["one"].qtype.bits <= 16
    frames = frames_of(x)
    assert torch.equal(*whole.eval(frames), *two.eval(frames))


def compressed(first: str) -> tuple[nn.Module, torch.Tensor]:
    """A basis of 6 bits and coefficients of one, quantized to 6 bits between."""
    overrides = (Override("2.basis", weights=Uniform(6)), Override("2.coefficients", weights=Ternary()))
    recipe = Recipe(decompose=(Decomposition("?", 3, first), Decomposition("2", 2, first, 6)), overrides=overrides)
    x = torch.rand(6, 2, 6, 6)
    net = network(nn.Conv2d(4, 6, 3, padding=1))
    net[0] = nn.Conv2d(2, 4, 3)
    net[5] = nn.Linear(96, 3)
    prepared = prepare(net, recipe, (x[:1],))
    assert "0.basis" in prepared.layers
    prepared.train()
    prepared.quantize()
    functional.cross_entropy(prepared(x), torch.arange(6) % 3).backward()
    assert all(layer.original.grad is not None for layer in prepared.layers.values())
    return convert(prepared), x


@pytest.mark.sim
@pytest.mark.parametrize("first", ORDERS)
def test_both_orders_run_as_hardware(first, tmp_path):
    net, x = compressed(first)
    rows = {row.name: row for row in sizes(net, (x[:1],))}
    count = (4 if first == "basis" else 6) * 2
    assert rows["2.basis"].weights == count * 9 and rows["2.coefficients"].weights == 6 * 4 * 2
    assert rows["2.coefficients"].terms == rows["2.coefficients"].nonzero  # ternary
    graph = run_passes(import_model(net, (x[:1],)))
    want = net.double()(x.double())
    assert torch.equal(graph.golden(x)[0], want)
    build(net.float(), (x[:1],), out=tmp_path / "net", config=BuildConfig(lanes=4))
    y, _ = simulate(tmp_path / "net", x.numpy(), simulator="icarus", stall=0.3)
    assert np.array_equal(y, want.numpy())


def test_a_recipe_with_decompositions_is_read_as_written():
    recipe = Recipe(decompose=(Decomposition("conv*", 3), Decomposition("conv2", 2, "coefficients", 6)))
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("own", "conv", "error", "said"),
    [
        (Decomposition("conv", 3), None, BadInput, "the pattern 'conv' matches no convolution\n.*at: .*decompose"),
        (
            Decomposition("2", 10),
            None,
            BadInput,
            "10 basis kernels, of which 9 make all of its own\n.*at: .*2\n.*use at most 9",
        ),
        (Decomposition("0", 1), None, UnsupportedLayer, "its kernels have one tap"),
        (
            Decomposition("2", 3),
            lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"),
            UnsupportedLayer,
            "its padding is circular",
        ),
    ],
)
def test_what_cannot_be_decomposed_is_named(own, conv, error, said):
    with pytest.raises(error, match=said):
        prepare(network(conv and conv()), Recipe(decompose=(own,)))
