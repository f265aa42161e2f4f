"""What a design takes on UltraScale+, by one yosys for everybody: as mapped, and by the adder model.

As mapped: the cells after FLAGS, counted by hwgen/synth/yosys.py. `depth` is the number of cells on the longest
path between registers and ports; a carry chain is one cell, however long. A cell that a design instantiates itself
(LUT6_2, CARRY8) stays, so it counts like a mapped one.

yosys's mapper has no three-input adders, and melts a sum of several operands into LUTs; Vivado has them. So there is a
second count, by one rule for everybody:

The adder model. The design is read, flattened and optimized as above, up to where yosys would choose carry chains;
adders.py takes the adders out of it and counts their LUTs by the rule it states; yosys maps all that is left as above.
The two counts are added. A design that instantiates its adders has none of these cells: all its LUTs are of the second
kind.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.spatial import adders
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.errors import ToolFailed
from hwgen.synth.yosys import count

FLAGS = "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -nodsp"
# abc runs as a child of yosys
_WORKER = """
import resource, sys
from pyosys import libyosys as ys
ys.run_pass("script " + sys.argv[1], ys.Design())
own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
seconds = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
open(sys.argv[2], "w").write(str(seconds))
"""
_LIBRARY = ["read_verilog -lib -specify +/xilinx/cells_sim.v", "read_verilog -lib +/xilinx/cells_xtra.v"]


def as_mapped(design: dict, work: Path) -> dict:
    """LUT (with `inverters` INV), FF, CARRY8, depth and yosys's CPU seconds; for a design see peers/common.py."""
    return _synthesize(work, "mapped", [*_LIBRARY, *_read(design)])


def adder_model(design: dict, work: Path) -> dict:
    """`lut` by the adder model, the sum of adder_bits, route_throughs and other_lut; the adders by their operands."""
    commands = [*_LIBRARY, *_read(design), f"{FLAGS} -run prepare:map_dsp", f"select {design['top']}"]
    _run(work, "coarse", [*commands, "write_json -selected coarse.json"])
    netlist = json.loads((work / "coarse.json").read_text())
    counts = adders.cut(netlist["modules"][design["top"]])
    (work / "cut.json").write_text(json.dumps(netlist))
    rest = _synthesize(work, "rest", [*_LIBRARY, "read_json cut.json", f"hierarchy -check -top {design['top']}"])
    total = counts["adder_bits"] + counts["route_throughs"] + rest["lut"]
    result = {"lut": total, "other_lut": rest["lut"], **counts}
    (work / "coarse.json").unlink()
    (work / "cut.json").unlink()
    return result


def _read(design: dict) -> list[str]:
    sources = [f"read_verilog -sv -defer {Path(source).resolve()}" for source in design["sources"]]
    return [*sources, f"hierarchy -check -top {design['top']}"]


def _synthesize(work: Path, job: str, read: list[str]) -> dict:
    commands = [*read, f"{FLAGS} -run prepare:", f"tee -q -o {job}.stat.json stat -json"]
    # the library's cells are kept out of the file
    seconds = _run(work, job, [*commands, "select =A:top", f"write_json -selected {job}.json"])
    stat = json.loads((work / f"{job}.stat.json").read_text())
    cells = stat["design"].get("num_cells_by_type", {})
    counts = count(cells, job, f"{work}/{job}.log", DEVICE)
    netlist = json.loads((work / f"{job}.json").read_text())
    (module,) = netlist["modules"].values()
    (work / f"{job}.json").unlink()
    return {
        "lut": counts["LUT"],
        "inverters": cells.get("INV", 0),
        "ff": counts["FF"],
        "carry8": counts["CARRY8"],
        "muxf": counts["MUXF7"] + counts["MUXF8"] + counts["MUXF9"],
        "lutram": counts["LUTRAM"],
        "depth": depth(module),
        "yosys_seconds": seconds,
    }


def _run(work: Path, job: str, commands: list[str]) -> float:
    """CPU seconds of a script of yosys in a process of its own."""
    work.mkdir(parents=True, exist_ok=True)
    (work / f"{job}.ys").write_text("\n".join(commands) + "\n")
    with (work / f"{job}.log").open("w") as log:
        command = [sys.executable, "-c", _WORKER, f"{job}.ys", f"{job}.seconds"]
        done = subprocess.run(
            command, cwd=work, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    text = (work / f"{job}.log").read_text(errors="replace")
    if done.returncode:
        raise ToolFailed(f"yosys ends with {done.returncode}", f"{work}/{job}.log", text[-1500:])
    wrong = re.findall(r"Warning: .*(?:conflicting|has no driver|Latch inferred|found logic loop).*", text)
    if wrong:
        raise ToolFailed(wrong[0], f"{work}/{job}.log")
    return round(float((work / f"{job}.seconds").read_text()), 1)


def depth(module: dict) -> int:
    """The longest path of a mapped netlist, in cells; see above."""
    waiting, readers, level = {}, {}, {}
    cells = [
        part
        for cell in module["cells"].values()
        if not cell["type"].startswith(("FD", "SRL", "RAM", "$"))
        for part in _parts(cell)
    ]
    made = {bit for cell in cells for bit in _bits(cell, "output")}
    chain = {bit for cell in cells if cell["type"].startswith("CARRY") for bit in _bits(cell, "output")}
    for index, cell in enumerate(cells):
        needs = {bit for bit in _bits(cell, "input") if bit in made}
        waiting[index] = len(needs)
        for bit in needs:
            readers.setdefault(bit, []).append(index)
    ready = [index for index, count in waiting.items() if not count]
    done = 0
    while ready:
        cell = cells[ready.pop()]
        done += 1
        own = 1
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                more = 0 if port == "CI" and cell["type"].startswith("CARRY") and bits[0] in chain else 1
                own = max([own, *(level.get(bit, 0) + more for bit in bits)])
        for bit in _bits(cell, "output"):
            level[bit] = own
            for index in readers.get(bit, ()):
                waiting[index] -= 1
                if not waiting[index]:
                    ready.append(index)
    if done < len(cells):
        raise ToolFailed("the netlist has a loop")
    return max(level.values(), default=0)


def _parts(cell: dict) -> list[dict]:
    """A LUT6_2 as two cells, one for each output, with the inputs on which it depends."""
    if cell["type"] != "LUT6_2":
        return [cell]
    table = int(cell["parameters"]["INIT"], 2)
    parts = []
    for output, size in (("O6", 64), ("O5", 32)):
        reads = [
            f"I{i}"
            for i in range(6)
            if any((table >> n ^ table >> (n ^ 1 << i)) & 1 for n in range(size) if n ^ 1 << i < size)
        ]
        parts.append(
            {
                "type": "LUT6_2",
                "port_directions": {output: "output"} | dict.fromkeys(reads, "input"),
                "connections": {port: cell["connections"].get(port, []) for port in (output, *reads)},
            }
        )
    return parts


def _bits(cell: dict, direction: str) -> list[int]:
    ports = [port for port, own in cell["port_directions"].items() if own == direction]
    return [bit for port in ports for bit in cell["connections"].get(port, ()) if isinstance(bit, int)]
