"""The netlist of a unit or of a whole core, by the flags of hwgen synth, with what it takes."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hwgen.board import read_board
from hwgen.manifest import read_manifest
from hwgen.synth.parts import parts_of
from hwgen.synth.processes import WORKER
from hwgen.synth.yosys import commands, count


@dataclass(frozen=True)
class Netlist:
    """path -- of a file with one module `netlist` of primitives, each net under one name
    counts -- by resource, as hwgen synth counts them
    tool -- yosys's version and flags"""

    path: Path
    counts: dict[str, int | float]
    tool: str


def synthesize(folder: Path, unit: str | None = None, border: bool = False) -> Netlist:
    """The netlist of a part of a build.

    unit -- by name; None: the core, flattened, or with `border` the top
    """
    manifest = read_manifest(folder)
    device = read_board(folder, manifest).device
    parts = parts_of(folder, manifest, manifest["top" if border else "core"], whole=unit is None)
    part = parts[-1] if unit is None else next(part for part in parts if part.name == unit)
    work = folder / "synth"
    work.mkdir(exist_ok=True)
    (work / f"{part.stem}.v").write_text(part.wrapper)
    script = [
        *commands(part, device),
        "splitnets",
        "opt_clean -purge",
        "rename -top netlist",
        "rename -hide",
        "rename -enumerate -pattern n%",
        "write_verilog -noattr synth/netlist.v",
    ]
    (work / "netlist.ys").write_text("\n".join(script))
    with (work / "log").open("w") as log:
        command = [sys.executable, "-c", WORKER, "synth/netlist.ys"]
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=True)
    stat = json.loads((work / f"{part.stem}.stat.json").read_text())
    assert (work / "netlist.v").read_text().count("endmodule") == 1
    counts = count(stat["design"]["num_cells_by_type"], part.name, "log", device)
    return Netlist(work / "netlist.v", counts, f"{stat['creator']}; {device.yosys}")
