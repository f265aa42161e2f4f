"""What torch spells in odd ways is either taken as torch means it, or refused by name; never something else."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional

from hwgen.errors import BadInput, DoesNotFit, OffGrid, UnsupportedLayer
from hwgen.frontend import import_model
from hwgen.nn import ActQuant
from hwgen.ops.conv import ACCUMULATOR_BITS
from hwgen.passes import run_passes

IMAGES = torch.linspace(-20, 20, 256).reshape(8, 1, 4, 8)


class Quantized(nn.Module):
    """function(module, quantized input)."""

    def __init__(self, function, **children):
        super().__init__()
        self.function, self.quantize = function, ActQuant(8, -3, True)
        for name, child in children.items():
            setattr(self, name, child)

    def forward(self, x):
        return self.function(self, self.quantize(x))


def golden(module, x=IMAGES):
    """Whether the graph of integers gives what the module gives in float64, in numbers that the hardware holds."""
    graph = run_passes(import_model(module.eval(), (x[:1],)))
    assert max(kind.qtype.bits for kind in graph.types().values()) <= ACCUMULATOR_BITS
    return torch.equal(graph.golden(x)[0], copy.deepcopy(module).double()(x.double()))


@pytest.mark.parametrize(
    "clip",
    [
        lambda m, x: torch.clamp(x, min=-1.0),
        lambda m, x: x.clamp(min=0),
        lambda m, x: x.clamp(max=3),
        lambda m, x: x.clamp(-2.5, 1.75),
        lambda m, x: functional.hardtanh(x),
        lambda m, x: functional.hardtanh(x, 0, float("inf")),
        lambda m, x: functional.relu6(x),
        lambda m, x: functional.relu(x),
    ],
)
def test_each_way_to_clip_clips_where_torch_does(clip):
    assert golden(Quantized(clip))


@pytest.mark.parametrize("exponent", [-6, -3, 0, 2])
@pytest.mark.parametrize(
    "clip",
    [
        lambda x: x.clamp(0, 1.7),
        lambda x: functional.hardtanh(x, -0.3, 0.7),
        lambda x: x.clamp(max=-1e-9),
        lambda x: functional.max_pool2d(functional.dropout(x.clamp(0, 3.3), 0.5, False), 2).flatten(1),
    ],
)
def test_a_clip_at_any_number_before_a_quantizer_is_exact(clip, exponent):
    """Rounding is monotone, so the clip at c and a rounding is a rounding and the clip at c rounded."""
    assert golden(Quantized(lambda m, x: m.after(clip(x)), after=ActQuant(8, exponent, True)))


def both(module, x):
    x = x.clamp(0, 1.7)
    return module.a(x) + module.b(x)


def test_a_clip_that_one_quantizer_does_not_follow_is_named():
    message = "clipping at 0 and 1.7 needs a grid of 2\\^-52(.|\n)*at:   clamp(.|\n)*ActQuant"
    with pytest.raises(OffGrid, match=message):
        import_model(Quantized(lambda m, x: x.clamp(0, 1.7)).eval(), (IMAGES[:1],))
    with pytest.raises(OffGrid, match=message):
        import_model(Quantized(both, a=ActQuant(4, 0), b=ActQuant(4, -1)).eval(), (IMAGES[:1],))
    assert golden(Quantized(both, a=ActQuant(4, 0), b=ActQuant(5, 0)))


def test_a_clip_on_a_grid_below_2_to_the_minus_60_is_taken():
    net = nn.Sequential(ActQuant(8, -64, True), nn.Hardtanh(-(2.0**-66), 2.0**-60))
    assert golden(net, IMAGES * 2.0**-62)


@pytest.mark.parametrize("ends", [(float("nan"), 1.0), (float("inf"), None), (None, -float("inf"))])
def test_a_clip_at_no_number_is_refused(ends):
    with pytest.raises(UnsupportedLayer, match="clipping at"):
        import_model(Quantized(lambda m, x: x.clamp(*ends)).eval(), (IMAGES[:1],))


def test_a_layer_may_be_called_as_an_argument_is():
    """`same` is both a tensor's name and a padding."""
    same = nn.Conv2d(1, 1, 3, padding="same")
    for parameter in same.parameters():
        parameter.data.fill_(0.5)
    both = nn.Sequential(
        OrderedDict(quantize=ActQuant(4, 0), same=same, other=ActQuant(4, 0), last=copy.deepcopy(same))
    )
    assert golden(both)


