import sys

import click
from rich.console import Console

from hwgen.cli.options import folder_argument
from hwgen.cli.terminal import imports


@click.command()
@folder_argument
def report(folder):
    """Gather what is known of the build in DIR into report.md and report.json, and show it; or of a kit what Vivado
    reported."""
    with imports():
        from rich.markdown import Markdown

        from hwgen import deploy as deploying
        from hwgen.report import report as gather

    if deploying.is_kit(folder):
        click.echo(deploying.report_kit(folder)[1])
        return
    _, text = gather(folder)
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        click.echo(text)
    click.echo(
        f"{folder}: report.md and report.json (this), rtl/ and rom/ (the design), hwgen.json (what was built), "
        "golden.* (its integers), sim/ and synth/ (runs and logs)"
    )
