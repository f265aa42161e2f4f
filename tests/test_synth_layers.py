"""Synthesis part by part: what did not change is not done again, and what was done is kept, whatever ends a run."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn
from toy_build import unit, write_build

import hwgen
from hwgen.config import BuildConfig
from hwgen.errors import ToolFailed
from hwgen.folder import read_record
from hwgen.nn import ActQuant
from hwgen.synth import processes, yosys


@pytest.fixture
def started(monkeypatch):
    """The stems of the parts that yosys was started on since it was cleared."""
    names, start = [], processes.start

    def remember(build_dir, task, *options):
        names.append(task.stem)
        return start(build_dir, task, *options)

    monkeypatch.setattr(processes, "start", remember)
    return names


def toy(folder, *units):
    """A toy build of these units of its core."""
    folder.mkdir()
    write_build(folder)
    manifest = json.loads((folder / "hwgen.json").read_text())
    (folder / "hwgen.json").write_text(json.dumps(manifest | {"units": list(units), "roms": {}}))
    return folder


def net(weight):
    """Two 1x1 convolutions of a channel; `weight` is the second's."""
    first, second = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
    for layer, value in ((first, 0.5), (second, weight)):
        layer.weight.data.fill_(value)
        layer.bias.data.zero_()
    return nn.Sequential(ActQuant(2, 0), first, ActQuant(2, 0), second).eval()


def test_only_the_layer_that_changed_is_done_again(tmp_path, started):
    cache = tmp_path / "cache"

    def run(weight, **options):
        folder = tmp_path / "net"
        hwgen.build(net(weight), (torch.zeros(1, 1, 2, 2),), out=folder, config=BuildConfig(lanes=1))
        started.clear()
        result = yosys.synthesize(folder, top="net_core", whole=False, cache=cache, **options)
        assert json.loads((folder / "synth/yosys.json").read_text()) == result
        counts = [unit["resources"] for unit in result["units"]]
        assert result["sum"] == {key: sum(count[key] for count in counts) for key in result["sum"]}
        return {unit["name"]: unit for unit in result["units"]}

    first = run(0.5)
    names = list(first)
    assert sorted(started) == sorted(f"unit_{name}" for name in names)
    assert not any(unit["cached"] for unit in first.values())
    again = run(0.5)
    assert started == []
    assert all(unit["cached"] for unit in again.values())
    assert [unit["resources"] for unit in again.values()] == [unit["resources"] for unit in first.values()]
    other = run(-0.5)
    assert started == [f"unit_{names[1]}"]
    assert [unit["cached"] for unit in other.values()] == [True, False]
    assert other[names[1]]["sha256"] != first[names[1]]["sha256"]


def test_equal_units_are_done_once(tmp_path, started):
    folder = toy(tmp_path / "toy", unit("d", "delay", W=3, DEPTH=8), unit("e", "delay", W=3, DEPTH=8))
    core = folder / "rtl/toy_core.v"
    core.write_text(
        core.read_text().replace("    assign y", "    delay #(.W(3), .DEPTH(8)) u_delay_e ();\n    assign y")
    )
    result = yosys.synthesize(folder, top="toy_core", whole=False, cache=tmp_path / "cache")
    assert len(started) == 1
    assert result["units"][0]["resources"] == result["units"][1]["resources"]
    assert result["sum"]["LUTRAM"] == 6


def test_an_interrupted_run_goes_on_where_it_ended(tmp_path, started):
    folder = toy(tmp_path / "toy", unit("c", "scratch", W=7), unit("d", "delay", W=3, DEPTH=8))
    chosen = {"top": "toy_core", "whole": False, "cache": tmp_path / "cache"}

    def interrupt(text):
        if "1 of 2" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        yosys.synthesize(folder, progress=interrupt, **chosen)
    assert not (folder / "synth/yosys.json").exists()
    done = started.copy()
    assert len(done) == 1
    started.clear()
    result = yosys.synthesize(folder, **chosen)
    assert {*done, *started} == {"unit_c", "unit_d"} and len(started) == 1
    assert [f"unit_{unit['name']}" for unit in result["units"] if unit["cached"]] == done


def test_a_layer_that_fails_is_named_and_costs_no_other(tmp_path, started):
    folder = toy(tmp_path / "toy", unit("d", "delay", W=3, DEPTH=8), unit("c", "scratch", W=7))
    toy_v = folder / "rtl/toy.v"
    toy_v.write_text(
        toy_v.read_text().replace(
            "    genvar i;", "    generate if (W == 3) absent absent_i (); endgenerate\n    genvar i;"
        )
    )
    chosen = {"top": "toy_core", "whole": False, "cache": tmp_path / "cache"}
    for first in (True, False):
        with pytest.raises(ToolFailed, match=r"(?s)yosys exited with 1 on d:.*absent.*at:   .*synth/unit_d.log"):
            yosys.synthesize(folder, **chosen)
        assert sorted(started) == (["unit_c", "unit_d"] if first else ["unit_d"])
        started.clear()


def test_an_entry_that_was_not_written_whole_is_none(tmp_path, started):
    folder = toy(tmp_path / "toy", unit("d", "delay", W=3, DEPTH=8))
    cache = tmp_path / "cache"
    chosen = {"top": "toy_core", "whole": False, "cache": cache}
    result = yosys.synthesize(folder, **chosen)
    (entry,) = cache.iterdir()
    assert entry.name == f"{result['units'][0]['sha256']}.json"
    whole = entry.read_text()
    # killed before what was written gets its name
    entry.unlink()
    killed = (
        "import os, sys; from pathlib import Path; from hwgen.folder import write_record\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "write_record(Path(sys.argv[1]), {})"
    )
    assert subprocess.run([sys.executable, "-c", killed, str(entry)], check=False).returncode == -9
    assert len(list(cache.iterdir())) == 1 and read_record(entry) is None
    # cut short by the file system
    entry.write_text(whole[: len(whole) // 2])
    started.clear()
    again = yosys.synthesize(folder, **chosen)
    assert started == ["unit_d"]
    assert again["units"][0]["resources"] == result["units"][0]["resources"]
    assert read_record(entry)["cells"] == json.loads(whole)["cells"]
