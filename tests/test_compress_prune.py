"""What is pruned, and what that leaves: masks, ADMM, the share-out of terms, filters that compaction removes."""

import math
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.ao.pruning._experimental.pruner.FPGM_pruner import FPGMPruner
from torch.nn import functional

from hwgen.compress import Prepared, Recipe, convert, prepare, prune
from hwgen.compress.compact import compact
from hwgen.compress.formats import AdditivePowersOfTwo, KMeans, PowerOfTwo, SignedDigits, Ternary, Uniform, digits
from hwgen.compress.methods import ADMM, FilterSimilarity, Magnitude, NofM
from hwgen.compress.recipe import Override
from hwgen.compress.trace import trace
from hwgen.errors import BadInput

STABLE = settings(derandomize=True, deadline=None, database=None)


def train(prepared: Prepared, x: torch.Tensor, steps: int = 20, rate: float = 0.01) -> Prepared:
    """Adam towards the first output being the greatest; ends in eval mode, with the recipe done."""
    optimizer = torch.optim.Adam(prepared.parameters(), rate)
    prepared.train()
    for i in range(steps):
        prepared.step(i / steps)
        y = prepared(x).flatten(1)
        loss = functional.cross_entropy(y, torch.zeros(len(y), dtype=torch.long)) + prepared.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    prepared.step(1.0)
    return prepared.eval()


def perceptron(*sizes: int) -> nn.Module:
    torch.manual_seed(sum(sizes))
    layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def weight_terms(weight: torch.Tensor, exponent: torch.Tensor) -> np.ndarray:
    return digits((weight.detach() / torch.exp2(exponent)).numpy().astype(np.int64))


# the ramp


@given(st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_ramp_rises_from_0_to_1_at_its_end(until, a, b):
    assert prune.ramp(0.0, until) == 0.0 and prune.ramp(until, until) == prune.ramp(1.0, until) == 1.0
    assert prune.ramp(min(a, b), until) <= prune.ramp(max(a, b), until) <= 1.0
    half = prune.ramp(until / 2, until)
    assert half == pytest.approx(1 - 0.5**3)  # cubic


def test_a_ramp_of_no_length_is_done_at_once():
    assert prune.ramp(0.0, 0.0) == 1.0


# magnitude


@st.composite
def layers_of_weights(draw):
    """One to three weights of distinct magnitudes."""
    shapes = draw(st.lists(st.sampled_from([(2, 3), (1, 1), (3, 2, 2, 1), (4, 5)]), min_size=1, max_size=3))
    total = sum(int(np.prod(shape)) for shape in shapes)
    order = draw(st.permutations(range(1, total + 1)))
    flat = torch.tensor(order, dtype=torch.float32) * torch.tensor(
        draw(st.lists(st.sampled_from([1, -1]), min_size=total, max_size=total))
    )
    parts = flat.split([int(np.prod(shape)) for shape in shapes])
    return {f"l{i}": part.reshape(shape) for i, (part, shape) in enumerate(zip(parts, shapes, strict=True))}


def least_removed(values: list[float], zeros: float) -> set[float]:
    """The magnitudes that stay."""
    return set(sorted(abs(v) for v in values)[round(zeros * len(values)) :])


@settings(STABLE, max_examples=60)
@given(
    layers_of_weights(),
    st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 0.99]),
    st.sampled_from([0.0, 0.25, 0.8]),
    st.booleans(),
)
def test_magnitude_masks_remove_the_least(weights, zeros, own_zeros, has_own):
    own = {"l0": own_zeros} if has_own else {}
    for scope in ("global", "layer"):
        masks = prune.magnitude_masks(weights, zeros, own, scope, 0.0)
        together = [v for name, w in weights.items() if name not in own for v in w.flatten().tolist()]
        for name, w in weights.items():
            if name in own or scope == "layer":
                stay = least_removed(w.flatten().tolist(), own.get(name, zeros))
            else:
                stay = least_removed(together, zeros)
            assert masks[name].tolist() == w.abs().apply_(lambda v, stay=stay: v in stay).bool().tolist()


