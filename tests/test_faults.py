"""Flipped bits: where they are, what lists with one compute, and that every engine, order and interruption gives the
same counts."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.stats import beta
from torch import nn

import hwgen
from hwgen.cli import main
from hwgen.config import BuildConfig
from hwgen.errors import BadInput, Mismatch, MissingTool, ToolFailed
from hwgen.faults import KINDS, Campaign, campaign, faults
from hwgen.faults.bench import Run, Trial
from hwgen.faults.lists import ListBits
from hwgen.faults.table import counted, share
from hwgen.manifest import read_manifest
from hwgen.nn import LIF, ActQuant, StepsOut
from hwgen.sums import exact_sums

RANDOM = np.random.default_rng(7)
FRAMES = {"x": RANDOM.integers(-2, 2, (5, 384)).astype(float), "y": RANDOM.integers(-8, 8, (5, 3)).astype(float)}


class Net(nn.Module):
    """Two inputs, two outputs; one list of places, one of distances, one that a host loads."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.x, self.y, self.between = ActQuant(2, 0, True), ActQuant(4, 0, True), ActQuant(6, 0, True)
        self.long, self.loaded, self.last = nn.Linear(384, 9), nn.Linear(3, 9), nn.Linear(9, 4)
        self.u, self.v = ActQuant(7, 0, True), ActQuant(4, 0, True)
        for layer in (self.long, self.loaded, self.last):
            sign = torch.randint(0, 2, layer.weight.shape) * 2 - 1
            layer.weight.data = sign * 2.0 ** torch.randint(-1, 2, layer.weight.shape)
            layer.bias.data = torch.randint(-9, 9, layer.bias.shape) / 2

    def forward(self, x, y):
        u, v = self.u(self.long(self.x(x))), self.v(self.loaded(self.y(y)))
        return self.last(self.between(u + v)), u


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("faults") / "net"
    example = torch.zeros(1, 384), torch.zeros(1, 3)
    hwgen.build(Net(), example, out=out, config=BuildConfig(loadable="loaded"))
    return out


@pytest.fixture
def own(built, tmp_path) -> Path:
    """A copy without results."""
    return shutil.copytree(built, tmp_path / "net", ignore=shutil.ignore_patterns("sim"))


def outcomes(folder: Path) -> dict[int, dict]:
    """Every line of the results in a build, by the flip's number."""
    lines = [line for path in (folder / "sim/faults").glob("*.jsonl") for line in path.read_text().splitlines()]
    assert len({json.loads(line)["index"] for line in lines}) == len(lines), "a flip was tried twice"
    return {json.loads(line)["index"]: json.loads(line) for line in lines}


def test_sites_are_the_registers_and_memories_of_the_build(built):
    sites = Campaign(built, FRAMES, tuple(KINDS), 0, "rtl", False).sites
    paths = {site.path: site for site in sites.all}
    assert len(paths) == len(sites.all)
    known = read_manifest(built)
    lists = [site for site in sites.all if site.kind == "rom"]
    assert sum(site.bits for site in lists) == sum(rom["depth"] * rom["width"] for rom in known["roms"].values())
    assert {site.layer for site in lists} == {"long", "loaded", "last"}
    pc = next(site for path, site in paths.items() if "_last.u_term_sequencer.u_fetch." in path)
    assert (pc.name, pc.kind, pc.depth, pc.layer) == ("term_sequencer.u_fetch", "control", 0, "last")
    names = {site.name: site.kind for site in sites.all}
    assert names["pe.acc_q"] == "registers" and names["row_count.u_count"] == "control"
    assert names["line_memory.memory"] == "lines" and "term_rom.check_memory" not in names
    assert {site.layer for site in sites.all} == {unit["name"] for unit in known["units"]} | {"border"}
    # every bit is found once
    assert {sites.place(bit) for bit in range(sites.bits)} == {
        (number, word, bit)
        for number, site in enumerate(sites.all)
        for word in range(max(1, site.depth))
        for bit in range(site.width)
    }


def test_a_list_is_read_as_the_layer_that_it_is_of(built):
    one = Campaign(built, FRAMES, ("rom",), 0, "auto", False)
    read = {one.sites.all[number].layer: bits for number, bits in one._lists.items()}
    assert read["long"].unit.entries.gaps and not read["last"].unit.entries.gaps and not read["loaded"]._is_plain
    for name in ("long", "last"):
        sums = exact_sums(read[name].unit.stage)
        for channel, weights in enumerate(sums.weights):
            found = read[name]._read(channel)
            assert found is not None and read[name]._is_layer(channel, found)
            assert found.total() == sums.constants[channel]
            assert (found.weights(len(weights)) == weights << sums.lift).all()
            assert found.bits(len(weights), sums.reads) <= read[name].unit.program.accumulator
    fields = {one.field(one.flip(i)) for i in range(500)}
    said = {"last", "shift", "negate", "immediate", "constant", "place", "distance", "behind the list"}
    assert fields == said


