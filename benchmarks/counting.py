"""What yosys counts of a module by the flags of hwgen synth, without a build around it."""

import json
import subprocess
import sys
from pathlib import Path

from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.share import share
from hwgen.synth import yosys
from hwgen.synth.processes import WORKER


def count(folder: Path, top: str, sources: list[str], boxes: tuple[str, ...] = (), names: int = 0) -> dict[str, float]:
    """The resources of module `top`, by name.

    sources -- Verilog files of the folder, read behind all of rtl/; boxes -- modules of them that count nothing
    names -- a seed of other names for all signals and cells, before they are mapped; 0: their own
    """
    renamed = [f"{DEVICE.yosys} -run prepare:map_memory", f"rename -scramble-name -seed {names} w:* c:*"]
    script = [
        *yosys.LIBRARY,
        *(f"read_verilog -defer {path}" for path in [*sorted(share("rtl").glob("*.v")), *sources]),
        f"hierarchy -check -top {top}",
        *([*renamed, f"{DEVICE.yosys} -run map_memory:"] if names else [f"{DEVICE.yosys} -run prepare:"]),
        "tee -q -o stat.json stat -json",
    ]
    (folder / "script.ys").write_text("\n".join(script) + "\n")
    with (folder / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", WORKER, "script.ys"], cwd=folder, stdout=log, stderr=log, check=True)
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    # yosys puts the parameters into the name of a box that has any
    counted = {cell: n for cell, n in cells.items() if not any(box in cell for box in boxes)}
    return yosys.count(counted, top, "log", DEVICE)
