"""Random networks for the tests: plain nn.Modules with weights on dyadic grids, and batches that reach their
corners."""

import copy
import functools
import math
import operator
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from hwgen.lanes.kinds import lane_kinds
from hwgen.nn import GRU, LSTM, RNN, ActQuant, AvgPool2d, LayerNorm, Softmax, limits
from tests.networks_timed import timed

MOST_BITS = 46  # of an accumulator: hwgen takes 48, and the bound here is not tight
MOST_WORK = 40_000  # products of a frame, those with zero weights counted: seconds of simulation
KINDS = ("image",) * 6 + ("signal", "features")
NAMES = (
    "input",
    "output",
    "s_axis",
    "m_axis",
    "clk",
    "conv",
    "Conv",
    "conv_2",
    "wire",
    "chance",
    "größe",
    "1st",
    "input_fork0_a",
)


torch.set_num_threads(1)  # the tensors are tiny: more threads only wait for each other


class Fork(nn.Module):
    """Several branches of one tensor, joined from left to right: "add", "sub", "mul", or "cat" along a dimension."""

    def __init__(self, *branches: nn.Module, how: str = "add", dim: int = 1):
        super().__init__()
        self.how, self.dim, self.branches = how, dim, nn.ModuleList(branches)

    def forward(self, x):
        parts = [branch(x) for branch in self.branches]
        if self.how == "cat":
            return torch.cat(parts, self.dim)
        return functools.reduce(getattr(operator, self.how), parts)

    def extra_repr(self):
        return f"{self.how}, dim={self.dim}"


class View(nn.Module):
    """Flatten, as many networks write it."""

    def forward(self, x):
        return x.view(x.size(0), -1)


