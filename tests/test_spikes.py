"""Layers in which only what spiked takes time equal the module, and take no longer than was said."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import hwgen
from benchmarks.spikes import PRICES, RESULTS, layer
from hwgen import BuildConfig, build, simulate, verify
from hwgen.errors import UnsupportedLayer
from hwgen.nn import LIF, ActQuant, StepsIn, StepsOut
from hwgen.pace import pace_of
from hwgen.share import share
from hwgen.units.spike_banks import balanced
from hwgen.units.spike_lanes import SpikeLanes
from tests.networks import Fork
from tests.proofs import yosys


def on_grid(net: nn.Sequential, density: float = 0.4, most: int = 7) -> nn.Sequential:
    torch.manual_seed(1)
    for each in net.modules():
        if isinstance(each, nn.Linear | nn.Conv2d):
            kept = torch.rand(each.weight.shape) < density
            each.weight.data = torch.randint(-most, most + 1, each.weight.shape) * kept / 4
            each.bias.data = torch.randint(-20, 21, each.bias.shape) / 8
    return net.eval()


def spikes(*shape: int, chances=(0.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.5)) -> torch.Tensor:
    """A frame of each chance."""
    torch.manual_seed(2)
    return torch.stack([(torch.rand(shape) < chance).float() for chance in chances])


def network() -> nn.Sequential:
    layers = ActQuant(1, 0), nn.Flatten(), nn.Linear(60, 20), ActQuant(1, 0), nn.Linear(20, 5)
    return on_grid(nn.Sequential(*layers))


def units(design) -> list[SpikeLanes]:
    return [placed.unit for placed in design.placed if isinstance(placed.unit, SpikeLanes)]


@pytest.mark.sim
@pytest.mark.smoke
def test_a_network_equals_the_module_and_its_report_says_what_it_took(tmp_path):
    net, x, out = network(), spikes(3, 4, 5), tmp_path / "net"
    design = build(net, (x[:1],), out=out, config=BuildConfig(engine="spikes", lanes=6))
    hidden, _ = units(design)
    assert hidden.out_order.channels and hidden.order.side == 5  # its reader finds channels in another order
    result = verify(out, x, simulator="icarus")
    assert result["equal"] == len(x)
    # frames of spikes alone take what was predicted, few spikes less
    ended = simulate(out, x.numpy(), simulator="icarus")[1].ended
    took, most = np.diff(ended), pace_of(design).interval
    assert 0.95 * most < took[2] <= most and took[-3] < most / 3
    assert result["mean_interval"] == round(took.mean(), 1) < result["interval"] or took.mean() < most
    values, text = hwgen.report(out)
    assert f"| {result['mean_interval']} | measured |" in text and "they depend on the data" in text
    assert values["build"]["varies"] == [unit.name for unit in units(design)]


@pytest.mark.sim
def test_a_branch_that_may_be_late_or_early_starves_no_other(tmp_path):
    """A sum waits for the side whose time depends on the data; the FIFO on the other holds what comes meanwhile."""
    branch = nn.Sequential(nn.Conv2d(4, 8, 1), ActQuant(1, 0), nn.Conv2d(8, 4, 1), ActQuant(1, 0))
    net = on_grid(nn.Sequential(ActQuant(1, 0), Fork(nn.Identity(), branch), ActQuant(2, 0)))
    x = spikes(4, 3, 3)
    design = build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(engine="lanes,*branches*=spikes", lanes=2))
    assert len(units(design)) == 2
    assert any(placed.unit.module == "stream_fifo" for placed in design.placed)
    assert verify(tmp_path / "net", x, simulator="icarus", stall=0.5)["equal"] == len(x)


@pytest.mark.sim
def test_a_sample_that_may_end_waits_until_all_sums_begin_anew(tmp_path):
    """Behind each sample what holds its time steps is reset; here all neurons spike and no sample ends early."""
    neurons = [LIF(2, -3, threshold=0.125, start=0.125, reset="none", fire=">=") for _ in range(2)]
    first, second, last = on_grid(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 16), nn.Linear(16, 2)), 1.0)
    layers = ActQuant(4, -3), first, StepsIn(2), neurons[0], second, neurons[1], last, StepsOut(2, margin=1e6)
    net, x = nn.Sequential(*layers), torch.rand(5, 3)
    for each in first, second:
        each.weight.data.fill_(0.25)
        each.bias.data.fill_(1.0)
    design = build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(engine="lanes,layer_4=spikes", lanes=2))
    sent, run = simulate(tmp_path / "net", x, simulator="icarus")
    assert np.array_equal(sent, net.double()(x.double()).detach().numpy())
    took, pace = np.diff(run.ended), pace_of(design)
    assert 0.8 * pace.interval < took.min() == took.max() <= pace.interval and run.latency <= pace.latency


@pytest.mark.sim
def test_windows_that_overlap_are_laid_side_by_side(tmp_path):
    """Of convolutions with padding, strides and dilation; the graph that is built is equal, and has their names."""
    layers = nn.Conv2d(2, 6, 3, padding=1), ActQuant(1, 0), nn.Conv2d(6, 4, (3, 2), (2, 1), (1, 2), (1, 2))
    net = on_grid(nn.Sequential(ActQuant(1, 0), *layers, ActQuant(1, 0)))
    x = spikes(2, 4, 5, chances=(0.0, 1.0, 0.1, 0.2, 0.5))
    design = build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(engine="spikes", lanes=3))
    assert [unit.name for unit in units(design)] == ["layer_1", "layer_3"]
    gathers = [placed for placed in design.placed if placed.unit.module == "gather"]
    assert [placed.inputs[0].order.side for placed in gathers] == [2, 6]  # whole pixels
    assert verify(tmp_path / "net", x, simulator="icarus", stall=0.5)["equal"] == len(x)


def test_lanes_stay_the_default_and_a_rate_takes_what_is_smaller_at_its_worst(tmp_path):
    """Dense weights of several terms take lanes a cycle for each term, this engine one for each weight."""
    net, x = on_grid(nn.Sequential(ActQuant(1, 0), nn.Linear(64, 16)), 1.0, 127), spikes(64)
    assert not units(build(net, (x[:1],), out=tmp_path / "a", config=BuildConfig()))
    fast = BuildConfig(fps=1_000_000, engine="auto", dsp=False)
    (unit,) = units(build(net, (x[:1],), out=tmp_path / "b", config=fast))
    assert unit.cycles() <= 300
    # where all is asked for in vain, lanes are there as before
    least = build(net, (x[:1],), out=tmp_path / "c", config=BuildConfig(fps=3_000_000, dsp=False))
    assert pace_of(least).interval <= 100


@pytest.mark.parametrize(
    ("net", "x", "options", "says"),
    [
        (nn.Sequential(ActQuant(2, 0), nn.Linear(4, 2)), torch.zeros(1, 4), {}, "its activations are u2, not of one"),
        (nn.Sequential(ActQuant(1, 0), nn.Conv2d(2, 2, 1, groups=2)), torch.zeros(1, 2, 5, 5), {}, "no matrix"),
        (nn.Sequential(ActQuant(1, 0), nn.Linear(4, 2)), torch.zeros(1, 4), {"loadable": "*"}, "to be loaded"),
    ],
)
def test_a_layer_that_it_cannot_have_is_named(net, x, options, says, tmp_path):
    with pytest.raises(UnsupportedLayer, match=says) as error:
        build(on_grid(net), (x,), out=tmp_path / "net", config=BuildConfig(engine="spikes", **options))
    assert "--engine" in str(error.value) and "=lanes" in str(error.value)
    assert not (tmp_path / "net").exists()


def words(weights: np.ndarray, places: np.ndarray) -> int:
    used = np.append(weights != 0, np.zeros((1, weights.shape[1]), bool), axis=0)[places]
    return int(used.sum(axis=0).max(axis=0).sum())


@pytest.mark.parametrize(("outputs", "banks"), [(24, 4), (23, 5), (6, 6), (9, 1), (1, 1)])
def test_outputs_that_change_places_shorten_the_lists(outputs, banks):
    weights = np.random.default_rng(0).integers(0, 4, (outputs, 60)) // 3
    places = balanced(weights, banks)
    assert sorted(places[places >= 0]) == list(range(outputs)) and (places[:-1] >= 0).all()
    assert (
        (places[-1] >= 0).sum()
        == outputs - banks * (len(places) - 1)
        == (places[-1, : outputs % banks or banks] >= 0).sum()
    )
    alike = np.append(np.arange(outputs), np.full(-outputs % banks, -1)).reshape(-1, banks)
    before, after = words(weights, alike), words(weights, places)
    assert after < 0.93 * before if 1 < banks < outputs else after == before


@pytest.mark.parametrize("case", PRICES, ids=str)
def test_prices_are_near_what_yosys_counted(case):
    """python -m benchmarks.spikes counted it."""
    found, says = json.loads(RESULTS.read_text())[f"price {case}"], layer(*case).estimate()
    assert says["BRAM36"] == found["BRAM36 yosys"]
    assert abs(says["LUT"] / found["LUT yosys"] - 1) < 0.1


@pytest.mark.parametrize("primitives", [1, 2])
def test_primitives_equal_the_behavioural_form(primitives, tmp_path):
    """With the memories of both forms equal, every sum and every next memory is equal, for any input."""
    script = []
    for form, number in (("gold", 0), ("gate", primitives)):
        chosen = {"SLOTS": 1, "WEIGHT_W": 3, "LIFT": 1, "CONSTANT_W": 6, "W": 9, "XILINX": number}
        script += [
            "design -reset",
            "read_verilog +/xilinx/cells_sim.v",  # without -lib: the cells' behaviour counts
            f"read_verilog {share('rtl')}/spike_bank.v {share('rtl')}/carry_chain.v",
            "hierarchy -check -top spike_bank " + " ".join(f"-chparam {name} {n}" for name, n in chosen.items()),
            *(["select -assert-count 9 */c:*.lut_i"] if number else []),
            "proc",
            "flatten",
            "memory",
            "opt_clean",
            f"rename -top {form}",
            f"design -stash {form}",
        ]
    script += [f"design -copy-from {form} -as {form} {form}" for form in ("gold", "gate")]
    script += ["equiv_make gold gate equiv", "hierarchy -top equiv", "opt_clean", "equiv_simple", "equiv_induct"]
    done = yosys(tmp_path, *script, "equiv_status -assert")
    assert done.returncode == 0 and "Equivalence successfully proven!" in done.stdout, done.stdout[-2000:] + done.stderr
