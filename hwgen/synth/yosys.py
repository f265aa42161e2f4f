"""Yosys: counts the cells of each unit, of the border around the core, and of the whole, flattened.

Every part is a process of its own, its script and log in DIR/synth/, and is counted once it is sure that its ROMs were
read. What was counted is kept in a cache: a part that did not change, in this build or another, is not synthesized
again. Vivado packs two small LUTs into one LUT6 where it can; yosys does not, and tends to count more LUTs.
"""

import importlib.metadata
import importlib.util
import json
import math
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hwgen.board import read_board
from hwgen.devices import Device
from hwgen.errors import MissingTool, ToolFailed
from hwgen.folder import read_record, write_record
from hwgen.share import kept
from hwgen.synth import roms
from hwgen.synth.parts import WRAPPER, Part, parts_of
from hwgen.synth.processes import Task, run_all, yosys_task

LIBRARY = ("read_verilog -lib -specify +/xilinx/cells_sim.v", "read_verilog -lib +/xilinx/cells_xtra.v")


def check_installed() -> None:
    """Raises MissingTool without yosys."""
    if importlib.util.find_spec("pyosys") is None:
        raise MissingTool("the Python package pyosys is not installed", hint="pip install pyosys==0.70")


def cache_folder() -> Path:
    """Where counts are kept unless told otherwise: HWGEN_CACHE of the environment, or a folder of the user's."""
    return kept("synth")


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
    progress -- called with one line of text whenever a part starts or ends: how many are done, and which are at work
    whole -- also the core and the top, flattened, each in one piece; takes as long, and as much memory, as they are
    large
    cache -- the folder of counts; cache_folder() unless given
    memory, minutes -- GB (2^30) that each process may take, and how long a part may

    Keys: tool, version, flags, seconds; units: name, instance, module, parameters, sha256 (of all that its netlist
    depends on), resources, seconds, cached of each of the manifest's units; border: the same of the top without its
    core, if it is more; sum: the counts of units and border by the resources of the device; if `whole` core and total:
    counts, flattened. A unit is synthesized by itself, with the parameters the core gives it, once if two are equal.
    The core adds nothing but wires.
    Raises ToolFailed when all else is done if a ROM is not as its file says, if yosys stops or exceeds a limit, or if
    a netlist holds a latch, an unknown cell, or a wire with no driver or two. What was done is in the cache then, and
    also after an interrupt.
    """
    check_installed()
    start = time.monotonic()
    run = _Run.of(Path(build_dir), top, whole, Path(cache) if cache else cache_folder())
    written = run.build_dir / "synth/yosys.json"
    written.parent.mkdir(exist_ok=True)
    written.unlink(missing_ok=True)
    tell = progress or (lambda text: None)
    tell(run.progress([]))
    run_all(
        run.build_dir,
        run.missing(largest_first=jobs > 1),
        jobs,
        run.finished,
        lambda names: tell(run.progress(names)),
        memory,
        minutes,
    )
    result = run.result(whole) | {"seconds": round(time.monotonic() - start, 1)}
    write_record(written, result)
    return result


@dataclass
class _Run:
    """What is known of a build's parts while they are synthesized.

    contents -- the words of each ROM file
    keys -- of each part, by stem, the name of its counts in the cache
    findings -- the cells, version and seconds of the parts that are counted, by key
    cached -- the keys that were counted before
    last -- the part that ended last, and its LUTs, as text
    """

    build_dir: Path
    manifest: dict
    device: Device
    parts: list[Part]
    contents: dict[str, list[int]]
    cache: Path
    keys: dict[str, str]
    findings: dict[str, dict]
    cached: frozenset[str]
    last: str = ""

    @staticmethod
    def of(build_dir: Path, top: str | None, whole: bool, cache: Path) -> "_Run":
        """Before a part is started: what the cache holds of it, and its ROMs checked."""
        manifest = json.loads((build_dir / "hwgen.json").read_text())
        device = read_board(build_dir, manifest).device
        contents = roms.read(build_dir, manifest)
        parts = parts_of(build_dir, manifest, top or manifest["top"], whole)
        roms.check_read(build_dir, manifest, {rom for part in parts for rom in part.roms})
        tool = [importlib.metadata.version("pyosys"), commands(None, device)]
        keys = {part.stem: part.key(tool) for part in parts}
        records = {key: read_record(cache / f"{key}.json") for key in keys.values()}
        whole_record = {"cells", "version", "seconds"}
        findings = {key: found for key, found in records.items() if found and found.keys() >= whole_record}
        return _Run(build_dir, manifest, device, parts, contents, cache, keys, findings, frozenset(findings))

    def missing(self, largest_first: bool) -> list[Task]:
        """What is to do for the parts that are not counted, one of those that are equal."""
        of = {self.keys[part.stem]: part for part in reversed(self.parts) if self.keys[part.stem] not in self.cached}
        # first where several run, so that they end together; else last, so that most are known early
        ordered = sorted(of.values(), key=lambda part: sum(map(len, part.texts.values())), reverse=largest_first)
        return [yosys_task(part, commands(part, self.device)) for part in ordered]

    def progress(self, names: list[str]) -> str:
        """One line; names -- of the parts at work."""
        done = f"yosys: {len(self.findings)} of {len(set(self.keys.values()))} parts done"
        cached = f", {len(self.cached)} from the cache" if self.cached else ""
        return done + cached + self.last + (f"; at work on {', '.join(names)}" if names else "")

    def finished(self, task: Task, seconds: float) -> None:
        """Checks what yosys made of a part, and keeps its counts."""
        part, work = task.part, self.build_dir / "synth"
        check_roms(self.build_dir, self.manifest, self.contents, part)
        stat = json.loads((work / f"{part.stem}.stat.json").read_text())
        check_top(part, stat["modules"])
        cells = stat["design"].get("num_cells_by_type", {})
        if part.box:
            del cells[self.manifest["core"]]
        self.last = f", {part.name} {count(cells, part.name, part.log, self.device)['LUT']} LUT"
        found = {"cells": cells, "version": stat["creator"], "seconds": round(seconds, 1)}
        self.findings[self.keys[part.stem]] = found
        write_record(self.cache / f"{self.keys[part.stem]}.json", found)

    def result(self, whole: bool) -> dict:
        """What `synthesize` returns but for its seconds, when all parts are counted."""
        of = {part.stem: self._entry(part) for part in self.parts}
        units = [
            {key: unit[key] for key in ("name", "instance", "module", "parameters")} | of[f"unit_{unit['name']}"]
            for unit in self.manifest["units"]
        ]
        border = {"border": of["border"]} if "border" in of else {}
        added = [found["resources"] for found in (*units, *border.values())]
        result = {
            "tool": "yosys",
            "version": next(iter(self.findings.values()))["version"],
            "flags": self.device.yosys,
            "units": units,
            **border,
            "sum": {key: _plain(sum(counts[key] for counts in added)) for key in self.device.resources},
        }
        if whole:
            result["core"] = of.get("core", of["total"])["resources"]
            result["total"] = of["total"]["resources"]
        return result

    def _entry(self, part: Part) -> dict:
        key = self.keys[part.stem]
        found = self.findings[key]
        return {
            "sha256": key,
            "resources": count(found["cells"], part.name, part.log, self.device),
            "seconds": found["seconds"],
            "cached": key in self.cached,
        }


def commands(part: Part | None, device: Device) -> list[str]:
    """The script of a part; of none, what all scripts have in common."""
    stem = f"synth/{part.stem}" if part else ""
    return [
        *LIBRARY,
        *elaborate(part),
        f"{device.yosys} -run prepare:",
        f"tee -q -o {stem}.stat.json stat -json",
    ]


def elaborate(part: Part | None) -> list[str]:
    """The commands that read a part, whatever comes before and behind; its memories are written for `check_roms`."""
    stem = f"synth/{part.stem}" if part else ""
    # deferred: a module is read with the parameters it is used with, so no ROM is read with an empty name
    read = [f"read_verilog {'-lib' if path in part.box else '-defer'} {path}" for path in part.texts] if part else []
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
    return [*read, "design -push-copy", *check, "design -pop"]


def check_roms(build_dir: Path, manifest: dict, contents: dict[str, list[int]], part: Part) -> None:
    """Raises ToolFailed unless a part that yosys elaborated holds the words of each of its ROM files."""
    if part.roms:
        compared = build_dir / f"synth/{part.stem}.elaborated.json"
        wanted = {rom: contents[rom] for rom in part.roms}
        roms.compare(build_dir, manifest, wanted, json.loads(compared.read_text())["modules"])
        compared.unlink()


def check_top(part: Part, modules: Iterable[str]) -> None:
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


def count(cells: dict[str, int], name: str, at: str, device: Device) -> dict[str, int | float]:
    """What the cells of the netlist `name` occupy, by the resources of the device.

    at -- the netlist's log. Raises ToolFailed for a latch or a cell that the device does not know.
    """
    counts = dict.fromkeys(device.resources, 0.0)
    for cell, number in cells.items():
        if cell in ("LDCE", "LDPE"):
            raise ToolFailed(f"the netlist of {name} holds a latch: {number} {cell}", at=at)
        if cell not in device.cells:
            raise ToolFailed(
                f"the netlist of {name} holds a cell hwgen cannot count: {number} {cell}",
                at=at,
                hint=f"a missing module, or a primitive to add to `cells` of {device.family} in hwgen/devices/",
            )
        for resource, each in device.cells[cell].items():
            counts[resource] += each * number
    # of all that is counted in halves, a block RAM alone can be half used
    return {key: _plain(count if key == "BRAM36" else math.ceil(count)) for key, count in counts.items()}


def _plain(count: float) -> int | float:
    return int(count) if count == int(count) else count
