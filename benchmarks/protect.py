"""What protection takes of LeNet-5, and what it makes of flipped bits: the tables of docs/protect.md, with --write.

The area is of the core, by the flags of hwgen synth. Flips are those of `hwgen faults`, in the RTL. A campaign that is
cut short goes on with the same command while the folder stays.
"""

from pathlib import Path

import click

import hwgen
from benchmarks.netlist import synthesize
from benchmarks.spatial.tables import table, write_document
from hwgen.codes import code
from hwgen.config import BuildConfig
from hwgen.faults import faults
from hwgen.flow import read_design
from hwgen.folder import read_record, write_record
from hwgen.lanes.unit import TermLanes
from hwgen.load import call, load
from hwgen.manifest import read_manifest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples/lenet5"
DOCUMENT = ROOT / "docs/protect.md"
OPTIONS = ("none", "parity", "ecc", "tmr-control", "ecc,tmr-control")
COUNTS = ("LUT", "FF", "LUTRAM", "BRAM36")
HEAD = ("--protect", *COUNTS, "times the LUT", "list bits", "times the bits", "cycles a frame", "first frame")
# what flips in which build
CAMPAIGNS = (("parity", "rom"), ("ecc,tmr-control", "rom"), ("ecc,tmr-control", "control"))
FLIPS_HEAD = ("--protect", "what flips", "flips", "masked", "other integers", "other class", "hang")
FLIPS_HEAD = (*FLIPS_HEAD, "detected", "repaired", "wrong and not detected", "its share of flips, 95 %")


def built(protect: str, folder: Path) -> Path:
    """LeNet-5, built once: a new build would lose what is known of it."""
    out = folder / protect.replace(",", "_")
    if not (out / "hwgen.json").is_file():
        config = BuildConfig(lanes=16, name="lenet5", protect=protect)
        hwgen.build(*load(str(EXAMPLE / "lenet5.pt2")), out=out, config=config)
    return out


def area(build: Path) -> dict[str, float]:
    """Of the core; counted once."""
    kept = build / "core.json"
    found = read_record(kept)
    if not found:
        found = {name: count for name, count in synthesize(build).counts.items() if name in COUNTS}
        write_record(kept, found)
    return found


def list_bits(build: Path) -> int:
    """Bits of all lists, with their check bits."""
    units = [placed.unit for placed in read_design(build).placed]
    return sum(
        unit.rom.depth * (unit.rom.width + len(code(unit.protect, unit.rom.width)))
        for unit in units
        if isinstance(unit, TermLanes)
    )


def prices(builds: dict[str, Path]) -> str:
    """The table of areas."""
    areas, bits = {name: area(build) for name, build in builds.items()}, {n: list_bits(b) for n, b in builds.items()}
    rows = []
    for name, build in builds.items():
        known, own = read_manifest(build), areas[name]
        numbers = [f"{own.get(count, 0):g}" for count in COUNTS]
        luts, lists = own["LUT"] / areas["none"]["LUT"], bits[name] / bits["none"]
        rows.append((name, *numbers, f"{luts:.2f}", f"{bits[name]:,}", f"{lists:.2f}", f"{known['interval']:,}"))
        rows[-1] += (f"{known['latency']:,}",)
    return table(HEAD, rows)


def flipped(protect: str, where: str, result: dict) -> tuple[str, ...]:
    """A row of the table of flips."""
    total = result["total"]
    counts = [
        total[name] for name in ("flips", "masked", "integers", "class", "hang", "detected", "repaired", "silent")
    ]
    share = " to ".join(f"{100 * end:.2f} %" for end in total["silent_share"][1:])
    return (protect, where, *(f"{count:,}" for count in counts), share)


@click.command(help=__doc__)
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where builds and results are kept.")
@click.option("--flips", default=2500, show_default=True, help="Of each campaign; 0: areas alone.")
@click.option("--frames", default=100, show_default=True, help="Test images.")
@click.option("--jobs", default=1, show_default=True)
@click.option("--write", is_flag=True, help="Put the tables into docs/protect.md.")
def main(folder, flips, frames, jobs, write):
    builds = {name: built(name, folder) for name in OPTIONS}
    text = prices(builds)
    click.echo(text)
    if flips:
        x, _ = call(f"{EXAMPLE}/model.py:test_data")
        rows = []
        for protect, where in CAMPAIGNS:
            options = {"where": (where,), "flips": flips, "jobs": jobs, "engine": "rtl"}
            rows.append(flipped(protect, where, faults(builds[protect], x[:frames], **options)))
            click.echo(f"{protect}, {where}: done")
        text += "\n" + table(FLIPS_HEAD, rows)
    click.echo(text)
    if write:
        write_document("protect", text, DOCUMENT)


if __name__ == "__main__":
    main()