# what only moves numbers, by the dimensions that it takes, the batch left out
MOVES = {
    "flip": (1, lambda x: x.flip(-1)),
    "roll": (1, lambda x: x.roll(1, 1)),
    "half of the channels": (1, lambda x: x[:, : (x.shape[1] + 1) // 2]),
    "every second": (1, lambda x: x[..., ::2]),
    "chunks exchanged": (1, lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)),
    "cropped": (2, lambda x: x[..., 1:]),
    "last": (2, lambda x: x[..., -1:]),
    "channels last": (2, lambda x: x.movedim(1, -1)),
    "upsampled": (2, lambda x: nn.functional.interpolate(x, scale_factor=2)),
    "reflected": (2, lambda x: nn.functional.pad(x, (1, 1), mode="reflect")),
    "expanded": (2, lambda x: x[..., :1].expand(x.shape)),
    "cropped above": (3, lambda x: x[:, :, 1:]),
    "transposed": (3, lambda x: x.transpose(-1, -2)),
    "tokens": (3, lambda x: x.flatten(2)),
    "shuffled": (3, lambda x: nn.functional.channel_shuffle(x, 2)),
    "pixels of channels": (3, lambda x: nn.functional.pixel_shuffle(x, 2)),
    "channels of pixels": (3, lambda x: nn.functional.pixel_unshuffle(x, 2)),
}


class Moved(nn.Module):
    def __init__(self, how: str):
        super().__init__()
        self.how = how

    def forward(self, x):
        return MOVES[self.how][1](x)

    def extra_repr(self):
        return self.how


class Mean(nn.Module):
    """The mean over all pixels, as many networks write a global average pooling."""

    def forward(self, x):
        return x.mean(dim=tuple(range(2, x.dim())))


class ArgMax(nn.Module):
    """The number of the greatest channel, of each pixel."""

    def forward(self, x):
        return x.argmax(1, keepdim=True)


class Greatest(nn.Module):
    """The values of the k greatest channels."""

    def __init__(self, k: int):
        super().__init__()
        self.k = k

    def forward(self, x):
        return x.topk(self.k, 1)[0]


class OverTime(nn.Module):
    """The hidden states [N, units, columns] of a cell that reads the columns of [N, channels, columns]."""

    def __init__(self, cell: nn.Module):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        return self.cell(x.transpose(1, 2))[0].transpose(1, 2)


class Products(nn.Module):
    """The products of all columns with each other, or of all channels, of [N, channels, columns]."""

    def __init__(self, over_channels: bool):
        super().__init__()
        self.over_channels = over_channels

    def forward(self, x):
        return x.transpose(1, 2) @ x if self.over_channels else x @ x.transpose(1, 2)


@dataclass(frozen=True, eq=False)
class Network:
    """A module in eval mode, a batch of its inputs, and how a test builds and runs it.

    lanes -- the most accumulators of a layer: several groups where they are more than a row has pixels
    engines -- the layers take them in turn; where spatial is impossible, lanes
    """

    module: nn.Module
    x: torch.Tensor
    lanes: int
    stall: float
    engines: tuple[str, ...] = ("lanes",)
    pixels: int = 1
    levels: int = 3

    @property
    def example(self) -> tuple[torch.Tensor]:
        """The example input of an export, in the module's own dtype."""
        dtype = next((p.dtype for p in self.module.parameters()), self.x.dtype)
        return (self.x[:1].to(dtype),)

    def reference(self) -> torch.Tensor:
        """What every other form of the network must equal, bit by bit."""
        with torch.no_grad():
            return copy.deepcopy(self.module).double()(self.x.double())

    def __repr__(self) -> str:
        numbers = "\n".join(f"{name} = {value.tolist()}" for name, value in self.module.state_dict().items())
        batch = f"x: {list(self.x.shape)} {self.x.dtype}, at most {self.lanes} accumulators a layer, stall {self.stall}"
        batch += f", engines {', '.join(self.engines)}, {self.pixels} pixels, {self.levels} levels"
        return f"{self.module}\n{numbers}\n{batch}"


def networks() -> st.SearchStrategy[Network]:
    """Networks of one to a few layers, and their batches.

    Hypothesis draws the seed only: its own preference for the ends of every range would leave few convolutions.
    """
    return st.builds(make_network, st.randoms(use_true_random=True))


def make_network(random: Random) -> Network:
    """One network and its batch: the same state of `random` gives the same ones."""
    x, here = _input(random)
    for _ in range(random.randint(1, 4)):
        for _ in range(5):
            try:
                here = _block(random, here)
                break
            except TooMuch:
                continue
    with suppress(TooMuch):
        here = _ending(random, here)
    module = _named(random, here.modules)
    module = module.double() if random.random() < 0.1 else module.float()
    x = x if random.random() < 0.3 else x.float()
    lanes, stall = random.randint(1, random.choice((16, 64))), random.choice((0.0, 0.0, 0.2, 0.6))
    mixed = tuple(random.choice(("lanes", "spatial", "auto")) for _ in range(5))
    engines = random.choice((("lanes",), ("lanes",), ("spatial",), ("spatial",), ("auto",), mixed, mixed))
    pixels, levels = random.choice((1, 1, 2, 3, 4, 6, 16)), random.choice((1, 1, 2, 3, 5, 64))
    if random.random() < 0.06:
        x, module, engines = _spiking(random)
    elif random.random() < 0.06:
        x, module = timed(random)
    return Network(module.eval(), x, lanes, stall, engines, pixels, levels)


def _spiking(random: Random) -> tuple[torch.Tensor, nn.Module, tuple[str, ...]]:
    """A batch and a network of activations of one bit, between linear layers and pointwise convolutions, and its
    engines: some frames have no spike, others nothing else."""
    shape = random.choice(
        ((random.randint(1, 90),), (random.randint(1, 9), random.randint(1, 5), random.randint(1, 5)))
    )
    rng = np.random.default_rng(random.getrandbits(32))
    chance = np.array([0.0, 1.0, 1.0, *(random.choice((0.05, 0.2, 0.6)) for _ in range(3))])
    x = torch.from_numpy((rng.random((6, *shape)) < chance.reshape(-1, *[1] * len(shape))).astype(np.float64))
    here = Here((), x, 0.0, 0).then(ActQuant(1, 0), 1.0, 0)
    for last in [False] * random.randint(0, 2) + [True]:
        if len(here.shape) > 1 and (last or random.random() < 0.5):
            here = here.then(nn.Flatten(), work=0)
        channels, outputs = here.shape[0], random.randint(1, 30)
        layer = nn.Linear(channels, outputs) if len(here.shape) == 1 else nn.Conv2d(channels, outputs, 1)
        weight, exponent = _weights(random, tuple(layer.weight.shape))
        exponent += here.exponent
        bias, finer = _bias(random, outputs, exponent)
        _set(layer.weight, weight)
        _set(layer.bias, np.zeros(outputs) if bias is None else bias)
        bound = float(np.abs(weight).reshape(outputs, -1).sum(axis=1).max()) * here.reach
        here = here.then(layer, bound + (0.0 if bias is None else float(np.abs(bias).max())), min(exponent, finer))
        if last and random.random() < 0.3:
            break
        met = math.floor(math.log2(max(float(here.values.abs().max()), 2.0**here.exponent)))
        bits = random.choice((2, 8)) if last else 1
        grid = min(max(met + random.randint(-3, 1), -64), 64)
        here = here.then(ActQuant(bits, grid, bits > 1), 2.0 ** (grid + bits), grid)
    engines = random.choice((("spikes", "spikes"), ("spikes", "lanes"), ("auto", "spikes")))
    return x, nn.Sequential(*here.modules).float(), engines


class TooMuch(Exception):
    """The layer drawn would need too wide an accumulator, too much work, or has no output."""


@dataclass(frozen=True, eq=False)
class Here:
    """The end of the network so far: the batch's values there in float64, a bound of all values, and a grid that holds
    them."""

    modules: tuple[nn.Module, ...]
    values: torch.Tensor
    reach: float
    exponent: int
    work: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape[1:])

    @property
    def bits(self) -> int:
        """Bits that hold any value here, and a sign."""
        return math.floor(math.log2(max(self.reach * 2.0**-self.exponent, 0.5))) + 2

    def then(self, module: nn.Module, reach: float | None = None, exponent: int | None = None, work: int = 1) -> "Here":
        """With one more module; `work` is a value's."""
        with torch.no_grad():
            try:
                values = module.double().eval()(self.values)
            except RuntimeError as error:  # torch refuses a window larger than the input
                raise TooMuch(str(error)) from error
        result = Here(
            (*self.modules, module),
            values,
            self.reach if reach is None else reach,
            self.exponent if exponent is None else exponent,
            self.work + work * values[0].numel(),
        )
        # a max pool's window in the padding is minus infinity
        if result.bits > MOST_BITS or values.numel() == 0 or not values.isfinite().all() or result.work > MOST_WORK:
            raise TooMuch(f"{result.bits} bits, {result.work} products")
        return result


