"""The drivers of a kit, as they are for a board, against its hardware: the Verilated top, a model of AXI DMA, memory
with random latency that is not coherent, and interrupts, behind the files that Linux has for them."""

import fcntl
import re
import subprocess

import numpy as np
import pytest
import torch

from hwgen import build
from hwgen.deploy import deploy
from hwgen.deploy.system import compile_system, environment_of
from hwgen.flow import read_design
from hwgen.load import call
from hwgen.share import share

EXAMPLES = share("rtl").parent / "examples"
HERE = share("rtl").parent / "tests/system"
SANITIZED = ["-std=c11", "-g", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-static-libasan"]
SANITIZED += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
DRIVER = ("hwgen.c", "linux.c", "pack.c", "network.c")
FEW = 60


class Board:
    """A kit of LeNet-5, its driver's programs with sanitizers, and its hardware, simulated."""

    def __init__(self, folder):
        self.folder, self.kit = folder, folder / "kit"
        program = torch.export.load(EXAMPLES / "lenet5/lenet5.pt2")
        build(program, out=folder / "lenet5")
        deploy(folder / "lenet5", self.kit)
        self.library = compile_system(self.kit, folder / "system")
        self.x = np.asarray(call(f"{EXAMPLES / 'lenet5/model.py'}:test_data")[0], np.float32)[:1000]
        golden = read_design(folder / "lenet5").graph.golden(torch.from_numpy(self.x).double())
        self.y = golden[0].numpy()
        np.save(folder / "x.npy", self.x)
        (folder / "few.raw").write_bytes(self.x[:FEW].tobytes())

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


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    return Board(tmp_path_factory.mktemp("system"))


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
    assert f"the bitstream is of build {known}, this driver of 0x12345678 (lenet5): load its own kit" in done.stderr


@pytest.mark.sim
def test_a_second_process_is_refused(board, hwgen_run):
    board.run("/bin/cat", "/sys/class/uio/uio0/name")  # the devices' files are there
    with (board.folder / "devices/dev/uio0").open() as device:
        fcntl.flock(device, fcntl.LOCK_EX)
        done = board.run(hwgen_run, "--benchmark", 1)
    assert done.returncode == 1 and "/dev/uio0 (hwgen-net) is in use by another process" in done.stderr


@pytest.mark.sim
def test_without_a_device_its_name_is_told(board, hwgen_run):
    done = subprocess.run([hwgen_run, "--benchmark", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "no UIO device is called hwgen-net: load the device-tree overlay" in done.stderr
