"""The RTL of random networks gives what the module gives, on both simulators, with and without stalls."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from torch import nn

import hwgen
from hwgen.config import BuildConfig
from hwgen.nn import ActQuant
from hwgen.pace import interval_of
from hwgen.simulate import run_frames
from tests.fuzz import check
from tests.networks import Fork, Network, networks
from tests.test_golden import batch, quantized, weigh

# a derandomized run tries the same networks each time; a smaller seed is no smaller network, so nothing is shrunk
STABLE = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@settings(STABLE, max_examples=12)
@given(networks())
def test_rtl_equals_the_module_on_icarus(tmp_path_factory, network):
    check(network, tmp_path_factory.mktemp("random") / "net", "icarus")


@settings(STABLE, max_examples=4)
@given(networks())
def test_rtl_equals_the_module_on_verilator(tmp_path_factory, network):
    check(network, tmp_path_factory.mktemp("random") / "net", "verilator")


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_windows_past_the_end_of_a_row_that_no_fold_divides(tmp_path, simulator):
    """The last stripe's columns beyond the row are padding, also below zero: once they were memory never written."""
    layers = quantized(nn.MaxPool2d(2, 2, (0, 1), 2), weigh(nn.Conv2d(2, 2, 3, padding=4)), ActQuant(5, 2, signed=True))
    check(Network(layers.eval(), batch(2, 13, 9), 5, 0.0), tmp_path / "net", simulator)


@pytest.mark.parametrize("engines", [("lanes",), ("spatial",)])
def test_padding_of_any_side(tmp_path, engines):
    """In front of a convolution with stride, which takes it, and of a max pool, where it is a layer of its own."""
    conv = nn.ZeroPad2d((0, 1, 2, 0)), weigh(nn.Conv2d(2, 3, 3, 2)), ActQuant(5, 2, signed=True)
    layers = quantized(*conv, nn.ZeroPad2d((1, 0, 0, 1)), nn.MaxPool2d(2))
    check(Network(layers.eval(), batch(2, 9, 8), 3, 0.0, engines), tmp_path / "net", "icarus")


@pytest.mark.parametrize("layer", [nn.Conv2d(2, 2, (1, 3), (5, 1)), nn.MaxPool2d((1, 2), (3, 1))])
def test_a_stride_larger_than_the_memory_of_a_single_row_out(tmp_path, layer):
    """No row follows, so no stride is made."""
    layer = weigh(layer) if isinstance(layer, nn.Conv2d) else layer
    network = Network(quantized(layer, ActQuant(6, 2, signed=True)).eval(), batch(2, 1, 7), 2, 0.3, ("lanes",))
    check(network, tmp_path / "net", "icarus")


@pytest.mark.parametrize("count", [2, 3, 4])
def test_sums_of_the_input_itself_lose_no_clock(tmp_path, count):
    network = Network(quantized(Fork(*[nn.Identity()] * count)).eval(), batch(2, 6, 6), 1, 0.0)
    design = hwgen.build(network.module, network.example, out=tmp_path / "net")
    _, run = hwgen.simulate(tmp_path / "net", network.x.numpy(), simulator="icarus")
    assert run.interval == interval_of(design) == 72


def test_lanes_beside_a_wire_lose_no_clock(tmp_path):
    """The wire's FIFO holds what the lanes have taken when their first result is still on its way."""
    network = Network(quantized(Fork(nn.Identity(), nn.MaxPool2d(3, 1, 1))).eval(), batch(5, 9, 1), 50, 0.0, ("lanes",))
    assert check(network, tmp_path / "net", "icarus") == (81, 81)


def test_a_layer_of_constants_behind_channels_in_another_order(tmp_path):
    """It reads nothing, and has more channels than it takes: its own order is not theirs."""
    first, constant = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 6, 3)
    weights = torch.zeros_like(first.weight)
    weights[0], weights[1, 0], weights[2] = 1.0, 2.0, -1.0  # lists of unlike lengths
    first.weight.data, first.bias.data = weights, torch.zeros(4)
    constant.weight.data.zero_()
    constant.bias.data.fill_(3.0)
    layers = quantized(first, ActQuant(6, 2, signed=True), constant, ActQuant(4, 0), weigh(nn.Conv2d(6, 2, 1)))
    check(Network(layers.eval(), batch(2, 5, 7), 10, 0.0, ("lanes",)), tmp_path / "net", "icarus")


