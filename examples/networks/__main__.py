"""Five networks from float to RTL: trained, compressed, built and simulated.

python -m examples.networks [NAME ...] prints, for each, the score on test frames of the float network, of the
compressed one, and of the RTL, which is held against the golden integers word by word.
"""

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from torch import nn

import hwgen
from examples.networks import detector, keywords, mobilenet, tcn, unet
from examples.networks.task import Answers, Task
from hwgen.board import load_board
from hwgen.compress import Recipe, convert, prepare
from hwgen.compress.formats import Uniform
from hwgen.manifest import read_manifest

TASKS = {
    "unet": unet.TASK,
    "tcn": tcn.TASK,
    "mobilenet": mobilenet.TASK,
    "detector": detector.TASK,
    "keywords": keywords.TASK,
}
BATCH, BOARD = 50, "zcu104"


def train(model: nn.Module, task: Task, epochs: int, rate: float, step=lambda done: None) -> None:
    """Adam with a cosine rate; `step` is called with 0 to 1 before each batch."""
    x, y = task.data(True)
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), rate)
    count = epochs * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, count)
    model.train()
    for done in range(count):
        if done % (len(x) // BATCH) == 0:
            order = torch.randperm(len(x)).split(BATCH)
        chosen = order[done % (len(x) // BATCH)]
        step(done / count)
        optimizer.zero_grad()
        task.loss(model(x[chosen]), y[chosen]).backward()
        optimizer.step()
        schedule.step()
    model.eval()


@torch.no_grad()
def score(model: nn.Module, task: Task) -> float:
    x, y = task.data(False)
    return task.score(model(x), y)


def compressed(name: str) -> tuple[nn.Module, float]:
    """The network on its grids, and the score of the float network."""
    task = TASKS[name]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = task.model()
    train(model, task, task.epochs, 4e-3)
    example = task.data(False)[0][:1]
    recipe = Recipe(weights=Uniform(5), granularity="channel", activation_bits=task.activation_bits, quantize_from=0.0)
    prepared = prepare(model, recipe, (example,))
    train(prepared, task, task.epochs // 2, 1e-3, prepared.step)
    return convert(prepared), score(model, task)


def run(name: str, frames: int) -> tuple:
    """Trains, builds and simulates; a row of the table."""
    task, begun = TASKS[name], time.process_time()
    network, in_float = compressed(name)
    seconds = time.process_time() - begun
    x, y = task.data(False)
    with TemporaryDirectory() as folder:
        design = hwgen.build(network, (x[:1],), out=Path(folder) / name)
        interval = read_manifest(Path(folder) / name)["interval"]
        found, _ = hwgen.simulate(Path(folder) / name, x[:frames].numpy(), stall=0.1)
    answers: Answers = torch.from_numpy(found) if not isinstance(found, tuple) else tuple(map(torch.from_numpy, found))
    golden = design.graph.golden(x[:frames])
    got = answers if isinstance(answers, tuple) else (answers,)
    if not all(torch.equal(one, other) for one, other in zip(got, golden, strict=True)):
        raise SystemExit(f"{name}: the RTL does not give the golden integers")
    rate = load_board(BOARD).clock_mhz * 1e6 / interval
    percent = [in_float, score(network.double(), in_double(task)), task.score(answers, y[:frames])]
    cost = [round(design.estimate()[what]) for what in ("LUT", "BRAM36")]
    return name, task.measure, *(f"{p:.1f}" for p in percent), *cost, f"{rate:,.0f}", round(seconds)


def in_double(task: Task) -> Task:
    """The task in float64, in which a compressed network is exact."""
    return replace(task, data=lambda training: (task.data(training)[0].double(), task.data(training)[1]))


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(list(TASKS)))
@click.option("--frames", default=40, show_default=True, help="Test frames through the RTL.")
def main(names: tuple[str, ...], frames: int):
    heads = ("network", "score, %", "float", "compressed", f"RTL, {frames} frames", "LUT", "BRAM36")
    table = Table(
        *heads, f"frames/s at an assumed {load_board(BOARD).clock_mhz:g} MHz", "training, CPU s", box=MARKDOWN
    )
    for name in names or TASKS:
        table.add_row(*map(str, run(name, frames)))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
