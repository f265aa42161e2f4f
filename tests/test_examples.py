"""The shipped networks: their accuracy, their grids, their zeros, and float32 against float64."""

import copy

import pytest
import torch
from torch import nn

from examples import common
from examples.digits import model as digits
from examples.lenet5 import model as lenet5
from hwgen.nn import ActQuant

GOALS = {"digits": (digits, 97.0, 0.5), "lenet5": (lenet5, 98.5, 0.9)}
CHECKPOINTS = pytest.mark.parametrize("name", GOALS)


def weighted(model: nn.Module) -> dict[str, nn.Module]:
    return {name: layer for name, layer in model.named_modules() if hasattr(layer, "weight")}


def unit(w: torch.Tensor) -> int:
    """The greatest exponent e such that every number is an integer times 2^e."""
    return next(e for e in range(8, -41, -1) if not (w.double() * 2.0**-e % 1).any())


def magnitudes(w: torch.Tensor) -> set[int]:
    return set((w.double().abs() * 2.0 ** -unit(w)).long().flatten().tolist())


@CHECKPOINTS
def test_accuracy_in_float64_and_the_same_answers_in_float32(name):
    module, goal, _ = GOALS[name]
    model, example = module.load()
    x, labels = module.test_data()
    assert not model.training
    assert example[0].shape[1:] == x.shape[1:]
    assert common.accuracy(model, x, labels) >= goal
    with torch.no_grad():
        single = model(torch.from_numpy(x))
        double = copy.deepcopy(model).double()(torch.from_numpy(x).double())
    assert torch.equal(single.double(), double)


@CHECKPOINTS
def test_test_images_pass_the_input_quantizer_unchanged(name):
    module, _, _ = GOALS[name]
    x = torch.from_numpy(module.test_data()[0])
    assert torch.equal(module.load()[0].quant_in(x), x)


@CHECKPOINTS
def test_weights_are_on_their_grids_and_sparse(name):
    module, _, goal = GOALS[name]
    layers = weighted(module.load()[0])
    for layer_name, layer in layers.items():
        apot = (name, layer_name) == ("digits", "conv2")
        grid = common.APOT4 if apot else common.power_of_two(4)
        assert magnitudes(layer.weight.detach()) <= set(grid), layer_name
    weights = torch.cat([layer.weight.flatten() for layer in layers.values()])
    assert (weights == 0).double().mean() >= goal


@CHECKPOINTS
def test_biases_are_short_and_on_the_product_grid(name):
    model = GOALS[name][0].load()[0]
    input_units = {}
    hooks = [
        layer.register_forward_hook(lambda _layer, inputs, _output, key=key: input_units.update({key: unit(inputs[0])}))
        for key, layer in weighted(model).items()
    ]
    with torch.no_grad():
        model(torch.from_numpy(GOALS[name][0].test_data()[0]))
    assert len(hooks) == len(input_units)
    for key, layer in weighted(model).items():
        bias = layer.bias.detach()
        assert unit(bias) >= unit(layer.weight.detach()) + input_units[key], key
        assert max(magnitudes(bias)) < 32, key


@CHECKPOINTS
def test_every_quantizer_survives_export(name):
    model, example = GOALS[name][0].load()
    program = torch.export.export(model, example)
    quantizers = sum(isinstance(m, ActQuant) for m in model.modules())
    targets = [node.target for node in program.graph.nodes]
    assert targets.count(torch.ops.hwgen.act_quant.default) == quantizers


def test_digits_split_sizes():
    (train, _), (test, labels) = digits.train_data(), digits.test_data()
    assert train.shape == (1437, 1, 8, 8)
    assert test.shape == (360, 1, 8, 8)
    assert len(labels) == 360


def test_projection_is_nearest_and_ties_go_up():
    w = torch.tensor([0.49, 0.5, 1.5, -1.5, 2.9, -3.0, 47.9, 48.0, 500.0, -0.1])
    expected = [0, 1, 2, -2, 2, -4, 32, 64, 64, 0]
    assert common.project(w, common.power_of_two(4), 0).tolist() == expected
    assert common.project(w / 8, common.power_of_two(4), -3).tolist() == [v / 8 for v in expected]


def test_terms_counts_canonical_digits():
    assert common.terms(torch.tensor([0.0, 1.0, -0.25, 3.0, 7.0, -11.0])) == 0 + 1 + 1 + 2 + 2 + 3


def test_compress_leaves_a_plain_module_on_its_grids():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), ActQuant(4, -2), nn.Linear(8, 2))
    y = torch.randint(0, 2, (256,))
    x = torch.randint(0, 9, (256, 1, 4, 4)) / 16
    x[..., :2] += 7 / 16 * y.view(-1, 1, 1, 1)  # the left half is brighter in class 1
    recipes = {"1": common.Recipe(0.5, -4), "4": common.Recipe(0.25, -2, common.APOT4)}
    common.compress(model, x, y, recipes, bias_bits=5, epochs=(8, 4, 8), rates=(2e-2, 1e-2, 1e-2), batch=32)
    assert set(model.state_dict()) == {"1.weight", "1.bias", "4.weight", "4.bias"}
    assert (model[1].weight == 0).sum() >= 64
    assert magnitudes(model[1].weight.detach()) <= set(common.power_of_two(4))
    assert magnitudes(model[4].weight.detach()) <= set(common.APOT4)
    assert common.accuracy(model, x.numpy(), y.numpy()) >= 95
