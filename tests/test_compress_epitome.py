"""Recipes with epitomes: the layer keeps a part of its weights, and the build finds them."""

from typing import Any

import pytest
import torch
from torch import nn

from hwgen import build
from hwgen.compress import Recipe, Training, convert, fit, prepare
from hwgen.compress.methods import Magnitude
from hwgen.compress.recipe import Epitome, Override
from hwgen.compress.size import sizes
from hwgen.errors import BadInput
from hwgen.lanes.epitome import Epitome as Found
from hwgen.lanes.epitome import epitome_of

EXAMPLE = (torch.zeros(1, 2, 6, 6),)


def network() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)
    ).eval()


def recipe(*epitomes: tuple[str, int, int], **more) -> Recipe:
    overrides = tuple(Override(pattern, epitome=Epitome(times, step)) for pattern, times, step in epitomes)
    return Recipe(overrides=overrides, training=Training(epochs=2), **more)


def batches():
    generator = torch.Generator().manual_seed(3)
    return [(torch.rand(6, 2, 6, 6, generator=generator), torch.arange(6) % 3) for _ in range(3)]


def test_a_layer_keeps_a_part_and_the_build_walks_its_list_as_often(tmp_path):
    prepared = prepare(network(), recipe(("2", 4, 5), ("0", 2, 1)), EXAMPLE)
    assert prepared.layers["2"].original.shape == (2, 6, 3, 3) and prepared.layers["0"].original.shape == (3, 2, 3, 3)
    fit(prepared, batches(), show=lambda line: None)
    module = convert(prepared)
    x = batches()[0][0]
    assert torch.equal(module(x), prepared(x))
    weight = module.get_submodule("2").weight
    assert all(torch.equal(weight[2 * i : 2 * i + 2], weight[:2].roll(-5 * i, 1)) for i in range(4))
    assert prepared.terms_per_frame() == sum(row.terms_per_frame for row in sizes(module, EXAMPLE)[:-1])
    design = build(module, EXAMPLE, out=tmp_path / "net")
    units: dict[str, Any] = {placed.unit.name: placed.unit for placed in design.placed}
    found = {name: epitome_of(units[f"layer_{name}"].stage) for name in ("0", "2", "5")}
    assert found == {"0": Found(2, 1), "2": Found(4, 5), "5": None}


def test_the_memory_of_lists_is_as_many_times_smaller():
    plain, part = (convert(_trained(recipe(*each))) for each in ((), (("2", 4, 5),)))
    bits = [{row.name: row.memory_bits for row in sizes(module, EXAMPLE)}["2"] for module in (plain, part)]
    assert 3.5 < bits[0] / bits[1] < 4.5


def _trained(own: Recipe):
    prepared = prepare(network(), own, EXAMPLE)
    fit(prepared, batches(), show=lambda line: None)
    return prepared


def test_an_epitome_can_be_pruned_and_stays_one():
    own = recipe(("2", 4, 5), pruning=Magnitude(zeros=0.6), break_even=False)
    module = convert(_trained(own))
    weight = module.get_submodule("2").weight
    assert (weight == 0).float().mean() > 0.5
    assert torch.equal(weight[2:4], weight[:2].roll(-5, 1))


def test_json_keeps_epitomes():
    own = recipe(("2", 4, 5))
    assert Recipe.from_json(own.to_json()) == own


@pytest.mark.parametrize(
    ("epitome", "parts"),
    [
        (("2", 3, 1), ["times = 3 does not divide its 8 outputs", "use one of 2, 4, 8"]),
        (("2", 2, 6), ["step = 6, with 6 input channels", "use 1 to 5"]),
        (("0", 2, 2), ["step = 2, with 2 input channels", "use 1 to 1"]),
    ],
)
def test_epitomes_that_do_not_divide_are_refused(epitome, parts):
    with pytest.raises(BadInput) as caught:
        prepare(network(), recipe(epitome), EXAMPLE)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_a_depthwise_layer_has_none():
    net = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2)).eval()
    with pytest.raises(BadInput, match="has groups"):
        prepare(net, recipe(("0", 2, 1)), EXAMPLE)
