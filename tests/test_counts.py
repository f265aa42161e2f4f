"""Numbers of thresholds, which other tools' quantizers and activations are."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hwgen.errors import HwgenError, MissingActQuant, UnsupportedLayer
from hwgen.frontend import import_model, read_model
from hwgen.ops.rescale import Rescale, Steps
from hwgen.passes import run_passes
from hwgen.target import Target

SCALE = float(np.float32(0.37))
dice = np.random.default_rng(3)
THRESHOLDS = {
    "any": np.sort(dice.normal(0, 3, (4, 15))),
    "one row": np.sort(dice.normal(0, 3, (1, 15))),
    "equal steps": (np.arange(15) * 0.3 - 2)[None],
    "equal steps from place to place": np.arange(7) * 0.37 - 1 + dice.normal(0, 0.3, (4, 1)),
    "signs": np.zeros((4, 1)),
    "one behind the other": np.array([[1.0, -1.0, 0.5, 0.5]]),
    "some never and always": np.array([[-np.inf, 0.5, np.inf]]),
}


class Counted(nn.Module):
    """A convolution of integers times SCALE, scaled by channel, then counted."""

    def __init__(self, thresholds, scales, ends):
        super().__init__()
        integers = np.random.default_rng(5).integers(-4, 5, (4, 2, 3, 3))
        self.register_buffer("weight", torch.from_numpy(integers * SCALE))
        self.register_buffer("thresholds", torch.from_numpy(np.array(thresholds)))
        self.register_buffer("scales", torch.tensor(scales, dtype=torch.float64).reshape(-1, 1, 1))
        self.ends = ends

    def forward(self, x):
        x = F.conv2d(quantized(x), self.weight) * self.scales + 0.3
        x = x.clamp(*self.ends) if self.ends else x
        return torch.ops.hwgen.count_steps(x, self.thresholds) * 2 - 3


def quantized(x):
    scale, zero = (torch.tensor(value, dtype=torch.float64) for value in (0.11, 3.0))
    return (torch.ops.hwgen.quantize_affine(x, scale, zero, 0, -8, 7, "half_even") - zero) * 0.125


@pytest.mark.parametrize("ends", [None, (0.0, None), (-1.0, 1.0)])
@pytest.mark.parametrize("scales", [[1.0], [0.3, 0.0, 1.7, 0.9], [0.3, -0.8, 1.7, -0.1]])
@pytest.mark.parametrize("name", THRESHOLDS)
def test_golden_counts_equal_the_module(name, scales, ends):
    module = Counted(THRESHOLDS[name], scales, ends)
    x = torch.randn(30, 2, 6, 6, generator=torch.Generator().manual_seed(1)).double()
    graph = import_model(module, (x[:1],))
    for which in (graph, run_passes(graph)):
        assert torch.equal(which.golden(x)[0], module(x))
    ops = [node.op for node in graph.nodes if isinstance(node.op, (Rescale, Steps))]
    if name in ("equal steps", "signs"):
        assert len(ops) == 1 and isinstance(ops[0], Rescale)
    if name == "any":
        assert len(ops) == 1 and isinstance(ops[0], Steps)


class Falling(nn.Module):
    """Sums of up to 24 bits times negative float32 numbers, and another."""

    def __init__(self):
        super().__init__()
        integers = torch.from_numpy(np.random.default_rng(7).integers(-127, 128, (3, 512)))
        self.register_buffer("weight", integers.double())
        self.register_buffer("factors", torch.tensor([-0.000231, 0.000312, -0.000277]))

    def sums(self, x):
        return F.linear((x / 0.125).round().clamp(-128, 127), self.weight)

    def forward(self, x):
        one, step = (torch.tensor(value, dtype=torch.float64) for value in (0.125, 1.0))
        x = torch.ops.hwgen.quantize_affine(x, one, one * 0, 0, -128, 127, "half_even")
        x = F.linear(x, self.weight) * self.factors.double()
        return torch.ops.hwgen.quantize_affine(x, step, step * 0, 0, -128, 127, "half_even")


def test_a_tools_own_rule_of_a_negative_factor():
    module, x = Falling(), torch.randn(3000, 512, generator=torch.Generator().manual_seed(1)).double() * 9
    graph, (note,) = read_model(module, (x[:1],), Target("onnxruntime"))
    assert isinstance(note.op, Steps) and note.departs
    single = module.sums(x).float() * module.factors
    assert torch.equal(run_passes(graph).golden(x)[0], single.round().clamp(-128, 127).double())


class Last(nn.Module):
    """Channels last, as other tools have them; thresholds of a narrow activation, which are a table."""

    def forward(self, x):
        thresholds = torch.tensor([[-0.3, 0.1, 0.2]], dtype=torch.float64)
        x = torch.ops.hwgen.count_steps(quantized(x).permute(0, 3, 1, 2), thresholds)
        return (x * 0.25 - 0.25).permute(0, 2, 3, 1)


def test_channels_last():
    x = torch.randn(30, 3, 4, 2, generator=torch.Generator().manual_seed(1)).double()
    graph = import_model(Last(), (x[:1],))
    assert torch.equal(run_passes(graph).golden(x)[0], Last()(x))


def refusal(function):
    class Wrapped(nn.Module):
        def forward(self, x):
            return function(x)

    with pytest.raises(HwgenError) as caught:
        import_model(Wrapped(), (torch.zeros(1, 2, 4, 4, dtype=torch.float64),))
    return caught.value


def test_what_has_no_thresholds():
    def count(x, *steps):
        return torch.ops.hwgen.count_steps(x, torch.tensor(steps, dtype=torch.float64))

    assert isinstance(refusal(lambda x: count(x, [0.0])), MissingActQuant)
    assert isinstance(refusal(lambda x: count(quantized(x), [float("nan")])), UnsupportedLayer)
    assert "thresholds of 3 channels" in refusal(lambda x: count(quantized(x), [0.0], [1.0], [2.0])).what
