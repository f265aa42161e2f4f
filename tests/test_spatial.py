"""Spatial builds: a pixel or more a cycle, bit for bit, alone and beside lanes; one layer proven formally."""

import copy
import itertools
import subprocess

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import hwgen
from hwgen.cli import main
from hwgen.config import BuildConfig
from hwgen.emit import emit
from hwgen.errors import UnsupportedLayer
from hwgen.flow import read_design
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant, AvgPool2d
from hwgen.pace import interval_of, pace_of
from hwgen.simulators import lint
from hwgen.sums import term_count
from hwgen.units import adder_graph
from tests.networks import Fork
from tests.proofs import yosys

pytestmark = pytest.mark.sim


def weigh(layer: nn.Module, seed: int = 1, keep: float = 0.8) -> nn.Module:
    """Weights of one to three terms, some pruned; biases off the products' grid."""
    rng = np.random.default_rng(seed)
    shape = tuple(layer.weight.shape)
    weight = rng.choice([1, -1, 2, -0.5, 3, -6, 0.25, 5.5], shape) * (rng.random(shape) < keep)
    layer.weight.data = torch.from_numpy(weight).float()
    layer.bias.data = torch.from_numpy(rng.integers(-40, 40, len(layer.bias)) / 16).float()
    return layer


def frames(count: int, *shape: int, low: int = -9, high: int = 9) -> torch.Tensor:
    """Integers, a little beyond what four bits hold; the first two frames are the ends."""
    x = torch.randint(low, high + 1, (count, *shape), generator=torch.Generator().manual_seed(2)).float()
    x[0], x[1] = low, high
    return x


def build(net: nn.Module, x: torch.Tensor, folder, **options):
    """The design of a build in `folder`; spatial where nothing else is said."""
    return hwgen.build(net.eval(), (x[:1],), out=folder, config=BuildConfig(**{"engine": "spatial"} | options))


def exact(net: nn.Module, x: torch.Tensor, folder, simulator: str = "icarus", stall: float = 0.0):
    """Runs the build and asserts each value; returns the run."""
    y, run = hwgen.simulate(folder, x.numpy(), simulator=simulator, stall=stall)
    with torch.no_grad():
        want = copy.deepcopy(net).double()(x.double()).numpy()
    assert np.array_equal(y, want), f"{np.count_nonzero(y != want)} of {y.size} differ"
    return run


def kinds(design) -> dict[str, str]:
    return {placed.unit.name: placed.unit.kind for placed in design.placed}


# Linear


def chain() -> nn.Module:
    return nn.Sequential(
        ActQuant(4, 0, signed=True),
        weigh(nn.Linear(7, 6)),
        nn.ReLU(),
        ActQuant(3, 1),
        weigh(nn.Linear(6, 5), 2),
        nn.Hardtanh(-1.25, 10.5),
        ActQuant(6, -1, signed=True),
        weigh(nn.Linear(5, 4), 3),
    )


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_a_chain_of_linears_takes_a_frame_every_clock(levels, tmp_path):
    net, x = chain(), frames(60, 7)
    design = build(net, x, tmp_path / "net", levels=levels)
    run = exact(net, x, tmp_path / "net")
    assert run.interval == interval_of(design) == 1
    latency = sum(placed.unit.latency for placed in design.placed)
    assert latency == sum(unit["latency"] for unit in read_manifest(tmp_path / "net")["units"])
    assert run.cycles == len(x) + latency
    if levels == 1:  # most registers: with stalls each of them must wait
        exact(net, x, tmp_path / "net", stall=0.4)


def test_every_input_of_a_small_layer(tmp_path):
    """Exhaustive; the clamps end at other than powers of two, on one side only, or nowhere."""
    x = torch.tensor(list(itertools.product(range(-4, 4), repeat=3))).float()
    ends = [(-5.0, 2.5), (-100.0, 3.0), (-1.0, 100.0)]
    for low, high in ends:
        net = nn.Sequential(
            ActQuant(3, 0, signed=True), weigh(nn.Linear(3, 4)), nn.Hardtanh(low, high), ActQuant(5, -1, signed=True)
        )
        folder = tmp_path / f"to{high}"
        build(net, x, folder)
        assert exact(net, x, folder).interval == 1


