"""The build folder: the old build or the new one, whatever happens to the process, the disk or the folder."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from hwgen import folder
from hwgen.errors import BadInput
from hwgen.folder import check_writable, recover, seal, write

OLD = {
    "rtl/a_core.v": "old core",
    "rtl/gone.v": "gone",
    "rom/gone.hex": "0",
    "golden.json": "old",
    "golden.npz": b"old",
}
NEW = {"rtl/a_core.v": "new core", "rtl/more.v": "more", "golden.json": "new", "golden.npz": b"new"}
MINE = {"notes.txt": b"mine", "rtl/mine.v": b"mine"}
STALE = {"sim/verilator/built.json": b"1", "report.md": b"old", "seconds.json": b"{}", "seconds.json.7.part": b"{"}


def whole(files: dict[str, str | bytes]) -> dict[str, str | bytes]:
    """A build: the files and their manifest."""
    return {**files, "hwgen.json": seal({"files": dict.fromkeys(files, "")})}


def content(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def as_bytes(files: dict[str, str | bytes]) -> dict[str, bytes]:
    return {name: text if isinstance(text, bytes) else text.encode() for name, text in files.items()}


def put(place: Path, files: dict[str, bytes]) -> None:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(text)


def built(place: Path) -> Path:
    """A folder with the build OLD, what later verbs left in it, and the user's own files."""
    write(place, whole(OLD))
    put(place, MINE | STALE)
    return place


BEFORE = as_bytes(whole(OLD)) | MINE | STALE
AFTER = as_bytes(whole(NEW)) | MINE

# kill -9


def killed(work: Callable[[], None], count: int) -> bool:
    """Runs `work` in a process that is killed as its file operation number `count` begins; whether it came so far."""
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(event: str, _) -> None:
            nonlocal seen
            if event == "open" or event.startswith(("os.", "shutil.")):
                seen += 1
                if seen == count:
                    os.kill(os.getpid(), signal.SIGKILL)

        original = Path.write_bytes
        Path.write_bytes = lambda path, text: (
            original(path, text[:1]) and original(path, text)
        )  # killed in mid-file too
        sys.addaudithook(hook)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def test_a_killed_build_leaves_the_old_or_the_new(tmp_path):
    """Killed before each of its file operations: what a reader finds is one build, and nothing is left over."""
    seen = []
    for count in range(1, 1000):
        place = built(tmp_path / f"{count}")
        if not killed(lambda place=place: write(place, whole(NEW)), count):
            break
        again = shutil.copytree(place, tmp_path / f"{count}_again")
        recover(place)
        seen.append(content(place) == AFTER)
        assert content(place) == (AFTER if seen[-1] else BEFORE), count
        write(again, whole(OLD))
        assert content(again) == as_bytes(whole(OLD)) | MINE, count
        shutil.rmtree(place)
        shutil.rmtree(again)
    assert content(place) == AFTER
    assert len(seen) > 30 and seen == sorted(seen) and 5 < sum(seen) < len(seen) - 5  # old, and from some point on new


def test_a_killed_recovery_goes_on(tmp_path):
    place = built(tmp_path / "net")
    count = next(n for n in range(1, 1000) if (killed(lambda: write(place, whole(NEW)), n), committed(place))[1])
    for again in range(1, 1000):
        copy = shutil.copytree(place, tmp_path / f"{count}_{again}")
        ended = not killed(lambda copy=copy: recover(copy), again)
        recover(copy)
        assert content(copy) == AFTER
        if ended:
            break
    assert again > 10


def committed(place: Path) -> bool:
    return (place / folder.COMMITTED).exists()


def test_a_killed_first_build_leaves_a_folder_that_can_be_built_into(tmp_path):
    for count in range(1, 1000):
        place = tmp_path / f"{count}"
        dead = killed(lambda place=place: write(place, whole(NEW)), count)
        check_writable(place)
        write(place, whole(NEW))
        assert content(place) == as_bytes(whole(NEW))
        if not dead:
            break
    assert count > 20


