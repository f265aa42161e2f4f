"""Yosys: counts the cells of each unit, of the core and of the AXI top, once it is sure the ROMs were read.

Every run is a process of its own, its script and log in DIR/synth/. Vivado packs two small LUTs into one LUT6
where it can; yosys does not, and tends to count more LUTs.
"""

import hashlib
import importlib.util
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hwgen.errors import BadInput, MissingTool, ToolFailed
from hwgen.synth import RESOURCES, roms

FLAGS = "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -nodsp -widemux 5"

LIBRARY = ("read_verilog -lib -specify +/xilinx/cells_sim.v", "read_verilog -lib +/xilinx/cells_xtra.v")
ELABORATED = "synth/elaborated.il"  # the whole design, each module with its parameters

# What a cell of each type occupies. An inverter is a LUT1 to Vivado, so it counts as a LUT here.
CELLS = {
    cell: worth
    for cells, worth in (
        ("LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 LUT6_2 INV", {"LUT": 1}),
        ("SRL16E SRLC16E SRLC32E RAM32X1S RAM64X1S", {"LUT": 1, "LUTRAM": 1}),
        ("RAM32X1D RAM64X1D RAM128X1S", {"LUT": 2, "LUTRAM": 2}),
        ("RAM32M RAM64M RAM128X1D RAM256X1S", {"LUT": 4, "LUTRAM": 4}),
        ("RAM32M16 RAM64M8 RAM256X1D RAM512X1S RAM64X8SW RAM32X16DR8", {"LUT": 8, "LUTRAM": 8}),
        ("MUXF7", {"MUXF7": 1}),
        ("MUXF8", {"MUXF8": 1}),
        ("MUXF9", {"MUXF9": 1}),
        ("FDRE FDSE FDCE FDPE FDRE_1 FDSE_1 FDCE_1 FDPE_1", {"FF": 1}),
        ("CARRY8", {"CARRY8": 1}),
        ("CARRY4", {"CARRY8": 0.5}),
        ("RAMB36E1 RAMB36E2", {"BRAM36": 1}),
        ("RAMB18E1 RAMB18E2", {"BRAM36": 0.5}),
        ("URAM288 URAM288_BASE", {"URAM": 1}),
        ("VCC GND $scopeinfo", {}),
    )
    for cell in cells.split()
}

# Yosys warns of these and goes on; each means the netlist is not the design.
_FATAL_WARNINGS = ("conflicting", "has no driver", "Latch inferred", "found logic loop")

_WORKER = "import sys; from pyosys import libyosys as ys; ys.run_pass('script ' + sys.argv[1], ys.Design())"


