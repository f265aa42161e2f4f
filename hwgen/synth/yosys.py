"""Yosys: counts the cells of each unit, of the border around the core, and of the whole, flattened.

Every part is a process of its own, its script and log in DIR/synth/, and is counted once it is sure that its ROMs were read. What
was counted is kept in a cache: a part that did not change, in this build or another, is not synthesized again.
Vivado packs two small LUTs into one LUT6 where it can; yosys does not, and tends to count more LUTs.
"""

import importlib.metadata
import importlib.util
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from hwgen.errors import MissingTool, ToolFailed
from hwgen.folder import read_record, write_record
from hwgen.share import cache as user_cache
from hwgen.synth import RESOURCES, roms
from hwgen.synth.parts import WRAPPER, Part, parts_of

FLAGS = "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -nodsp -widemux 5"

LIBRARY = ("read_verilog -lib -specify +/xilinx/cells_sim.v", "read_verilog -lib +/xilinx/cells_xtra.v")

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
        ("DSP48E2", {"DSP": 1}),
        ("VCC GND $scopeinfo", {}),
    )
    for cell in cells.split()
}

# Yosys warns of these and goes on; each means the netlist is not the design.
_FATAL_WARNINGS = ("conflicting", "has no driver", "Latch inferred", "found logic loop")

# arguments: the script, and the bytes of memory that yosys, and abc, may take
_WORKER = """
import resource, sys
from pyosys import libyosys as ys
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
ys.run_pass("script " + sys.argv[1], ys.Design())
"""


def cache_folder() -> Path:
    """Where counts are kept unless told otherwise: HWGEN_CACHE of the environment, or a folder of the user's."""
    return Path(os.environ.get("HWGEN_CACHE") or user_cache()) / "synth"


def synthesize(
    build_dir: Path,
    jobs: int = 1,
    top: str | None = None,
    progress: Callable[[str], None] | None = None,
    *,
    whole: bool = True,
    cache: Path | None = None,
    memory: float | None = None,
    minutes: float | None = None,
) -> dict:
    """Synthesizes DIR and writes DIR/synth/yosys.json, whole or not at all; returns what it wrote.

    jobs -- processes at once
    top -- the module `total` counts; the manifest's AXI top unless given
    progress -- called with one line of text at each step
    whole -- also the core and the top, flattened, each in one piece; takes as long, and as much memory, as they are large
    cache -- the folder of counts; cache_folder() unless given
    memory, minutes -- GB (2^30) that each process may take, and how long a part may

    Keys: tool, version, flags, seconds; units: name, instance, module, parameters, sha256 (of all that its netlist depends on),
    resources, seconds, cached of each of the manifest's units; border: the same of the top without its core, if it is more;
    sum: the counts of units and border by RESOURCES; if `whole` core and total: counts, flattened.
    A unit is synthesized by itself, with the parameters the core gives it, once if two are equal. The core adds nothing but wires.
    Raises ToolFailed when all else is done if a ROM is not as its file says, if yosys stops or exceeds a limit, or if a netlist
    holds a latch, an unknown cell, or a wire with no driver or two. What was done is in the cache then, and also
    after an interrupt.
    """
    if importlib.util.find_spec("pyosys") is None:
        raise MissingTool("the Python package pyosys is not installed", hint="pip install pyosys==0.70")
    build_dir, start = Path(build_dir), time.monotonic()
    progress = progress or (lambda text: None)
    cache = Path(cache) if cache else cache_folder()
    manifest = json.loads((build_dir / "hwgen.json").read_text())
    work = build_dir / "synth"
    work.mkdir(exist_ok=True)
    (work / "yosys.json").unlink(missing_ok=True)

    contents = roms.read(build_dir, manifest)
    parts = parts_of(build_dir, manifest, top or manifest["top"], whole)
    roms.check_read(build_dir, manifest, {rom for part in parts for rom in part.roms})
    tool = [importlib.metadata.version("pyosys"), _commands(None)]
    keys = {part.stem: part.key(tool) for part in parts}
    records = {key: read_record(cache / f"{key}.json") for key in keys.values()}
    findings = {
        key: found for key, found in records.items() if found and found.keys() >= {"cells", "version", "seconds"}
    }
    cached = set(findings)
    missing = {keys[part.stem]: part for part in reversed(parts) if keys[part.stem] not in cached}
    # the longest first
    scripts = dict(sorted(missing.items(), key=lambda item: -sum(len(text) for text in item[1].texts.values())))

    def finished(part: Part, seconds: float) -> None:
        if part.roms:
            compared = work / f"{part.stem}.elaborated.json"
            wanted = {rom: contents[rom] for rom in part.roms}
            roms.compare(build_dir, manifest, wanted, json.loads(compared.read_text())["modules"])
            compared.unlink()
        stat = json.loads((work / f"{part.stem}.stat.json").read_text())
        _check_top(part, stat["modules"])
        cells = stat["design"].get("num_cells_by_type", {})
        if part.box:
            del cells[manifest["core"]]
        found = {"cells": cells, "version": stat["creator"], "seconds": round(seconds, 1)}
        luts = count(cells, part.name, _log_name(part))["LUT"]
        key = keys[part.stem]
        findings[key] = found
        write_record(cache / f"{key}.json", found)
        progress(
            f"yosys: {part.name} {luts} LUT ({len(findings)} of {len(set(keys.values()))}, {len(cached)} from the cache)"
        )

    progress(f"yosys: {len(scripts)} of {len(set(keys.values()))} parts to do")
    _run_all(build_dir, list(scripts.values()), jobs, finished, memory, minutes)

    def entry(part: Part) -> dict:
        found = findings[keys[part.stem]]
        counts = {"resources": count(found["cells"], part.name, _log_name(part)), "seconds": found["seconds"]}
        return {"sha256": keys[part.stem], **counts, "cached": keys[part.stem] in cached}

    of = {part.stem: part for part in parts}
    units = [
        {key: unit[key] for key in ("name", "instance", "module", "parameters")} | entry(of[f"unit_{unit['name']}"])
        for unit in manifest["units"]
    ]
    border = {"border": entry(of["border"])} if "border" in of else {}
    added = [found["resources"] for found in (*units, *border.values())]
    result = {
        "tool": "yosys",
        "version": next(iter(findings.values()))["version"],
        "flags": FLAGS,
        "seconds": round(time.monotonic() - start, 1),
        "units": units,
        **border,
        "sum": {key: _plain(sum(counts[key] for counts in added)) for key in RESOURCES},
    }
    if whole:
        result["core"] = entry(of.get("core", of["total"]))["resources"]
        result["total"] = entry(of["total"])["resources"]
    write_record(work / "yosys.json", result)
    return result


