"""Several networks as modes of one: each frame equals its own mode's module, whatever came before it."""

import json
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from hwgen import build, export, simulate, verify
from hwgen.cli import main
from hwgen.config import BuildConfig
from hwgen.emit import emit
from hwgen.errors import BadInput, HwgenError, UnsupportedLayer
from hwgen.faults import faults
from hwgen.flow import read_design
from hwgen.ir import Graph
from hwgen.manifest import read_manifest
from hwgen.modes import joined
from hwgen.nn import ActQuant
from hwgen.report import report
from hwgen.simulate import modes_of
from hwgen.simulators import SIMULATORS, lint, run_cocotb

EXAMPLE = (torch.zeros(1, 2, 6, 6),)
# bits of weights and of activations, and the exponents of these
WIDTHS = [(3, 4, -3), (2, 4, -3), (2, 2, -1)]


def give(layer: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Gives a layer its weights and biases."""
    layer.weight.data, layer.bias.data = weight, bias


class Residual(nn.Module):
    """Convolutions that meet in a sum, a pool, and a Linear, of weights of so many bits."""

    def __init__(self, weights: int, bits: int, exponent: int, seed: int = 0):
        super().__init__()
        self.quantize = ActQuant(4, -4, False)
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.act = ActQuant(bits, exponent, False)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.inner = ActQuant(bits + 1, exponent, True)
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Linear(36, 5)
        generator = torch.Generator().manual_seed(seed)
        for layer in (self.first, self.second, self.last):
            top = (1 << weights - 1) - 1
            weight = torch.randint(-top, top + 1, layer.weight.shape, generator=generator) / 4
            give(layer, weight, torch.randint(-8, 9, (len(weight),), generator=generator) / 16)

    def forward(self, x):
        x = self.act(self.first(self.quantize(x)))
        return self.last(self.pool(torch.relu(x + self.inner(self.second(x)))).flatten(1))


NETWORKS = [Residual(*widths) for widths in WIDTHS]
FRAMES = torch.rand(18, 2, 6, 6, generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("modes") / "net"
    build(NETWORKS[0], EXAMPLE, out=path, modes=[(net, EXAMPLE) for net in NETWORKS[1:]])
    return path


def units_of(design) -> dict[str, Any]:
    return {placed.unit.name: placed.unit for placed in design.placed}


def golden(modes, x):
    with torch.no_grad():
        each = [deepcopy(net).double()(x.double()) for net in NETWORKS]
    return torch.stack([each[mode][i] for i, mode in enumerate(modes)]).numpy()


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_frames_in_any_order_of_modes_under_stalls_equal_their_own_modules(folder, simulator):
    count = 10 if simulator == "icarus" else len(FRAMES)
    modes = np.random.default_rng(2).integers(3, size=count)
    y, _ = simulate(folder, FRAMES[:count], simulator=simulator, stall=0.2, mode=modes)
    assert np.array_equal(y, golden(modes, FRAMES[:count]))


@pytest.mark.sim
def test_verify_takes_the_modes_in_random_order_and_their_cycles_are_as_predicted(folder):
    x = FRAMES.repeat(3, 1, 1, 1)
    result = verify(folder, x, simulator="verilator", labels=np.zeros(len(x), int))
    assert sum(result["modes"]) == result["equal"] == len(x) and min(result["modes"]) >= 8
    predicted = [mode["interval"] for mode in read_manifest(folder)["modes"]]
    assert result["interval_of_modes"] == predicted
    values, text = report(folder)
    assert [mode["measured"] for mode in values["modes"]] == predicted
    assert f"| 2 | {values['modes'][2]['entries']} | {predicted[2]} | {predicted[2]} | {result['modes'][2]} |" in text


@pytest.mark.sim
def test_a_host_chooses_the_mode_of_each_frame(folder, tmp_path):
    known, design = read_manifest(folder), read_design(folder)
    (taken,), (sent,) = design.inputs, design.outputs
    x = [graph.quantize_inputs(FRAMES[:4])[0] for graph in design.graphs]
    assert all(torch.equal(x[0], other) for other in x)  # all modes take the same integers
    y = np.stack([sent.order.flatten(graph.eval(x[0])[0]) for graph in design.graphs])
    np.savez(tmp_path / "data.npz", inputs_0=taken.order.flatten(x[0]), outputs_0=y)
    sources = [folder / name for name in known["sources"]]
    lint(sources, known["top"])
    run_cocotb(
        simulator="icarus",
        sources=sources,
        toplevel=known["top"],
        module="bench_modes",
        build_dir=tmp_path / "sim",
        environment={"MODES_DATA": str(tmp_path / "data.npz")},
        cwd=folder,
        timeout=600,
    )


def test_a_layer_that_is_alike_in_all_modes_has_one_list(tmp_path):
    nets = [Residual(*WIDTHS[0]) for _ in range(2)]
    nets[1].last = Residual(*WIDTHS[0], seed=1).last
    config = BuildConfig(name="net", lanes=1)
    alone = build(nets[0], EXAMPLE, out=tmp_path / "alone", config=config)
    both = build(nets[0], EXAMPLE, out=tmp_path / "both", modes=[(nets[1], EXAMPLE)], config=config)
    assert [unit.name for placed in both.placed if (unit := placed.unit).by_mode] == ["last"]
    ours, theirs = emit(alone), emit(both)
    assert ours["rom/first.hex"] == theirs["rom/first.hex"]
    first, two = (units_of(design)["last"] for design in (alone, both))
    assert two.rom.text().startswith(first.rom.text())  # mode 0 first
    assert "rtl/mode_clamp.v" not in theirs and not [name for name in ours if "mode" in name]


def test_the_same_network_twice_has_a_register_and_no_list_more(tmp_path):
    design = build(NETWORKS[0], EXAMPLE, out=tmp_path / "net", modes=[(NETWORKS[0], EXAMPLE)])
    assert not [placed for placed in design.placed if placed.unit.by_mode]


def test_the_order_of_channels_is_one_for_all_modes_and_balances_the_sum(tmp_path):
    from hwgen.lanes.entries import Rounds

    lengths = np.array([[9, 1, 5, 3], [1, 1, 6, 2]])
    rounds = Rounds.of(lengths.ravel(), 2, sort=True, modes=2)
    assert rounds.channels == (2, 0, 3, 1)  # 11, 10, 5, 2 entries in both
    assert rounds.lengths.tolist() == [9, 3, 6, 2]
    assert [rounds.in_mode(i).lengths.sum() for i in range(2)] == [12, 8]
    assert rounds.final == rounds.in_mode(1).final == 2


@pytest.mark.parametrize("frames", [1, 40])
def test_random_modes_begin_with_a_block_of_each(folder, frames):
    modes = modes_of(read_design(folder), "random", frames, 1)
    block = min(8, frames // 6)
    assert modes[: 3 * block].tolist() == sorted([0, 1, 2] * block)


class Changed(Residual):
    def forward(self, x):
        x = self.act(self.first(self.quantize(x)))
        return self.last(self.pool(x + self.inner(self.second(x))).flatten(1))


def other(what: str) -> nn.Module:
    """The first mode but for one thing."""
    net = Residual(*WIDTHS[0])
    if what == "stride":
        net.second = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        net.second.load_state_dict(NETWORKS[0].second.state_dict())
    if what == "kernel":
        net.second = nn.Conv2d(4, 4, 5, padding=2)
        give(net.second, -torch.ones(4, 4, 5, 5), torch.zeros(4))
    if what == "sum":
        net.inner = ActQuant(5, -2, True)
    if what == "layers":
        net = Changed(*WIDTHS[0])
    if what == "third":
        net.second.weight.data = net.second.weight.data / 3
    return net


@pytest.mark.parametrize(
    ("what", "kind", "parts"),
    [
        ("layers", BadInput, ["mode 1 has", "relu", "weights, biases and quantizers may differ"]),
        ("stride", UnsupportedLayer, ["second", "stride, padding or dilation", "in all modes"]),
        ("kernel", UnsupportedLayer, ["second", "mode 1", "in all modes"]),
        ("sum", UnsupportedLayer, ["add", "no sum of products", "in all modes"]),
        ("third", HwgenError, ["second"]),
    ],
)
def test_modes_of_unlike_networks_are_refused_where_they_differ(tmp_path, what, kind, parts):
    with pytest.raises(kind) as caught:
        build(NETWORKS[0], EXAMPLE, out=tmp_path / "net", modes=[(other(what), EXAMPLE)])
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ({"loadable": "*"}, ["modes and loadable layers", "--modes, --loadable"]),
        ({"engine": "spatial"}, ["another in each mode", "first", "=lanes"]),
    ],
)
def test_what_modes_cannot_have_is_refused(tmp_path, config, parts):
    with pytest.raises(HwgenError) as caught:
        build(NETWORKS[0], EXAMPLE, out=tmp_path / "net", modes=[(NETWORKS[1], EXAMPLE)], config=BuildConfig(**config))
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("mode", [3, -1, "fast", [0, 1], 1.5])
def test_a_mode_that_there_is_not_is_refused(folder, mode):
    with pytest.raises(BadInput, match="use 0 to 2, or random"):
        simulate(folder, FRAMES[:3], simulator="icarus", mode=mode)


def test_graphs_of_other_frames_are_told_apart():
    a, b = (Graph(inputs, (), ()) for inputs in ((), ()))
    assert joined([Graph(a.inputs, (), ()), b]).nodes == ()


def test_the_verb_takes_a_network_for_each_mode(tmp_path):
    for number, net in enumerate(NETWORKS[:2]):
        torch.export.save(torch.export.export(net.float(), EXAMPLE), tmp_path / f"net{number}.pt2")
    names = ",".join(str(tmp_path / f"net{number}.pt2") for number in range(2))
    run = CliRunner().invoke(main, ["build", "--modes", names, "-o", str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    modes = json.loads((tmp_path / "out" / "hwgen.json").read_text())["modes"]
    for number, mode in enumerate(modes):
        assert f"net{number}.pt2: {mode['interval']:,} cycles from frame to frame (predicted)" in run.output
    for wrong in (["--modes", names, str(tmp_path / "net0.pt2")], [], ["--modes", f"{names},"]):
        run = CliRunner().invoke(main, ["build", *wrong, "-o", str(tmp_path / "other")])
        assert run.exit_code == 1 and "NET" in run.output and not (tmp_path / "other").exists()


def test_what_works_on_one_network_refuses_modes(folder, tmp_path):
    with pytest.raises(HwgenError, match="several modes"):
        export(folder, tmp_path / "net.qonnx")
    with pytest.raises(HwgenError, match="several modes"):
        faults(folder, np.zeros((1, *EXAMPLE[0].shape[1:])), flips=1)
    assert not (tmp_path / "net.qonnx").exists()