def test_two_builds_at_once(tmp_path):
    """One after the other, and readers between them find one build, whole."""
    place = built(tmp_path / "net")
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(write, place, whole(files)) for files in (OLD, NEW) * 10]
        while not all(future.done() for future in done):
            recover(place)
        for future in done:
            future.result()
    assert content(place) in (AFTER, as_bytes(whole(OLD)) | MINE)


# mount points


@contextmanager
def volume(place: Path, options: str = "size=1m") -> Iterator[bool]:
    """`place` as a file system of its own while it may be one, which is told; else as the folder that it is."""
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    mounted = (
        shutil.which("mount") is not None and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def far(monkeypatch) -> list[Path]:
    """Folders that nothing can be renamed into or out of, as if each were a file system of its own."""
    places: list[Path] = []

    def home(path) -> Path | None:
        return next((p for p in places if p in [Path(path), *Path(path).parents]), None)

    for name in ("rename", "replace"):
        original = getattr(os, name)

        def moved(a, b, original=original, **options):
            if home(a) != home(b) or a in places or b in places:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(a), None, str(b))
            return original(a, b, **options)

        monkeypatch.setattr(os, name, moved)
    return places


def test_a_folder_that_is_a_mount_point(tmp_path, far):
    far.append(built(tmp_path / "net"))
    write(tmp_path / "net", whole(NEW))
    assert content(tmp_path / "net") == AFTER
    (tmp_path / "empty").mkdir()
    far.append(tmp_path / "empty")
    check_writable(tmp_path / "empty")
    write(tmp_path / "empty", whole(NEW))
    assert content(tmp_path / "empty") == as_bytes(whole(NEW))


def test_a_real_mount_point(tmp_path):
    """Where this process may mount; elsewhere the same in a plain folder."""
    place = tmp_path / "net"
    place.mkdir()
    with volume(place):
        (place / "lost+found").mkdir()
        check_writable(place)
        write(place, whole(OLD))
        put(place, MINE | STALE)
        write(place, whole(NEW))
        assert content(place) == AFTER


@pytest.mark.parametrize("name", ["rtl", "rom"])
def test_a_mount_point_in_the_folder_is_refused_before_anything_is_touched(tmp_path, far, name):
    place = built(tmp_path / "net")
    far.append(place / name)
    with pytest.raises(BadInput, match=f"another file system(?s:.*)net/{name}"):
        write(place, whole({**NEW, "rom/a.hex": "1"}))
    assert content(place) == BEFORE


def test_a_mount_point_for_what_is_derived(tmp_path):
    place = built(tmp_path / "net")
    with volume(place / "sim"):
        put(place, STALE)
        write(place, whole(NEW))
        assert content(place) == AFTER


# links


@pytest.mark.parametrize("name", ["sim", "synth", "vivado", "report.json", "seconds.json"])
def test_a_link_in_the_place_of_what_is_derived(tmp_path, name):
    """The link goes with what else was derived from the old build; what lies behind it is not touched."""
    place, outside = built(tmp_path / "net"), tmp_path / "outside"
    put(outside, {"mine": b"mine"})
    target = place / name
    shutil.rmtree(target, ignore_errors=True)
    target.unlink(missing_ok=True)
    target.symlink_to(outside)
    write(place, whole(NEW))
    assert content(place) == AFTER and not target.is_symlink()
    assert content(outside) == {"mine": b"mine"}


@pytest.mark.parametrize("state", ["built", "committed"])
@pytest.mark.parametrize("listed", ["old", "new"])
def test_nothing_behind_a_link_is_written_or_deleted(tmp_path, state, listed):
    """Also where the folder, its manifest and a half finished build in it are made to make hwgen do so."""
    place, victim = built(tmp_path / "net"), tmp_path / "victim"
    put(victim, {"thesis.tex": b"all my work"})
    shutil.rmtree(place / "rtl")
    (place / "rtl").symlink_to("../victim")
    hostile = {"rtl/thesis.tex": "overwritten"}
    if listed == "old":
        (place / "hwgen.json").write_text(json.dumps({"files": dict.fromkeys(hostile, "")}))
    if state == "committed":
        put(place / folder.COMMITTED, as_bytes(whole(hostile if listed == "new" else {"golden.json": "new"})))
    before = content(place)

    def build_again():
        check_writable(place)
        write(place, whole(hostile))

    with pytest.raises(BadInput, match="link"):
        build_again()
    assert content(victim) == {"thesis.tex": b"all my work"}
    assert content(place) == before


