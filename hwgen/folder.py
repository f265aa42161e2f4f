"""Writes a build into a folder: all files or none, never over anything that hwgen did not write, never through a link.

A new build is written into NEW inside the folder, so on its file system, and becomes the build by one renaming: NEW to
COMMITTED. From then on whoever reads or writes the folder first moves what COMMITTED holds into place (`recover`),
which can be repeated: a process may be killed at any point.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
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

NEW, COMMITTED = ".hwgen-new", ".hwgen-committed"
_PROBE = ".hwgen-probe"  # in a folder for the moment in which it is asked whether files can be moved there
_NAME = re.compile(r"(\w[\w.-]*/)*\w[\w.-]*", re.ASCII)  # of a file in a build: nothing hidden, absolute or above


def check_writable(out: Path) -> None:
    """Raises BadInput if `out` is neither new, empty, nor a build, or cannot be written."""
    with writing(out):
        if out.exists() and not out.is_dir():
            raise BadInput("it is a file", str(out), "name a new folder")
        if out.is_dir():
            recover(out)
            # a file system's own folder lies in a volume that is otherwise empty
            if {path.name for path in out.iterdir()} - {"lost+found"} and not (out / MANIFEST).is_file():
                raise BadInput(
                    "the folder is not empty and is no build of hwgen", str(out), "name a new or an empty folder"
                )
            check_places(out, _names(out))
        parent = next(p for p in [out.resolve(), *out.resolve().parents] if p.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise BadInput("the folder cannot be written", str(parent), "name a folder of your own")


def write(out: Path, files: dict[str, str | bytes]) -> None:
    """Makes `files`, MANIFEST among them, the build in `out`; raises BadInput, the old build being as it was, if they
    cannot be written."""
    out = out.resolve()
    with writing(out):
        is_new = not out.exists()
        out.mkdir(parents=True, exist_ok=True)
        try:
            with _locked(out):
                _settle(out)
                _check_new(out, files)
                _write_all(out, files)
        finally:
            if is_new:
                with suppress(OSError):  # it holds the build
                    out.rmdir()


def recover(folder: Path) -> None:
    """Ends what a build that was cut short left in `folder`: one that was committed is moved in, else its files go."""
    if any(os.path.lexists(folder / name) for name in (NEW, COMMITTED)):
        with writing(folder), _locked(folder), uninterrupted():
            _settle(folder)


def seal(manifest: dict) -> str:
    """The text of MANIFEST, with a digest of itself."""
    return json.dumps(manifest | {"sha256": _digest_of(manifest)}, indent=1) + "\n"


def is_sealed(manifest: dict) -> bool:
    """Whether a manifest that was read is as `seal` wrote it."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return manifest.get("sha256") == _digest_of(rest)


def read_record(path: Path) -> dict | None:
    """What a later command noted in a JSON file of the build; None if it is missing or damaged."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def write_record(path: Path, record: dict) -> None:
    """Writes what `read_record` reads, whole or not at all; others may write the same file at once."""
    write_text(path, json.dumps(record, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file that a verb derives from a build, whole or not at all; raises BadInput if it cannot be written."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(text)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def digests(folder: Path, manifest: dict) -> dict[str, str]:
    """SHA-256 of each file of the manifest as it is on disk now; '' for one that is missing or cannot be read."""
    found = dict.fromkeys(manifest["files"], "")
    for name in found:
        with suppress(OSError):
            found[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return found


def changed_files(folder: Path, manifest: dict) -> list[str]:
    """The files of the build that are not as hwgen wrote them, or missing."""
    return sorted(name for name, digest in digests(folder, manifest).items() if digest != manifest["files"][name])


def check_unchanged(folder: Path, manifest: dict, edited: bool) -> list[str]:
    """Raises BadInput that names the first file of the build that is not as hwgen wrote it, or a link in the place
    where verbs write; with `edited` all but the golden graph may differ, and the names of those files are returned."""
    check_places(folder, ["sim/*", "synth/*", "vivado/*"])
    changed = changed_files(folder, manifest)
    possible = [name for name in changed if not name.startswith("golden.") and (folder / name).is_file()]
    wrong = [name for name in changed if name not in possible] if edited else changed
    if wrong:
        more = f" ({len(wrong)} such files)" if len(wrong) > 1 else ""
        raise BadInput(
            f"{wrong[0]} is not as hwgen wrote it{more}" if (folder / wrong[0]).is_file() else f"{wrong[0]} is missing",
            str(folder / wrong[0]),
            "give --edited if you changed it on purpose, or build again" if wrong[0] in possible else "build again",
        )
    return possible


def check_places(folder: Path, names: Iterable[str]) -> None:
    """Raises BadInput if a file of these names would lie behind a link, below a file, or in the place of a folder."""
    for name in names:
        path = folder / name
        for parent in list(path.parents)[: len(Path(name).parts) - 1]:
            if parent.is_symlink():
                raise BadInput(
                    "it is a link, and hwgen writes and deletes behind none",
                    str(parent),
                    "remove it, or name a new folder",
                )
            if parent.exists() and not parent.is_dir():
                raise BadInput("it is a file where hwgen needs a folder", str(parent), "move it away")
        if path.is_dir() and not path.is_symlink():
            raise BadInput("it is a folder where hwgen writes a file", str(path), "move it away")


def sources_digest(folder: Path, manifest: dict) -> str:
    """One number for all Verilog and ROMs of the build as they are on disk now."""
    found = {name: digest for name, digest in digests(folder, manifest).items() if name.startswith(("rtl/", "rom/"))}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def is_name(name: object) -> bool:
    """Whether it can be the path of a file in a build: relative, below it, of plain letters."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the operating system refuses in the block (a full disk, no permission) into BadInput."""
    try:
        yield
    except OSError as error:
        what = "another file system lies in it" if error.errno == errno.EXDEV else error.strerror or str(error)
        at = error.filename2 or error.filename or path
        raise BadInput(
            f"it cannot be written: {what}", str(at), "make room there, or name another folder or a shorter name"
        ) from error


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


