"""The kit of a build: sources to synthesize, drivers, and scripts, in one folder."""

import json
import re
import shutil
import tempfile
from pathlib import Path

from hwgen.board import Board, load_board, read_board
from hwgen.deploy.block_design import scripts
from hwgen.deploy.ipxact import component
from hwgen.deploy.network import describe, network_c, registers_h, registers_py
from hwgen.errors import BadInput
from hwgen.flow import read_design
from hwgen.folder import read_record, writing
from hwgen.manifest import read_build
from hwgen.ports import narrower
from hwgen.share import share
from hwgen.version import VERSION

KIT = "kit.json"
LOADS = {"port": "s_load_axis", "port_bits": 64}  # what weights come over


def deploy(folder: str | Path, out: str | Path, board: str | None = None, clock_mhz: float | None = None) -> dict:
    """Writes the kit of the build in `folder` into `out`, whole or not at all; returns kit.json.

    board  as hwgen.build takes it, of the build's own device family; None: that of the build
    clock_mhz  of the network and all that is around it; None: the board's
    Raises BadInput where the build is none, the board is of another family, the
    clock none that can be made, or `out` is neither new, empty nor an earlier kit.
    """
    folder, out = Path(folder), Path(out)
    design, (manifest, _) = read_design(folder), read_build(folder)
    target = _board(folder, manifest, board)
    described = describe(design, manifest, clock_mhz or target.clock_mhz)
    sources = _sources(folder, manifest, target)
    known = {
        "hwgen": VERSION,
        "name": manifest["name"],
        "top": manifest["top"],
        "build_id": manifest["build_id"],
        "board": target.record(),
        "clock_mhz": described["clock_mhz"],
        "parameters": {
            "INPUTS": len(design.inputs),
            "OUTPUTS": len(design.outputs),
            "LAYERS": len(design.loadable),
            "WATCHED": len(design.watched),
            "MODES": max(1, len(design.modes)),
        },
        "notes": narrower(manifest),
        "network": {
            way: [{"port": each["port"], "port_bits": each["port_bits"]} for each in described[way]]
            for way in ("inputs", "outputs")
        }
        | {"loads": [LOADS] * design.ports.load_stream},
        "sources": sorted(sources),
    }
    files = {f"ip/src/{name}": text for name, text in sources.items()} | _drivers(described)
    files |= scripts(known, target) | {"ip/component.xml": component(known, known["sources"])}
    _write(out, files | {KIT: json.dumps(known | {"files": sorted(files)}, indent=1) + "\n"})
    return known | {"files": sorted(files)}


def is_kit(folder: str | Path) -> bool:
    return (Path(folder) / KIT).is_file()


def read_kit(kit: str | Path) -> dict:
    """kit.json; raises BadInput where the folder holds none."""
    known = read_record(Path(kit) / KIT)
    if known is None or "network" not in known:
        raise BadInput("the folder is no kit: it has no kit.json", str(kit), "make one with hwgen deploy DIR -o KIT")
    return known


def _board(folder: Path, manifest: dict, name: str | None) -> Board:
    built = read_board(folder, manifest)
    board = built if name is None else load_board(name)
    if board.device.family != built.device.family:
        raise BadInput(
            f"the build is for {built.device.family}, {board.name} is of {board.device.family}",
            "--board",
            f"build it with --board {name}",
        )
    return board


def _sources(folder: Path, manifest: dict, board: Board) -> dict[str, str]:
    """The Verilog and the contents of its memories by name, to be in one folder, so that Vivado finds them wherever it
    runs: a memory file by its name alone, which no other IP has. The top's parameters are those of the family."""
    names = {path: f"{manifest['name']}_{Path(path).stem}.mem" for path in manifest["roms"]}
    files = {}
    for path in manifest["sources"]:
        text = (folder / path).read_text()
        files[Path(path).name] = re.sub(r'"(rom/[^"]+)"', lambda found: f'"{names.get(found[1], found[1])}"', text)
    top = f"{manifest['top']}.v"
    for name, value in board.device.synthesis.items():
        files[top] = re.sub(rf"(parameter {name} = )\d+", rf"\g<1>{value}", files[top], count=1)
    return files | {name: (folder / path).read_text() for path, name in names.items()}


def _drivers(described: dict) -> dict[str, str]:
    files = {}
    for way in ("driver", "python"):
        files |= {f"{way}/{path.name}": path.read_text() for path in sorted((share("kit") / way).glob("*.*"))}
    return files | {
        "driver/network.c": network_c(described),
        "driver/hwgen_registers.h": registers_h(),
        "python/network.json": json.dumps(plain(described), indent=1) + "\n",
        "python/hwgen_registers.py": registers_py(),
    }


def plain(value):
    """For JSON: arrays as lists."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _write(out: Path, files: dict[str, str]) -> None:
    with writing(out):
        if out.exists() and not out.is_dir():
            raise BadInput("it is a file", str(out), "name a new folder")
        if out.is_dir() and any(out.iterdir()) and not is_kit(out):
            raise BadInput("the folder is not empty and is no kit", str(out), "name a new or an empty folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".hwgen-kit-") as aside:
            for path, text in files.items():
                (Path(aside) / "kit" / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(aside) / "kit" / path).write_text(text)
            if out.exists():
                shutil.move(out, Path(aside) / "old")
            shutil.move(Path(aside) / "kit", out)
