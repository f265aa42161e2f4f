"""prepare and convert, a law for every kind of layer: what is prepared computes what the model computes, what is
converted what was trained, and its golden integers are the numbers of the converted module."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

import hwgen.nn
from hwgen.compress import Prepared, Recipe, convert, prepare
from hwgen.compress.formats import Uniform
from hwgen.compress.methods import FilterSimilarity
from hwgen.frontend import import_model
from hwgen.nn import ActQuant
from hwgen.passes import run_passes

RECIPE = Recipe(weights=Uniform(6), activation_bits=7, quantize_from=0.0)


class Calls(nn.Module):
    """A function of the input between two layers, whose modules it may use: forward(self, x)."""

    def __init__(self, between, first=None, last=None, **modules):
        super().__init__()
        self.between = between
        self.first, self.last = first or nn.Conv2d(2, 4, 3, padding=1), last or nn.Conv2d(4, 3, 1)
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.last(self.between(self, self.first(x)))


def calls(between, **modules):
    return lambda: Calls(between, **{name: make() for name, make in modules.items()})


def tokens(between, **modules):
    """On sequences [N, 6, 8]."""
    return lambda: Calls(between, nn.Linear(8, 8), nn.Linear(8, 3), **{name: make() for name, make in modules.items()})


def parameter(*shape):
    return lambda: nn.Parameter(torch.randn(*shape) * 0.5)


def masked():
    layer = nn.Conv2d(4, 4, 1)
    prune.l1_unstructured(layer, "weight", 0.5)
    return layer


def tied():
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1))
    model[2].weight = model[0].weight
    return model


class Own(nn.Module):
    """Weights in forward() itself."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(4, 2, 3, 3) * 0.3), nn.Parameter(torch.randn(4) * 0.1)
        self.c, self.d = nn.Parameter(torch.randn(5, 4) * 0.3), nn.Parameter(torch.randn(5, 3) * 0.3)

    def forward(self, x):
        x = functional.relu(functional.conv2d(x, self.a, self.b, padding=1)).mean((2, 3))
        return functional.relu(functional.linear(x, self.c)) @ self.d


class Two(nn.Module):
    """Two inputs, two outputs."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(2, 4, 1)

    def forward(self, x, y):
        x, y = self.one(x), self.two(y)
        return x + y, functional.relu(x)


class Normalized(nn.Module):
    """The host's part first."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5]).view(2, 1, 1))
        self.conv = nn.Conv2d(2, 3, 3)

    def forward(self, x):
        return self.conv((x - self.mean) / 0.3)


def norm(kind, *given):
    """With statistics and weights of its own."""

    def make():
        made = kind(*given)
        for name, value in made.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5 if name != "bias" else torch.randn_like(value))
        return made.eval()

    return make


