"""Networks that PT2E or torch's fake quantizers quantized: golden integers against the program in exact arithmetic, and
against torch's float32."""

import warnings
from functools import cache

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from hwgen import build, verify
from hwgen.errors import HwgenError, MissingActQuant, OffGrid, UnsupportedLayer
from hwgen.frontend import import_model
from hwgen.load import load
from hwgen.passes import run_passes

warnings.filterwarnings("ignore", module="torchao")
prepare = pytest.importorskip("torchao.quantization.pt2e.quantize_pt2e")
xnnpack = pytest.importorskip("torchao.testing.pt2e._xnnpack_quantizer")

FRAMES = 200
DYNAMIC = ({0: torch.export.Dim("batch", min=2, max=4096)},)


@cache
def digits():
    """Images and labels; the last FRAMES are not trained on."""
    data = load_digits()
    x = torch.tensor(data.images / 8 - 1, dtype=torch.float32)[:, None]
    return x, torch.tensor(data.target)


class Mixed(nn.Module):
    """A convolution, a depthwise and a pointwise one, an addition, both poolings and a linear layer."""

    def __init__(self, channels=8):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.each = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.last = nn.Linear(channels, 10)

    def forward(self, x):
        x = F.relu(self.norm(self.first(x)))
        x = F.relu(x + self.mix(F.relu(self.each(x))))
        x = F.avg_pool2d(F.max_pool2d(x, 2), 4)
        return self.last(x.flatten(1))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.a, self.an = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.b, self.bn = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.short = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.bn(self.b(F.relu(self.an(self.a(x))))) + self.short(x))


class ResNet8(nn.Module):
    """The blocks of MLPerf Tiny's ResNet, 78,000 weights."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.blocks = nn.Sequential(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
        self.last = nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(F.relu(self.norm(self.first(x))))
        return self.last(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Wide(nn.Sequential):
    """Sums of up to 576 products, and a window of nine."""

    def __init__(self):
        super().__init__(
            *(nn.Conv2d(1, 64, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()),
            *(nn.AvgPool2d(3, 1), nn.Flatten(), nn.Linear(256, 32), nn.Hardtanh(-1.0, 1.0), nn.Linear(32, 10)),
        )


class Perceptron(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 10))


class Fake(nn.Module):
    """torch's own fake quantizers around functional layers: numbers, buffers, and one scale for each output."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 12, 3, padding=1), nn.Conv2d(12, 16, 3, stride=2, padding=1)
        self.c = nn.Linear(64, 10)
        self.register_buffer("scale", torch.tensor(0.037))
        self.register_buffer("zero", torch.tensor(-5, dtype=torch.int32))

    def weight(self, layer, most):
        rows = layer.weight.detach().flatten(1).abs().amax(1)
        zeros = torch.zeros(len(rows), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(layer.weight, rows / most, zeros, 0, -most, most)

    def forward(self, x):
        x = torch.fake_quantize_per_tensor_affine(x, 0.0157, 1, -64, 63)
        x = F.relu(F.conv2d(x, self.weight(self.a, 7), self.a.bias, padding=1))
        x = torch.fake_quantize_per_tensor_affine(x, 0.0213, 0, 0, 63)
        x = F.conv2d(x, self.weight(self.b, 7), self.b.bias, stride=2, padding=1)
        x = torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero, -128, 127)
        x = torch.fake_quantize_per_tensor_affine(F.avg_pool2d(x, 2), self.scale, self.zero, -128, 127)
        weight = torch.fake_quantize_per_tensor_affine(self.c.weight, 0.0031, 0, -127, 127)
        x = F.linear(x.flatten(1), weight, self.c.bias)
        return torch.fake_quantize_per_tensor_affine(x, 0.0637, 11, -128, 127)


def trained(module, epochs):
    x, labels = digits()
    x, labels = x[:-FRAMES], labels[:-FRAMES]
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    dice = torch.Generator().manual_seed(1)
    for _ in range(epochs):
        for part in torch.randperm(len(x), generator=dice).split(64):
            optimizer.zero_grad()
            F.cross_entropy(module(x[part]), labels[part]).backward()
            optimizer.step()
    return module.eval()


def converted(module, bits=8, per_channel=True, fold=True):
    """The PT2E program of a float module: calibrated, with activations and weights of `bits`."""
    x, most = digits()[0], (1 << (bits - 1)) - 1
    config = xnnpack.get_symmetric_quantization_config(
        per_channel, act_qmin=-most - 1, act_qmax=most, weight_qmin=-most, weight_qmax=most
    )
    program = torch.export.export(module, (x[:4],), dynamic_shapes=DYNAMIC).module()
    program = prepare.prepare_pt2e(program, xnnpack.XNNPACKQuantizer().set_global(config))
    program(x[:300])
    return torch.export.export(prepare.convert_pt2e(program, fold_quantize=fold), (x[:4],), dynamic_shapes=DYNAMIC)


