"""prepare and convert: what becomes of networks of many shapes, of recipes, and of what neither can be."""

import copy
import re
from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import hwgen
from hwgen.compress import Recipe, Training, convert, prepare
from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.formats import (
    AdditivePowersOfTwo,
    Binary,
    Format,
    KMeans,
    PowerOfTwo,
    SignedDigits,
    Ternary,
    Uniform,
)
from hwgen.compress.methods import ADMM, FilterSimilarity, Magnitude, NofM, PowerOfTwoAdapted, Pruning
from hwgen.compress.recipe import Override, layer_recipes
from hwgen.compress.size import sizes
from hwgen.errors import BadInput, HwgenError, Obstacles, OffGrid, UnsupportedLayer
from hwgen.nn import ActQuant
from tests.test_compress_prune import train

STABLE = settings(derandomize=True, deadline=None, database=None)


class Calls(nn.Module):
    """Functions where others have modules."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(2, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.three = nn.Linear(4, 8)
        self.four = nn.Linear(8, 3)

    def forward(self, x):
        x = functional.relu(self.one(x))
        x = functional.max_pool2d(x, 2)
        x = torch.relu(self.norm(self.two(x)) + x)
        x = functional.avg_pool2d(x, 2)
        x = functional.relu6(self.three(x.view(x.shape[0], -1)))
        return self.four(functional.dropout(x, 0.2, self.training))


class Residual(nn.Module):
    """A tensor that a layer and an addition read; layers in nested modules."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.block = nn.ModuleDict(
            {"a": nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()), "b": nn.Conv2d(4, 4, 1)}
        )
        self.head = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 3))

    def forward(self, x):
        x = self.stem(x)
        y = self.block["b"](self.block["a"](x))
        y += x
        return self.head(torch.relu(y))