def _input(random: Random) -> tuple[torch.Tensor, Here]:
    """A batch, and the network that only quantizes it."""
    kind = random.choice(KINDS)
    channels = random.choice((1, 1, 2, 3, 4, 5, 8))

    def side() -> int:
        return random.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16))

    shape = {
        "image": (channels, side(), side()),
        "signal": (channels, 2 * side()),
        "features": (channels * side(),),
    }[kind]
    bits, signed = random.choice((1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 12, 16)), random.random() < 0.5
    exponent = random.randint(-8, 2)
    low, high = limits(bits, signed)
    rng = np.random.default_rng(random.getrandbits(32))
    span = high - low
    frames = {
        "least": np.full(shape, low),
        "greatest": np.full(shape, high),
        "levels": rng.integers(low, high + 1, shape),
        "corners": rng.choice([low, high], shape),
        "ties": rng.integers(low - 2, high + 2, shape) + 0.5,
        "beyond": np.round(rng.uniform(low - span, high + span, shape) * 8) / 8,
        "zeros": np.zeros(shape),
    }
    chosen = random.sample(sorted(frames), random.randint(3, 5))
    x = torch.from_numpy(np.stack([frames[name] for name in chosen]).astype(np.float64) * 2.0**exponent)
    here = Here((), x, 0.0, 0)
    for make in (nn.Identity, nn.Dropout, nn.Flatten):
        if random.random() < 0.05:
            here = here.then(make(), work=0)
    return x, here.then(ActQuant(bits, exponent, signed), 2.0**exponent * max(abs(low), high), exponent)