def test_constants_that_leave_nothing_to_add(tmp_path):
    """A bias that cancels what an inverted sign or a negated input adds: the result is those bits, inverted."""
    net = nn.Sequential(ActQuant(4, 0, signed=True), nn.Linear(2, 6))
    net[1].weight.data = torch.tensor([[1.0, 0], [-1, 0], [1, 16], [-1, -16], [0, 0], [0, 4]])
    net[1].bias.data = torch.tensor([8.0, 7, 136, 119, 3, 0])
    x = torch.tensor(list(itertools.product(range(-8, 8), repeat=2))).float()
    build(net, x, tmp_path / "net")
    text = (tmp_path / "net/rtl/adder_graph_layer_1.v").read_text()
    assert " ^ " in text
    exact(net, x, tmp_path / "net")


def test_inputs_of_one_bit(tmp_path):
    net = nn.Sequential(
        ActQuant(1, 0), weigh(nn.Linear(5, 4)), ActQuant(1, 0, signed=True), weigh(nn.Linear(4, 3), 4), ActQuant(1, 1)
    )
    x = torch.tensor(list(itertools.product(range(2), repeat=5))).float()
    build(net, x, tmp_path / "net")
    assert exact(net, x, tmp_path / "net").interval == 1


def test_sums_wider_than_32_bits(tmp_path):
    net = nn.Sequential(ActQuant(16, 0, signed=True), nn.Linear(3, 2))
    net[1].weight.data = torch.tensor([[32767.0, 2.0**-12, -5.0], [-(2.0**14) + 1, 3.0, 2.0**-10]])
    net[1].bias.data = torch.tensor([2.0**-12, -77.0])
    x = frames(20, 3, low=-32768, high=32767)
    build(net, x, tmp_path / "net", levels=64)
    exact(net, x, tmp_path / "net")


def test_a_layer_without_weights_sends_its_biases(tmp_path):
    net = nn.Sequential(ActQuant(4, 0), weigh(nn.Linear(3, 3), keep=0.0), ActQuant(4, -2, signed=True))
    net[1].bias.data = torch.tensor([0.0, -1.0, 1.75])
    x = frames(5, 3)
    build(net, x, tmp_path / "net")
    exact(net, x, tmp_path / "net")


# windows


def convolutions() -> nn.Module:
    """Stride, dilation, groups, padding that is more on one side than the frame needs, pools, and a Linear."""
    return nn.Sequential(
        ActQuant(4, 0, signed=True),
        weigh(nn.Conv2d(2, 4, 3, padding=1)),
        ActQuant(4, 2, signed=True),
        nn.MaxPool2d(3, (1, 2), padding=1),
        weigh(nn.Conv2d(4, 4, (3, 2), dilation=(1, 2), padding=(2, 1), groups=4), 2),
        nn.ReLU6(),
        ActQuant(3, 0),
        AvgPool2d(2, 2, bits=4),
        ActQuant(4, -2),
        nn.Flatten(),
        weigh(nn.Linear(4 * 3 * 3, 5), 3, keep=0.3),
    )


@pytest.fixture(scope="module")
def convolved(tmp_path_factory):
    """(network, frames, build, design) at a pixel a cycle."""
    net, x = convolutions(), frames(9, 2, 5, 12)
    folder = tmp_path_factory.mktemp("convolved") / "net"
    return net, x, folder, build(net, x, folder)


