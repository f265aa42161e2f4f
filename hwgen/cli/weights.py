import click

from hwgen.cli.options import FILE, asked_options, folder_argument
from hwgen.cli.terminal import imports
from hwgen.errors import BadInput


@click.command()
@folder_argument
@click.argument("net", metavar="[NET]", required=False)
@click.option(
    "-o",
    "--out",
    required=True,
    type=FILE,
    help="File to write; what it holds is told in a .json file beside it.",
)
@asked_options
def weights(folder, net, out, asked):
    """Write what a host must write to the registers of the build in DIR to load the weights of NET.

    NET is the network of DIR with other weights, as hwgen build takes it; without it, the build's own weights are
    meant. The file is a list of 32-bit pairs, little-endian: the offset of a register, and what is written there.
    """
    if out.suffix == ".json":
        raise BadInput("a .json file of that name goes beside it", str(out), "name it weights.bin")
    with imports():
        from hwgen.load import load
        from hwgen.manifest import read_manifest
        from hwgen.weights import load_words

    made = load_words(folder, *(load(net, read_manifest(folder)["target"], **asked) if net else (None, None)))
    made.save(out)
    for layer in made.layers:
        click.echo(f"{layer.name}: {layer.words:,} of {layer.capacity:,} words of {layer.bits} bits")
    click.echo(f"{out}: {len(made.writes):,} writes, for BUILD_ID {made.build_id:#010x}")