@settings(STABLE, max_examples=60)
@given(layers_of_weights(), st.sampled_from([0.3, 0.5, 0.9, 0.99]), st.sampled_from([0.1, 0.5]))
def test_no_layer_keeps_less_than_its_floor_and_all_together_keep_what_is_asked(weights, zeros, floor):
    masks = prune.magnitude_masks(weights, zeros, {}, "global", floor)
    total = sum(w.numel() for w in weights.values())
    least = {name: math.ceil(floor * (1 - zeros) * w.numel() - 1e-9) for name, w in weights.items()}
    kept = {name: int(mask.sum()) for name, mask in masks.items()}
    assert sum(kept.values()) == total - round(zeros * total)
    if sum(least.values()) <= sum(kept.values()):
        assert all(kept[name] >= least[name] for name in weights)
    for name, w in weights.items():  # within a layer the greatest stay
        stay = sorted(w.abs().flatten().tolist(), reverse=True)[: kept[name]]
        assert sorted(w.abs()[masks[name]].tolist(), reverse=True) == stay


def test_no_layer_is_starved_by_default():
    """The last layer's weights are all smaller than the first one's."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3))
    model[0].weight.data.mul_(100)
    x = torch.rand(4, 16)
    for pruning in (Magnitude(0.5), ADMM(0.5)):
        prepared = train(prepare(model, Recipe(pruning=pruning, break_even=False)), x)
        assert [int(layer.grid.keeps().sum()) for layer in prepared.layers.values()] == [280, 24]
    starved = train(prepare(model, Recipe(pruning=Magnitude(0.5, floor=0.0), break_even=False)), x)
    assert int(starved.layers["2"].grid.keeps().sum()) == 0


@pytest.mark.parametrize("pruning", [Magnitude(0.5, scope="layer"), ADMM(0.5, scope="layer"), Magnitude(0.5)], ids=str)
def test_masks_of_weights_in_channels_last_are_those_of_the_same_weights(pruning):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    kept = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        prepared = prepare(model.to(memory_format=memory_format), Recipe(pruning=pruning))
        prepared.step(1.0)
        kept.append([layer.grid.keeps().tolist() for layer in prepared.layers.values()])
    assert kept[0] == kept[1]


def test_the_fraction_follows_the_ramp_and_ends_as_asked():
    prepared = prepare(perceptron(10, 20, 10), Recipe(pruning=Magnitude(0.8), prune_until=0.5, quantize_from=0.9))
    for i in range(11):
        prepared.step(i / 10)
        pruned = sum(int((~layer.grid.keeps()).sum()) for layer in prepared.layers.values())
        assert pruned == round(400 * 0.8 * prune.ramp(i / 10, 0.5))


@pytest.mark.parametrize("regrow", [True, False])
def test_pruned_weights_come_back_only_when_they_may(regrow):
    prepared = prepare(perceptron(4, 4), Recipe(pruning=Magnitude(0.5, regrow=regrow), prune_until=0.5))
    prepared.step(0.25)
    layer = prepared.layers["0"]
    pruned = ~layer.grid.keeps()
    prepared(torch.ones(1, 4)).sum().backward()
    assert bool(pruned.any()) and bool((layer.original.grad[pruned] != 0).all()) == regrow
    assert bool((layer.original.grad[~pruned] != 0).all())
    prepared.step(0.5)
    layer.original.grad = None
    prepared(torch.ones(1, 4)).sum().backward()
    assert bool((layer.original.grad[~layer.grid.keeps()] == 0).all())


def test_after_the_ramp_the_mask_stays():
    prepared = prepare(perceptron(6, 6, 3), Recipe(pruning=Magnitude(0.5), prune_until=0.3))
    prepared.step(0.3)
    before = [layer.grid.keeps().clone() for layer in prepared.layers.values()]
    for layer in prepared.layers.values():
        layer.original.data.copy_(torch.randn_like(layer.original))
    prepared.step(1.0)
    assert all(torch.equal(a, layer.grid.keeps()) for a, layer in zip(before, prepared.layers.values(), strict=True))


def test_layers_that_are_not_to_be_pruned_keep_all_and_own_fractions_count():
    overrides = (Override("0", prune=False), Override("2", zeros=0.25))
    prepared = train(
        prepare(perceptron(8, 8, 8, 8), Recipe(pruning=Magnitude(0.75), overrides=overrides)), torch.rand(4, 8)
    )
    assert [int((~layer.grid.keeps()).sum()) for layer in prepared.layers.values()] == [0, 16, 48]


# n of m


@settings(STABLE, max_examples=60)
@given(st.sampled_from([(2, 8), (3, 5), (2, 3, 2, 2), (1, 1)]), st.integers(2, 5), st.integers(0, 99), st.data())
def test_of_m_neighbours_the_n_greatest_stay(shape, m, seed, data):
    n = data.draw(st.integers(1, m - 1))
    w = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    mask = prune.n_of_m_mask(w, n, m)
    assert mask.shape == w.shape
    for row, kept in zip(w.flatten(1).tolist(), mask.flatten(1).tolist(), strict=True):
        for first in range(0, len(row), m):
            group = row[first : first + m]
            stay = sorted(range(len(group)), key=lambda i: -abs(group[i]))[:n]
            assert kept[first : first + m] == [i in stay for i in range(len(group))]


def test_n_of_m_ends_with_n_of_each_m():
    prepared = train(prepare(perceptron(16, 8, 4), Recipe(pruning=NofM(1, 4))), torch.rand(4, 16))
    for layer in convert(prepared).children():
        if isinstance(layer, nn.Linear):
            assert int((layer.weight.unflatten(1, (-1, 4)) != 0).sum(2).max()) == 1


# filters


def test_distance_sums_are_the_distances_to_all_other_filters():
    w = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    want = [sum(float((a - b).square().sum().sqrt()) for b in w) for a in w]
    assert prune.distance_sums(w).tolist() == pytest.approx(want)


@pytest.mark.parametrize("filters", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("channels", [4, 9, 16])
def test_filters_go_as_by_torchs_own_geometric_median_pruner(channels, filters):
    torch.manual_seed(channels)
    model = nn.Sequential(nn.Conv2d(3, channels, 3), nn.Conv2d(channels, 2, 1))
    keep = prune.filter_mask(model[0].weight, filters)
    theirs = FPGMPruner(filters)
    theirs.prepare(model, [{"tensor_fqn": "0.weight"}])
    theirs.enable_mask_update = True
    theirs.step()
    assert keep.tolist() == model[0].parametrizations.weight[0].mask.tolist()
    assert int((~keep).sum()) == round(filters * channels)


def test_one_filter_stays_at_least():
    assert prune.filter_mask(torch.randn(2, 3), 0.99).sum() == 1


def test_whole_filters_and_their_biases_go_but_none_of_the_last_layer():
    prepared = train(prepare(perceptron(6, 8, 10, 4), Recipe(pruning=FilterSimilarity(0.5))), torch.rand(4, 6))
    for layer, count in zip(prepared.layers.values(), (4, 5, 0), strict=True):
        live = layer.grid.keeps()
        assert torch.equal(live.any(1), live.all(1)) and int((~live.any(1)).sum()) == count
        assert bool((layer.module.bias[~live.any(1)] == 0).all())


def test_a_depthwise_layer_follows_the_layer_whose_channels_it_takes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    prepared = train(prepare(model, Recipe(pruning=FilterSimilarity(0.5))), torch.rand(4, 1, 6, 6))
    before, depthwise = (prepared.layers[name].grid.keeps().flatten(1).any(1) for name in ("0", "2"))
    assert torch.equal(before, depthwise)
    assert [m.out_channels for m in convert(prepared).children() if isinstance(m, nn.Conv2d)] == [4, 4, 4]


# ADMM


def test_admm_pulls_the_weights_to_a_pruned_projection_and_prunes_as_it_is():
    torch.manual_seed(0)
    recipe = Recipe(pruning=ADMM(0.75, rho=0.5, iterations=10), prune_until=0.8, quantize_from=0.9)
    prepared = prepare(perceptron(12, 16, 3), recipe)
    x, y = torch.rand(60, 12), torch.randint(3, (60,))
    optimizer = torch.optim.Adam(prepared.parameters(), 0.01)
    residuals = []
    for i in range(200):
        prepared.step(i / 200)
        residuals.append(prepared.state.residual(prepared))
        assert sum(int((z != 0).sum()) for z, _ in prepared.state.pairs().values()) <= 60  # of 240
        optimizer.zero_grad()
        (functional.cross_entropy(prepared(x), y) + prepared.penalty()).backward()
        optimizer.step()
    assert residuals[159] < residuals[80] < residuals[0] and residuals[159] < residuals[0] / 4
    assert float(prepared.penalty()) == 0.0
    prepared.step(1.0)
    converted = convert(prepared)
    weights = [m.weight for m in converted.children() if isinstance(m, nn.Linear)]
    assert 0 < sum(int((w != 0).sum()) for w in weights) <= 60
    for w, layer in zip(weights, prepared.layers.values(), strict=True):
        levels = set((w.abs() / torch.exp2(layer.grid.exponent)).flatten().tolist())
        assert levels <= set(PowerOfTwo(4).magnitudes())


def test_admm_renews_its_state_as_often_as_asked():
    prepared = prepare(perceptron(4, 4), Recipe(pruning=ADMM(0.5, iterations=5), prune_until=0.5))
    counts = []
    for i in range(51):
        prepared.step(i / 100)
        counts.append(int(prepared.state.iteration))
    assert sorted(set(counts)) == [1, 2, 3, 4, 5, 6] and counts.count(1) == counts.count(5) == 10


@pytest.mark.parametrize("own", [PowerOfTwo(3), AdditivePowersOfTwo(5)], ids=str)
def test_admms_projection_lies_on_levels(own):
    recipe = Recipe(weights=own, granularity="channel", pruning=ADMM(0.5))
    prepared = prepare(perceptron(6, 5), recipe)
    prepared.step(0.0)
    ((z, u),) = prepared.state.pairs().values()
    w = prepared.layers["0"].original
    for row in z:
        assert any(set((row.abs() / 2.0**e).tolist()) <= set(own.magnitudes()) for e in range(-12, 3))
    assert torch.equal(u, w - z) and int((z == 0).sum()) >= 15
    assert prepared.penalty().item() == pytest.approx(0.005 * (w - z + u).square().sum().item())


def test_the_penalty_is_zero_for_all_that_is_not_admm():
    prepared = prepare(perceptron(4, 4), Recipe(pruning=Magnitude(0.5)))
    prepared.step(0.0)
    assert float(prepared.penalty()) == 0.0


# terms


SIGNED = SignedDigits(3, 6)


def budgeted(weights: list, pixels: tuple[int, ...], own=SIGNED) -> list[prune.Layer]:
    """Layers of integer weights on a grid of unit 1."""
    layers = []
    for index, w in enumerate(weights):
        model = nn.Sequential(nn.Linear(len(w[0]), len(w), bias=False))
        layer = prepare(model, Recipe(weights=own, terms_per_frame=1)).layers["0"]
        layer.name = f"l{index}"
        layer.original.data.copy_(torch.tensor(w))
        layer.grid.on_grid.fill_(True)
        layer.grid.pixels.fill_(pixels[index])
        layer.grid.fisher.fill_(1.0)
        layers.append(layer)
    return layers


def errors_of(w: float, own=SIGNED) -> list[float]:
    """The squared error of w with at most 0, 1, 2, 3 terms."""
    terms = digits(np.array(own.magnitudes()))
    return [min((abs(w) - m) ** 2 for m, t in zip(own.magnitudes(), terms, strict=True) if t <= k) for k in range(4)]


def has_falling_gains(w: float) -> bool:
    gains = -np.diff(errors_of(w))
    return bool((gains[:-1] >= gains[1:]).all())


quarters = st.integers(-120, 120).map(lambda n: n / 4).filter(has_falling_gains)
rows = st.lists(quarters, min_size=2, max_size=2)


@settings(STABLE, max_examples=40)
@given(rows, rows, st.integers(0, 20), st.sampled_from([(1, 1), (3, 3), (1, 4), (5, 2)]))
def test_the_terms_never_pass_the_budget_and_no_other_share_out_is_better(a, b, budget, pixels):
    caps = prune.allocate_terms(budgeted([[a], [b]], pixels), budget)
    found = [*caps["l0"].flatten().tolist(), *caps["l1"].flatten().tolist()]
    errors = [errors_of(w) for w in (*a, *b)]

    def cost(chosen) -> int:
        return sum(pixels[i // 2] * cap for i, cap in enumerate(chosen))

    def error(chosen) -> float:
        return sum(e[cap] for e, cap in zip(errors, chosen, strict=True))

    assert cost(found) <= budget
    # with unequal pixels part of the budget may stay: then none is better for what is spent
    allowed = budget if pixels[0] == pixels[1] else cost(found)
    assert error(found) == min(error(chosen) for chosen in product(range(4), repeat=4) if cost(chosen) <= allowed)


@settings(STABLE, max_examples=20)
@given(st.integers(0, 99), st.integers(0, 200), st.integers(0, 200))
def test_a_greater_budget_takes_no_term_away(seed, one, other):
    generator = torch.Generator().manual_seed(seed)
    w = [(torch.randn(4, 5, generator=generator) * 10).tolist() for _ in range(2)]
    less, more = (prune.allocate_terms(budgeted(w, (3, 7)), budget) for budget in sorted((one, other)))
    assert all(bool((less[name] <= more[name]).all()) for name in less)


def test_terms_go_where_the_loss_feels_them():
    layers = budgeted([[[5.0, 5.0]], [[5.0, 5.0]]], (1, 1))
    layers[1].grid.fisher.copy_(torch.tensor([[100.0, 0.01]]))
    caps = prune.allocate_terms(layers, 4)
    assert caps["l1"].tolist() == [[2, 0]] and caps["l0"].tolist() == [[1, 1]]


def test_a_term_of_many_pixels_must_gain_as_much_more():
    caps = prune.allocate_terms(budgeted([[[4.0]], [[5.0]]], (100, 1)), 10)
    assert caps["l0"].tolist() == [[0]] and caps["l1"].tolist() == [[2]]


def test_with_room_for_all_terms_nothing_is_lost_by_any_format():
    for own in (SIGNED, Uniform(6), AdditivePowersOfTwo(6), KMeans(3, 4)):
        w = [[3.0, -5.0, 3.0, 5.0]]
        layers = budgeted([w], (1,), own)
        if isinstance(own, KMeans):
            layers[0].grid.to_grid(layers[0].original)  # its codes are 3 and 5: no code has one term
        layers[0].grid.cap(prune.allocate_terms(layers, 100)["l0"])
        assert layers[0].module.weight.sign().tolist() == torch.tensor(w).sign().tolist(), own


@pytest.mark.parametrize("own", [PowerOfTwo(4), AdditivePowersOfTwo(6), SignedDigits(3, 8), Uniform(6), KMeans(9, 6)])
@pytest.mark.parametrize("schedule", [{}, {"quantize_from": 0.0}, {"prune_until": 0.9}, {"prune_until": 0.0}], ids=str)
def test_the_network_ends_within_its_terms_a_frame_and_each_weight_within_its_cap(own, schedule):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3))
    budget = 100  # of 27 weights at 4 pixels, and 36
    recipe = Recipe(weights=own, granularity="channel", terms_per_frame=budget, **schedule)
    prepared = train(prepare(model, recipe), torch.rand(8, 1, 4, 4))
    converted = convert(prepared)
    assert 0 < prepared.terms_per_frame() <= budget
    spent = 0
    for name, pixels in (("0", 4), ("3", 1)):
        grid = prepared.layers[name].grid
        terms = weight_terms(prepared.layers[name].module.weight, grid.exponent)
        assert (terms <= grid.caps.numpy()).all()
        weight = converted.get_submodule(name).weight.double()
        spent += pixels * int(digits((weight * 2.0**40).numpy().astype(np.int64)).sum())
    assert spent == prepared.terms_per_frame()


def test_the_budget_holds_without_training_too():
    prepared = prepare(perceptron(16, 8, 4), Recipe(terms_per_frame=30))
    prepared.step(1.0)
    prepared(torch.rand(4, 16))
    weights = [m.weight for m in convert(prepared).children() if isinstance(m, nn.Linear)]
    assert 0 < sum(int((w != 0).sum()) for w in weights) <= 30


def test_the_budget_counts_the_terms_of_layers_that_are_not_pruned():
    recipe = Recipe(weights=Uniform(8), terms_per_frame=130, overrides=(Override("2", prune=False),))
    prepared = train(prepare(perceptron(16, 8, 4), recipe), torch.rand(8, 16))
    assert prepared.terms_per_frame() <= 130


def test_the_budget_counts_a_layer_as_often_as_it_is_called():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)

        def forward(self, x):
            return self.conv(torch.relu(self.conv(x)))

    prepared = prepare(Twice(), Recipe())
    prepared(torch.rand(1, 2, 5, 5))
    assert prepared.terms_per_frame() == 2 * 36 * 25


def test_a_budget_below_what_is_not_pruned_is_refused():
    recipe = Recipe(terms_per_frame=20, overrides=(Override("2", prune=False),))
    prepared = prepare(perceptron(16, 8, 4), recipe)
    prepared(torch.rand(4, 16))
    with pytest.raises(BadInput, match=r"terms_per_frame[\s\S]*allow more than 32"):
        prepared.step(0.5)


def test_a_budget_for_layers_that_may_not_be_pruned_is_refused_or_kept():
    prepared = prepare(perceptron(16, 8, 4), Recipe(terms_per_frame=1000, overrides=(Override("*", prune=False),)))
    assert train(prepared, torch.rand(4, 16)).terms_per_frame() <= 1000


def test_the_smallest_code_goes():
    (layer,) = budgeted([[[1.0, -1.0, 2.0, 0.0, 5.0]]], (1,))
    assert prune.layer_terms(layer) == 5
    layer.grid.prune(prune.without_smallest_code(layer))
    assert layer.module.weight.tolist() == [[0.0, 0.0, 2.0, 0.0, 5.0]]
    layer.grid.prune(prune.without_smallest_code(layer))
    assert layer.module.weight.tolist() == [[0.0, 0.0, 0.0, 0.0, 5.0]]
    assert prune.without_smallest_code(layer) is None


# compaction


class Residual(nn.Module):
    """An addition, a layer before it, one behind, one beside."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding=1)
        self.inner = nn.Conv2d(6, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 6, 3, padding=1)
        self.head = nn.Linear(6 * 9, 3)

    def forward(self, x):
        x = functional.relu(self.first(x))
        x = functional.relu(self.second(functional.relu(self.inner(x))) + x)
        return self.head(torch.flatten(functional.max_pool2d(x, 2), 1))


