"""What a user may choose about a build."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hwgen.errors import BadInput

ENGINES = ("auto", "lanes", "spatial")


@dataclass(frozen=True)
class BuildConfig:
    """Choices of `hwgen build`; raises BadInput for a value outside its range."""

    board: str = "zcu104"  # a file of boards/
    lanes: int = 16  # at most so many accumulators per layer, 1 to 1024
    # folded on lanes, or spatial: unfolded, a pixel a cycle; auto: what is smaller at the rate of the lanes. An engine, or
    # PATTERN=ENGINE for layers by name, several with commas between; the last that matches counts
    engine: str = "lanes"
    pixels: int = 1  # at most so many a cycle into spatial layers, 1 to 1024; each takes the greatest divisor it can
    levels: int = 3  # rows of adders between two registers of a spatial layer, 1 to 64
    name: str = ""  # of the network's Verilog modules; default: the output folder's name

    def __post_init__(self):
        for name, most in (("lanes", 1024), ("pixels", 1024), ("levels", 64)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise BadInput(f"{name} = {value!r}", f"--{name}", f"use an integer from 1 to {most}")
        for _, engine in self._engines():
            if engine not in ENGINES:
                raise BadInput(
                    f"no engine {engine!r}",
                    "--engine",
                    f"use {', '.join(ENGINES)}, or PATTERN=ENGINE for layers by name",
                )
        if self.name and not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise BadInput(f"name = {self.name!r}", "--name", "use lower-case letters, digits and _, a letter first")

    def _engines(self) -> list[tuple[str, str]]:
        """(pattern, engine), in the order given."""
        if not isinstance(self.engine, str):
            raise BadInput(f"engine = {self.engine!r}", "--engine", f"use one of {', '.join(ENGINES)}")
        parts = [part.strip().rpartition("=") for part in self.engine.split(",")]
        return [(pattern.strip() if equals else "*", engine.strip()) for pattern, equals, engine in parts]

    def engine_of(self, layer: str) -> str:
        """The engine chosen for a layer by its name; lanes where no pattern matches."""
        return ([engine for pattern, engine in self._engines() if fnmatchcase(layer, pattern)] or ["lanes"])[-1]

    def check_patterns(self, layers: list[str]) -> None:
        """Raises BadInput when a pattern matches none of the layers."""
        for pattern, _ in self._engines():
            if pattern != "*" and not any(fnmatchcase(layer, pattern) for layer in layers):
                raise BadInput(f"no layer matches {pattern!r}", "--engine", f"the layers are {', '.join(layers)}")