class Twice(nn.Module):
    """A layer that is called twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.linear = nn.Linear(72, 3)

    def forward(self, x):
        return self.linear(torch.relu(self.conv(torch.relu(self.conv(x)))).flatten(1))


NETWORKS = {
    "modules": lambda: nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1), nn.Flatten()),
        *(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
    ),
    "calls": Calls,
    "residual": Residual,
    "twice": Twice,
    "depthwise": lambda: nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), nn.ReLU6()),
        *(nn.Conv2d(4, 3, 1, groups=1), nn.AvgPool2d(2), nn.Flatten()),
    ),
    "groups": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), nn.ReLU(), nn.Conv2d(4, 6, (3, 1), dilation=(1, 2), groups=2)
    ),
    "one dimension": lambda: nn.Sequential(
        *(
            nn.Flatten(2),
            nn.Conv1d(2, 4, 5, stride=2),
            nn.BatchNorm1d(4),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(4, 3, 3),
        )
    ),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(72, 6, bias=False), nn.ReLU(), nn.Linear(6, 3)),
    "signed": lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 3, 1)),
}
BUILT = [name for name in NETWORKS if name != "one dimension"]  # hwgen flattens to vectors only


def network_of(name: str) -> nn.Module:
    """With running statistics of some batches; in eval mode."""
    torch.manual_seed(len(name))
    network = NETWORKS[name]().train()
    for _ in range(8):
        network(torch.rand(8, 2, 6, 6) * 2)
    return network.eval()


X = torch.rand(6, 2, 6, 6, generator=torch.Generator().manual_seed(7))


def quantizers(prepared) -> dict[str, LearnedActQuant]:
    return {name: m for name, m in prepared.network.named_modules() if isinstance(m, LearnedActQuant)}


# prepare


@pytest.mark.parametrize("name", list(NETWORKS))
def test_what_is_prepared_computes_what_the_model_computes(name):
    network = network_of(name)
    with torch.no_grad():
        prepared = prepare(network, Recipe()).eval()
        # batch norms are folded in floats: the one place of a tolerance
        torch.testing.assert_close(prepared(X), network(X), rtol=1e-4, atol=1e-5)
        assert not [m for m in prepared.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


@pytest.mark.parametrize("name", list(NETWORKS))
def test_the_users_model_stays_as_it_is(name):
    network = network_of(name).train()
    before, text = copy.deepcopy(network.state_dict()), str(network)
    prepared = train(prepare(network, Recipe(pruning=Magnitude(0.5))), X, steps=4)
    convert(prepared)
    after = network.state_dict()
    assert str(network) == text and network.training and list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("name", "memory_format"),
    [
        *((name, torch.contiguous_format) for name in BUILT),
        *((n, torch.channels_last) for n in ("residual", "depthwise")),
    ],
)
def test_what_is_converted_computes_what_was_trained_and_hwgen_builds_it(tmp_path, name, memory_format):
    network, x = network_of(name).to(memory_format=memory_format), X.to(memory_format=memory_format)
    prepared = train(prepare(network, Recipe(pruning=Magnitude(0.3), granularity="channel")), x)
    converted = convert(prepared)
    with torch.no_grad():
        assert torch.equal(converted(x), prepared(x))
    assert not converted.training and not any(p.requires_grad for p in converted.parameters())
    design = hwgen.build(converted, (X[:1],), out=tmp_path / "net")
    golden = design.graph.golden(X)[0]
    with torch.no_grad():
        assert torch.equal(golden, converted.double()(X.double()))
        assert torch.equal(golden, prepared.double()(x.double()))


def test_a_prepared_network_goes_on_after_it_was_converted():
    prepared = prepare(network_of("modules"), Recipe(pruning=Magnitude(0.9), prune_until=1.0, quantize_from=0.0))
    prepared.step(0.0)
    prepared(X)
    before = {key: value.clone() for key, value in prepared.state_dict().items()}
    convert(prepared)
    assert all(torch.equal(before[key], value) for key, value in prepared.state_dict().items())
    layer = prepared.layers["0"]
    prepared(X).sum().backward()
    assert float(layer.grid.fisher.sum()) > 0


def test_dropout_by_function_follows_the_mode():
    prepared = prepare(network_of("calls").train(), Recipe())
    assert torch.equal(prepared.eval()(X), prepared(X))
    prepared = prepare(network_of("calls").eval(), Recipe())
    assert not torch.equal(prepared.train()(X), prepared(X))


def test_all_state_is_in_the_state_dict():
    recipe = Recipe(weights=KMeans(5, 5), pruning=ADMM(0.5), scale="learned", granularity="channel")
    trained = train(prepare(network_of("modules"), recipe), X)
    fresh = prepare(network_of("modules"), recipe).eval()
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh(X), trained(X)) and torch.equal(convert(fresh)(X), convert(trained)(X))


@pytest.mark.parametrize("done", [-0.1, 1.1, float("nan")])
def test_a_step_outside_the_training_is_refused(done):
    with pytest.raises(BadInput, match="done = "):
        prepare(network_of("linear"), Recipe()).step(done)


def test_nothing_is_quantized_before_its_time():
    prepared = prepare(network_of("modules"), Recipe(quantize_from=0.5)).eval()
    with torch.no_grad():
        before = prepared(X)
        prepared.step(0.49)
        assert torch.equal(prepared(X), before)
        prepared.step(0.5)
        assert not torch.equal(prepared(X), before)


def test_what_was_never_calibrated_cannot_be_converted():
    with pytest.raises(BadInput, match="no batch has calibrated"):
        convert(prepare(network_of("modules"), Recipe()))


# quantizers


@pytest.mark.parametrize(
    ("name", "signed"),
    [
        ("modules", [None, False, False]),
        ("calls", [None, False, True, False, False, False]),
        ("residual", [None, False, False, True, False, False]),
        ("twice", [None, False, False]),
        ("depthwise", [None, False, False]),  # none between a convolution and an average pool
        ("linear", [None, False]),
        ("signed", [None, True]),
    ],
)
def test_every_tensor_is_quantized_once_and_signed_where_it_must_be(name, signed):
    prepared = prepare(network_of(name), Recipe(input_bits=7, activation_bits=5))
    found = quantizers(prepared)
    calls = [node.target for node in prepared.network.graph.nodes if node.target in found]
    assert sorted(calls) == sorted(found)
    assert sorted(str(q.may_be_signed) for q in found.values()) == sorted(map(str, signed))
    inputs = [q for q in found.values() if q.may_be_signed is None]
    assert [(q.bits, q.log2_scale.requires_grad) for q in inputs] == [(7, False)]
    assert all(q.bits == 5 and q.log2_scale.requires_grad for q in found.values() if q not in inputs)


def test_quantizers_that_are_there_stay():
    own = nn.Sequential(
        ActQuant(6, -6), nn.Conv2d(2, 3, 3), nn.ReLU(), ActQuant(3, -2), nn.MaxPool2d(2), nn.Conv2d(3, 3, 1)
    )
    prepared = prepare(own, Recipe())
    assert not quantizers(prepared)
    converted = convert(train(prepared, X))
    kept = [(m.bits, m.exponent, m.signed) for m in converted.modules() if isinstance(m, ActQuant)]
    assert kept == [(6, -6, False), (3, -2, False)]


class Sums(nn.Module):
    """x + x, and a tensor added to its own dropout."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.drop = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 3, 1), nn.Dropout(0.5)

    def forward(self, x):
        x = torch.relu(self.one(x + x))
        return self.two(self.drop(x) + x)


