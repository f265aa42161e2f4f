"""A board: its part, its resources, its clock and its constraint file, read from boards/NAME.toml."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from hwgen.errors import BadInput
from hwgen.share import share


@dataclass(frozen=True)
class Board:
    """What synthesis and the reports need to know of a board."""

    name: str
    part: str  # as Vivado spells it
    clock_mhz: float  # the programmable logic's clock, MHz
    resources: dict[str, int]  # LUT (LUTRAM among them), FF, CARRY8, BRAM36, URAM, DSP
    constraints: Path  # the board's own .xdc

    @property
    def period_ns(self) -> float:
        return 1000.0 / self.clock_mhz


def boards() -> list[str]:
    """The names `load_board` accepts, in alphabetical order."""
    return sorted(path.stem for path in share("boards").glob("*.toml"))


def load_board(name: str) -> Board:
    """The board of that name; BadInput names those present if there is none."""
    if name not in boards():
        raise BadInput(f"no board is called {name!r}", hint=f"one of: {', '.join(boards())}")
    fields = tomllib.loads((share("boards") / f"{name}.toml").read_text())
    fields["constraints"] = share("boards") / fields["constraints"]
    return Board(name=name, **fields)
