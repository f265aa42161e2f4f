"""What the command and the package answer before torch, which takes seconds to import, is there."""

import subprocess
import sys

import pytest

import hwgen
from hwgen.version import VERSION

pytestmark = pytest.mark.smoke
HEAVY = {"torch", "numpy", "scipy", "matplotlib", "cocotb"}


def python(program: str) -> str:
    """What a fresh Python prints that runs the program."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("--version", 0, VERSION),
        ("-h", 0, "Usage: hwgen [OPTIONS]"),
        ("build -h", 0, "Usage: hwgen build [OPTIONS] [NET]"),
        ("compress --help", 0, "Usage: hwgen compress [OPTIONS] JOB"),
        ("built x.pt2", 2, "No such command 'built'"),
        ("verify DIR", 2, "Missing option '--input'"),
        ("verify DIR --input x.npy --simulator modelsim", 2, "'modelsim' is not one of"),
        ("explore x.pt2 -o DIR --points 1", 2, "1 is not in the range"),
        ("build x.pt2 -o DIR --lanes 0", 1, "lanes = 0"),
        ("build x.pt2 -o DIR --board none", 1, "no board is called 'none'"),
        ("build x.pt2 -o DIR --fps 1 --budget 1%", 1, "a rate and a budget"),
        ("explore x.pt2 -o DIR --engine none", 1, "no engine 'none'"),
        ("weights DIR -o w.json", 1, "a .json file of that name goes beside it"),
        ("simulate DIR --input x.npy --output /none/y.npy", 1, "--output cannot be written"),
    ],
)
def test_it_is_said_without_torch(arguments, code, words):
    answer = python(
        f"""
import sys
from click.testing import CliRunner
from hwgen.cli import main
result = CliRunner().invoke(main, {arguments.split()}, prog_name="hwgen")
print(sorted({HEAVY} & sys.modules.keys()), result.exit_code, result.output)
"""
    )
    assert answer.startswith(f"[] {code} ") and words in answer


def test_each_public_name_is_what_its_module_has():
    assert all(getattr(hwgen, name) is not None for name in hwgen.__all__)
    assert set(hwgen.__all__) <= set(dir(hwgen)) and hwgen.__version__ == VERSION
    with pytest.raises(AttributeError, match="no attribute 'built'"):
        _ = hwgen.built


def test_a_verb_is_the_function_after_its_module_was_imported():
    names = ["explore", "report", "simulate", "verify"]
    imports = ";".join(f"import hwgen.{name}" for name in names)
    assert python(f"{imports}; print([getattr(hwgen, name).__name__ for name in {names}])") == f"{names}\n"


def test_the_package_says_that_it_is_typed():
    from importlib.resources import files

    assert (files("hwgen") / "py.typed").is_file()
