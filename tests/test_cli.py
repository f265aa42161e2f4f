"""The verbs on a small build: what they take, what they leave in the folder, and what the report says of it."""

import json
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from fcntl import LOCK_EX, LOCK_UN, flock
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import hwgen
from hwgen.cli import main
from hwgen.errors import BadInput, Mismatch
from hwgen.flow import read_design
from hwgen.load import call
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant
from hwgen.simulate import check_run

EXAMPLE = (torch.zeros(1, 3),)
FRAMES = np.random.default_rng(1).integers(-8, 8, (20, 3)).astype(np.float64)


def small() -> nn.Sequential:
    net = nn.Sequential(ActQuant(4, 0, signed=True), nn.Linear(3, 2, bias=False))
    net[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 0.0], [0.5, 0.0, 4.0]]))
    return net


def golden(x: np.ndarray) -> np.ndarray:
    return small().double()(torch.tensor(x.astype(np.float64))).detach().numpy()


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """A build of small(); runs may be left in it."""
    out = tmp_path_factory.mktemp("shared") / "net"
    hwgen.build(small(), EXAMPLE, out=out)
    return out


@pytest.fixture
def own(shared, tmp_path) -> Path:
    """A fresh copy of the build."""
    out = tmp_path / "net"
    shutil.copytree(shared, out, ignore=shutil.ignore_patterns("sim", "report.*", "seconds.json"))
    return out


def run(*arguments, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


# what goes in


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(19, int), "shape [19]"),
        (np.zeros((20, 1), int), "shape [20, 1]"),
        (np.array(3), "shape []"),
        (np.zeros(20), "float64"),
        (["a"] * 20, "<U1"),
        ([[1], [2, 3]], "no array"),
        (torch.zeros(20, requires_grad=True), "float32"),
    ],
)
def test_labels_that_do_not_fit(own, labels, words):
    with pytest.raises(BadInput) as raised:
        hwgen.verify(own, FRAMES, labels=labels, simulator="icarus")
    assert words in str(raised.value) and raised.value.hint
    assert not (own / "sim").exists()


def test_labels_as_a_tensor(shared):
    labels = torch.tensor(golden(FRAMES)).argmax(1)
    assert hwgen.verify(shared, FRAMES, labels=labels, simulator="icarus")["accuracy"] == 1


@pytest.mark.parametrize(
    "returned", ["np.float64(3)", "np.array(3.0)", "(np.zeros((2, 3)), np.array(3))", "(np.zeros((2, 3)), 3)"]
)
def test_what_has_no_rows(own, tmp_path, returned):
    (tmp_path / "data.py").write_text(f"import numpy as np\ndef get(): return {returned}")
    for count in ([], ["--count", 1]):
        assert "BadInput" in run("verify", own, "--input", f"{tmp_path}/data.py:get", *count, code=1)
    assert not (own / "sim").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype(">f8"),
        lambda x: x.astype(">f4"),
        lambda x: x.astype(np.float16),
        lambda x: x.astype(np.longdouble),
        lambda x: np.asfortranarray(x),
        lambda x: x[::-1],
        lambda x: np.broadcast_to(x[:1], (3, 3)),
    ],
)
def test_every_array_of_floats(shared, change):
    x = change(FRAMES)
    y, _ = hwgen.simulate(shared, x, simulator="icarus")
    assert np.array_equal(y, golden(x))


@pytest.mark.parametrize("stall", [0.991, 1.0, -0.1, float("nan")])
def test_a_stall_out_of_range(own, stall):
    with pytest.raises(BadInput, match=r"0 to 0\.99"):
        hwgen.simulate(own, FRAMES, simulator="icarus", stall=stall)
    assert not (own / "sim").exists()


@pytest.mark.parametrize(("stall", "chance"), [(1e-9, 1), (0.99, 64881)])
def test_the_ends_of_the_stalls(shared, stall, chance):
    y, _ = hwgen.simulate(shared, FRAMES[:2], simulator="icarus", stall=stall)
    assert np.array_equal(y, golden(FRAMES[:2]))
    settings = json.loads((shared / "sim/icarus-stalls/settings.json").read_text())
    assert settings["chance"] == chance and settings["patience"] < 1 << 32


def test_the_seed_changes_the_stalls(shared):
    cycles = [
        hwgen.verify(shared, FRAMES, simulator="icarus", stall=0.4, seed=seed)["cycles"] for seed in (1, 2, 3, 0, 1)
    ]
    assert len(set(cycles)) > 2 and cycles[0] == cycles[-1]


def test_more_words_than_can_be_counted(shared):
    with pytest.raises(BadInput, match="--count"):
        check_run(shared, read_design(shared), np.broadcast_to(np.zeros((1, 3)), (1 << 31, 3)), "icarus", 0.0)


def test_an_output_that_cannot_be_written(own, tmp_path):
    np.save(tmp_path / "x.npy", FRAMES)
    output = tmp_path / "none" / "y.npy"
    assert "BadInput" in run("simulate", own, "--input", tmp_path / "x.npy", "--output", output, code=1)
    assert not (own / "sim").exists()


