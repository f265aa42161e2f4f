"""Each operator that networks have: the integers that it becomes equal the module in float64."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hwgen import build, verify
from hwgen.config import BuildConfig
from hwgen.errors import HwgenError, MissingActQuant, UnsupportedLayer
from hwgen.frontend import import_model
from hwgen.nn import ActQuant
from hwgen.passes import run_passes


class Net(nn.Module):
    """function(module, quantized input), its weights on a grid; `a` is a quantizer for what is inside."""

    def __init__(self, function, layers):
        super().__init__()
        self.function, self.q, self.a = function, ActQuant(6, -3, True), ActQuant(8, -4, True)
        for name, layer in layers.items():
            setattr(self, name, layer)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_((parameter * 16).round() / 16)

    def forward(self, x):
        return self.function(self, self.q(x))


def fitted(channels):
    """A batch norm of statistics on no grid."""
    norm = nn.BatchNorm2d(channels)
    norm.running_mean.copy_(torch.randn(channels))
    norm.running_var.copy_(torch.rand(channels) + 0.5)
    return norm


def unlike(channels):
    """A convolution by whole numbers in the first channel, and by eighths in the others."""
    conv = nn.Conv2d(channels, channels, 1, bias=False)
    with torch.no_grad():
        conv.weight.fill_(0.125)[0] = 1
    return conv


CASES = {}
# integers times a number of each output's own
WEIGHT = (
    torch.tensor([[1, -3, 7], [2, 0, -5]])[:, :, None, None].double()
    * torch.tensor([0.3, 0.7])[:, None, None, None].double()
)


def case(name, function, shape=(3, 4, 6), **layers):
    """A network by its function; layers are made when it is run: a function each."""
    CASES[name] = (function, shape, layers)


def network(name):
    """The module of a case, and frames for it."""
    function, shape, layers = CASES[name]
    torch.manual_seed(1)
    return Net(function, {key: make() for key, make in layers.items()}).eval(), torch.randn(6, *shape) * 3


def golden(name):
    """The graph of a case, and what it and the module in float64 give."""
    net, x = network(name)
    graph = run_passes(import_model(net, (x[:1],)))
    with torch.no_grad():
        want = copy.deepcopy(net).double()(x.double())
    return graph, graph.golden(x), want if isinstance(want, tuple | list) else (want,)


case("conv", lambda m, x: m.a(m.c(x)), c=lambda: nn.Conv2d(3, 4, 3, padding=1))
case("flatlin", lambda m, x: m.l(x.flatten(1)), l=lambda: nn.Linear(72, 5))
case("nhwc", lambda m, x: m.l(x.permute(0, 2, 3, 1).flatten(1)), l=lambda: nn.Linear(72, 5))
case("cat", lambda m, x: torch.cat([x, m.a(m.c(x))], 1), c=lambda: nn.Conv2d(3, 4, 3, padding=1))
case("cat2", lambda m, x: torch.cat([x, m.a(m.c(x))], 2), c=lambda: nn.Conv2d(3, 3, 3, padding=1))
case("cat3", lambda m, x: torch.cat([x, m.a(m.c(x)), x], -1), c=lambda: nn.Conv2d(3, 3, 3, padding=1))
case(
    "shuffle",
    lambda m, x: m.c(x.reshape(x.shape[0], 2, 3, 4, 3).transpose(1, 2).reshape(x.shape[0], 6, 4, 3)),
    shape=(6, 4, 3),
    c=lambda: nn.Conv2d(6, 2, 1),
)
case("chunk", lambda m, x: torch.cat(list(reversed(x.chunk(3, 1))), 1))
case("slice", lambda m, x: x[:, 1:, ::2, -1])
# what is not there is zero, and a function of it is another number
case("cos of zeros", lambda m, x: m.a(torch.cos(torch.cat([x, torch.zeros_like(x)], 1))))
case("sigmoid of a slice", lambda m, x: m.a(torch.sigmoid(x[:, :2])))
case("slice of a sigmoid", lambda m, x: m.a(torch.sigmoid(x)[:, 1:]))
case("unfold padded", lambda m, x: m.l(F.unfold(x, 3, padding=1).transpose(1, 2)), l=lambda: nn.Linear(27, 4))
case("softsign", lambda m, x: m.a(F.softsign(x)))
case("vector first", lambda m, x: m.a(m.l.bias @ x), shape=(4, 3), l=lambda: nn.Linear(4, 4))
case("einsum of one", lambda m, x: torch.einsum("nchw->nhwc", x))
case("cropped finest", lambda m, x: m.a(torch.sigmoid(m.c(x)))[:, :1], shape=(2, 3, 4), c=lambda: unlike(2))
case("zeros", lambda m, x: torch.cat([x, torch.zeros_like(x)], 1))
case(
    "optA",
    lambda m, x: m.a(m.c(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1))),
    c=lambda: nn.Conv2d(3, 5, 3, stride=2, padding=1),
)
case("sum of a part to itself", lambda m, x: m.a(x[..., 1:] + x[..., 1:])[..., 1:])
case("sub", lambda m, x: m.a(m.c(x)) - x, c=lambda: nn.Conv2d(3, 3, 3, padding=1))
case("mul", lambda m, x: m.a(m.a(m.c(x)) * x), c=lambda: nn.Conv2d(3, 3, 3, padding=1))
case(
    "se",
    lambda m, x: m.a(x * m.a(torch.sigmoid(m.a(m.c(x.mean((2, 3), keepdim=True)).relu())))),
    c=lambda: nn.Conv2d(3, 3, 1),
    shape=(3, 4, 4),
)
case("mean24", lambda m, x: m.a(x.mean((2, 3))))
case("mean_q", lambda m, x: m.a(F.adaptive_avg_pool2d(x, 1)))
case("avg3", lambda m, x: m.a(F.avg_pool2d(x, 3, 1, 1)))
case("mean1", lambda m, x: m.a(x.mean(1)))
case("max_pts", lambda m, x: x.max(2)[0], shape=(5, 7))
case("amax1", lambda m, x: x.amax(1), shape=(5, 7))
case("ceil", lambda m, x: F.max_pool2d(x, 3, 2, ceil_mode=True), shape=(2, 8, 8))
case("linseq", lambda m, x: m.l(x), shape=(7, 4), l=lambda: nn.Linear(4, 3))
case(
    "mixer",
    lambda m, x: m.a(m.l(m.a(m.k(x)).transpose(1, 2))).transpose(1, 2),
    shape=(7, 4),
    k=lambda: nn.Linear(4, 3),
    l=lambda: nn.Linear(7, 5),
)
case(
    "attn",
    lambda m, x: m.a(m.a(m.l(x)) @ m.a(m.k(x)).transpose(1, 2)),
    shape=(7, 4),
    l=lambda: nn.Linear(4, 3),
    k=lambda: nn.Linear(4, 3),
)
case(
    "heads",
    lambda m, x: m.a(m.a(m.l(x)).view(-1, 7, 2, 2).transpose(1, 2) @ m.a(m.k(x)).view(-1, 7, 2, 2).permute(0, 2, 3, 1)),
    shape=(7, 4),
    l=lambda: nn.Linear(4, 4),
    k=lambda: nn.Linear(4, 4),
)
case("matc", lambda m, x: x @ m.w, shape=(7, 4), w=lambda: nn.Parameter(torch.randn(4, 3)))
case("matcl", lambda m, x: m.w @ x, shape=(7, 4), w=lambda: nn.Parameter(torch.randn(3, 7)))
case(
    "einsum", lambda m, x: torch.einsum("nlf,fg->nlg", x, m.w), shape=(7, 4), w=lambda: nn.Parameter(torch.randn(4, 3))
)
case("sig", lambda m, x: m.a(torch.sigmoid(x)))
case("hsw", lambda m, x: m.a(x * F.relu6(x + 3) / 6))
case("silu2", lambda m, x: m.a(x * torch.sigmoid(x)))
case("gelu2", lambda m, x: m.a(0.5 * x * (1 + torch.tanh(0.79788456 * (x + 0.044715 * x**3)))))
case("where", lambda m, x: m.a(torch.where(x > 0, x, 0.1 * x)))
case("prelu1", lambda m, x: m.a(m.p(x)), p=lambda: nn.PReLU())
case("div6", lambda m, x: m.a(m.c(x) / 6), c=lambda: nn.Conv2d(3, 3, 3))
case(
    "chanconst",
    lambda m, x: x * torch.tensor([1.0, 0.5, -2]).reshape(1, 3, 1, 1) + torch.tensor([1.0, 0.25, 2]).reshape(3, 1, 1),
)
case("pos", lambda m, x: x + m.w, shape=(7, 4), w=lambda: nn.Parameter(torch.randn(7, 4)))
case("rsub", lambda m, x: 1 - x)
case("neg", lambda m, x: -x)
case("up", lambda m, x: m.c(F.interpolate(x, scale_factor=2)), c=lambda: nn.Conv2d(3, 3, 3))
case("bil", lambda m, x: m.a(F.interpolate(x, scale_factor=2, mode="bilinear")))
case("bil4", lambda m, x: m.a(F.interpolate(x, scale_factor=4, mode="bilinear")))
case("ct1", lambda m, x: m.a(m.c(x)), shape=(3, 7), c=lambda: nn.ConvTranspose1d(3, 4, 4, 2, 1))
case("ps", lambda m, x: m.p(x), shape=(8, 3, 4), p=lambda: nn.PixelShuffle(2))
case("c3", lambda m, x: m.a(m.c(x)), shape=(2, 5, 4, 4), c=lambda: nn.Conv3d(2, 3, 3, (2, 1, 1), 1))
case(
    "c3g",
    lambda m, x: m.l(m.a(m.c(x)).flatten(1)),
    shape=(2, 5, 4, 4),
    c=lambda: nn.Conv3d(2, 4, 3, (2, 1, 1), 1, groups=2),
    l=lambda: nn.Linear(4 * 3 * 16, 3),
)
case("bn", lambda m, x: m.b(x), b=lambda: nn.BatchNorm2d(3, eps=0))
case("soft", lambda m, x: torch.softmax(m.l(x.flatten(1)), 1), l=lambda: nn.Linear(72, 5))
case("two", lambda m, x: (m.c(x), x.flatten(1)), c=lambda: nn.Conv2d(3, 3, 3))
case("vgg7", lambda m, x: F.adaptive_avg_pool2d(x, 4), shape=(3, 2, 2))
case("vgg2", lambda m, x: F.adaptive_avg_pool2d(x, 2), shape=(3, 4, 4))
case("expand", lambda m, x: x[:, :, :1, :1].expand(-1, -1, 4, 6) + x)
case("bcast", lambda m, x: x[:, :, :1, :1] + x)
case("outer", lambda m, x: m.a(x[:, :, None] * x[:, None, :]), shape=(5,))
case("var", lambda m, x: m.a(m.a(x.mean(2, keepdim=True)) * x), shape=(3, 8, 8))

case("average of what is there", lambda m, x: m.a(F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)))
case("average at the end", lambda m, x: m.a(F.avg_pool2d(x, 3, 2, 0, ceil_mode=True)), shape=(2, 6, 7))
case("norm of any floats", lambda m, x: m.a(m.b(m.c(x))), c=lambda: nn.Conv2d(3, 5, 3), b=lambda: fitted(5))
case(
    "norm, clip, quantizer",
    lambda m, x: m.a(F.hardtanh(m.b(m.c(x)).relu(), 0, 1.3)),
    c=lambda: nn.Conv2d(3, 5, 3),
    b=lambda: fitted(5),
)
case("wide leaky", lambda m, x: m.a(F.leaky_relu(m.b(m.c(x)), 0.3)), c=lambda: nn.Conv2d(3, 5, 3), b=lambda: fitted(5))
case("wide sigmoid", lambda m, x: m.a(2 * torch.sigmoid(m.c(x)) - 1), c=lambda: nn.Conv2d(3, 5, 3))
case("wide sum of unlike scales", lambda m, x: m.a(m.a(m.c(x) / 3) / 3 + m.a(x) / 5), c=lambda: nn.Conv2d(3, 3, 1))
case("weights of any scale", lambda m, x: m.a(F.conv2d(x, WEIGHT)))
case(
    "cat of unlike scales",
    lambda m, x: m.a(m.c(m.a(torch.cat([m.a(x) / 3, m.a(x) / 7], 1)))),
    c=lambda: nn.Conv2d(6, 3, 1),
)
case("mean, clip", lambda m, x: m.a(x.mean((2, 3)).clamp(-0.3, 0.7)))
case("sign", lambda m, x: m.c(torch.sign(x)), c=lambda: nn.Conv2d(3, 2, 3))
case("leaky 1/8", lambda m, x: m.c(F.leaky_relu(x, 0.125)), c=lambda: nn.Conv2d(3, 2, 3))
case("sum with its sigmoid", lambda m, x: m.a(torch.sigmoid(x) + x))
case("max pool 3d", lambda m, x: F.max_pool3d(x, 2, ceil_mode=True), shape=(2, 5, 4, 4))
case("avg pool 3d", lambda m, x: m.a(F.avg_pool3d(x, (3, 2, 2))), shape=(2, 5, 4, 4))
case("global 3d", lambda m, x: m.a(F.adaptive_avg_pool3d(x, 1)), shape=(2, 5, 4, 4))
case("global max 3d", lambda m, x: F.adaptive_max_pool3d(x, 1), shape=(2, 5, 4, 4))
case("argmax", lambda m, x: m.c(x).argmax(1), c=lambda: nn.Conv2d(3, 4, 1))
case("stacked", lambda m, x: torch.stack([x, m.a(m.c(x))], 2).flatten(1, 2), c=lambda: nn.Conv2d(3, 3, 1))
case(
    "class token",
    lambda m, x: torch.cat([m.w.expand(x.shape[0], -1, -1), x], 1),
    shape=(7, 4),
    w=lambda: nn.Parameter(torch.randn(1, 1, 4)),
)


for kernel, stride, padding, more, dilation, groups in [
    (2, 2, 0, 0, 1, 1),
    (3, 2, 1, 1, 1, 1),
    (4, 2, 1, 0, 1, 1),
    (3, 3, 0, 2, 1, 1),
    (3, 1, 1, 0, 1, 1),
    (3, 2, 0, 0, 2, 1),
    (5, 2, 2, 1, 1, 3),
]:
    sizes = kernel, stride, padding, more, groups, True, dilation
    case(f"transposed {sizes}", lambda m, x: m.a(m.c(x)), c=lambda sizes=sizes: nn.ConvTranspose2d(3, 6, *sizes))


@pytest.mark.parametrize("name", CASES)
def test_golden_integers_equal_the_module(name):
    _, got, want = golden(name)
    for ours, theirs in zip(got, want, strict=True):
        assert torch.equal(ours, theirs.double())


@pytest.mark.parametrize("name", CASES)
def test_core_operators_become_the_same_integers(name):
    net, x = network(name)
    program = torch.export.export(net, (x[:1],)).run_decompositions()
    with torch.no_grad():
        want = copy.deepcopy(net).double()(x.double())
    for ours, theirs in zip(
        import_model(program).golden(x), want if isinstance(want, tuple | list) else [want], strict=True
    ):
        assert torch.equal(ours, theirs.double())


class Many(nn.Module):
    """Several cases of one input, an output each."""

    def __init__(self, nets):
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x):
        results = [net(x) for net in self.nets]
        return tuple(part for result in results for part in (result if isinstance(result, tuple | list) else [result]))


def groups(size=9):
    """The cases of each shape, so many together."""
    shapes = {}
    for name, (_, shape, _) in CASES.items():
        shapes.setdefault(shape, []).append(name)
    return [names[i : i + size] for names in shapes.values() for i in range(0, len(names), size)]


def runs():
    """Groups and simulators: Icarus on all, Verilator, whose compiler takes longest, on part of each sixth one."""
    for n, names in enumerate(groups()):
        yield names, "icarus"
        if n % 6 == 0:
            yield names[::3], "verilator"


@pytest.mark.sim
@pytest.mark.parametrize(
    ("names", "simulator"), runs(), ids=lambda value: value if isinstance(value, str) else value[0]
)
def test_hardware_equals_the_modules(names, simulator, tmp_path):
    found = [network(name) for name in names]
    net, x = Many([net for net, _ in found]).eval(), found[0][1][:3]
    build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(lanes=4 if len(names) % 2 else 32))
    assert verify(tmp_path / "net", x.numpy(), simulator=simulator, stall=0.3)["equal"] == len(x)


class Padded(nn.Module):
    """What is done to a padded input before it is quantized."""

    def __init__(self):
        super().__init__()
        self.q = ActQuant(6, -3, True)

    def forward(self, x):
        return self.q(F.pad(x, (1, 1)) - 0.5)


def test_a_shift_of_a_padded_input_is_refused():
    # the host shifts what it is given: the zeros around it would not be shifted
    with pytest.raises(MissingActQuant, match="reaches it as floats"):
        import_model(Padded(), (torch.zeros(1, 3, 4),))


class Ahead(nn.Module):
    """Its input is scaled by constants that are not the same, in two calls."""

    def __init__(self, other):
        super().__init__()
        self.q, self.other = ActQuant(6, -3, True), other

    def forward(self, x):
        mean = torch.tensor([0.5, 0.25, 0.1])[:, None]
        return self.q(x - mean) + self.q(x - mean * self.other).flip(1)


def test_an_input_normalized_twice():
    x = torch.randn(5, 3, 4)
    net = Ahead(1.0)
    (got,) = run_passes(import_model(net, (x[:1],))).golden(x)
    assert torch.equal(got, net.double()(x.double()))
    with pytest.raises(UnsupportedLayer, match="quantized in two ways"):
        import_model(Ahead(2.0), (x[:1],))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda m, x: x.masked_fill(torch.eye(4, 6).bool(), 0.5), "differs from place to place"),
        (lambda m, x: x + torch.triu(torch.full((4, 6), float("-inf")), 1), "is not finite"),
        (lambda m, x: torch.einsum("nchw,cd,de->nehw", x, torch.ones(3, 3), torch.ones(3, 3)), "einsum"),
        (lambda m, x: x[:, torch.tensor([True, False, True])], "which is no frame"),
    ],
)
def test_what_is_refused(function, says):
    with pytest.raises(HwgenError, match=says):
        import_model(Net(function, {}), (torch.zeros(1, 3, 4, 6),))


@pytest.mark.parametrize("constant", [torch.ones, torch.zeros])
def test_a_static_batch_with_constants_of_its_size(constant):
    net = Net(lambda m, x: torch.cat([x.amax(1, keepdim=True), constant(len(x), 1, 4, 6)], 1), {})
    x = torch.randn(4, 3, 4, 6)
    (got,) = run_passes(import_model(net, (x,))).golden(x)
    assert torch.equal(got, net.double()(x.double()))
