"""Where the shipped folders (rtl, templates, boards, sim, kit) lie: beside the package in a checkout, inside it in a
wheel."""

import os
import tempfile
from pathlib import Path

import platformdirs

from hwgen.errors import BadInput

_PACKAGE = Path(__file__).resolve().parent


def share(folder: str) -> Path:
    """The absolute path of a shipped folder: 'rtl', 'templates', 'boards', 'sim' or 'kit'."""
    inside = _PACKAGE / "share" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


def cache() -> Path:
    """The folder, made if need be, for what hwgen works out once per user: losing it costs only time.

    Raises BadInput if it cannot be written.
    """
    folder = platformdirs.user_cache_path("hwgen")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise BadInput(
            f"hwgen's cache folder cannot be written: {error.strerror}",
            str(folder),
            "mend it, or name another place for it: XDG_CACHE_HOME=FOLDER hwgen ...",
        ) from error
    return folder


def kept(kind: str) -> Path:
    """Where results of one kind are kept for the next time: in HWGEN_CACHE of the environment, or in `cache`."""
    return Path(os.environ.get("HWGEN_CACHE") or cache()) / kind
