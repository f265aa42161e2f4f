"""Spiking networks: MNIST with leaking neurons, 1-D CNNs converted, hyperspectral patches; accuracy and hardware.

    python -m benchmarks.spiking [--only PATTERN] [--mnist FOLDER]

FOLDER holds MNIST's four idx.gz files; without it nothing is trained on MNIST. A run whose result is in results.json is
not done again. The tables of docs/spiking.md are made from that file. The public series come in a wheel from the
package index, which is not installed.
"""

import fnmatch
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.tables import write_document
from benchmarks.spiking import cubes, hardware, mnist, series

HERE = Path(__file__).parent
RESULTS, DOCUMENT = HERE / "results.json", HERE.parents[1] / "docs" / "spiking.md"


def runs(folder: Path | None) -> dict[str, Callable[[], dict]]:
    found: dict[str, Callable[[], dict]] = {}
    if folder is not None:
        for name, own in mnist.NETS.items():
            for seed in range(own.seeds):
                found[f"mnist / {name} / {seed}"] = partial(mnist.run, name, seed, folder)
    for name in series.SERIES:
        for seed in series.SEEDS:
            found[f"series / {name} / {seed}"] = partial(series.run, name, seed)
    for kind in cubes.KINDS:
        for seed in cubes.SEEDS:
            found[f"cubes / {kind} / {seed}"] = partial(cubes.run, kind, seed)
    for name in hardware.BUILDS:
        found[f"hardware / {name}"] = partial(hardware.run, name)
    return found


@click.command(help=__doc__)
@click.option("--only", default="*", help="Runs that match this pattern.")
@click.option("--mnist", "folder", type=click.Path(path_type=Path, exists=True), help="Folder of MNIST's files.")
def main(only, folder):
    for key, run in runs(folder).items():
        if fnmatch.fnmatch(key, only) and key not in read(RESULTS):
            click.echo(key, err=True)
            record(RESULTS, key, run())
    results = read(RESULTS)
    made = {"mnist": mnist.tables, "series": series.tables, "cubes": cubes.tables, "hardware": hardware.tables}
    for name, make in (made | {"others": hardware.others}).items():
        text = make(results)
        write_document(f"spiking.{name}", text, DOCUMENT)
        click.echo(text)


if __name__ == "__main__":
    main()