class Views(nn.Module):
    """Flattens as most programs do: by view() and a size."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3)
        self.linear = nn.Linear(6 * 16, 3)

    def forward(self, x):
        x = functional.relu(self.conv(x))
        return self.linear(x.view(x.size(0), -1))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.linear = nn.Linear(4 * 36, 3)

    def forward(self, x):
        x = functional.relu(self.conv(functional.relu(self.conv(functional.relu(self.first(x))))))
        return self.linear(x.flatten(1))


class Branches(nn.Module):
    """One layer's channels go to two layers, which are added."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, padding=1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.one = nn.Conv2d(6, 4, 1)
        self.other = nn.Conv2d(6, 4, 1)
        self.grouped = nn.Conv2d(4, 4, 3, groups=2)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        return self.grouped(self.one(torch.relu(self.depthwise(x))) + self.other(x))


def sequences() -> dict[str, nn.Module]:
    return {
        "pools": nn.Sequential(
            *(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 6, 1), nn.ReLU6(), nn.AvgPool2d(2)),
            *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)),
        ),
        "flatten": nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 3)),
        "depthwise": nn.Sequential(
            *(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU()),
            *(nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.Flatten(), nn.Linear(16, 3)),
        ),
        "groups": nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=2), nn.Conv2d(6, 2, 1)),
        "output": nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU()),
        "residual": Residual(),
        "views": Views(),
        "twice": Twice(),
        "branches": Branches(),
        "unflatten": nn.Sequential(
            *(nn.Flatten(), nn.Linear(72, 8), nn.ReLU(), nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 3, 1))
        ),
    }


