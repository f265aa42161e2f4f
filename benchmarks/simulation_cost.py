"""What `hwgen verify` takes on Verilator: CPU seconds for LeNet-5 as it is, built again, and with one layer changed.

Each step is a process of its own, as a user runs it. The cache starts with Verilator's own library and without models.
Another commit is measured in turn with the working tree, so that both meet the same machine.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from rich.console import Console
from rich.table import Table

import hwgen.nn  # noqa: F401 -- its operators are in the program
from hwgen.folder import VERIFICATION, read_record

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples/lenet5"
STEPS = {
    "first": ("lenet5.pt2", "model"),
    "built again": ("lenet5.pt2", "model"),
    "in another folder": ("lenet5.pt2", "copy"),
    "other weights in linear2": ("changed.pt2", "model"),
}


def run(tree: Path, cache: Path, *arguments: object) -> tuple[float, float]:
    """CPU and wall seconds of a command of the hwgen in `tree`, with all that it starts."""
    environ = os.environ | {"PYTHONPATH": str(tree), "HWGEN_CACHE": str(cache)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "hwgen", *map(str, arguments)]
    subprocess.run(command, cwd=tree, env=environ, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - start


def change(source: Path, target: Path) -> None:
    """LeNet-5 with the signs of linear2's weights turned in every second row."""
    program = torch.export.load(source)
    with torch.no_grad():
        program.state_dict["linear2.weight"][::2] *= -1
    torch.export.save(program, target)


def step(tree: Path, work: Path, net: Path, folder: str, frames: int, lanes: int) -> list[float]:
    """CPU and wall seconds of verify on a new build, and clocks a CPU second of a second verify, the model at hand."""
    out, x = work / folder, ("--input", f"{EXAMPLE}/model.py:test_data", "--count")
    run(tree, work / "cache", "build", net, "-o", out, "--lanes", lanes, "--name", "lenet5")
    cost = run(tree, work / "cache", "verify", out, *x, 1)
    few, _ = run(tree, work / "cache", "verify", out, *x, 1)
    clocks = (read_record(out / VERIFICATION) or {})["cycles"]
    many, _ = run(tree, work / "cache", "verify", out, *x, frames)
    record = read_record(out / VERIFICATION) or {}
    assert record["equal"] == frames
    return [*cost, (record["cycles"] - clocks) / (many - few)]


@click.command(help=__doc__)
@click.option("--against", metavar="COMMIT", help="Measure this commit too.")
@click.option("--frames", default=1000, show_default=True, help="Test images for the speed of a run.")
@click.option("--lanes", default=16, show_default=True)
def main(against, frames, lanes):
    table = Table(title=f"LeNet-5, {lanes} lanes, verify of one frame on Verilator")
    for column in ("", "hwgen", "CPU s", "wall s", "clocks a CPU s of a run"):
        table.add_column(column)
    with TemporaryDirectory() as place:
        trees, folder = {"here": ROOT}, Path(place)
        if against:
            trees[against] = folder / "tree"
            subprocess.run(
                ["git", "worktree", "add", "-fq", "--detach", folder / "tree", against], cwd=ROOT, check=True
            )
        try:
            change(EXAMPLE / "lenet5.pt2", folder / "changed.pt2")
            (folder / "lenet5.pt2").write_bytes((EXAMPLE / "lenet5.pt2").read_bytes())
            for name, tree in trees.items():  # Verilator's library, and Python's own caches
                step(tree, folder / f"warm {name}".replace(" ", "_"), folder / "lenet5.pt2", "model", 2, 1)
            for what, (net, out) in STEPS.items():
                for number, (name, tree) in enumerate(trees.items()):
                    cpu, wall, speed = step(tree, folder / str(number), folder / net, out, frames, lanes)
                    table.add_row(what, name, f"{cpu:.1f}", f"{wall:.1f}", f"{speed:,.0f}")
        finally:
            if against:
                subprocess.run(["git", "worktree", "remove", "--force", folder / "tree"], cwd=ROOT, check=True)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
