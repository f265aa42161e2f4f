"""Compiled models, kept for the next run that needs the very same one: a file per model in a folder of the user's.

A file's name holds the key, a digest of all that the model depends on, and a digest of what is in the file. So a model
is never taken for another one, and one that was damaged is not taken at all, nor one of another user: it is a program.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from hwgen.share import kept

ROOM = 1 << 30  # bytes of models that are kept; those that were used longest ago go first


def models_folder() -> Path:
    """Where models are kept: HWGEN_CACHE of the environment, or a folder of the user's."""
    return kept("models")


def fetch(key: str, target: Path) -> bool:
    """Puts the model of `key` (hex digits) at `target`, executable; False if there is none that is whole."""
    for path in models_folder().glob(f"{key}-*"):
        with suppress(OSError):
            if path.stat().st_uid != os.getuid():
                continue
            content = path.read_bytes()
            if _name(key, content) == path.name:
                target.write_bytes(content)
                target.chmod(0o755)
                os.utime(path)
                return True
            path.unlink()
    return False


def keep(key: str, model: Path) -> None:
    """Keeps the file `model` as that of `key`, whole or not at all, and makes room. A folder that cannot be written is
    no error: the model is compiled again next time."""
    folder = models_folder()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        content = model.read_bytes()
        handle, part = tempfile.mkstemp(dir=folder, prefix="part-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(part).replace(folder / _name(key, content))
        finally:
            Path(part).unlink(missing_ok=True)
        _make_room(folder)


def _name(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()}"


def _make_room(folder: Path) -> None:
    """Deletes files, what an ended process left too, from the one used longest ago on until at most ROOM is taken."""
    files = []
    for path in folder.iterdir():
        with suppress(OSError):  # another process deletes as well
            found = path.stat()
            files.append((found.st_mtime, found.st_size, path))
    taken = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if taken <= ROOM:
            return
        path.unlink(missing_ok=True)
        taken -= size
