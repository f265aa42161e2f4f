"""Runs a cocotb test module on any simulator, in a process of its own, and says what went wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from hwgen.errors import ToolFailed
from hwgen.share import share
from hwgen.simulators import models
from hwgen.simulators.simulator import Simulator, literal, simulator_of

STEP = 0.5  # seconds between two looks at a run
TAIL = 40  # lines of a tool's log that an error repeats

# The cocotb runner reads os.environ and ends with sys.exit, so it works in a process of its own.
_RUNNER = """
import json, sys, time
from cocotb_tools.runner import get_runner
job = json.load(sys.stdin)
runner = get_runner(job["simulator"])
times = [time.monotonic()]
if job["build"]:
    runner.build(**job["build"])
times.append(time.monotonic())
runner.test(**job["test"])
times.append(time.monotonic())
with open(job["seconds"], "w") as file:
    json.dump([times[1] - times[0], times[2] - times[1]], file)
"""


class Seconds(NamedTuple):
    """What a run took: `compile` to build the simulator, 0 where it was there, and `run` to start and run it."""

    compile: float
    run: float


def run_cocotb(
    *,
    simulator: str,
    sources: Sequence[str | Path],
    toplevel: str,
    module: str,
    build_dir: str | Path,
    parameters: Mapping[str, int | str | tuple[int, int]] | None = None,
    environment: Mapping[str, str] | None = None,
    rebuild: bool = True,
    waves: str | Path | None = None,
    internals: bool = False,
    cwd: str | Path | None = None,
    timeout: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Seconds:
    """Build `toplevel` and run every cocotb test of the importable `module` on it; return when all passed.

    parameters  -- Verilog parameters of the top module
    environment -- extra variables that the test module sees
    rebuild     -- False: build_dir already holds this very build, only run it. A build that a simulator compiles
                   is kept in the user's cache folder once a run of it has passed, and taken from there
    waves       -- the VCD file to write, of all signals; a build with waves is another build than one without
    internals   -- Python sees all signals, not only the top module's; Verilator runs half as fast (Icarus: no matter)
    cwd         -- where the simulation runs, and so where $readmemh finds its files; default build_dir
    timeout     -- seconds until the run is ended
    stopped     -- asked now and then, where a run is one of several threads: True ends it
    Logs: build.log, run.log and results.xml in build_dir.
    """
    build_dir = Path(build_dir).resolve()
    build_dir.mkdir(parents=True, exist_ok=True)
    chosen = simulator_of(simulator)
    environ = _environment(chosen, build_dir) | dict(environment or {})
    logs = {name: build_dir / name for name in ("build.log", "run.log", "results.xml", "runner.log", "seconds.json")}
    for name, log in logs.items():
        if rebuild or name != "build.log":
            log.unlink(missing_ok=True)
    build, key = None, None
    model = build_dir / toplevel
    if rebuild:
        given = chosen.prepare(
            [str(Path(s).resolve()) for s in sources], toplevel, build_dir, environ, public=internals
        )
        build = given | {
            "hdl_toplevel": toplevel,
            "parameters": {name: literal(value) for name, value in (parameters or {}).items()},
            "build_dir": str(build_dir),
            "timescale": ["1ns", "1ps"],
            "always": True,
            "waves": waves is not None,
            "log_file": str(logs["build.log"]),
        }
        model.unlink(missing_ok=True)
        key = chosen.key(build, build_dir, environ)
        if key and models.fetch(key, model):
            build = None
    test = chosen.run_arguments(Path(waves).resolve() if waves else None) | {
        "hdl_toplevel": toplevel,
        "hdl_toplevel_lang": "verilog",
        "test_module": module,
        "build_dir": str(build_dir),
        "test_dir": str(Path(cwd).resolve()) if cwd else str(build_dir),
        "results_xml": str(logs["results.xml"]),
        "waves": waves is not None,
        "log_file": str(logs["run.log"]),
    }
    job = {"simulator": simulator, "build": build, "test": test, "seconds": str(logs["seconds.json"])}
    code = _run(job, environ, logs["runner.log"], timeout, stopped)
    _judge(code, logs, f"{module} on {toplevel}, {simulator}", timeout)
    if key and build:
        models.keep(key, model)
    return Seconds(*json.loads(logs["seconds.json"].read_text()))


def check_simulator(simulator: str, build_dir: str | Path) -> None:
    """Raises when a run in build_dir would lack a program, before anything is written."""
    _environment(simulator_of(simulator), Path(build_dir).resolve())


def _environment(simulator: Simulator, build_dir: Path) -> dict[str, str]:
    """The variables of a run; raises when one of the programs it needs is missing."""
    # make's and pytest's own variables would change how the runner works
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTEST_CURRENT_TEST", "MAKEFLAGS", "MAKELEVEL")}
    project = str(Path(__file__).resolve().parent.parent.parent)
    folders = [str(share("sim")), project, *(entry for entry in sys.path if entry)]
    environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folders))
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "")])
    environ["COCOTB_ANSI_OUTPUT"] = "0"
    environ.setdefault("COCOTB_RANDOM_SEED", "1")
    # cocotb recompiles every file that a bench imports, torch's too, to print more of a failed assert
    environ.setdefault("COCOTB_REWRITE_ASSERTION_FILES", "bench_*.py")
    environ = simulator.environment(environ, build_dir)
    simulator.check(environ)
    return environ


def _run(
    job: dict, environ: dict[str, str], log: Path, timeout: float | None, stopped: Callable[[], bool]
) -> int | None:
    """The runner's exit code, or None after `timeout` seconds or where it was stopped; whatever happens no process
    stays behind."""
    with log.open("w") as out:
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", _RUNNER],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert child.stdin is not None
        try:
            with suppress(BrokenPipeError), child.stdin as given:
                given.write(json.dumps(job))
            end = None if timeout is None else time.monotonic() + timeout
            while child.poll() is None:
                if stopped() or (end is not None and time.monotonic() > end):
                    return None
                with suppress(subprocess.TimeoutExpired):
                    child.wait(STEP)
            return child.returncode
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _judge(code: int | None, logs: dict[str, Path], what: str, timeout: float | None) -> None:
    """Raise ToolFailed unless the run ended well, at least one test ran, and all passed."""
    results = logs["results.xml"]
    if code is None:
        raise ToolFailed(f"{what}: not done after {timeout} s", _tail(logs["build.log"], logs["run.log"]))
    if not results.is_file() and not logs["run.log"].is_file():
        raise ToolFailed(f"{what}: the build failed", _tail(logs["build.log"]) or _tail(logs["runner.log"]))
    if not results.is_file():
        raise ToolFailed(f"{what}: the simulation failed", _tail(logs["run.log"]) or _tail(logs["runner.log"]))
    cases = ElementTree.parse(results).getroot().findall("testsuite/testcase")
    failed = [str(case.get("name")) for case in cases if len({"failure", "error"} & {e.tag for e in case})]
    ran = [case for case in cases if case.find("skipped") is None]
    said = logs["run.log"].read_text(errors="replace").splitlines()
    wrong_rom = [line for line in said if line.startswith("ROM ")]
    if wrong_rom:  # it ends the simulation, which cocotb calls a failed test
        raise ToolFailed(f"{what}: {wrong_rom[0]}", hint="build again: a file of rom/ is not what the build wrote")
    if failed:
        raise ToolFailed(
            f"{what}: {len(failed)} of {len(ran)} tests failed: {', '.join(failed)}",
            _tracebacks(logs["run.log"]) or _tail(logs["run.log"]),
        )
    unread = [line for line in said if "$readmem" in line]
    if unread:  # both simulators carry on with an empty memory
        raise ToolFailed(f"{what}: a memory was not filled: {unread[0]}", hint="look at cwd")
    if not ran:
        raise ToolFailed(f"{what}: no test ran", _tail(logs["run.log"]))
    if code:
        raise ToolFailed(f"{what}: the simulator ended with code {code}", _tail(logs["run.log"], logs["runner.log"]))


def _tracebacks(log: Path) -> str:
    """The path of a cocotb log and what it says on its failed tests: the lines without a time under each."""
    lines, inside = [str(log)], False
    for line in log.read_text(errors="replace").splitlines():
        if line.rstrip().endswith(" failed"):
            inside = True
        elif line[:20].strip():  # a new entry: simulation time, level, logger
            inside = False
        if inside:
            lines.append(line.strip())
    return "\n".join(lines[: 2 * TAIL]) if len(lines) > 1 else ""


def _tail(*logs: Path) -> str:
    """The last lines of each log that exists, with its path."""
    return "\n".join(
        "\n".join([str(log), *text.splitlines()[-TAIL:]])
        for log in logs
        if log.is_file() and (text := log.read_text(errors="replace").strip())
    )
