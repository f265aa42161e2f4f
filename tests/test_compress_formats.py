"""Weight formats, scales and activation quantizers against brute force: every level, every tie, every gradient."""

from fractions import Fraction
from itertools import combinations, pairwise, product
from math import log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.formats import (
    AdditivePowersOfTwo,
    Binary,
    KMeans,
    PowerOfTwo,
    SignedDigits,
    Ternary,
    Uniform,
    at_most,
    digits,
    exponent_by_error,
    exponent_by_maximum,
    nearest,
    project,
)
from hwgen.compress.weights import BiasGrid, WeightGrid
from hwgen.nn import ActQuant, limits
from hwgen.terms import term_table

STABLE = settings(derandomize=True, deadline=None, database=None)

FORMATS = [
    *(PowerOfTwo(bits) for bits in (2, 3, 4, 5)),
    *(AdditivePowersOfTwo(bits) for bits in (2, 3, 4, 5, 6)),
    *(Uniform(bits) for bits in (2, 3, 6)),
    Ternary(),
    Binary(),
    *(SignedDigits(*given) for given in ((1, 6), (2, 7), (3, 7))),
]
CODEBOOKS = [(0, 1, 3, 7), (0, 2, 5, 11, 31), (0, 7), (0, 5, 6)]
LEVEL_SETS = list(dict.fromkeys([*(own.magnitudes() for own in FORMATS), *CODEBOOKS]))


def signed(magnitudes) -> list[int]:
    return sorted({s * m for m in magnitudes for s in (1, -1)})


def closest(v: float, magnitudes) -> int:
    """By definition: the least distance; of equals the larger magnitude; of those the positive."""
    exact = Fraction(v)
    return min(signed(magnitudes), key=lambda level: (abs(exact - level), -abs(level), -level))


# levels


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_powers_of_two_are_zero_and_every_power_that_the_code_has_room_for(bits):
    magnitudes = PowerOfTwo(bits).magnitudes()
    assert len(signed(magnitudes)) == 2**bits - 1
    assert magnitudes[0] == 0 and all(m == 2**c for c, m in enumerate(magnitudes[1:]))


@pytest.mark.parametrize(
    ("bits", "levels"),
    [
        (2, {0, 1}),
        (3, {0, 1, 2, 4}),
        (4, {0, 1, 2, 3, 4, 6, 8, 10}),
        (5, {0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 33, 36, 48}),
        (
            6,
            {
                int(128 * (a + b + c))
                for a, b, c in product((0, 1 / 2, 1 / 8, 1 / 64), (0, 1 / 4, 1 / 16, 1 / 128), (0, 1 / 32))
            },
        ),
    ],
)
def test_sums_of_powers_have_the_levels_of_their_paper(bits, levels):
    magnitudes = AdditivePowersOfTwo(bits).magnitudes()
    assert magnitudes == tuple(sorted(levels))
    assert len(magnitudes) == 2 ** (bits - 1)
    assert digits(np.array(magnitudes)).max() <= (3 if bits == 6 else 2)


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_uniform_levels_are_all_integers_of_the_width_but_the_least(bits):
    assert signed(Uniform(bits).magnitudes()) == list(range(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1)))


@pytest.mark.parametrize(("terms", "bits"), [(1, 4), (2, 6), (3, 6), (2, 8)])
def test_signed_digits_are_the_sums_of_so_many_signed_powers(terms, bits):
    powers = [s << c for c in range(bits + 1) for s in (1, -1)]
    sums = {sum(chosen) for count in range(terms + 1) for chosen in combinations(powers, count)}
    assert SignedDigits(terms, bits).magnitudes() == tuple(sorted(s for s in sums if 0 <= s < 2 ** (bits - 1)))


def test_ternary_and_binary_have_one_magnitude():
    assert signed(Ternary().magnitudes()) == [-1, 0, 1]
    assert signed(Binary().magnitudes()) == [-1, 1]


def test_digits_are_the_fewest_signed_powers_that_make_the_number():
    fewest, reached = {0: 0}, {0}
    powers = [s << c for c in range(10) for s in (1, -1)]
    for count in range(1, 6):
        reached = {r + p for r in reached for p in powers}
        for r in reached:
            fewest.setdefault(r, count)
    numbers = np.arange(-300, 301)
    assert digits(numbers).tolist() == [fewest[n] for n in numbers.tolist()]


