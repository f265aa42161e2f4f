"""The drivers of a kit, as they are for a board, against its hardware: the Verilated top, a model of AXI DMA, memory
with random latency that is not coherent, and interrupts, behind the files that Linux has for them."""

import fcntl
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hwgen import BuildConfig, build
from hwgen.deploy import deploy
from hwgen.deploy.system import compile_system, environment_of
from hwgen.flow import read_design
from hwgen.load import call
from hwgen.nn import LIF, ActQuant, StepsIn, StepsOut
from hwgen.share import share
from hwgen.weights import load_words
from tests.test_borders import built, frames_for, several
from tests.test_deploy import tiny
from tests.test_spiking import on_grid

EXAMPLES = share("rtl").parent / "examples"
HERE = share("rtl").parent / "tests/system"
SANITIZED = ["-std=c11", "-g", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-static-libasan"]
SANITIZED += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
DRIVER = ("hwgen.c", "linux.c", "pack.c", "network.c")
FEW = 60


class Board:
    """The kit of a build, its driver's programs with sanitizers, and its hardware, simulated."""

    def __init__(self, folder):
        self.folder, self.kit = folder, folder / "kit"
        deploy(folder / "build", self.kit)
        self.library = compile_system(self.kit, folder / "system")

    def compiled(self, name, *more):
        """A program of the driver and another file."""
        sources = [str(self.kit / "driver" / each) for each in DRIVER]
        command = ["gcc", *SANITIZED, f"-I{self.kit / 'driver'}", *sources, *map(str, more), "-lm"]
        subprocess.run([*command, "-o", str(self.folder / name)], check=True)
        return self.folder / name

    def run(self, *command, **environment):
        """A program on the board; environment -- of sim/system/shim.cpp."""
        names = environment_of(self.kit, self.library, self.folder / "devices", **environment)
        return subprocess.run([*map(str, command)], env=names, capture_output=True, text=True, check=False)

    def python(self, x, *more, **environment):
        """What the Python driver gives for arrays x, and what it said; `more`: platform, recover."""
        np.savez(self.folder / "x.npz", *x)
        (self.folder / "y.npz").unlink(missing_ok=True)
        names = {"PYTHONPATH": str(HERE / "pynq_standin"), "PYTHONDONTWRITEBYTECODE": "1"}
        arguments = (HERE / "drive.py", self.kit, self.folder / "x.npz", self.folder / "y.npz", *more)
        done = self.run(sys.executable, *arguments, **names, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        with np.load(self.folder / "y.npz") as y:
            return [*y.values()], done.stdout


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """LeNet-5, with 1,000 images x and their results y."""
    folder = tmp_path_factory.mktemp("system")
    build(torch.export.load(EXAMPLES / "lenet5/lenet5.pt2"), out=folder / "build", config=BuildConfig(name="lenet5"))
    made = Board(folder)
    made.x = np.asarray(call(f"{EXAMPLES / 'lenet5/model.py'}:test_data")[0], np.float32)[:1000]
    made.y = read_design(folder / "build").graph.golden(torch.from_numpy(made.x).double())[0].numpy()
    np.save(folder / "x.npy", made.x)
    np.savez(folder / "x.npz", made.x[:FEW])
    (folder / "few.raw").write_bytes(made.x[:FEW].tobytes())
    return made


@pytest.fixture(scope="module")
def hwgen_run(board):
    return board.compiled("hwgen-run", board.kit / "driver/hwgen_run.c")


@pytest.fixture(scope="module")
def recover(board):
    return board.compiled("recover", HERE / "recover.c")


@pytest.mark.sim
def test_c_driver_runs_lenet5_on_a_thousand_images(board, hwgen_run):
    done = board.run(hwgen_run, "--input", board.folder / "x.npy", "--output", board.folder / "y.npy")
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(board.folder / "y.npy"), board.y)
    assert done.stdout.startswith("1000 frames in ")


@pytest.mark.sim
def test_benchmark_tells_rate_and_latency(board, hwgen_run):
    done = board.run(hwgen_run, "--benchmark", 5)
    assert done.returncode == 0, done.stderr
    assert re.search(r"5 frames in .*\n.*\nlatency of 1, us: median [\d.]+, 90 % [\d.]+, 99 %", done.stdout)


@pytest.mark.sim
@pytest.mark.parametrize("batch", [7, 64])
def test_results_do_not_depend_on_latency_or_batch(board, hwgen_run, batch):
    np.save(board.folder / "few.npy", board.x[:FEW].astype(np.float64))
    arguments = [
        "--input",
        board.folder / "few.npy",
        "--output",
        board.folder / "y.npy",
        "--batch",
        batch,
        "--slots",
        3,
    ]
    done = board.run(hwgen_run, *arguments, HWGEN_LATENCY="100,400", HWGEN_SEED=str(batch))
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(board.folder / "y.npy"), board.y[:FEW])


