"""Where a bit can flip: every register and memory of a build's top, as Verilator elaborates it.

Only its elaboration knows which registers the parameters leave, where in the hierarchy, and how wide.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hwgen.errors import BadInput, ToolFailed
from hwgen.simulators import verilator_root

# what --where takes; a register that a reset sets decides what happens next, any other holds numbers
KINDS = {
    "rom": "words of a file: lists of terms, tables",
    "lines": "memories of activations: lines, FIFOs",
    "registers": "registers that no reset sets: numbers on their way",
    "control": "registers that a reset sets: counters, flags, states",
}
REGISTERS = ("voted_reg",)  # modules that are no more than a register
BORDER = "border"  # the layer of what is in the top and in no unit


@dataclass(frozen=True)
class Site:
    """A register, or a memory.

    path    in the top: instances, generate blocks, the variable
    name    the module in which it is declared, and the variable
    kind    one of KINDS
    width   bits of it, or of a word; 1 at least
    depth   words of a memory; 0 for a register
    layer   of the unit that it is in
    """

    path: str
    name: str
    kind: str
    width: int
    depth: int
    layer: str

    @property
    def bits(self) -> int:
        return self.width * max(1, self.depth)


@dataclass(frozen=True, eq=False)
class Sites:
    """All sites, in the order of the hierarchy; kinds -- of which bits are drawn."""

    all: list[Site]
    kinds: tuple[str, ...]
    ends: np.ndarray = field(init=False)

    def __post_init__(self):
        bits = [site.bits if site.kind in self.kinds else 0 for site in self.all]
        object.__setattr__(self, "ends", np.cumsum(bits, dtype=np.int64))

    @property
    def chosen(self) -> list[Site]:
        """Those of the kinds."""
        return [site for site in self.all if site.kind in self.kinds]

    @property
    def bits(self) -> int:
        return int(self.ends[-1]) if self.all else 0

    def place(self, bit: int) -> tuple[int, int, int]:
        """The number of the site that has a bit of those that are drawn, the word there, 0 in a register, and the bit
        in the word."""
        number = int(np.searchsorted(self.ends, bit, side="right"))
        site = self.all[number]
        return number, *divmod(bit - int(self.ends[number]) + site.bits, site.width)


def sites_of(folder: Path, known: dict, kinds: tuple[str, ...]) -> Sites:
    """The sites in the build in `folder`; known -- its hwgen.json. Raises BadInput if there is none of the kinds."""
    tree = _elaborated(folder, known)
    layers = {unit["instance"]: unit["name"] for unit in known["units"]}
    modules = {module["addr"]: _Module(module, tree) for module in tree["modulesp"]}
    top = next(module for module in modules.values() if module.name == known["top"])
    found = []
    for path, said, (name, kind, width, depth) in _walk(top, modules, "", ""):
        layer = next((layers[part] for part in path.split(".") if part in layers), BORDER)
        found.append(Site(path + name, said, kind, width, depth, layer))
    sites = Sites(found, kinds)
    if not sites.bits:
        raise BadInput(f"the build has no {', '.join(kinds)}", "--where", f"take others of {', '.join(KINDS)}")
    return sites


def _elaborated(folder: Path, known: dict) -> dict:
    root = verilator_root()
    with tempfile.TemporaryDirectory(prefix="hwgen-") as work:
        tree = Path(work) / "tree.json"
        command = [str(root / "bin" / "verilator"), "--json-only", "--timing", "-Wno-fatal"]
        command += ["-Wno-lint", "--top-module", known["top"], "--Mdir", work, "--json-only-output", str(tree)]
        command += ["--json-only-meta-output", str(Path(work) / "meta.json"), *known["sources"]]
        environ = os.environ | {"VERILATOR_ROOT": str(root)}
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ToolFailed(f"Verilator cannot read the build: {done.stderr.strip()[:2000]}", str(folder))
        return json.loads(tree.read_text())


class _Module:
    """A module's variables that hold something, and its instances; names with the generate blocks around them."""

    def __init__(self, module: dict, tree: dict):
        self.name: str = module["origName"]
        self.variables: dict[str, tuple[str, str]] = {}  # address -> name, type
        self.instances: list[tuple[str, str]] = []  # name, address of its module
        self.set: dict[str, bool] = {}  # variables that a clock sets -> whether a reset does
        self.filled: set[str] = set()  # memories that a file fills
        self.read: set[str] = set()  # memories that are read into a register
        self._visit(module["stmtsp"], "")
        types = {kind["addr"]: kind for kind in tree["miscsp"][0]["typesp"]}
        self.sites = [self._site(address, types) for address in self.variables if self._holds(address)]

    def _holds(self, address: str) -> bool:
        return address in self.set or address in self.filled & self.read

    def _site(self, address: str, types: dict) -> tuple[str, str, int, int]:
        name, kind = self.variables[address]
        dtype = types[kind]
        if dtype["type"] != "UNPACKARRAYDTYPE":
            return name, "control" if self.set[address] else "registers", _size(dtype.get("range", "0:0")), 0
        word = types[dtype["refDTypep"]]
        is_list = address in self.filled or self.name == "term_rom"
        depth = _size(dtype["declRange"].strip("[]"))
        return name, "rom" if is_list else "lines", _size(word.get("range", "0:0")), depth

    def _visit(self, nodes: list, scope: str) -> None:
        for node in nodes:
            kind = node["type"]
            if kind == "VAR":
                self.variables[node["addr"]] = scope + node["name"], node["dtypep"]
            elif kind == "CELL":
                self.instances.append((scope + node["name"], node["modp"]))
            elif kind == "GENBLOCK":
                self._visit(node["itemsp"], scope + (f"{node['name']}." if node["name"] else ""))
            elif kind == "ALWAYS" and node.get("keyword") == "always":
                self._clocked(node, False)
            elif kind == "INITIAL":
                self.filled |= {name for read in _find(node, "READMEM") for name in _variables(read["memp"])}

    def _clocked(self, node: dict, reset: bool) -> None:
        """The registers that a block sets; reset -- whether the statement is under a reset."""
        if node["type"] == "ASSIGNDLY":
            # a choice between two values may have become part of the value
            reset = reset or _asks_reset(node["rhsp"])
            for address in _variables(node["lhsp"], "WR"):
                self.set[address] = self.set.get(address, False) or reset
            self.read |= {name for array in _find(node["rhsp"], "ARRAYSEL") for name in _variables(array["fromp"])}
            return
        resets = node["type"] == "IF" and _asks_reset(node["condp"])
        for name, inner in node.items():
            if isinstance(inner, list):
                for each in inner:
                    self._clocked(each, reset or (resets and name == "thensp"))


