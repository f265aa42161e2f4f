"""What `hwgen build` itself takes: CPU seconds by stage, and memory, of a small, a middle and a large network.

Everything is in, from the start of Python and the import of torch on. A loaded machine inflates CPU seconds too; of
several runs the least is printed, and above the table what importing torch alone takes on the same machine.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {
    "LeNet-5": "examples/lenet5/lenet5.pt2",
    "digits": "examples/digits/model.py:load",
    "ResNet-8": "resnet8-pot4-50-a4",
    "MobileNetV1-224": "mobilenet_224-pot4-50-a4",
}
STAGES = ("imports", "load", "import", "schedule", "emit", "lint", "write", "table")


def build(arguments: list[str]) -> None:
    """`hwgen build` with these arguments; prints the CPU seconds of its stages as JSON."""
    times = {"imports": time.process_time()}
    from hwgen.cli import main
    from hwgen.cli.terminal import imports

    with imports():  # as the command does
        import hwgen.flow
        import hwgen.load

    times["load"] = time.process_time()
    inner = hwgen.flow.build

    def outer(*inputs, progress, **options):
        def stage(name: str) -> None:
            times[name] = time.process_time()
            progress(name)

        design = inner(*inputs, progress=stage, **options)
        times["table"] = time.process_time()
        return design

    hwgen.flow.build = outer
    main(["build", *arguments], standalone_mode=False)
    ends = [*times.values(), time.process_time()][1:]
    spent = {name: end - begin for (name, begin), end in zip(times.items(), ends, strict=True)}
    spent["imports"] += times["imports"]  # and the start of Python
    Path(arguments[-1]).with_suffix(".json").write_text(json.dumps(spent))


def run(net: str, options: list[str]) -> dict[str, float]:
    """CPU seconds in all and by stage, and MB at most, of a process that builds a network."""
    with TemporaryDirectory() as folder:
        out = str(Path(folder) / "net")
        command = [sys.executable, "-m", "benchmarks.own_cost", "--child", "--", net, *options, "-o", out]
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        if status:
            raise click.ClickException(f"{' '.join(command)} failed")
        stages = json.loads(Path(out).with_suffix(".json").read_text())
    return {"CPU s": used.ru_utime + used.ru_stime, "peak MB": used.ru_maxrss / 1024, **stages}


def torch_alone() -> float:
    """CPU seconds of a process that imports torch."""
    child = subprocess.Popen([sys.executable, "-c", "import torch"])
    _, _, used = os.wait4(child.pid, 0)
    return used.ru_utime + used.ru_stime


def network(name: str, keep: Path) -> tuple[str, list[str]]:
    """What a network is to `hwgen build`, and the options that it is built with; one of benchmarks.networks is made
    once, in a folder."""
    from benchmarks.networks.build import FPS, OPTIONS, of

    net = NETWORKS[name]
    if "." in net:
        return net, []
    path = keep / f"{net}.pt2"
    if not path.is_file():
        save = [sys.executable, "-m", "benchmarks.networks", "--only", net, "--save", str(keep)]
        subprocess.run(save, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return str(path), ["--fps", str(of(FPS, net)), "--clock", "250", *of(OPTIONS, net)]


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(list(NETWORKS)), help="These networks; default: all.")
@click.option("--runs", default=1, show_default=True)
@click.option(
    "--keep", default=ROOT / "build" / "networks", type=click.Path(path_type=Path), help="Folder of the networks."
)
@click.option("--child", is_flag=True, hidden=True)
@click.argument("arguments", nargs=-1)
def main(only, runs, keep, child, arguments):
    if child:
        build(list(arguments))
        return
    keys = ("CPU s", "peak MB", *STAGES)
    click.echo(f"importing torch: {min(torch_alone() for _ in range(runs)):.1f} CPU s\n")
    click.echo(f"| network | {' | '.join(keys)} |\n|---|{'---:|' * len(keys)}")
    for name in only or NETWORKS:
        net, options = network(name, keep.resolve())
        least = min((run(net, options) for _ in range(runs)), key=lambda found: found["CPU s"])
        cells = (f"{least.get(key, 0):,.{0 if key == 'peak MB' else 1}f}" for key in keys)
        click.echo(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
