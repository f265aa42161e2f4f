"""Design -> files, as a dict of path -> text: the network's core, its top, the units' ROMs, the rtl/ modules they
use."""

import hashlib
import re
from collections.abc import Iterable

from hwgen.border import border_wires, ends
from hwgen.design import Design
from hwgen.modes import paces_of
from hwgen.pace import pace_of
from hwgen.share import share
from hwgen.templates import render
from hwgen.units.unit import Unit
from hwgen.verilog import Name, Override, overrides
from hwgen.version import VERSION


def emit(design: Design) -> dict[str, str]:
    """Every file of the build but the golden graph and the manifest; the same design gives the same bytes."""
    core, top = f"rtl/{design.name}_core.v", f"rtl/{design.name}_top.v"
    files = {core: render_core(design, f"{design.name}_core"), top: render_top(design, build_id=0)}
    files |= library(instantiated(files[top])) | files_of_units(design)
    files[top] = render_top(design, build_id=fingerprint(files))
    return files


def files_of_units(design: Design) -> dict[str, str]:
    """The files that the units are made of and those that they read: all that is below the core."""
    files = {}
    for placed in design.placed:
        own = placed.unit.files()
        inside = [name for path, text in own.items() if path.endswith(".v") for name in instantiated(text)]
        files |= own | library([placed.unit.module, *inside], placed.unit.leaves_out)
    return files | (library(["mode_ring"]) if design.modes else {})


def fingerprint(files: dict[str, str]) -> int:
    """The BUILD_ID of Verilog and ROMs, the top among them with a BUILD_ID of 0."""
    digest = hashlib.sha256("".join(f"{path}\0{text}\0" for path, text in sorted(files.items())).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def render_top(design: Design, build_id: int) -> str:
    """The Verilog of the AXI face; BUILD_ID hashes all Verilog and ROMs of the build, this file with a BUILD_ID of
    0."""
    return render(
        "top.v.j2",
        top=f"{design.name}_top",
        core=f"{design.name}_core",
        inputs=ends("in", design.inputs, design.ports),
        outputs=ends("out", design.outputs, design.ports),
        build_id=build_id,
        layers=len(design.loadable),
        load_stream=design.ports.load_stream,
        watched=len(design.watched),
        **_watch(design),
        modes=len(design.graphs),
        mode_bits=design.mode_bits,
        version=_version_number(),
    )


def _watch(design: Design) -> dict[str, int]:
    """Parameters of rtl/dataflow_controller.v with protection."""
    if not design.watched:
        return {"watchdog": 0, "early": 0, "tmr": 0}
    paces = paces_of(design) if design.modes else [pace_of(design)]
    # twice what a frame may take: whatever the host does, something moves meanwhile
    return {
        "watchdog": 2 * max(pace.latency + pace.interval for pace in paces),
        "early": int(design.early),
        "tmr": int(design.protect.tmr),
    }


def render_core(design: Design, core: str, stalls: bool = False) -> str:
    """The Verilog of the netlist; `stalls` puts a stream_stall on every stream inside it (simulation only)."""
    return render(
        "core.v.j2",
        core=core,
        banner=f"{core}: {design.name}, made by hwgen {VERSION}. One instance per layer.",
        stalls=stalls,
        inputs=ends("in", design.inputs),
        outputs=ends("out", design.outputs),
        streams=[border_wires(stream) for stream in design.streams()],
        units=[_instance(placed, design) for placed in design.placed],
        layers=len(design.loadable),
        aborts=design.aborts,
        watched=len(design.watched),
        modes=_ring(design) if design.modes else None,
    )


def _ring(design: Design) -> dict[str, int]:
    """rtl/mode_ring.v, for the template."""
    depth, bits = design.in_flight, design.mode_bits
    return {"count": len(design.modes), "bits": bits, "depth": depth, "ring_bits": depth.bit_length() + depth * bits}


def library(modules: Iterable[str], without: frozenset[str] = frozenset()) -> dict[str, str]:
    """The files of those of the modules that are in rtl/, and of all that these instantiate, but for `without`."""
    known = {path.stem: path for path in share("rtl").glob("*.v")}
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in known.keys() - without and f"rtl/{name}.v" not in found:
            found[f"rtl/{name}.v"] = known[name].read_text()
            waiting += instantiated(found[f"rtl/{name}.v"])
    return found


def instantiated(text: str) -> list[str]:
    """The modules of which a Verilog text holds instances, and words that look as if."""
    return re.findall(r"^\s*(\w+)\s+(?:#\s*\(|\w+\s*\()", text, re.MULTILINE)


def _instance(placed, design: Design) -> dict:
    unit = placed.unit
    loadable, watched = design.loadable, design.watched
    return {
        "module": unit.module,
        "instance": unit.instance,
        "note": unit.note(),
        "in_steps": placed.in_steps,
        "over": unit.over,
        "loads": unit.loads,
        "modes": unit.by_mode,
        "layer": loadable.index(unit) if unit in loadable else None,
        "watches": unit.watches,
        "watched": watched.index(unit) if unit in watched else None,
        "parameters": parameters_of(unit, design),
        "inputs": [{"prefix": p, "stream": s.name} for p, s in zip(unit.takes, placed.inputs, strict=True)],
        "outputs": [{"prefix": p, "stream": s.name} for p, s in zip(unit.gives, placed.outputs, strict=True)],
    }


def parameters_of(unit: Unit, design: Design) -> list[Override]:
    """The parameters that its instance in the core names."""
    protection = {"TMR": 1} if design.protect.tmr and unit.votes else {}
    handed_on = {"XILINX": Name("XILINX")} if unit.primitives else {}
    return overrides(unit.module, unit.parameters() | handed_on | protection)


def _version_number() -> int:
    major, minor, patch = (int(part) for part in VERSION.split("."))
    return major << 16 | minor << 8 | patch
