"""What a simulator is to hwgen; each file of this folder that has a SIMULATOR is one, found by being there."""

import functools
import importlib
import json
import pkgutil
import shutil
from pathlib import Path
from typing import ClassVar

from hwgen.errors import BadInput, MissingTool

PACKAGE = "hwgen.simulators"


class Simulator:
    """A simulator under cocotb's runner.

    name     -- as --simulator and the runner spell it
    programs -- what must be on PATH, each with the Debian package that has it
    """

    name: ClassVar[str]
    programs: ClassVar[dict[str, str]]

    def environment(self, environ: dict[str, str], build_dir: Path) -> dict[str, str]:
        """`environ` with what this simulator needs; raises an HwgenError when it cannot run in build_dir."""
        return environ

    def version(self) -> str:
        """What a build depends on beside its sources and arguments."""
        raise NotImplementedError(f"{type(self).__name__}.version")

    def prepare(
        self, sources: list[str], toplevel: str, build_dir: Path, environ: dict[str, str], public: bool
    ) -> dict:
        """Arguments of the runner's build: sources and build_args. public -- Python sees every signal inside."""
        raise NotImplementedError(f"{type(self).__name__}.prepare")

    def key(self, build: dict, build_dir: Path, environ: dict[str, str]) -> str | None:
        """Hex digits that stand for all on which the file that `build` would make depends, the file being named as the
        top module; None where compiling is not worth a cache."""
        return None

    def run_arguments(self, waves: Path | None) -> dict:
        """Arguments of the runner's test: test_args and plusargs; waves -- the VCD file to write."""
        raise NotImplementedError(f"{type(self).__name__}.run_arguments")

    def check(self, environ: dict[str, str]) -> None:
        """Raises MissingTool when a program is not on the PATH of `environ`."""
        for program, package in self.programs.items():
            if not shutil.which(program, path=environ["PATH"]):
                raise MissingTool(
                    f"{self.name} needs the program {program}, which is not on PATH",
                    hint=f"install the Debian package {package}",
                )


@functools.cache
def simulators() -> dict[str, Simulator]:
    """All simulators by name, every file of this folder read."""
    names = [module.name for module in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__)]
    modules = [importlib.import_module(f"{PACKAGE}.{name}") for name in names]
    return {module.SIMULATOR.name: module.SIMULATOR for module in modules if hasattr(module, "SIMULATOR")}


def simulator_of(name: str) -> Simulator:
    """The simulator of that name; raises BadInput if there is none."""
    if name not in simulators():
        raise BadInput(f"no simulator {name!r}", hint="take one of " + ", ".join(simulators()))
    return simulators()[name]


def literal(value: int | str | tuple[int, int]) -> str:
    """A parameter as Verilog text; (value, bits) is sized, and so is what does not fit an integer."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple):
        return f"{value[1]}'h{value[0]:x}"
    if -(2**31) <= value < 2**31:
        return str(int(value))
    return f"{value.bit_length()}'h{value:x}"
