"""What is known of a build, in one place: report.json and report.md."""

import json
from pathlib import Path

from hwgen.board import Board, read_board
from hwgen.folder import SECONDS, VERIFICATION, changed_files, read_record, sources_digest, write_text
from hwgen.manifest import read_manifest
from hwgen.synth import table
from hwgen.templates import render

SYNTHESIS = {
    "yosys": "synth/yosys.json",
    "nextpnr": "synth/nextpnr.json",
    "vivado synth": "vivado/synth.json",
    "vivado implement": "vivado/implement.json",
}

FROM_TO = "cycles from frame to frame"
MOST = "cycles from frame to frame, the most that any data take"
MEAN = "cycles from frame to frame, the mean of those verified"
TURN = "{} frames at a time, one behind the other: beats and cycles are those of all"
LATENCY = "cycles from the first word in to the last word of the first frame out"
FIRST_WORD = "cycles from the first word in to the first word out"
# what a record of verify holds
RUN = {"simulator", "stall", "seed", "sources"}
RESULT = {
    "edited",
    "frames",
    "equal",
    "interval",
    "mean_interval",
    "first_word",
    "latency",
    "compile_seconds",
    "run_seconds",
}


def report(folder: str | Path) -> tuple[dict, str]:
    """Writes report.json and report.md into the build, and returns both; what was not run is said to be missing."""
    folder = Path(folder)
    known = read_manifest(folder)
    board = read_board(folder, known)
    changed = changed_files(folder, known)
    verification = _verification(folder, known)
    synthesis = {name: result for name, path in SYNTHESIS.items() if (result := read_record(folder / path))}
    # what a run without stalls measured on the build as it is
    is_sound = verification and not verification["stale"] and "failed" not in verification
    run = verification if verification and is_sound and verification["stall"] == 0 else {}
    measured = None if known["modes"] else run.get("interval")  # of frames of any mode it is none of these
    varies = [unit["name"] for unit in known["units"] if unit.get("varies")]
    measured = run.get("mean_interval") if varies else measured
    interval, source = measured or known["interval"], "measured" if measured else "predicted"
    for unit in known["units"]:
        # the terms that a frame needs, over what could have been added in the network's interval
        useful = unit["useful"] / (unit["capacity"] * interval) if unit.get("capacity") else None
        unit["utilisation"] = "-" if useful is None else f"{useful:.1%}"
        if unit.get("groups", 1) > 1:
            unit["lanes"] = f"{unit['groups']} x {unit['lanes']}"
        for key in ("lanes", "terms", "entries", "latency"):
            unit.setdefault(key, "-")
    values = {
        "name": known["name"],
        "version": known["hwgen"],
        "board": {
            "name": board.name,
            "part": board.part,
            "clock_mhz": board.clock_mhz,
            "resources": board.resources,
        },
        "build": {"interval": interval, "interval_source": source, "units": known["units"], "varies": varies},
        "border": _border(known),
        "modes": _modes(known, run),
        "target": known["target"],
        "requantizations": known["requantizations"],
        "exactness": known["exactness"],
        "substitutions": known["substitutions"],
        "verification": verification,
        "synthesis": synthesis,
        "rates": _rates(known, board, run, interval, source, bool(varies)),
        "changed": changed,
        "seconds": read_record(folder / SECONDS) or {},
    }
    tables = {name: table(result, board) for name, result in synthesis.items()}
    text = render("report.md.j2", **values, tables=tables)
    for name, content in (("report.json", json.dumps(values, indent=1) + "\n"), ("report.md", text)):
        write_text(folder / name, content)
    return values, text


def _border(known: dict) -> list[dict]:
    """The streams at the border, each with what its host does, in order."""
    rows = []
    for i, end in enumerate(known["inputs"]):
        does = [f"{step} (golden.npz: inputs.{i}.steps.{n})" for n, step in enumerate(end["steps"])]
        does += [TURN.format(end["frames"])] * (end["frames"] > 1)
        does.append(f"x / 2^{end['exponent']}, rounded {end['rounding'].replace('_', ' ')}, clamped")
        does += [f"order of golden.npz: inputs.{i}.view"] * end["view"]
        rows.append(end | {"does": does})
    for i, end in enumerate(known["outputs"]):
        does = [TURN.format(end["frames"])] * (end["frames"] > 1)
        does += [f"times 2^{end['exponent']}"]
        does += [f"order of golden.npz: outputs.{i}.view"] * end["view"]
        does += [f"times golden.npz: outputs.{i}.scale"] * end["scale"]
        does += [f"plus golden.npz: outputs.{i}.offset"] * end["offset"]
        does += [f"{end['host'][0]} over dimension {end['host'][1]}"] if end["host"] else []
        rows.append(end | {"does": does})
    return rows


def _modes(known: dict, run: dict) -> list[dict]:
    """The rows of a build with several: cycles as predicted and measured, and what of the lists is each one's."""
    rows = []
    for number, mode in enumerate(known["modes"]):
        measured = {
            name: run[key][number] if run.get(key) else None
            for name, key in (
                ("frames", "modes"),
                ("measured", "interval_of_modes"),
                ("accuracy", "accuracy_of_modes"),
            )
        }
        rows.append({"interval": mode["interval"], "entries": sum(mode["entries"].values()), **measured})
    return rows


def _verification(folder: Path, known: dict) -> dict | None:
    """What the last verify noted, and whether the build has changed since; None if there is nothing sound."""
    record = read_record(folder / VERIFICATION)
    if record is None or not record.keys() >= RUN | (set() if "failed" in record else RESULT):
        return None  # of another version, or damaged
    return record | {"stale": record["sources"] != sources_digest(folder, known)}


def _ports(known: dict, interval: float) -> list[dict]:
    """A row where the streams at the AXI top are slower than the network between them."""
    clocks = known["ports"]["interval"]
    row = {"what": "cycles of a frame over the slowest stream", "value": clocks, "source": "counted"}
    return [row] if clocks > interval else []


def _rates(known: dict, board: Board, run: dict, interval: float, source: str, varies: bool) -> list[dict]:
    most = [{"what": MOST, "value": known["interval"], "source": "predicted"}] if varies else []
    return [
        *most,
        {"what": MEAN if varies and source == "measured" else FROM_TO, "value": interval, "source": source},
        {
            "what": f"frames/s at an assumed {board.clock_mhz:g} MHz",
            "value": f"{board.clock_mhz * 1e6 / interval:,.0f}",
            "source": f"{source} cycles; the clock is an assumption",
        },
        *_ports(known, interval),
        {"what": LATENCY, "value": known["latency"], "source": "predicted"},
        {"what": LATENCY, "value": run.get("latency", "-"), "source": "measured"},
        {"what": FIRST_WORD, "value": run.get("first_word", "-"), "source": "measured"},
    ]
