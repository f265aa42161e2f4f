"""Running a build: what goes in, what is trusted, what is measured, and what the waves hold."""

import errno
import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import hwgen
from hwgen import simulators
from hwgen.cli import main
from hwgen.errors import BadInput, Mismatch, MissingTool, ToolFailed
from hwgen.flow import read_design
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant
from hwgen.simulate import check_run
from hwgen.simulators import SIMULATORS, simulator

FRAMES = np.random.default_rng(1).integers(-8, 8, (20, 3)).astype(np.float64)


def small() -> nn.Sequential:
    net = nn.Sequential(ActQuant(4, 0, signed=True), nn.Linear(3, 2, bias=False), ActQuant(5, 0, signed=True))
    net[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 0.0], [0.5, 0.0, 4.0]]))
    return net


def golden(x: np.ndarray) -> np.ndarray:
    return small().double()(torch.tensor(x.astype(np.float64))).detach().numpy()


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """A build of small(); runs may be left in it."""
    out = tmp_path_factory.mktemp("shared") / "net"
    hwgen.build(small(), (torch.zeros(1, 3),), out=out)
    return out


@pytest.fixture
def own(shared, tmp_path) -> Path:
    """A fresh copy of the build."""
    return shutil.copytree(shared, tmp_path / "net", ignore=shutil.ignore_patterns("sim", "report.*"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def run(*arguments, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


# what goes in


@pytest.mark.parametrize(
    "change",
    [
        lambda x: torch.tensor(x),
        lambda x: torch.tensor(x, dtype=torch.bfloat16),
        lambda x: torch.tensor(x, dtype=torch.float16, requires_grad=True),
        lambda x: torch.tensor(x).to(torch.int8),
        lambda x: x.astype(np.int64),
        lambda x: abs(x).astype(np.uint8),
        lambda x: abs(x).astype(">u2"),
        lambda x: x > 0,
    ],
)
def test_every_type_of_real_numbers(shared, change):
    x = change(FRAMES)
    design = read_design(shared)
    plain = x.double().detach().numpy() if isinstance(x, torch.Tensor) else np.asarray(x, np.float64)
    (got,), (want,) = (check_run(shared, design, given, "icarus", 0.0)[0] for given in (x, plain))
    assert torch.equal(got, want)
    assert np.array_equal(plain, x.double().detach().numpy() if isinstance(x, torch.Tensor) else x)


def test_a_tensor_through_the_rtl(shared):
    y, _ = hwgen.simulate(shared, torch.tensor(FRAMES), simulator="icarus")
    assert np.array_equal(y, golden(FRAMES))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (FRAMES.astype(complex), "complex128"),
        (torch.zeros(2, 3, dtype=torch.complex64), "complex64"),
        (FRAMES.astype(object), "object"),
        (FRAMES.tolist(), "list"),
        (torch.zeros(2, 3).to_sparse(), "no plain array"),
        (np.full((2, 3), -(2**53) - 1), "-9007199254740993"),
        (np.full((2, 3), 2**64 - 1, np.uint64), "18446744073709551615"),
        (np.full((2, 3), 1 + np.longdouble(2) ** -60), "which no float64 is"),
    ],
)
def test_what_is_not_real_or_not_exact(own, x, words):
    for verb in (hwgen.simulate, hwgen.verify):
        with pytest.raises(BadInput, match=re.escape(words)) as raised:
            verb(own, x, simulator="icarus")
        assert raised.value.hint
    assert not (own / "sim").exists()


# what is trusted


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_nothing_is_imported_from_the_build(own, simulator):
    """Modules of the names that a run imports, wherever it could look for them."""
    traces = []
    for place in (own, own / "sim", own / "rom", own / "sim" / simulator):
        place.mkdir(exist_ok=True)
        for name in ("bulk", "cocotb", "json", "sitecustomize"):
            trace = place / f"{name}_was_imported"
            (place / f"{name}.py").write_text(f"open({str(trace)!r}, 'w')\nraise SystemExit(3)\n")
            traces.append(trace)
    y, _ = hwgen.simulate(own, FRAMES, simulator=simulator)
    assert np.array_equal(y, golden(FRAMES))
    assert not [trace for trace in traces if trace.exists()]


def test_a_simulator_of_other_sources_is_not_taken(own, monkeypatch):
    """A simulator found in the build is run only if what hwgen would compile has its digest, by the same tool."""
    hwgen.simulate(own, FRAMES, simulator="icarus")
    made = own / "sim/icarus/build/sim.vvp"
    sound = made.read_bytes()
    _, again = hwgen.simulate(own, FRAMES, simulator="icarus")
    assert again.seconds.compile < 0.01 and made.read_bytes() == sound
    core = own / "rtl/net_core.v"
    text = core.read_text()
    core.write_text(text + "\n")
    made.write_text("planted\n")
    hwgen.simulate(own, FRAMES, simulator="icarus", edited=True)
    assert made.read_text() != "planted\n"
    made.write_text("planted\n")
    monkeypatch.setattr("hwgen.simulators.icarus.Icarus.version", lambda self: "another")
    hwgen.simulate(own, FRAMES, simulator="icarus", edited=True)
    assert made.read_text() != "planted\n"


@pytest.mark.parametrize("name", ["golden.json", "golden.npz", "rtl/clamp.v", "rom/layer_1.hex", "hwgen.json"])
@pytest.mark.parametrize("verb", ["simulate", "verify", "synth", "weights"])
def test_every_verb_refuses_a_changed_build(own, tmp_path, name, verb):
    np.save(tmp_path / "x.npy", FRAMES)
    path = own / name
    path.write_bytes(path.read_bytes().replace(b'"exponent": 0', b'"exponent": 1', 1) + b"\n")
    if name == "hwgen.json":
        edit(path, '"levels": 3', '"levels": 4')
    options = {
        "simulate": ["--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy"],
        "verify": ["--input", tmp_path / "x.npy"],
        "synth": ["--tool", "vivado"],
        "weights": ["-o", tmp_path / "w.bin"],
    }
    text = run(verb, own, *options[verb], code=1)
    assert f"{name} is not as hwgen wrote it" in text and "build again" in text
    assert not (own / "sim").exists() and not (own / "vivado").exists()
    if name.startswith("golden") and verb != "weights":
        assert name in run(verb, own, *options[verb], "--edited", code=1)


@pytest.mark.parametrize("name", ["sim", "sim/icarus", "synth", "vivado"])
def test_nothing_is_written_or_deleted_behind_a_link(own, tmp_path, name):
    outside = tmp_path / "outside"
    for path in (outside / "build/thesis.tex", outside / "icarus/build/thesis.tex", outside / "input.hex"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("all my work")
    before = sorted(outside.rglob("*"))
    (own / name).parent.mkdir(exist_ok=True)
    (own / name).symlink_to(outside)
    with pytest.raises(BadInput, match="it is a link"):
        hwgen.simulate(own, FRAMES, simulator="icarus")
    assert sorted(outside.rglob("*")) == before
    assert {path.read_text() for path in before if path.is_file()} == {"all my work"}


def test_a_missing_file_is_no_edit(own):
    (own / "rtl/clamp.v").unlink()
    for edited in (False, True):
        with pytest.raises(BadInput, match=r"rtl/clamp\.v is missing"):
            hwgen.simulate(own, FRAMES, simulator="icarus", edited=edited)


def test_a_verify_of_edited_rtl_says_so(own, tmp_path):
    """The edit is in the branch for the board, which no simulation runs."""
    np.save(tmp_path / "x.npy", FRAMES)
    edit(own / "rtl/pe.v", "if (XILINX", "if (1'b1 && XILINX")
    text = run("verify", own, "--input", tmp_path / "x.npy", "--simulator", "icarus", "--edited")
    assert (
        "bit-exact 20 of 20" in text
        and "edited since the build: rtl/pe.v" in text
        and "board's XILINX did not run" in text
    )
    assert json.loads((own / "sim/verify.json").read_text())["edited"] == ["rtl/pe.v"]
    assert "Edited since the build: rtl/pe.v" in hwgen.report(own)[1]


def test_a_fault_is_named_by_its_unit(own):
    """The unit that the report's table shows; its stream has the name of the quantizer behind the layer."""
    edit(own / "rtl/pe.v", "result = result - x", "result = result + ~x")
    with pytest.raises(Mismatch, match=r"first wrong layer layer_1 \(stream layer_2\), channel 0") as raised:
        hwgen.verify(own, FRAMES, simulator="icarus", edited=True)
    assert "report it" not in str(raised.value)
    assert "| layer_1 |" in hwgen.report(own)[1]


def test_a_network_that_stops_is_not_to_be_reported_by_whom_edited_it(own):
    edit(own / "rtl/requantize.v", "assign m_axis_tvalid = ", "assign m_axis_tvalid = 1'b0 && ")
    with pytest.raises(ToolFailed, match="no word moved") as raised:
        hwgen.simulate(own, FRAMES, simulator="icarus", edited=True)
    assert raised.value.hint == "the build was edited: look at rtl/requantize.v, or build again"


def test_a_simulator_is_found_by_being_there(tmp_path, monkeypatch):
    (tmp_path / "another_for_a_test.py").write_text(
        "from hwgen.simulators.simulator import Simulator\n"
        "class Another(Simulator):\n    name = 'another'\n    programs = {'no-such-program': 'its-package'}\n"
        "SIMULATOR = Another()\n"
    )
    assert set(SIMULATORS) == set(simulator.simulators()) and "another" not in SIMULATORS
    monkeypatch.setattr(simulators, "__path__", [*simulators.__path__, str(tmp_path)])
    simulator.simulators.cache_clear()
    try:
        with pytest.raises(MissingTool, match=r"another needs the program no-such-program(?s:.*)package its-package"):
            simulators.check_simulator("another", tmp_path)
    finally:
        simulator.simulators.cache_clear()
    assert all(name in run("simulate", "--help") for name in SIMULATORS)


# a disk that refuses


@pytest.mark.parametrize("call", ["mkdir", "unlink", "write_text", "open"])
@pytest.mark.parametrize("verb", ["simulate", "verify", "report"])
def test_a_folder_that_cannot_be_written(own, monkeypatch, verb, call):
    """Whatever the operating system refuses in the build is told, and the build is as it was."""
    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    original, refused = getattr(Path, call), []

    def refuse(path: Path, *arguments, **options):
        reads = call == "open" and (*arguments, options.get("mode", "r"))[0].startswith("r")
        if reads or not path.is_relative_to(own):
            return original(path, *arguments, **options)
        refused.append(path)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    arguments, options = ((own,), {}) if verb == "report" else ((own, FRAMES), {"simulator": "icarus"})
    monkeypatch.setattr(Path, call, refuse)
    with pytest.raises(BadInput, match=r"Read-only file system(?s:.*)make room there, or name another folder"):
        getattr(hwgen, verb)(*arguments, **options)
    monkeypatch.undo()
    assert refused
    assert all(path.read_bytes() == text for path, text in before.items())


def test_a_disk_that_fills_up_in_a_run(own, monkeypatch):
    """The simulator does not tell: words that are missing in what it left do."""
    module = sys.modules["hwgen.simulate"]
    run_cocotb = module.run_cocotb

    def cut_short(**options):
        seconds = run_cocotb(**options)
        output = own / "sim/icarus/output.hex"
        output.write_text("\n".join(output.read_text().splitlines()[:5]))
        return seconds

    monkeypatch.setattr(module, "run_cocotb", cut_short)
    with pytest.raises(ToolFailed, match=r"left 2 of 20 frames(?s:.*)full disk"):
        hwgen.simulate(own, FRAMES, simulator="icarus")


# what is measured


def test_latency(shared):
    """One frame alone: the latency is the whole run; a frame more does not change it."""
    _, one = hwgen.simulate(shared, FRAMES[:1], simulator="icarus")
    _, all_ = hwgen.simulate(shared, FRAMES, simulator="icarus")
    assert one.latency == one.cycles - 1 == all_.latency < all_.cycles
    assert 0 < one.first_word == all_.first_word < one.latency  # two words a frame
    # frames of five and six clocks by turns: two slots, each three clocks to fill, five to read, three to hand back
    assert all_.interval == 5 and 19 * 5 < all_.cycles - 1 - all_.latency < 19 * 6
    assert one.latency == read_manifest(shared)["latency"]


def test_latency_and_seconds_are_told(own, tmp_path):
    np.save(tmp_path / "x.npy", FRAMES)
    _, measured = hwgen.simulate(own, FRAMES, simulator="icarus")
    text = run("verify", own, "--input", tmp_path / "x.npy", "--simulator", "icarus")
    predicted = read_manifest(own)["latency"]
    assert f"the first frame after {measured.latency} (predicted {predicted})" in text
    assert re.search(r"compiled in \d+\.\d s, simulated in \d+\.\d s", text)
    record = json.loads((own / "sim/verify.json").read_text())
    assert (record["latency"], record["first_word"]) == (measured.latency, measured.first_word)
    text = hwgen.report(own)[1]
    assert f"first frame out | {predicted} | predicted |" in text
    assert f"first frame out | {measured.latency} | measured |" in text
    assert f"first word out | {measured.first_word} | measured |" in text


# waves


def changes(path: Path, name: str) -> int:
    """How often the signal of that full name changes in a VCD file; it must be there."""
    scope, codes, counts = [], {}, {}
    for line in path.read_text().splitlines():
        words = line.split()
        if line.strip().startswith("$scope"):
            scope.append(words[2])
        elif line.strip().startswith("$upscope"):
            scope.pop()
        elif line.strip().startswith("$var"):
            codes[".".join([*scope, words[4]])] = words[3]
        elif words and words[0][0] in "01xzb":
            code = words[1] if words[0][0] == "b" else words[0][1:]
            counts[code] = counts.get(code, 0) + 1
    found = [code for full, code in codes.items() if full.endswith(name)]
    assert found, sorted(codes)
    return counts.get(found[0], 0)


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_waves(own, tmp_path, simulator):
    np.save(tmp_path / "x.npy", FRAMES)
    io = ["--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy", "--simulator", simulator]
    run("simulate", own, *io, "--count", 3, "--waves", tmp_path / "few waves.vcd")
    assert np.array_equal(np.load(tmp_path / "y.npy"), golden(FRAMES[:3]))
    assert changes(tmp_path / "few waves.vcd", "dut.u_term_lanes_layer_1.m_axis_tvalid") > 3
    assert changes(tmp_path / "few waves.vcd", "dut.s_axis_tdata") > 3
    run("simulate", own, *io)  # without waves: another simulator
    assert len(list(tmp_path.rglob("*.vcd"))) == 1


def test_waves_that_cannot_be_written(own, tmp_path):
    for path in (tmp_path / "waves.fst", tmp_path / "none" / "waves.vcd"):
        with pytest.raises(BadInput, match=str(path)):
            hwgen.simulate(own, FRAMES, simulator="icarus", waves=path)
    assert not (own / "sim").exists()
