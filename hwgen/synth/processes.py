"""A tool on each part of a design, in processes of their own: several at once, with limits of time and memory, and none
left running."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hwgen.errors import HwgenError, ToolFailed
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


@dataclass(frozen=True, eq=False)
class Task:
    """A tool at work on a part.

    name -- for messages: of the part, and what else tells it from other tasks
    stem -- of its files in DIR/synth
    worker -- a Python program of two arguments, `argument` and, if memory is limited, the bytes that it may take
    files -- the texts that it reads and nobody wrote yet, by path in the build
    """

    tool: str
    part: Part
    name: str
    stem: str
    worker: str
    argument: str
    files: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """The path of its log in the build."""
        return f"synth/{self.stem}.log"


def yosys_task(part: Part, script: list[str]) -> Task:
    """Yosys with the script of a part."""
    files = {f"synth/{part.stem}.ys": "\n".join(script) + "\n"}
    if part.wrapper:
        files[f"synth/{part.stem}.v"] = part.wrapper
    return Task("yosys", part, part.name, part.stem, WORKER, f"synth/{part.stem}.ys", files)


def run_all(
    build_dir: Path,
    tasks: Iterable[Task],
    jobs: int,
    finished: Callable[[Task, float], None],
    changed: Callable[[list[str]], None] = lambda names: None,
    memory: float | None = None,
    minutes: float | None = None,
) -> None:
    """Runs each task in a process of its own, `jobs` at a time; none is left running whatever is raised.

    finished -- called with a task and its seconds; the HwgenError that it raises counts like one of the tool
    changed -- called with the names of the tasks at work, when one started or ended
    memory, minutes -- GB (2^30) that each process may take, and how long a task may
    Raises, when no task is left to run, the error of the one that failed, or one for all that did.
    """
    waiting, running, failed = list(tasks), {}, {}

    def end(task: Task, seconds: float) -> None:
        process, _ = running[task]
        late = process.poll() is None
        if late:
            _kill(process)
        del running[task]
        try:
            if late:
                raise _late(build_dir, task, minutes)
            check_log(build_dir, task, process.returncode)
            finished(task, seconds)
        except HwgenError as error:
            failed[task.name] = error
        changed([task.name for task in running])

    try:
        while waiting or running:
            for task in waiting[: max(1, jobs) - len(running)]:
                waiting.remove(task)
                running[task] = start(build_dir, task, memory), time.monotonic()
                changed([task.name for task in running])
            time.sleep(0.02)
            for task, seconds in _over(running, minutes):
                end(task, seconds)
    finally:
        for process, _ in running.values():
            _kill(process)
    if failed:
        raise _joined(failed)


def start(build_dir: Path, task: Task, memory: float | None) -> subprocess.Popen:
    """The process of a task, at the head of a process group of its own; it writes the task's log."""
    for path, text in task.files.items():
        (build_dir / path).write_text(text)
    limit = [str(int(memory * 2**30))] if memory else []
    with (build_dir / task.log).open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-c", task.worker, task.argument, *limit],
            cwd=build_dir,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def check_log(build_dir: Path, task: Task, returncode: int) -> None:
    """Raises ToolFailed, with the line of the log that says why, unless the tool did all of it, with the design."""
    log = build_dir / task.log
    lines = log.read_text(errors="replace").splitlines()
    if returncode:
        ended = f"was killed by signal {-returncode}" if returncode < 0 else f"exited with {returncode}"
        raise ToolFailed(f"{task.tool} {ended} on {task.name}:\n  " + "\n  ".join(lines[-8:]), at=str(log))
    for line in lines:
        if line.startswith("Warning:") and any(text in line for text in _FATAL_WARNINGS):
            raise ToolFailed(f"{task.tool} on {task.name}: {line}", at=str(log), hint="mend the Verilog it names")


def _over(running: dict[Task, tuple[subprocess.Popen, float]], minutes: float | None) -> list[tuple[Task, float]]:
    """The tasks whose process has ended, or has to end, with their seconds."""
    seconds = {task: time.monotonic() - started for task, (_, started) in running.items()}
    most = math.inf if minutes is None else 60 * minutes
    return [
        (task, seconds[task])
        for task, (process, _) in running.items()
        if process.poll() is not None or seconds[task] > most
    ]


def _late(build_dir: Path, task: Task, minutes: float | None) -> ToolFailed:
    return ToolFailed(f"{task.tool} took more than {minutes:g} minutes on {task.name}", at=str(build_dir / task.log))


def _kill(process: subprocess.Popen) -> None:
    # the group: yosys runs abc as a process of its own
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _joined(failed: dict[str, HwgenError]) -> HwgenError:
    """The error of the task that failed, or one for all of them."""
    first = next(iter(failed.values()))
    if len(failed) == 1:
        return first
    what = f"{len(failed)} parts failed, {', '.join(failed)}; the first: {first.what}"
    return type(first)(what, at=", ".join(error.at for error in failed.values()), hint=first.hint)
