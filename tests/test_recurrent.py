"""Recurrent cells: the module trains, in float64 it is the golden integers, and the hardware gives these."""

import numpy as np
import pytest
import torch
from torch import nn

from hwgen import BuildConfig, build, simulate
from hwgen.errors import BadInput, DoesNotFit, HwgenError, MissingActQuant, OffGrid, UnsupportedLayer
from hwgen.grids import limits
from hwgen.ir import TensorType
from hwgen.nn import GRU, LSTM, RNN, ActQuant
from hwgen.nn_recurrent import GATES
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.ops.recurrent import Recurrent
from hwgen.pace import interval_of
from hwgen.qtype import QType
from hwgen.simulators import SIMULATORS
from hwgen.units.recurrent import Recurrent as Unit
from tests.test_matmul import built, check, graph_of

CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
FLOAT = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
ODD = {  # numbers of a cell of which none divides another
    "gate_bits": 7,
    "gate_exponent": -3,
    "activation_bits": 6,
    "state_bits": 9,
    "state_exponent": -5,
    "hidden_bits": 10,
    "hidden_exponent": -9,
    "input_bits": 9,
    "input_exponent": -6,
}
COARSE = ODD | {"state_exponent": -2, "hidden_exponent": -4, "gate_exponent": -4, "input_exponent": -2}


def on_grid(cell: nn.Module, exponent: int = -5) -> nn.Module:
    """The cell with its weights on a grid."""
    with torch.no_grad():
        for layer in (cell.input, cell.hidden):
            layer.weight.copy_(torch.round(layer.weight * 2.0**-exponent) * 2.0**exponent)
        cell.input.bias.copy_(torch.round(cell.input.bias * 2.0**8) / 2.0**8)
    return cell


def cell_of(kind: str, units: int = 5, inputs: int = 3, seed: int = 0, **formats) -> nn.Module:
    torch.manual_seed(seed)
    layer = FLOAT[kind](inputs, units, batch_first=True)
    for parameter in layer.parameters():
        parameter.data *= 3
    return on_grid(CELLS[kind].of(layer, **formats)).eval()


def op_of(cell: nn.Module) -> Recurrent:
    """The op of a cell, as its import makes it."""
    levels = torch.zeros(cell.hidden_size) if cell.new_bias is None else cell.new_bias.detach().double()
    bias = torch.floor(levels * 2.0 ** -cell.formats[1] + 0.5).long().numpy()
    return Recurrent(cell.kind, cell.hidden.weight.detach().double().numpy(), bias, *cell.formats)


def graph_of_cell(cell: nn.Module, steps: int):
    """A Linear over time, its quantizer and the cell, on frames of quantized inputs."""
    weight, bias = (value.detach().double().numpy() for value in (cell.input.weight, cell.input.bias))
    quant = Quantize(cell.quant.exponent, *limits(cell.quant.bits, True))
    nodes = {
        "linear": (Conv(weight[:, :, None, None], bias), ("input",)),
        "parts": (quant, ("linear",)),
        "cell": (op_of(cell), ("parts",)),
    }
    return graph_of(TensorType((weight.shape[1], 1, steps), QType(-64, 63), -5), nodes)


@pytest.mark.parametrize("formats", [{}, ODD, COARSE])
@pytest.mark.parametrize("kind", CELLS)
def test_the_module_in_float64_is_the_golden_integers(kind, formats):
    cell = cell_of(kind, **formats)
    graph = graph_of_cell(cell, 9)
    q = torch.randint(-64, 64, (20, 3, 1, 9), generator=torch.Generator().manual_seed(1))
    got = graph.dequantize_outputs(*graph.eval(q))[0][:, :, 0].transpose(1, 2)
    states, last = cell.double()(q[:, :, 0].transpose(1, 2).double() * 2.0**-5)
    assert torch.equal(got, states) and len(states.unique()) > 10
    last = last[0] if kind == "lstm" else last
    assert torch.equal(last, states[:, -1][None])