def exported(module):
    """The program of a module for the frames that are tested: torch's fake quantizers take no dynamic batch."""
    with torch.no_grad():
        return torch.export.export(module, (digits()[0][-FRAMES:],))


NETWORKS = {
    "mixed, int8": lambda: converted(trained(Mixed(), 4)),
    "mixed, int4": lambda: converted(trained(Mixed(12), 4), bits=4),
    "resnet8": lambda: converted(trained(ResNet8(), 1)),
    "wide": lambda: converted(trained(Wide(), 2)),
    "perceptron": lambda: converted(trained(Perceptron(), 4), per_channel=False, fold=False),
    "fake": lambda: exported(trained(Fake(), 4)),
}


@cache
def network(name):
    torch.manual_seed(1)
    return NETWORKS[name]()


def is_tie(scaled):
    return (scaled - scaled.floor() - 0.5).abs()


class Walk:
    """A program's calls in float64, where each number is exact but for what float64 adds: 2^-40 of it. What is so near
    to a tie is one. Beside it each quantizer of torch's, in float32, on the same levels: how far from a tie each number
    is that gets another level, and how many of these are at one behind a pool."""

    def __init__(self, program):
        self.program, self.apart, self.pooled, self.numbers = program, [], 0, 0

    def __call__(self, x):
        signature = self.program.graph_signature
        owned = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        owned |= signature.inputs_to_lifted_tensor_constants
        stored = {**self.program.state_dict, **self.program.constants}
        exact, single = {}, {}
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                single[node] = stored[owned[node.name]].detach() if node.name in owned else x
                exact[node] = single[node].double() if single[node].is_floating_point() else single[node]
            elif node.op == "output":
                return exact[node.args[0][0]]
            else:
                exact[node], single[node] = self.call(node, exact, single)
        raise AssertionError("no output")

    def call(self, node, exact, single):
        def args(env):
            return torch.fx.map_arg((node.args, node.kwargs), lambda one: env[one])

        name = node.target.__name__
        arguments, keywords = args(single)
        result = node.target(*arguments, **keywords)
        if "quantize" not in name:
            arguments, keywords = args(exact)
            return node.target(*arguments, **keywords), result
        x, scale, zero, *rest = args(exact)[0]
        along = [-1 if n == rest[0] else 1 for n in range(x.dim())] if "channel" in name else []
        scale, zero = (torch.as_tensor(values).float().double().reshape(along) for values in (scale, zero))
        if name.startswith("dequantize"):
            worth = (x.double() - zero) * scale
            return worth, worth.float()
        low, high = [one for one in rest if isinstance(one, int)][-2:]
        of_weights = all(one.op == "placeholder" and one.name != "x" for one in node.all_input_nodes)
        scaled = x / scale
        scaled = torch.where(is_tie(scaled) < 2.0**-34, (scaled * 2).round() / 2, scaled)
        level = (scaled.round() + zero).clamp(low, high)
        fake = name.startswith("fake")
        torchs = torch.round(result.double() / scale + zero) if fake else result.double()
        if of_weights:  # float32 is what a weight's level is defined by
            level = torchs
        else:
            wrong = torchs != level
            self.numbers += wrong.numel()
            far = is_tie(scaled)[wrong] / scaled[wrong].abs().clamp(1)
            self.apart += far.tolist()
            self.pooled += int((far == 0).sum()) if "pool" in str(node.args[0].target) else 0
        worth = (level - zero) * scale
        return (worth, worth.float()) if fake else (level, level.to(result.dtype))


@pytest.mark.parametrize("name", NETWORKS)
def test_golden_integers_equal_the_program(name):
    program = network(name)
    x = digits()[0][-FRAMES:]
    walk = Walk(program)
    with torch.no_grad():
        exact = walk(x)
    graph = import_model(program)
    for which in (graph, run_passes(graph)):
        assert torch.equal(which.golden(x)[0], exact)
    # float32 gives another level where float64 is near a tie, and nowhere else: in one of 300 at most, but for ties
    # behind a pool, of which there are as many as the trained weights make
    assert max(walk.apart, default=0) < 2.0**-18
    assert (len(walk.apart) - walk.pooled) * 300 < walk.numbers


def test_a_trained_network_still_knows_its_digits():
    x, labels = (values[-FRAMES:] for values in digits())
    golden = import_model(network("perceptron")).golden(x)[0]
    assert (golden.argmax(1) == labels).double().mean() > 0.9


