"""What `prepare` puts in the place of torch's layers: the same numbers, of parts that train on grids."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import hwgen.nn
from hwgen import nn_recurrent
from hwgen.compress.activations import LearnedActQuant
from hwgen.errors import UnsupportedLayer
from hwgen.nn import ActQuant

TABLE_GUARD = 4  # bits of a softmax's exponentials above those of its results: hwgen.nn.Softmax


class Affine(nn.Module):
    """x * weight + bias, one of each for every index of dimension `dim`; the batch is dimension 0."""

    mean: Tensor
    variance: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, dim: int = 1):
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = nn.Parameter(torch.zeros_like(weight) if bias is None else bias.detach().clone())
        self.dim = dim
        self.register_buffer("mean", torch.zeros_like(self.weight), persistent=False)
        self.register_buffer("variance", torch.ones_like(self.weight), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.dim == 1 else x.transpose(1, self.dim)
        y = functional.batch_norm(x, self.mean, self.variance, self.weight, self.bias, eps=0.0)
        return y if self.dim == 1 else y.transpose(1, self.dim)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, dim={self.dim}"


class Constant(nn.Module):
    """A tensor of the network's own: positions, a scale for each channel."""

    def __init__(self, value: Tensor):
        super().__init__()
        self.value = nn.Parameter(value.detach().clone(), requires_grad=value.requires_grad)

    def forward(self) -> Tensor:
        return self.value


class _OfIntegers(nn.Module):
    """Reads what a quantizer gives; in floats until that has started. `source` holds the quantizer, which is registered
    where it is called."""

    source: list[LearnedActQuant | ActQuant]

    def __init__(self, bits: int):
        super().__init__()
        self.bits, self.always = bits, False
        self.source = []

    @property
    def in_exponent(self) -> int:
        return self.source[0].exponent

    def started(self) -> bool:
        return self.always or (bool(self.source) and bool(getattr(self.source[0], "calibrated", True)))


class Normalize(_OfIntegers):
    """Layer normalization over the last dimension, of `size`, without gain and bias; becomes hwgen.nn.LayerNorm."""

    def __init__(self, size: int, eps: float, bits: int):
        super().__init__(max(bits, 2))
        reach = min(2, math.ceil(math.log2(max(2, size - 1)) / 2))  # no result is above the root of size - 1
        self.exponent = max(-self.bits, min(0, reach - (self.bits - 1)))
        self.eps = eps

    def frozen(self) -> nn.Module:
        return hwgen.nn.LayerNorm(self.in_exponent, self.bits, self.exponent, self.eps, -1)

    def forward(self, x: Tensor) -> Tensor:
        if self.started():
            return self.frozen()(x)
        return functional.layer_norm(x, x.shape[-1:], eps=self.eps)