def with_dead_filters(network: nn.Module, seed: int, share: float, biases: bool) -> nn.Module:
    """The network in integers, float64, some filters of every layer zero; their biases too, or not all."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            dead = torch.rand(len(layer.weight), generator=generator) < share
            layer.weight.data.copy_(torch.randint(-4, 5, layer.weight.shape, generator=generator))
            layer.weight.data[dead] = 0
            layer.bias.data.copy_(torch.randint(-4, 5, layer.bias.shape, generator=generator))
            keeps_bias = torch.rand(len(dead), generator=generator) < (0.5 if biases else 0.0)
            layer.bias.data[dead & ~keeps_bias] = 0
    return network.double().eval()


@pytest.mark.parametrize("name", list(sequences()))
@pytest.mark.parametrize("share", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("biases", [False, True])
def test_compaction_changes_no_output(name, share, biases):
    for seed in range(4):
        network = trace(with_dead_filters(sequences()[name], seed, share, biases))
        x = torch.randint(0, 9, (5, 2, 6, 6), generator=torch.Generator().manual_seed(seed)).double()
        want = network(x)
        compact(network)
        assert torch.equal(network(x), want)


@pytest.mark.parametrize(
    ("name", "layer", "count"),
    [
        *(("pools", "0", 3), ("pools", "3", 3), ("pools", "8", 3), ("pools", "10", 0)),
        *(("flatten", "0", 3), ("flatten", "3", 0), ("views", "conv", 3)),
        *(("depthwise", "0", 3), ("depthwise", "6", 3), ("residual", "inner", 3)),
        *(("residual", "first", 0), ("residual", "second", 0), ("residual", "head", 0)),
        *(("groups", "0", 0), ("output", "0", 0), ("branches", "conv", 3), ("branches", "one", 0)),
    ],
)
def test_dead_filters_go_where_only_layers_read_them(name, layer, count):
    network = with_dead_filters(sequences()[name], 1, 0.0, False)
    module = network.get_submodule(layer)
    module.weight.data[:3] = 0
    module.bias.data[:3] = 0
    for other in network.modules():
        if getattr(other, "groups", 1) > 1 and name in ("depthwise", "branches"):
            other.bias.data.zero_()
    network = trace(network)
    assert compact(network).get(layer, 0) == count
    left = network.get_submodule(layer)
    assert len(left.weight) == len(module.weight) - (count if left is not module else 0)


@pytest.mark.parametrize("name", [n for n in sequences() if n != "output"])
def test_what_is_converted_equals_the_masked_network(name):
    torch.manual_seed(0)
    x = torch.rand(6, 2, 6, 6)
    prepared = train(prepare(sequences()[name], Recipe(pruning=FilterSimilarity(0.5), granularity="channel")), x)
    with torch.no_grad():
        assert torch.equal(convert(prepared).double()(x.double()), prepared.double()(x.double()))


def test_a_network_without_any_weight_left_is_its_biases():
    prepared = train(prepare(perceptron(4, 6, 3), Recipe(weights=Ternary(), pruning=Magnitude(0.99))), torch.rand(4, 4))
    for layer in prepared.layers.values():
        layer.grid.prune(torch.zeros_like(layer.original, dtype=torch.bool))
    converted, x = convert(prepared), torch.rand(4, 4)
    assert torch.equal(converted(x), prepared(x)) and torch.equal(converted(x)[0], converted(-x)[1])
