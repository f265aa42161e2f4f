import click

from hwgen.cli.options import FILE, FOLDER
from hwgen.cli.terminal import console, imports, table_of


@click.command()
@click.argument("job", metavar="JOB")
@click.option(
    "--recipe",
    "recipe_paths",
    required=True,
    multiple=True,
    type=FILE,
    help="JSON. Several: one for each mode of a build, the widest first, all trained on one set of weights.",
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=FOLDER,
    help="Folder for model.pt2, recipe.json, history.json and the checkpoint; a run cut short goes on from there.",
)
def compress(job, recipe_paths, out):
    """Prune, quantize and train a float network until it fits the hardware: few terms.

    JOB is path.py:function, a function that returns (model, train, validation): a trained module, and batches of (x, y)
    as a DataLoader gives them. The recipe is JSON as hwgen.compress.Recipe.to_json() writes it; {} is the default one.
    What comes out is for hwgen build: DIR/model.pt2.
    """
    with imports():
        from hwgen.compress import Recipe
        from hwgen.compress.job import load, model_of, run, run_modes

    recipes = [Recipe.load(path) for path in recipe_paths]
    if len(recipes) > 1:
        for number, measured in enumerate(run_modes(*load(job), recipes, out, show=console.print)):
            click.echo(f"{out / model_of(number)}: accuracy {measured:.2f} % on the validation batches")
        return
    rows, measured, before = run(*load(job), recipes[0], out, show=console.print)
    table = table_of("layer", "weights", "zeros", "terms", "terms\na frame", "term ROM,\nbits", words=["layer"])
    for row in rows:
        counts = (f"{count:,}" for count in (row.terms, row.terms_per_frame, row.memory_bits))
        table.add_row(row.name, f"{row.weights:,}", f"{1 - row.nonzero / row.weights:.1%}", *counts)
    console.print(table)
    click.echo(f"{out / 'model.pt2'}: accuracy {measured:.2f} % on the validation batches, {before:.2f} % in float")