class Shares(_OfIntegers):
    """A softmax inside the network; becomes hwgen.nn.Softmax."""

    def __init__(self, dim: int, bits: int):
        super().__init__(bits)
        self.dim = dim

    @property
    def least(self) -> int:
        """The finest grid of an input whose exponentials are few enough for a table."""
        return math.ceil(math.log2(math.log(2 << (self.bits + TABLE_GUARD)) / 1024))

    def frozen(self) -> nn.Module:
        return hwgen.nn.Softmax(self.in_exponent, self.bits, self.dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.frozen()(x) if self.started() else x.softmax(self.dim)


class Steps(_OfIntegers):
    """The steps of a recurrent cell, from the input's part of its gates [N, steps, units * gates]: all hidden states.

    `hidden` holds the weights that meet the hidden state, by unit; formats -- as hwgen.nn.Recurrent says
    """

    def __init__(self, of: Any):
        super().__init__(of.formats[5])
        self.hidden, self.new_bias, self.kind, self.formats = of.hidden, of.new_bias, of.kind, of.formats

    def frozen(self) -> nn.Module:
        self.always = True
        self._forward_hooks.clear()
        return self

    def forward(self, x: Tensor) -> Tensor:
        given = x, self.hidden.weight, self.new_bias, self.kind, self.formats
        if self.started():
            return nn_recurrent.recurrent(*given)
        return nn_recurrent._steps(*given, lambda value, *_: value)


class Recurrent(nn.Module):
    """torch's LSTM, GRU or RNN: a Linear and the steps of a cell for each layer and direction."""

    def __init__(self, of: Any, bits: int):
        super().__init__()
        if of.proj_size:
            raise UnsupportedLayer(
                f"an LSTM with proj_size={of.proj_size}", "", "leave it out, and put a Linear behind"
            )
        self.directions, self.batch_first, self.lstm = 1 + of.bidirectional, of.batch_first, isinstance(of, nn.LSTM)
        kind: Any = getattr(hwgen.nn, type(of).__name__)
        formats = {"hidden_bits": max(2, bits), "hidden_exponent": 1 - max(2, bits)}
        cells = [kind.of(one, **formats) for one in _single_layers(of)]
        self.inputs = nn.ModuleList(cell.input for cell in cells)
        self.steps = nn.ModuleList(Steps(cell) for cell in cells)
        self.dropout = nn.Dropout(of.dropout)

    def forward(self, x, hx=None):
        x = x if self.batch_first else x.transpose(0, 1)
        last = []
        for first in range(0, len(self.steps), self.directions):
            x = x if first == 0 else self.dropout(x)
            found = [self.steps[first](self.inputs[first](x))]
            last.append(found[0][:, -1])
            if self.directions == 2:
                found.append(self.steps[first + 1](self.inputs[first + 1](x.flip(1))).flip(1))
                last.append(found[1][:, 0])
            x = found[0] if len(found) == 1 else torch.cat(found, 2)
        state = torch.stack(last) if len(last) > 1 else last[0].unsqueeze(0)
        return (x if self.batch_first else x.transpose(0, 1)), ((state, None) if self.lstm else state)


def _single_layers(of: Any) -> list[Any]:
    """Each layer and direction as a layer of its own, batch_first."""
    found = []
    for names in of._all_weights:
        weights = [getattr(of, part) for part in names]
        more = {"nonlinearity": of.nonlinearity} if isinstance(of, nn.RNN) else {}
        one = type(of)(weights[0].shape[1], of.hidden_size, bias=of.bias, batch_first=True, **more)
        for part, value in zip(one._all_weights[0], weights, strict=True):
            getattr(one, part).data = value.detach().clone()
        found.append(one.train(of.training))
    return found


class LayerNorm(nn.Module):
    """torch's, over the last dimensions, which `shape` has."""

    def __init__(self, shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, eps: float, bits: int):
        super().__init__()
        self.shape = shape
        self.norm = Normalize(math.prod(shape), eps, bits)
        self.affine = nn.Identity() if weight is None else Affine(weight.flatten(), _flat(bias), -1)

    def forward(self, x):
        if len(self.shape) == 1:
            return self.affine(self.norm(x))
        return self.affine(self.norm(x.flatten(-len(self.shape)))).unflatten(-1, self.shape)


class GroupNorm(nn.Module):
    """torch's; with as many groups as channels an InstanceNorm."""

    def __init__(self, of: Any, size: int, bits: int):
        super().__init__()
        self.groups = of.num_groups if isinstance(of, nn.GroupNorm) else of.num_features
        self.norm = Normalize(size, of.eps, bits)
        self.affine = nn.Identity() if of.weight is None else Affine(of.weight, of.bias)

    def forward(self, x):
        y = self.norm(x.reshape(x.shape[0], self.groups, -1))
        return self.affine(y.reshape(x.shape))


class PReLU(nn.Module):
    """A slope for each channel: a * x + (1 - a) * relu(x)."""

    def __init__(self, slope: Tensor):
        super().__init__()
        self.below, self.above = Affine(slope, None), Affine(1 - slope, None)

    def forward(self, x):
        return self.below(x) + self.above(functional.relu(x))


class ScaledDotProduct(nn.Module):
    """softmax(q k^T / sqrt(size)) v."""

    def __init__(self, scale: float | None, dropout: float = 0.0):
        super().__init__()
        self.scale, self.dropout = scale, nn.Dropout(dropout)

    def forward(self, q, k, v):
        scale = q.shape[-1] ** -0.5 if self.scale is None else self.scale
        scores = (q if self.scale == 1 else q * scale) @ k.transpose(-2, -1)
        return self.dropout(functional.softmax(scores, dim=-1)) @ v


class Attention(nn.Module):
    """torch's MultiheadAttention with a Linear for each of its parts; the scale is in the queries' weights."""

    def __init__(self, of: nn.MultiheadAttention):
        super().__init__()
        if of.bias_k is not None or of.add_zero_attn:
            raise UnsupportedLayer("MultiheadAttention with add_bias_kv or add_zero_attn", "", "leave them out")
        size, self.heads, self.batch_first = of.embed_dim, of.num_heads, of.batch_first
        weights = (
            (of.q_proj_weight, of.k_proj_weight, of.v_proj_weight)
            if of.in_proj_weight is None
            else of.in_proj_weight.chunk(3)
        )
        biases = (None, None, None) if of.in_proj_bias is None else of.in_proj_bias.chunk(3)
        scale = of.head_dim**-0.5
        self.q, self.k, self.v = (
            linear(w * s, None if b is None else b * s)
            for w, b, s in zip(weights, biases, (scale, 1.0, 1.0), strict=True)
        )
        self.attention = ScaledDotProduct(1, of.dropout)
        self.out = linear(of.out_proj.weight, of.out_proj.bias)
        self.head_size = size // self.heads

    def _split(self, x):
        x = x if self.batch_first else x.transpose(0, 1)
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.head_size).transpose(1, 2)

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
    ):
        if key_padding_mask is not None or attn_mask is not None or is_causal:
            raise UnsupportedLayer("attention with a mask", "", "leave the mask out")
        y = self.attention(self._split(self.q(query)), self._split(self.k(key)), self._split(self.v(value)))
        y = self.out(y.transpose(1, 2).flatten(2))
        return (y if self.batch_first else y.transpose(0, 1)), None