def test_a_tensor_that_is_added_to_itself_is_quantized_once():
    prepared = prepare(Sums(), Recipe())
    targets = [node.target for node in prepared.network.graph.nodes if node.target in quantizers(prepared)]
    assert len(targets) == len(set(targets)) == 4  # the input, its sum, the layer's output, the second sum


class Pooled(nn.Module):
    """A tensor that one layer reads as it is, another behind a pool."""

    def __init__(self, pool_first: bool):
        super().__init__()
        self.pool_first = pool_first
        self.one, self.two, self.three = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 3, 1, stride=2), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        x = torch.relu(self.one(x))
        pooled = functional.max_pool2d(x, 2)
        if self.pool_first:
            pooled = self.three(pooled)
            return self.two(x) + pooled
        x = self.two(x)
        return x + self.three(pooled)


@pytest.mark.parametrize("pool_first", [False, True])
def test_a_pool_of_a_quantized_tensor_is_not_quantized_again(pool_first):
    prepared = prepare(Pooled(pool_first), Recipe())
    assert len(quantizers(prepared)) == 4  # the input, what is pooled, both sides of the sum


class Names(nn.Module):
    """Names that a quantizer's might be."""

    def __init__(self):
        super().__init__()
        self.quant_conv = ActQuant(8, -7, True)
        self.conv, self._conv, self.last = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        x = self.quant_conv(x)
        return self.last(self.conv(x) + self._conv(x))


def test_no_quantizer_takes_the_name_of_another_module():
    prepared = prepare(Names(), Recipe())
    calls = [node.target for node in prepared.network.graph.nodes if node.op == "call_module"]
    assert len(calls) == len(set(calls)) and len(quantizers(prepared)) == 3
    assert isinstance(prepared.network.quant_conv, ActQuant)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Identity()], ids=str)
def test_a_network_whose_first_layer_is_a_pool_uses_all_of_its_codes(pool):
    prepared = prepare(nn.Sequential(pool, nn.Conv2d(2, 3, 1)), Recipe())
    prepared.quantize()
    prepared(X)
    assert [bool(q.signed) for q in prepared.quantizers] == [False] * len(prepared.quantizers)
    assert next(q.bits for q in prepared.quantizers) == 8


def test_behind_an_unsigned_actquant_nothing_is_signed():
    prepared = prepare(nn.Sequential(ActQuant(8, -8), nn.AvgPool2d(2), nn.Conv2d(2, 3, 1)), Recipe())
    prepared.quantize()
    prepared(X)
    assert [bool(q.signed) for q in prepared.quantizers] == [False]


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("name", ["modules", "signed"])
def test_activations_of_every_width_train(name, bits):
    prepared = train(prepare(network_of(name), Recipe(activation_bits=bits, input_bits=bits, quantize_from=0.0)), X)
    assert torch.equal(convert(prepared)(X), prepared(X))
    assert all(torch.isfinite(p).all() for p in prepared.parameters())


# overrides


def test_overrides_choose_layers_and_the_last_wins():
    overrides = (
        Override("*", weights=Uniform(4), scale="max"),
        Override("block.*", weights=Ternary(), granularity="channel"),
        Override("block.b[1:3]", weights=PowerOfTwo(2)),
        Override("block.b[3]", weights=Binary()),
        Override("head.2", prune=False, input_bits=3, scale="mse"),
    )
    plan = layer_recipes(Recipe(overrides=overrides), {"stem.0": 4, "block.a.0": 2, "block.b": 4, "head.2": 3})
    assert plan["stem.0"].formats == (Uniform(4),) * 4 and plan["stem.0"].scale == "max"
    assert plan["block.a.0"].formats == (Ternary(),) * 2 and plan["block.a.0"].granularity == "channel"
    assert plan["block.b"].formats == (Ternary(), PowerOfTwo(2), PowerOfTwo(2), Binary())
    assert (plan["block.b"].zeros, plan["block.b"].prune) == (None, True)
    assert (plan["head.2"].prune, plan["head.2"].input_bits, plan["head.2"].scale) == (False, 3, "mse")
    assert plan["head.2"].formats == (Uniform(4),) * 3 and plan["stem.0"].input_bits is None