@pytest.mark.parametrize(("simulator", "stall"), [("icarus", 0.0), ("icarus", 0.3), ("verilator", 0.2)])
def test_convolutions_and_pools_are_exact(convolved, simulator, stall):
    net, x, folder, design = convolved
    assert set(kinds(design).values()) == {"adder_graph", "stream_reg"}
    run = exact(net, x, folder, simulator, stall)
    if not stall:
        slots = 5 * 12 + 12 + 1  # the first layer's padding below: a row, and a pixel
        assert run.interval == slots <= interval_of(design) <= slots + 1


def test_adders_that_never_stop_are_exact(tmp_path, monkeypatch):
    """What is held by no enable, pools too: no chain of layers stops in one clock, and no frame takes longer."""
    monkeypatch.setattr(adder_graph, "MOST_HELD", 0)
    monkeypatch.setattr(adder_graph, "MOST_POOLED", 0)
    net, x = convolutions(), frames(9, 2, 5, 12)
    design = build(net, x, tmp_path / "net", levels=1)
    assert set(kinds(design).values()) == {"adder_graph"}
    run = exact(net, x, tmp_path / "net")
    assert 5 * 12 + 12 + 1 == run.interval <= interval_of(design)
    assert run.latency <= pace_of(design).latency
    exact(net, x[:4], tmp_path / "net", stall=0.5)


def test_a_deep_pipeline_that_never_stops_takes_a_frame_every_clock(tmp_path, monkeypatch):
    """It has more registers than the least of its memories has words."""
    monkeypatch.setattr(adder_graph, "MOST_HELD", 0)
    # thresholds are a search, a comparison behind the other
    levels = nn.Linear(40, 2), nn.Sigmoid(), ActQuant(8, -8)
    net, x = nn.Sequential(ActQuant(4, 0, signed=True), weigh(levels[0], keep=1.0), *levels[1:]), frames(100, 40)
    design = build(net, x, tmp_path / "net", levels=1)
    (unit,) = (placed.unit for placed in design.placed if placed.unit.kind == "adder_graph")
    assert unit.stages + 4 > adder_graph.CREDIT_DEPTH and unit.credit == 2 * adder_graph.CREDIT_DEPTH
    assert exact(net, x, tmp_path / "net").interval == 1


@pytest.mark.sim
@pytest.mark.parametrize("between", [[], [nn.Conv1d(1, 1, 1), ActQuant(3, 0)]])
def test_a_unit_that_must_rest_holds_up_one_that_leaves_no_gap_between_frames(between, tmp_path):
    """A pool takes a cycle behind its last column; a convolution sends its last column with a frame's last beat, its
    first with the first: no interval is below what is measured, nor is the latency."""
    layers = [nn.Conv1d(1, 1, 1, stride=5), ActQuant(3, 0), *between, nn.MaxPool1d(3, 1, 1)]
    net = nn.Sequential(ActQuant(4, 0), *layers).eval()
    for layer in net:
        if isinstance(layer, nn.Conv1d):
            layer.weight.data.fill_(1.0)
            layer.bias.data.zero_()
    x = torch.randint(0, 16, (8, 1, 26), generator=torch.Generator().manual_seed(1)).float()
    design = hwgen.build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(engine="spatial"))
    run = exact(net, x, tmp_path / "net")
    assert run.interval == 27 - bool(between)  # a unit between them has room for the beat that waits
    assert run.interval <= interval_of(design) <= 27
    assert run.latency <= pace_of(design).latency <= run.latency + 5


@pytest.mark.parametrize("pixels", [2, 12])
def test_several_pixels_a_cycle_are_exact(pixels, tmp_path):
    net, x = convolutions(), frames(9, 2, 5, 12)
    design = build(net, x, tmp_path / "net", pixels=pixels)
    assert design.inputs[0].order.pixels == pixels and interval_of(design) < 73 / pixels + 10
    exact(net, x, tmp_path / "net", stall=0.2)


