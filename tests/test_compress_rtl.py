"""Every kind of recipe from training to hardware: what was converted builds, and its RTL computes the same."""

import pytest
import torch
from torch import nn

import hwgen
from hwgen.compress import Recipe, convert, prepare
from hwgen.compress.formats import (
    AdditivePowersOfTwo,
    Binary,
    KMeans,
    PowerOfTwo,
    SignedDigits,
    Ternary,
    Uniform,
)
from hwgen.compress.methods import ADMM, FilterSimilarity, Magnitude, NofM, PowerOfTwoAdapted
from hwgen.compress.recipe import Override
from tests.test_compress_prune import Residual, train

FORMATS = [PowerOfTwo(4), AdditivePowersOfTwo(6), Uniform(8), Ternary(), SignedDigits(3, 8), KMeans(5, 6)]
PRUNINGS = [
    {},
    {"pruning": Magnitude(0.5)},
    {"pruning": ADMM(0.5)},
    {"pruning": FilterSimilarity(0.5)},
    {"pruning": NofM(2, 4)},
    {"pruning": PowerOfTwoAdapted()},
    {"terms_per_frame": 120},
]
X = torch.rand(4, 2, 6, 6, generator=torch.Generator().manual_seed(3))


def small() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3))
    ).eval()


def built(model: nn.Module, recipe: Recipe, folder):
    """The converted network in float64, and its design."""
    prepared = train(prepare(model, recipe), X)
    converted = convert(prepared)
    design = hwgen.build(converted, (X[:1],), out=folder)
    converted, prepared = converted.double(), prepared.double()
    with torch.no_grad():
        assert torch.equal(converted(X.double()), prepared(X.double()))
    return converted, design


@pytest.mark.parametrize("own", FORMATS, ids=str)
@pytest.mark.parametrize("pruning", PRUNINGS, ids=str)
def test_every_format_with_every_pruning_trains_converts_and_builds(tmp_path, own, pruning):
    converted, design = built(small(), Recipe(weights=own, **pruning), tmp_path / "net")
    graph = design.graph
    golden = graph.golden(X)[0]
    assert torch.equal(golden, converted(X.double()))


@pytest.mark.sim
@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        (small, Recipe(weights=AdditivePowersOfTwo(4), granularity="channel", pruning=Magnitude(0.5))),
        (small, Recipe(weights=Uniform(5), scale="learned", gradient="clip", quantize_from=0.2, pruning=NofM(2, 4))),
        (Residual, Recipe(weights=SignedDigits(3, 8), granularity="channel", terms_per_frame=4000)),
        (Residual, Recipe(pruning=FilterSimilarity(0.5), scale="max", bias_bits=5)),
        (small, Recipe(weights=Binary(), activation_bits=1, input_bits=3)),
        (small, Recipe(weights=KMeans(4, 6), granularity="channel", scale="learned", pruning=ADMM(0.6))),
        (
            small,
            Recipe(
                weights=PowerOfTwo(5),
                pruning=Magnitude(0.3),
                overrides=(Override("0[1:3]", weights=Ternary()), Override("5", zeros=0.5)),
            ),
        ),
    ],
    ids=["channels", "learned", "terms", "filters", "binary", "kmeans", "mixed"],
)
def test_the_rtl_computes_what_was_converted(tmp_path, model, recipe):
    torch.manual_seed(1)
    converted, _ = built(model().eval(), recipe, tmp_path / "net")
    y, _ = hwgen.simulate(tmp_path / "net", X.numpy(), simulator="icarus", stall=0.2)
    want = converted(X.double())
    assert len(want.unique()) > 3
    assert torch.equal(torch.from_numpy(y), want.detach())
