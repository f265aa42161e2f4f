"""Logic depth of every unit of a build, on the netlist that yosys maps for its board: LUTs and carry chains between
registers.

    python -m benchmarks.depth DIR [--unit NAME] [--whole]

A cell "5+1" is the longest path to an end of that kind: 5 LUTs (a MUXF or an inverter counts as one, and so does a LUT
RAM that is read) and 1 carry chain of any length. Ends are a register's data, enable and reset, a memory's address;
"behind BRAM" is the longest path from a block RAM's outputs to any end ("0": a register is right behind it, "-": there
is none). Columns "in", "out" and "through" are paths from a port of the unit to a register, from a register to a port,
and from port to port. Below the table the longest path of each unit, by its named signals.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from hwgen.board import read_board
from hwgen.folder import read_record, write_record
from hwgen.manifest import read_manifest
from hwgen.synth import roms, yosys
from hwgen.synth.parts import parts_of
from hwgen.synth.processes import Task, run_all, yosys_task

MOST_LUTS, MOST_CHAINS = 6, 1  # the goal

_CLOCKS = re.compile(r"C|CLK|WCLK|CLKARDCLK|CLKBWRCLK|CLK_?[AB]?")
_RAM_OF_LUTS = re.compile(r"RAM\d+X|RAM\d+M")
_BLOCK_RAM = re.compile(r"RAMB|URAM")
# of a port of a cell that holds state: which kind of end it is
_KINDS = (
    ("enable", re.compile(r"CE|E|WE.*|EN.*|REGCE.*|CE[A-Z]+\d?|OREG_CE.*|RDB_WR.*|BWE.*")),
    ("reset", re.compile(r"R|S|CLR|PRE|RST.*")),
    ("address", re.compile(r"A\d?|A\[.*|ADDR.*|DPRA\d?")),
)
ENDS = ("data", "enable", "reset", "address")


@dataclass(frozen=True)
class Longest:
    """A path: its LUTs and carry chains, and what it goes through, from its start to its end."""

    luts: int
    chains: int
    text: str

    def __str__(self) -> str:
        return f"{self.luts}+{self.chains}" if self.chains else str(self.luts)


@dataclass
class Netlist:
    """A module of the JSON that yosys writes of a mapped netlist, flat, of a Xilinx family.

    arcs -- of a bit that logic makes: the cell, and the bits that it depends on, each with what the step counts:
    (LUTs, carry chains)
    starts -- where paths begin: of each bit, register, block RAM or port
    ends -- where they end: the bit, data, enable, reset, address or port, and the port of the cell by name
    """

    names: dict[int, str] = field(default_factory=dict)
    arcs: dict[int, tuple[str, list[tuple[int, tuple[int, int]]]]] = field(default_factory=dict)
    starts: dict[int, str] = field(default_factory=dict)
    ends: list[tuple[int, str, str]] = field(default_factory=list)

    @staticmethod
    def of(module: dict) -> "Netlist":
        net = Netlist()
        for name, signal in module["netnames"].items():
            net._name(name, signal)
        carries = {
            bit
            for cell in module["cells"].values()
            if cell["type"].startswith("CARRY")
            for bit in cell["connections"].get("CO", [])
        }
        for name, cell in module["cells"].items():
            net._add("" if cell.get("hide_name") else name, cell, carries)
        for name, port in module["ports"].items():
            for bit in _bits(port["bits"]):
                if port["direction"] == "output":
                    net.ends.append((bit, "port", f"port {name}"))
                else:
                    net.starts[bit] = "port"
        return net

    def _name(self, name: str, signal: dict) -> None:
        """Of the names of a bit the one of fewest instances, then the shortest."""
        if signal.get("hide_name"):
            return
        for i, bit in enumerate(signal["bits"]):
            new = f"{name}[{i + signal.get('offset', 0)}]" if len(signal["bits"]) > 1 else name
            if isinstance(bit, int) and (bit not in self.names or (new.count("."), len(new)) < _rank(self.names[bit])):
                self.names[bit] = new

    def _add(self, name: str, cell: dict, carries: set) -> None:
        kind, ports = cell["type"], cell["connections"]
        if kind.startswith("$"):
            return
        outputs = [port for port, way in cell["port_directions"].items() if way == "output" and port in ports]
        inputs = {port: ports[port] for port in ports if port not in outputs and not _CLOCKS.fullmatch(port)}
        made = [bit for port in outputs for bit in _bits(ports[port])]
        for bit in made:
            self.names.setdefault(bit, name)
        at = next((self.names[bit] for bit in made if self.names[bit]), name)
        if _RAM_OF_LUTS.match(kind) or kind.startswith("SRL"):
            self._add_ends(kind, at, {port: bits for port, bits in inputs.items() if not _read_only(kind, port)})
            for port in outputs:
                addresses = [bit for name in inputs if _reads(kind, name, port) for bit in _bits(ports[name])]
                self._add_reads(kind, _bits(ports[port]), addresses)
        elif kind.startswith(("FD", "RAMB", "URAM", "DSP")):
            if kind.startswith("DSP") and not int(cell["parameters"].get("PREG", "1"), 2):
                raise ValueError(f"a {kind} without a register behind it: its depth is not known")
            self._add_ends(kind, at, inputs)
            self.starts |= dict.fromkeys(made, "block RAM" if _BLOCK_RAM.match(kind) else "register")
        else:
            for port in outputs:
                for i, bit in enumerate(ports[port]):
                    if isinstance(bit, int):
                        self.arcs[bit] = kind, list(_logic(cell, inputs, port, i, carries))

    def _add_reads(self, kind: str, outputs: list[int], addresses: list[int]) -> None:
        """Of a memory in LUTs: a step of logic from an address, or a register if that is constant."""
        for bit in outputs:
            if addresses:
                self.arcs[bit] = kind, [(source, (1, 0)) for source in addresses]
            else:
                self.starts[bit] = "register"

    def _add_ends(self, kind: str, at: str, ports: dict[str, list]) -> None:
        for port, bits in ports.items():
            end = next((name for name, pattern in _KINDS if pattern.fullmatch(port)), "data")
            if end == "address" and kind.startswith("DSP"):
                end = "data"
            self.ends += [(bit, end, f"{at} ({kind}.{port})") for bit in _bits(bits)]

    def levels(self, starts: set[str], weight: tuple[int, int]) -> dict[int, tuple[int, int, int, int | None]]:
        """Of each bit that a path from a start reaches: the greatest weight, LUTs and chains of that path, and the bit
        before it."""
        best: dict[int, tuple[int, int, int, int | None]] = {
            bit: (0, 0, 0, None) for bit, kind in self.starts.items() if kind in starts
        }
        done = set(self.starts)
        for root in self.arcs:
            stack = [root]
            while stack:
                bit = stack[-1]
                sources = self.arcs[bit][1] if bit in self.arcs else []
                waiting = [source for source, _ in sources if source not in done and source in self.arcs]
                if bit in done or not waiting:
                    stack.pop()
                    if bit not in done:
                        self._settle(bit, sources, weight, best)
                        done.add(bit)
                elif len(stack) > len(self.arcs):
                    raise ValueError(f"a loop of logic through {self.names.get(bit, bit)}")
                else:
                    stack.append(waiting[0])
        return best

    def _settle(self, bit: int, sources: list, weight: tuple[int, int], best: dict) -> None:
        found = [
            (total + luts * weight[0] + chains * weight[1], n + luts, m + chains, source)
            for source, (luts, chains) in sources
            if source in best
            for total, n, m, _ in [best[source]]
        ]
        if found:
            best[bit] = max(found)

    def longest(self, starts: set[str], ends: set[str], weight: tuple[int, int] = (1, 1)) -> Longest | None:
        """The path of greatest weight (of a LUT, of a carry chain) between starts and ends of these kinds."""
        best = self.levels(starts, weight)
        reached = [(best[bit][:3], name, bit) for bit, kind, name in self.ends if kind in ends and bit in best]
        if not reached:
            return None
        (_, luts, chains), end, bit = max(reached)
        return Longest(luts, chains, self._text(best, bit, end))

    def _text(self, best: dict, bit: int | None, end: str) -> str:
        steps, same = [end], False
        while bit is not None:
            name, before = self.names.get(bit), best[bit][3]
            if bit not in self.arcs:
                start = {"block RAM": " (block RAM)", "port": " (port)"}.get(self.starts[bit], "")
                steps.append(f"{name or 'no name'}{start}")
            elif not same:
                steps.append(self.arcs[bit][0] + (f"({name})" if name else ""))
            # a cell of the same carry chain counts nothing, and is not told
            same = before is not None and best[bit][1:3] == best[before][1:3]
            bit = before
        return " -> ".join(reversed(steps))


def _rank(name: str) -> tuple[int, int]:
    return name.count("."), len(name)


def _bits(bits: list) -> list[int]:
    """Those that are nets, not constants."""
    return [bit for bit in bits if isinstance(bit, int)]


def _read_only(kind: str, port: str) -> bool:
    """Whether a port of a LUT RAM is an address that only reads; the last of its letters is also that of the write."""
    if kind.startswith("SRL"):
        return port.startswith("A")
    if port.startswith("DPRA"):
        return True
    last = "ADDRH" if kind in ("RAM32M16", "RAM64M8") else "ADDRD"
    return port.startswith("ADDR") and port != last


def _reads(kind: str, address: str, output: str) -> bool:
    """Whether `address` is what a LUT RAM or shift register reads its `output` at."""
    if kind.startswith("SRL"):
        return address.startswith("A") and output == "Q"
    if output == "DPO":
        return address.startswith("DPRA")
    if output in ("SPO", "O"):
        return re.fullmatch(r"A\d?", address) is not None
    return address == f"ADDR{output[-1]}"


def _depends(table: str, output: str, i: int) -> bool:
    """Whether an output of a LUT6_2 depends on input i; table -- INIT, 64 binary digits, the highest first. The upper
    half is O6's where two outputs are used, as I5 is a one."""
    half = table[32:] if output == "O5" else table[:32]
    ones = int(half, 2)
    low = sum(1 << n for n in range(32) if not n >> i & 1)  # entries where the input is zero
    return i < 5 and (ones & low) != (ones >> (1 << i) & low)


