import click

from hwgen.board import load_board
from hwgen.cli.options import FOLDER, asked_options, hardware_options, target_options
from hwgen.cli.terminal import console, imports, stages, table_of
from hwgen.config import MOST_LANES, RESOURCES, BuildConfig


@click.command()
@click.argument("net", metavar="NET")
@click.option("-o", "--out", required=True, type=FOLDER, help="Folder for the picture and tables.")
@hardware_options
@target_options
@asked_options
@click.option("--points", type=click.IntRange(2, 100), default=12, show_default=True, help="Rates to look at.")
def explore(net, out, points, asked, **choices):
    """What NET costs at every rate: the frontier, and which layer stands in the way.

    Writes frontier.svg and frontier.json into a folder, from estimates: nothing is built. The least interval comes
    first; --fps or --budget of hwgen build then make one of the points.
    """
    given = {name: value for name, value in choices.items() if value is not None}
    config = BuildConfig(**{"engine": "auto", "lanes": MOST_LANES} | given)
    board = load_board(config.board)
    with imports():
        from hwgen.explore import explore as run
        from hwgen.explore import save
        from hwgen.load import load

    with stages("explore", out) as stage:
        stage("load")
        model, inputs = load(net, config.target, **asked)
        rows = run(model, inputs, config=config, points=points, progress=stage)
        save(rows, out, config, str(net))
    words = ["slowest", "its next step"]
    table = table_of("cycles\na frame", "frames/s", *RESOURCES, *words, words=words)
    for row in rows:
        slowest = max(row["layers"], key=lambda layer: layer["cycles"])
        step = "-"
        if slowest["next"]:
            more = [f"{slowest[f'more_{name}']:+,.10g} {name}" for name in RESOURCES if slowest[f"more_{name}"]]
            step = f"{slowest['next']}: {slowest['next_cycles']:,} cycles, {', '.join(more) or 'for nothing'}"
        table.add_row(
            f"{row['interval']:,}",
            f"{row['fps']:,.0f}",
            *(f"{row[name]:,.10g}" for name in RESOURCES),
            f"{slowest['layer']}: {slowest['choice']}",
            step,
        )
    console.print(table)
    click.echo(f"{out / 'frontier.svg'}: {len(rows)} points, rates at an assumed {config.hertz(board) / 1e6:g} MHz")