@settings(STABLE, max_examples=60)
@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=12))
def test_digits_are_the_terms_that_the_hardware_adds(numbers):
    table = term_table(np.array(numbers).reshape(-1, 1))
    assert digits(np.array(numbers)).tolist() == np.bincount(table.output, minlength=len(numbers)).tolist()


@pytest.mark.parametrize("terms", [0, 1, 2, 3])
def test_at_most_keeps_the_levels_of_few_terms(terms):
    kept = at_most(tuple(range(100)), terms)
    assert kept == tuple(m for m in range(100) if len(term_table(np.array([[m]]))) <= terms)


# projection


@st.composite
def values(draw, magnitudes):
    """Floats of single precision; often a tie, or its neighbour."""
    middles = sorted((a + b) / 2 for a, b in pairwise(magnitudes)) or [0.5]
    v = np.float32(draw(st.one_of(st.sampled_from(middles), st.floats(0, 2.0 * magnitudes[-1] + 1, width=32))))
    towards = draw(st.sampled_from([None, np.float32(0), np.float32(1e9)]))
    return float(v if towards is None else np.nextafter(v, towards)) * draw(st.sampled_from([1, -1]))


@pytest.mark.parametrize("magnitudes", LEVEL_SETS, ids=str)
def test_the_nearest_level_and_of_two_the_larger(magnitudes):
    @settings(STABLE, max_examples=25)
    @given(st.lists(values(magnitudes), min_size=1, max_size=6))
    def check(v):
        want = [closest(x, magnitudes) for x in v]
        assert nearest(torch.tensor(v, dtype=torch.float32), magnitudes).tolist() == want
        assert nearest(torch.tensor(v, dtype=torch.float64), magnitudes).tolist() == want

    check()


@pytest.mark.parametrize("magnitudes", LEVEL_SETS, ids=str)
@pytest.mark.parametrize("exponent", [-40, -7, 0, 3])
def test_a_projection_is_on_a_level_and_projects_to_itself(magnitudes, exponent):
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(50, 4, generator=generator) * magnitudes[-1] * 2.0**exponent
    once = project(w, magnitudes, exponent)
    assert set((once * 2.0**-exponent).flatten().tolist()) <= set(signed(magnitudes))
    assert torch.equal(project(once, magnitudes, exponent), once)


def test_a_projection_takes_an_exponent_of_each_channel():
    w = torch.tensor([[3.0, 0.3], [3.0, 0.3]])
    assert project(w, (0, 1, 2), torch.tensor([[0.0], [-2.0]])).tolist() == [[2.0, 0.0], [0.5, 0.25]]


# scales


@st.composite
def weights(draw):
    """Weights [rows, columns] in 64ths, so that float64 adds their squared errors exactly; no row of zeros."""
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    row = st.lists(st.integers(-400, 400), min_size=columns, max_size=columns).filter(any)
    return torch.tensor(draw(st.lists(row, min_size=rows, max_size=rows)), dtype=torch.float32) / 64


def errors(w: np.ndarray, magnitudes) -> dict[int, float]:
    """The squared error of every exponent."""
    levels = np.array(signed(magnitudes), np.float64)
    return {
        e: float((np.abs(w.ravel()[:, None] - levels * 2.0**e).min(1) ** 2).sum())
        for e in range(-24, 12)  # the least weight is 2^-6, the greatest level 2^14
    }


def rows(w: torch.Tensor, per_channel: bool) -> list[np.ndarray]:
    return list(w.double().numpy()) if per_channel else [w.double().numpy()]


@pytest.mark.parametrize("per_channel", [False, True])
@settings(STABLE, max_examples=50)
@given(w=weights(), magnitudes=st.sampled_from(LEVEL_SETS))
def test_the_maximum_exponent_is_the_least_that_covers_all(w, magnitudes, per_channel):
    exponents = exponent_by_maximum(w, magnitudes, per_channel)
    assert exponents.shape == (len(w) if per_channel else 1, 1)
    for row, e in zip(rows(w, per_channel), exponents.flatten().tolist(), strict=True):
        assert magnitudes[-1] * 2.0**e >= np.abs(row).max() > magnitudes[-1] * 2.0 ** (e - 1)


