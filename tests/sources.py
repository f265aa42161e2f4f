"""The files of rtl/ that a module is made of: a reader takes its time for each."""

from pathlib import Path

from hwgen.emit import library
from hwgen.share import share


def sources_of(module: str) -> list[Path]:
    """That of the module and those of all that it instantiates, by name."""
    return sorted(share("rtl") / Path(name).name for name in library([module]))
