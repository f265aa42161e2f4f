"""Runs random networks as RTL against the module itself: python -m tests.fuzz --count 300."""

import sys
import tempfile
import traceback
from itertools import cycle
from pathlib import Path
from random import Random

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from hwgen import build
from hwgen.config import BuildConfig
from hwgen.engines import engines
from hwgen.frontend import import_model
from hwgen.lower import lower
from hwgen.pace import interval_of
from hwgen.passes import run_passes
from hwgen.simulate import simulate
from tests.networks import Network, make_network

SETTLED = 8  # frames after which the median interval is that of a full pipeline


def choice(network: Network) -> BuildConfig:
    """How the network is built: its engines layer by layer."""
    options = {"lanes": network.lanes, "pixels": network.pixels, "levels": network.levels}
    if len(network.engines) == 1 and network.engines != ("spatial",):
        return BuildConfig(engine=network.engines[0], **options)
    stages = lower(run_passes(import_model(network.module, network.example)))
    able = {
        stage.name: {word for one in engines().values() if not one.obstacle(stage) for word in one.families}
        for stage in stages
    }
    chosen = [
        f"{name}={engine if engine in words or engine == 'auto' else 'lanes'}"
        for (name, words), engine in zip(able.items(), cycle(network.engines), strict=False)
    ]
    return BuildConfig(engine=",".join(chosen), **options)


def check(network: Network, folder: Path, simulator: str) -> tuple[int, int] | None:
    """Builds the network, runs its batch, and asserts each value, and without stalls the predicted frame interval.

    Returns without stalls the clocks from frame to frame: predicted, measured.
    """
    design = build(network.module, network.example, out=folder, config=choice(network))
    assert len({placed.unit.name for placed in design.placed}) == len(design.placed)
    x, want = network.x, network.reference()
    if not network.stall:
        times = -(-SETTLED // len(x))
        x, want = x.repeat(times, *[1] * (x.dim() - 1)), want.repeat(times, *[1] * (want.dim() - 1))
    y, run = simulate(folder, x.numpy(), simulator=simulator, stall=network.stall)
    assert y.dtype == np.float64 and y.shape == tuple(want.shape), f"{y.dtype} {y.shape}, not {list(want.shape)}"
    wrong = np.argwhere(y != want.numpy())
    assert len(wrong) == 0, f"{len(wrong)} of {y.size} values differ, the first at {wrong[0].tolist()}"
    if not network.stall:
        predicted = interval_of(design)
        assert run.interval <= predicted, f"a frame takes {run.interval} clocks, predicted were {predicted}"
        return predicted, run.interval
    return None


@click.command()
@click.option("--count", default=300, show_default=True, help="How many networks.")
@click.option("--seed", default=1, show_default=True, help="Another seed gives other networks.")
@click.option("--first", default=0, show_default=True, help="Number of the first network of the seed.")
@click.option("--simulator", type=click.Choice(["icarus", "verilator"]), default="icarus", show_default=True)
def main(count, seed, first, simulator):
    """Build COUNT random networks, simulate each, and compare with PyTorch; exits 1 if any differs.

    Verilator takes ten times as long as Icarus here: it compiles each network.
    """
    console = Console()
    failed, paces = 0, []
    with Progress(console=console) as progress:
        for number in progress.track(range(first, first + count), description="networks"):
            network = make_network(Random(f"{seed}/{number}"))
            with tempfile.TemporaryDirectory(prefix="hwgen-fuzz-") as folder:
                try:
                    paces.append(check(network, Path(folder) / "net", simulator))
                except Exception:
                    failed += 1
                    again = f"python -m tests.fuzz --seed {seed} --first {number} --count 1 --simulator {simulator}"
                    console.print(
                        f"{network}\n{traceback.format_exc()}\nagain: {again}\n",
                        markup=False,
                        highlight=False,
                    )
    click.echo(f"{count} networks on {simulator}, seed {seed}: {failed} failed")
    predicted, measured = np.array([pace for pace in paces if pace], float).reshape(-1, 2).T
    if len(measured):
        over = predicted / measured - 1
        click.echo(
            f"{len(over)} ran without stalls: for {np.count_nonzero(over == 0)} the interval is as predicted, for "
            f"{np.count_nonzero(over > 0)} shorter, for {np.count_nonzero(over < 0)} longer, "
            f"by {-(predicted - measured).min():g} clocks at most; "
            f"predictions are {over.mean():.1%} high on average, at most {over.max():.0%}"
        )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