def _logic(cell: dict, inputs: dict[str, list], output: str, i: int, carries: set) -> Iterator:
    """The bits that an output bit of a cell of logic depends on, with what the step counts."""
    kind = cell["type"]
    for port, bits in inputs.items():
        if kind.startswith("CARRY"):
            for bit in _bits(bits[: i + 1] if port in ("S", "DI") else bits):
                yield bit, (0, 0) if port == "CI" and bit in carries else (0, 1)
        elif kind != "LUT6_2" or _depends(cell["parameters"]["INIT"], output, int(port[1:])):
            yield from ((bit, (1, 0)) for bit in _bits(bits))


def columns(net: Netlist) -> dict[str, Longest | None]:
    """The longest path of each column of the table, and of all between registers: longest, most LUTs, most chains."""
    inside = {"register", "block RAM"}
    found = {kind: net.longest(inside, {kind}) for kind in ENDS}
    found["behind BRAM"] = net.longest({"block RAM"}, {*ENDS, "port"})
    found["in"] = net.longest({"port"}, set(ENDS))
    found["out"] = net.longest(inside, {"port"})
    found["through"] = net.longest({"port"}, {"port"})
    found["longest"] = net.longest(inside, set(ENDS))
    found["most LUTs"] = net.longest(inside, set(ENDS), (1, 0))
    found["most chains"] = net.longest(inside, set(ENDS), (0, 1))
    return found


