"""Networks that PT2E or torch's fake quantizers quantized: golden integers against the program in exact arithmetic, and
against torch's float32."""

import warnings
from functools import cache

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from hwgen.frontend import import_model
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
    to a tie is one. Beside it each quantizer of torch's, in float32, on the same levels."""

    def __init__(self, program):
        self.program, self.apart, self.numbers = program, [], 0

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
            self.apart += (is_tie(scaled)[wrong] / scaled[wrong].abs().clamp(1)).tolist()
        worth = (level - zero) * scale
        return (worth, worth.float()) if fake else (level, level.to(result.dtype))


@pytest.mark.parametrize("name", NETWORKS)
def test_golden_integers_equal_the_program(name):
    program = network(name)
    x, labels = (values[-FRAMES:] for values in digits())
    walk = Walk(program)
    with torch.no_grad():
        exact = walk(x)
        single = program.module()(x)
    graph = import_model(program)
    for which in (graph, run_passes(graph)):
        assert torch.equal(which.golden(x)[0], exact)
    print(
        name,
        len(walk.apart),
        walk.numbers,
        max(walk.apart, default=0),
        int((exact.float() != single).sum()),
        (exact.argmax(1) == labels).double().mean(),
    )
