"""What yosys counts of modules by the flags of hwgen synth, without a build around them."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.share import share
from hwgen.synth import yosys
from hwgen.synth.processes import WORKER
from hwgen.verilog import Value, literal

# argument: the script up to where instances are known, and behind it
SEVERAL = """
import sys
from pyosys import libyosys as ys
design = ys.Design()
ys.run_pass("script " + sys.argv[1], design)
for cell in design.top_module().cells_.values():
    design.module(cell.type).set_bool_attribute(ys.IdString("\\\\keep_hierarchy"))
ys.run_pass("script " + sys.argv[2], design)
"""


def given(values: Mapping[str, Value]) -> str:
    """Parameters as an instance has them between #( and )."""
    return ", ".join(f".{name}({literal(value)})" for name, value in values.items())


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


def count_each(
    folder: Path, instances: Sequence[str], sources: Sequence[Path | str], chosen: Mapping[str, int] | None = None
) -> list[dict[str, float]]:
    """The resources of each of some instances, "MODULE #(...)", in one run, which takes less than one for each.

    sources -- all Verilog files; one of no absolute path is in the folder, as the ROM files are
    chosen -- parameters that the instances name, as a build's XILINX
    """
    header = ", ".join(f"parameter {name} = {value}" for name, value in (chosen or {}).items())
    alike = sorted(set(instances))
    lines = (f"(* keep *) {text} u_{i} ();" for i, text in enumerate(alike))
    (folder / "each.v").write_text(
        "\n".join([f"module each {f'#({header})' if header else ''} ();", *lines, "endmodule"]) + "\n"
    )
    read = [f"read_verilog -defer {path}" for path in (*sources, "each.v")]
    before = [*yosys.LIBRARY, *read, "hierarchy -check -top each"]
    behind = [
        f"{DEVICE.yosys} -run prepare:",
        "tee -q -o stat.json stat -json",
        "select each",
        "write_json -selected each.json",
    ]
    for path, script in (("before.ys", before), ("behind.ys", behind)):
        (folder / path).write_text("\n".join(script) + "\n")
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-c", SEVERAL, "before.ys", "behind.ys"]
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=True)
    modules = json.loads((folder / "stat.json").read_text())["modules"]
    (top,) = json.loads((folder / "each.json").read_text())["modules"].values()
    found = {
        text: yosys.count(modules[_escaped(top["cells"][f"u_{i}"]["type"])]["num_cells_by_type"], text, "log", DEVICE)
        for i, text in enumerate(alike)
    }
    return [found[text] for text in instances]


def _escaped(name: str) -> str:
    """A module's name as `stat` says it."""
    return name if name.startswith("$") else f"\\{name}"
