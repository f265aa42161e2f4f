"""Recurrent: a cell over a sequence, the state carried from step to step within a frame: LSTM, GRU, RNN."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from hwgen.errors import DoesNotFit, MissingActQuant, UnsupportedLayer
from hwgen.grids import limits, round_half_up
from hwgen.ir import Op, TensorType
from hwgen.nn_recurrent import GATES
from hwgen.ops import imports
from hwgen.ops.conv import ACTIVATION_BITS, Conv
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType

OPERAND_BITS = 26  # of the multiplier of a cell, rtl/pe_mac.v


def to_grid(value: torch.Tensor, exponent: int, bits: int, grid: int) -> torch.Tensor:
    """Integers worth 2^exponent as those of so many bits, two's complement, worth 2^grid."""
    return Quantize._round(value, grid - exponent).clamp(*limits(bits, True))


@dataclass(frozen=True, eq=False)
class Recurrent(Op):
    """Frames (units * gates, 1, steps), the input's part of the gates of unit 0, then of unit 1 ..., give the hidden
    states (units, 1, steps); the formulas are those of hwgen/nn_recurrent.py.

    kind    rnn, lstm or gru
    weight  float64 [units * gates, units], read by value: multiples of a power of two, at most 16 significant bits
    bias    int64 [units], of a GRU's new gate, on the grid of gates
    gate_bits ... hidden_exponent  formats, as the modules of hwgen/nn_recurrent.py have them
    path    the layer's path in the module, for messages
    """

    kind: str
    weight: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)
    gate_bits: int
    gate_exponent: int
    activation_bits: int
    state_bits: int
    state_exponent: int
    hidden_bits: int
    hidden_exponent: int
    path: str = ""

    def __str__(self) -> str:
        return f"{self.kind.upper()}[{self.units} units]"

    @property
    def gates(self) -> int:
        return GATES[self.kind]

    @property
    def units(self) -> int:
        return self.weight.shape[1]

    @property
    def has_weights(self) -> bool:
        return True

    @cached_property
    def matrix(self) -> Conv:
        """What the hidden state is multiplied with, as a layer."""
        return Conv(self.weight[:, :, None, None], np.zeros(len(self.weight)), path=self.path)

    @property
    def hidden(self) -> TensorType:
        """The hidden state."""
        return TensorType((self.units, 1, 1), QType(*limits(self.hidden_bits, True)), self.hidden_exponent)

    @cached_property
    def sums(self) -> TensorType:
        """The hidden state multiplied with the matrix."""
        return self.matrix.infer(self.hidden)

    @property
    def factor_exponent(self) -> int:
        """The grid of what is multiplied with a gate's value: fine enough for all results."""
        values = 1 - self.activation_bits
        if self.kind == "lstm":
            states = min(self.state_exponent, values)
            return min(states, self.state_exponent + self.activation_bits, self.hidden_exponent + self.activation_bits)
        return min(values, self.hidden_exponent)

    @property
    def factor_bits(self) -> int:
        """Bits of the widest of these."""
        others = self.hidden_bits, self.hidden_exponent
        if self.kind == "lstm":
            others = self.state_bits, self.state_exponent
        values = self.activation_bits, 1 - self.activation_bits
        aligned = max(bits + exponent - self.factor_exponent for bits, exponent in (values, others))
        return max(aligned, self.gate_bits) if self.kind == "gru" else aligned

    def infer(self, x: TensorType) -> TensorType:
        channels, rows, steps = x.shape
        if channels != len(self.weight) or rows != 1:
            raise UnsupportedLayer(
                f"{self.kind.upper()} of {self.units} units on a frame {list(x.shape)}",
                self.path,
                f"give it [N, steps, {len(self.weight)}]",
            )
        if x.qtype.bits > ACTIVATION_BITS:
            raise MissingActQuant(
                f"the input's part of its gates has {x.qtype.bits} bits",
                self.path,
                "put hwgen.nn.ActQuant(bits, exponent, signed) before it",
            )
        if self.kind != "rnn" and self.factor_bits > OPERAND_BITS:
            raise DoesNotFit(
                f"its states and values on a common grid have {self.factor_bits} bits, above {OPERAND_BITS}",
                self.path,
                "give them fewer bits, or exponents that are nearer to each other",
            )
        for exponent in (x.exponent, self.sums.exponent):
            Quantize(self.gate_exponent, 0, 1).infer(TensorType(x.shape, self.sums.qtype, exponent))
        return TensorType((self.units, 1, steps), self.hidden.qtype, self.hidden_exponent)

    def table(self, function: str) -> torch.Tensor:
        """int64: sigmoid or tanh of each integer of a gate, from the least: the function in float64, then rounded."""
        integers = torch.arange(*(end + i for i, end in enumerate(limits(self.gate_bits, True))))
        values = getattr(torch, function)(integers.double() * 2.0**self.gate_exponent)
        bits = self.activation_bits
        exponent = -bits if function == "sigmoid" else 1 - bits
        if self.kind == "rnn":
            bits, exponent = self.hidden_bits, self.hidden_exponent
        return round_half_up(values, exponent).clamp(*limits(bits, function == "tanh")).long()

    def eval(self, types, x):
        (kind,) = types
        count, _, _, steps = x.shape
        lowest = limits(self.gate_bits, True)[0]
        tables = {name: self.table(name) for name in ("sigmoid", "tanh")}
        matrix = torch.from_numpy(self.matrix.integers.reshape(self.weight.shape).astype(np.float64)).T
        cell = _Cell(self, kind.exponent, {name: lambda a, t=t: t[a - lowest] for name, t in tables.items()})
        h = state = torch.zeros(count, self.units, dtype=torch.int64)
        found = []
        for p in x[:, :, 0].reshape(count, self.units, self.gates, steps).unbind(-1):
            sums = (h.double() @ matrix).long().reshape(count, self.units, self.gates)  # exact: below 2^47
            h, state = getattr(cell, self.kind)(p, sums, h, state)
            found.append(h)
        return torch.stack(found, -1)[:, :, None]


