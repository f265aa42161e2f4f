"""Spikes from numbers, early exit, networks of ReLUs to spiking ones, and spiking networks that train."""

import hashlib

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.spiking.counts import operations, traced
from examples.spiking import cubes, respiration
from hwgen import build, simulate, spikes
from hwgen.compress import Recipe, Training, accuracy, convert, fit, prepare, to_spiking
from hwgen.compress.methods import Magnitude
from hwgen.compress.spiking import SpikeLoss
from hwgen.config import BuildConfig
from hwgen.errors import BadInput, UnsupportedLayer
from hwgen.frontend import import_model
from hwgen.nn import LI, LIF, ActQuant, StepsIn, StepsOut
from hwgen.passes import run_passes


def test_rate():
    x = np.random.default_rng(0).random((6, 1, 4, 5))
    drawn = spikes.rate(x, 400, seed=3)
    assert drawn.shape == (2400, 1, 4, 5) and drawn.dtype == np.uint8 and set(np.unique(drawn)) == {0, 1}
    assert np.abs(drawn.reshape(6, 400, 1, 4, 5).mean(1) - x).max() < 0.1
    assert (spikes.rate(x[:2], 400, seed=3) == drawn[:800]).all()
    assert (spikes.rate(x, 400, seed=4) != drawn).any()
    # the same on every machine: what a saved file holds
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == "bb6d986d8858f969"


def test_latency():
    made = spikes.latency(np.array([[1.0, 0.75, 0.5, 0.01, 0.0]]), 4)
    assert made.tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    x = np.random.default_rng(0).random((5, 7))
    assert (spikes.latency(x, 9, least=0.5).reshape(5, 9, 7).sum(1) == (x > 0.5)).all()


def test_early_exit():
    scores = torch.tensor([[1.0, 0], [3, 0], [9, 0], [0, 1], [0, 1], [9, 0], [0, 0], [0, 0], [0, 0]])
    labels, steps = spikes.early_exit(scores, 3, margin=2)
    assert labels.tolist() == [0, 1, 0] and steps.tolist() == [2, 2, 3]
    assert spikes.early_exit(scores, 3, margin=100)[0].tolist() == [0, 0, 0]
    assert spikes.margin_for(scores, 3, torch.tensor([0, 1, 0]), drop=0) <= 2
    rng = torch.Generator().manual_seed(0)
    scores, labels = torch.randn(200 * 6, 4, generator=rng), torch.randint(4, (200,), generator=rng)
    margin = spikes.margin_for(scores, 6, labels)
    own, at = spikes.early_exit(scores, 6, margin)
    whole = scores.reshape(200, 6, 4).sum(1).argmax(1)
    assert (own == labels).sum() >= (whole == labels).sum() and at.double().mean() <= 6


@pytest.mark.parametrize(
    "call",
    [
        lambda: spikes.rate(np.ones((2, 3)), 0, 1),
        lambda: spikes.rate(np.full((2, 3), 1.5), 3, 1),
        lambda: spikes.latency(np.ones(3), 3),
        lambda: spikes.latency(np.full((2, 3), np.nan), 3),
        lambda: spikes.latency(np.ones((2, 3)), 3, least=1.0),
        lambda: spikes.early_exit(torch.zeros(5, 2), 2, 1.0),
    ],
)
def test_bad_spikes(call):
    with pytest.raises(BadInput):
        call()


def test_generators():
    x, y = respiration.records(20, seed=1)
    assert x.shape == (20, 1, 256) and x.min() == 0 and x.max() < 1 and (x * 256 == np.floor(x * 256)).all()
    assert set(y) == set(range(5)) and (respiration.records(20, seed=1)[0] == x).all()
    x, y = cubes.patches(90, seed=1)
    assert x.shape == (90, 1, 20, 11, 11) and x.min() >= 0 and x.max() < 1 and (x * 256 == np.floor(x * 256)).all()
    assert set(y) == set(range(9)) and (cubes.patches(90, seed=1)[0] == x).all()
    assert np.abs(np.diff(cubes.spectra(), axis=1)).max() < 0.15  # smooth


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_count_of_spikes_is_the_level(bits):
    """A current that is the same at each of T steps: neurons without leak and with soft reset, from half the
    threshold, spike as often as an ActQuant of log2(T + 1) bits says."""
    steps = (1 << bits) - 1
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(1.0)
    model = nn.Sequential(layer, nn.ReLU(), ActQuant(bits, -2))
    spiking = to_spiking(model, [], steps)
    x = torch.arange(-300, 700)[:, None] / 64
    assert (spiking(x) == model(x) * 4).all()
    assert spiking(x).unique().tolist() == list(range(steps + 1))