# each with the number and the text of what hwgen_run says
FAULTS = {
    "slave_error=20": (6, "hwgen-dma0, from memory, stopped .*: the memory answered with an error"),
    "hang=20": (9, "no result in 20 ms: \\d+ frames went in, \\d+ came out"),
    "early_in=12000": (8, "a transfer to the network ended amid a frame, after 15 whole ones"),
    "early_out=53": (7, "frame 5 of a transfer came back with 8 bytes, not 20"),
}


@pytest.mark.sim
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_and_a_reset_mends_it(board, recover, fault):
    status, text = FAULTS[fault]
    done = board.run(recover, FEW, board.folder / "few.raw", board.folder / "y.raw", HWGEN_FAULTS=fault)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(f"first {status}: {text}\n", done.stdout), done.stdout
    assert np.array_equal(np.fromfile(board.folder / "y.raw").reshape(FEW, 10), board.y[:FEW])


TOLD = {
    "hang=20": r"TimedOut: no result in 0\.02 s: \d+ frames went in, \d+ came out",
    "early_out=53": "ShortTransfer: frame 5 of a transfer came back with 8 bytes, not 20",
}


@pytest.mark.sim
def test_python_driver_runs_lenet5_on_a_thousand_images(board):
    (y,), _ = board.python([board.x], "uio")
    assert np.array_equal(y, board.y)


@pytest.mark.sim
@pytest.mark.parametrize("fault", TOLD)
def test_a_fault_is_told_by_the_python_driver_and_a_reset_mends_it(board, fault):
    (y,), said = board.python([board.x[:FEW]], "uio", "recover", HWGEN_FAULTS=fault)
    assert re.fullmatch(f"{TOLD[fault]}\n\\d+\n", said), said
    assert np.array_equal(y, board.y[:FEW])


@pytest.mark.sim
def test_the_driver_for_pynq_keeps_to_its_calls(board):
    for name in ("lenet5.bit", "lenet5.hwh"):
        (board.folder / name).touch()
    (y,), _ = board.python([board.x[:FEW]], str(board.folder / "lenet5.bit"))
    assert np.array_equal(y, board.y[:FEW])


@pytest.mark.sim
@pytest.mark.parametrize("function", ["for_device", "for_cpu"])
def test_a_cache_that_is_not_synchronized_is_seen(board, tmp_path, function):
    source = (board.kit / "driver/linux.c").read_text()
    call = f"return synchronize(region->sync_{function}, offset, size);"
    assert call in source
    (tmp_path / "linux.c").write_text(source.replace(call, "return region && offset + size ? 0 : 0;"))
    own = [board.kit / "driver" / name for name in ("hwgen.c", "pack.c", "network.c", "hwgen_run.c")]
    command = ["gcc", "-std=c11", f"-I{board.kit / 'driver'}", *own, tmp_path / "linux.c", "-lm"]
    subprocess.run([*map(str, command), "-o", str(tmp_path / "other")], check=True)
    np.save(tmp_path / "few.npy", board.x[:4])
    done = board.run(tmp_path / "other", "--input", tmp_path / "few.npy", "--output", tmp_path / "y.npy")
    assert done.returncode == 0 and not np.array_equal(np.load(tmp_path / "y.npy"), board.y[:4])


@pytest.mark.sim
def test_a_run_that_is_left_amid_its_frames_leaves_nothing_behind(board, recover):
    done = board.run(recover, FEW, board.folder / "few.raw", board.folder / "y.raw", "leave")
    assert done.returncode == 0 and done.stdout == "first 0: \n", done.stdout + done.stderr
    assert np.array_equal(np.fromfile(board.folder / "y.raw").reshape(FEW, 10), board.y[:FEW])


@pytest.mark.sim
def test_a_driver_of_another_build_is_refused(board, tmp_path):
    text = (board.kit / "driver/network.c").read_text()
    known = text.partition(".build_id = ")[2].partition("u,")[0]
    (tmp_path / "network.c").write_text(text.replace(known, "0x12345678"))
    sources = [board.kit / "driver" / name for name in ("hwgen.c", "linux.c", "pack.c", "hwgen_run.c")]
    command = ["gcc", "-std=c11", f"-I{board.kit / 'driver'}", *sources, tmp_path / "network.c", "-lm"]
    subprocess.run([*map(str, command), "-o", str(tmp_path / "other")], check=True)
    done = board.run(tmp_path / "other", "--benchmark", 1)
    assert done.returncode == 1
    said = f"the bitstream is of build {known}, this driver of 0x12345678 (lenet5): load its own kit"
    assert said in done.stderr
    shutil.copytree(board.kit / "python", tmp_path / "python")
    description = tmp_path / "python/network.json"
    description.write_text(description.read_text().replace(str(int(known, 16)), str(0x12345678)))
    drive = board.run(sys.executable, HERE / "drive.py", tmp_path, board.folder / "x.npz", "y.npz", "uio")
    assert drive.returncode == 1 and f"WrongBuild: {said}" in drive.stderr


