"""Several recipes on one set of weights: each mode learns from the one before, and all build into one network."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from hwgen import build
from hwgen.cli import main
from hwgen.compress import Recipe, Training, accuracy, convert_modes, fit, prepare, prepare_modes
from hwgen.compress.formats import PowerOfTwo, SignedDigits
from hwgen.compress.methods import Magnitude
from hwgen.errors import BadInput

TRAINING = Training(epochs=2, seed=1)
RECIPES = [
    Recipe(weights=SignedDigits(terms=2, bits=6), training=TRAINING),
    Recipe(weights=PowerOfTwo(4), training=TRAINING),
    Recipe(weights=PowerOfTwo(3), activation_bits=2, training=TRAINING),
]
EXAMPLE = (torch.zeros(1, 1, 6, 6),)


def network() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    ).eval()


def batches(count=4):
    generator = torch.Generator().manual_seed(3)
    y = torch.arange(24).reshape(count, -1) % 3
    return [(torch.rand(len(own), 1, 6, 6, generator=generator) + own[:, None, None, None] / 4, own) for own in y]


def test_modes_train_one_set_of_weights_and_build_into_one_network(tmp_path):
    prepared = prepare_modes(network(), RECIPES, EXAMPLE)
    originals = [{id(layer.original) for layer in mode.layers.values()} for mode in prepared.modes]
    assert originals[0] == originals[1] == originals[2]
    before = prepared.modes[0].layers["0"].original.clone()
    fit(prepared, batches(), batches(), show=lambda line: None)
    assert not torch.equal(before, prepared.modes[2].layers["0"].original)
    assert len({float(layer.grid.gain.sum()) for mode in prepared.modes for layer in [mode.layers["0"]]}) == 3
    modules = convert_modes(prepared)
    x, _ = batches()[0]
    outputs = prepared(x)
    for number, module in enumerate(modules):
        assert torch.equal(module(x), outputs[..., number])
    terms = [np.bitwise_count(np.abs(module.get_submodule("0").weight.numpy() * 64).astype(int)) for module in modules]
    assert [int(each.max()) for each in terms][1:] == [1, 1]  # powers of two
    assert accuracy(prepared, batches()) == pytest.approx(np.mean([accuracy(each, batches()) for each in modules]))
    design = build(modules[0], EXAMPLE, out=tmp_path / "net", modes=[(each, EXAMPLE) for each in modules[1:]])
    assert [placed.unit.name for placed in design.placed if placed.unit.by_mode] == ["layer_0", "layer_5"]


def test_activations_are_clipped_alike_in_levels_of_each_mode():
    prepared = prepare_modes(network(), RECIPES, EXAMPLE)
    prepared.step(1.0)
    prepared(batches()[0][0])
    first, _, last = ([q for q in mode.quantizers if q.log2_scale.requires_grad] for mode in prepared.modes)
    assert [q.bits for q in first] == [4] and [q.bits for q in last] == [2]
    assert [q.exponent + 2 for q in first] == [q.exponent for q in last]


def test_a_mode_is_taught_by_the_one_before_and_teaches_it_nothing():
    prepared = prepare_modes(network(), RECIPES[:2], EXAMPLE)
    outputs = torch.randn(5, 3, 2, requires_grad=True)
    y = torch.tensor([0, 1, 2, 0, 1])
    prepared.loss(nn.functional.cross_entropy, outputs, y).backward()
    alone = outputs.detach()[..., 0].requires_grad_()
    nn.functional.cross_entropy(alone, y).backward()
    assert outputs.grad is not None and alone.grad is not None
    assert torch.allclose(outputs.grad[..., 0], alone.grad)
    probabilities = outputs.detach().softmax(1)
    assert torch.allclose(outputs.grad[..., 1], (probabilities[..., 1] - probabilities[..., 0]) / 5, atol=1e-6)


def test_a_mode_alone_is_not_changed_by_the_others():
    alone, among = prepare(network(), RECIPES[0], EXAMPLE), prepare_modes(network(), RECIPES, EXAMPLE).modes[0]
    for each in (alone, among):
        each.step(1.0)
    x = batches()[0][0]
    assert torch.equal(alone(x), among(x))


@pytest.mark.parametrize(
    ("recipes", "part"),
    [
        (RECIPES[:1], "1 recipe"),
        ([RECIPES[0], Recipe(terms_per_frame=100, training=TRAINING)], "mode 1"),
        ([RECIPES[0], Recipe()], "is not that of mode 0"),
    ],
)
def test_recipes_that_cannot_be_trained_at_once_are_refused(recipes, part):
    with pytest.raises(BadInput, match=part):
        prepare_modes(network(), recipes, EXAMPLE)


def test_pruned_filters_stay_so_that_all_modes_are_of_one_structure():
    recipes = [
        Recipe(weights=own.weights, pruning=Magnitude(zeros=zeros), break_even=False, training=TRAINING)
        for own, zeros in zip(RECIPES[:2], (0.1, 0.9), strict=True)
    ]
    prepared = prepare_modes(network(), recipes, EXAMPLE)
    fit(prepared, batches(), show=lambda line: None)
    shapes = [[tuple(p.shape) for p in module.parameters()] for module in convert_modes(prepared)]
    assert shapes[0] == shapes[1]


def test_the_verb_writes_a_network_for_each_recipe(tmp_path):
    (tmp_path / "job.py").write_text(
        "import sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(__import__('pathlib').Path(__file__).parent)!r})\n"
        "from test_compress_modes import batches, network\n"
        "def job():\n    return network(), batches(), batches()\n"
    )
    paths = []
    for number, recipe in enumerate(RECIPES[:2]):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(recipe.to_json())
    out = tmp_path / "out"
    given = [word for path in paths for word in ("--recipe", str(path))]
    run = CliRunner().invoke(main, ["compress", f"{tmp_path / 'job.py'}:job", *given, "-o", str(out)])
    assert run.exit_code == 0, run.output
    names = ["model.pt2", "model1.pt2"]
    assert all(f"{out / name}: accuracy" in run.output for name in names)
    assert json.loads((out / "recipe1.json").read_text())["weights"]["kind"] == "power_of_two"
    modes = ",".join(str(out / name) for name in names)
    run = CliRunner().invoke(main, ["build", "--modes", modes, "-o", str(tmp_path / "net")])
    assert run.exit_code == 0, run.output
