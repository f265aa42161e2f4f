import click

from hwgen.cli.options import count_option, edited_option, folder_argument, input_option
from hwgen.cli.terminal import console, imports, stages, table_of


@click.command()
@folder_argument
@input_option
@count_option
@click.option(
    "--where",
    default="rom,lines,registers,control",
    show_default=True,
    help="What may flip: words of lists and tables; memories of activations; registers; registers that a reset sets.",
)
@click.option("--flips", type=int, default=1000, show_default=True, help="How many, each in a run of its own.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what flips, and when.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Simulators at once.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "rtl"]),
    default="auto",
    show_default=True,
    help="auto: a list that is another network's with the bit flipped is left to the golden model, which is faster.",
)
@edited_option
def faults(folder, sources, count, where, flips, seed, jobs, engine, edited):
    """Flip bits in the running RTL of DIR, one in a run, and count what comes of it.

    Bits and moments are drawn at random, uniformly. Results are kept in DIR/sim/faults: the same command goes on where
    it was cut short, one with more flips adds to them. docs/faults.md tells what the outcomes mean.
    """
    with imports():
        from hwgen.faults import faults as run
        from hwgen.faults.table import HEAD, percent, tables
        from hwgen.load import load_batch

    x, _ = load_batch(sources, count)
    kinds = [kind.strip() for kind in where.split(",") if kind.strip()]
    with stages("faults", folder) as stage:
        result = run(
            folder, x, where=kinds, flips=flips, seed=seed, jobs=jobs, engine=engine, edited=edited, progress=stage
        )
    for title, rows in tables(result).items():
        if title not in ("kind", "layer"):
            continue
        table = table_of(title, *HEAD[1:], words=[title])
        for row in rows:
            table.add_row(*row)
        console.print(table)
    total, engines = result["total"], result["engines"]
    shares = (percent(total[name]) for name in ("wrong_share", "grave_share", "silent_share"))
    click.echo(f"{folder}: {flips:,} flips in {sum(result['bits'].values()):,} bits, with 95 % intervals")
    for text, share in zip(
        ("change an output", "change a class, or hang", "change an output untold"), shares, strict=True
    ):
        click.echo(f"{share} % {text}")
    click.echo(f"{engines['rtl']:,} in the RTL, {engines['golden']:,} on the golden model")
    click.echo(f"{folder / 'sim/faults'}: faults.md (by field too), faults.svg, faults.json")