def _commands(part: Part | None) -> list[str]:
    """The script of a part; of none, what all scripts have in common."""
    stem = f"synth/{part.stem}" if part else ""
    read = [*LIBRARY]
    if part:
        # deferred: a module is read with the parameters it is used with, so no ROM is read with an empty name
        read += [f"read_verilog {'-lib' if path in part.box else '-defer'} {path}" for path in part.texts]
    if part and part.wrapper:
        read += [
            f"read_verilog {stem}.v",
            f"hierarchy -check -top {WRAPPER}",
            f"delete {WRAPPER}",
            "hierarchy -check -auto-top",
        ]
    elif part:
        chosen = "".join(f" -chparam {name} {value}" for name, value in part.chosen.items())
        read.append(f"hierarchy -check -top {part.top}{chosen}")
    check = ["proc", "check", "memory_collect"]
    if part and part.roms:
        check.append(f"write_json -selected {stem}.elaborated.json")
    return [
        *read,
        *("design -push-copy", *check, "design -pop"),
        f"{FLAGS} -run prepare:",
        f"tee -q -o {stem}.stat.json stat -json",
    ]


def _run_all(
    build_dir: Path,
    parts: list[Part],
    jobs: int,
    finished: Callable[[Part, float], None],
    memory: float | None = None,
    minutes: float | None = None,
) -> None:
    """Runs each part in a process of its own, `jobs` at a time; none is left running whatever is raised.

    finished -- called with a part and its seconds; the ToolFailed that it raises counts like one of yosys
    Raises, when no part is left to run, the ToolFailed of the one that failed, or one for all that did.
    """
    waiting, running, failed = list(parts), {}, {}
    try:
        while waiting or running:
            while waiting and len(running) < max(1, jobs):
                part = waiting.pop(0)
                running[part] = _start(build_dir, part, memory), time.monotonic()
            time.sleep(0.02)
            for part, (process, started) in list(running.items()):
                seconds = time.monotonic() - started
                late = minutes is not None and seconds > 60 * minutes
                if process.poll() is None and not late:
                    continue
                if process.poll() is None:
                    _kill(process)
                else:
                    late = False
                del running[part]
                try:
                    if late:
                        raise ToolFailed(
                            f"yosys took more than {minutes:g} minutes on {part.name}", at=_log(build_dir, part)
                        )
                    _check_log(build_dir, part, process.returncode)
                    finished(part, seconds)
                except ToolFailed as error:
                    failed[part.name] = error
    finally:
        for process, _ in running.values():
            _kill(process)
    if len(failed) == 1:
        raise next(iter(failed.values()))
    if failed:
        what = f"{len(failed)} parts failed, {', '.join(failed)}; the first: {next(iter(failed.values())).what}"
        raise ToolFailed(
            what, at=", ".join(error.at for error in failed.values()), hint=next(iter(failed.values())).hint
        )