def synthesize(
    build_dir: Path, jobs: int = 1, top: str | None = None, progress: Callable[[str], None] | None = None
) -> dict:
    """Synthesizes DIR and writes DIR/synth/yosys.json, whole or not at all; returns what it wrote.

    top -- the module `total` counts; the manifest's AXI top unless given
    progress -- called with one line of text at each step

    Keys: tool, version, flags, seconds; total and core: counts by RESOURCES; units: name, instance, module,
    parameters, sha256 (of sources, parameters and ROM contents), resources, seconds of each of the manifest's
    units. Each is synthesized by itself, with the parameters the core gives it, once if two are equal.
    Raises ToolFailed if a ROM is not as its file says, if yosys stops, or if the netlist holds a latch, a DSP
    block, an unknown cell, or a wire with no driver or two.
    """
    if importlib.util.find_spec("pyosys") is None:
        raise MissingTool("the Python package pyosys is not installed", hint="pip install pyosys==0.70")
    build_dir, start = Path(build_dir), time.monotonic()
    progress = progress or (lambda text: None)
    manifest = json.loads((build_dir / "hwgen.json").read_text())
    top = top or manifest["top"]
    work = build_dir / "synth"
    work.mkdir(exist_ok=True)
    (work / "yosys.json").unlink(missing_ok=True)

    contents = roms.read(build_dir, manifest)
    progress("yosys reads the sources and the ROMs")
    elaborate = [_hierarchy(manifest, top), f"write_rtlil -selected {ELABORATED}", "proc", "check", "memory_collect"]
    elaborate += ["write_json -selected synth/elaborate.json"]
    _run_all(build_dir, {"elaborate": _read_commands(manifest) + elaborate}, 1, lambda *_: None)
    modules = json.loads((work / "elaborate.json").read_text())["modules"]
    roms.compare(build_dir, manifest, contents, modules)
    units = _find_units(build_dir, manifest, modules)

    core = _core(manifest, modules)
    job_of = {top: "total"}  # yosys's name of a module -> the job that synthesizes it, the longest first
    for job, derived in [("core", core), *((f"unit_{unit['name']}", unit["derived"]) for unit in units)]:
        job_of.setdefault(derived, job)
    scripts = {job: _synth_commands(derived, job) for derived, job in job_of.items()}
    done = {}

    def finished(job: str, seconds: float) -> None:
        done[job] = _counts(build_dir, job) | {"seconds": round(seconds, 1)}
        luts = done[job]["resources"]["LUT"]
        progress(f"yosys: {job.removeprefix('unit_')} {luts} LUT ({len(done)} of {len(scripts)})")

    _run_all(build_dir, scripts, jobs, finished)
    for unit in units:
        finding = done[job_of[unit.pop("derived")]]
        unit |= {key: finding[key] for key in ("resources", "seconds")}
    result = {
        "tool": "yosys",
        "version": done["total"]["version"],
        "flags": FLAGS,
        "seconds": round(time.monotonic() - start, 1),
        "total": done["total"]["resources"],
        "core": done[job_of[core]]["resources"],
        "units": units,
    }
    partial = work / "yosys.json.part"
    partial.write_text(json.dumps(result, indent=2) + "\n")
    os.replace(partial, work / "yosys.json")
    return result


def _read_commands(manifest: dict) -> list[str]:
    return [
        *LIBRARY,
        # deferred: a module is read with the parameters it is used with, so no ROM is read with an empty name
        *(f"read_verilog -defer {source}" for source in manifest["sources"]),
    ]


def _hierarchy(manifest: dict, top: str) -> str:
    """Elaborates from `top`, with the parameters that synthesis wants and simulation does not."""
    chosen = "".join(f" -chparam {name} {value}" for name, value in manifest.get("synthesis", {}).items())
    return f"hierarchy -check -top {top}{chosen}"


def _synth_commands(derived: str, job: str) -> list[str]:
    return [
        *LIBRARY,
        f"read_rtlil {ELABORATED}",
        f"hierarchy -check -top {derived}",
        f"{FLAGS} -run prepare:",
        f"tee -q -o synth/{job}.stat.json stat -json",
    ]


def _run_all(build_dir: Path, scripts: dict[str, list[str]], jobs: int, finished: Callable[[str, float], None]) -> None:
    """Runs each script in a process of its own, `jobs` at a time; none is left running whatever is raised."""
    waiting, running = list(scripts), {}
    try:
        while waiting or running:
            while waiting and len(running) < max(1, jobs):
                job = waiting.pop(0)
                running[job] = _start(build_dir, job, scripts[job]), time.monotonic()
            time.sleep(0.02)
            for job, (process, started) in list(running.items()):
                if process.poll() is not None:
                    del running[job]
                    _check_log(build_dir, job, process.returncode)
                    finished(job, time.monotonic() - started)
    finally:
        for process, _ in running.values():
            # the group: yosys runs abc as a process of its own
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _start(build_dir: Path, job: str, commands: list[str]) -> subprocess.Popen:
    (build_dir / f"synth/{job}.ys").write_text("\n".join(commands) + "\n")
    with (build_dir / f"synth/{job}.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-c", _WORKER, f"synth/{job}.ys"],
            cwd=build_dir,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _check_log(build_dir: Path, job: str, returncode: int) -> None:
    log = build_dir / f"synth/{job}.log"
    lines = log.read_text(errors="replace").splitlines()
    if returncode:
        ended = f"was killed by signal {-returncode}" if returncode < 0 else f"exited with {returncode}"
        raise ToolFailed(f"yosys {ended} on {job}:\n  " + "\n  ".join(lines[-8:]), at=str(log))
    for line in lines:
        if line.startswith("Warning:") and any(text in line for text in _FATAL_WARNINGS):
            raise ToolFailed(f"yosys on {job}: {line}", at=str(log), hint="mend the Verilog it names")


