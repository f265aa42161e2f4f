"""What is known of a build, in one place: report.json and report.md."""

import json
from pathlib import Path

from hwgen.board import load_board
from hwgen.flow import read_manifest
from hwgen.folder import SECONDS, VERIFICATION, changed_files, read_record, sources_digest, write_text
from hwgen.synth import table
from hwgen.templates import render

SYNTHESIS = {
    "yosys": "synth/yosys.json",
    "vivado synth": "vivado/synth.json",
    "vivado implement": "vivado/implement.json",
}

LATENCY = "cycles from the first word in to the last word of the first frame out"
# what a record of verify holds
RUN = {"simulator", "stall", "seed", "sources"}
RESULT = {"edited", "frames", "equal", "interval", "first_word", "latency", "compile_seconds", "run_seconds"}


def report(folder: str | Path) -> tuple[dict, str]:
    """Writes report.json and report.md into the build, and returns both; what was not run is said to be missing."""
    folder = Path(folder)
    known = read_manifest(folder)
    board = load_board(known["board"])
    changed = changed_files(folder, known)
    verification = read_record(folder / VERIFICATION)
    if verification and not verification.keys() >= RUN | (set() if "failed" in verification else RESULT):
        verification = None  # of another version, or damaged
    if verification:
        verification["stale"] = verification.get("sources") != sources_digest(folder, known)
    synthesis = {name: result for name, path in SYNTHESIS.items() if (result := read_record(folder / path))}
    sound = verification and not verification["stale"] and "failed" not in verification
    undisturbed = sound and verification["stall"] == 0
    measured = undisturbed and verification["interval"]
    interval = measured or known["interval"]
    source = "measured" if measured else "predicted"
    for unit in known["units"]:
        # the terms that a frame needs, over what could have been added in the network's interval
        useful = unit["useful"] / (unit["capacity"] * interval) if unit.get("capacity") else None
        unit["utilisation"] = "-" if useful is None else f"{useful:.1%}"
        if unit.get("groups", 1) > 1:
            unit["lanes"] = f"{unit['groups']} x {unit['lanes']}"
        for key in ("lanes", "terms", "entries", "latency"):
            unit.setdefault(key, "-")
    rates = [
        {"what": "cycles from frame to frame", "value": interval, "source": source},
        {
            "what": f"frames/s at an assumed {board.clock_mhz:g} MHz",
            "value": f"{board.clock_mhz * 1e6 / interval:,.0f}",
            "source": f"{source} cycles; the clock is an assumption",
        },
        {"what": LATENCY, "value": known.get("latency", "-"), "source": "predicted"},
        {"what": LATENCY, "value": verification["latency"] if undisturbed else "-", "source": "measured"},
        {
            "what": "cycles from the first word in to the first word out",
            "value": verification["first_word"] if undisturbed else "-",
            "source": "measured",
        },
    ]
    values = {
        "name": known["name"],
        "version": known["hwgen"],
        "board": {
            "name": board.name,
            "part": board.part,
            "clock_mhz": board.clock_mhz,
            "resources": board.resources,
        },
        "build": {"interval": interval, "interval_source": source, "units": known["units"]},
        "verification": verification,
        "synthesis": synthesis,
        "rates": rates,
        "changed": changed,
        "seconds": read_record(folder / SECONDS) or {},
    }
    tables = {name: table(result, board) for name, result in synthesis.items()}
    text = render("report.md.j2", **values, tables=tables)
    for name, content in (("report.json", json.dumps(values, indent=1) + "\n"), ("report.md", text)):
        write_text(folder / name, content)
    return values, text