def test_a_layer_s_own_zeros_need_a_method_that_prunes_a_fraction():
    overrides = (Override("b", zeros=0.5),)
    plan = layer_recipes(Recipe(pruning=Magnitude(0.9), overrides=overrides), {"a": 4, "b": 2})
    assert (plan["a"].zeros, plan["b"].zeros) == (None, 0.5)
    with pytest.raises(BadInput, match=r"b: zeros = 0\.5, but no method prunes a fraction"):
        layer_recipes(Recipe(overrides=overrides), {"a": 4, "b": 2})


def test_every_channel_computes_in_its_own_format():
    overrides = (Override("0[0:2]", weights=Ternary()), Override("0[2]", weights=Binary()), Override("6", input_bits=2))
    prepared = train(prepare(network_of("modules"), Recipe(weights=Uniform(6), overrides=overrides)), X)
    converted = convert(prepared)
    weight = converted.get_submodule("0").weight.flatten(1)
    assert all(len(row.abs().unique()) <= 2 for row in weight[:2])
    assert len(weight[2].abs().unique()) == 1 and len(weight[3].abs().unique()) > 4
    assert 2 in [m.bits for m in converted.modules() if isinstance(m, ActQuant)]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (Override("conv", prune=False), r"'conv' matches no layer[\s\S]*stem.0, block.a.0, block.b, head.2"),
        (Override("block.b[2:5]", weights=Ternary()), "block.b has 4 channels"),
        (Override("block.b[4]", weights=Ternary()), "block.b has 4 channels"),
        (Override("block.b[3:3]", weights=Ternary()), "block.b has 4 channels"),
    ],
)
def test_an_override_for_what_is_not_there_is_refused(override, message):
    with pytest.raises(BadInput, match=message):
        prepare(network_of("residual"), Recipe(overrides=(override,)))


@pytest.mark.parametrize(
    "others", [{}, {"weights": Ternary(), "scale": "max"}, {"prune": False}, {"zeros": 0.5}], ids=str
)
def test_channels_take_a_format_and_nothing_else(others):
    with pytest.raises(BadInput, match="give `weights` alone"):
        Override("conv[0:3]", **others)


# recipes as JSON


def instances(kind) -> st.SearchStrategy:
    return {
        "power_of_two": st.builds(PowerOfTwo, st.integers(2, 5)),
        "apot": st.builds(AdditivePowersOfTwo, st.integers(2, 6)),
        "uniform": st.builds(Uniform, st.integers(2, 16)),
        "ternary": st.just(Ternary()),
        "binary": st.just(Binary()),
        "signed_digits": st.builds(SignedDigits, st.integers(1, 8), st.integers(2, 12)),
        "kmeans": st.builds(KMeans, st.integers(2, 64), st.integers(2, 10)),
        "magnitude": st.builds(Magnitude, FRACTION, st.sampled_from(["global", "layer"]), st.booleans()),
        "admm": st.builds(ADMM, FRACTION, st.just("layer"), st.floats(1e-6, 10), st.integers(1, 1000), st.booleans()),
        "filter_similarity": st.builds(FilterSimilarity, FRACTION),
        "n_of_m": st.integers(1, 63).flatmap(lambda n: st.builds(NofM, st.just(n), st.integers(n + 1, 64))),
        "pot_adapted": st.builds(PowerOfTwoAdapted, st.floats(0, 100), st.integers(1, 100)),
    }[kind]


def kinds(union) -> list[str]:
    return [member.kind for member in get_args(get_args(union)[0])]