def _digest_of(manifest: dict) -> str:
    # read back first: that is what the digest is compared with
    text = json.dumps(json.loads(json.dumps(manifest)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _names(folder: Path) -> list[str]:
    """The files that the manifest in `folder` names, none without one; one that could make hwgen delete or overwrite
    anything else is refused."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return []
    try:
        names = list(json.loads(manifest.read_text())["files"])
    except (ValueError, KeyError, TypeError, RecursionError):
        names = [""]
    if not all(is_name(name) for name in names):
        raise BadInput("the folder's hwgen.json is not one that hwgen wrote", str(manifest), "name a new folder")
    return names


def _check_new(out: Path, files: Iterable[str]) -> None:
    """Raises BadInput if `files` cannot all be put into `out`, or one of them would replace a file of the user's."""
    old = {*_names(out), MANIFEST}
    check_places(out, [*old, *files])
    for name in files:
        if name not in old and os.path.lexists(out / name):
            raise BadInput("hwgen did not write it, and would overwrite it", str(out / name), "move it away")


def _write_all(out: Path, files: dict[str, str | bytes]) -> None:
    new = out / NEW
    try:
        for name, content in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with uninterrupted():
            for folder in sorted({(out / name).parent for name in files}):
                if folder.is_dir():  # it may be a mount point, or not ours to write
                    (new / _PROBE).touch()
                    (new / _PROBE).replace(folder / _PROBE)
                    (folder / _PROBE).unlink()
            new.rename(out / COMMITTED)
            _settle(out)
    finally:
        _remove(new)


def _settle(out: Path) -> None:
    """Moves a committed build in and removes what else a cut short one left; may itself be cut short, and repeated."""
    committed = out / COMMITTED
    old = _names(out)
    if (committed / MANIFEST).is_file() and not committed.is_symlink():
        new = _names(committed)
        check_places(out, [*old, *new])
        check_places(committed, new)
        gone = [name for name in old if name not in new]
        for name in gone:
            (out / name).unlink(missing_ok=True)
        for path in [*(out / name for name in DERIVED), *out.glob(f"{SECONDS}.*.part")]:
            _remove(path)
        for name in new:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            if (committed / name).is_file():  # else moved before
                (committed / name).replace(out / name)
        for folder in {(out / name).parent for name in gone} - {out}:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
        (committed / MANIFEST).replace(out / MANIFEST)
    if os.path.lexists(out / NEW):
        for folder in {(out / name).parent for name in [*old, MANIFEST]}:
            if folder.resolve().is_relative_to(out.resolve()):
                (folder / _PROBE).unlink(missing_ok=True)
    _remove(committed)
    _remove(out / NEW)


def _remove(path: Path) -> None:
    """A file, a link but not what is behind it, or a folder with all in it; of a mount point the content."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif os.path.ismount(path):
        for child in path.iterdir():
            _remove(child)
    elif path.is_dir():
        shutil.rmtree(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; where the file system has no locks for folders, the user must see to that."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