class EncoderLayer(nn.Module):
    """torch's TransformerEncoderLayer, of its own parts."""

    def __init__(self, of: nn.TransformerEncoderLayer):
        super().__init__()
        self.self_attn, self.linear1, self.linear2 = of.self_attn, of.linear1, of.linear2
        self.norm1, self.norm2, self.norm_first = of.norm1, of.norm2, of.norm_first
        self.dropout, self.dropout1, self.dropout2 = of.dropout, of.dropout1, of.dropout2
        self.activation = of.activation

    def _attend(self, x):
        return self.dropout1(self.self_attn(x, x, x, need_weights=False)[0])

    def _feed(self, x):
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        if src_mask is not None or src_key_padding_mask is not None or is_causal:
            raise UnsupportedLayer("a TransformerEncoderLayer with a mask", "", "leave the mask out")
        if self.norm_first:
            x = src + self._attend(self.norm1(src))
            return x + self._feed(self.norm2(x))
        x = self.norm1(src + self._attend(src))
        return self.norm2(x + self._feed(x))


class Encoder(nn.Module):
    """torch's TransformerEncoder."""

    def __init__(self, of: nn.TransformerEncoder):
        super().__init__()
        self.layers, self.norm = of.layers, of.norm if of.norm is not None else nn.Identity()

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
        if mask is not None or src_key_padding_mask is not None or is_causal:
            raise UnsupportedLayer("a TransformerEncoder with a mask", "", "leave the mask out")
        for layer in self.layers:
            src = layer(src)
        return self.norm(src)


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A Linear of given weights."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, dtype=weight.dtype)
    made.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone())
    return made


def _flat(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.flatten()


def settle(module: Any) -> None:
    """Puts the values of a parametrized module's weights in their place. (remove_parametrizations would change the
    class, which a copy shares with its original.)"""
    values = {name: getattr(module, name).detach().contiguous().clone() for name in module.parametrizations}
    del module.parametrizations
    module.__class__ = type(module).__bases__[0]
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value))


OWN_WEIGHTS = (Affine, Constant, Steps)
PARTS = (Recurrent, LayerNorm, GroupNorm, PReLU, ScaledDotProduct, Attention, EncoderLayer, Encoder)