FRACTION = st.floats(0, 1, exclude_max=True)
FORMATS = st.sampled_from(kinds(Format)).flatmap(instances)
OVERRIDES = st.one_of(
    st.builds(
        Override,
        st.text(min_size=1).filter(lambda s: "[" not in s),
        st.none() | FORMATS,
        st.sampled_from([None, "layer", "channel"]),
        st.sampled_from([None, "max", "mse", "learned"]),
        st.none() | FRACTION,
        st.none() | st.booleans(),
        st.none() | st.integers(1, 8),
    ),
    st.builds(Override, st.sampled_from(["a[0]", "b.*[3:7]"]), FORMATS),
)


@st.composite
def recipes(draw):
    goal = draw(st.sampled_from(["pruning", "terms_per_frame", "accuracy_drop", None]))
    values = {
        "pruning": st.sampled_from(kinds(Pruning)).flatmap(instances),
        "terms_per_frame": st.integers(1, 10**12),
        "accuracy_drop": st.floats(0, 100),
    }
    recipe = Recipe(
        granularity=draw(st.sampled_from(["layer", "channel"])),
        scale=draw(st.sampled_from(["max", "mse", "learned"])),
        gradient=draw(st.sampled_from(["identity", "clip"])),
        activation_bits=draw(st.integers(1, 8)),
        input_bits=draw(st.integers(1, 8)),
        bias_bits=draw(st.integers(2, 16)),
        prune_until=draw(st.floats(0, 1)),
        quantize_from=draw(FRACTION),
        break_even=draw(st.booleans()),
        training=Training(
            epochs=draw(st.integers(1, 99)), rate=draw(st.floats(1e-9, 1)), patience=draw(st.none() | st.integers(1, 9))
        ),
        **({goal: draw(values[goal])} if goal else {}),
    )
    allowed = FORMATS.filter(lambda own: goal is None or own != Binary())
    overrides = st.lists(OVERRIDES.filter(lambda o: goal is None or o.weights != Binary()), max_size=3)
    return replace(recipe, weights=draw(allowed), overrides=tuple(draw(overrides)))


@settings(STABLE, max_examples=60)
@given(recipes())
def test_a_recipe_comes_back_from_its_json(recipe):
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_a_recipe_comes_back_from_its_file(tmp_path):
    recipe = Recipe(weights=KMeans(3, 4), overrides=(Override("a[0:2]", weights=Ternary()),))
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    assert Recipe.load(tmp_path / "recipe.json") == recipe


