"""LeNet-5 on MNIST: area by layer, cycles a frame, rate at an assumed clock, and what our own tools take."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from hwgen import report, verify
from hwgen.load import call
from hwgen.synth import yosys

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples/lenet5"


@click.command(help=__doc__)
@click.option("--frames", default=1000, show_default=True, help="Test images simulated.")
@click.option("--lanes", default=[1, 4, 16], multiple=True, show_default=True, help="Folds to build.")
def main(frames, lanes):
    x, labels = call(f"{EXAMPLE}/model.py:test_data")
    table = Table(
        "most lanes",
        "LUT",
        "LUTRAM",
        "FF",
        "CARRY8",
        "BRAM36",
        "DSP",
        "cycles a frame",
        "frames/s at 250 MHz*",
        "model to RTL, s",
        "its memory, MB",
        "RTL frames/s simulated",
        "bit-exact",
    )
    console = Console(width=200)
    with tempfile.TemporaryDirectory() as folder:
        for count in lanes:
            build = Path(folder) / f"lenet5_{count}"
            # in a process of its own, as a user runs it: Python's and torch's start are part of the time
            start = time.monotonic()
            command = [
                sys.executable,
                "-m",
                "hwgen",
                "build",
                str(EXAMPLE / "lenet5.pt2"),
                "-o",
                str(build),
                "--lanes",
                str(count),
            ]
            subprocess.run([*command, "--name", "lenet5"], check=True, capture_output=True)
            seconds = time.monotonic() - start
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            first = verify(build, x[:1])  # compiles the simulator
            result = verify(build, x[:frames], labels=labels[:frames])
            area = yosys.synthesize(build, jobs=2)
            values, _ = report(build)
            total = area["core"]
            cells = [total[key] for key in ("LUT", "LUTRAM", "FF", "CARRY8", "BRAM36", "DSP")]
            table.add_row(
                *map(
                    str,
                    [count, *cells, result["interval"], values["rates"][1]["value"], f"{seconds:.1f}", f"{memory:.0f}"],
                ),
                f"{frames / result['run_seconds']:.0f}",
                f"{result['equal']} of {result['frames']}",
            )
            assert first["equal"] == 1
    console.print(table)
    console.print(
        f"* an assumption: nothing was placed or routed. Without the AXI border. {area['version']}; {area['flags']}"
    )


if __name__ == "__main__":
    main()
