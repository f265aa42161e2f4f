"""What units say that they will take, before synthesis, against what yosys makes of them, unit by unit.

DIR are builds. Each unit is synthesized by itself, once: what hwgen synth has counted before is in its cache.
"""

from collections import defaultdict
from pathlib import Path

import click
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from hwgen.flow import read_design, read_manifest
from hwgen.synth import yosys

KEYS = ("LUT", "BRAM36")


@click.command(help=__doc__)
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--jobs", default=2, show_default=True)
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Of counts, as of hwgen synth.")
def main(folders, jobs, cache):
    console = Console(width=140)
    kinds, total = defaultdict(list), []
    table = _table("build", "unit", "kind")
    for folder in folders:
        estimates = {placed.unit.name: placed.unit.estimate() for placed in read_design(folder).placed}
        manifest = read_manifest(folder)
        with console.status(str(folder)) as status:
            result = yosys.synthesize(folder, jobs, manifest["core"], status.update, whole=False, cache=cache)
        for known, unit in zip(manifest["units"], result["units"], strict=True):
            pair = estimates[unit["name"]], unit["resources"]
            kinds[known["kind"]].append(pair)
            total.append(pair)
            table.add_row(manifest["name"], unit["name"], known["kind"], *_cells([pair]))
    console.print(table)
    table = _table("kind", "units", "worst LUT error")
    for kind, pairs in [*sorted(kinds.items()), ("all", total)]:
        worst = max((_error(*pair, "LUT") for pair in pairs), key=abs)
        table.add_row(kind, str(len(pairs)), f"{worst:+.1%}", *_cells(pairs))
    console.print(table)
    console.print(f"yosys {result['version']}; {result['flags']}")


def _table(*names: str) -> Table:
    table = Table(box=MARKDOWN)
    for name in (*names, *(f"{key}: {what}" for key in KEYS for what in ("estimate", "yosys", "error"))):
        table.add_column(name, justify="left" if name in ("build", "unit", "kind") else "right")
    return table


def _cells(pairs: list[tuple[dict, dict]]) -> list[str]:
    cells = []
    for key in KEYS:
        estimate, found = (sum(side[key] for side in sides) for sides in zip(*pairs, strict=True))
        cells += [f"{estimate:g}", f"{found:g}", f"{_error({key: estimate}, {key: found}, key):+.1%}"]
    return cells


def _error(estimate: dict, found: dict, key: str) -> float:
    """Relative to what was found; infinite where nothing was."""
    return estimate[key] / found[key] - 1 if found[key] else float("inf") * estimate[key] if estimate[key] else 0.0


if __name__ == "__main__":
    main()
