"""The networks of docs/networks.md: their sizes as a table, which goes into that document when all are counted."""

import fnmatch
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.networks.count import Size, count
from benchmarks.networks.variants import VARIANTS, Variant, frames
from benchmarks.spatial.run import ROOT
from benchmarks.spatial.tables import table, write_document

HEAD = ("network", "weights", "zeros", "activations", "parameters", "MACs", "terms", "terms a frame", "terms / MAC")


def cells(variant: Variant, size: Size) -> tuple[str, ...]:
    """A row of the table."""
    return (
        variant.topology,
        variant.format,
        f"{size.zeros:.1%}",
        f"{variant.bits} bits",
        f"{size.parameters:,}",
        f"{size.macs:,}",
        f"{size.terms:,}",
        f"{size.terms_per_frame:,}",
        f"{size.terms_per_frame / size.macs:.3f}",
    )


@click.command(help=__doc__)
@click.option("--only", default="*", help="Networks that match this pattern, such as resnet8-pot4-50-a8.")
@click.option(
    "--save", type=click.Path(file_okay=False, path_type=Path), help="Folder for NETWORK.pt2 and NETWORK.npy."
)
@click.option("--frames", "number", default=1, show_default=True, help="Random frames in each NETWORK.npy.")
def main(only, save, number):
    chosen = [variant for variant in VARIANTS if fnmatch.fnmatch(str(variant), only)]
    rows = []
    for variant in chosen:
        model, inputs = variant.build()
        if save:
            save.mkdir(parents=True, exist_ok=True)
            torch.export.save(torch.export.export(model, inputs), save / f"{variant}.pt2")
            np.save(save / f"{variant}.npy", frames(variant.topology, number, seed=1).numpy())
        size = count(model, inputs)
        rows.append(cells(variant, size))
        click.echo(f"{variant}: {size}", err=True)
    text = table(HEAD, rows)
    if len(chosen) == len(VARIANTS):
        write_document("networks", text, ROOT / "docs" / "networks.md")
    click.echo(text)


if __name__ == "__main__":
    main()