@pytest.mark.sim
def test_the_golden_model_gives_what_the_rtl_gives(own, monkeypatch):
    """Each flip that the golden model stands for is tried in the RTL too, word by word."""
    monkeypatch.setattr(campaign, "CHECKED", 1)
    result = faults(own, FRAMES, where=("rom",), flips=120, seed=1)
    assert result["engines"]["golden"] > 30 and result["engines"]["rtl"] > 30
    assert result["total"]["class"] + result["total"]["integers"] > 20
    by = {flip["field"]: flip for flip in result["fields"]}
    assert by["negate"]["masked"] < by["negate"]["flips"]
    # what a reset leaves is set right
    one = Campaign(own, FRAMES, ("control", "registers"), 0, "rtl", False)
    loader = [number for number, site in enumerate(one.sites.all) if site.name.startswith("term_loader.")]
    assert any(one.sites.all[number].name == "term_loader.u_last" for number in loader)
    one.clocks, tried = one.bench.measure(), []
    one.bench.run([Trial(i, 0, site, 0, 0, 9, 1) for i, site in enumerate(loader)], 1, lambda n: None, tried.extend)
    assert len(tried) == len(loader) and any(run.hung or run.words is not None for run in tried)
    # nothing is tried again
    monkeypatch.setattr(campaign.Bench, "measure", None)
    assert faults(own, FRAMES, where=["rom"], flips=120, seed=1) == result
    monkeypatch.undo()

    def wrong(self, word, bit, right=ListBits.flipped):
        return self.graph if right(self, word, bit) is not None else None

    monkeypatch.setattr(campaign, "CHECKED", 1)
    monkeypatch.setattr(ListBits, "flipped", wrong)
    with pytest.raises(Mismatch, match="the RTL does not send the integers of the golden model"):
        faults(own, FRAMES, where=("rom",), flips=60, seed=2)


@pytest.mark.sim
def test_a_campaign_goes_on_where_it_stopped_however_many_work(own, tmp_path):
    """Few flips then more, interrupted, with two simulators: as all at once."""
    copy = shutil.copytree(own, tmp_path / "copy")
    result = faults(copy, FRAMES, flips=24, seed=5, engine="rtl")
    faults(own, FRAMES, flips=4, seed=5, engine="rtl")

    def press(stage: str) -> None:
        if stage[0].isdigit() and int(stage.split()[0]) >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        faults(own, FRAMES, flips=24, seed=5, engine="rtl", progress=press)
    kept = outcomes(own)
    assert 8 <= len(kept) <= 24
    path = next((own / "sim/faults").glob("*.jsonl"))
    path.write_text(path.read_text()[:-20])  # a line that was cut short is tried again
    text = CliRunner().invoke(main, [*command(own, tmp_path), "--flips", "24", "--seed", "5", "--jobs", "2"]).output
    assert "24 flips" in text and "24 in the RTL" in text
    assert json.loads((own / "sim/faults/faults.json").read_text()) == json.loads(json.dumps(result))
    assert "| rom |" in (own / "sim/faults/faults.md").read_text()
    assert "</svg>" in (own / "sim/faults/faults.svg").read_text()


def command(folder: Path, work: Path) -> list[str]:
    np.savez(work / "x.npz", x=FRAMES["x"], y=FRAMES["y"])
    return ["faults", str(folder), "--input", str(work / "x.npz"), "--engine", "rtl"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"where": ("rom", "roms")}, "no kind of bits is called 'roms'"),
        ({"where": ()}, "no kind of bits"),
        ({"flips": 0}, "0 flips"),
        ({"seed": -1}, "seed = -1"),
        ({"engine": "icarus"}, "no engine 'icarus'"),
        ({"x": {"x": FRAMES["x"][:, :4], "y": FRAMES["y"]}}, r"has shape \[5, 4\]"),
    ],
)
def test_bad_input(own, change, said):
    x = change.pop("x", FRAMES)
    with pytest.raises(BadInput, match=said):
        faults(own, x, **change)
    assert not list(own.rglob("*.jsonl"))


