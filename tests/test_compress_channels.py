"""Which format each output channel has, learned for layers on two kinds of lanes."""

import pytest
import torch
from torch import nn

from hwgen.compress import Recipe, Training
from hwgen.compress.channels import TwoFormats, search
from hwgen.compress.formats import PowerOfTwo, Ternary, Uniform
from hwgen.compress.recipe import Split, layer_recipes
from hwgen.errors import BadInput

EXAMPLE = (torch.zeros(1, 1, 6, 6),)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.Flatten(), nn.Linear(32, 3))


def batches():
    chosen = torch.Generator().manual_seed(1)
    y = torch.randint(0, 3, (48,), generator=chosen)
    x = torch.rand(48, 1, 6, 6, generator=chosen) + y[:, None, None, None]
    return [(x[i : i + 16], y[i : i + 16]) for i in (0, 16, 32)]


def searched(**split):
    recipe = Recipe(training=Training(epochs=12, rate=1e-2, grid_rate=1e-2), split=Split(("2",), **split))
    return search(network(), recipe, EXAMPLE, batches(), show=lambda line: None)


def formats(recipe):
    return layer_recipes(recipe, {"0": 6, "2": 8, "4": 3})["2"].formats


def test_every_channel_has_one_of_the_two_formats():
    found = searched(strength=4.0)
    assert found.split is None and set(formats(found)) == {PowerOfTwo(), Uniform()}
    assert Recipe.from_json(found.to_json()) == found


@pytest.mark.parametrize(("accumulators", "kind"), [(0.01, PowerOfTwo()), (100.0, Uniform())])
def test_channels_go_where_cycles_are_few(accumulators, kind):
    """With lanes of one kind that are a hundred times slower, none goes there."""
    assert set(formats(searched(strength=30.0, accumulators=accumulators))) == {kind}


def test_a_layer_computes_with_the_mean_of_both_formats():
    w = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(2))
    grid = TwoFormats(w, Split(("*",), first=Ternary(), second=Uniform(4)), "identity")
    assert torch.equal(grid(w), w)
    grid.to_grid(w)
    with torch.no_grad():
        grid.choice[:] = torch.tensor([-99.0, 0.0, 99.0])
    first, second = super(TwoFormats, grid).forward(w), grid.second(w)
    mixed = grid(w)
    assert torch.equal(mixed[0], first[0]) and torch.equal(mixed[2], second[2])
    assert torch.equal(mixed[1], 0.5 * first[1] + 0.5 * second[1]) and not torch.equal(first[1], second[1])
    part, whole = grid.cycles(w, 1.0)
    part.backward()
    assert whole > 0 and grid.choice.grad is not None and bool(grid.choice.grad[1] != 0)


@pytest.mark.parametrize(
    ("layers", "text"), [(("conv9",), "'conv9' matches no layer"), (("1",), "the layers are 0, 2, 4")]
)
def test_a_pattern_without_a_layer_is_named(layers, text):
    recipe = Recipe(split=Split(layers))
    with pytest.raises(BadInput, match=text):
        search(network(), recipe, EXAMPLE, batches(), show=lambda line: None)
