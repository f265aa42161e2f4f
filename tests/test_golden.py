"""Golden integers: equal to the module in float64 on random networks, before and after each pass, and after a round
trip on disk."""

from dataclasses import dataclass

import torch
from hypothesis import HealthCheck, given, settings
from torch import nn

from hwgen import flow, store
from hwgen.frontend import import_model
from hwgen.ir import Graph, Input, Node, Op, Output, TensorType
from hwgen.nn import ActQuant, AvgPool2d
from hwgen.ops.conv import Conv
from hwgen.ops.move import Move
from hwgen.ops.quantize import Quantize
from hwgen.passes import PASSES, run_passes
from hwgen.qtype import QType
from tests.fuzz import choice
from tests.networks import Fork, Mean, Network, networks

STABLE = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def value(graph, x: torch.Tensor) -> torch.Tensor:
    return graph.golden(x)[0]


def assert_golden(module: nn.Module, x: torch.Tensor):
    """The graph of `module` after all passes, its value on x checked after every pass."""
    network = Network(module.eval(), x, 1, 0.0)
    want = network.reference()
    graph = import_model(module, network.example)
    for rewrite in (lambda same: same, *PASSES):
        graph = rewrite(graph)
        assert torch.equal(value(graph, x), want), f"after {getattr(rewrite, '__name__', rewrite)}\n{graph}"
        types = graph.types()
        for name, tensor in graph.trace(*graph.quantize_inputs(x)):
            kind = types[name]
            assert tensor.shape[1:] == kind.shape, name
            assert kind.qtype.low <= tensor.min() and tensor.max() <= kind.qtype.high, f"{name}: {kind}"
    return graph


@settings(STABLE, max_examples=60)
@given(networks())
def test_integers_equal_the_module_after_every_pass_and_from_disk(tmp_path_factory, network):
    graph = assert_golden(network.module, network.x)

    folder = tmp_path_factory.mktemp("golden")
    for name, content in zip(("golden.json", "golden.npz"), dumped := store.dump(graph), strict=True):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    read = store.load(folder)
    assert torch.equal(value(read, network.x), network.reference())
    assert str(read) == str(graph)
    assert store.dump(read) == dumped


@settings(STABLE, max_examples=8)
@given(networks())
def test_the_same_network_gives_the_same_bytes(tmp_path_factory, network):
    written = []
    for _ in range(2):
        out = tmp_path_factory.mktemp("twice") / "net"
        flow.build(network.module, network.example, out=out, config=choice(network))
        written.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert written[0] == written[1]


def batch(*shape: int) -> torch.Tensor:
    return torch.randint(-40, 40, (5, *shape), generator=torch.Generator().manual_seed(1)) / 8


