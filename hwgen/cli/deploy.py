from pathlib import Path

import click

from hwgen.cli.options import folder_argument
from hwgen.cli.terminal import imports


@click.command()
@folder_argument
@click.option("--board", help="Of the build's device family; default: the board of the build.")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write; new, empty, or an earlier kit.",
)
@click.option("--clock", "clock_mhz", type=float, metavar="MHZ", help="Of the network; default: that of the board.")
def deploy(folder, board, out, clock_mhz):
    """Write all that a board needs to run the build in DIR into one folder, its kit: see docs/board.md."""
    with imports():
        from hwgen import deploy as deploying

    known = deploying.deploy(folder, out, board, clock_mhz)
    for line in known["notes"]:
        click.echo(line)
    click.echo(
        f"{out}: {len(known['files'])} files for {known['board']['name']} at {known['clock_mhz']:g} MHz, BUILD_ID "
        f"{known['build_id']:#010x}"
    )