@pytest.mark.parametrize("per_channel", [False, True])
@settings(STABLE, max_examples=120)
@given(w=weights(), magnitudes=st.sampled_from(LEVEL_SETS))
def test_the_exponent_of_least_error_beats_every_other(w, magnitudes, per_channel):
    exponents = exponent_by_error(w, magnitudes, per_channel)
    assert exponents.shape == (len(w) if per_channel else 1, 1)
    for row, e in zip(rows(w, per_channel), exponents.flatten().tolist(), strict=True):
        all_errors = errors(row, magnitudes)
        assert all_errors[int(e)] == min(all_errors.values())


@settings(STABLE, max_examples=50)
@given(w=weights(), magnitudes=st.sampled_from(LEVEL_SETS))
def test_of_equally_good_exponents_the_greatest_near_the_maximum(w, magnitudes):
    all_errors = errors(w.double().numpy(), magnitudes)
    equal = [e for e, error in all_errors.items() if error == min(all_errors.values())]
    most = exponent_by_maximum(w, magnitudes, per_channel=False).item() + 1
    near = [e for e in equal if e <= most]
    assert exponent_by_error(w, magnitudes, per_channel=False).item() == (max(near) if near else min(equal))


@pytest.mark.parametrize("magnitudes", [(1,), (0, 1), (0, 1, 2, 4)])
def test_one_great_weight_among_many_small_ones_does_not_set_the_exponent(magnitudes):
    w = torch.cat([torch.full((8000,), 1 / 64), torch.ones(1)]).reshape(1, -1)
    all_errors = errors(w.double().numpy(), magnitudes)
    assert all_errors[int(exponent_by_error(w, magnitudes, per_channel=False))] == min(all_errors.values())


# k-means


def test_a_codebook_of_few_distinct_weights_is_those_weights():
    w = torch.tensor([3.0, -3.0, 5.0, 12.0, 0.0, -12.0, 5.0, 3.0]) / 8
    assert KMeans(4, 5).codebook(w) == (0, 3, 5, 12)


@settings(STABLE, max_examples=40)
@given(st.integers(2, 20), st.integers(2, 8), st.integers(0, 1000))
def test_a_codebook_holds_zero_and_at_most_so_many_magnitudes_in_range(levels, bits, seed):
    w = torch.randn(100, generator=torch.Generator().manual_seed(seed))
    codebook = KMeans(levels, bits).codebook(w)
    assert codebook[0] == 0 and list(codebook) == sorted(set(codebook)) and 2 <= len(codebook) <= levels
    # half of the range at least is used
    assert 2 ** (bits - 2) <= codebook[-1] < 2 ** (bits - 1)


def test_a_codebook_of_no_weights_is_ternary():
    assert KMeans(8, 6).codebook(torch.zeros(4)) == (0, 1)


# WeightGrid


def grid_of(w, formats, *, per_channel=False, scale="max", gradient="identity", log2=0.0) -> WeightGrid:
    formats = formats if isinstance(formats, list) else [formats] * len(w)
    grid = WeightGrid(w, formats, per_channel=per_channel, scale=scale, gradient=gradient)
    grid.log2_scale.data.fill_(log2)
    grid.on_grid.fill_(True)
    return grid


V = torch.tensor([[0.3, -0.5, 1.7, -2.6, 3.0, 5.0, 9.0, -40.0]])
Q = torch.tensor([[0.0, -1.0, 2.0, -2.0, 4.0, 4.0, 4.0, -4.0]])  # PowerOfTwo(3)
INSIDE = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]])


@pytest.mark.parametrize("gradient", ["identity", "clip"])
def test_the_gradient_goes_straight_through_or_stops_beyond_the_greatest_level(gradient):
    w = (V / 8).requires_grad_()
    out = grid_of(w, PowerOfTwo(3), gradient=gradient, log2=-3.0)(w)
    assert torch.equal(out, Q / 8)
    out.sum().backward()
    assert torch.equal(w.grad, torch.ones_like(V) if gradient == "identity" else INSIDE)


