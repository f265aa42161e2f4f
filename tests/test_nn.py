"""The activation quantizer and the average pooling: worked values, gradients, export."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hwgen.errors import BadInput
from hwgen.nn import ActQuant, AvgPool2d, act_quant, avg_pool2d, limits, reciprocal

FLOATS = (torch.float32, torch.float64)


def level(x: float, bits: int, exponent: int, signed: bool) -> Fraction:
    """The definition in exact arithmetic."""
    low, high = limits(bits, signed)
    rounded = math.floor(Fraction(x) / Fraction(2) ** exponent + Fraction(1, 2))
    return min(max(rounded, low), high) * Fraction(2) ** exponent


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (0.25, 0.5),
        (-0.25, 0.0),
        (-0.75, -0.5),
        (0.75, 1.0),
        (-1.25, -1.0),
        (-0.26, -0.5),
        (9.0, 3.5),
        (-9.0, -4.0),
    ],
)
def test_ties_go_up_and_the_rest_is_clamped(dtype, x, expected):
    assert ActQuant(4, -1, signed=True)(torch.tensor(x, dtype=dtype)).item() == expected


@pytest.mark.parametrize(
    ("bits", "signed", "expected"),
    [(1, False, (0, 1)), (1, True, (-1, 0)), (8, False, (0, 255)), (16, True, (-32768, 32767))],
)
def test_limits(bits, signed, expected):
    quant = ActQuant(bits, 3, signed)
    assert (
        tuple(quant(torch.tensor([-1e9, 1e9])).tolist())
        == tuple(8.0 * v for v in expected)
        == tuple(8.0 * v for v in limits(bits, signed))
    )


@given(
    x=st.floats(-1e6, 1e6, width=32),
    bits=st.integers(1, 16),
    exponent=st.integers(-20, 20),
    signed=st.booleans(),
    dtype=st.sampled_from(FLOATS),
)
def test_equals_the_definition_and_is_idempotent(x, bits, exponent, signed, dtype):
    quant = ActQuant(bits, exponent, signed)
    y = quant(torch.tensor([x], dtype=dtype))
    assert y.dtype == dtype
    assert Fraction(y.item()) == level(x, bits, exponent, signed)
    assert torch.equal(quant(y), y)


def test_just_below_a_tie_is_not_rounded_up():
    """x + 1/2 would itself round to 1 in float32."""
    below = torch.nextafter(torch.tensor(0.5), torch.tensor(0.0))
    assert (below + 0.5).floor() == 1
    assert ActQuant(4, 0)(below) == 0


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_level_is_a_fixed_point(dtype):
    levels = torch.arange(-32768, 32768, dtype=dtype) * 2.0**-9
    assert torch.equal(ActQuant(16, -9, signed=True)(levels), levels)


def test_gradient_is_straight_through_inside_the_limits():
    x = torch.tensor([-0.26, -0.25, 0.0, 3.0, 7.74, 7.75, 100.0], requires_grad=True)
    (ActQuant(4, -1)(x) * torch.arange(1.0, 8.0)).sum().backward()
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 0, 0]


@pytest.mark.parametrize("dtype", FLOATS)
def test_operators_keep_torchs_contract(dtype):
    """Schema, fake kernel, autograd registration, as torch.library checks them."""
    x = torch.randn(2, 3, 7, 9, dtype=dtype, requires_grad=True)
    torch.library.opcheck(act_quant, (x, 5, -2, True))
    torch.library.opcheck(avg_pool2d, (x, 3, 2, 2, 1, 8))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((0, 0), "bits"), ((17, 0), "bits"), ((2.5, 0), "bits"), ((4, 65), "exponent"), ((4, 0.5), "exponent")],
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(BadInput, match=f"{name} = "):
        ActQuant(*arguments)
    with pytest.raises(BadInput, match="signed"):
        ActQuant(4, 0, signed=1)


@pytest.mark.parametrize("layer", [ActQuant(4, 0), AvgPool2d(2)])
def test_only_float32_and_float64(layer):
    with pytest.raises(BadInput, match="int64"):
        layer(torch.zeros(1, 1, 4, 4, dtype=torch.int64))


@given(st.integers(1, 65536), st.integers(1, 16))
def test_reciprocal_is_the_nearest_of_its_width(count, bits):
    numerator, f = reciprocal(count, bits)
    assert 2 ** (bits - 1) <= numerator <= 2**bits
    assert abs(Fraction(numerator, 2**f) - Fraction(1, count)) <= Fraction(1, 2 ** (f + 1))


def test_average_of_nine_by_hand():
    assert reciprocal(9, 8) == (228, 11)
    x = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    assert AvgPool2d(3)(x).item() == 45 * 228 / 2048


@pytest.mark.parametrize(("kernel", "stride"), [(2, None), (4, None), ((4, 2), (1, 2)), (2, 1)])
def test_power_of_two_windows_equal_torchs_pooling(kernel, stride):
    x = torch.randint(0, 256, (2, 3, 9, 8)).double()
    assert torch.equal(AvgPool2d(kernel, stride, bits=3)(x), nn.AvgPool2d(kernel, stride)(x))


def test_average_gradient():
    x = torch.randn(2, 2, 7, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(AvgPool2d((3, 2), (2, 1)), (x,))


@pytest.mark.parametrize("arguments", [(0,), ((3, 3, 3),), (2.5,), (3, 0), (3, None, 17)])
def test_bad_pooling_arguments(arguments):
    with pytest.raises(BadInput):
        AvgPool2d(*arguments)


@pytest.mark.parametrize("dtype", FLOATS)
def test_both_survive_export_save_and_load(tmp_path, dtype):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), ActQuant(4, -2, signed=True), AvgPool2d(3, bits=5)).to(dtype).eval()
    x = torch.randn(1, 2, 11, 11, dtype=dtype)
    torch.export.save(torch.export.export(model, (x,)), tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2")
    calls = {node.target: node.args[1:] for node in program.graph.nodes if node.op == "call_function"}
    assert calls[torch.ops.hwgen.act_quant.default] == (4, -2, True)
    assert calls[torch.ops.hwgen.avg_pool2d.default] == (3, 3, 3, 3, 5)
    assert torch.equal(program.module()(x), model(x))


def test_a_network_trains_through_both():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), ActQuant(6, -3), AvgPool2d(3), nn.Flatten(), nn.Linear(16, 1))
    x = torch.rand(64, 1, 8, 8)
    target = x.mean((1, 2, 3))[:, None]
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = nn.functional.mse_loss(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert model[0].weight.grad.abs().sum() > 0
    assert losses[-1] < losses[0] / 20