def _cnn() -> nn.Sequential:
    torch.manual_seed(0)
    first = (nn.Conv1d(1, 4, 5), nn.BatchNorm1d(4), nn.ReLU(), nn.AvgPool1d(4), nn.Conv1d(4, 6, 3), nn.ReLU())
    return nn.Sequential(*first, nn.AvgPool1d(2), nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 5)).eval()


def test_many_steps_are_the_network():
    model, x = _cnn(), torch.rand(64, 1, 64)
    before = [value.clone() for value in model.state_dict().values()]
    spiking = to_spiking(model, [(x, None)], 512)
    y, own = model(x), spiking(x)
    scale = (y * own).sum() / own.square().sum()
    assert (own * scale - y).abs().max() < 0.05 * y.abs().max()
    assert all(map(torch.equal, before, model.state_dict().values()))
    each = to_spiking(model, [x], 512, every_step=True)(x)
    assert torch.allclose(each.reshape(64, 512, 5).sum(1), own, atol=1e-3)


def test_compressed_network_spikes():
    """Weights stay those of the compressed network; what a pool leaves is on a grid; all is exact in float32."""
    model, x = _cnn(), torch.rand(64, 1, 64)
    prepared = prepare(model, Recipe(activation_bits=4))
    prepared.quantize()
    prepared(x)
    compressed = convert(prepared)
    spiking = to_spiking(compressed, [], 15)
    for name, layer in compressed.named_modules():
        if isinstance(layer, nn.Conv1d | nn.Linear):
            assert torch.equal(spiking.get_submodule(name).weight, layer.weight)
    neurons = [m for m in spiking.modules() if isinstance(m, LIF)]
    assert len(neurons) == 3 and sum(isinstance(m, StepsIn) for m in spiking.modules()) == 1
    assert all(m.fire == ">=" and m.leak == () and m.start * 2 == m.threshold for m in neurons)
    quantizers = [m for m in spiking.modules() if isinstance(m, ActQuant)]
    assert [(m.bits, m.exponent) for m in quantizers] == [(8, -8), (3, -2), (2, -1)]
    assert (spiking(x) == spiking.double()(x.double())).all()
    assert (spiking(x.double()).argmax(1) == compressed(x).argmax(1)).double().mean() > 0.8


class _Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(torch.relu(self.layer(x)))


class _Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        y = torch.relu(self.one(x))
        return torch.relu(self.two(y)) + y


class _Shape(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.two(torch.relu(self.one(x)).view(x.shape[0], -1))


def _layers(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), *between, nn.Flatten(), nn.LazyLinear(3))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (_layers(nn.ReLU(), nn.MaxPool2d(2)), "average pools"),
        (_layers(nn.ReLU(), nn.AvgPool2d(3)), "2\\^n"),
        (_layers(nn.ReLU(), nn.AdaptiveAvgPool2d(1)), "AvgPool2d"),
        (_layers(nn.ReLU(), nn.Sigmoid()), "has no form"),
        (_layers(nn.Sigmoid()), "no ReLU"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), "no ReLU"),
        (_Twice(), "called twice"),
        (_Residual(), "stand for"),
        (_Shape(), "count of samples"),
    ],
)
def test_no_form_for_spikes(model, says):
    x = torch.randn(8, 4) if isinstance(model, _Twice | _Residual | _Shape) else torch.randn(8, 1, 8, 8)
    model(x)
    with pytest.raises(UnsupportedLayer, match=says):
        to_spiking(model, [x], 8)


@pytest.mark.parametrize(
    "options",
    [{"steps": 0}, {"steps": 2000}, {"steps": 2.0}, {"bits": 3}, {"percentile": 0.0}, {"data": []}, {"data": None}],
)
def test_bad_options(options):
    given = {"data": [torch.rand(8, 1, 64)], "steps": 4} | options
    if given["data"] is None:
        given["data"] = [torch.zeros(8, 1, 64)]
        model = nn.Sequential(nn.Conv1d(1, 4, 5, bias=False), nn.ReLU())
    else:
        model = _cnn()
    with pytest.raises(BadInput):
        to_spiking(model, **given)


def test_prepared_is_refused():
    with pytest.raises(BadInput, match="convert"):
        to_spiking(prepare(_cnn(), Recipe()), [], 4)