def test_a_program_is_read_from_a_file_and_from_its_module(tmp_path):
    program = network("mixed, int4")
    torch.export.save(program, tmp_path / "net.pt2")
    x = digits()[0][-4:]
    wanted = import_model(program).golden(x)[0]
    read, _ = load(str(tmp_path / "net.pt2"))
    for graph in (import_model(read), import_model(program.module(), (x,))):
        assert torch.equal(graph.golden(x)[0], wanted)


@pytest.mark.sim
def test_rtl_equals_golden(tmp_path):
    build(network("mixed, int4"), out=tmp_path / "build")
    x = digits()[0][-3:].numpy()
    assert verify(tmp_path / "build", x, simulator="icarus", stall=0.3)["equal"] == 3


# what is not built


def refusal(module):
    with pytest.raises(HwgenError) as caught:
        import_model(module, (digits()[0][:2],))
    return [(type(error), error.what, error.at) for error in caught.value.each()]


class Quantized(nn.Module):
    """A linear layer between quantizers, `weight` being a function of its weights."""

    def __init__(self, weight=None, scale=0.1, zero=0.0):
        super().__init__()
        self.layer, self.of = nn.Linear(64, 4), weight
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("zero", torch.tensor(zero))

    def forward(self, x):
        x = torch.fake_quantize_per_tensor_affine(x.flatten(1), self.scale, self.zero, -128, 127)
        weight = torch.fake_quantize_per_tensor_affine(self.layer.weight, 0.01, 0, -127, 127)
        x = F.linear(x, self.of(self.layer.weight) if self.of else weight, self.layer.bias)
        return torch.fake_quantize_per_tensor_affine(x, 0.1, 0, -128, 127)


@pytest.mark.parametrize("scale", [0.0, -0.5, float("nan"), float("inf")])
def test_scales_that_are_no_positive_numbers(scale):
    assert refusal(Quantized(scale=scale))[0][:2] == (OffGrid, f"a quantizer's scale is {scale}")

    def channels(weight):
        return torch.fake_quantize_per_channel_affine(
            weight, torch.tensor([1, scale, 1, 1]), torch.zeros(4, dtype=torch.int32), 0, -7, 7
        )

    assert refusal(Quantized(channels)) == [
        (OffGrid, f"a quantizer's scale is {scale}", "fake_quantize_per_channel_affine")
    ]


def test_a_zero_point_that_is_no_integer():
    for zero in (0.5, float("nan")):
        ((kind, what, _),) = refusal(Quantized(zero=zero))
        assert kind is UnsupportedLayer and "zero point" in what


def test_scales_by_group():
    def groups(weight):
        scales, zeros = torch.full((4, 4), 0.1), torch.zeros(4, 4)
        levels = (weight * 100).to(torch.int8)
        return torch.ops.quantized_decomposed.dequantize_per_channel_group(
            levels, scales, zeros, -8, 7, torch.int8, 16, torch.float32
        )

    assert refusal(Quantized(groups)) == [
        (UnsupportedLayer, "scales that differ from block to block of a tensor", "dequantize_per_channel_group")
    ]


def test_dynamic_quantization():
    x, config = digits()[0][:2], xnnpack.get_symmetric_quantization_config(True, is_dynamic=True)
    program = torch.export.export(Perceptron().eval(), (x,)).module()
    program = prepare.prepare_pt2e(program, xnnpack.XNNPACKQuantizer().set_global(config))
    program(x)
    ((kind, what, _),) = refusal(prepare.convert_pt2e(program))
    assert kind is UnsupportedLayer and what.startswith("dynamic quantization")


def test_layers_that_were_left_in_floats():
    x, config = digits()[0][:2], xnnpack.get_symmetric_quantization_config(True)
    program = torch.export.export(Perceptron().eval(), (x,)).module()
    quantizer = xnnpack.XNNPACKQuantizer().set_module_name("1", config).set_module_name("5", config)
    program = prepare.prepare_pt2e(program, quantizer)
    program(x)
    ((kind, what, at),) = refusal(prepare.convert_pt2e(program))
    assert kind is OffGrid and "weight" in what and at == "3"

    program = torch.export.export(Perceptron().eval(), (x,)).module()
    program = prepare.prepare_pt2e(program, xnnpack.XNNPACKQuantizer().set_module_name("5", config))
    program(x)
    with pytest.raises(HwgenError) as caught:
        import_model(prepare.convert_pt2e(program), (x,))
    first = caught.value.each()[0]
    assert isinstance(first, MissingActQuant) and "the tool that quantized" in first.hint