def _counts(build_dir: Path, job: str) -> dict:
    """The counts of a finished job, with the version of yosys."""
    stat = json.loads((build_dir / f"synth/{job}.stat.json").read_text())
    counts = dict.fromkeys(RESOURCES, 0)
    for cell, number in stat["design"].get("num_cells_by_type", {}).items():
        if cell in ("LDCE", "LDPE") or cell.startswith("DSP"):
            kind = "a DSP block" if cell.startswith("DSP") else "a latch"
            raise ToolFailed(f"the netlist of {job} holds {kind}: {number} {cell}", at=f"synth/{job}.log")
        if cell not in CELLS:
            raise ToolFailed(
                f"the netlist of {job} holds a cell hwgen cannot count: {number} {cell}",
                at=f"synth/{job}.log",
                hint="a missing module, or a primitive to add to CELLS in hwgen/synth/yosys.py",
            )
        for resource, each in CELLS[cell].items():
            counts[resource] += each * number
    # a lone CARRY4 fills a CARRY8; a lone half of a block RAM stays a half
    counts["CARRY8"] = math.ceil(counts["CARRY8"])
    counts = {key: int(count) if count == int(count) else count for key, count in counts.items()}
    return {"resources": counts, "version": stat["creator"]}


def _core(manifest: dict, modules: dict) -> str:
    for name, module in modules.items():
        if _source_name(name, module) == manifest["core"]:
            return name
    raise BadInput(f"the design holds no module {manifest['core']!r}", at="hwgen.json")


def _source_name(name: str, module: dict) -> str:
    """The name a module has in the Verilog, whatever its parameters made of it."""
    return module["attributes"].get("hdlname", name)


def _find_units(build_dir: Path, manifest: dict, modules: dict) -> list[dict]:
    """name, instance, module, parameters, sha256, derived (yosys's name for the module) of each unit."""
    core = _core(manifest, modules)
    units = []
    for unit in manifest["units"]:
        cell = modules[core]["cells"].get(unit["instance"])
        if cell is None:
            raise BadInput(f"{manifest['core']} holds no instance {unit['instance']!r}", at="hwgen.json, units")
        parameters = modules[cell["type"]].get("parameter_default_values", {})
        units.append(
            {
                "name": unit["name"],
                "instance": unit["instance"],
                "module": unit["module"],
                "parameters": {key: _plain(value) for key, value in sorted(parameters.items())},
                "sha256": _sha256(build_dir, modules, cell["type"]),
                "derived": cell["type"],
            }
        )
    return units


def _plain(value: str) -> int | str:
    """A parameter of yosys's JSON: 32 bits are a Verilog integer, so signed; wider ones in hex; else text."""
    if not re.fullmatch("[01]+", value):
        return value
    number = int(value, 2)
    if len(value) > 32:
        return hex(number)
    return number - (1 << 32) if len(value) == 32 and value[0] == "1" else number


def _below(modules: dict, name: str) -> list[str]:
    """The module and all that it instantiates, primitives left out, sorted."""
    seen, waiting = set(), [name]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [cell["type"] for cell in modules[name]["cells"].values() if cell["type"] in modules]
    return sorted(seen)


def _sha256(build_dir: Path, modules: dict, name: str) -> str:
    """Of everything below the module: source files, parameters, ROM files."""
    digest = hashlib.sha256()
    files = set()
    for module in (modules[name] for name in _below(modules, name)):
        parameters = module.get("parameter_default_values", {})
        digest.update(json.dumps([module["attributes"].get("hdlname"), parameters], sort_keys=True).encode())
        files |= {module["attributes"]["src"].split(":")[0]}
        files |= roms.files_of(module)
    for file in sorted(files):
        digest.update(file.encode() + b"\0" + (build_dir / file).read_bytes())
    return digest.hexdigest()