# the network's file and the folder


def test_a_network_beside_its_helper(tmp_path):
    (tmp_path / "hwgen_test_helper.py").write_text("K = 3")
    (tmp_path / "net.py").write_text(
        "from hwgen_test_helper import K\ndef get():\n import hwgen_test_helper\n return K"
    )
    before = list(sys.path)
    assert call(f"{tmp_path}/net.py:get") == 3
    assert sys.path == before


def test_a_network_called_as_a_module_of_python(tmp_path):
    (tmp_path / "json.py").write_text("def get(): return 3")
    assert call(f"{tmp_path}/json.py:get") == 3
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("folder", "name"), [("été", "t"), ("Net 2", "net_2"), ("2", "net_2"), ("网", "net"), ("_a-_b_", "a_b")]
)
def test_the_name_of_the_modules(tmp_path, folder, name):
    hwgen.build(small(), EXAMPLE, out=tmp_path / folder)
    assert read_manifest(tmp_path / folder)["name"] == name


def test_a_folder_with_a_space(shared, tmp_path):
    out = tmp_path / "my net"
    shutil.copytree(shared, out, ignore=shutil.ignore_patterns("sim"))
    with pytest.raises(BadInput, match="--simulator icarus"):
        hwgen.simulate(out, FRAMES)
    assert hwgen.verify(out, FRAMES, simulator="icarus", stall=0.1)["equal"] == 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: {}, "not one that hwgen wrote"),
        (lambda m: [], "not one that hwgen wrote"),
        (lambda m: m | {"hwgen": "0.0.1"}, "made by hwgen 0.0.1"),
        (lambda m: {key: m[key] for key in m if key != "units"}, "lacks units"),
    ],
)
@pytest.mark.parametrize("verb", ["verify", "synth", "report"])
def test_a_manifest_that_cannot_be_used(own, tmp_path, verb, change, words):
    path = own / "hwgen.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    np.save(tmp_path / "x.npy", FRAMES)
    text = run(verb, own, *(["--input", tmp_path / "x.npy"] if verb == "verify" else []), code=1)
    assert words in text and "build again" in text


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\xff", '{"equal": 3}'])
def test_damaged_records_are_taken_for_none(own, tmp_path, text):
    np.save(tmp_path / "x.npy", FRAMES)
    (own / "sim").mkdir()
    (own / "vivado").mkdir()
    for name in ("seconds.json", "sim/verify.json", "vivado/synth.json"):
        if text != '{"equal": 3}' or name == "sim/verify.json":
            (own / name).write_bytes(text.encode("latin-1"))
    assert run("report", own).count("Not run") == 2
    run("verify", own, "--input", tmp_path / "x.npy", "--simulator", "icarus", "--count", 2)
    assert list(json.loads((own / "seconds.json").read_text())) == ["verify"]


# runs side by side, and interrupted ones


def test_two_runs_in_one_folder(own):
    def work(number: int) -> bool:
        x = FRAMES + number
        return np.array_equal(hwgen.simulate(own, x, simulator="icarus")[0], golden(x))

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(work, range(3)))


def test_a_run_waits_for_another(own, capfd):
    (own / "sim/icarus").mkdir(parents=True)
    with (own / "sim/icarus/lock").open("w") as lock, ThreadPoolExecutor(1) as pool:
        flock(lock, LOCK_EX)
        running = pool.submit(hwgen.simulate, own, FRAMES, simulator="icarus")
        with pytest.raises(TimeoutError):
            running.result(timeout=1.5)
        assert not (own / "sim/icarus/harness.v").exists()
        flock(lock, LOCK_UN)
        running.result(timeout=60)
    assert capfd.readouterr().err.count("waiting for another run") == 1


@pytest.mark.sim
def test_a_half_finished_simulator_is_built_anew(own):
    hwgen.verify(own, FRAMES)
    (own / "sim/verilator/built.json").unlink()
    for path in (own / "sim/verilator/build").glob("*.[oa]"):
        path.write_bytes(b"half")
    assert hwgen.verify(own, FRAMES)["equal"] == 20


@pytest.mark.parametrize(
    ("verb", "function", "words"),
    [
        ("build", "hwgen.flow.build", "the old build or the whole new one"),
        ("verify", "hwgen.verify.verify", "next run"),
    ],
)
def test_what_is_said_of_an_interrupt(own, tmp_path, monkeypatch, verb, function, words):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    module, _, name = function.rpartition(".")
    __import__(module)
    monkeypatch.setattr(sys.modules[module], name, interrupted)
    np.save(tmp_path / "x.npy", FRAMES)
    options = {
        "build": [f"{__file__}:network", "-o", own],
        "verify": [own, "--input", tmp_path / "x.npy"],
    }
    text = run(verb, *options[verb], code=130)
    assert "interrupted" in text and words in text


