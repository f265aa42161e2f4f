"""The networks of benchmarks/networks have the published sizes, their zeros, and activations that use their range."""

import pytest
import torch
from torch import nn

from benchmarks.networks import VARIANTS, frames, network
from benchmarks.networks.__main__ import cells
from benchmarks.networks.count import count
from benchmarks.networks.topologies import TOPOLOGIES
from benchmarks.networks.variants import Variant
from benchmarks.spatial.run import ROOT
from hwgen.frontend import import_model
from hwgen.nn import ActQuant, limits
from hwgen.passes import run_passes

# Parameters as the source counts them, and multiply-accumulates of a frame, zeros and padding counted.
# MLPerf Tiny and MobileNetV1: what Keras counts of the reference models, a batch norm's statistics included; Howard et
# al. 2017 give 4.2 million and 569 million. CNV: QONNX's inference cost of the model zoo's CNV, weights alone, its
# first layer and the others. The last digits of the other multiply-accumulates are by hand, from the layers' shapes.
PUBLISHED = {
    "resnet8": (78_666, 12_501_632),
    "ds_cnn": (24_908, 2_656_768),
    "mobilenet_025_96": (221_794, 7_489_664),
    "autoencoder": (269_992, 264_192),
    "cnv": (1_542_848, 1_555_200 + 57_906_176),
    "mobilenet_224": (4_253_864, 568_740_352),
}
SMALL = [
    Variant("resnet8", 50, "uniform4", 4),
    Variant("ds_cnn", 80, "pot4", 8),
    Variant("mobilenet_025_96", 80, "uniform4", 8),
    Variant("autoencoder", 50, "pot4", 4),
]


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_float_networks_have_the_published_size(name):
    macs = 0

    def note(layer, inputs, output):
        nonlocal macs
        macs += layer.weight.numel() * (output[0, 0].numel() if output.dim() > 2 else 1)

    model = TOPOLOGIES[name].make().eval()
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers:
        layer.register_forward_hook(note)
    with torch.no_grad():
        model(torch.zeros(1, *TOPOLOGIES[name].shape))
    if name == "cnv":
        numbers = [layer.weight for layer in layers]
    else:
        numbers = [value for key, value in model.state_dict().items() if "num_batches" not in key]
    assert (sum(value.numel() for value in numbers), macs) == PUBLISHED[name]


@pytest.fixture(scope="module", params=SMALL, ids=str)
def built(request):
    return request.param, *request.param.build()


def test_integers_equal_pytorch(built):
    _, model, inputs = built
    graph = run_passes(import_model(model, inputs))
    result = graph.golden(inputs[0])[0]
    with torch.no_grad():
        assert torch.equal(result, model.double()(inputs[0].double()))
    model.float()
    assert result.unique().numel() > 1


def test_zeros_are_the_share_asked(built):
    variant, model, inputs = built
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for weight in weights:
        assert weight.numel() - weight.count_nonzero() >= round(variant.percent / 100 * weight.numel())
    size = count(model, inputs)
    assert variant.percent / 100 <= size.zeros + 1e-4 and size.zeros < variant.percent / 100 + 0.005
    assert size.macs == PUBLISHED[variant.topology][1]
    dense = {"pot4": 1, "uniform4": 2}[variant.format]
    nonzero = sum(int(weight.count_nonzero()) for weight in weights)
    assert nonzero <= size.terms <= dense * nonzero
    assert (size.terms == nonzero) == (variant.format == "pot4")


def test_activations_use_their_range(built):
    """On frames that calibration has not seen."""
    variant, model, _ = built
    levels = {}
    quantizers = {name: module for name, module in model.named_modules() if isinstance(module, ActQuant)}
    for name, module in quantizers.items():
        module.register_forward_hook(lambda m, i, y, name=name: levels.update({name: y * 2.0**-m.exponent}))
    with torch.no_grad():
        model(frames(variant.topology, 16, seed=7))
    for name, module in quantizers.items():
        q, (low, high) = levels[name], limits(module.bits, module.signed)
        first = module is next(iter(quantizers.values()))
        assert module.bits == (8 if first else variant.bits)
        assert q.max() > high / 4, name
        assert (q == 0).double().mean() < 0.8, name
        clipped = (q == high) | ((q == low) & module.signed)
        assert clipped.double().mean() < 0.06, name


def test_a_seed_gives_the_same_network_and_another_one_another():
    first, again, other = (network("autoencoder", 0.8, "pot4", 8, seed)[0] for seed in (3, 3, 4))
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_the_document_has_every_network_as_counted():
    text = (ROOT / "docs" / "networks.md").read_text()
    lines = text.split("<!-- made by benchmarks.networks -->")[1].split("<!-- end")[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith(tuple(f"| {t}" for t in TOPOLOGIES))]
    assert [(row[0], row[1], row[3]) for row in rows] == [(v.topology, v.format, f"{v.bits} bits") for v in VARIANTS]
    shown = dict(zip(VARIANTS, rows, strict=True))
    variant = Variant("ds_cnn", 80, "uniform4", 4)
    assert shown[variant] == list(cells(variant, count(*variant.build())))