@pytest.mark.parametrize("kind", CELLS)
def test_a_fine_cell_is_nearly_the_float_layer(kind):
    """With the finest formats the float layer's own results, but for their rounding: gates and order are torch's."""
    torch.manual_seed(3)
    layer = FLOAT[kind](4, 6, batch_first=True)
    fine = {"gate_bits": 10, "gate_exponent": -7, "activation_bits": 12, "hidden_bits": 16, "hidden_exponent": -15}
    cell = CELLS[kind].of(layer, **fine, input_bits=16, input_exponent=-12)
    x = torch.randn(8, 7, 4)
    assert (cell(x)[0] - layer(x)[0]).abs().max() < 2.0**-6
    rough = CELLS[kind].of(layer)
    assert 2.0**-8 < (rough(x)[0] - layer(x)[0]).abs().max() < 2.0**-2


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_are_nearly_those_of_the_float_layer(kind):
    torch.manual_seed(3)
    layer = FLOAT[kind](4, 6, batch_first=True)
    fine = {"gate_bits": 10, "gate_exponent": -7, "activation_bits": 12, "hidden_bits": 16, "hidden_exponent": -15}
    cell = CELLS[kind].of(layer, **fine, input_bits=16, input_exponent=-12)
    x = torch.randn(8, 7, 4)
    for module in (layer, cell):
        module(x)[0].square().sum().backward()
    want = cell._by_unit(layer.weight_hh_l0.grad)
    assert (cell.hidden.weight.grad - want).norm() < 0.05 * want.norm()
    want = cell._by_unit(layer.weight_ih_l0.grad)
    assert (cell.input.weight.grad - want).norm() < 0.05 * want.norm()
    if kind == "gru":
        want = layer.bias_hh_l0.grad[12:]
        assert (cell.new_bias.grad - want).norm() < 0.05 * want.norm()


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_learns(kind):
    """Whether the first of some numbers was positive: it must be remembered."""
    torch.manual_seed(5)
    cell = CELLS[kind](1, 8)
    head = nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()], lr=0.02)
    x = torch.round(torch.rand(256, 6, 1) * 16 - 8) / 8 + 1 / 16
    y = (x[:, 0] > 0).float()
    for _ in range(120):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(head(cell(x)[0][:, -1]), y)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        right = ((head(cell(x)[0][:, -1]) > 0) == (y > 0)).float().mean()
    assert right > 0.9


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_is_one_node_of_an_exported_program(kind, tmp_path):
    cell = cell_of(kind)
    x = torch.round(torch.randn(1, 6, 3) * 16) / 16
    program = torch.export.export(cell, (x,))
    calls = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert calls[:3] == ["aten.linear.default", "hwgen.act_quant.default", "hwgen.recurrent.default"]
    torch.export.save(program, tmp_path / "cell.pt2")
    again = torch.export.load(tmp_path / "cell.pt2").module()
    assert torch.equal(again(x)[0], cell(x)[0])


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.LSTM(2, 3), "batch_first=False"),
        (nn.LSTM(2, 3, 2, batch_first=True), "num_layers=2"),
        (nn.LSTM(2, 3, batch_first=True, bidirectional=True), "bidirectional=True"),
        (nn.LSTM(2, 3, batch_first=True, proj_size=2), "proj_size=2"),
        (nn.GRU(2, 3, batch_first=True), "a GRU"),
    ],
)
def test_other_layers_are_refused(layer, words):
    with pytest.raises(BadInput, match=words):
        LSTM.of(layer)


def test_relu_is_refused():
    with pytest.raises(BadInput, match="RNN_RELU"):
        RNN.of(nn.RNN(2, 3, batch_first=True, nonlinearity="relu"))


def test_bad_numbers_are_refused():
    with pytest.raises(BadInput, match="gate_bits = 11"):
        GRU(2, 3, gate_bits=11)
    with pytest.raises(BadInput, match=r"hidden_exponent = 0\.5"):
        GRU(2, 3, hidden_exponent=0.5)
    with pytest.raises(BadInput, match=r"\[4, 2\]"):
        GRU(2, 3)(torch.zeros(4, 2))