def test_layers_named_as_ports_and_streams(tmp_path):
    """Also with stalls on every stream, whose names come from the layers', and with every stream recorded."""
    names = ["m_axis", "s_axis", "clk", "rst", "output", "chance", "output_held", "dut"]
    net = quantized()
    for name in names:
        net.add_module(name, weigh(nn.Linear(2, 2)))
        net.add_module(f"{name}_q", ActQuant(3, 1, signed=True))
    network = Network(net.eval(), batch(2), 4, 0.3)
    check(network, tmp_path / "net", "icarus")
    design = hwgen.build(net, network.example, out=tmp_path / "net", config=BuildConfig(lanes=4))
    frames = design.graph.quantize_inputs(network.x)
    run = run_frames(tmp_path / "net", design, frames, "icarus", 0.3, 1, traced=True)
    golden = dict(design.graph.trace(*frames))
    assert set(run.traces) == {stream.name for stream in design.streams()}
    for stream in design.streams():
        assert np.array_equal(run.traces[stream.name], stream.order.flatten(golden[stream.tensor])), stream.name


def test_a_bias_wider_than_32_bits(tmp_path):
    layer = nn.Linear(3, 2)
    layer.weight.data.copy_(torch.tensor([[2.0**-20, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    layer.bias.data.copy_(torch.tensor([-(2.0**18), 2.0**18 - 2.0**-5]))
    check(Network(quantized(layer).eval(), batch(3), 1, 0.2), tmp_path / "net", "icarus")
    layer.weight.data.zero_()
    check(Network(quantized(layer).eval(), batch(3), 1, 0.0), tmp_path / "net", "icarus")


def test_one_pixel_one_channel_one_bit(tmp_path):
    layers = nn.Sequential(ActQuant(1, 0), weigh(nn.Conv2d(1, 1, 1)))
    check(
        Network(layers.eval(), torch.tensor([0.0, 1.0, 1.0, 0.0]).reshape(4, 1, 1, 1), 16, 0.0),
        tmp_path / "net",
        "icarus",
    )


@pytest.mark.parametrize("lanes", [3, 11])
def test_a_row_waits_until_a_slot_of_its_reader_is_handed_back(tmp_path, lanes):
    """Its first results come at once and hold up all others: only the last two channels have terms."""
    conv = nn.Conv2d(3, 5, (1, 3), 3, (0, 1), bias=False)
    conv.weight.data.fill_(1.0)
    conv.weight.data[:3] = 0.0
    layers = quantized(conv, ActQuant(4, 2, signed=True), nn.MaxPool2d((2, 3), 1, (1, 1)))
    interval = {3: 79, 11: 38}[lanes]
    network = Network(layers.eval(), batch(3, 1, 8), lanes, 0.0)
    assert check(network, tmp_path / "net", "icarus") == (interval, interval)


def test_a_narrower_stream_waits_while_a_spatial_layer_ends_its_frame(tmp_path):
    """It sends nothing in the slots past its last beat, nor until the next frame's first window is there."""
    conv = weigh(nn.Conv1d(4, 3, 5, padding=3, dilation=2))
    layers = quantized(conv, ActQuant(7, -2), nn.AvgPool1d(1), ActQuant(5, 0, signed=True))
    network = Network(layers.eval(), batch(4, 10), 14, 0.0, ("spatial", "lanes"), levels=2)
    assert check(network, tmp_path / "net", "icarus") == (27, 27)


def test_a_spatial_layer_that_sends_to_a_slower_reader_while_it_must_be_given_none(tmp_path):
    conv = weigh(nn.Conv1d(4, 3, 5, padding=3, dilation=2))
    layers = quantized(nn.GELU(), ActQuant(8, -6), conv, ActQuant(7, -2), nn.AvgPool1d(1), ActQuant(5, 0, signed=True))
    network = Network(layers.eval(), batch(4, 10), 14, 0.0, ("lanes", "spatial", "lanes"), levels=2)
    _, measured = check(network, tmp_path / "net", "icarus")
    assert measured == 41
