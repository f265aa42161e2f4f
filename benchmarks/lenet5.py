"""LeNet-5 on MNIST: area by layer, cycles a frame, rate at an assumed clock, and what our own tools take."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.netlist import synthesize
from benchmarks.spatial.tables import table, write_document
from hwgen import report, verify
from hwgen.load import call

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples/lenet5"
README = ROOT / "README.md"
COUNTS = ("LUT", "LUTRAM", "FF", "CARRY8", "BRAM36", "DSP")
HEAD = ("most lanes a layer", *COUNTS, "cycles a frame", "frames/s at an assumed 250 MHz")
OURS = ("model to RTL, s", "its memory, MB", "RTL frames/s simulated", "bit-exact")
FOLDS = (1, 4, 16)


def built(count: int, folder: Path) -> tuple[str, str]:
    """Seconds and MB of a build, in a process of its own, as a user runs it: Python's and torch's start are part."""
    start = time.monotonic()
    command = [sys.executable, "-m", "hwgen", "build", str(EXAMPLE / "lenet5.pt2"), "-o", str(folder)]
    subprocess.run([*command, "--lanes", str(count), "--name", "lenet5"], check=True, capture_output=True)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return f"{time.monotonic() - start:.1f}", f"{memory:.0f}"


def layers(folder: Path, core: dict[str, float]) -> str:
    """The part of the report that the README shows; core -- what it takes."""
    values, text = report(folder)
    rows = text[text.index("| unit | kind |") :].split("\n\n")[0].splitlines()
    verified = values["verification"]
    rate = values["rates"][1]["value"]
    said = [
        f"> {verified['equal']} of {verified['frames']} frames equal the golden integers. "
        f"Accuracy on them: {100 * verified['accuracy']:.2f} %.",
        f"> {verified['interval']} cycles from frame to frame, measured: {rate} frames/s at an assumed 250 MHz.",
    ]
    whole, have = synthesize(folder, border=True).counts, values["board"]["resources"]
    area = [("core", core), ("total, with the AXI border", whole), ("zcu104", have)]
    keys = ("LUT", "LUTRAM", "FF", "CARRY8", "BRAM36", "URAM", "DSP")
    numbers = [(name, *(f"{counts[key]:g}" for key in keys)) for name, counts in area]
    return "\n".join(rows) + "\n\n" + "\n".join(said) + "\n\n" + table(("unit", *keys), numbers)


@click.command(help=__doc__)
@click.option("--frames", default=1000, show_default=True, help="Test images simulated.")
@click.option("--lanes", default=FOLDS, multiple=True, show_default=True, help="Folds to build.")
@click.option("--write", is_flag=True, help="Put the tables into README.md; for all folds.")
def main(frames, lanes, write):
    x, labels = call(f"{EXAMPLE}/model.py:test_data")
    rows, ours, shown, tool = [], [], "", ""
    with tempfile.TemporaryDirectory() as folder:
        for count in lanes:
            build = Path(folder) / f"lenet5_{count}"
            took = built(count, build)
            assert verify(build, x[:1])["equal"] == 1  # compiles the simulator
            result = verify(build, x[:frames], labels=labels[:frames])
            netlist = synthesize(build)
            values, _ = report(build)
            numbers = [f"{netlist.counts[key]:g}" for key in COUNTS]
            rows.append((str(count), *numbers, str(result["interval"]), str(values["rates"][1]["value"])))
            speed = f"{frames / result['run_seconds']:.0f}"
            ours.append((str(count), *took, speed, f"{result['equal']} of {result['frames']}"))
            shown, tool = layers(build, netlist.counts) if count == max(lanes) else shown, netlist.tool
    click.echo(table(HEAD, rows))
    click.echo(table((HEAD[0], *OURS), ours))
    click.echo(shown)
    click.echo(f"Nothing was placed or routed. Without the AXI border. {tool}")
    if write and tuple(lanes) == FOLDS:
        write_document("lenet5", table(HEAD, rows), README)
        write_document("lenet5.demo", shown, README)


if __name__ == "__main__":
    main()
