"""A board: its part, its resources, its clock and its constraints, of a file boards/NAME.toml or of one that the user
names."""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwgen.devices import Device, devices
from hwgen.errors import BadInput
from hwgen.share import share

CONSTRAINTS = "board.xdc"  # a build's copy of the board's own constraints
_FIELDS = {
    "family": "the device family, as hwgen/devices/ has it",
    "part": "as Vivado spells it",
    "clock_mhz": "MHz of the programmable logic's clock",
    "constraints": "the path of a .xdc file, from this one",
    "resources": "a table, of what the part has",
}


@dataclass(frozen=True)
class Board:
    """What synthesis and the reports need to know of a board."""

    name: str
    device: Device
    part: str  # as Vivado spells it
    clock_mhz: float  # the programmable logic's clock, MHz
    resources: dict[str, int]  # by the names in Device.of_a_board; LUTRAM is part of LUT
    constraints: str  # the text of the board's own .xdc

    @property
    def period_ns(self) -> float:
        return 1000.0 / self.clock_mhz

    def share(self, resource: str, count: float) -> float:
        """What part of the board's `resource` so many are: 0 for none, infinite for some where the board has none."""
        have = self.resources[resource]
        return count / have if have else math.inf if count else 0.0

    def weight(self, takes: Mapping[str, float]) -> float:
        """The shares of all that is taken, summed; a resource that the board has none of is weighed as if it had
        one."""
        return sum(count / max(1, self.resources[name]) for name, count in takes.items())

    def record(self) -> dict:
        """What the manifest of a build says of it; `read_board` reads it, and CONSTRAINTS."""
        return {
            "name": self.name,
            "family": self.device.family,
            "part": self.part,
            "clock_mhz": self.clock_mhz,
            "resources": self.resources,
        }


def boards() -> list[str]:
    """The names `load_board` accepts, in alphabetical order."""
    return sorted(path.stem for path in share("boards").glob("*.toml"))


def load_board(board: str) -> Board:
    """The board of that name, or of a file if it ends in .toml.

    Raises BadInput that names the boards present, or the file and the field that is missing or wrong.
    """
    if not board.endswith(".toml"):
        if board not in boards():
            hint = f"one of: {', '.join(boards())}; or the path of a .toml file of your own"
            raise BadInput(f"no board is called {board!r}", hint=hint)
        return load_board(str(share("boards") / f"{board}.toml"))
    path = Path(board)
    try:
        fields = tomllib.loads(path.read_text())
    except OSError as error:
        raise BadInput(f"the board's file cannot be read: {error.strerror}", board, "name a file that exists") from None
    except ValueError as error:  # of TOML, and of UTF-8
        raise BadInput(f"the board's file is not TOML: {error}", board, "see boards/zcu104.toml for one") from None
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", path.stem, re.ASCII):
        raise BadInput(f"a board called {path.stem!r}", board, "name its file by letters, digits, _ and -")
    return _checked(path.stem, fields, path.parent, board)


def read_board(folder: str | Path, manifest: dict) -> Board:
    """The board that a build was made for, as it was then; raises BadInput if the manifest says nothing sound of it."""
    at = f"{folder}/hwgen.json, board"
    record = manifest["board"]
    if not isinstance(record, dict) or not isinstance(record.get("name"), str):
        raise BadInput("the manifest names no board", at, "build again")
    fields = {key: value for key, value in record.items() if key != "name"} | {"constraints": CONSTRAINTS}
    return _checked(record["name"], fields, Path(folder), at)


def _checked(name: str, fields: dict, folder: Path, at: str) -> Board:
    """folder -- where the path of the constraints starts; at -- where the fields are written, for messages."""
    for field in fields.keys() - _FIELDS.keys():
        raise BadInput(f"a board has no field {field!r}", at, f"its fields are {', '.join(_FIELDS)}")
    for field, meaning in _FIELDS.items():
        if field not in fields:
            raise BadInput(f"the board lacks {field!r}", at, f"{field}: {meaning}")
    device = _device(fields["family"], fields["part"], at)
    clock = fields["clock_mhz"]
    if isinstance(clock, bool) or not isinstance(clock, int | float) or not 0 < clock < math.inf:
        raise BadInput(f"clock_mhz = {clock!r}", at, "use a positive number of MHz")
    resources = _resources(fields["resources"], device, at)
    return Board(name, device, fields["part"], float(clock), resources, _constraints(fields["constraints"], folder, at))


def _device(family: object, part: object, at: str) -> Device:
    known = devices()
    if not isinstance(family, str) or family not in known:
        raise BadInput(f"no device family is called {family!r}", at, f"family is one of: {', '.join(known)}")
    if not isinstance(part, str) or not re.fullmatch(r"[\w.-]+", part, re.ASCII):
        raise BadInput(f"part = {part!r}", at, "give the part as Vivado spells it, like xczu7ev-ffvc1156-2-e")
    if not re.match(known[family].parts, part):
        of = [other for other, device in known.items() if re.match(device.parts, part)]
        hint = f'family = "{of[0]}"' if of else f"hwgen has no family of it; it has {', '.join(known)}"
        raise BadInput(f"{part} is no part of the family {family}", at, hint)
    return known[family]


def _resources(given: object, device: Device, at: str) -> dict[str, int]:
    """By the names in the order of `Device.of_a_board`."""
    names = ", ".join(device.of_a_board)
    if not isinstance(given, dict):
        raise BadInput(f"resources = {given!r}", at, f"make it a table of {names}")
    for name, count in given.items():
        if name not in device.of_a_board:
            raise BadInput(f"the family {device.family} has no resource {name!r}", at, f"its resources are {names}")
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise BadInput(f"resources: {name} = {count!r}", at, "use a whole number, 0 for none")
    for name in device.of_a_board:
        if name not in given:
            raise BadInput(f"resources lack {name}", at, f"give {names}, 0 for none")
    return {name: given[name] for name in device.of_a_board}


def _constraints(file: object, folder: Path, at: str) -> str:
    if not isinstance(file, str) or not file:
        raise BadInput(f"constraints = {file!r}", at, "give the path of a .xdc file, from this one")
    try:
        return (folder / file).read_text()
    except OSError as error:
        raise BadInput(f"constraints: {folder / file} cannot be read: {error.strerror}", at, "name a file") from None
    except ValueError as error:
        raise BadInput(f"constraints: {folder / file} is not text: {error}", at, "name a .xdc file") from None
