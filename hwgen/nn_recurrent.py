"""Recurrent cells in integers: what a network puts in the place of torch.nn.LSTM, GRU and RNN.

All are one custom operator (`hwgen::recurrent`), so that a cell stays one node through `torch.export`; what it reads,
the input's part of all gates, comes from an ordinary layer. `python -m benchmarks.recurrent` prints how far they are
from the float layers.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hwgen.errors import BadInput
from hwgen.grids import MAX_BITS, MAX_EXPONENT, limits, require_float, require_int, round_half_up

# what a cell's numbers are: bits and exponent of a gate, bits of its function's value, bits and exponent of an LSTM's
# state, and of a hidden state
FORMATS = (
    "gate_bits",
    "gate_exponent",
    "activation_bits",
    "state_bits",
    "state_exponent",
    "hidden_bits",
    "hidden_exponent",
)
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
MAX_GATE_BITS = 10
MAX_ACTIVATION_BITS = 12

Quantizer = Callable[[Tensor, int, int, bool], Tensor]


def _rounded(x: Tensor, bits: int, exponent: int, signed: bool = True) -> Tensor:
    return round_half_up(x, exponent).clamp(*limits(bits, signed)) * 2.0**exponent


def _straight_through(x: Tensor, bits: int, exponent: int, signed: bool = True) -> Tensor:
    """`_rounded`, with the gradient of a clamp."""
    low, high = (end * 2.0**exponent for end in limits(bits, signed))
    inside = x.clamp(low, high)
    return inside + (_rounded(x, bits, exponent, signed) - inside).detach()


def _steps(x: Tensor, weight: Tensor, bias: Tensor | None, kind: str, formats: list[int], rounded: Quantizer) -> Tensor:
    """The definition of the cells, in floats; see `LSTM`, `GRU` and `RNN`."""
    gate_bits, gate_exponent, activation_bits, state_bits, state_exponent, hidden_bits, hidden_exponent = formats
    gates, units = GATES[kind], weight.shape[1]

    def gate(value: Tensor) -> Tensor:
        return rounded(value, gate_bits, gate_exponent, True)

    def sigmoid(value: Tensor) -> Tensor:
        return rounded(torch.sigmoid(value), activation_bits, -activation_bits, False)

    def tanh(value: Tensor) -> Tensor:
        return rounded(torch.tanh(value), activation_bits, 1 - activation_bits, True)

    def hidden(value: Tensor) -> Tensor:
        return rounded(value, hidden_bits, hidden_exponent, True)

    def rnn(p: Tensor, s: Tensor) -> Tensor:
        return hidden(torch.tanh(gate(p + s)[..., 0]))

    def lstm(p: Tensor, s: Tensor) -> Tensor:
        nonlocal state
        i, f, g, o = gate(p + s).unbind(-1)
        state = rounded(sigmoid(f) * state + sigmoid(i) * tanh(g), state_bits, state_exponent, True)
        return hidden(sigmoid(o) * tanh(gate(state)))

    def gru(p: Tensor, s: Tensor) -> Tensor:
        r, z = sigmoid(gate((p + s)[..., :2])).unbind(-1)
        u = s[..., 2] if offset is None else s[..., 2] + offset
        n = tanh(gate(p[..., 2] + r * gate(u)))
        return hidden((1 - z) * n + z * h)

    offset = None if bias is None else rounded(bias, MAX_BITS, gate_exponent, True)
    cell = {"rnn": rnn, "lstm": lstm, "gru": gru}[kind]
    h = state = x.new_zeros(len(x), units)
    found = []
    for p in x.unflatten(2, (units, gates)).unbind(1):
        h = cell(p, (h @ weight.T).unflatten(1, (units, gates)))
        found.append(h)
    return torch.stack(found, 1)


@torch.library.custom_op("hwgen::recurrent", mutates_args=())
def recurrent(x: Tensor, weight: Tensor, bias: Tensor | None, kind: str, formats: list[int]) -> Tensor:
    """All hidden states [N, steps, units] of a cell, zero before the first step; see `LSTM`, `GRU` and `RNN`.

    x -- [N, steps, units * gates], the input's part of the gates of unit 0, then of unit 1 ...; weight -- [units *
    gates, units]; bias -- [units] of a GRU's new gate, within its product; formats -- the numbers of FORMATS
    """
    require_float(x, "recurrent")
    return _steps(x, weight, bias, kind, formats, _rounded)


@recurrent.register_fake
def _(x, weight, bias, kind, formats):
    require_float(x, "recurrent")
    return x.new_empty(*x.shape[:2], weight.shape[1])


def _recurrent_setup(ctx, inputs, output):
    x, weight, bias, ctx.kind, ctx.formats = inputs
    ctx.save_for_backward(x, weight, bias)


def _recurrent_backward(ctx, grad):
    """Through the steps once more, each rounding straight through."""
    x, weight, bias = ctx.saved_tensors
    x, weight = (value.detach().requires_grad_() for value in (x, weight))
    bias = None if bias is None else bias.detach().requires_grad_()
    with torch.enable_grad():
        y = _steps(x, weight, bias, ctx.kind, ctx.formats, _straight_through)
    found = torch.autograd.grad(y, [x, weight] if bias is None else [x, weight, bias], grad)
    return *found, *([None] if bias is None else []), None, None


recurrent.register_autograd(_recurrent_backward, setup_context=_recurrent_setup)


class Recurrent(nn.Module):
    """What `LSTM`, `GRU` and `RNN` have in common: a cell over a sequence, its arithmetic in integers.

    input_size, hidden_size   as in torch, of one layer in one direction with batch_first=True
    bias             whether there is one
    gate_bits        2 to 10: a gate before its function, two's complement, so many bits worth 2^gate_exponent
    activation_bits  2 to 12: the value of a sigmoid is that many bits of 2^-activation_bits, that of a tanh as many,
                     two's complement, of 2^(1 - activation_bits)
    hidden_bits      2 to 16: a hidden state, two's complement, of 2^hidden_exponent
    input_bits       1 to 16: the input's part of a gate, two's complement, of 2^input_exponent

    `input` is the Linear that makes the input's part of all gates, `quant` the ActQuant behind it, and `hidden` a
    Linear whose weight is multiplied with the hidden state: multiples of a power of two, at most 16 significant bits
    each, or the build refuses it. Their rows are the gates of unit 0 in torch's order, then those of unit 1, and so on:
    `of` turns a float layer's around.

    x is [N, steps, input_size], float32 or float64, and quantized; the result is that of torch's layer, (all hidden
    states [N, steps, hidden_size], the last one [1, N, hidden_size]). The state begins with zeros. In float64 it is
    exact: the integers that the hardware gives. Gradient: straight through each rounding, zero beyond its range.
    Raises BadInput for an argument or a dtype outside these.
    """

    kind: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        gate_bits: int = 10,
        gate_exponent: int = -6,
        activation_bits: int = 8,
        state_bits: int = 16,
        state_exponent: int = -12,
        hidden_bits: int = 8,
        hidden_exponent: int = -7,
        input_bits: int = 12,
        input_exponent: int = -8,
    ):
        super().__init__()
        from hwgen.nn import ActQuant  # which itself offers the cells

        name = type(self).__name__
        for what, bits, least, most in (
            ("input_size", input_size, 1, 1 << 20),
            ("hidden_size", hidden_size, 1, 1 << 20),
            ("gate_bits", gate_bits, 2, MAX_GATE_BITS),
            ("activation_bits", activation_bits, 2, MAX_ACTIVATION_BITS),
            ("state_bits", state_bits, 2, 24),
            ("hidden_bits", hidden_bits, 2, MAX_BITS),
        ):
            require_int(what, bits, least, most, name)
        exponents = {"gate": gate_exponent, "state": state_exponent, "hidden": hidden_exponent}
        for what, exponent in exponents.items():
            require_int(f"{what}_exponent", exponent, -MAX_EXPONENT, MAX_EXPONENT, name)
        self.hidden_size = hidden_size
        self.formats = [
            gate_bits,
            gate_exponent,
            activation_bits,
            state_bits,
            state_exponent,
            hidden_bits,
            hidden_exponent,
        ]
        self.input = nn.Linear(input_size, hidden_size * GATES[self.kind], bias=bias)
        self.quant = ActQuant(input_bits, input_exponent, signed=True)
        self.hidden = nn.Linear(hidden_size, hidden_size * GATES[self.kind], bias=False)
        self.new_bias = nn.Parameter(torch.zeros(hidden_size)) if bias and self.kind == "gru" else None

    @classmethod
    def of(cls, layer: Any, **formats: int) -> "Recurrent":
        """The cell with the weights and biases of a layer of torch: one layer, one direction, batch_first, tanh.

        formats -- as the constructor takes them. Raises BadInput for another layer.
        """
        name = cls.__name__
        if type(layer).__name__ != name or getattr(layer, "mode", "").split("_")[0].lower() != cls.kind:
            raise BadInput(f"a {type(layer).__name__}", name, f"give a torch.nn.{name}")
        odd = {
            f"num_layers={layer.num_layers}": layer.num_layers != 1,
            "bidirectional=True": layer.bidirectional,
            "batch_first=False": not layer.batch_first,
            f"proj_size={layer.proj_size}": layer.proj_size != 0,
            f"nonlinearity {layer.mode}": layer.mode == "RNN_RELU",
        }
        if any(odd.values()):
            what = ", ".join(text for text, is_odd in odd.items() if is_odd)
            raise BadInput(
                f"a {name} with {what}", name, f"make it {name}s of one layer, one direction, batch_first, with tanh"
            )
        cell = cls(layer.input_size, layer.hidden_size, bias=layer.bias, **formats)
        with torch.no_grad():
            cell.input.weight.copy_(cell._by_unit(layer.weight_ih_l0))
            cell.hidden.weight.copy_(cell._by_unit(layer.weight_hh_l0))
            if layer.bias:
                hidden = layer.bias_hh_l0.clone()
                if cell.new_bias is not None:
                    cell.new_bias.copy_(hidden[2 * layer.hidden_size :])
                    hidden[2 * layer.hidden_size :] = 0
                cell.input.bias.copy_(cell._by_unit(layer.bias_ih_l0 + hidden))
        return cell.train(layer.training)

    def _by_unit(self, rows: Tensor) -> Tensor:
        """Rows gate by gate -> rows unit by unit."""
        return rows.unflatten(0, (GATES[self.kind], self.hidden_size)).transpose(0, 1).flatten(0, 1)

    def states(self, x: Tensor) -> Tensor:
        """All hidden states."""
        if x.dim() != 3:
            raise BadInput(f"an input of shape {list(x.shape)}", type(self).__name__, "give [N, steps, features]")
        return recurrent(self.quant(self.input(x)), self.hidden.weight, self.new_bias, self.kind, self.formats)

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        y = self.states(x)
        return y, y[:, -1].unsqueeze(0)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in zip(FORMATS, self.formats, strict=True))


class RNN(Recurrent):
    """In the place of torch.nn.RNN with tanh; see `Recurrent` for the arguments.

    a = round(p + U h), h = round(tanh(a)): a on the grid of gates, h on that of hidden states, where p is the input's
    part and each `round` is floor(x + 1/2) on the grid, clamped to its ends.
    """

    kind = "rnn"


class LSTM(Recurrent):
    """In the place of torch.nn.LSTM; see `Recurrent` for the arguments.

    i, f, g, o = round(p + U h); c = round(S(f) * c + S(i) * T(g)); h = round(S(o) * T(round(c))): gates on their grid,
    c in state_bits, two's complement, of 2^state_exponent, then once more on the grid of gates, and h on that of hidden
    states. p is the input's part, S and T the rounded sigmoid and tanh; the products and their sum are exact before
    they are rounded. The last cell state is not given: the result is (all hidden states, (the last one, None)).
    """

    kind = "lstm"

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, None]]:
        y = self.states(x)
        return y, (y[:, -1].unsqueeze(0), None)


class GRU(Recurrent):
    """In the place of torch.nn.GRU; see `Recurrent` for the arguments.

    r, z = S(round(p + U h)); u = round(U h + b); n = T(round(p + r * u)); h = round((1 - z) * n + z * h): what is in
    front of S, T and r on the grid of gates, h on that of hidden states. p is the input's part, S and T the rounded
    sigmoid and tanh; products and sums are exact before they are rounded. b is `new_bias`, which is rounded to the grid
    of gates in 16 bits.
    """

    kind = "gru"