def quantized(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(ActQuant(6, -3, signed=True), *layers)


def weigh(layer: nn.Module) -> nn.Module:
    """Weights on an odd pattern of small integers."""
    with torch.no_grad():
        layer.weight.copy_(((torch.arange(layer.weight.numel()) * 7) % 9 - 4).reshape(layer.weight.shape))
        if layer.bias is not None:
            layer.bias.copy_(torch.arange(len(layer.bias)) / 32 - 1)
    return layer


def test_a_mean_over_pixels_written_as_mean():
    assert_golden(quantized(Mean(), weigh(nn.Linear(3, 2))), batch(3, 4, 2))


def test_batch_norm_of_accumulators_above_16_bits():
    """It is folded, so its own input's width does not matter."""
    norm = nn.BatchNorm2d(4, eps=0.0, affine=False)
    layers = nn.Sequential(ActQuant(16, -8, signed=True), weigh(nn.Conv2d(3, 4, 3, bias=False)), norm)
    graph = assert_golden(layers, batch(3, 5, 5))
    assert len(graph.nodes) == 1


def test_batch_norm_of_flattened_pixels():
    norm = nn.BatchNorm1d(24, eps=0.0)
    norm.weight.data.copy_(2.0 ** (torch.arange(24) % 3))
    graph = assert_golden(
        quantized(nn.Flatten(), norm, ActQuant(6, -2, signed=True), weigh(nn.Linear(24, 3))), batch(2, 3, 4)
    )
    assert [type(node.op) for node in graph.nodes] == [Move, Conv, Quantize, Conv]


def test_flattened_pixels_added_to_features():
    flat = quantized(nn.Flatten(), Fork(nn.Identity(), weigh(nn.Linear(12, 12))), weigh(nn.Linear(12, 2)))
    assert_golden(flat, batch(3, 2, 2))


def test_flatten_that_changes_nothing_is_gone():
    graph = assert_golden(
        quantized(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(3, eps=0.0), nn.ReLU()),
        batch(3, 4, 4),
    )
    assert [type(node.op).__name__ for node in graph.nodes] == ["Conv", "Quantize"]


def test_a_padding_goes_into_the_convolution_behind_it():
    """Also twice, and on top of the convolution's own."""
    pads = nn.ZeroPad2d((0, 3, 1, 0)), nn.ZeroPad2d((1, 0, 0, 2))
    graph = assert_golden(quantized(*pads, weigh(nn.Conv2d(2, 3, (3, 2), 2, padding=1))), batch(2, 5, 4))
    (node,) = graph.nodes
    assert node.op.padding == (2, 3, 2, 4)


def test_a_padding_that_others_read_is_a_layer():
    signed = ActQuant(6, -1, signed=True)
    # a padding is zero, a max pool's own is below all
    pooled = quantized(nn.ZeroPad2d((1, 0, 0, 2)), nn.MaxPool2d(2), weigh(nn.Conv2d(2, 2, 1)))
    assert len(assert_golden(pooled, batch(2, 5, 4) - 5).nodes) == 3
    forked = quantized(nn.ZeroPad2d((0, 1, 0, 1)), Fork(nn.Identity(), weigh(nn.Conv2d(2, 2, 3, padding=1))), signed)
    assert_golden(forked, batch(2, 4, 4))
    assert_golden(
        quantized(weigh(nn.Conv1d(2, 3, 2)), nn.ZeroPad1d((2, 0)), signed, weigh(nn.Conv1d(3, 1, 1))), batch(2, 5)
    )


def test_a_padded_layer_that_scales_or_shifts_is_no_padding():
    for shifts in (True, False):
        padded = weigh(nn.Conv2d(2, 2, 1, padding=1, groups=2, bias=shifts))
        if shifts:
            nn.init.ones_(padded.weight)
        graph = assert_golden(quantized(padded, weigh(nn.Conv2d(2, 2, 3))), batch(2, 4, 4))
        assert len(graph.nodes) == 2


def test_one_module_used_twice():
    conv = weigh(nn.Conv2d(2, 2, 3, padding=1))
    quant = ActQuant(4, 2, signed=True)
    assert_golden(quantized(conv, quant, conv, quant, Fork(conv, conv)), batch(2, 5, 3))


def test_what_does_not_reach_the_output_is_dropped():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.used, self.unused = (
                ActQuant(4, 0),
                weigh(nn.Linear(3, 2)),
                weigh(nn.Linear(3, 4)),
            )

        def forward(self, x):
            x = self.quant(x)
            self.unused(x)
            return self.used(x)

    assert len(assert_golden(Net(), batch(3)).nodes) == 1


def test_layers_named_as_verilog_or_hwgen_names_things():
    names = ["m_axis", "s_axis", "input_fork0_a", "größe", "1st", "s_axis_layer", "Conv", "conv"]
    net = quantized()
    for name in names:
        net.add_module(name, weigh(nn.Linear(2, 2)))
        net.add_module(f"{name}_q", ActQuant(3, 1, signed=True))
    graph = assert_golden(net, batch(2))
    found = [node.name for node in graph.nodes]
    assert len(set(found)) == len(found)
    assert all(name.isascii() and name.isidentifier() for name in found)
    assert not {"m_axis", "s_axis", "input_fork0_a"} & set(found)


def test_layers_not_of_torch_nn():
    assert_golden(quantized(AvgPool2d(3, 1, bits=5), nn.Hardtanh(-1.5, 2.0), nn.ReLU6()), batch(2, 5, 5))


def test_import_leaves_the_module_as_it_was():
    net = quantized(nn.Dropout(), weigh(nn.Linear(3, 2))).train()
    net[1].eval()
    run_passes(import_model(net, (batch(3),)))
    assert [m.training for m in net.modules()] == [True, True, False, True]


@dataclass(frozen=True)
class RunningSum(Op):
    """What came since the sample began: an op with a state."""

    frames: int = 3

    def infer(self, x):
        return TensorType(x.shape, QType(x.qtype.low * self.frames, x.qtype.high * self.frames), x.exponent)

    def eval(self, types, x):
        return x.reshape(-1, self.frames, *x.shape[1:]).cumsum(dim=1).reshape(x.shape)


def test_a_state_makes_samples_of_several_frames():
    """Evaluated in pieces of whole samples, a graph with a state gives what it gives at once."""
    kind = TensorType((2, 1, 1), QType(0, 15), 0)
    nodes = (Node("sum", RunningSum(), ("input",)), Node("twice", RunningSum(2), ("sum",)))
    graph = Graph((Input("input", kind, (2,)),), nodes, (Output("twice", (2,)),))
    assert graph.frames == 6
    x = torch.randint(0, 16, (12, 2, 1, 1), generator=torch.Generator().manual_seed(1))
    (whole,) = graph.eval(x)
    pieces = torch.cat([graph.eval(part)[0] for part in x.split(graph.frames)])
    assert torch.equal(pieces, whole) and not torch.equal(whole[6], whole[5])