def _walk(module: _Module, modules: dict[str, _Module], path: str, said: str) -> Iterator[tuple]:
    """The path of what is around each site, its name, and what it is; said -- the name of this instance of a module."""
    for site in module.sites:
        # a register that is a module has the name of its instance
        yield path, said if module.name in REGISTERS else f"{module.name}.{site[0].rpartition('.')[2]}", site
    for name, address in module.instances:
        said = f"{module.name}.{name.rpartition('.')[2]}"
        yield from _walk(modules[address], modules, f"{path}{name}.", said)


def _find(node: dict | list, kind: str) -> Iterator[dict]:
    """The nodes of a kind in a tree, not below one another."""
    if isinstance(node, list):
        for each in node:
            yield from _find(each, kind)
    elif node.get("type") == kind:
        yield node
    else:
        for inner in node.values():
            if isinstance(inner, list):
                yield from _find(inner, kind)


def _asks_reset(nodes: list) -> bool:
    return any(ref["name"] == "rst" for ref in _find(nodes, "VARREF"))


def _variables(node: dict | list, access: str = "") -> set[str]:
    """The addresses of the variables in a tree, of `access` RD or WR alone if given."""
    return {ref["varp"] for ref in _find(node, "VARREF") if access in ("", ref["access"])}


def _size(text: str) -> int:
    """Numbers in a range as 7:0 or 0:63."""
    first, last = map(int, text.split(":"))
    return abs(first - last) + 1
