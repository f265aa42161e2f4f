"""The clock, unit by unit: placed and routed on an ECP5, and the logic between registers on the board's own family.

    python -m benchmarks.clock [--only NAME] [--commit HASH] [--seeds N] [--again]

Each network is built, its units and its core are placed and routed (`hwgen synth --tool nextpnr`), and mapped for the
board with yosys, where `benchmarks.depth` counts LUTs and carry chains between registers; of those in ALONE only the
core is placed. `--commit` does so for what another commit builds, with the tools of this one; a row of the table tells
the commits apart. Results are in clock.json, by network and commit; what is built as it was is not measured again
without --again. The tables of docs/clock.md are made from that file.
"""

import fnmatch
import functools
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks import depth
from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.tables import table, write_document
from hwgen.folder import sources_digest
from hwgen.manifest import read_manifest
from hwgen.synth import nextpnr, slowest

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "clock.json"
NOW = "now"

_SPATIAL = """
import sys, torch
from benchmarks.spatial.lenet5 import lenet5
from hwgen import BuildConfig, build
config = BuildConfig(engine="*=spatial,layer_1?=lanes", levels={levels}, name="lenet5")
build(lenet5(), (torch.zeros(1, 1, 28, 28),), out=sys.argv[1], config=config)
"""
LENET = ["-m", "hwgen", "build", "examples/lenet5/lenet5.pt2", "--name", "lenet5", "-o"]
# what builds a network into the folder that is given last, run by Python in the sources of a commit
NETWORKS = {
    "LeNet-5": LENET,
    "LeNet-5, --strategy timing": LENET,
    "convolution, 16 lanes": [
        "-c",
        "import sys, torch\n"
        "from benchmarks.lanes import layer\n"
        "from hwgen import BuildConfig, build\n"
        "x = torch.zeros(1, 16, 32, 32)\n"
        "build(layer(16, 32, 0.5, 0), (x,), out=sys.argv[1], config=BuildConfig(lanes=16, name='conv'))",
    ],
    "LeNet-5, convolutions spatial": ["-c", _SPATIAL.format(levels=3)],
    "LeNet-5, convolutions spatial, --levels 1": ["-c", _SPATIAL.format(levels=1)],
}
WIRES = {"strategy": "wires", "mhz": 155.0}
# of these nothing but the core is placed and routed, and how
ALONE = {
    "LeNet-5, --strategy timing": {"strategy": "timing"},
    "LeNet-5, convolutions spatial": WIRES,
    "LeNet-5, convolutions spatial, --levels 1": WIRES,
}
COUNTS = ("LUT4", "CCU2C", "FF", "FF in DP16KD", "DP16KD", "MULT18")
DEPTHS = (*depth.ENDS, "behind BRAM", "through", "most LUTs", "most chains")


@contextmanager
def sources(commit: str | None) -> Iterator[Path]:
    """The folder of a commit's files, for as long as it is needed; of None, this one's."""
    if commit is None:
        yield ROOT
        return
    with tempfile.TemporaryDirectory(prefix="hwgen-clock-") as work:
        tree = Path(work) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", str(tree), commit], check=True, capture_output=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def measure(folder: Path, seeds: int, jobs: int, alone: dict) -> dict:
    """Of each unit of a build, and the core, by name: what the ECP5 takes, its clocks by seed, its slowest path, and
    the depths on the board's family.

    alone -- of ALONE, how: nothing but the core, and no depths; empty: all
    """
    place = functools.partial(nextpnr.place_and_route, folder, jobs, lambda text: click.echo(text, err=True))
    placed = place(seeds=seeds, units=not alone, **alone)
    depths = {} if alone else depth.measure(folder, whole=True, jobs=jobs)
    parts = {unit["name"]: unit for unit in placed["units"]} | {"core": placed["core"]}
    return {
        name: {
            "resources": part["resources"],
            "fmax_mhz": part["fmax_mhz"],
            "fmax_by_seed": part["fmax_by_seed"],
            "path": part["path"],
            "depth": {key: path and [path.luts, path.chains, path.text] for key, path in depths.get(name, {}).items()},
        }
        for name, part in parts.items()
    }


def tables(results: dict) -> str:
    """Markdown: what was placed, a row for each network, commit and part; the depths; the slowest and deepest paths."""
    placed, depths, paths = [], [], []
    for key, result in results.items():
        network, commit = key.rsplit(" / ", 1)
        for name, part in result["parts"].items():
            row = (network, commit, name)
            clocks = [mhz for mhz in part["fmax_by_seed"] if mhz is not None]
            spread = f"{min(clocks)} to {max(clocks)} of {len(clocks)}" if clocks else "-"
            counts = [f"{part['resources'][count]:,}" for count in COUNTS]
            placed.append((*row, *counts, f"{part['fmax_mhz'] or '-'}", spread))
            if part["depth"]:
                depths.append((*row, *(_depth(part["depth"][kind]) for kind in DEPTHS)))
            deepest = part["depth"].get("longest")
            routed = slowest(part["path"]) if part["path"] else "-"
            mapped = f"; mapped {_depth(deepest)}: {deepest[2]}" if deepest else ""
            paths.append(f"- {', '.join(row)}: routed {routed}{mapped}\n")
    return "\n".join(
        [
            table(("network", "of", "part", *COUNTS, "MHz, median", "of the seeds"), placed),
            table(("network", "of", "part", *DEPTHS), depths),
            "".join(paths),
        ]
    )


def _depth(path: list | None) -> str:
    return str(depth.Longest(*path)) if path else "-"


@click.command(help=__doc__)
@click.option("--only", default="*", help="Networks that match this pattern.")
@click.option("--commit", help="Whose sources build the networks; default: these.")
@click.option("--seeds", default=nextpnr.SEEDS, show_default=True)
@click.option("--jobs", default=1, show_default=True, help="Processes at once.")
@click.option("--again", is_flag=True, help="Also what is built as it was when it was measured.")
def main(only, commit, seeds, jobs, again):
    with sources(commit) as tree, tempfile.TemporaryDirectory(prefix="hwgen-clock-") as work:
        for network in fnmatch.filter(NETWORKS, only):
            folder = Path(work) / network.lower().replace(" ", "_").replace(",", "")
            command = [sys.executable, *NETWORKS[network], str(folder)]
            subprocess.run(command, cwd=tree, env={"PYTHONPATH": str(tree)}, check=True, stdout=subprocess.DEVNULL)
            alone = ALONE.get(network, {})
            built = {"sources": sources_digest(folder, read_manifest(folder)), "seeds": seeds} | alone
            key = f"{network} / {commit or NOW}"
            known = read(RESULTS).get(key, {})
            if again or any(known.get(name) != value for name, value in built.items()):
                record(RESULTS, key, built | {"parts": measure(folder, seeds, jobs, alone)})
    text = tables(read(RESULTS))
    write_document("clock", text, ROOT / "docs/clock.md")
    click.echo(text)


if __name__ == "__main__":
    main()