def _block(random: Random, here: Here, depth: int = 0) -> Here:
    """A few layers more."""
    kinds = (_layer,) * 6 + (_pooled, _pooled, _forked, _forked, _normed, _activation, _still, _flattened, _padded)
    return random.choice((*kinds, _over_channels, _sequenced, _moved, _moved))(random, here, depth)


def _pooled(random: Random, here: Here, depth: int) -> Here:
    return _quantize(random, _pool(random, here), 0.3) if len(here.shape) > 1 else _layer(random, here)


def _forked(random: Random, here: Here, depth: int) -> Here:
    return _fork(random, here, depth) if depth < 2 else _layer(random, here)


def _normed(random: Random, here: Here, depth: int) -> Here:
    return _quantize(random, _norm(random, here), 0.5) if here.bits <= 16 else _layer(random, here)


def _still(random: Random, here: Here, depth: int) -> Here:
    return here.then(random.choice((nn.Identity(), nn.Dropout())), work=0)


def _flattened(random: Random, here: Here, depth: int) -> Here:
    return here.then(random.choice((nn.Flatten(), View())), work=0) if random.random() < 0.3 else _layer(random, here)


def _padded(random: Random, here: Here, depth: int) -> Here:
    dims = len(here.shape) - 1
    if not dims:
        return _layer(random, here)
    make = {1: nn.ZeroPad1d, 2: nn.ZeroPad2d}[dims]
    return here.then(make(tuple(random.choice((0, 0, 1, 2, 5)) for _ in range(2 * dims))), work=0)


def _over_channels(random: Random, here: Here, depth: int) -> Here:
    return _quantize(random, _channels(random, here), 0.5)


def _sequenced(random: Random, here: Here, depth: int) -> Here:
    return _sequence(random, here) if len(here.shape) == 2 else _layer(random, here)


def _moved(random: Random, here: Here, depth: int) -> Here:
    how = random.choice([name for name, (dims, _) in MOVES.items() if dims <= len(here.shape)])
    return here.then(Moved(how), work=0)


def _layer(
    random: Random,
    here: Here,
    depth: int = 0,
    outputs: int | None = None,
    same: bool = False,
    stride: int | None = None,
) -> Here:
    """A convolution or Linear, and often what follows one: batch norm, activation, max pool, quantizer, in varying
    order."""
    here = _narrow(random, here)
    here = _conv(random, here, outputs, same, stride)
    if random.random() < 0.2:
        here = _norm(random, here)
    if random.random() < 0.2:
        here = _activation(random, here)
    if random.random() < 0.1 and len(here.shape) > 1 and not same:
        here = _max_pool(random, here)
    return _quantize(random, here, 0.85)