def _kill(process: subprocess.Popen) -> None:
    # the group: yosys runs abc as a process of its own
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _start(build_dir: Path, part: Part, memory: float | None) -> subprocess.Popen:
    work = build_dir / "synth"
    (work / f"{part.stem}.ys").write_text("\n".join(_commands(part)) + "\n")
    if part.wrapper:
        (work / f"{part.stem}.v").write_text(part.wrapper)
    limit = [str(int(memory * 2**30))] if memory else []
    with (work / f"{part.stem}.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-c", _WORKER, f"synth/{part.stem}.ys", *limit],
            cwd=build_dir,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _log_name(part: Part) -> str:
    return f"synth/{part.stem}.log"


def _log(build_dir: Path, part: Part) -> str:
    return str(build_dir / _log_name(part))


def _check_log(build_dir: Path, part: Part, returncode: int) -> None:
    log = _log(build_dir, part)
    lines = Path(log).read_text(errors="replace").splitlines()
    if returncode:
        ended = f"was killed by signal {-returncode}" if returncode < 0 else f"exited with {returncode}"
        raise ToolFailed(f"yosys {ended} on {part.name}:\n  " + "\n  ".join(lines[-8:]), at=log)
    for line in lines:
        if line.startswith("Warning:") and any(text in line for text in _FATAL_WARNINGS):
            raise ToolFailed(f"yosys on {part.name}: {line}", at=log, hint="mend the Verilog it names")


def _check_top(part: Part, modules: Iterable[str]) -> None:
    """Raises ToolFailed where another process in the same folder wrote the counts, which the cache would keep for good.

    modules -- as yosys names them: the module, $paramod\\MODULE\\PARAMETERS or $paramod$HASH\\MODULE
    """
    found = {re.sub(r"^\$paramod(\$\w+)?", "", name).lstrip("\\").split("\\")[0] for name in modules}
    if part.top not in found:
        raise ToolFailed(
            f"the counts of {part.name} are those of {', '.join(sorted(found))}, not of {part.top}",
            at=f"synth/{part.stem}.stat.json",
            hint="let one synthesis at a time run in a folder",
        )


def count(cells: dict[str, int], name: str, at: str) -> dict[str, int | float]:
    """What the cells of the netlist `name` occupy, by RESOURCES; at -- its log. Raises ToolFailed for a latch or an unknown cell."""
    counts = dict.fromkeys(RESOURCES, 0)
    for cell, number in cells.items():
        if cell in ("LDCE", "LDPE"):
            raise ToolFailed(f"the netlist of {name} holds a latch: {number} {cell}", at=at)
        if cell not in CELLS:
            raise ToolFailed(
                f"the netlist of {name} holds a cell hwgen cannot count: {number} {cell}",
                at=at,
                hint="a missing module, or a primitive to add to CELLS in hwgen/synth/yosys.py",
            )
        for resource, each in CELLS[cell].items():
            counts[resource] += each * number
    # a lone CARRY4 fills a CARRY8; a lone half of a block RAM stays a half
    counts["CARRY8"] = math.ceil(counts["CARRY8"])
    return {key: _plain(count) for key, count in counts.items()}


def _plain(count: float) -> int | float:
    return int(count) if count == int(count) else count
