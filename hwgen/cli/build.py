from pathlib import Path

import click

from hwgen.board import load_board
from hwgen.cli.options import asked_options, hardware_options, target_options
from hwgen.cli.terminal import console, imports, stages, table_of
from hwgen.config import RESOURCES, BuildConfig
from hwgen.errors import BadInput
from hwgen.ports import narrower


@click.command()
@click.argument("net", metavar="[NET]", required=False)
@click.option(
    "--modes",
    metavar="NET,NET,...",
    help="In the place of NET: networks of one structure, of which a frame runs one, as register MODE says.",
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write; new, empty, or an earlier build.",
)
@hardware_options
@target_options
@asked_options
@click.option("--fps", type=float, help="Frames a second that the network must reach, with the least area.")
@click.option("--budget", help="What it may take, as fast as it can be: 60%, or LUT=100000,BRAM36=50%.")
@click.option(
    "--stream-bits",
    type=int,
    metavar="BITS",
    help="Of every AXI-Stream, a power of two from 8 to 1024. Default: of each, as the network's beat.",
)
@click.option(
    "--load-stream", is_flag=True, help="Weights of loadable layers come over an AXI-Stream too, by a DMA engine."
)
@click.option("--name", default="", help="Name of the Verilog modules; default: the folder's name.")
def build(net, modes, out, name, asked, **choices):
    """Write the RTL of NET into a folder.

    NET is a file that torch.export.save wrote (net.pt2), a quantized network of another tool (net.onnx, net.tflite), a
    spiking one (net.nir, and what it does not hold as options), or path.py:function, a function that returns (module,
    example_inputs). Weights are taken by value and must be integers times a scale; activations meet hwgen.nn.ActQuant,
    or another quantizer, before each layer.
    """
    names = [part.strip() for part in modes.split(",")] if modes else [net]
    if bool(net) == bool(modes) or not all(names):
        raise BadInput(
            "both NET and --modes" if net else "no network",
            "NET, --modes",
            "name NET, or with --modes one for each mode",
        )
    config = BuildConfig(name=name, **choices)
    board = load_board(config.board)
    with imports():
        from hwgen import flow
        from hwgen.load import load
        from hwgen.manifest import read_manifest

    with stages("build", out) as stage:
        stage("load")
        (model, inputs), *others = [load(each, config.target, **asked) for each in names]
        design = flow.build(model, inputs, out=out, modes=others, config=config, progress=stage)
    table = table_of("unit", "kind", "groups\nx lanes", "terms", "cycles\na frame", *RESOURCES, words=["unit"])
    manifest = read_manifest(out)
    for unit in manifest["units"]:
        fold = f"{unit['groups']} x {unit['lanes']}" if "lanes" in unit else "-"
        estimate = unit["estimate"]
        row = (unit["name"], unit["kind"], fold, str(unit.get("terms", "-")), f"{unit['cycles']:,}")
        table.add_row(*row, *(f"{estimate.get(name, 0):,.10g}" for name in RESOURCES))
    table.add_row("AXI border", *"---", "-", *(f"{manifest['border'].get(name, 0):,.10g}" for name in RESOURCES))
    console.print(table)
    takes = ", ".join(f"{n:,.10g} {name} ({board.share(name, n):.1%})" for name, n in design.estimate().items())
    rate = config.hertz(board) / manifest["interval"]
    for line in manifest["substitutions"]:
        click.echo(line)
    if manifest["requantizations"]:
        for line in manifest["exactness"]:
            click.echo(line)
    most = "at most " if any(unit.get("varies") for unit in manifest["units"]) else ""
    click.echo(
        f"{out}: {len(design.placed)} units, {most}{manifest['interval']:,} cycles from frame to frame, "
        f"{manifest['latency']:,} for the first (predicted)"
    )
    for line in narrower(manifest):
        click.echo(line)
    for number, mode in enumerate(manifest["modes"]):
        click.echo(f"mode {number}, {names[number]}: {mode['interval']:,} cycles from frame to frame (predicted)")
    click.echo(
        f"estimated {takes} of {board.name}; {rate:,.0f} frames/s at an assumed {config.hertz(board) / 1e6:g} MHz"
    )
