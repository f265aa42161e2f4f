import shutil

import click

from hwgen.board import read_board
from hwgen.cli.options import FOLDER, edited_option, folder_argument
from hwgen.cli.terminal import imports, stages


@click.command()
@folder_argument
@click.option("--tool", type=click.Choice(["yosys", "nextpnr", "vivado"]), default="yosys", show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Processes at once.")
@click.option("--by-layer", is_flag=True, help="Not the whole, flattened; the sum of the parts stands for it.")
@click.option("--memory", type=click.FloatRange(min=0, min_open=True), help="GB that a process may take.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="How long a part may take.")
@click.option(
    "--cache",
    type=FOLDER,
    help="Where counts are kept; else in HWGEN_CACHE of the environment, else in a folder of the user's.",
)
@click.option(
    "--mode",
    type=click.Choice(["synth", "implement"]),
    default="synth",
    show_default=True,
    help="vivado only: synthesize the core out of context, or implement the AXI top.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="nextpnr only: of placement.")
@click.option(
    "--freq",
    type=click.FloatRange(min=1),
    default=250,
    show_default=True,
    help="nextpnr only: the MHz that placement aims at.",
)
@click.option(
    "--strategy",
    type=click.Choice(["own", "timing", "wires"]),
    default="own",
    show_default=True,
    help="nextpnr only: timing looks at slow paths more than at the length of all wires, for a core of several units; "
    "wires is for large spatial layers, with a --freq that can be reached, else it does not end.",
)
@edited_option
def synth(folder, tool, jobs, by_layer, memory, minutes, cache, mode, seeds, freq, strategy, edited):
    """Synthesize DIR for its board and count what it takes.

    yosys comes with hwgen. It is given every layer by itself, then the core and the AXI top in one piece each; a large
    network wants --by-layer. What did not change since it was counted, in any build, is not synthesized again. nextpnr,
    the extra hwgen[nextpnr], places and routes each layer and the core on an ECP5, which is not the board's device: for
    a clock that was routed, see docs/clock.md. For Vivado the project scripts are written in any case, and run if
    vivado is on PATH. Options are of yosys and nextpnr if they do not say otherwise.
    """
    with imports():
        from hwgen.manifest import read_build
        from hwgen.synth import nextpnr, table, vivado, yosys

    board = read_board(folder, read_build(folder, edited)[0])
    if tool == "vivado":
        for path in vivado.write_project(folder, board):
            click.echo(str(path))
        if shutil.which("vivado") is None:
            click.echo("vivado is not on PATH: the scripts were written, not run")
            return
    with stages("synth", folder, f" with {tool}") as stage:
        if tool == "vivado":
            result = vivado.run(folder, mode)
        else:
            options = {"whole": not by_layer, "cache": cache, "memory": memory, "minutes": minutes}
            if tool == "nextpnr":
                options |= {"seeds": seeds, "mhz": freq, "strategy": strategy}
                result = nextpnr.place_and_route(folder, jobs, stage, **options)
            else:
                result = yosys.synthesize(folder, jobs, progress=stage, **options)
    click.echo(table(result, board))
