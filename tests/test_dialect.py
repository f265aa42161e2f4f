"""Every file of rtl/ reads alike in pyverilog, Verilator, Icarus and yosys, without a warning."""

import subprocess
import sys
from importlib import import_module

import pytest
from pyverilog.vparser.parser import VerilogParser

from hwgen.share import share
from hwgen.simulators import lint

SOURCES = sorted(share("rtl").glob("*.v"))
_every_module = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)


@_every_module
def test_pyverilog_parses(path, tmp_path):
    """The parser alone: the preprocessor in front of it would call Icarus, and the files hold no macros."""
    tree = VerilogParser(outputdir=str(tmp_path), debug=False).parse(path.read_text())
    assert [item.name for item in tree.description.definitions if hasattr(item, "portlist")] == [path.stem]


@_every_module
def test_verilator_lint_is_clean(path):
    """With the default parameters and with all that the bench runs."""
    for config in [{}, *import_module(f"bench_{path.stem}").CONFIGS]:
        lint(SOURCES, path.stem, config)


@_every_module
def test_icarus_compiles_without_a_warning(path, tmp_path):
    command = [
        "iverilog",
        "-g2005",
        "-Wall",
        "-s",
        path.stem,
        "-o",
        str(tmp_path / "out"),
        *map(str, SOURCES),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_yosys_reads_all(tmp_path):
    """In a process of its own, for yosys prints and exits as it likes; -defer, for a ROM's file is not there."""
    script = (
        "import sys; from pyosys import libyosys as ys; d = ys.Design();"
        "[ys.run_pass('tee -q -o /dev/null read_verilog -defer ' + path, d) for path in sys.argv[1:]]"
    )
    command = [sys.executable, "-c", script, *map(str, SOURCES)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
