import os

import click

from hwgen.cli.options import (
    FILE,
    count_option,
    edited_option,
    folder_argument,
    input_option,
    mode_option,
    seed_option,
    simulator_option,
    stall_option,
)
from hwgen.cli.terminal import imports, stages
from hwgen.errors import BadInput
from hwgen.folder import writing


@click.command()
@folder_argument
@input_option
@click.option(
    "--output", required=True, type=FILE, help="y.npy to write: float64 [N, ...]; y.npz, if there are several outputs."
)
@count_option
@simulator_option
@stall_option
@seed_option
@mode_option
@click.option(
    "--waves",
    type=FILE,
    metavar="FILE",
    help=(
        "waves.vcd to write: all signals, of memories the first 32 words on Verilator and none on Icarus. "
        "Large: take few frames."
    ),
)
@edited_option
def simulate(folder, sources, output, count, simulator, stall, seed, mode, waves, edited):
    """Run the emitted RTL in DIR on a batch and write what comes out.

    The outputs equal module.double()(x.double()) exactly. Verilog can do what a program can: simulate only a build of
    one whom you trust.
    """
    if not output.parent.is_dir() or not os.access(output if output.exists() else output.parent, os.W_OK):
        raise BadInput("--output cannot be written", str(output), "name a file in a folder of your own")
    with imports():
        import numpy as np

        from hwgen.load import load_batch
        from hwgen.manifest import read_manifest
        from hwgen.simulate import simulate as run

    if len(read_manifest(folder)["outputs"]) > 1 and output.suffix != ".npz":
        raise BadInput("the network has several outputs", str(output), "name a file *.npz")
    x, _ = load_batch(sources, count)
    with stages("simulate", folder, f" on {simulator}"):
        options = {"stall": stall, "seed": seed, "mode": mode}
        y, done = run(folder, x, simulator=simulator, waves=waves, edited=edited, **options)
    with writing(output), output.open("wb") as file:
        np.savez(file, *y) if isinstance(y, tuple) else np.save(file, y)
    shapes = ", ".join(str(list(each.shape)) for each in (y if isinstance(y, tuple) else (y,)))
    click.echo(f"{output}: {shapes} float64, {done.cycles} cycles, the first frame after {done.latency}")
