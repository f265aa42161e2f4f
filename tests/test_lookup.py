"""Functions of one activation as a table: exactly the function in float64, then the quantizer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from hwgen import BuildConfig, build, simulate
from hwgen.engines.lookup import Lookup as LookupUnit
from hwgen.errors import HwgenError, MissingActQuant, OffGrid, ToolFailed, UnsupportedLayer
from hwgen.frontend import import_model
from hwgen.functions import Levels
from hwgen.ir import TensorType
from hwgen.nn import ActQuant
from hwgen.ops.lookup import FUNCTIONS, Lookup
from hwgen.ops.quantize import Quantize
from hwgen.passes import run_passes
from hwgen.qtype import QType
from hwgen.simulators import SIMULATORS
from hwgen.stage import Stage
from hwgen.stream import Order

BEFORE, AFTER = ActQuant(8, -4, True), ActQuant(6, -5, True)


class Calls(nn.Module):
    """A function between two quantizers."""

    def __init__(self, function, before=BEFORE, after=AFTER):
        super().__init__()
        self.function, self.before, self.after = function, before, after

    def forward(self, x):
        return self.after(self.function(self.before(x)))


def every(bits, exponent, signed):
    """A frame with every value of a quantizer."""
    low = -(1 << (bits - 1)) if signed else 0
    return (torch.arange(low, low + (1 << bits)).double() * 2.0**exponent).reshape(1, -1)


def golden(net, x):
    graph = run_passes(import_model(net, (x.float(),)))
    return graph, graph.golden(x)[0]


WITH_ARGUMENTS = {
    "celu": lambda x: functional.celu(x, 0.7),
    "elu": lambda x: functional.elu(x, 0.5),
    "gelu": lambda x: functional.gelu(x, approximate="tanh"),
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.1),
    "softplus": lambda x: functional.softplus(x, beta=2),
    "threshold": lambda x: functional.threshold(x, 0.3, -1.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_table_is_the_float64_function_then_the_quantizer(name):
    function = getattr(torch, name, None) or getattr(functional, name, None) or functional.logsigmoid
    signed = name not in ("rsqrt", "sqrt")
    before = ActQuant(8, -4, signed)
    if name == "rsqrt":  # not of zero
        before = nn.Sequential(before, nn.Hardtanh(1 / 16, 100.0), ActQuant(8, -4))
    net = Calls(WITH_ARGUMENTS.get(name, function), before).eval()
    x = every(8, -4, signed)
    graph, y = golden(net, x)
    assert [type(node.op) for node in graph.nodes][-1] is Lookup
    assert torch.equal(y, net.double()(x))


@settings(deadline=None, max_examples=60)
@given(
    low=st.integers(-512, 511),
    span=st.integers(0, 511),
    exponent=st.integers(-6, 2),
    out=st.integers(-8, 4),
    seed=st.integers(0, 1000),
)
def test_any_function_on_any_range(low, span, exponent, out, seed):
    """A table of random values, ties among them, against rounding half up in exact integers."""
    x = TensorType((2, 3, 4), QType(low, min(low + span, 511)), exponent)
    rng = np.random.default_rng(seed)
    halves = rng.integers(-400, 400, x.qtype.high - x.qtype.low + 1)
    values = halves * 2.0 ** (out - 1)
    op = Lookup.of("any", values, Levels.of(Quantize(out, -20, 31)), out, x, "")
    assert op.table.tolist() == [min(max((half + 1) // 2, -20), 31) for half in halves.tolist()]
    frame = torch.from_numpy(rng.integers(x.qtype.low, x.qtype.high + 1, (1, *x.shape)))
    assert torch.equal(op.eval([x], frame), torch.from_numpy(op.table)[frame - x.qtype.low])
    y = op.infer(x)
    assert y.qtype.low <= op.table.min() and op.table.max() <= y.qtype.high
    unit = LookupUnit(Stage.alone("table", op, None, x), Order(x.shape))
    words = [int(line, 16) for line in unit.files()["rom/table.hex"].split()]
    for value in range(x.qtype.low, x.qtype.high + 1):
        assert words[value % (1 << x.qtype.bits)] == op.table[value - x.qtype.low] % (1 << y.qtype.bits)


def network() -> nn.Module:
    """Tables behind a map on lanes or adders, before one, and before a Linear; odd widths."""
    torch.manual_seed(3)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.into = ActQuant(8, -7, True)
            self.conv1, self.quant1, self.quant2 = (
                nn.Conv2d(2, 4, 3, padding=1),
                ActQuant(8, -4, True),
                ActQuant(6, -4, True),
            )
            self.conv2, self.quant3, self.quant4 = nn.Conv2d(4, 3, 3, stride=2), ActQuant(10, -6, True), ActQuant(4, -4)
            self.linear = nn.Linear(3 * 3 * 3, 3)
            for layer in (self.conv1, self.conv2, self.linear):
                layer.weight.data = torch.randint(-3, 4, layer.weight.shape) / 8
                layer.bias.data = torch.randint(-8, 8, layer.bias.shape) / 16

        def forward(self, x):
            x = self.quant2(functional.silu(self.quant1(self.conv1(self.into(x)))))
            x = self.quant4(torch.sigmoid(self.quant3(self.conv2(x))))
            return self.linear(x.flatten(1))

    return Net().eval()


@pytest.mark.sim
@pytest.mark.parametrize(
    ("options", "simulator"),
    [
        ({"lanes": 4}, "verilator"),
        ({"lanes": 64}, "icarus"),
        ({"engine": "spatial"}, "icarus"),
        ({"engine": "spatial", "pixels": 7}, "icarus"),
        ({"fps": 500_000}, "icarus"),
    ],
)
def test_a_network_with_tables_equals_pytorch(options, simulator, tmp_path):
    net, x = network(), torch.randn(6, 2, 7, 7)
    design = build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(**options))
    sides = {placed.inputs[0].order.side for placed in design.placed if placed.unit.kind == "lookup"}
    want = net.double()(x.double()).detach().numpy()
    for stall in (0.0, 0.4):
        y, _ = simulate(tmp_path / "net", x.numpy(), simulator=simulator, stall=stall)
        assert np.array_equal(y, want)
    if options.get("lanes") == 4:
        assert max(sides) > 1  # several activations a beat


@pytest.mark.parametrize(
    ("net", "error", "words"),
    [
        (Calls(functional.silu, ActQuant(11, -4, True)), UnsupportedLayer, ("silu of 11 bits", "up to 10")),
        (Calls(torch.sigmoid, after=nn.Identity()), MissingActQuant, ("result of sigmoid", "behind it (sigmoid)")),
        (Calls(torch.rsqrt, ActQuant(4, 0)), OffGrid, ("rsqrt(0) is inf", "finite")),
    ],
)
def test_a_table_that_cannot_be_is_refused(net, error, words, tmp_path):
    with pytest.raises(HwgenError) as caught:
        build(net.eval(), (torch.zeros(1, 4),), out=tmp_path / "net")
    assert isinstance(caught.value, error) and all(word in str(caught.value) for word in words), caught.value
    assert not (tmp_path / "net").exists()


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_wrong_table_ends_the_simulation(simulator, tmp_path):
    net = Calls(torch.sigmoid).eval()
    build(net, (torch.zeros(1, 4),), out=tmp_path / "net")
    (rom,) = (tmp_path / "net" / "rom").iterdir()
    words = rom.read_text().split()
    rom.write_text("\n".join(reversed(words)) + "\n")
    with pytest.raises(ToolFailed, match=r"ROM (.|\n)*does not hold"):
        simulate(tmp_path / "net", np.zeros((1, 4)), simulator=simulator, edited=True)
