"""Flipped bits in LeNet-5: `hwgen faults` on each kind of bits, by layer and by field.

A campaign that is cut short goes on with the same command while the folder stays. Written into docs/faults.md with
--write.
"""

import time
from pathlib import Path

import click

import hwgen
from benchmarks.spatial.tables import table, write_document
from hwgen.config import BuildConfig
from hwgen.faults import KINDS, faults
from hwgen.faults.table import HEAD, percent, tables
from hwgen.load import call, load

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples/lenet5"
DOCUMENT = ROOT / "docs/faults.md"
COLUMNS = tuple(name.replace("\n", " ") for name in HEAD)


def built(folder: Path) -> Path:
    """LeNet-5, built once: a new build would lose what is known of it."""
    out = folder / "lenet5"
    if not (out / "hwgen.json").is_file():
        hwgen.build(*load(str(EXAMPLE / "lenet5.pt2")), out=out, config=BuildConfig(name="lenet5"))
    return out


def document(results: dict[str, dict]) -> str:
    """The tables of all kinds; the share of all bits is that of each kind, weighted with its bits."""
    rows = {title: [row for each in results.values() for row in tables(each)[title]] for title in ("kind", "layer")}
    bits = {kind: each["bits"][kind] for kind, each in results.items()}
    every = sum(bits.values())
    kinds = [
        (kind, f"{bits[kind]:,}", *row[1:-1], row[-1], percent(each["total"]["grave_share"]))
        for (kind, each), row in zip(results.items(), rows["kind"], strict=True)
    ]
    mean = {
        name: 100 * sum(bits[kind] * each["total"][name][0] for kind, each in results.items()) / every
        for name in ("wrong_share", "grave_share")
    }
    blank = ("",) * (len(COLUMNS) - 2)
    kinds.append(
        ("all, by their bits", f"{every:,}", *blank, f"{mean['wrong_share']:.1f}", f"{mean['grave_share']:.1f}")
    )
    lists = tables(results["rom"])["field"] if "rom" in results else []
    worst = [
        row
        for kind in ("lines", "registers", "control")
        if kind in results
        for row, each in zip(tables(results[kind])["field"], results[kind]["fields"], strict=True)
        if each["class"] or each["hang"]
    ]
    return "\n".join(
        (
            table((COLUMNS[0], "bits", *COLUMNS[1:], "other class or hang, %"), kinds),
            "By layer:\n",
            table(COLUMNS, rows["layer"]),
            "By field of a list:\n",
            table(COLUMNS, lists),
            "Registers and memories of which a flip changed a class or stopped the network:\n",
            table(COLUMNS, worst),
        )
    )


@click.command(help=__doc__)
@click.option(
    "--folder", type=click.Path(path_type=Path), required=True, help="Where the build and the results are kept."
)
@click.option("--flips", default=2500, show_default=True, help="Of each kind.")
@click.option("--frames", default=400, show_default=True, help="Test images.")
@click.option("--where", default=",".join(KINDS), show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--jobs", default=1, show_default=True)
@click.option("--write", is_flag=True, help="Put the tables into docs/faults.md; for all kinds.")
def main(folder, flips, frames, where, seed, jobs, write):
    build, (x, _) = built(folder), call(f"{EXAMPLE}/model.py:test_data")
    results = {}
    for kind in where.split(","):
        start = time.monotonic()
        results[kind] = faults(build, x[:frames], where=(kind,), flips=flips, seed=seed, jobs=jobs)
        engines = results[kind]["engines"]
        click.echo(f"{kind}: {time.monotonic() - start:.0f} s; {engines['golden']} flips on the golden model")
    text = document(results)
    click.echo(text)
    if write and set(results) == set(KINDS):
        write_document("faults", text, DOCUMENT)


if __name__ == "__main__":
    main()