def network():
    return small(), EXAMPLE


# the report


def spoil(folder: Path) -> None:
    """Makes the RTL differ from the golden integers: it subtracts one too much."""
    lane = folder / "rtl/pe.v"
    text = lane.read_text()
    assert "result = result - x" in text
    lane.write_text(text.replace("result = result - x", "result = result + ~x"))


def test_a_failed_verify_is_in_the_report(own):
    hwgen.verify(own, FRAMES, simulator="icarus")
    assert "20 of 20 frames equal" in hwgen.report(own)[1]
    sound = (own / "rtl/pe.v").read_bytes()
    spoil(own)
    with pytest.raises(Mismatch) as raised:
        hwgen.verify(own, FRAMES, simulator="icarus", edited=True)
    assert raised.value.hint == "the build was edited: look at rtl/pe.v, or build again"
    text = hwgen.report(own)[1]
    assert f"**FAILED:** {raised.value.what}" in text and "of 20 frames equal" not in text
    assert "**Changed since the build:** rtl/pe.v" in text and "Stale" not in text
    assert "| - | measured |" in text
    (own / "rtl/pe.v").write_bytes(sound)
    hwgen.verify(own, FRAMES, simulator="icarus")
    text = hwgen.report(own)[1]
    assert "FAILED" not in text and "Changed" not in text and "| - | measured |" not in text


def test_input_that_is_refused_leaves_the_record(own):
    hwgen.verify(own, FRAMES, simulator="icarus")
    for change in ({"x": FRAMES[:0]}, {"stall": 2.0}, {"labels": [1]}, {"simulator": "none"}):
        with pytest.raises(BadInput):
            hwgen.verify(own, **{"x": FRAMES, "simulator": "icarus"} | change)
    assert "20 of 20 frames equal" in hwgen.report(own)[1]


@pytest.mark.parametrize("change", ["edit", "remove"])
def test_a_changed_source_is_in_the_report(own, change):
    hwgen.verify(own, FRAMES, simulator="icarus")
    source = next((own / "rom").iterdir())
    source.write_text(source.read_text() + "\n") if change == "edit" else source.unlink()
    text = hwgen.report(own)[1]
    assert "**Stale: the build has changed since" in text and "| - | measured |" in text
    assert f"**Changed since the build:** rom/{source.name}" in text


def test_vivado_is_in_the_report(own):
    counts = {"LUT": 123, "FF": 45}
    common = {"tool": "vivado", "version": "Vivado v2024.1", "flags": "vivado/x.tcl", "seconds": 60.0, "units": []}
    timing = {"period_ns": 4.0, "wns_ns": 0.5, "fmax_mhz": 285.7}
    (own / "vivado").mkdir()
    (own / "synth").mkdir()
    (own / "vivado/synth.json").write_text(json.dumps(common | {"timing": timing, "core": counts}))
    (own / "vivado/implement.json").write_text(json.dumps(common | {"timing": timing, "total": counts}))
    (own / "synth/yosys.json").write_text(json.dumps(common | {"tool": "yosys", "total": counts}))
    values, text = hwgen.report(own)
    assert list(values["synthesis"]) == ["yosys", "vivado synth", "vivado implement"]
    assert "After synthesis, not after place and route: no clock is claimed." in text
    assert "After synthesis, not after place and route: slack 0.5 ns of 4.0 ns, 285.7 MHz (an estimate)." in text
    assert "After place and route: slack 0.5 ns of 4.0 ns, 285.7 MHz." in text
    assert text.count("| 123 |") == 3 and text.count("\n| unit | LUT") == 3


def test_help_names_the_ranges():
    assert "0 to 0.99" in run("verify", "--help")
    assert "1 to 4096" in run("build", "--help")
    assert "--no-dsp" in run("build", "--help")


def test_a_verb_leaves_the_interrupt_handler_as_it_was(tmp_path):
    """Called from a program, as here: Ctrl-C is the program's own again afterwards."""
    before = signal.getsignal(signal.SIGINT)
    run("report", tmp_path / "nothing", code=1)
    assert signal.getsignal(signal.SIGINT) is before


def test_by_layer_and_limits_reach_yosys(own, tmp_path, monkeypatch):
    from hwgen.synth import yosys

    def synthesize(folder, jobs, **options):
        assert (folder, jobs) == (own, 3)
        assert options.pop("progress") is not None
        assert options == {"whole": False, "cache": tmp_path, "memory": 1.5, "minutes": 10}
        return {"units": [{"name": "one", "resources": {"LUT": 9}, "seconds": 7, "cached": True}], "sum": {"LUT": 2304}}

    monkeypatch.setattr(yosys, "synthesize", synthesize)
    text = run("synth", own, "--by-layer", "--jobs", 3, "--cache", tmp_path, "--memory", 1.5, "--minutes", 10)
    assert "| one | 9 | - | - | - | - | - | - | 7, cached |" in text
    assert "| used | 1.0% |" in text
