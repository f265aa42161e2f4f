"""hwgen.json, the manifest of a build: what later commands need to know of it, written with it and read back."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hwgen.alternatives import Plan
from hwgen.board import Board
from hwgen.border import ends, port_interval
from hwgen.config import BuildConfig
from hwgen.design import Design
from hwgen.emit import fingerprint, parameters_of, render_top
from hwgen.errors import BadInput
from hwgen.folder import MANIFEST, check_unchanged, is_name, is_sealed, recover
from hwgen.found import record, summary
from hwgen.ir import Input, Output
from hwgen.modes import paces_of
from hwgen.pace import Pace, pace_of
from hwgen.requantizers import Requantization
from hwgen.version import VERSION

# what later commands read in hwgen.json
KEYS = {
    "hwgen": str,
    "name": str,
    "core": str,
    "top": str,
    "clocks": dict,
    "board": dict,
    "rewrites": list,
    "choices": dict,
    "levels": int,
    "loadable": list,
    "protect": str,
    "protected": list,
    "modes": list,
    "target": str,
    "requantizations": list,
    "exactness": list,
    "substitutions": list,
    "build_id": int,
    "sources": list,
    "roms": dict,
    "interval": int,
    "latency": int,
    "units": list,
    "border": dict,
    "ports": dict,
    "inputs": list,
    "outputs": list,
    "files": dict,
}


def manifest(
    plan: Plan,
    board: Board,
    files: dict[str, str | bytes],
    config: BuildConfig,
    notes: Sequence[Requantization],
    substitutions: Sequence[str],
) -> dict:
    """hwgen.json: what later commands need to know of a build; notes, substitutions -- of its import."""
    design = plan.design
    top = f"rtl/{design.name}_top.v"
    folders = ("rtl/", "rom/")
    hardware = {path: text for path, text in files.items() if isinstance(text, str) and path.startswith(folders)}
    build_id = fingerprint(hardware | {top: render_top(design, build_id=0)})
    roms, units, pace = {}, [], pace_of(design)
    for placed in design.placed:
        unit = placed.unit
        entry = {
            "name": unit.name,
            "kind": unit.kind,
            "module": unit.module,
            "instance": unit.instance,
            "cycles": placed.cycles,
            "estimate": unit.estimate(),
            "parameters": {each.name: each.value for each in parameters_of(unit, design)},
        }
        roms.update(unit.roms())
        units.append(entry | unit.facts())
    return {
        "hwgen": VERSION,
        "name": design.name,
        "core": f"{design.name}_core",
        "top": f"{design.name}_top",
        "clocks": {"core": "clk", "top": "aclk"},
        "synthesis": board.device.synthesis,
        "board": board.record(),
        "rewrites": [asdict(rewrite) for rewrite in plan.rewrites],
        "choices": {name: choice.as_json() for name, choice in plan.choices.items()},
        "levels": config.levels,
        "loadable": [unit.name for unit in design.loadable],
        "protect": config.protect,
        "protected": [unit.name for unit in design.watched],
        "modes": [_mode(design, *each) for each in enumerate(paces_of(design))] if design.modes else [],
        "target": config.target,
        "near": config.near,
        "requantizations": [record(note) for note in notes],
        "exactness": summary(notes, config.target),
        "substitutions": list(substitutions),
        "build_id": build_id,
        "sources": sorted(path for path in files if path.endswith(".v")),
        "roms": roms,
        "interval": pace.interval,
        "latency": pace.latency,
        "units": units,
        "border": design.border(),
        "ports": asdict(design.ports) | {"interval": port_interval(design)},
        "inputs": [
            _border(*both) | {"steps": [step for step, _ in both[1].steps], "rounding": both[1].rounding}
            for both in zip(ends("in", design.inputs, design.ports), design.graph.inputs, strict=True)
        ],
        "outputs": [
            _border(*both)
            | {"scale": both[1].scale is not None, "offset": both[1].offset is not None, "host": both[1].host}
            for both in zip(ends("out", design.outputs, design.ports), design.graph.outputs, strict=True)
        ],
        "files": {path: _digest(content) for path, content in sorted(files.items())},
    }


def _mode(design: Design, number: int, pace: Pace) -> dict:
    """What hwgen.json has of a mode: its pace, what its integers are at the border, and its units' cycles."""
    graph = design.graphs[number]
    types = graph.types()
    ends = [("inputs", [one.type for one in graph.inputs]), ("outputs", [types[one.name] for one in graph.outputs])]
    borders = {
        way: [{"low": kind.qtype.low, "high": kind.qtype.high, "exponent": kind.exponent} for kind in kinds]
        for way, kinds in ends
    }
    units = [placed.unit.in_mode(number) for placed in design.placed]
    cycles = {unit.name: unit.cycles() for unit in units if unit.by_mode}
    entries = {unit.name: unit.facts()["entries"] for unit in units if unit.by_mode}
    return {"interval": pace.interval, "latency": pace.latency, **borders, "cycles": cycles, "entries": entries}


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def _border(end: dict, one: Input | Output) -> dict:
    """What the host must know of a stream; `view` -- whether it lays out what the user has in another way: the places
    are in golden.npz."""
    return {
        "name": one.name,
        "port": end["port"],
        "shape": one.shape,
        "bits": end["each"],
        "signed": end["signed"],
        "exponent": end["exponent"],
        "beats": end["beats"],
        "frames": end["frames"],
        "words_a_beat": end["side"],
        "beat_bits": end["beat_bits"],
        "port_bits": end["port_bits"],
        "order": "row, column, channel",
        "view": one.view is not None,
    }


def read_manifest(folder: str | Path) -> dict:
    """hwgen.json of a build; raises BadInput when the folder is none, or another version's, or hwgen.json was edited.

    The other files may have been: see `read_build`.
    """
    recover(Path(folder))
    path = Path(folder) / MANIFEST
    try:
        known = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(
            "the folder is no build: it has no hwgen.json",
            str(folder),
            "make one with hwgen build NET -o DIR",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"hwgen.json cannot be read: {error}", str(path), "build again") from error
    if not isinstance(known, dict) or "hwgen" not in known:
        raise BadInput("hwgen.json is not one that hwgen wrote", str(path), "build again")
    if known["hwgen"] != VERSION:
        raise BadInput(f"made by hwgen {known['hwgen']}, this is {VERSION}", str(path), "build again")
    if missing := KEYS.keys() - known.keys():
        raise BadInput(f"hwgen.json lacks {', '.join(sorted(missing))}", str(path), "build again")
    names = [known["name"], known["core"], known["top"], *known["files"], *known["sources"], *known["roms"]]
    wrong = [key for key, kind in KEYS.items() if type(known[key]) is not kind]
    if wrong or not is_sealed(known) or not all(is_name(name) for name in names) or "/" in known["name"]:
        raise BadInput("hwgen.json is not as hwgen wrote it", str(path), "build again")
    return known


def read_build(folder: str | Path, edited: bool = False) -> tuple[dict, list[str]]:
    """hwgen.json of a build whose files are all as hwgen wrote them, and no name; with `edited`, all but the golden
    graph may have been changed since, and the names of those files come with it. Raises BadInput that names a file."""
    known = read_manifest(folder)
    return known, check_unchanged(Path(folder), known, edited)