@pytest.mark.parametrize("name", [folder.NEW, folder.COMMITTED])
def test_a_link_in_the_place_of_a_half_finished_build(tmp_path, name):
    place, victim = built(tmp_path / "net"), tmp_path / "victim"
    put(victim, as_bytes(whole(NEW)))
    (place / name).symlink_to("../victim")
    write(place, whole(NEW))
    assert content(place) == AFTER
    assert content(victim) == as_bytes(whole(NEW))


@pytest.mark.parametrize("name", ["../x", "/x", "", "a/../b", "a\0b", "\ud800", ".hwgen-new/x", "a//b", 3])
def test_a_manifest_with_a_path_that_hwgen_never_writes(tmp_path, name):
    place = built(tmp_path / "net")
    (place / "hwgen.json").write_text(json.dumps({"files": [name]}))
    with pytest.raises(BadInput, match=r"hwgen\.json"):
        check_writable(place)


# the user's files


def test_a_file_of_the_users_is_not_overwritten(tmp_path):
    place = built(tmp_path / "net")
    for name in ("rtl/mine.v", "notes.txt/a.v"):
        with pytest.raises(BadInput, match=name.partition("/a.v")[0]):
            write(place, whole({**NEW, name: "hwgen's"}))
    with pytest.raises(BadInput, match="it is a folder"):
        write(place, whole({**NEW, "sim": "hwgen's"}))
    assert content(place) == BEFORE


# a disk that refuses


def test_a_full_disk(tmp_path, monkeypatch):
    place = built(tmp_path / "net")
    original = Path.write_bytes

    def full(path: Path, text: bytes) -> int:
        if path.name == "more.v":
            original(path, text[:1])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return original(path, text)

    monkeypatch.setattr(Path, "write_bytes", full)
    for out in (place, tmp_path / "fresh"):
        with pytest.raises(BadInput, match=r"No space left(?s:.*)make room"):
            write(out, whole(NEW))
    assert content(place) == BEFORE and not (tmp_path / "fresh").exists()


def test_a_real_full_disk(tmp_path):
    """Where this process may mount; elsewhere the same files find their room."""
    place = tmp_path / "net"
    place.mkdir()
    with volume(place, "size=256k") as mounted:
        write(place, whole(OLD))
        large = whole({**NEW, "rom/a.hex": "0" * (1 << 20)})
        if mounted:
            with pytest.raises(BadInput, match="No space left"):
                write(place, large)
        else:
            write(place, large)
        assert content(place) == as_bytes(whole(OLD) if mounted else large)


@pytest.mark.parametrize("call", ["mkdir", "write_bytes", "rename"])
def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, call):
    place = built(tmp_path / "net")

    def refused(path: Path, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, call, refused)
        with pytest.raises(BadInput, match="Read-only file system"):
            write(place, whole(NEW))
    assert content(place) == BEFORE


def test_names_that_are_too_long(tmp_path):
    place = built(tmp_path / "net")
    with pytest.raises(BadInput, match=r"File name too long(?s:.*)shorter name"):
        write(place, whole({f"rtl/{'a' * 250}_core.v": "x"}))
    assert content(place) == BEFORE
    with pytest.raises(BadInput, match="File name too long"):
        check_writable(tmp_path / ("a" * 300))


def test_records_on_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "seconds.json"
    folder.write_record(path, {"build": 1})

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BadInput, match="No space left"):
        folder.write_record(path, {"build": 2})
    assert content(tmp_path) == {"seconds.json": b'{\n "build": 1\n}\n'}
