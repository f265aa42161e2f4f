"""Vivado: writes complete scripts for it, runs them where it is installed, and reads its reports."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from hwgen.board import CONSTRAINTS, Board, read_board
from hwgen.devices import Device
from hwgen.errors import BadInput, MissingTool, ToolFailed
from hwgen.synth import roms
from hwgen.templates import render

# mode -> the manifest's key for its top module, the result's key for its counts, the steps after synthesis
MODES = {
    "synth": ("core", "core", []),
    "implement": ("top", "total", ["opt_design", "place_design", "phys_opt_design", "route_design"]),
}


def write_project(build_dir: Path, board: Board) -> list[Path]:
    """Writes DIR/vivado/, a script per mode (synth.tcl, implement.tcl) and constraints; returns the files.

    synth synthesizes the core, implement synthesizes, places and routes the AXI top; `clocks` of the manifest
    names the clock port of each, `synthesis` the parameters they are given. BadInput if a source is missing; ToolFailed
    if a ROM is.
    """
    build_dir = Path(build_dir)
    manifest = json.loads((build_dir / "hwgen.json").read_text())
    roms.read(build_dir, manifest)
    for source in manifest["sources"]:
        if not (build_dir / source).is_file():
            raise BadInput(f"{source} is missing", at="hwgen.json, sources", hint="emit the build again")
    clock = {
        "clock_mhz": f"{board.clock_mhz:g}",
        "period_ns": f"{board.period_ns:.3f}",
    }
    texts = {}
    for mode, (top, _, steps) in MODES.items():
        port = manifest["clocks"][top]
        clocks = f"vivado/{mode}_clocks.xdc"
        texts[clocks] = render("clocks.xdc.j2", design=manifest["name"], clock_port=port, **clock)
        texts[f"vivado/{mode}.tcl"] = render(
            "vivado.tcl.j2",
            design=manifest["name"],
            mode=mode,
            part=board.part,
            top=manifest[top],
            generics=[f"{name}={value}" for name, value in manifest.get("synthesis", {}).items()],
            sources=manifest["sources"],
            roms=list(manifest["roms"]),
            constraints=[clocks, CONSTRAINTS],
            clock_port=port,
            steps=steps,
        )
    (build_dir / "vivado").mkdir(exist_ok=True)
    for path, text in texts.items():
        (build_dir / path).write_text(text)
    return [build_dir / path for path in texts]


def run(build_dir: Path, mode: str) -> dict:
    """Runs a script of `write_project` and returns its reports; writes them to DIR/vivado/MODE.json as well.

    mode -- 'synth' or 'implement', see `write_project`. Both are out of context: no pins, no clock buffer, nothing
    outside the top, so the timing holds for the paths inside it.

    Keys: tool, version, flags, seconds; timing, see `parse_timing`; core (synth) or total (implement), see
    `parse_utilization`; units, and core in implement, with the fewer counts of `parse_hierarchy`, none for an
    instance that optimization dissolved. MissingTool if there is no vivado; ToolFailed if it fails or does
    not say that it read every ROM.
    """
    build_dir = Path(build_dir)
    if mode not in MODES:
        raise BadInput(f"no Vivado mode {mode!r}", hint=f"one of: {', '.join(MODES)}")
    command = f"vivado -mode batch -nojournal -log vivado/{mode}.log -source vivado/{mode}.tcl"
    script = build_dir / f"vivado/{mode}.tcl"
    if not script.is_file():
        raise BadInput(f"there is no {script}", hint="write the project first")
    if shutil.which("vivado") is None:
        raise MissingTool(
            "vivado is not on PATH",
            at=f"the script is written: {script}",
            hint=f"where Vivado is installed, in {build_dir}: {command}",
        )
    result_file, start = build_dir / f"vivado/{mode}.json", time.monotonic()
    for stale in (result_file, build_dir / f"vivado/{mode}.log"):
        stale.unlink(missing_ok=True)
    process = subprocess.Popen(
        command.split(),
        cwd=build_dir,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        returncode = process.wait()
    finally:
        if process.poll() is None:
            # the group: vivado is a script around the program
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    result = _read_result(build_dir, mode, returncode)
    result["seconds"] = round(time.monotonic() - start, 1)
    result_file.write_text(json.dumps(result, indent=2) + "\n")
    return result


def _read_result(build_dir: Path, mode: str, returncode: int) -> dict:
    log = build_dir / f"vivado/{mode}.log"
    text = log.read_text(errors="replace") if log.is_file() else ""
    if returncode:
        tail = "\n  ".join(text.splitlines()[-8:])
        raise ToolFailed(f"vivado exited with {returncode} on {mode}:\n  {tail}", at=str(log))
    manifest = json.loads((build_dir / "hwgen.json").read_text())
    for rom in manifest["roms"]:
        if not re.search(rf"\$readmem data file '[^']*{re.escape(rom)}' is read successfully", text):
            raise ToolFailed(
                f"vivado does not say that it read {rom}", at=str(log), hint="a ROM not read is left empty"
            )

    def report(name: str) -> str:
        return (build_dir / f"vivado/{mode}_{name}.rpt").read_text(errors="replace")

    instances = parse_hierarchy(report("hierarchy"))
    by_instance = {row["instance"]: row["resources"] for row in instances}
    by_module = {row["module"]: row["resources"] for row in instances}
    version = re.search(r"Vivado v\S+", text)
    result = {
        "tool": "vivado",
        "version": version[0] if version else "-",
        "flags": f"vivado/{mode}.tcl",
        "timing": parse_timing(report("timing")),
        "units": [
            {key: unit[key] for key in ("name", "instance", "module")}
            | {"resources": by_instance.get(unit["instance"], {})}
            for unit in manifest["units"]
        ],
    }
    if manifest["core"] in by_module:
        result["core"] = by_module[manifest["core"]]
    result[MODES[mode][1]] = parse_utilization(report("utilization"), read_board(build_dir, manifest).device)
    return result


def parse_utilization(text: str, device: Device) -> dict[str, float]:
    """The counts, by the resources of the device, of a `report_utilization`; ToolFailed if the text holds no such
    table.

    A row the device does not have is left out.
    """
    counts = {}
    for cells in _table_rows(text):
        key = device.vivado.get(cells[0].rstrip("*"))
        # a later section repeats some rows
        if key and key not in counts:
            counts[key] = _number(cells[1])
    if "LUT" not in counts or "FF" not in counts:
        rows = " and ".join(row for row, key in device.vivado.items() if key in ("LUT", "FF"))
        raise ToolFailed(f"no {rows} in the text: not a utilization report of the family {device.family}")
    return counts


def parse_hierarchy(text: str) -> list[dict]:
    """instance, module and resources of each row of a `report_utilization -hierarchical`, from the top down.

    LUT, LUTRAM, FF, BRAM36, URAM and DSP: the report has no more. ToolFailed if the text holds no such table.
    """
    columns, rows = None, []
    for cells in _table_rows(text):
        if "Total LUTs" in cells:
            columns = cells
        elif columns and len(cells) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            counts = {name: _number(value) for name, value in row.items() if name not in ("Instance", "Module")}
            resources = {
                "LUT": counts["Total LUTs"],
                "LUTRAM": counts["LUTRAMs"] + counts["SRLs"],
                "FF": counts["FFs"],
                "BRAM36": counts["RAMB36"] + counts["RAMB18"] / 2,
                "URAM": counts.get("URAM", 0),
                "DSP": counts.get("DSP Blocks", counts.get("DSP48 Blocks", 0)),
            }
            # "(name)" is what lies in an instance and in none below it: not an instance
            if not row["Instance"].startswith("("):
                rows.append({"instance": row["Instance"], "module": row["Module"], "resources": resources})
    if not rows:
        raise ToolFailed("no column Total LUTs in the text: not a hierarchical utilization report")
    return rows


def parse_timing(text: str) -> dict[str, float | None]:
    """What `parse_slacks` gives, period_ns and fmax_mhz = 1 / (period - wns) of a `report_timing_summary`.

    A figure that the report gives as NA is None. ToolFailed unless there is a summary and exactly one clock.
    """
    slacks = parse_slacks(text)
    clocks = re.findall(r"^\S+ +\{[\d. ]+\} +([\d.]+) +[\d.]+ *$", text, re.MULTILINE)
    if len(clocks) != 1:
        raise ToolFailed("not a timing summary of a design with one clock", hint="see the report's Clock Summary")
    period, wns = float(clocks[0]), slacks["wns_ns"]
    fmax = None if wns is None else round(1000 / (period - wns), 1)
    return slacks | {"period_ns": period, "fmax_mhz": fmax}


def parse_slacks(text: str) -> dict[str, float | None]:
    """wns_ns, tns_ns, whs_ns, ths_ns of a `report_timing_summary`, over all clocks; NA is None. ToolFailed unless there
    is a summary."""
    lines = [line.split() for line in text.splitlines()]
    start = next((i for i, words in enumerate(lines) if words[:2] == ["WNS(ns)", "TNS(ns)"]), None)
    if start is None or len(lines) < start + 3:
        raise ToolFailed("not a timing summary", hint="see the report's Design Timing Summary")
    figures = [None if word == "NA" else float(word) for word in lines[start + 2]]
    if len(figures) < 6:
        raise ToolFailed(f"a timing summary of {len(figures)} figures, not at least 6")
    # of setup, then of hold: slack, total slack, failing endpoints, endpoints
    wns, tns, _, _, whs, ths = figures[:6]
    return {"wns_ns": wns, "tns_ns": tns, "whs_ns": whs, "ths_ns": ths}


def parse_power(text: str) -> float:
    """Watts on the chip of a `report_power`; ToolFailed unless it says so."""
    for cells in _table_rows(text):
        if cells[0] == "Total On-Chip Power (W)":
            return _number(cells[1])
    raise ToolFailed("no row Total On-Chip Power (W) in the text: not a power report")


def _table_rows(text: str) -> list[list[str]]:
    """The cells of each line that is a row of a report's table."""
    lines = (line.strip() for line in text.splitlines())
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if re.fullmatch(r"\|.*\|.*\|", line)]


def _number(text: str) -> float:
    """A count as Vivado prints it; blocks of RAM come in halves."""
    value = float(text.replace(",", ""))
    return int(value) if value.is_integer() else value
