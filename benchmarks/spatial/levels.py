"""What `--levels` takes: networks of benchmarks/spatial/networks with a register behind each row of adders, behind two,
and behind three, mapped by yosys as in `python -m benchmarks.spatial`. The table of docs/spatial.md is made from it."""

import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.spatial.intnet import IntNet, names
from benchmarks.spatial.measure import as_mapped
from benchmarks.spatial.ours import example, to_module, wrapped_core
from benchmarks.spatial.tables import table, write_document
from hwgen import build
from hwgen.config import BuildConfig

HEAD = ("network", "rows between registers", "LUT", "FF", "depth", "latency", "LUT against three", "FF against three")
LEVELS = (3, 2, 1)


def mapped(net: IntNet, levels: int) -> dict:
    """lut, ff and depth of the core, and its latency."""
    with TemporaryDirectory() as work:
        folder = Path(work)
        config = BuildConfig(engine="spatial", levels=levels, name=net.name)
        design = build(to_module(net), example(net), out=folder / "build", config=config)
        found = as_mapped(wrapped_core(design, folder), folder / "yosys")
    return found | {"latency": sum(placed.unit.latency for placed in design.placed)}


@click.command(help=__doc__)
@click.option("--only", default="digits_*_p80", show_default=True, help="Networks that match this pattern.")
def main(only):
    rows = []
    for name in fnmatch.filter(names(), only):
        counts = {levels: mapped(IntNet.load(name), levels) for levels in LEVELS}
        for levels, found in counts.items():
            against = [f"{found[key] / counts[LEVELS[0]][key]:.2f}" for key in ("lut", "ff")]
            shown = [f"{found[key]:,}" for key in ("lut", "ff", "depth", "latency")]
            rows.append((name, str(levels), *shown, *against))
            click.echo(" ".join(rows[-1]), err=True)
    text = table(HEAD, rows)
    write_document("spatial.levels", text)
    click.echo(text)


if __name__ == "__main__":
    main()