@pytest.mark.parametrize("gradient", ["identity", "clip"])
def test_a_learned_scale_has_the_gradient_of_learned_step_size_quantization(gradient):
    w = (V / 8).requires_grad_()
    grid = grid_of(w, PowerOfTwo(3), scale="learned", gradient=gradient, log2=-3.0)
    weights_of_loss = torch.arange(1.0, 9.0)
    (grid(w) * weights_of_loss).sum().backward()
    slope = torch.where(INSIDE > 0, Q - V, Q)
    want = (weights_of_loss * slope).double().sum().item() * log(2) / 8
    assert grid.log2_scale.grad.item() == pytest.approx(want, rel=1e-5)


def test_the_slope_of_each_learned_scale_is_of_its_channels_own_format():
    w = torch.tensor([[5.0], [5.0]]).requires_grad_()
    grid = grid_of(w, [Ternary(), PowerOfTwo(4)], per_channel=True, scale="learned", gradient="clip")
    grid(w).sum().backward()
    assert w.grad.flatten().tolist() == [0.0, 1.0]
    assert grid.log2_scale.grad.flatten().tolist() == pytest.approx([log(2), (4 - 5) * log(2)])


def test_a_scale_that_is_not_learned_does_not_train():
    w = V.clone().requires_grad_()
    assert not grid_of(w, PowerOfTwo(3)).log2_scale.requires_grad
    assert grid_of(w, PowerOfTwo(3), scale="learned").log2_scale.requires_grad


@pytest.mark.parametrize("on_grid", [False, True])
@pytest.mark.parametrize("regrow", [False, True])
@pytest.mark.parametrize("scale", ["max", "learned"])
def test_a_pruned_weight_is_zero_and_learns_only_while_it_may_regrow(on_grid, regrow, scale):
    w = torch.tensor([[0.5, 1.0, 2.0, -4.0]]).requires_grad_()
    grid = grid_of(w, PowerOfTwo(3), scale=scale)
    grid.on_grid.fill_(on_grid)
    grid.regrow.fill_(regrow)
    grid.prune(torch.tensor([[True, False, True, False]]))
    out = grid(w)
    assert out.tolist() == [[1.0 if on_grid else 0.5, 0.0, 2.0, 0.0]]
    out.sum().backward()
    assert w.grad.tolist() == [[1.0, float(regrow), 1.0, float(regrow)]]


def test_pruned_weights_do_not_move_a_learned_scale():
    w = torch.tensor([[1.0, 0.7, 3.1]]).requires_grad_()
    grid = grid_of(w, PowerOfTwo(3), scale="learned")
    grid.regrow.fill_(True)
    grid.prune(torch.tensor([[True, False, False]]))
    grid(w).sum().backward()
    assert grid.log2_scale.grad.item() == 0.0