class _Cell:
    """A step of each kind: (the input's part, sums [N, units, gates], h, state) -> (h, state), all int64."""

    def __init__(self, op: Recurrent, exponent: int, functions):
        """exponent -- of the input's part; functions -- by name, of integers of a gate"""
        self.op, self.exponent = op, exponent
        self.sigmoid, self.tanh = functions["sigmoid"], functions["tanh"]

    def gate(self, value: torch.Tensor, exponent: int) -> torch.Tensor:
        return to_grid(value, exponent, self.op.gate_bits, self.op.gate_exponent)

    def together(self, p: torch.Tensor, other: torch.Tensor, exponent: int) -> torch.Tensor:
        """The gate of the input's part and something else, worth 2^exponent."""
        grid = min(self.exponent, exponent)
        return self.gate((p << (self.exponent - grid)) + (other << (exponent - grid)), grid)

    def hidden(self, value: torch.Tensor, exponent: int) -> torch.Tensor:
        return to_grid(value, exponent, self.op.hidden_bits, self.op.hidden_exponent)

    def rnn(self, p, sums, h, state):
        return self.tanh(self.together(p, sums, self.op.sums.exponent)[..., 0]), state

    def lstm(self, p, sums, h, state):
        op = self.op
        i, f, g, o = self.together(p, sums, op.sums.exponent).unbind(-1)
        grid = min(op.state_exponent, 1 - op.activation_bits)
        kept = self.sigmoid(f) * (state << (op.state_exponent - grid))
        new = self.sigmoid(i) * (self.tanh(g) << (1 - op.activation_bits - grid))
        state = to_grid(kept + new, grid - op.activation_bits, op.state_bits, op.state_exponent)
        seen = self.gate(state, op.state_exponent)
        return self.hidden(self.sigmoid(o) * self.tanh(seen), 1 - 2 * op.activation_bits), state

    def gru(self, p, sums, h, state):
        op = self.op
        r, z = self.sigmoid(self.together(p, sums, op.sums.exponent)[..., :2]).unbind(-1)
        bias = torch.from_numpy(op.bias)
        grid = min(op.sums.exponent, op.gate_exponent)
        u = (sums[..., 2] << (op.sums.exponent - grid)) + (bias << (op.gate_exponent - grid))
        n = self.tanh(self.together(p[..., 2], r * self.gate(u, grid), op.gate_exponent - op.activation_bits))
        grid = min(op.hidden_exponent, 1 - op.activation_bits)
        n, h = n << (1 - op.activation_bits - grid), h << (op.hidden_exponent - grid)
        return self.hidden(((1 << op.activation_bits) - z) * n + z * h, grid - op.activation_bits), state


@imports("hwgen.recurrent.default")
def recurrent(importer, x, weight, bias, kind, formats):
    gate_exponent = formats[1]
    levels = round_half_up(torch.from_numpy(np.zeros(weight.shape[1]) if bias is None else bias), gate_exponent)
    rounded = levels.clamp(*limits(16, True)).long().numpy()
    return importer.over(x, 2, Recurrent(kind, weight, rounded, *formats, path=importer.path))
