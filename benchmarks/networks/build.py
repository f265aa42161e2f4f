"""Networks of real size as hardware: scheduled to a rate, generated, compared with PyTorch frame by frame, synthesized.

A network that is in results.json is not done again without --again, so the command may be stopped at any time. The
table of docs/networks.md is made from that file.
"""

import fnmatch
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile

import click
from rich.console import Console

from benchmarks.networks.variants import VARIANTS
from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.tables import write_document
from hwgen.config import RESOURCES
from hwgen.folder import sources_digest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results.json"
FRAMES = 3  # the interval is between the last two
# the first pattern that matches
FPS = {
    "resnet8-*": 100_000,
    "ds_cnn-*": 50_000,
    "mobilenet_025_96-*": 10_000,
    "autoencoder-*": 100_000,
    "cnv-*": 5_000,
    "mobilenet_224-uniform4-50-a4": 1_400,
    "mobilenet_224-uniform4-50-a8": 600,
    "mobilenet_224-pot4-50-a8": 700,
    "mobilenet_224-*": 1_600,
}
ULTRA_RAM = ("--loadable", "*", "--weights-in", "auto")
# for lists that are more than all block RAMs
OPTIONS = {"mobilenet_224-*": ULTRA_RAM, "cnv-uniform4-50-a8": ULTRA_RAM, "*": ()}
CLOCK = 250  # MHz, assumed


def of(table: dict, name: str):
    """What FPS or OPTIONS say of a network."""
    return next(value for pattern, value in table.items() if fnmatch.fnmatchcase(name, pattern))


def run(name: str, fps: float, folder: Path, options: tuple[str, ...]) -> dict:
    """One network; `folder` holds NAME.pt2 and gets the build."""
    from benchmarks.networks.variants import frames
    from hwgen import verify
    from hwgen.errors import HwgenError
    from hwgen.manifest import read_manifest
    from hwgen.synth import yosys

    out = folder / name
    command = [sys.executable, "-m", "hwgen", "build", f"{folder / name}.pt2", "-o", str(out), "--fps", str(fps)]
    start = time.monotonic()
    with TemporaryFile("w+") as said:
        child = subprocess.Popen([*command, "--clock", str(CLOCK), *options], stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        said.seek(0)
        text = said.read()
    result = {
        "fps": fps,
        "options": " ".join(options),
        "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "megabytes": used.ru_maxrss // 1024,
    }
    if status:
        return result | {"refused": " ".join(text.split())[-400:]}
    manifest = read_manifest(out)
    estimates = [unit["estimate"] for unit in manifest["units"]]
    result |= {
        "sources": sources_digest(out, manifest),
        "predicted": manifest["interval"],
        "estimate": {key: sum(known.get(key, 0) for known in estimates) for key in RESOURCES},
        "units": {
            kind: sum(unit["kind"] == kind for unit in manifest["units"]) for kind in ("adder_graph", "term_lanes")
        },
    }
    topology = name.split("-")[0]
    try:
        compared = verify(out, frames(topology, FRAMES, 7).numpy())
        result |= {"frames": compared["frames"], "equal": compared["equal"], "interval": compared["interval"]}
    except HwgenError as error:
        return result | {"failed": str(error)[:400]}
    try:
        counted = yosys.synthesize(out, 2, manifest["core"], whole=False)
        result["synthesis"] = {key: counted["sum"][key] for key in ("LUT", "FF", "CARRY8", "BRAM36", "URAM", "DSP")}
        result["yosys_seconds"] = counted["seconds"]
    except HwgenError as error:
        result["not_synthesized"] = str(error)[:400]
    return result


def table(results: dict) -> str:
    lines = [
        (
            "| network | frames/s asked | cycles: predicted, simulated | frames/s | LUT: estimated, yosys | % of board "
            "| BRAM36 | URAM | DSP | frames equal | build CPU s | MB |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for network, r in results.items():
        name = network if "sources" in r else f"{network}, older"
        if "refused" in r:
            lines.append(f"| {name} | {r['fps']:,} | refused: {r['refused']} |" + " |" * 9)
            continue
        counted = r.get("synthesis", {})
        share = f"{counted['LUT'] / 230400:.1%}" if counted else "-"
        both = {key: f"{r['estimate'][key]:,g}, {counted.get(key, '-')}" for key in ("BRAM36", "URAM", "DSP")}
        lines.append(
            f"| {name} | {r['fps']:,} | {r['predicted']:,}, {r.get('interval') or '-'} | "
            f"{CLOCK * 1e6 / (r.get('interval') or r['predicted']):,.0f} | "
            f"{r['estimate']['LUT']:,.0f}, {counted.get('LUT', '-')} | {share} | "
            f"{both['BRAM36']} | {both['URAM']} | {both['DSP']} | "
            f"{r.get('equal', '-')} of {r.get('frames', FRAMES)} | {r['cpu_seconds']} | {r.get('megabytes', '-')} |"
        )
    return "\n".join(lines) + "\n"


@click.command(help=__doc__)
@click.option("--only", default="*", help="Networks that match this pattern, as resnet8-pot4-50-a4.")
@click.option("--fps", type=float, help="Instead of the topology's own rate.")
@click.option(
    "--keep", default=ROOT / "build" / "networks", type=click.Path(path_type=Path), help="Folder of the builds."
)
@click.option("--again", is_flag=True, help="Also what is in results.json.")
@click.argument("options", nargs=-1)
def main(only, fps, keep, again, options):
    """OPTIONS, behind --, are passed to hwgen build."""
    console = Console(stderr=True)
    known = read(RESULTS)
    keep.mkdir(parents=True, exist_ok=True)
    for name in fnmatch.filter([str(variant) for variant in VARIANTS], only):
        if name in known and not (fps or again):
            continue
        if not (keep / f"{name}.pt2").is_file():
            save = [sys.executable, "-m", "benchmarks.networks", "--only", name, "--save", str(keep)]
            subprocess.run(save, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(keep / name, ignore_errors=True)
        result = run(name, fps or of(FPS, name), keep, (*of(OPTIONS, name), *options))
        console.print(name, result)
        if not fps:
            record(RESULTS, name, result)
    known = read(RESULTS)
    if not fps:
        write_document("networks.build", table(known), ROOT / "docs" / "networks.md")
    click.echo(table(known))


if __name__ == "__main__":
    main()