IMAGES = {
    "batch norm first": lambda: nn.Sequential(norm(nn.BatchNorm2d, 2)(), nn.Conv2d(2, 3, 3)),
    "batch norm behind relu": calls(lambda s, x: s.norm(functional.relu(x)), norm=norm(nn.BatchNorm2d, 4)),
    "batch norm behind a sum": calls(lambda s, x: s.norm(x + functional.relu(x)), norm=norm(nn.BatchNorm2d, 4)),
    "batch norm twice": calls(lambda s, x: s.norm(functional.relu(s.norm(x))), norm=norm(nn.BatchNorm2d, 4)),
    "transposed with batch norm": lambda: nn.Sequential(nn.ConvTranspose2d(2, 4, 2, 2), norm(nn.BatchNorm2d, 4)()),
    "permute": calls(lambda s, x: x.permute(0, 2, 3, 1).flip(1).permute(0, 3, 1, 2)),
    "linear on the last dimension": calls(
        lambda s, x: s.inner(x.permute(0, 2, 3, 1)).transpose(1, 3), inner=lambda: nn.Linear(4, 4)
    ),
    "views": calls(lambda s, x: x.view(-1, 2, 2, 36).transpose(1, 2).reshape(x.shape[0], 4, 6, 6)),
    "squeeze": calls(lambda s, x: x.unsqueeze(2).squeeze(2)),
    "slices": calls(lambda s, x: x[:, :, 1:-1, ::2]),
    "chunk": calls(lambda s, x: torch.cat(x.chunk(2, 1)[::-1], 1)),
    "split": calls(lambda s, x: functional.relu(torch.cat([p + 1 for p in torch.split(x, [1, 3], 1)], 1))),
    "stack": calls(lambda s, x: torch.stack([x[:, 0], x[:, 1], x[:, 3], x[:, 2]], 1)),
    "cat of different scales": calls(lambda s, x: torch.cat([x[:, :2] * 8, functional.relu(x)[:, :2]], 1)),
    "expand": calls(lambda s, x: x + x[:, :1].expand(-1, 4, -1, -1)),
    "pad": calls(lambda s, x: s.pad(functional.pad(x, (0, 1))), pad=lambda: nn.ZeroPad2d((1, 0, 2, 1))),
    "nearest": calls(lambda s, x: functional.interpolate(x, scale_factor=2)),
    "bilinear": calls(lambda s, x: functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)),
    "pixel shuffle": calls(lambda s, x: functional.pixel_unshuffle(functional.pixel_shuffle(x, 2), 2)),
    "channel shuffle": calls(lambda s, x: functional.channel_shuffle(x, 2)),
    "dropouts": calls(lambda s, x: functional.dropout2d(torch.dropout_(x, 0.5, s.training), 0.1, s.training)),
    "mul": calls(lambda s, x: functional.relu(x) * s.gate(x), gate=lambda: nn.Conv2d(4, 4, 1)),
    "gate": calls(
        lambda s, x: x * torch.sigmoid(s.gate(x.mean((2, 3), keepdim=True))), gate=lambda: nn.Conv2d(4, 4, 1)
    ),
    "sub": calls(lambda s, x: functional.relu(x) - s.other(x), other=lambda: nn.Conv2d(4, 4, 1)),
    "numbers": calls(lambda s, x: 1 - (-x) * 0.3 + x / 7),
    "silu by hand": calls(lambda s, x: x * torch.sigmoid(x)),
    "hardswish by hand": calls(lambda s, x: x * functional.relu6(x + 3) / 6),
    "mish by hand": calls(lambda s, x: x * functional.softplus(x).tanh()),
    "functions": calls(lambda s, x: functional.hardsigmoid(functional.leaky_relu(x, 0.1)) + functional.gelu(x) ** 2),
    "a reciprocal": calls(lambda s, x: 1 / (1 + torch.exp(-x))),
    "one slope": calls(lambda s, x: s.slope(x), slope=nn.PReLU),
    "slopes": calls(lambda s, x: s.slope(x), slope=lambda: nn.PReLU(4, 0.3)),
    "transposed": calls(lambda s, x: s.up(x), up=lambda: nn.ConvTranspose2d(4, 4, 3, 2, 1, output_padding=1)),
    "groups transposed": calls(lambda s, x: s.up(x), up=lambda: nn.ConvTranspose2d(4, 4, 2, 2, groups=2)),
    "average of nine": calls(lambda s, x: functional.avg_pool2d(x, 3)),
    "average to two": calls(lambda s, x: functional.adaptive_avg_pool2d(x, 2)),
    "average at the end": lambda: nn.Sequential(nn.Conv2d(2, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "maximum with ceil": calls(lambda s, x: functional.max_pool2d(x, 3, 2, ceil_mode=True)),
    "amax": calls(lambda s, x: torch.max(x, 3, keepdim=True)[0] + x.amax(2, keepdim=True)),
    "softmax last": lambda: nn.Sequential(nn.Flatten(), nn.Linear(72, 4), nn.Softmax(1)),
    "sigmoid last": lambda: nn.Sequential(nn.Conv2d(2, 3, 1), nn.Sigmoid()),
    "softmax inside": calls(lambda s, x: torch.softmax(x, 1)),
    "group norm": calls(lambda s, x: s.norm(x), norm=norm(nn.GroupNorm, 2, 4)),
    "instance norm": calls(lambda s, x: s.norm(x), norm=norm(nn.InstanceNorm2d, 4, 1e-5, 0.1, True)),
    "layer norm of planes": calls(lambda s, x: s.norm(x), norm=norm(nn.LayerNorm, (6, 6))),
    "constants": calls(lambda s, x: x * s.scale + s.shift, scale=parameter(4, 1, 1), shift=parameter(1, 4, 6, 6)),
    "own weights": Own,
    "weight norm": calls(lambda s, x: s.inner(x), inner=lambda: weight_norm(nn.Conv2d(4, 4, 1))),
    "weight norm, new": calls(lambda s, x: s.inner(x), inner=lambda: parametrizations.weight_norm(nn.Conv2d(4, 4, 1))),
    "spectral norm": calls(lambda s, x: s.inner(x), inner=lambda: spectral_norm(nn.Conv2d(4, 4, 1)).eval()),
    "mask": calls(lambda s, x: s.inner(x), inner=masked),
    "tied": tied,
    "normalized by the host": Normalized,
}
SEQUENCES = {
    "positions": tokens(lambda s, x: x + s.position, position=parameter(1, 6, 8)),
    "batch norm of features": lambda: nn.Sequential(nn.Flatten(), norm(nn.BatchNorm1d, 48)(), nn.Linear(48, 3)),
    "batch norm between linears": tokens(lambda s, x: s.norm(x), norm=norm(nn.BatchNorm1d, 6)),
    "layer norm": tokens(lambda s, x: s.norm(x), norm=norm(nn.LayerNorm, 8)),
    "layer norm by function": tokens(
        lambda s, x: functional.layer_norm(x, (8,), s.gain, s.bias), gain=parameter(8), bias=parameter(8)
    ),
    "mixing": tokens(lambda s, x: s.inner(x.transpose(1, 2)).transpose(1, 2), inner=lambda: nn.Linear(6, 6)),
    "mean of tokens": tokens(lambda s, x: x.mean(1)),
    "last token": tokens(lambda s, x: x[:, -1]),
    "products": tokens(lambda s, x: torch.bmm(x @ x.transpose(1, 2), x)),
    "scaled dot product": tokens(lambda s, x: functional.scaled_dot_product_attention(x, x, x)),
    "attention": tokens(
        lambda s, x: x + s.attention(x, x, x)[0],
        attention=lambda: nn.MultiheadAttention(8, 2, batch_first=True),
    ),
    "encoder": lambda: nn.Sequential(
        nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True, norm_first=True),
            1,
            nn.LayerNorm(8),
            enable_nested_tensor=False,
        ),
        nn.Linear(8, 3),
    ),
    "encoder layer": lambda: nn.Sequential(nn.TransformerEncoderLayer(8, 4, 12, batch_first=True), nn.Linear(8, 3)),
    "lstm": tokens(lambda s, x: s.cell(x)[0], cell=lambda: nn.LSTM(8, 8, batch_first=True)),
    "lstm of two layers": tokens(lambda s, x: s.cell(x)[0][:, -1], cell=lambda: nn.LSTM(8, 8, 2, batch_first=True)),
    "gru": tokens(lambda s, x: s.cell(x)[0], cell=lambda: nn.GRU(8, 8, batch_first=True)),
    "gru both ways": tokens(lambda s, x: s.cell(x)[0], cell=lambda: nn.GRU(8, 4, batch_first=True, bidirectional=True)),
    "rnn with zeros": tokens(
        lambda s, x: s.cell(x, torch.zeros(1, x.shape[0], 8))[0], cell=lambda: nn.RNN(8, 8, batch_first=True)
    ),
    "transposed in time": lambda: nn.Sequential(nn.ConvTranspose1d(6, 4, 4, 2, 1), nn.ReLU(), nn.Conv1d(4, 2, 3)),
    "one dimension": lambda: nn.Sequential(nn.Conv1d(6, 4, 3), norm(nn.BatchNorm1d, 4)(), nn.AvgPool1d(3), nn.ReLU()),
}
VOLUMES = {
    "conv3d": lambda: nn.Sequential(
        *(nn.Conv3d(1, 3, 3, padding=1), norm(nn.BatchNorm3d, 3)(), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(3, 4, 1)),
    ),
}
SHAPES = {
    **dict.fromkeys(IMAGES, (2, 6, 6)),
    **dict.fromkeys(SEQUENCES, (6, 8)),
    **dict.fromkeys(VOLUMES, (1, 4, 4, 4)),
}
NETWORKS = {**IMAGES, **SEQUENCES, **VOLUMES, "two": Two}


