"""What all tests share."""

import os
import random
import tempfile

import matplotlib.ft2font  # noqa: F401 -- after cocotb.simulator, with its own C++ runtime, its exceptions may be lost
import numpy as np
import pytest
import torch
from hypothesis import settings
from pyverilog.vparser.parser import VerilogParser

# pytest runs a process a core; more threads than cores only wait for each other
torch.set_num_threads(1)

# models and counts of synthesis are kept for all processes of this run, but not among the user's
if "PYTEST_XDIST_WORKER" not in os.environ:
    _cache = tempfile.TemporaryDirectory()
    os.environ["HWGEN_CACHE"] = _cache.name


@pytest.fixture(scope="session")
def parser(tmp_path_factory) -> VerilogParser:
    """pyverilog's parser alone: the preprocessor in front of it would call Icarus, and the files hold no macros."""
    return VerilogParser(outputdir=str(tmp_path_factory.mktemp("parser")), debug=False)


# the same examples in each run; `make fuzz` draws others
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


def _seed() -> None:
    """Every file, fixture and test draws the same numbers in each run, whatever ran before it in its process."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def pytest_collectstart() -> None:
    _seed()  # models in a test's parameters are made as its file is read


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    _seed()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    _seed()
