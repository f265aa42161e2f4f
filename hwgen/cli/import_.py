from dataclasses import astuple

import click

from hwgen.cli.options import asked_options, target_options
from hwgen.cli.terminal import console, imports, table_of
from hwgen.config import BuildConfig


@click.command("import")
@click.argument("net", metavar="NET")
@click.option(
    "--input",
    "source",
    metavar="X",
    help=".nir: x.npy, frames [samples * steps, ...], or path.py:function: how many spikes are not the equations'.",
)
@target_options
@asked_options
def import_(net, target, near, asked, source):
    """Show what hwgen finds in NET, a network that another tool quantized: layers, widths, scales, what is exact.

    NET is as for hwgen build, which makes what is shown. All that stands in the way is told at once; nothing is
    written.
    """
    config = BuildConfig(target=target, near=near)
    with imports():
        from hwgen import found
        from hwgen.frontend import read_model
        from hwgen.load import load
        from hwgen.passes import run_passes

    with console.status(f"import {net}"):
        model, example_inputs = load(net, target, **asked)
        graph, notes = read_model(model, example_inputs, config.requantization)
        graph = run_passes(graph)
    words = ["layer", "op", "requantized by"]
    table = table_of(
        "layer", "op", "frame", "weights", "integers", "worth", "requantized by", "not as\nrational", words=words
    )
    for row in found.layers(graph, notes):
        table.add_row(*astuple(row))
    console.print(table)
    for line in [*getattr(model, "notes", []), *_compared(net, model, source, asked), *found.summary(notes, target)]:
        click.echo(line)


def _compared(net: str, model, source: str | None, asked: dict) -> list[str]:
    """How far a network is from what its file says, on frames that --input names."""
    if source is None:
        return []
    import numpy as np
    import torch

    from hwgen.formats import compare
    from hwgen.load import load_data

    return compare(net, model, torch.tensor(np.array(load_data(source)[0])), **asked)