def test_fields_left_out_take_their_defaults():
    assert Recipe.from_json("{}") == Recipe()
    assert Recipe.from_json('{"pruning": {"kind": "magnitude", "zeros": 0.5}}') == Recipe(pruning=Magnitude(0.5))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"wieghts": 1}', "wieghts"),
        ('{"weights": {"kind": "octal"}}', "weights"),
        ('{"weights": {"bits": 4}}', "weights"),
        ('{"weights": {"kind": "power_of_two", "bits": 6}}', "weights.power_of_two.bits"),
        ('{"weights": {"kind": "power_of_two", "bits": "4"}}', "weights.power_of_two.bits"),
        ('{"weights": {"kind": "power_of_two", "bits": 4.5}}', "weights.power_of_two.bits"),
        ('{"weights": {"kind": "ternary", "bits": 2}}', "weights.ternary.bits"),
        ('{"pruning": {"kind": "magnitude"}}', "pruning.magnitude.zeros"),
        ('{"pruning": {"kind": "magnitude", "zeros": 1.0}}', "pruning.magnitude.zeros"),
        ('{"pruning": {"kind": "magnitude", "zeros": NaN}}', "pruning.magnitude.zeros"),
        ('{"pruning": {"kind": "admm", "zeros": 0.5, "rho": 0}}', "pruning.admm.rho"),
        ('{"pruning": {"kind": "admm", "zeros": 0.5, "rho": Infinity}}', "pruning.admm.rho"),
        ('{"pruning": {"kind": "n_of_m", "n": 4, "m": 4}}', "n = 4"),
        ('{"training": {"rate": Infinity}}', "training.rate"),
        ('{"training": {"epochs": 0}}', "training.epochs"),
        ('{"activation_bits": 9}', "activation_bits"),
        ('{"activation_bits": true}', "activation_bits"),
        ('{"quantize_from": 1}', "quantize_from"),
        ('{"scale": "mean"}', "scale"),
        ('{"terms_per_frame": 0}', "terms_per_frame"),
        ('{"overrides": [{"weights": null}]}', "overrides.0.pattern"),
        ('{"overrides": [{"pattern": "a[0]"}]}', r"a\[0\]"),
        ('{"pruning": {"kind": "magnitude", "zeros": 0.5}, "terms_per_frame": 9}', "more than one goal"),
        ('{"accuracy_drop": 1, "terms_per_frame": 9}', "more than one goal"),
        ('{"weights": {"kind": "binary"}, "pruning": {"kind": "magnitude", "zeros": 0.5}}', "binary"),
        ('{"weights": {"kind": "binary"}, "accuracy_drop": 1}', "binary"),
        ("[]", "the file"),
        ("", "the file"),
    ],
)
def test_a_wrong_recipe_is_refused_by_the_name_of_its_field(text, names):
    with pytest.raises(BadInput, match=names):
        Recipe.from_json(text)


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        (
            '{"epochs": 4}',
            "no field epochs \\(here 4\\)",
            "the fields of Recipe are decompose, weights, granularity, .*, training$",
        ),
        ('{"activation_bit": 4}', "no field activation_bit ", "the fields of Recipe are activation_bits, .*weights"),
        (
            '{"training": {"epoch": 4}}',
            "no field training.epoch ",
            "the fields of Training are epochs, .*rate, .*shrink$",
        ),
        (
            '{"weights": {"kind": "apot", "bit": 4}}',
            "weights.apot.bit ",
            "the fields of AdditivePowersOfTwo are bits, kind",
        ),
        ('{"pruning": {"kind": "admm", "zero": 0.1}}', "no field pruning.admm.zero ", "the fields of ADMM are zeros, "),
        (
            '{"overrides": [{"pattern": "*", "zero": 0.1}]}',
            "no field overrides.0.zero",
            "the fields of Override are zeros, ",
        ),
        (
            '{"overrides": [{"pattern": "*", "weights": {"kind": "uniform", "bitz": 8}}]}',
            "no field overrides.0.weights.uniform.bitz ",
            "the fields of Uniform are bits, kind$",
        ),
    ],
)
def test_a_field_that_is_not_there_is_named_with_those_that_are(text, what, hint):
    with pytest.raises(BadInput, match=what) as caught:
        Recipe.from_json(text, "recipe.json")
    assert caught.value.at == "recipe.json" and re.search(hint, caught.value.hint)


def test_a_recipe_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "binary", tmp_path / "none", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            Recipe.load(path)


# bad models


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def spoiled(what: str) -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4))
    getattr(model[0], what).data[0] = float("nan")
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.ReLU()), "no layer with weights"),
        (Branching(), "cannot trace"),
        (nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)), "running statistics"),
        (spoiled("weight"), "not finite"),
        (spoiled("bias"), "not finite"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else v,
)
def test_a_model_that_cannot_be_compressed_is_refused(model, message):
    with pytest.raises(HwgenError, match=message) as caught:
        prepare(model.eval(), Recipe())
    assert isinstance(caught.value, BadInput | UnsupportedLayer)
    assert caught.value.what and caught.value.at and caught.value.hint


LEFT_OUT = {
    "GroupNorm has weights": nn.GroupNorm(1, 2),
    "Bilinear has weights": nn.Bilinear(6, 6, 6),
    "TransformerDecoderLayer has weights": nn.TransformerDecoderLayer(6, 2, 6),
}


class Fed(nn.Module):
    """A convolution, then another module, which takes what that gives as often as it needs."""

    def __init__(self, second):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 2, 1), second

    def forward(self, x):
        x = self.first(x)
        return self.second(x) if isinstance(self.second, nn.GroupNorm) else self.second(x, x)


@pytest.mark.parametrize("message", LEFT_OUT)
def test_nothing_with_weights_is_left_out(message):
    with pytest.raises(UnsupportedLayer, match=f"{message}(.|\n)*at:   second\n"):
        prepare(Fed(LEFT_OUT[message]), Recipe())


class Renamed(nn.Conv2d):
    """Computes as its parent does."""


def test_a_subclass_that_computes_as_its_parent_is_compressed():
    torch.manual_seed(0)
    network = nn.Sequential(Renamed(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 1)).eval()
    prepared = train(prepare(network, Recipe(), (X[:1],)), X)
    assert list(prepared.layers) == ["0", "3"] and type(convert(prepared).get_submodule("0")) is nn.Conv2d