def of_a_view(module, x):
    y = x + x
    y.flatten(1).relu_()
    return y


def of_an_alias_returned(module, x):
    y = x + x
    functional.dropout(y, 0.5, False).relu_()
    return y


def of_an_alias_added(module, x):
    y = x + x
    d = functional.dropout(y, 0.5, False)
    functional.relu(d, inplace=True)
    return y + d


def of_a_detached(module, x):
    y = x + x
    y.detach().relu_()
    return y


@pytest.mark.parametrize("mutation", [of_a_view, of_an_alias_returned, of_an_alias_added, of_a_detached])
def test_a_tensor_changed_in_place_behind_another_name_is_refused(mutation):
    with pytest.raises(UnsupportedLayer, match="is read after relu_ changed it in place"):
        import_model(Quantized(mutation).eval(), (IMAGES[:1],))


def test_in_place_calls_whose_result_is_read_are_taken():
    def function(module, x):
        y = x + x
        y.relu_()
        y += x
        return functional.relu(y, inplace=True)

    assert golden(Quantized(function))


@pytest.mark.parametrize(
    ("function", "x", "words"),
    [
        (lambda m, x: functional.max_pool1d(x, 3, 1, 1), IMAGES[:, 0, 0], "unbatched"),
        (lambda m, x: functional.max_pool2d(x, (3, 1), 1, (1, 0)), IMAGES[:, 0], "unbatched"),
        (lambda m, x: functional.adaptive_avg_pool2d(x, 1), IMAGES[:, 0], "unbatched"),
        (lambda m, x: x.view(4, -1), IMAGES, "is no frame of"),
        (lambda m, x: x.mean((2, 3), dtype=torch.float64), IMAGES, "dtype"),
        (lambda m, x: functional.linear(x.flatten(1), x.flatten(1)), IMAGES, "for a weight"),
        (lambda m, x: functional.pad(x, (1, 0), value=0.5), IMAGES, "padding"),
        (lambda m, x: None, IMAGES, "outputs"),
        (lambda m, x: m.constant, IMAGES, "outputs"),
    ],
)
def test_what_torch_means_otherwise_is_refused(function, x, words):
    with pytest.raises(UnsupportedLayer, match=words):
        import_model(Quantized(function, constant=nn.Parameter(torch.ones(1, 3))).eval(), (x[:1],))


def test_a_quantizer_called_as_an_op_has_the_module_s_limits():
    with pytest.raises(BadInput, match="bits = 40"):
        import_model(Quantized(lambda m, x: torch.ops.hwgen.act_quant(x, 40, 0, True)).eval(), (IMAGES[:1],))


@pytest.mark.parametrize("exponents", [(0, -60), (40, -40), (-60, 20)])
def test_grids_too_far_apart_for_the_arithmetic_are_refused(exponents):
    with pytest.raises(DoesNotFit, match="too far apart"):
        import_model(nn.Sequential(*(ActQuant(8, e) for e in exponents)).eval(), (IMAGES[:1],))


def test_a_dynamic_batch_may_be_flattened_by_its_size():
    module = Quantized(lambda m, x: x.view(x.size(0), -1)).eval()
    program = torch.export.export(module, (IMAGES,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    graph = run_passes(import_model(program))
    assert torch.equal(graph.golden(IMAGES)[0], module.double()(IMAGES.double()))
