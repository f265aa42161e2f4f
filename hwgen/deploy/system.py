"""A kit's hardware and its surroundings, simulated behind the device files that its drivers open (sim/system/)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from hwgen.deploy.kit import read_kit
from hwgen.errors import HwgenError, ToolFailed
from hwgen.share import share
from hwgen.simulators.verilator import verilator_root
from hwgen.templates import render

LIBRARY = "libhwgen_system.so"
TAIL = 30  # lines of a tool's log that an error repeats


def compile_system(kit: str | Path, work: str | Path) -> Path:
    """The shared library of a kit, made in `work`, to be preloaded before a program that opens the board's devices.

    Raises BadInput where `kit` is none, ToolFailed with the tail of the log where a tool fails.
    """
    kit, work = Path(kit).resolve(), Path(work).resolve()
    known, source = read_kit(kit), share("sim") / "system"
    ports = _ports(known["network"])
    work.mkdir(parents=True, exist_ok=True)
    text = render("system_ports.h.j2", top=known["top"], clock_mhz=known["clock_mhz"], **ports)
    (work / "system_ports.h").write_text(text)
    root = verilator_root()
    environment = os.environ | {"VERILATOR_ROOT": str(root)}
    verilog = sorted(str(path) for path in (kit / "ip/src").glob("*.v"))
    flags = ["-O3", "--x-assign", "unique", "--x-initial", "unique", "-Wno-fatal", "--output-split", "60000"]
    command = [str(root / "bin/verilator"), "--cc", *flags, "-CFLAGS", "-fPIC", "--prefix", "Vtop"]
    _run([*command, "-GXILINX=0", "--Mdir", str(work / "obj"), "--top-module", known["top"], *verilog], environment)
    _run(["make", "-C", str(work / "obj"), "-f", "Vtop.mk", "-j2"], environment)
    include = [f"-I{path}" for path in (work, source)]
    include += [part for path in (work / "obj", root / "include") for part in ("-isystem", str(path))]
    shared = ["g++", "-std=gnu++17", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", *include, "-o", str(work / LIBRARY)]
    archives = [str(work / "obj/libVtop.a"), str(work / "obj/libverilated.a")]
    _run([*shared, str(source / "shim.cpp"), *archives, "-ldl", "-pthread"], environment)
    return work / LIBRARY


def _ports(network: dict) -> dict:
    """What templates/system_ports.h.j2 wants of kit.json's streams: weights come over an input of an engine behind
    those of the others, without tkeep and tlast."""
    ways = {way: [(number, each) for number, each in enumerate(network[way])] for way in ("inputs", "outputs")}
    engines = max(map(len, ways.values()))
    loads = [(engines + number, each) for number, each in enumerate(network["loads"])]
    found = {
        way: [
            {
                "port": each["port"],
                "bytes": each["port_bits"] // 8,
                "engine": number,
                "has_last": each not in network["loads"],
            }
            for number, each in pairs
        ]
        for way, pairs in (("inputs", ways["inputs"] + loads), ("outputs", ways["outputs"]))
    }
    return found | {"engines": engines + len(loads)}


def environment_of(kit: str | Path, library: Path, devices: Path, **more: str) -> dict[str, str]:
    """The environment in which a program sees the system; devices -- a folder for its device files."""
    fixed = {
        "LD_PRELOAD": str(library),
        "HWGEN_SYSTEM": str(devices.resolve()),
        "HWGEN_MEMORIES": str(Path(kit).resolve() / "ip/src"),
    }
    return os.environ | fixed | more


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-TAIL:])
        raise ToolFailed(f"{shutil.which(command[0]) or command[0]} failed", tail)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("kit", type=click.Path(file_okay=False, path_type=Path))
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(kit: Path, command: Sequence[str]):
    """Run COMMAND as on a board that the kit KIT is loaded on; the simulated system is kept in KIT/output/system."""
    work = kit / "output/system"
    try:
        library = work / LIBRARY if (work / LIBRARY).is_file() else compile_system(kit, work)
    except HwgenError as error:
        sys.exit(str(error))
    sys.exit(subprocess.run(command, env=environment_of(kit, library, work / "devices"), check=False).returncode)


if __name__ == "__main__":
    main()