def tensors(y) -> list[torch.Tensor]:
    return list(y) if isinstance(y, tuple) else [y]


def trained(name: str) -> tuple[Prepared, tuple[torch.Tensor, ...]]:
    """A network, prepared and trained for two steps, and frames."""
    torch.manual_seed(len(name))
    model = NETWORKS[name]().eval()
    frames = tuple(torch.rand(5, *SHAPES.get(name, (2, 6, 6))) * 2 for _ in range(2 if name == "two" else 1))
    prepared = prepare(model, RECIPE, tuple(x[:1] for x in frames))
    with torch.no_grad():
        for got, want in zip(tensors(prepared.eval()(*frames)), tensors(model(*frames)), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)  # batch norms are folded in floats
    optimizer = torch.optim.SGD((p for p in prepared.parameters() if p.requires_grad), 1e-3)
    for done in (0.0, 0.5):
        prepared.train().step(done)
        optimizer.zero_grad()
        sum(y.square().mean() for y in tensors(prepared(*frames))).backward()
        optimizer.step()
    prepared.step(1.0)
    return prepared.eval(), frames


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_layer_from_float_to_golden_integers(name):
    prepared, frames = trained(name)
    converted = convert(prepared)
    for key, value in converted.named_parameters():
        if "slope" not in key:  # a part of a table
            units = torch.exp2(torch.floor(torch.log2(value.abs().clamp(min=2.0**-60))) - 15)
            assert torch.equal((value / units).round() * units, value), key
    with torch.no_grad():
        same = zip(tensors(converted(*frames)), tensors(prepared(*frames)), strict=True)
        assert all(torch.equal(one, other) for one, other in same)
        wanted = tensors(converted.double()(*(x.double() for x in frames)))
    golden = run_passes(import_model(converted.float(), tuple(x[:1] for x in frames))).golden(*frames)
    assert all(torch.equal(got, want) for got, want in zip(golden, wanted, strict=True))
    assert all(len(want.unique()) > 2 for want in wanted)


