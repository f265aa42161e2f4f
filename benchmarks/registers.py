"""Writes the table of docs/registers.md from hwgen/registers.py."""

from pathlib import Path

import click

from benchmarks.spatial.tables import write_document
from hwgen.registers import table

DOCUMENT = Path(__file__).parents[1] / "docs/registers.md"


@click.command(help=__doc__)
def main():
    write_document("registers", table(), DOCUMENT)


if __name__ == "__main__":
    main()