def measure(
    folder: Path, only: tuple[str, ...] = (), whole: bool = False, jobs: int = 1
) -> dict[str, dict[str, Longest | None]]:
    """The columns of each unit of a build by name, and of the core if `whole`; counted once, then from the cache.

    only -- the names of the units wanted; (): all
    """
    manifest = read_manifest(folder)
    device = read_board(folder, manifest).device
    roms.read(folder, manifest)
    parts = [part for part in parts_of(folder, manifest, manifest["core"], whole) if not only or part.name in only]
    tool = [yosys.commands(None, device), hashlib.sha256(Path(__file__).read_bytes()).hexdigest()]
    caches = {part.name: yosys.cache_folder() / f"{part.key(tool)}.depth.json" for part in parts}
    records = {part.name: found for part in parts if (found := read_record(caches[part.name]))}

    def finished(task: Task, seconds: float) -> None:
        part = task.part
        mapped = folder / f"synth/{part.stem}.mapped.json"
        modules = json.loads(mapped.read_text())["modules"].values()
        mapped.unlink()
        (top,) = [module for module in modules if not int(module["attributes"].get("blackbox", "0"), 2)]
        paths = columns(Netlist.of(top))
        found = {key: path and [path.luts, path.chains, path.text] for key, path in paths.items()}
        records[part.name] = found
        write_record(caches[part.name], found)

    tasks = [
        yosys_task(part, [*yosys.commands(part, device), f"write_json -selected synth/{part.stem}.mapped.json"])
        for part in parts
        if part.name not in records
    ]
    (folder / "synth").mkdir(exist_ok=True)
    run_all(folder, tasks, jobs, finished)
    return {
        "core" if part.stem == "total" else part.name: {
            key: Longest(*path) if path else None for key, path in records[part.name].items()
        }
        for part in parts
    }


def show(found: dict[str, dict[str, Longest | None]], console: Console) -> None:
    """The table, and the longest paths below it."""
    names = (*ENDS, "behind BRAM", "in", "out", "through")
    table = Table("unit", *names, "most LUTs", "most chains")
    for unit, paths in found.items():
        most = paths["most LUTs"], paths["most chains"]
        table.add_row(
            unit,
            *(str(paths[name] or "-") for name in names),
            str(most[0].luts if most[0] else 0) + ("" if not most[0] or most[0].luts <= MOST_LUTS else " (over)"),
            str(most[1].chains if most[1] else 0) + ("" if not most[1] or most[1].chains <= MOST_CHAINS else " (over)"),
        )
    console.print(table)
    for unit, paths in found.items():
        told = [paths[key] for key in ("longest", "most LUTs", "most chains", "behind BRAM", "through") if paths[key]]
        for text in dict.fromkeys(f"{path}: {path.text}" for path in told if path and path.luts + path.chains > 1):
            console.print(f"{unit} {text}", markup=False, highlight=False, soft_wrap=True)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--unit", "only", multiple=True, help="Of these units alone.")
@click.option("--whole", is_flag=True, help="Also of the core in one piece: paths from unit to unit.")
@click.option("--jobs", default=1, show_default=True, help="Processes at once.")
def main(folder, only, whole, jobs):
    show(measure(folder, only, whole, jobs), Console(width=160))


if __name__ == "__main__":
    main()