def test_a_design_is_read_back_as_it_was_built(convolved):
    _, _, folder, design = convolved
    read = read_design(folder)
    assert {stream.name: stream.order for stream in read.streams()} == {
        stream.name: stream.order for stream in design.streams()
    }
    assert emit(read) == emit(design)


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 1, 3)])
def test_windows_larger_than_the_frame(shape, tmp_path):
    net = nn.Sequential(ActQuant(4, 0, signed=True), weigh(nn.Conv2d(shape[0], 2, 5, padding=2)))
    x = frames(5, *shape)
    build(net, x, tmp_path / "net")
    exact(net, x, tmp_path / "net")


def test_rows_too_long_for_lookup_tables(tmp_path):
    """The rows above come from a block RAM."""
    net = nn.Sequential(ActQuant(2, 0), weigh(nn.Conv2d(1, 1, (2, 3), padding=(0, 1))), ActQuant(4, 0, signed=True))
    x = frames(3, 1, 3, 66)
    design = build(net, x, tmp_path / "net")
    run = exact(net, x, tmp_path / "net")
    assert design.placed[0].unit.estimate()["BRAM36"] == 0.5
    assert run.interval == interval_of(design) == 3 * 66 + 1


# beside lanes


def residual() -> nn.Module:
    """a: a long branch; b: a short one; then a sum, and a layer behind it."""
    a = nn.Sequential(weigh(nn.Conv2d(3, 3, 3, padding=1)), ActQuant(4, 3, signed=True), weigh(nn.Conv2d(3, 3, 1), 2))
    b = weigh(nn.Conv2d(3, 3, 1), 3)
    return nn.Sequential(
        ActQuant(4, 0, signed=True), Fork(a, b), ActQuant(5, 3, signed=True), weigh(nn.Conv2d(3, 2, 2, stride=2), 4)
    )


@pytest.mark.parametrize(
    ("engine", "pixels", "spatial"),
    [
        ("spatial", 1, 4),
        ("spatial", 2, 4),
        ("lanes,*branches_0_*=spatial", 1, 2),  # one side of the sum
        ("spatial,*branches_1=lanes", 3, 3),  # the other
        ("spatial, *branches_*=lanes, *_0_2=spatial", 1, 2),  # alternating; the last pattern counts
    ],
)
def test_sums_of_layers_of_both_kinds(engine, pixels, spatial, tmp_path):
    net, x = residual(), frames(8, 3, 4, 6)
    design = build(net, x, tmp_path / "net", engine=engine, pixels=pixels, lanes=3)
    assert sum(kind == "adder_graph" for kind in kinds(design).values()) == spatial
    exact(net, x, tmp_path / "net", stall=0.3)
    if engine == "spatial":
        assert exact(net, x, tmp_path / "net").interval <= interval_of(design)


def test_a_sum_of_branches_with_different_pixels_a_beat(tmp_path):
    """Two pixels a beat meet three: neither is a multiple of the other."""
    thirds = weigh(nn.Conv2d(1, 2, (1, 3), stride=(1, 3)))
    halves = nn.Sequential(
        weigh(nn.Conv2d(1, 2, (1, 2), stride=(1, 2)), 2), ActQuant(6, 0, signed=True), weigh(nn.Conv2d(2, 2, (1, 4)), 3)
    )
    net, x = nn.Sequential(ActQuant(2, 0), Fork(thirds, halves)), frames(6, 1, 2, 18)
    design = build(net, x, tmp_path / "net", pixels=6)
    assert {stream.order.pixels for stream in design.streams()} == {6, 3, 2}
    exact(net, x, tmp_path / "net", stall=0.2)


