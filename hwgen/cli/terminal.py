"""What verbs share at the terminal: a spinner, tables, imports that take seconds."""

import atexit
import gc
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hwgen.collector import no_collector
from hwgen.folder import SECONDS, read_record, uninterrupted, write_record

console = Console(stderr=True)


@contextmanager
def imports():
    """Of torch and all that it brings, uninterrupted. They make a million objects that stay, and Python's collector
    would visit each of them again and again, at the end of the process too."""
    first = "torch" not in sys.modules
    with no_collector(), uninterrupted():
        yield
    if first:
        gc.freeze()
        atexit.register(gc.freeze)


@contextmanager
def stages(verb: str, folder: Path, note: str = ""):
    """A spinner with the stage at work; yields the function that names it. The verb's seconds are kept for the
    report."""
    what = f"{verb} {folder}{note}"
    start = time.monotonic()
    with console.status(what) as status:
        yield lambda stage: status.update(f"{what}: {stage}")
    seconds = time.monotonic() - start
    console.print(f"{what}: {seconds:.1f} s")
    path = folder / SECONDS
    write_record(path, (read_record(path) or {}) | {verb: round(seconds, 1)})


def table_of(*headers: str, words: list[str]) -> Table:
    """With numbers in all columns but `words`, which alone are wrapped in a narrow terminal."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for header in headers:
        if header in words:
            table.add_column(header, overflow="fold")
        else:
            table.add_column(header, justify="right", no_wrap=True)
    return table