@pytest.mark.parametrize("own", FORMATS, ids=str)
@pytest.mark.parametrize("scale", ["max", "mse", "learned"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_go_on_levels_of_their_channels_and_stay(own, scale, per_channel):
    w = (
        torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(2))
        * torch.tensor([1, 0.1, 3, 8.0])[:, None, None, None]
    )
    grid = WeightGrid(w, [own] * 4, per_channel=per_channel, scale=scale, gradient="identity")
    assert torch.equal(grid(w), w)
    grid.to_grid(w)
    out = grid(w)
    assert grid.exponent.shape == (4 if per_channel else 1, 1, 1, 1)
    assert set((out / torch.exp2(grid.exponent)).flatten().tolist()) <= set(signed(own.magnitudes()))
    assert torch.equal(grid(out), out)
    for k, row in enumerate(w):
        by = exponent_by_maximum if scale == "max" else exponent_by_error
        e = by(row[None] if per_channel else w, own.magnitudes(), per_channel=False).item()
        assert torch.equal(out[k], project(row, own.magnitudes(), e))


def test_channels_have_their_own_formats():
    w = torch.tensor([[0.9, 0.1], [2.6, 1.4], [6.8, 2.2]])
    grid = WeightGrid(w, [Ternary(), PowerOfTwo(3), Uniform(4)], per_channel=True, scale="max", gradient="identity")
    grid.to_grid(w)
    assert grid(w).tolist() == [[1.0, 0.0], [2.0, 1.0], [7.0, 2.0]]


def test_the_codebooks_of_two_kmeans_formats_do_not_mix():
    w = torch.randn(6, 30, generator=torch.Generator().manual_seed(3))
    formats = [KMeans(3, 4)] * 2 + [KMeans(9, 7)] * 4
    grid = WeightGrid(w, formats, per_channel=False, scale="mse", gradient="identity")
    grid.to_grid(w)
    for which, own in enumerate(grid.formats):
        assert len(grid.magnitudes(which)) <= own.levels
        assert grid.magnitudes(which)[-1] < 2 ** (own.bits - 1)


@pytest.mark.parametrize("own", [Uniform(7), SignedDigits(3, 8), AdditivePowersOfTwo(6)], ids=str)
def test_a_cap_limits_the_terms_and_takes_the_nearest_level_of_so_few(own):
    w = torch.randn(5, 40, generator=torch.Generator().manual_seed(4))
    caps = torch.randint(0, 5, w.shape, generator=torch.Generator().manual_seed(5)).to(torch.uint8)
    grid = WeightGrid(w, [own] * 5, per_channel=True, scale="mse", gradient="identity")
    grid.to_grid(w)
    grid.cap(caps)
    unit = torch.exp2(grid.exponent)
    level = grid(w) / unit
    for v, cap, found in zip((w / unit).flatten(), caps.flatten().tolist(), level.flatten().tolist(), strict=True):
        assert found == (0 if cap == 0 else closest(v.item(), at_most(own.magnitudes(), cap)))
    assert bool((digits(level.numpy().astype(np.int64)) <= caps.numpy()).all())


@pytest.mark.parametrize("scale", ["max", "mse"])
def test_a_channel_that_was_pruned_when_the_scale_was_chosen_can_come_back(scale):
    w = torch.tensor([[1.0, 0.5], [1.0, 0.5]])
    grid = WeightGrid(w, [PowerOfTwo(4)] * 2, per_channel=True, scale=scale, gradient="identity")
    grid.prune(torch.tensor([[True, True], [False, False]]))
    grid.to_grid(w)
    assert grid(w).tolist() == [[1.0, 0.5], [0.0, 0.0]]
    grid.prune(torch.ones(2, 2, dtype=torch.bool))
    assert grid(w).tolist() == [[1.0, 0.5], [1.0, 0.5]]


def test_a_layer_that_starts_with_zero_weights_can_train():
    grid = WeightGrid(torch.zeros(2, 2), [PowerOfTwo(4)] * 2, per_channel=False, scale="mse", gradient="identity")
    grid.to_grid(torch.zeros(2, 2))
    trained = torch.tensor([[0.5, 0.25], [0.25, -0.5]])
    assert bool((grid(trained) - trained).abs().max() <= 0.25)


# BiasGrid


@settings(STABLE, max_examples=60)
@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=6), st.sampled_from([2, 3, 8, 10]))
def test_a_bias_is_the_nearest_of_so_many_bits_and_stays(b, bits):
    grid = BiasGrid(torch.tensor(b), bits)
    assert grid(torch.tensor(b)).tolist() == b
    grid.on_grid.fill_(True)
    out = grid(torch.tensor(b))
    top = 2 ** (bits - 1) - 1
    greatest = max(abs(x) for x in b)
    unit = next(2.0**e for e in range(-40, 40) if top * 2.0**e >= greatest)
    assert [x / unit for x in out.tolist()] == [closest(x / unit, range(top + 1)) for x in b]
    assert torch.equal(grid(out), out)


def test_the_bias_of_a_pruned_filter_is_zero_and_gets_no_gradient():
    b = torch.tensor([1.0, 2.0, -3.0]).requires_grad_()
    grid = BiasGrid(b, 8)
    grid.on_grid.fill_(True)
    grid.keep.copy_(torch.tensor([True, True, False]))
    out = grid(b)
    out.sum().backward()
    assert out.tolist() == [1.0, 2.0, 0.0] and b.grad.tolist() == [1.0, 1.0, 0.0]