@pytest.mark.parametrize(
    ("shape", "first", "early", "late"),
    [
        ((1, 1, 27), None, {"kernel_size": 1, "stride": (1, 9)}, {"kernel_size": (1, 9), "stride": (1, 9)}),
        ((1, 9, 3), None, {"kernel_size": (1, 3), "stride": (3, 1)}, {"kernel_size": 3, "stride": (3, 1)}),
        # all that the first layer sends waits for the last pixel, so to the network's input both sides are as late
        (
            (1, 3, 1),
            {"kernel_size": (3, 1), "dilation": (3, 1), "padding": (3, 0)},
            {"kernel_size": 1, "stride": (9, 1)},
            {"kernel_size": (3, 1)},
        ),
    ],
)
def test_the_early_side_of_a_sum_does_not_stop_the_late_one(shape, first, early, late, tmp_path):
    """A result that waits for the other side stops its graph, so it must wait in a FIFO: the other needs more input."""
    layers = [ActQuant(3, 0)]
    if first:
        layers += [weigh(nn.Conv2d(1, 1, **first), 4, keep=1.0), ActQuant(4, 0, signed=True)]
    sides = [weigh(nn.Conv2d(1, 2, **early), keep=1.0), weigh(nn.Conv2d(1, 2, **late), 2)]
    net, x = nn.Sequential(*layers, Fork(*sides), ActQuant(6, 0, signed=True)), frames(5, *shape)
    design = build(net, x, tmp_path / "net", levels=64)
    assert exact(net, x, tmp_path / "net").interval == interval_of(design)


def test_auto_takes_what_is_smaller(tmp_path):
    """A layer of few terms unfolds; one with many stays on lanes."""
    net = nn.Sequential(
        ActQuant(4, 0, signed=True),
        weigh(nn.Linear(64, 32)),
        ActQuant(4, 4, signed=True),
        weigh(nn.Linear(32, 2), keep=0.1),
    )
    x = frames(6, 64)
    design = build(net, x, tmp_path / "net", engine="auto", lanes=1)
    assert kinds(design)["layer_1"] == "term_lanes" and kinds(design)["layer_3"] == "adder_graph"
    exact(net, x, tmp_path / "net")


@pytest.mark.parametrize("keep", [0.2, 0.6])
def test_a_large_layer_is_priced_by_a_part_of_its_outputs(keep, tmp_path, monkeypatch):
    net = nn.Sequential(ActQuant(4, 0), weigh(nn.Linear(128, 160), keep=keep), ActQuant(4, 6))
    x = torch.zeros(1, 128)
    prices = []
    for terms in (40_000, 4000):
        monkeypatch.setattr(adder_graph, "EXACT_TERMS", terms)
        (unit,) = [placed.unit for placed in build(net, x, tmp_path / "net").placed]
        prices.append(unit.estimate()["LUT"])
    assert 4000 < term_count(unit.stage) < 40_000
    assert prices[0] != prices[1] and abs(prices[1] / prices[0] - 1) < 0.05


def test_a_layer_named_as_part_of_another(tmp_path):
    """Each layer has modules of its own, whatever the names."""
    net = nn.Sequential()
    for name in ("a", "a_pixel", "window", "x", "row_adder"):
        net.add_module(f"{name}_q", ActQuant(3, 1, signed=True))
        net.add_module(name, weigh(nn.Linear(2, 2), len(name)))
    x = frames(5, 2)
    build(net, x, tmp_path / "net")
    exact(net, x, tmp_path / "net")


# other tools