@pytest.mark.parametrize("name", ["transposed", "gru", "attention"])
def test_filters_are_pruned_where_there_are_some(name):
    torch.manual_seed(0)
    recipe = Recipe(pruning=FilterSimilarity(0.5), prune_until=0.5, quantize_from=0.0)
    prepared = prepare(NETWORKS[name]().eval(), recipe)
    x = torch.rand(3, *SHAPES[name])
    prepared.step(1.0)
    with torch.no_grad():
        prepared(x)
        assert torch.equal(convert(prepared)(x), prepared.eval()(x))
    gone = {name for name, layer in prepared.layers.items() if not layer.grid.keeps().flatten(1).any(1).all()}
    assert gone == {name for name, layer in prepared.layers.items() if layer.filters and not layer.last}


class Reversed(nn.Module):
    """What filters make, read by Linears over other dimensions than the channels."""

    def __init__(self):
        super().__init__()
        self.conv, self.rows, self.tokens = nn.Conv2d(2, 6, 3, padding=1), nn.Linear(6, 6), nn.Linear(6, 4)
        self.last = nn.Linear(6 * 6 * 4, 3)
        for layer in (self.conv, self.rows, self.tokens):
            layer.weight.data[1], layer.bias.data[1] = 0, 0

    def forward(self, x):
        x = self.rows(functional.relu(self.conv(x)))
        x = functional.relu(self.tokens(functional.relu(x).transpose(1, 3)))
        return self.last(x.flatten(1))


def test_channels_that_another_dimension_is_read_of_stay():
    torch.manual_seed(0)
    prepared = prepare(Reversed(), RECIPE).eval()
    x = torch.rand(3, 2, 6, 6)
    prepared.quantize()
    with torch.no_grad():
        want = prepared(x)
        converted = convert(prepared)
        assert torch.equal(converted(x), want)
    assert converted.conv.out_channels == 6 and converted.tokens.out_features == 4


@pytest.mark.parametrize("name", ["encoder", "encoder layer", "softmax inside", "group norm", "layer norm of planes"])
def test_a_norm_and_a_softmax_are_on_the_grid_of_the_quantizer_before_them(name):
    prepared, _ = trained(name)
    network = convert(prepared)
    found = 0
    for node in network.graph.nodes:
        module = network.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(module, hwgen.nn.LayerNorm | hwgen.nn.Softmax):
            (before,) = node.args
            while before.op != "call_module" or not isinstance(network.get_submodule(before.target), ActQuant):
                before = before.args[0]
            assert module.in_exponent == network.get_submodule(before.target).exponent
            found += 1
    assert found