@pytest.mark.parametrize("name", BUILT)
def test_what_builds_after_compression_passes_the_check_before_it(name):
    assert prepare(network_of(name), Recipe(weights=Uniform(8)), (X[:1],)).layers


class Sorted(nn.Module):
    def forward(self, x):
        return torch.sort(x, 1)[0]


def test_all_that_stands_in_the_way_is_named_before_any_training():
    network = nn.Sequential(
        *(nn.Conv2d(2, 4, 3), Sorted(), nn.AvgPool2d(3, 1), nn.LogSoftmax(1), nn.Conv2d(4, 4, 1), Sorted()),
        *(nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten(), nn.Linear(16, 3), nn.Softmax(1)),
    )
    network[4].bias.data.fill_(float("nan"))
    with pytest.raises(Obstacles) as caught:
        prepare(network.eval(), Recipe(), (X[:1],))
    assert {error.at: type(error) for error in caught.value.each()} == {
        "4": BadInput,
        **dict.fromkeys(["1, 5", "3", "6"], UnsupportedLayer),
    }


@pytest.mark.parametrize("function", [nn.GELU(), nn.Sigmoid(), nn.LeakyReLU(0.1), torch.tanh, nn.functional.softplus])
def test_a_function_is_quantized_on_both_sides_and_builds(function, tmp_path):
    """Filters that are all zero stay where a function makes something else of them."""
    torch.manual_seed(1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.linear = nn.Conv2d(2, 4, 3), nn.Linear(4 * 4 * 4, 3)
            self.conv.weight.data[1] = 0
            self.conv.bias.data[1] = 0
            self.function = function

        def forward(self, x):
            return self.linear(self.function(self.conv(x)).flatten(1))

    prepared = prepare(Net().eval(), Recipe(weights=Uniform(6), activation_bits=5), (X[:1],)).eval()
    prepared.step(1.0)
    with torch.no_grad():
        prepared(X)
        net = convert(prepared)
        assert torch.equal(net(X), prepared(X))
    design = hwgen.build(net, (X[:1],), out=tmp_path / "net")
    assert [placed.unit.kind in ("lookup", "two_lines") for placed in design.placed].count(True) == 1


def test_a_clip_that_no_quantizer_will_follow_is_named_before_any_training():
    network = [nn.Conv2d(2, 4, 3), nn.Hardtanh(0, 1.7), nn.MaxPool2d(2), nn.Conv2d(4, 3, 1)]
    assert prepare(nn.Sequential(*network), Recipe(), (X[:1],)).layers
    with pytest.raises(OffGrid, match=r"clipping at 0 and 1\.7(.|\n)*at:   4"):
        prepare(nn.Sequential(*network, nn.Hardtanh(0, 1.7)), Recipe(), (X[:1],))


def test_a_batch_norm_without_weights_of_its_own_folds_into_a_linear_layer():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False))
    model(torch.rand(8, 4))
    x = torch.rand(3, 4)
    with torch.no_grad():
        torch.testing.assert_close(prepare(model.eval(), Recipe())(x), model(x), rtol=1e-4, atol=1e-5)


# sizes


@pytest.mark.parametrize("own", [PowerOfTwo(4), SignedDigits(3, 8)], ids=str)
@pytest.mark.parametrize("name", ["modules", "residual", "depthwise"])
def test_sizes_count_what_is_there(name, own):
    prepared = train(prepare(network_of(name), Recipe(weights=own, pruning=Magnitude(0.4), granularity="channel")), X)
    converted = convert(prepared)
    rows = sizes(converted, (X[:1],))
    layers = {n: m for n, m in converted.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert sorted(row.name for row in rows[:-1]) == sorted(layers) and rows[-1].name == "all"
    for row in rows[:-1]:
        weight = layers[row.name].weight
        # a depthwise layer's zeros between the groups are no weights
        assert (row.nonzero, row.weights) == (int((weight != 0).sum()), weight.numel())
        distinct = len(weight[weight != 0].unique())
        assert row.value_bits == row.nonzero * max(1, (distinct - 1).bit_length())
        assert row.terms_per_frame == row.terms * prepared.layers[row.name].pixels
        assert row.memory_bits > row.terms >= row.nonzero
    assert rows[-1].terms_per_frame == sum(row.terms_per_frame for row in rows[:-1]) == prepared.terms_per_frame()
    assert rows[-1].weights == sum(m.weight.numel() for m in layers.values())
