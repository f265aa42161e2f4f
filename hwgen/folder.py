"""Writes a build into a folder: all files or none, and never over anything that hwgen did not write."""

import hashlib
import json
import os
import shutil
import signal
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

from hwgen.errors import BadInput

MANIFEST = "hwgen.json"
SECONDS = "seconds.json"  # what each verb took
VERIFICATION = "sim/verify.json"  # what the last verify found
DERIVED = (
    "sim",
    "synth",
    "vivado",
    "report.json",
    "report.md",
    SECONDS,
)  # made from a build by later commands: stale after a new one


def check_writable(out: Path) -> None:
    """Raises BadInput if `out` is neither new, empty, nor a build."""
    if out.exists() and not out.is_dir():
        raise BadInput("it is a file", str(out), "name a new folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise BadInput("the folder is not empty and is no build of hwgen", str(out), "name a new or an empty folder")
    _old_files(out)
    parent = next(p for p in [out.resolve(), *out.resolve().parents] if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise BadInput("the folder cannot be written", str(parent), "name a folder of your own")


def write(out: Path, files: dict[str, str | bytes]) -> None:
    """Puts `files` into `out`. They are written beside it first, and moved once they are complete."""
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for name, content in files.items():
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with uninterrupted():
            _replace(out, fresh, files)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_record(path: Path) -> dict | None:
    """What a later command noted in a JSON file of the build; None if it is missing or damaged."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def write_record(path: Path, record: dict) -> None:
    """Writes what `read_record` reads, whole or not at all; others may write the same file at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(record, indent=1) + "\n")
    part.replace(path)


def digests(folder: Path, manifest: dict) -> dict[str, str]:
    """SHA-256 of each file of the manifest as it is on disk now; '' for one that is missing."""
    paths = {name: folder / name for name in manifest["files"]}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for name, path in paths.items()
    }


def sources_digest(folder: Path, manifest: dict) -> str:
    """One number for all Verilog and ROMs of the build as they are on disk now."""
    found = {name: digest for name, digest in digests(folder, manifest).items() if name.startswith(("rtl/", "rom/"))}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _old_files(out: Path) -> list[str]:
    """The files that an earlier build wrote; a manifest that could make hwgen delete anything else is refused."""
    manifest = out / MANIFEST
    if not manifest.is_file():
        return []
    try:
        names = list(json.loads(manifest.read_text())["files"])
        harmless = all(not Path(name).is_absolute() and ".." not in Path(name).parts for name in names)
    except (ValueError, KeyError, TypeError):
        harmless = False
    if not harmless:
        raise BadInput("the folder's hwgen.json is not one that hwgen wrote", str(manifest), "name a new folder")
    return names


def _replace(out: Path, fresh: Path, files: dict[str, str | bytes]) -> None:
    if (out / MANIFEST).is_file():
        for name in _old_files(out):
            (out / name).unlink(missing_ok=True)
        for name in DERIVED:
            path = out / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for name in [*(name for name in files if name != MANIFEST), MANIFEST]:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).replace(target)


@contextmanager
def uninterrupted():
    """Ctrl-C waits until the block is through; only the main thread can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
