"""Pruned, power-of-two and mixed-precision PyTorch networks as verified, readable Verilog.

build, explore, export, load_words, simulate, verify, synthesize and report are the command line's verbs as functions;
see hwgen/flow.py. They are imported at their first use: torch takes seconds, and the command line answers without it.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from hwgen.folder import uninterrupted

if TYPE_CHECKING:
    from hwgen import compress, nn
    from hwgen.config import BuildConfig
    from hwgen.errors import HwgenError
    from hwgen.explore import explore
    from hwgen.export.qonnx import export
    from hwgen.flow import build
    from hwgen.report import report
    from hwgen.simulate import simulate
    from hwgen.synth.yosys import synthesize
    from hwgen.verify import verify
    from hwgen.version import VERSION as __version__
    from hwgen.weights import load_words

__all__ = [
    "BuildConfig",
    "HwgenError",
    "__version__",
    "build",
    "compress",
    "explore",
    "export",
    "load_words",
    "nn",
    "report",
    "simulate",
    "synthesize",
    "verify",
]

_HOMES = {
    "BuildConfig": "config",
    "HwgenError": "errors",
    "build": "flow",
    "explore": "explore",
    "export": "export.qonnx",
    "load_words": "weights",
    "report": "report",
    "simulate": "simulate",
    "synthesize": "synth.yosys",
    "verify": "verify",
}


def __getattr__(name: str):
    if name == "__version__":
        return import_module("hwgen.version").VERSION
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # torch and numpy catch errors while they are imported: a Ctrl-C in there would leave them half done
    with uninterrupted():
        home = import_module(f"{__name__}.{_HOMES.get(name, name)}")
    value = getattr(home, name) if name in _HOMES else home
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """hwgen.simulate is the function, also once the module of that name, in which it is, has been imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