def test_emitted_verilog_is_clean(convolved, tmp_path):
    _, _, folder, _ = convolved
    manifest = read_manifest(folder)
    sources = [folder / path for path in manifest["sources"]]
    for top in (manifest["core"], manifest["top"]):
        lint(sources, top)
    command = ["iverilog", "-g2005", "-Wall", "-s", manifest["top"], "-o", tmp_path / "out", *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr


GOLD = """
module gold(
    input clk, input rst, input [{x}:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready,
    output [{y}:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready
);
{inputs}
{sums}
    reg [{y}:0] data [0:{last}];
    reg [{last}:0] valid;
    integer i;
    assign m_axis_tvalid = valid[{last}];
    assign m_axis_tdata = data[{last}];
    assign s_axis_tready = m_axis_tready || !m_axis_tvalid;
    always @(posedge clk) begin
        if (s_axis_tready) begin
            data[0] <= {results};
            for (i = 1; i <= {last}; i = i + 1) data[i] <= data[i - 1];
            valid <= {{valid, s_axis_tvalid}};
        end
        if (rst) valid <= 0;
    end
endmodule
"""

MITER = """
module miter(
    input clk, input rst, input [{x}:0] tdata, input tvalid, input tready, output trigger
);
    wire [{y}:0] gold_data, gate_data;
    wire gold_valid, gate_valid, gold_ready, gate_ready;
    gold gold(.clk(clk), .rst(rst), .s_axis_tdata(tdata), .s_axis_tvalid(tvalid), .s_axis_tready(gold_ready),
        .m_axis_tdata(gold_data), .m_axis_tvalid(gold_valid), .m_axis_tready(tready));
    {gate} #(.XILINX(1)) gate(.clk(clk), .rst(rst), .s_axis_tdata(tdata), .s_axis_tvalid(tvalid),
        .s_axis_tready(gate_ready), .m_axis_tdata(gate_data), .m_axis_tvalid(gate_valid), .m_axis_tready(tready));
    assign trigger = gold_valid != gate_valid || gold_ready != gate_ready || (gold_valid && gold_data != gate_data);
endmodule
"""


def behavioural(layer: nn.Linear, bits: int, ends: tuple[int, int], drop: int, stages: int) -> str:
    """The layer by products and comparisons, from the module's weights; an output is its own 6 bits."""
    outputs, inputs = layer.weight.shape
    names = [f"    wire signed [31:0] x{i} = $signed(s_axis_tdata[{i * bits} +: {bits}]);" for i in range(inputs)]
    sums = []
    for n in range(outputs):
        products = " + ".join(f"({int(layer.weight[n, i])}) * x{i}" for i in range(inputs))
        sums.append(
            f"    wire signed [31:0] sum{n} = ({products} + ({int(layer.bias[n]) + (1 << drop >> 1)})) >>> {drop};"
        )
        low, high = (f"(sum{n} {sign} ({end}))" for sign, end in zip("<>", ends, strict=True))
        sums.append(f"    wire [5:0] y{n} = {low} ? ({ends[0]}) : {high} ? ({ends[1]}) : sum{n};")
    return GOLD.format(
        x=inputs * bits - 1,
        y=outputs * 6 - 1,
        inputs="\n".join(names),
        sums="\n".join(sums),
        last=stages - 1,
        results="{" + ", ".join(f"y{n}" for n in reversed(range(outputs))) + "}",
    )


def proof(folder, clamp: nn.Module, signed: bool, ends: tuple[int, int], broken=lambda text: text):
    """Proves a layer of 3 inputs of 3 bits and 2 outputs, from its reset on, whatever comes and whoever stalls."""
    drop = 1
    net = nn.Sequential(ActQuant(3, 0, signed=True), nn.Linear(3, 2), clamp, ActQuant(6, drop, signed=signed))
    net[1].weight.data = torch.tensor([[23.0, -6, 24], [-23, 13, 1]])
    net[1].bias.data = torch.tensor([5.0, -60.0])
    design = build(net, torch.zeros(1, 3), folder / "net", levels=1)
    (placed,) = design.placed
    unit, stages = placed.unit, placed.unit.stages
    assert stages > 2 and unit.stage.y.qtype.bits == 6 and "u_clamp1" in unit.files()[f"rtl/{unit.module}.v"]
    (folder / "gold.v").write_text(behavioural(net[1], 3, ends, drop, stages))
    (folder / "miter.v").write_text(MITER.format(x=8, y=11, gate=unit.module))
    for name in (unit.module, "row_adder", "carry_chain", "clamp"):
        text = (folder / f"net/rtl/{name}.v").read_text()
        (folder / f"{name}.v").write_text(broken(text) if name == unit.module else text)
    script = [
        "read_verilog +/xilinx/cells_sim.v",  # without -lib: the cells' behaviour counts
        *(f"read_verilog {name}.v" for name in (unit.module, "row_adder", "carry_chain", "clamp", "gold", "miter")),
        "hierarchy -check -top miter",
        "proc",
        "flatten",
        "select -assert-min 10 w:*carry_i*",
        "select -clear",
        "memory",
        "opt",
        # reset in the first clock; the other inputs are free
        f"sat -verify -seq {stages + 2} -set-at 1 rst 1 -prove-skip 1 -prove trigger 0 miter",
    ]
    return yosys(folder, *script)


@pytest.mark.parametrize(
    ("clamp", "signed", "ends"),
    [(nn.ReLU(), False, (0, 63)), (nn.Hardtanh(-44.0, 50.0), True, (-22, 25))],
    ids=["to ones", "to odd ends"],
)
def test_a_layer_of_primitives_is_proven(clamp, signed, ends, tmp_path):
    done = proof(tmp_path, clamp, signed, ends)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "SUCCESS!" in done.stdout


def test_a_layer_with_a_wrong_inversion_is_refuted(tmp_path):
    def broken(text):
        place = text.index(".NOT_A(", text.index("u_s1 "))
        end = text.index(")", place)
        return text[: end - 1] + f"{int(text[end - 1], 16) ^ 1:x}" + text[end:]

    done = proof(tmp_path, nn.ReLU(), False, (0, 63), broken)
    assert done.returncode != 0 and "model found: FAIL" in done.stdout


# what is refused

NETWORK = """
import torch
from torch import nn
from hwgen.nn import ActQuant

def padded():
    conv = nn.Conv2d(1, 1, 2, padding=2)
    conv.weight.data.fill_(1.0)
    conv.bias.data.fill_(1.0)
    return nn.Sequential(ActQuant(4, 0), conv), (torch.zeros(1, 1, 4, 4),)
"""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engine", "nonsense"], ["no engine 'nonsense'", "--engine", "lanes, spatial"]),
        (["--engine", ""], ["no engine ''", "--engine"]),
        (["--engine", "layer_1="], ["no engine ''", "--engine"]),
        (["--engine", "fc*=spatial"], ["no layer matches 'fc*'", "layer_1"]),
        (["--engine", "spatial"], ["layer_1", "padding", "--engine layer_1=lanes"]),
        (["--engine", "lanes,layer_?=spatial"], ["layer_1", "padding"]),
        (["--levels", "0"], ["levels = 0", "--levels", "1 to 64"]),
        (["--levels", "65"], ["levels = 65"]),
        (["--pixels", "0"], ["pixels = 0", "--pixels"]),
    ],
)
def test_what_cannot_be_built_is_said(options, words, tmp_path):
    (tmp_path / "model.py").write_text(NETWORK)
    out = tmp_path / "net"
    result = CliRunner().invoke(main, ["build", f"{tmp_path / 'model.py'}:padded", "-o", str(out), *options])
    said = " ".join(result.output.split())
    assert result.exit_code == 1 and "Traceback" not in said and not isinstance(result.exception, UnsupportedLayer)
    for word in words:
        assert word in said, said
    assert not out.exists() and {path.name for path in tmp_path.iterdir()} <= {"model.py", "__pycache__"}


@pytest.mark.parametrize("option", [{"levels": True}, {"levels": 1.0}, {"pixels": "2"}, {"engine": 3}])
def test_options_of_another_type_are_refused(option):
    with pytest.raises(hwgen.errors.BadInput):
        BuildConfig(**option)


def test_auto_and_lanes_build_what_spatial_cannot(tmp_path):
    conv = weigh(nn.Conv2d(1, 1, 2, padding=2))
    net, x = nn.Sequential(ActQuant(4, 0), conv), frames(3, 1, 4, 4)
    design = build(net, x, tmp_path / "net", engine="auto")
    assert set(kinds(design).values()) == {"term_lanes"}