def _conv(random: Random, here: Here, outputs: int | None, same: bool, stride: int | None) -> Here:
    dims, channels = len(here.shape) - 1, here.shape[0]
    groups = random.choice([1, 1, 1, channels, random.choice([g for g in range(1, channels + 1) if channels % g == 0])])
    groups = 1 if dims == 0 or (outputs is not None and outputs % groups) else groups
    outputs = outputs or groups * random.randint(1, max(1, 6 // groups))
    kernel = tuple(random.choice((1, 3, 5) if same else (1, 2, 3, 3, 4, 5)) for _ in range(dims))
    dilation = tuple(random.choice((1, 1, 1, 2, 3)) for _ in range(dims))
    strides = tuple(stride or (1 if same else random.choice((1, 1, 2, 3))) for _ in range(dims))
    reach = [d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True)]
    free = [tuple(reach), (0,) * dims, tuple(random.randint(0, 4) for _ in range(dims)), "valid"]
    free += ["same"] * (strides == (1,) * dims)
    padding = tuple(reach) if same else random.choice(free)
    weight, scale = _weights(random, (outputs, channels // groups, *kernel))
    exponent = here.exponent + scale
    bias, bias_exponent = _bias(random, outputs, exponent)
    if dims:
        make = {1: nn.Conv1d, 2: nn.Conv2d}[dims]
        layer = make(channels, outputs, kernel, strides, padding, dilation, groups, bias is not None)
    else:
        layer = nn.Linear(channels, outputs, bias is not None)
    _set(layer.weight, weight)
    largest = 0.0
    if bias is not None:
        _set(layer.bias, bias)
        largest = float(np.abs(bias).max())
    bound = float(np.abs(weight).reshape(outputs, -1).sum(axis=1).max()) * here.reach + largest
    return here.then(layer, bound, min(exponent, bias_exponent), work=weight[0].size)


def _channels(random: Random, here: Here) -> Here:
    """A layer that looks at all channels of a pixel; a normalization is on its input's grid, or a coarser one."""
    here = here if here.bits <= 12 else _quantize(random, here)
    kind, bits = random.choice(("norm", "norm", "softmax", "softmax", "greatest")), random.choice((2, 4, 6, 8, 8, 12))
    grid = max(here.exponent + random.choice((0, 0, 0, 1)), -16)
    if kind == "greatest":
        return here.then(Greatest(random.randint(1, here.shape[0])))
    if here.bits > 16 or grid > 16:
        raise TooMuch(f"{here.bits} bits on a grid of 2^{grid}")
    if kind == "norm":
        exponent = -random.randint(0, bits)
        layer = LayerNorm(grid, bits, exponent, random.choice((1e-5, 4.0**grid)), 1)
        return here.then(layer, 2.0 ** (exponent + bits - 1), exponent)
    layer = Softmax(max(grid, -5), bits, 1, random.choice((None, 3, 9)))
    return here.then(layer, 1.0, -bits)


def _sequence(random: Random, here: Here) -> Here:
    """A recurrent cell over the columns, or the products of all columns, or of all channels, with each other."""
    here = here if here.bits <= 8 else _quantize(random, here)
    channels, columns = here.shape
    if random.random() < 0.4:
        inner = random.choice((channels, columns))
        product = Products(over_channels=inner == channels)
        here = here.then(product, inner * here.reach**2, 2 * here.exponent, work=inner)
        return _quantize(random, here, 0.85)
    cell, units = random.choice((LSTM, GRU, RNN)), random.randint(1, 4)
    gate, state, hidden = (random.randint(-5, -1) for _ in range(3))
    formats = {
        "gate_bits": random.randint(3, 8),
        "gate_exponent": gate,
        "activation_bits": random.randint(3, 8),
        "state_bits": random.randint(4, 10),
        "state_exponent": state,
        "hidden_bits": random.randint(3, 8),
        "hidden_exponent": hidden,
        "input_bits": random.randint(4, 10),
        "input_exponent": gate - random.randint(-1, 3),
    }
    layer = cell(channels, units, bias=random.random() < 0.8, **formats)
    for part in (layer.input, layer.hidden):
        _set(part.weight, _weights(random, tuple(part.weight.shape))[0])
    if layer.input.bias is not None:
        bias, _ = _bias(random, len(layer.input.bias), here.exponent)
        _set(layer.input.bias, np.zeros(len(layer.input.bias)) if bias is None else bias)
    reach = 2.0 ** (hidden + formats["hidden_bits"] - 1)
    return here.then(OverTime(layer), reach, hidden, work=12 * (channels + units))


def _weights(random: Random, shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """Weights, and the exponent of a grid that holds them; pruned ones may be minus zero."""
    kind = random.choice(("pot", "gap", "apot", "integers", "ternary"))
    span, bits, scale = random.choice((1, 3, 7)), random.randint(2, 8), random.randint(-9, 3)
    keep = random.choice((1.0, 0.7, 0.5, 0.1, 0.0))
    empty = random.choice((0.0, 0.0, 0.4))
    rng = np.random.default_rng(random.getrandbits(32))
    sign = rng.choice([-1, 1], shape)
    values = {
        "pot": sign * 2 ** rng.integers(0, span + 1, shape),
        "gap": sign * rng.choice([1, 1 << 12], shape),
        "apot": sign * (2 ** rng.integers(0, 4, shape) + 2 ** rng.integers(2, 7, shape)),
        "integers": rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape),
        "ternary": sign,
    }[kind]
    kept = (rng.random(shape) < keep) & (rng.random((shape[0], *[1] * (len(shape) - 1))) >= empty)
    # hwgen counts a layer without weights as a grid of ones
    return values * 2.0**scale * np.where(kept, 1.0, -0.0), scale if (values * kept).any() else min(scale, 0)


def _bias(random: Random, outputs: int, exponent: int) -> tuple[np.ndarray | None, int]:
    """Biases, and a grid that holds them: none, zeros, on the products' grid, on a finer one, on a coarser one."""
    kind = random.choice(("none", "zeros", "grid", "finer", "coarser"))
    rng = np.random.default_rng(random.getrandbits(32))
    if kind == "none":
        return None, exponent
    if kind == "zeros":
        return np.zeros(outputs), exponent
    exponent += {"grid": 0, "finer": -random.randint(1, 6), "coarser": random.randint(1, 6)}[kind]
    return rng.integers(-(1 << 10), 1 << 10, outputs) * 2.0**exponent, exponent


def _norm(random: Random, here: Here) -> Here:
    """A batch norm whose scale and shift are dyadic: it folds exactly."""
    channels = here.shape[0]
    rng = np.random.default_rng(random.getrandbits(32))
    affine = random.random() < 0.7
    norm = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d}[len(here.shape)](channels, eps=0.0, affine=affine)
    deviation = 2.0 ** rng.integers(-2, 3, channels)
    mean = rng.integers(-16, 17, channels) * 2.0**here.exponent
    _set(norm.running_var, deviation**2)
    _set(norm.running_mean, mean)
    gain, shift = np.ones(channels), np.zeros(channels)
    if affine:
        gain = rng.choice([-1.0, 1.0, 0.5, 2.0, 3.0, 0.0], channels)
        shift = rng.integers(-16, 17, channels) * 2.0 ** (here.exponent - random.choice((0, 2)))
        _set(norm.weight, gain)
        _set(norm.bias, shift)
    scale = np.abs(gain / deviation)
    bound = float((scale * (here.reach + np.abs(mean)) + np.abs(shift)).max())
    return here.then(norm, bound, here.exponent - 3)


def _activation(random: Random, here: Here, depth: int = 0) -> Here:
    kind = random.choice(("relu", "relu", "relu6", "hardtanh", "table"))
    if kind == "table":
        return _table(random, here)
    if kind == "relu":
        return here.then(nn.ReLU(), work=0)
    if kind == "relu6":
        return here.then(nn.ReLU6(), min(6.0, here.reach), min(here.exponent, 1), work=0)
    low, high = random.choice(((-1.0, 1.0), (-1.5, 2.0), (0.0, 0.75), (-4.0, -1.0)))
    return here.then(nn.Hardtanh(low, high), max(-low, high), min(here.exponent, -2), work=0)


def _table(random: Random, here: Here) -> Here:
    """A function of one activation between two quantizers, the first of at most 10 bits."""
    function = random.choice(
        (nn.Sigmoid(), nn.Tanh(), nn.SiLU(), nn.GELU(), nn.LeakyReLU(0.1), nn.Hardswish(), nn.LeakyReLU(0.25))
    )
    while len(here.modules) == 0 or getattr(here.modules[-1], "bits", 16) > 10:
        here = _quantize(random, here)
    return _quantize(random, here.then(function, max(here.reach, 1.0), here.exponent - 4))


def _pool(random: Random, here: Here) -> Here:
    kind = random.choice(("max", "max", "average", "dyadic", "global"))
    dims = len(here.shape) - 1
    if kind == "max":
        return _max_pool(random, here)
    here = _narrow(random, here)
    if kind == "global":
        count = math.prod(here.shape[1:])
        if count & (count - 1):
            raise TooMuch("a mean over a count of pixels that is no power of two")
        pool = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}[dims](1)
        return here.then(random.choice((pool, Mean())), exponent=here.exponent - count.bit_length() + 1, work=count)
    if kind == "dyadic" and dims == 2:
        kernel = tuple(random.randint(1, 4) for _ in range(2))
        bits = random.randint(1, 8)
        stride = random.choice((None, 1, tuple(random.randint(1, 3) for _ in range(2))))
        count = math.prod(kernel)
        return here.then(AvgPool2d(kernel, stride, bits), here.reach * 2, here.exponent - bits - 4, work=count)
    kernel = tuple(random.choice((1, 2, 2, 4)) for _ in range(dims))
    stride = tuple(random.randint(1, 3) for _ in range(dims))
    padding = tuple(random.randint(0, k // 2) for k in kernel)
    make = {1: nn.AvgPool1d, 2: nn.AvgPool2d}[dims]
    count = math.prod(kernel)
    return here.then(make(kernel, stride, padding), exponent=here.exponent - count.bit_length() + 1, work=count)


def _max_pool(random: Random, here: Here) -> Here:
    dims = len(here.shape) - 1
    kernel = tuple(random.choice((1, 2, 2, 3)) for _ in range(dims))
    stride = random.choice((None, 1, tuple(random.randint(1, 3) for _ in range(dims))))
    padding = tuple(random.randint(0, k // 2) for k in kernel)
    dilation = random.choice((1, 1, 1, 2))
    return here.then(
        {1: nn.MaxPool1d, 2: nn.MaxPool2d}[dims](kernel, stride, padding, dilation), work=math.prod(kernel)
    )


def _fork(random: Random, here: Here, depth: int) -> Here:
    """Two or three branches joined: as they are, of one new shape, or the tensor to itself."""
    dims = len(here.shape) - 1
    how = random.choice(("add", "add", "sub", "mul", *("cat", "cat") * (depth == 0)))
    dim = random.choice((1, 1, *range(1, dims + 2)))
    reshaped = random.random() < 0.4 and depth == 0
    outputs, stride = (random.randint(1, 5), random.choice((1, 2, 3))) if reshaped else (here.shape[0], 1)
    ends = []
    for _ in range(random.choice((2, 2, 2, 3))):
        end = Here((), here.values, here.reach, here.exponent, here.work)
        if reshaped:
            others = random.randint(1, 5) if how == "cat" and dim == 1 else outputs
            end = _layer(random, end, depth, others, True, stride)
        elif random.random() < 0.7:
            end = _branch(random, end, depth)
        ends.append(end)
    branches = [nn.Sequential(*end.modules) if end.modules else nn.Identity() for end in ends]
    work = sum(end.work - here.work for end in ends) // max(1, ends[0].values[0].numel())
    reaches, exponents = [end.reach for end in ends], [end.exponent for end in ends]
    reach = {"mul": math.prod, "cat": max}.get(how, sum)(reaches)
    exponent = sum(exponents) if how == "mul" else min(exponents)
    return _quantize(random, here.then(Fork(*branches, how=how, dim=dim), reach, exponent, work), 0.6 if dims else 0.5)


def _branch(random: Random, here: Here, depth: int) -> Here:
    """A branch that keeps the shape."""
    kind = random.choice(("layer", "layers", "quantize", "activation", "pool", "norm", "fork"))
    if kind == "fork" and depth < 1:
        return _fork(random, here, depth + 1) if random.random() < 0.5 else here
    if kind == "layers":
        here = _layer(random, here, depth, here.shape[0], same=True)
    if kind == "quantize":
        return _quantize(random, here)
    if kind == "activation":
        return _activation(random, here)
    if kind == "norm" and here.bits <= 16:
        return _norm(random, here)
    if kind == "pool" and len(here.shape) > 1:
        make = {2: nn.MaxPool1d, 3: nn.MaxPool2d}[len(here.shape)]
        return here.then(make(3, 1, 1), work=9)
    return _layer(random, here, depth, here.shape[0], same=True)


def _quantize(random: Random, here: Here, chance: float = 1.0) -> Here:
    """Perhaps an ActQuant: for the values met, on or below their grid, or above all of them."""
    if random.random() >= chance:
        return here
    bits, signed = random.choice((1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 12, 16)), random.random() < 0.5
    met = math.floor(math.log2(max(float(here.values.abs().max()), 2.0**here.exponent)))
    exponent = random.choice(
        (
            met + 1 - bits + random.randint(-2, 2),
            met + 1 - bits + random.randint(-2, 2),
            here.exponent - random.randint(0, 3),
            math.floor(math.log2(max(here.reach, 2.0**here.exponent))) + random.randint(0, 3),
        )
    )
    exponent = min(max(exponent, -64), 64)
    low, high = limits(bits, signed)
    return here.then(ActQuant(bits, exponent, signed), 2.0**exponent * max(-low, high), exponent, work=0)


def _narrow(random: Random, here: Here) -> Here:
    """Values that a layer takes: at most 16 bits."""
    return here if here.bits <= 16 else _quantize(random, here)


def _ending(random: Random, here: Here) -> Here:
    """What comes out: a map, its features, or a classifier's accumulators or quantized sums."""
    kind = random.choice(("as it is", "as it is", "flat", "linear", "global", "argmax"))
    if kind == "as it is":
        return here
    if kind == "argmax":
        return here.then(ArgMax(), here.shape[0], 0)
    if kind == "global" and len(here.shape) > 1 and not math.prod(here.shape[1:]) & (math.prod(here.shape[1:]) - 1):
        here = _narrow(random, here)
        here = here.then(Mean(), exponent=here.exponent - math.prod(here.shape[1:]).bit_length() + 1)
    here = here.then(nn.Flatten(), work=0)
    if kind == "flat":
        return here
    return _quantize(random, _conv(random, _narrow(random, here), random.randint(1, 6), False, None), 0.3)


def _named(random: Random, modules: tuple[nn.Module, ...]) -> nn.Module:
    """The network; at times its layers' names are ones that Verilog, or hwgen's own names, might clash with."""
    if random.random() < 0.8:
        return nn.Sequential(*modules)
    names = random.sample(NAMES, min(len(NAMES), len(modules)))
    names += [f"layer{i}" for i in range(len(modules) - len(names))]
    return nn.Sequential(OrderedDict(zip(names, modules, strict=True)))


def _set(tensor: torch.Tensor, values: np.ndarray) -> None:
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.asarray(values, np.float64)).reshape(tensor.shape))


def only(monkeypatch, kind):
    """Lanes of no other kind, but for stages that cannot have it."""
    able = lane_kinds()[kind].obstacle
    for name, other in lane_kinds().items():
        if name != kind:

            def refuses(stage, can=other.obstacle, last=other.slices):
                return can(stage) or ("another kind is wanted" if last or able(stage) is None else None)

            monkeypatch.setattr(other, "obstacle", refuses)