def test_spiking_network_trains():
    """Through prepare, fit and convert: weights on their grids and pruned, leak and threshold learned."""
    torch.manual_seed(0)
    x = torch.rand(512, 16)
    y = (x[:, :8].sum(1) > x[:, 8:].sum(1)).long()
    neurons = LIF(4, -5, leak=(3,), trainable=("leak", "threshold"))
    model = nn.Sequential(nn.Linear(16, 24), StepsIn(4), neurons, nn.Linear(24, 2), LI(4, -5, leak=(3,)), StepsOut(4))
    recipe = Recipe(
        pruning=Magnitude(0.5), break_even=False, quantize_from=0.3, training=Training(epochs=12, rate=1e-2)
    )
    prepared = prepare(model, recipe)
    batches = [(x[i : i + 64], y[i : i + 64]) for i in range(0, 512, 64)]
    fit(prepared, batches, show=lambda line: None)
    network = convert(prepared)
    assert accuracy(network, batches) > 88
    (trained,) = [m for m in network.modules() if isinstance(m, LIF)]
    assert trained.share != neurons.share and trained.threshold != neurons.threshold
    weights = network.get_submodule("0").weight
    assert weights.count_nonzero() <= 16 * 24 // 2 + 24 and (torch.log2(weights[weights != 0].abs()) % 1 == 0).all()


def test_converted_network_trains_on():
    torch.manual_seed(0)
    x = torch.rand(256, 16)
    y = (x[:, :8].sum(1) > x[:, 8:].sum(1)).long()
    model = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 2))
    batches = [(x[i : i + 64], y[i : i + 64]) for i in range(0, 256, 64)]
    recipe = Recipe(quantize_from=0.0, training=Training(epochs=8, rate=1e-2, grid_rate=1e-2))
    prepared = prepare(to_spiking(model, batches, 4), recipe)
    fit(prepared, batches, loss=(loss := SpikeLoss(prepared, 0.01)), show=lambda line: None)
    assert loss.counts and all(0 < count < neurons * 4 for count, neurons in loss.counts)
    loss.close()
    assert accuracy(convert(prepared), batches) > 85
    with pytest.raises(BadInput, match="no neurons"):
        SpikeLoss(model, 0.01)


def test_operations_of_a_module_are_those_of_what_its_hardware_sends():
    """Convolution, average pool and Linear layers, pruned."""
    torch.manual_seed(1)
    layers = nn.Conv1d(1, 3, 5), nn.ReLU(), ActQuant(3, -2), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(42, 4)
    model = nn.Sequential(ActQuant(4, -4), *layers, nn.ReLU(), ActQuant(3, -1), nn.Linear(4, 2))
    for layer in (model[1], model[6], model[9]):
        layer.weight.data = torch.randint(-2, 3, layer.weight.shape) / 4
        layer.bias.data = torch.randint(-2, 3, layer.bias.shape) / 4
    spiking, x = to_spiking(model, [], 7).eval(), torch.rand(6, 1, 32)
    graph = run_passes(import_model(spiking, (x[:1],)))
    sent = dict(graph.trace(*graph.quantize_inputs(x)))
    counted, found = operations(spiking, x), traced(graph, sent, len(x))
    assert found["spikes"] == pytest.approx(counted["spikes"]) and min(found["spikes"]) > 0  # means in float32
    assert [found[key] for key in ("macs", "first")] == [counted[key] for key in ("macs", "first")]
    assert found["additions"] == pytest.approx(counted["additions"])


@pytest.mark.sim
def test_rtl_counts_to_the_level(tmp_path):
    """The hardware of T = 7 time steps sends what that of activations of log2(T + 1) = 3 bits does: neurons without a
    leak, reset by subtraction, behind a convolution over records of respiration; stalled on all streams."""
    torch.manual_seed(0)
    layer = nn.Conv1d(1, 3, 12, stride=6)
    layer.weight.data = torch.randint(-4, 5, (3, 1, 12)) / 4
    layer.bias.data = torch.randint(-8, 9, (3,)) / 16
    model = nn.Sequential(ActQuant(4, -4), layer, nn.ReLU(), ActQuant(3, -2))
    x = torch.from_numpy(respiration.records(5, seed=3)[0][:, :, :96])
    sent = {}
    for name, network in (("one pass", model), ("spiking", to_spiking(model, [], 7))):
        build(network, (x[:1],), out=tmp_path / name, config=BuildConfig(name="net", lanes=4))
        sent[name], _ = simulate(tmp_path / name, x, simulator="icarus", stall=0.3)
    assert np.array_equal(sent["one pass"], model(x).numpy(force=True))
    assert np.array_equal(sent["spiking"], 4 * sent["one pass"])
    assert np.unique(sent["spiking"]).tolist() == list(range(8))
