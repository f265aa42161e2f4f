"""Compiled models are kept: found again from any folder, never in the place of another, never damaged."""

import os
from pathlib import Path

import pytest

from hwgen.errors import ToolFailed
from hwgen.simulators import models, run_cocotb, simulator_of

TWICE = """module twice #(parameter BY = 2) (input wire [7:0] x, output wire [9:0] y);
    assign y = x * BY;
endmodule
"""
BENCH = """import cocotb
from cocotb.triggers import Timer

@cocotb.test()
async def doubles(dut):
    for x in range(256):
        dut.x.value = x
        await Timer(1, "ns")
        assert int(dut.y.value) == 2 * x
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, and the bench where Python finds it."""
    (tmp_path / "bench_doubles.py").write_text(BENCH)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def run(folder: Path, text: str = TWICE, **options):
    folder.mkdir()
    (folder / "twice.v").write_text(text)
    arguments = {"simulator": "verilator", "sources": [folder / "twice.v"], "toplevel": "twice"}
    return run_cocotb(**arguments, module="bench_doubles", build_dir=folder / "build", **options)


@pytest.mark.sim
def test_a_model_is_compiled_once(cache, tmp_path):
    assert run(tmp_path / "first").compile > 0
    (kept,) = cache.iterdir()
    seconds = run(tmp_path / "second")
    assert seconds.compile == pytest.approx(0, abs=0.05) and not (tmp_path / "second/build/Vtop.mk").exists()

    # what is wrong is compiled, fails, and is not kept
    with pytest.raises(ToolFailed, match="1 of 1 tests failed"):
        run(tmp_path / "wrong", TWICE.replace("x * BY", "x * BY + (x == 77)"))
    with pytest.raises(ToolFailed, match="1 of 1 tests failed"):
        run(tmp_path / "parameter", parameters={"BY": 3})
    assert list(cache.iterdir()) == [kept]

    # a damaged file is deleted, and the model compiled again
    kept.write_bytes(kept.read_bytes()[:-1])
    run(tmp_path / "third")
    assert (tmp_path / "third/build/Vtop.mk").exists() and list(cache.iterdir()) == [kept]


def key(folder: Path, text=TWICE, changed=None, parameters=None, waves=False, public=False) -> str | None:
    verilator, (source, build) = simulator_of("verilator"), (folder / "twice.v", folder / "build")
    build.mkdir(exist_ok=True)
    source.write_text(text)
    environ = verilator.environment(dict(os.environ), build) | (changed or {})
    given = verilator.prepare([str(source)], "twice", build, environ, public)
    return verilator.key(given | {"parameters": parameters or {}, "waves": waves, "build_dir": build}, build, environ)


def test_the_key_of_a_model(tmp_path, monkeypatch):
    """Every change that can change the model changes its key; the folder does not."""
    (tmp_path / "other").mkdir()
    found = key(tmp_path)
    assert found and key(tmp_path / "other") == found
    assert key(tmp_path, changed={"UNRELATED": "1"}) == found
    changes = [
        {"text": TWICE + "\n"},
        {"parameters": {"BY": "3"}},
        {"waves": True},
        {"public": True},
        {"changed": {"CXXFLAGS": "-O3"}},
        {"changed": {"CPATH": "/elsewhere"}},
        {"changed": {"WAVES": "1"}},
    ]
    keys = [key(tmp_path, **change) for change in changes]
    own = tmp_path / "bin"
    own.mkdir()
    (own / "g++").write_text("#!/bin/sh\n")
    (own / "g++").chmod(0o755)
    keys.append(key(tmp_path, changed={"PATH": f"{own}{os.pathsep}{os.environ['PATH']}"}))
    monkeypatch.setattr("hwgen.simulators.verilator._BUILD", ["-O2"])
    keys.append(key(tmp_path))
    assert len({found, *keys}) == 1 + len(keys) == 10
    assert key(tmp_path, text='`include "more.v"\n' + TWICE) is None


def test_what_is_kept_has_a_limit(cache, tmp_path, monkeypatch):
    """The file that was used longest ago goes."""
    monkeypatch.setattr(models, "ROOM", 2500)
    model, target = tmp_path / "model", tmp_path / "target"
    for name, content in (("a", b"a" * 1000), ("b", b"b" * 1000)):
        model.write_bytes(content)
        models.keep(name, model)
        for path in cache.glob(f"{name}-*"):
            os.utime(path, (1000 + ord(name), 1000 + ord(name)))
    assert models.fetch("a", target)
    models.keep("c", tmp_path / "model")
    assert [models.fetch(name, target) for name in "abc"] == [True, False, True]
    assert target.read_bytes() == b"b" * 1000 and os.access(target, os.X_OK)


def test_a_model_of_another_user_is_not_run(cache, tmp_path, monkeypatch):
    (tmp_path / "model").write_text("model")
    models.keep("a", tmp_path / "model")
    assert models.fetch("a", tmp_path / "mine")
    other = os.getuid() + 1
    monkeypatch.setattr("os.getuid", lambda: other)
    assert not models.fetch("a", tmp_path / "theirs") and not (tmp_path / "theirs").exists()


def test_a_folder_that_cannot_be_written(cache, tmp_path):
    """Nothing is kept then, and nothing is wrong."""
    cache.parent.mkdir()
    cache.write_text("")
    (tmp_path / "model").write_text("model")
    models.keep("a" * 64, tmp_path / "model")
    assert not models.fetch("a" * 64, tmp_path / "target")
