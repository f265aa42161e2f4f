"""Yosys, a process for each part of a design: several at once, with limits of time and memory, and none left
running."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hwgen.errors import ToolFailed
from hwgen.synth.parts import Part

# Yosys warns of these and goes on; each means the netlist is not the design.
_FATAL_WARNINGS = ("conflicting", "has no driver", "Latch inferred", "found logic loop")

# arguments: the script, and the bytes of memory that yosys, and abc, may take
WORKER = """
import resource, sys
from pyosys import libyosys as ys
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
ys.run_pass("script " + sys.argv[1], ys.Design())
"""


def run_all(
    build_dir: Path,
    scripts: dict[Part, list[str]],
    jobs: int,
    finished: Callable[[Part, float], None],
    changed: Callable[[list[str]], None] = lambda names: None,
    memory: float | None = None,
    minutes: float | None = None,
) -> None:
    """Runs the script of each part in a process of its own, `jobs` at a time; none is left running whatever is raised.

    finished -- called with a part and its seconds; the ToolFailed that it raises counts like one of yosys
    changed -- called with the names of the parts at work, when one started or ended
    memory, minutes -- GB (2^30) that each process may take, and how long a part may
    Raises, when no part is left to run, the ToolFailed of the one that failed, or one for all that did.
    """
    waiting, running, failed = list(scripts), {}, {}

    def end(part: Part, seconds: float) -> None:
        process, _ = running[part]
        late = process.poll() is None
        if late:
            _kill(process)
        del running[part]
        try:
            if late:
                raise _late(build_dir, part, minutes)
            check_log(build_dir, part, process.returncode)
            finished(part, seconds)
        except ToolFailed as error:
            failed[part.name] = error
        changed([part.name for part in running])

    try:
        while waiting or running:
            for part in waiting[: max(1, jobs) - len(running)]:
                waiting.remove(part)
                running[part] = start(build_dir, part, scripts[part], memory), time.monotonic()
                changed([part.name for part in running])
            time.sleep(0.02)
            for part, seconds in _over(running, minutes):
                end(part, seconds)
    finally:
        for process, _ in running.values():
            _kill(process)
    if failed:
        raise _joined(failed)


def start(build_dir: Path, part: Part, script: list[str], memory: float | None) -> subprocess.Popen:
    """Yosys on a part, at the head of a process group of its own; it writes the part's log."""
    work = build_dir / "synth"
    (work / f"{part.stem}.ys").write_text("\n".join(script) + "\n")
    if part.wrapper:
        (work / f"{part.stem}.v").write_text(part.wrapper)
    limit = [str(int(memory * 2**30))] if memory else []
    with (build_dir / part.log).open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, f"synth/{part.stem}.ys", *limit],
            cwd=build_dir,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def check_log(build_dir: Path, part: Part, returncode: int) -> None:
    """Raises ToolFailed, with the line of the log that says why, unless yosys made a netlist that is the design."""
    log = build_dir / part.log
    lines = log.read_text(errors="replace").splitlines()
    if returncode:
        ended = f"was killed by signal {-returncode}" if returncode < 0 else f"exited with {returncode}"
        raise ToolFailed(f"yosys {ended} on {part.name}:\n  " + "\n  ".join(lines[-8:]), at=str(log))
    for line in lines:
        if line.startswith("Warning:") and any(text in line for text in _FATAL_WARNINGS):
            raise ToolFailed(f"yosys on {part.name}: {line}", at=str(log), hint="mend the Verilog it names")


def _over(running: dict[Part, tuple[subprocess.Popen, float]], minutes: float | None) -> list[tuple[Part, float]]:
    """The parts whose process has ended, or has to end, with their seconds."""
    seconds = {part: time.monotonic() - started for part, (_, started) in running.items()}
    most = math.inf if minutes is None else 60 * minutes
    return [
        (part, seconds[part])
        for part, (process, _) in running.items()
        if process.poll() is not None or seconds[part] > most
    ]


def _late(build_dir: Path, part: Part, minutes: float | None) -> ToolFailed:
    return ToolFailed(f"yosys took more than {minutes:g} minutes on {part.name}", at=str(build_dir / part.log))


def _kill(process: subprocess.Popen) -> None:
    # the group: yosys runs abc as a process of its own
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _joined(failed: dict[str, ToolFailed]) -> ToolFailed:
    """The error of the part that failed, or one for all of them."""
    first = next(iter(failed.values()))
    if len(failed) == 1:
        return first
    what = f"{len(failed)} parts failed, {', '.join(failed)}; the first: {first.what}"
    return ToolFailed(what, at=", ".join(error.at for error in failed.values()), hint=first.hint)