# LearnedActQuant


def quantizer_of(x, bits, signed=None) -> LearnedActQuant:
    quantizer = LearnedActQuant(bits, signed, learned=True)
    quantizer.start()
    quantizer(x)
    return quantizer


def test_activations_pass_until_it_starts():
    x = torch.tensor([0.3, -7.1])
    quantizer = LearnedActQuant(4, None, learned=True)
    assert torch.equal(quantizer(x), x) and not quantizer.calibrated


@pytest.mark.parametrize(("low", "is_signed"), [(0.0, False), (-1.0, True)])
def test_the_sign_is_what_the_first_batch_shows(low, is_signed):
    assert bool(quantizer_of(torch.tensor([low, 3.0]), 4).signed) == is_signed
    assert bool(quantizer_of(torch.tensor([low, 3.0]), 4, signed=True).signed)


@settings(STABLE, max_examples=50)
@given(
    st.lists(st.integers(-400, 400), min_size=1, max_size=12).filter(any),
    st.integers(1, 8),
    st.sampled_from([None, True]),
)
def test_calibration_finds_the_exponent_of_least_error_of_all(numbers, bits, signed):
    x = torch.tensor(numbers) / 64
    quantizer = quantizer_of(x, bits, signed)
    all_errors = {
        e: (ActQuant(bits, e, bool(quantizer.signed))(x.double()) - x).square().sum().item() for e in range(-18, 12)
    }
    assert all_errors[quantizer.exponent] == min(all_errors.values())


def test_calibration_finds_the_least_error_under_a_great_outlier():
    x = torch.cat([torch.full((9000,), 1 / 32), torch.ones(1)])
    quantizer = quantizer_of(x, 1)
    all_errors = {e: (ActQuant(1, e)(x) - x).square().sum().item() for e in range(-12, 3)}
    assert all_errors[quantizer.exponent] == min(all_errors.values())


def test_calibration_sees_all_columns_of_a_large_batch():
    x = torch.ones(100, 32, 32, 16)
    x[..., 0] = 0.01  # a border is darker
    assert quantizer_of(x, 4).exponent == quantizer_of(torch.ones(1), 4).exponent


@settings(STABLE, max_examples=50)
@given(
    st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=12),
    st.integers(1, 8),
    st.booleans(),
    st.floats(-12, 6),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_it_equals_the_actquant_that_it_becomes(numbers, bits, signed, log2, dtype):
    quantizer = LearnedActQuant(bits, signed, learned=True)
    quantizer.start()
    quantizer.calibrated.fill_(True)
    quantizer.log2_scale.data.fill_(log2)
    x = torch.tensor(numbers, dtype=dtype)
    frozen = quantizer.eval().frozen()
    assert (frozen.bits, frozen.exponent, frozen.signed) == (bits, round(quantizer.log2_scale.item()), signed)
    assert torch.equal(quantizer(x), frozen(x))


@pytest.mark.parametrize(("bits", "signed"), [(2, False), (3, True), (1, False), (1, True)])
def test_its_gradients_are_those_of_learned_step_size_quantization(bits, signed):
    quantizer = LearnedActQuant(bits, signed, learned=True)
    quantizer.start()
    quantizer.calibrated.fill_(True)
    quantizer.log2_scale.data.fill_(-2.0)
    low, high = limits(bits, signed)
    v = torch.tensor([-9.0, -3.2, -0.3, 0.2, 0.7, 1.1, 2.9, 3.2, 50.0])
    x = (v / 4).requires_grad_()
    (quantizer(x) * torch.arange(1.0, 10.0)).sum().backward()
    q = torch.floor(v + 0.5).clamp(low, high)
    inside = (v > low - 0.5) & (v < high + 0.5)
    assert torch.equal(x.grad, torch.arange(1.0, 10.0) * inside)
    slope = torch.where(inside, q - v, q)
    want = (torch.arange(1.0, 10.0) * slope).sum().item() * log(2) / 4 / (9 * max(high, 1)) ** 0.5
    assert quantizer.log2_scale.grad.item() == pytest.approx(want, rel=1e-5)
