"""What the command line reads: no file makes hwgen take more memory than it has, or end without a clear error."""

import json
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwgen.errors import BadInput
from hwgen.load import load, load_data
from hwgen.nn import ActQuant

WEIGHTS = "data/weights/model_weights_config.json"


def network(weight: torch.Tensor | None = None) -> nn.Module:
    net = nn.Sequential(ActQuant(4, 0, signed=True), nn.Linear(3, 2, bias=False))
    net[1].weight = nn.Parameter(torch.ones(2, 3) if weight is None else weight)
    return net.eval()


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(network(), (torch.zeros(1, 3),)), path)
    return path


class Zeros(BytesIO):
    """A file of zeros, of which none is in memory."""

    def __init__(self, size: int):
        self.left = size

    def read(self, count: int = -1) -> bytes:
        count = min(self.left, 1 << 20 if count < 0 else count)
        self.left -= count
        return bytes(count)


def changed(path: Path, member: str, size: int = 0, config=None) -> Path:
    """The archive again, compressed, a member being `size` zeros, or WEIGHTS changed by `config`."""
    with zipfile.ZipFile(path) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    if config:
        text = json.loads(members[WEIGHTS])
        config(text["config"]["1.weight"])
        members[WEIGHTS] = json.dumps(text).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, value in members.items():
            if name != member:
                archive.writestr(f"net/{name}", value)
        if member:
            with archive.open(f"net/{member}", "w", force_zip64=True) as file:
                zeros = Zeros(size)
                while part := zeros.read():
                    file.write(part)
    return path


LIMITED = """
import resource, sys
from hwgen.errors import BadInput
from hwgen.load import load
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (100 << 20),) * 2)
try:
    load(sys.argv[1])
except BadInput as error:
    print(error)
"""


def test_a_bomb_in_little_memory(saved):
    """With 100 MB more than it has, the process could not unpack it."""
    changed(saved, "data/weights/weight_0", 200 << 20)
    assert saved.stat().st_size < 5 << 20
    done = subprocess.run([sys.executable, "-c", LIMITED, str(saved)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "weight_0 in the archive unpacks to 209,715,200 bytes, and 96 are needed" in done.stdout
    assert "torch.export.save" in done.stdout


def huge(entry: dict) -> None:
    entry["tensor_meta"].update(sizes=[{"as_int": 1 << 40}] * 2, strides=[{"as_int": 0}] * 2)


@pytest.mark.parametrize(
    ("member", "size", "config", "words"),
    [
        ("data/weights/weight_0", 3 << 20, None, "the archive unpacks to 3,1"),
        (
            "data/weights/weight_0",
            1 << 20,
            None,
            "weight_0 in the archive unpacks to 1,048,576 bytes, and 96 are needed",
        ),
        ("data/constants/tensor_0", 1 << 20, None, "tensor_0 in the archive unpacks to"),
        ("data/sample_inputs/model.pt", 1 << 20, None, "model.pt in the archive unpacks to"),
        ("models/model.json", 1 << 20, None, "model.json in the archive has 1,048,576 bytes"),
        ("archive_format", 1 << 20, None, "archive_format in the archive unpacks to"),
        ("", 0, huge, "the archive's tensors take"),
    ],
)
def test_an_archive_that_unpacks_to_more_than_it_needs(saved, monkeypatch, member, size, config, words):
    monkeypatch.setattr("hwgen.load.MOST", 2 << 20)
    monkeypatch.setattr("hwgen.load.MOST_TEXT", 1 << 18)
    changed(saved, member, size, config)
    read = zipfile.ZipFile.read
    monkeypatch.setattr(
        zipfile.ZipFile,
        "read",
        lambda self, one, *more: read(self, one) if one.file_size < 1 << 18 else pytest.fail(f"unpacks {one.filename}"),
    )
    with pytest.raises(BadInput, match=words):
        load(str(saved))


def test_example_inputs_compressed_in_themselves(saved):
    with zipfile.ZipFile(saved) as archive:
        inner = archive.read("net/data/sample_inputs/model.pt")
    packed = BytesIO()
    with zipfile.ZipFile(BytesIO(inner)) as archive, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as again:
        for name in archive.namelist():
            again.writestr(name, archive.read(name))
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["net/data/sample_inputs/model.pt"] = packed.getvalue()
    with zipfile.ZipFile(saved, "w") as archive:
        for name, value in members.items():
            archive.writestr(name, value)
    with pytest.raises(BadInput, match="compressed in itself"):
        load(str(saved))


def test_a_weight_that_is_a_view_of_more_is_read(tmp_path, saved):
    """torch saves all that a tensor is a view of; compressed as a whole an archive is read as well."""
    view = torch.arange(1000.0).reshape(100, 10)[::4, :3][:2]
    torch.export.save(torch.export.export(network(view), (torch.zeros(1, 3),)), tmp_path / "view.pt2")
    program, _ = load(str(tmp_path / "view.pt2"))
    assert torch.equal(program.state_dict["1.weight"], view)
    program, _ = load(str(changed(saved, "")))
    assert torch.equal(program.state_dict["1.weight"], torch.ones(2, 3))


@pytest.mark.parametrize("shape", ["(1152921504606846976, 3)", "(1000000000000, 3)", "(100000, 3)", "(-1, 3)"])
def test_an_array_that_claims_more_than_there_is(tmp_path, shape):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((2, 3)))
    header = path.read_bytes()
    longer = header.replace(b"(2, 3)", shape.encode()).replace(b" " * (len(shape) - 6) + b"\n", b"\n")
    assert len(longer) == len(header)
    path.write_bytes(longer)
    with pytest.raises(BadInput, match="cannot be read as an array"):
        load_data(str(path))


def test_data_as_tensors(tmp_path):
    (tmp_path / "data.py").write_text("import torch\ndef get(): return torch.ones(5, 3).byte(), torch.arange(5)")
    x, labels = load_data(f"{tmp_path}/data.py:get", 2)
    assert torch.equal(x, torch.ones(2, 3).byte()) and labels.tolist() == [0, 1]


def test_an_unusable_cache_folder(tmp_path):
    """Named, not taken for a fault of hwgen."""
    (tmp_path / "file").write_text("")
    program = (
        "from hwgen.lint import lint; from hwgen.errors import BadInput\n"
        "try: lint({'rtl/a.v': 'module a; endmodule'})\n"
        "except BadInput as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"XDG_CACHE_HOME": str(tmp_path / "file"), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}/file/hwgen" in done.stdout and "XDG_CACHE_HOME" in done.stdout
