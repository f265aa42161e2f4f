"""Where the shipped folders (rtl, templates, boards, sim) lie: beside the package in a checkout, inside it in a
wheel."""

from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).resolve().parent


def share(folder: str) -> Path:
    """The absolute path of a shipped folder: 'rtl', 'templates', 'boards' or 'sim'."""
    inside = _PACKAGE / "share" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


def cache() -> Path:
    """The folder, made if need be, for what hwgen works out once per user: losing it costs only time."""
    return platformdirs.user_cache_path("hwgen", ensure_exists=True)