def test_no_build_and_no_compiler(own, tmp_path, monkeypatch):
    result = CliRunner().invoke(main, command(tmp_path, tmp_path))
    assert result.exit_code == 1 and "the folder is no build" in result.output and "Traceback" not in result.output
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="g\\+\\+"):
        faults(own, FRAMES)


def test_a_run_without_a_flip_must_be_right(own):
    one = Campaign(own, FRAMES, ("control",), 0, "rtl", False)
    good = Run(-1, 9, False, False, False, None)
    one.bench._check([good, Run(3, 9, True, False, False, None)])
    for bad in (replace(good, hung=True), replace(good, words=(np.zeros((1, 1)),)), replace(good, found=True)):
        with pytest.raises(ToolFailed, match="a reset does not undo a flip"):
            one.bench._check([bad])


def test_intervals_hold_what_they_promise():
    """Clopper and Pearson's ends are those shares at which so many or more, so many or fewer, have 2.5 %."""
    assert share(0, 0) == [0.0, 0.0, 1.0]
    for part, count in ((0, 30), (1, 30), (7, 30), (30, 30)):
        _, low, high = share(part, count)
        assert low == pytest.approx(beta.ppf(0.025, part, count - part + 1) if part else 0)
        assert high == pytest.approx(beta.ppf(0.975, part + 1, count - part) if part < count else 1)
    assert counted([])["wrong_share"] == [0.0, 0.0, 1.0]


@pytest.mark.sim
def test_protection_that_is_broken_shows(tmp_path):
    """With parity every flip of a list that changes a word is told of, and no flip of one copy of a register does; not
    where the comparison, or the vote, is broken."""
    torch.manual_seed(1)
    net = nn.Sequential(ActQuant(4, 0, True), nn.Linear(4, 5), ActQuant(6, 0, True))
    net[1].weight.data = (torch.randint(0, 2, (5, 4)) * 2 - 1) * 2.0 ** torch.randint(-1, 2, (5, 4))
    x = RANDOM.integers(-8, 8, (9, 4)).astype(float)
    good, bad = tmp_path / "good", tmp_path / "bad"
    hwgen.build(net, (torch.zeros(1, 4),), out=good, config=BuildConfig(protect="parity,tmr-control"))
    shutil.copytree(good, bad)
    for name, text, broken in (
        ("voted_reg", "assign q = (a & b) | (a & c) | (b & c);", "assign q = a & (b | 1'b1) & (c | 1'b1);"),
        ("axil_registers", "fault_q <= fault[w] ||", "fault_q <= "),
    ):
        path = bad / f"rtl/{name}.v"
        assert text in path.read_text()
        path.write_text(path.read_text().replace(text, broken))
    protected, unprotected = (
        {row["kind"]: row for row in faults(folder, x, where=("rom", "control"), flips=60, edited=True)["kinds"]}
        for folder in (good, bad)
    )
    assert protected["rom"]["masked"] < protected["rom"]["detected"] and protected["rom"]["silent"] == 0
    assert protected["control"]["masked"] == protected["control"]["flips"]
    assert unprotected["rom"]["silent"] > 0 and unprotected["rom"]["detected"] == 0
    assert unprotected["control"]["masked"] < unprotected["control"]["flips"]


def test_samples_of_time_steps_whose_frames_become_fewer(tmp_path):
    """Three frames of spikes in, one out: what a flip changes is told by the sample."""
    model = nn.Sequential(ActQuant(1, 0), nn.Linear(6, 5), LIF(3, -3, leak=(2,)), StepsOut(3))
    model[1].weight.data = torch.randint(-4, 5, (5, 6)) / 8
    model[1].bias.data.fill_(0.125)
    hwgen.build(model, (torch.zeros(3, 6),), out=tmp_path / "net", config=BuildConfig(engine="lanes"))
    x = torch.from_numpy(RANDOM.integers(0, 2, (12, 6)))
    campaign = Campaign(tmp_path / "net", x, ("rom",), 0, "auto", False)
    assert campaign.samples == 4 and campaign.bench.count == 4
    found = set()
    for index in range(40):
        if (other := campaign._graph(flip := campaign.flip(index))) is None:
            continue
        q = torch.cat([x, x]).reshape(-1, 6, 1, 1)[3 * flip.sample :][:6]
        wrong = (other.eval(q)[0] != campaign.design.graph.eval(q)[0]).flatten(1).any(1)
        outcome = campaign._outcome(flip, "golden", campaign._words(other, flip))
        assert (outcome.outcome != "masked", outcome.stays) == (bool(wrong.any()), bool(wrong[-1]))
        found.add(outcome.outcome)
    assert {"masked", "integers"} <= found
