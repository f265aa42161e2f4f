"""Where the shipped folders (rtl, templates, boards, sim) lie: beside the package in a checkout, inside it in a
wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def share(folder: str) -> Path:
    """The absolute path of a shipped folder: 'rtl', 'templates', 'boards' or 'sim'."""
    inside = _PACKAGE / "share" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder
