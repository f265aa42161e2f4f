"""Lines of any scale through views, passes and layers: the golden integers, before and after all passes, against the
module in float64, whose arithmetic is exact here: all constants are multiples of 1/64."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from hwgen.errors import UnsupportedLayer
from hwgen.frontend import EXACT_TARGET, import_model, read_model
from hwgen.passes import run_passes
from hwgen.target import Target

UNIT = 3 / 64
ONNX = Target("onnxruntime")


def fake(x, scale=UNIT, zero=3, low=-128, high=127, rounding="half_even"):
    """Quantized and back."""
    scale, zero = torch.tensor([scale]).double(), torch.tensor([zero]).double()
    return (torch.ops.hwgen.quantize_affine(x, scale, zero, 1, low, high, rounding) - zero) * scale


class Of(nn.Module):
    """A function of numbers that were quantized, and are again behind it."""

    def __init__(self, function, last=fake):
        super().__init__()
        self.function, self.last = function, last

    def forward(self, x):
        return self.last(self.function(fake(x)))


def check(model, *shape, target=EXACT_TARGET):
    x = 3 * torch.randn(50, *shape, generator=torch.Generator().manual_seed(1)).double()
    graph, _ = read_model(model, (x[:1],), target)
    with torch.no_grad():
        y = model(x)
    for each in (graph, run_passes(graph)):
        (found,) = each.golden(x)
        torch.testing.assert_close(found, y, rtol=0, atol=1e-12)


EVEN = torch.tensor([[2.0, 4], [-6, 8], [3, 5], [1, 7]]).double() * UNIT


def rescaled(x):
    return fake(functional.conv2d(x, EVEN[:, :, None, None]), 5 / 32)


def counted(x):
    return torch.ops.hwgen.count_steps(
        functional.conv2d(x, EVEN[:, :, None, None]), torch.tensor([[-0.8, -0.3, 0.01, 0.4, 0.41]]).double()
    )


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: rescaled(x)[:, :2], (2, 2, 2)),
        (lambda x: counted(x)[:, :2], (2, 2, 2)),
        (lambda x: functional.linear(functional.pad(x, (0, 1)), torch.tensor([[2.0, 1], [4, 3]]).double()), (1,)),
    ],
    ids=("channels left out", "thresholds", "weights of zeros"),
)
def test_weights_that_go_leave_a_requantization_its_integers(function, shape):
    """What is left of the weights is even: the sums are on a coarser grid."""
    check(Of(function, lambda x: fake(x, 5 / 32)), *shape)


BESIDE = (0, 0, 0, 0, 1, 0)  # a channel of zeros
SCALES = torch.tensor([1.0, 1 + 2**-20, 3 + 2**-20, 1]).double().reshape(-1, 1, 1, 1)  # of no one grid


@pytest.mark.parametrize(
    "function",
    [
        lambda x: functional.pad(x + 0.375, BESIDE),
        lambda x: functional.pad(x.clamp(min=1.0), BESIDE),
        lambda x: functional.pad(torch.sigmoid(functional.conv2d(x, 15 * EVEN[:, :, None, None])), BESIDE),
        lambda x: functional.conv2d(x, SCALES * EVEN[:, :, None, None]).argmax(1, keepdim=True).double(),
        lambda x: functional.conv2d(x, SCALES * EVEN[:, :, None, None]).topk(2, dim=1)[0],
    ],
    ids=("zeros and an offset", "zeros and a clamp", "zeros and a function", "argmax", "topk"),
)
def test_what_integers_do_not_tell_is_refused(function):
    """Zeros that are put beside a line are worth zero, not what its integer zero is worth; the greatest integer of
    several scales is not the greatest number."""
    with pytest.raises(UnsupportedLayer):
        import_model(Of(function), (torch.zeros(1, 2, 2, 2),))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: functional.pad(x, BESIDE) + 0.375,
        lambda x: functional.conv2d(functional.pad(x, BESIDE).clamp(min=9 / 64), EVEN.reshape(2, 4, 1, 1)[:, :3]),
    ],
    ids=("an offset", "a clamp"),
)
def test_zeros_take_part_in_what_follows(function):
    check(Of(function), 2, 2, 2)


def test_a_channel_of_a_zero_factor_before_a_max_pool():
    gammas = torch.tensor([1.0, 0, -0.5, -2]).double().reshape(-1, 1, 1)
    shifts = torch.tensor([0.5, 0.25, -1, 0.125]).double().reshape(-1, 1, 1)
    conv = EVEN[:, :, None, None]
    check(Of(lambda x: functional.max_pool2d(functional.conv2d(x, conv) * gammas + shifts, 2)), 2, 4, 4)


def test_one_tensor_twice_in_a_concatenation_with_two_scales():
    check(Of(lambda x: torch.cat([x, 3 * x], 1)), 2, 2, 2)


def test_a_slope_for_each_channel_of_a_line_is_refused():
    slopes = torch.tensor([0.1, 0.3]).double()
    with pytest.raises(UnsupportedLayer, match="several scales"):
        import_model(Of(lambda x: functional.prelu(x, slopes)), (torch.zeros(1, 2, 2, 2),))


@pytest.mark.parametrize(
    ("function", "target"),
    [
        (lambda x: x + 1 / 64, ONNX),
        (lambda x: functional.conv2d(x, EVEN[:, :, None, None], torch.tensor([0.25, -1, 0, 2]).double()), ONNX),
        (lambda x: functional.leaky_relu(functional.conv2d(x, 16 * EVEN[:, :, None, None]), 0.1), Target(near=6)),
    ],
    ids=("a constant", "a bias in floats", "no line"),
)
def test_what_a_target_does_not_speak_of_is_exact(function, target):
    """Its kernels of integers add integers; few bits of a multiplier are no reason to make a line of what is none."""
    check(Of(function, lambda x: fake(x, UNIT / 4)), 2, 2, 2, target=target)


def test_a_function_on_a_grid_times_a_line():
    """A table of the first is made where the second takes integers."""
    check(Of(lambda x: functional.leaky_relu(x, 0.125) * fake(functional.leaky_relu(x, 0.125), 5 / 64)), 2, 2, 2)


def test_an_average_of_zeros_beside():
    check(Of(lambda x: functional.avg_pool2d(functional.pad(x, BESIDE), (1, 3))), 2, 2, 3)


def test_a_batch_norm_of_zeros_beside():
    norm = nn.BatchNorm2d(3, eps=0).double().eval()
    norm.running_var.copy_(torch.tensor([1, 4, 1 / 16]))
    norm.weight.data, norm.bias.data = torch.tensor([-0.3, 0.7, 2]).double(), torch.tensor([0.125, 1, -0.5]).double()
    check(Of(lambda x: norm(functional.pad(x, BESIDE))), 2, 2, 3)


def test_zeros_that_an_input_has_no_level_of_are_refused():
    model = Of(lambda x: x)
    model.forward = lambda x: fake(functional.pad(x, BESIDE), low=5)
    with pytest.raises(UnsupportedLayer, match="zeros beside an input"):
        import_model(model, (torch.zeros(1, 2, 2, 2),))


def test_channels_that_are_left_out_have_no_part_in_the_thresholds():
    """Some have a negative factor: steps are then of the negative of these channels."""
    factors = 16 * torch.tensor([1.0, -3, 0.5, -2]).double().reshape(-1, 1, 1)

    def function(x):
        return functional.leaky_relu(functional.conv2d(x, EVEN[:, :, None, None]) * factors, 0.1)[:, 1:3]

    check(Of(function), 2, 2, 2)