@pytest.mark.parametrize(
    ("change", "shape", "error", "words"),
    [
        ({}, (19, 1, 4), UnsupportedLayer, "give it"),
        ({}, (20, 2, 4), UnsupportedLayer, "give it"),
        ({"bits": 17}, (20, 1, 4), MissingActQuant, "17 bits"),
        ({"state_exponent": -30}, (20, 1, 4), DoesNotFit, "common grid"),
        ({"scale": 0.1}, (20, 1, 4), OffGrid, "multiple of a power of two"),
    ],
)
def test_a_cell_that_cannot_be_is_refused(change, shape, error, words):
    formats = {name: value for name, value in change.items() if name == "state_exponent"}
    cell = cell_of("lstm", **formats)
    cell.hidden.weight.data *= change.get("scale", 1.0)
    kind = TensorType(shape, QType(*limits(change.get("bits", 8), True)), -4)
    with pytest.raises(HwgenError, match=words) as caught:
        op_of(cell).infer(kind)
    assert isinstance(caught.value, error)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("kind", "options", "formats", "simulator"),
    [
        ("lstm", {"lanes": 1}, {}, "icarus"),
        ("lstm", {"lanes": 8}, ODD, "icarus"),
        ("gru", {"lanes": 3}, COARSE, "icarus"),
        ("gru", {"engine": "spatial"}, {}, "icarus"),
        ("rnn", {"fps": 1_000_000}, ODD, "icarus"),
        ("lstm", {"lanes": 2}, COARSE, "verilator"),
    ],
)
def test_a_network_with_a_cell_equals_the_golden_integers(kind, options, formats, simulator, tmp_path, monkeypatch):
    graph = graph_of_cell(cell_of(kind, units=4, **formats), 5)
    design = built(graph, tmp_path / "net", monkeypatch, **options)
    (unit,) = (placed.unit for placed in design.placed if isinstance(placed.unit, Unit))
    measured = check(tmp_path / "net", design.graph, simulator)
    print(kind, options, unit.lanes, "predicted", interval_of(design), "measured", measured)
    assert measured <= interval_of(design)


class Classifier(nn.Module):
    """A sequence through a cell, or two, and a Linear of the last hidden state."""

    def __init__(self, *kinds: str, units: int = 4):
        super().__init__()
        self.quant = ActQuant(6, -4, signed=True)
        inputs = [3, *[units] * (len(kinds) - 1)]
        self.cells = nn.ModuleList(
            cell_of(kind, units, size, seed=n) for n, (kind, size) in enumerate(zip(kinds, inputs, strict=True))
        )
        self.head = nn.Linear(units, 2)
        self.head.weight.data = torch.round(self.head.weight.data * 8) / 8
        self.head.bias.data = torch.round(self.head.bias.data * 8) / 8

    def forward(self, x):
        x = self.quant(x)
        for cell in self.cells:
            x, last = cell(x)
        last = last[0] if isinstance(last, tuple) else last
        return self.head(last[-1])


@pytest.mark.sim
@pytest.mark.parametrize(
    ("kinds", "options", "simulator"),
    [
        (("lstm",), {"lanes": 4}, "icarus"),
        (("gru", "rnn"), {"engine": "spatial"}, "icarus"),
        (("lstm", "gru"), {"fps": 100_000}, "verilator"),
    ],
)
def test_a_classifier_equals_pytorch(kinds, options, simulator, tmp_path):
    net = Classifier(*kinds).eval()
    x = torch.randn(6, 5, 3)
    design = build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(**options))
    want = net.double()(x.double()).detach().numpy()
    assert len(np.unique(want)) > 3
    for stall in (0.0, 0.3):
        y, run = simulate(tmp_path / "net", x.numpy(), simulator=simulator, stall=stall)
        assert np.array_equal(y, want)
        assert stall or run.interval <= interval_of(design)


def test_gates_are_those_of_torch():
    assert {kind: FLOAT[kind](2, 3).weight_hh_l0.shape[0] // 3 for kind in GATES} == GATES
    assert ActQuant(12, -8, signed=True).extra_repr() == LSTM(2, 3).quant.extra_repr()
    assert set(SIMULATORS) >= {"icarus", "verilator"}