@pytest.mark.sim
def test_a_second_process_is_refused(board, hwgen_run):
    board.run("/bin/cat", "/sys/class/uio/uio0/name")  # the devices' files are there
    with (board.folder / "devices/dev/uio0").open() as device:
        fcntl.flock(device, fcntl.LOCK_EX)
        done = board.run(hwgen_run, "--benchmark", 1)
        drive = board.run(sys.executable, HERE / "drive.py", board.kit, board.folder / "x.npz", "y.npz", "uio")
    said = "/dev/uio0 (hwgen-net) is in use by another process"
    assert done.returncode == 1 and said in done.stderr
    assert drive.returncode == 1 and f"NoDevice: {said}" in drive.stderr


@pytest.mark.sim
def test_without_a_device_its_name_is_told(board, hwgen_run):
    done = subprocess.run([hwgen_run, "--benchmark", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "no UIO device is called hwgen-net: load the device-tree overlay" in done.stderr


def check_both_drivers(made, x, want, *options, python=()):
    """hwgen-run and the Python driver give `want` for the frames x of one input."""
    np.save(made.folder / "x.npy", x)
    program = made.compiled("hwgen-run", made.kit / "driver/hwgen_run.c")
    arguments = ["--input", made.folder / "x.npy", "--output", made.folder / "y.npy", *options]
    done = made.run(program, *arguments)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(made.folder / "y.npy").reshape(want.shape), want)
    (y,), _ = made.python([x], "uio", *python)
    assert np.array_equal(y, want)


@pytest.mark.sim
def test_the_host_chooses_a_mode(tmp_path):
    x, wants, networks = np.random.default_rng(1).random((40, 1, 8, 8), np.float32), [], []
    for seed in (1, 2):
        net, example = tiny(seed=seed)
        networks.append((net, example))
        with torch.no_grad():
            wants.append(net.double()(torch.from_numpy(x).double()).numpy())
        net.float()
    build(*networks[0], out=tmp_path / "build", modes=networks[1:])
    made = Board(tmp_path)
    assert not np.array_equal(*wants)
    for mode, want in enumerate(wants):
        check_both_drivers(made, x, want, "--mode", mode, "--slots", 3, "--batch", 6, python=[f"mode={mode}"])
    done = made.run(tmp_path / "hwgen-run", "--input", tmp_path / "x.npy", "--mode", 2)
    assert done.returncode == 1 and "mode 2: this build has 2" in done.stderr


@pytest.mark.sim
def test_a_spiking_network_that_ends_early(tmp_path):
    """Wider ports than the network's beats; of several transfers under way each is answered as its samples end."""
    torch.manual_seed(5)
    first, second = (on_grid(nn.Linear(*sizes)) for sizes in ((5, 7), (7, 4)))
    net = nn.Sequential(
        ActQuant(4, -3),
        first,
        StepsIn(6),
        LIF(6, -3, leak=(3,), order="late"),
        second,
        LIF(6, -3),
        StepsOut(6, margin=1.0),
    )
    x = torch.rand(60, 5) * 2
    build(net, (torch.zeros(1, 5),), out=tmp_path / "build", config=BuildConfig(stream_bits=128))
    with torch.no_grad():
        want = net.double()(x.double()).numpy()
    assert len(want) == 60 and want.any()
    (y,), _ = Board(tmp_path).python([x.numpy()], "uio", "batch=7")
    assert np.array_equal(y, want)


@pytest.mark.sim
def test_several_streams_have_an_engine_each_and_weights_are_loaded(tmp_path, monkeypatch):
    whole = several()
    graph = replace(whole, outputs=tuple(replace(output, host=None) for output in whole.outputs))
    ports = {"stream_bits": 32, "load_stream": True}
    built(graph, tmp_path / "build", monkeypatch, loadable="conv", weights_in="uram", **ports)
    load_words(tmp_path / "build").save(tmp_path / "weights.bin")
    made, x = Board(tmp_path), [each.numpy() for each in frames_for(graph, 300)]
    want = [each.numpy() for each in graph.golden(*map(torch.from_numpy, x))]
    y, _ = made.python(x, "uio", tmp_path / "weights.bin")
    assert all(np.array_equal(*both) for both in zip(y, want, strict=True))
    program, arguments = made.compiled("hwgen-run", made.kit / "driver/hwgen_run.c"), []
    for i, each in enumerate(x):
        np.save(tmp_path / f"x{i}.npy", each)
        arguments += ["--input", tmp_path / f"x{i}.npy"]
    for i in range(len(want)):
        arguments += ["--output", tmp_path / f"y{i}.npy"]
    done = made.run(program, *arguments)
    assert done.returncode == 1 and "a layer has no weights: call hwgen_load first" in done.stderr
    done = made.run(program, *arguments, "--load", tmp_path / "weights.bin")
    assert done.returncode == 0, done.stderr
    assert re.match(r"weights: \d+ writes in ", done.stdout)
    for i, each in enumerate(want):
        assert np.array_equal(np.load(tmp_path / f"y{i}.npy"), each.reshape(len(each), -1))
