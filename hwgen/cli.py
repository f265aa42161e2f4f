"""The command line: one verb per stage."""

import atexit
import functools
import gc
import logging
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hwgen.board import load_board, read_board
from hwgen.collector import no_collector
from hwgen.config import MEMORIES, MOST_LANES, MOST_NEAR, RESOURCES, BuildConfig
from hwgen.errors import BadInput, HwgenError
from hwgen.folder import SECONDS, read_record, uninterrupted, write_record, writing
from hwgen.ports import narrower
from hwgen.protect import NONE
from hwgen.simulators import SIMULATORS
from hwgen.target import EXACT, TARGETS

console = Console(stderr=True)
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
# what an interrupted verb leaves behind
LEFT = {
    "build": "the folder holds the old build or the whole new one",
    "compress": "the same command goes on after the last whole epoch",
    "faults": "what was tried is kept; the same command does the rest",
    "synth": "what was counted or placed is kept; the same command does the rest",
}
LEFT_BY_OTHERS = "DIR/sim, DIR/synth or DIR/vivado may be incomplete; the next run renews what it needs"


class Verbs(click.Group):
    """Prints an HwgenError as its text, without a traceback."""

    def invoke(self, ctx: click.Context):
        pressed = []

        def interrupt(*_):
            pressed.append(True)
            raise KeyboardInterrupt

        in_main_thread = threading.current_thread() is threading.main_thread()
        handler = signal.signal(signal.SIGINT, interrupt) if in_main_thread else None
        try:
            return super().invoke(ctx)
        except HwgenError as error:
            console.print(str(error), style="red", markup=False, highlight=False)
            sys.exit(1)
        except (KeyboardInterrupt, Exception) as error:
            # an import that Ctrl-C cuts short may swallow it, and what it left undone fails later
            if not pressed and not isinstance(error, KeyboardInterrupt):
                raise
            left = LEFT.get(ctx.invoked_subcommand or "", LEFT_BY_OTHERS)
            console.print(f"interrupted: {left}", style="red", highlight=False)
            sys.exit(130)
        finally:
            if in_main_thread:
                signal.signal(signal.SIGINT, handler)


@contextmanager
def _imports():
    """Of torch and all that it brings, uninterrupted. They make a million objects that stay, and Python's collector
    would visit each of them again and again, at the end of the process too."""
    first = "torch" not in sys.modules
    with no_collector(), uninterrupted():
        yield
    if first:
        gc.freeze()
        atexit.register(gc.freeze)


@contextmanager
def _stages(verb: str, folder: Path, note: str = ""):
    """A spinner with the stage at work; yields the function that names it. The verb's seconds are kept for the
    report."""
    what = f"{verb} {folder}{note}"
    start = time.monotonic()
    with console.status(what) as status:
        yield lambda stage: status.update(f"{what}: {stage}")
    seconds = time.monotonic() - start
    console.print(f"{what}: {seconds:.1f} s")
    path = folder / SECONDS
    write_record(path, (read_record(path) or {}) | {verb: round(seconds, 1)})


def _table(*headers: str, words: list[str]) -> Table:
    """With numbers in all columns but `words`, which alone are wrapped in a narrow terminal."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for header in headers:
        if header in words:
            table.add_column(header, overflow="fold")
        else:
            table.add_column(header, justify="right", no_wrap=True)
    return table


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hwgen")
def main():
    """Turns a pruned, power-of-two or mixed-precision PyTorch network into verified Verilog.

    For example, in a copy of hwgen's repository:

    \b
      hwgen compress examples/digits/train.py:job --recipe examples/digits/recipe.json -o build/compressed
      hwgen build examples/digits/model.py:load -o build/digits
      hwgen verify build/digits --input examples/digits/model.py:test_data
      hwgen synth build/digits
      hwgen report build/digits
    """
    # what torch logs while it exports is not for a user of this command
    logging.getLogger("torch").setLevel(logging.ERROR)


folder_argument = click.argument("folder", metavar="DIR", type=FOLDER)
input_option = click.option(
    "--input",
    "sources",
    required=True,
    multiple=True,
    metavar="X",
    help="x.npy, floats [N, ...] as the module takes them; or path.py:function returning (x, labels). Several inputs: "
    "one after the other, in the module's order, or x.npz of all, by their names.",
)
count_option = click.option("--count", type=click.IntRange(min=1), help="Use only the first COUNT frames.")
simulator_option = click.option(
    "--simulator",
    type=click.Choice(SIMULATORS),
    default="verilator",
    show_default=True,
    help="icarus starts at once and runs slowly; verilator compiles first and runs fast.",
)
stall_option = click.option(
    "--stall",
    type=float,
    default=0.0,
    show_default=True,
    help="Chance that a stream is held up in a clock, on every stream: 0 to 0.99.",
)
seed_option = click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random stalls.")


class _Mode(click.ParamType):
    """A number, or random."""

    name = "mode"

    def convert(self, value, param, ctx):
        return int(value) if value.isdecimal() else value


mode_option = click.option(
    "--mode",
    type=_Mode(),
    metavar="MODE",
    help="Of a build with --modes: that of all frames, from 0, or random. Default: 0 to simulate, random to verify.",
)
edited_option = click.option(
    "--edited", is_flag=True, help="Files of the build, but for golden.*, may have been changed; else that is refused."
)


def hardware_options(command):
    """What a network is made of: options of every verb that chooses units."""
    for option in (
        click.option("--clock", type=float, help="MHz at which frames a second are meant; default: the board's."),
        click.option(
            "--levels",
            type=int,
            default=3,
            show_default=True,
            help="Spatial: rows of adders between two registers; a clamp is one.",
        ),
        click.option(
            "--dsp/--no-dsp",
            default=True,
            help="Whether lanes may be in DSP slices, where a rate or a budget makes that worth it.",
        ),
        click.option(
            "--pixels", type=int, default=1, show_default=True, help="Spatial: at most so many pixels a cycle."
        ),
        click.option(
            "--engine",
            help="lanes (folded), spatial (a pixel a cycle), spikes (folded, of one-bit activations only those that "
            "are 1 take time), auto (the smaller one at the rate), or PATTERN=ENGINE for layers by name; several with "
            "commas between, the last that matches counts. Default: lanes; auto with a rate or a budget.",
        ),
        click.option(
            "--loadable",
            metavar="PATTERNS",
            help="Layers on lanes whose weights a host can replace: names or patterns, several with commas between; "
            "* all.",
        ),
        click.option(
            "--weights-in",
            type=click.Choice(MEMORIES),
            default="bram",
            show_default=True,
            help="Memory of the loadable layers; uram is empty until it is loaded. auto: whichever is better, layer by "
            "layer.",
        ),
        click.option(
            "--protect",
            default=NONE,
            show_default=True,
            metavar="KINDS",
            help="Against flipped bits: none, or parity (lists and line memories tell of one) or ecc (lists put it "
            "right), and tmr-control (control registers in three copies), with commas between.",
        ),
        click.option(
            "--split",
            metavar="PATTERNS",
            help="Layers whose output channels may be on two kinds of lanes, in LUTs by terms and in DSP slices by "
            "weights, where the network is better by it at the rate or in the budget: names or patterns, or *.",
        ),
        click.option(
            "--lanes",
            type=int,
            help="At most so many accumulators per layer, 1 to 4096. Default: 16; all with a rate or a budget.",
        ),
        click.option(
            "--board",
            default="zcu104",
            show_default=True,
            help="A board of boards/, or the path of a .toml file of your own.",
        ),
    ):
        command = option(command)
    return command


def target_options(command):
    """Whose integers a network that another tool quantized shall have."""
    for option in (
        click.option(
            "--near",
            type=click.IntRange(1, MOST_NEAR),
            metavar="BITS",
            help="Multipliers of at most so many bits; where that does not do, some accumulators get another level, as "
            "is told. Default: whatever is exact.",
        ),
        click.option(
            "--target",
            type=click.Choice(TARGETS),
            default=EXACT,
            show_default=True,
            help="Of a network that another tool quantized: rational arithmetic over its scales, or a tool's own "
            "arithmetic.",
        ),
    ):
        command = option(command)
    return command


def asked_options(command):
    """What a NET may not hold itself: of a .nir file. Given to the command as one dict, `asked`."""
    options = (
        click.option("--steps", type=int, help=".nir: time steps of a sample."),
        click.option("--dt", type=float, help=".nir: seconds of a step; 1 where a neuron's r is that of a step."),
        click.option("--reset", metavar="HOW", help=".nir: what a spike does: subtract, zero or none."),
        click.option(
            "--input-grid",
            metavar="BITS[,EXPONENT[,signed]]",
            help=".nir: what numbers the input is: 1 for spikes, 8,-8 for 8 bits worth 2^-8.",
        ),
        click.option(
            "--weight-bits",
            type=int,
            help=".nir: bits of a weight, an integer times a scale of its layer. Default: multiples of a power of two, "
            "or it is refused.",
        ),
        click.option("--guard", type=int, help=".nir: bits of a membrane below the grid of its currents. Default: 8."),
        click.option(
            "--leak-tolerance",
            type=float,
            help=".nir: how far a leak, a sum of at most four powers of two, may be from dt / tau. Default: 2^-12.",
        ),
        click.option("--fire", metavar="WHEN", help=".nir: > (default: the format's) or >= the threshold."),
    )
    names = [option(lambda: None).__click_params__[0].name for option in options]

    @functools.wraps(command)
    def gathered(**values):
        return command(asked={name: values.pop(name) for name in names}, **values)

    for option in reversed(options):
        gathered = option(gathered)
    return gathered


@main.command()
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
    with _imports():
        from hwgen.compress import Recipe
        from hwgen.compress.job import load, model_of, run, run_modes

    recipes = [Recipe.load(path) for path in recipe_paths]
    if len(recipes) > 1:
        for number, measured in enumerate(run_modes(*load(job), recipes, out, show=console.print)):
            click.echo(f"{out / model_of(number)}: accuracy {measured:.2f} % on the validation batches")
        return
    rows, measured, before = run(*load(job), recipes[0], out, show=console.print)
    table = _table("layer", "weights", "zeros", "terms", "terms\na frame", "term ROM,\nbits", words=["layer"])
    for row in rows:
        counts = (f"{count:,}" for count in (row.terms, row.terms_per_frame, row.memory_bits))
        table.add_row(row.name, f"{row.weights:,}", f"{1 - row.nonzero / row.weights:.1%}", *counts)
    console.print(table)
    click.echo(f"{out / 'model.pt2'}: accuracy {measured:.2f} % on the validation batches, {before:.2f} % in float")


@main.command()
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
    with _imports():
        from hwgen import flow
        from hwgen.load import load

    with _stages("build", out) as stage:
        stage("load")
        (model, inputs), *others = [load(each, config.target, **asked) for each in names]
        design = flow.build(model, inputs, out=out, modes=others, config=config, progress=stage)
    table = _table("unit", "kind", "groups\nx lanes", "terms", "cycles\na frame", *RESOURCES, words=["unit"])
    manifest = flow.read_manifest(out)
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


def _compared(net: str, model, source: str | None, asked: dict) -> list[str]:
    """How far a network is from what its file says, on frames that --input names."""
    if source is None:
        return []
    import numpy as np
    import torch

    from hwgen.formats import compare
    from hwgen.load import load_data

    return compare(net, model, torch.tensor(np.array(load_data(source)[0])), **asked)


@main.command("import")
@click.argument("net", metavar="NET")
@click.option(
    "--input",
    "source",
    metavar="X",
    help=".nir: x.npy, frames [samples * steps, ...], or path.py:function: how many spikes are not the equations'.",
)
@target_options
@asked_options
def import_(net, target, near, asked, source):
    """Show what hwgen finds in NET, a network that another tool quantized: layers, widths, scales, what is exact.

    NET is as for hwgen build, which makes what is shown. All that stands in the way is told at once; nothing is
    written.
    """
    config = BuildConfig(target=target, near=near)
    with _imports():
        from hwgen import found
        from hwgen.frontend import read_model
        from hwgen.load import load
        from hwgen.passes import run_passes

    with console.status(f"import {net}"):
        model, example_inputs = load(net, target, **asked)
        graph, notes = read_model(model, example_inputs, config.requantization)
        graph = run_passes(graph)
    words = ["layer", "op", "requantized by"]
    table = _table(
        "layer", "op", "frame", "weights", "integers", "worth", "requantized by", "not as\nrational", words=words
    )
    for row in found.layers(graph, notes):
        table.add_row(*astuple(row))
    console.print(table)
    for line in [*getattr(model, "notes", []), *_compared(net, model, source, asked), *found.summary(notes, target)]:
        click.echo(line)


@main.command()
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
    with _imports():
        from hwgen.flow import read_manifest
        from hwgen.load import load
        from hwgen.weights import load_words

    made = load_words(folder, *(load(net, read_manifest(folder)["target"], **asked) if net else (None, None)))
    made.save(out)
    for layer in made.layers:
        click.echo(f"{layer.name}: {layer.words:,} of {layer.capacity:,} words of {layer.bits} bits")
    click.echo(f"{out}: {len(made.writes):,} writes, for BUILD_ID {made.build_id:#010x}")


@main.command()
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
    with _imports():
        from hwgen.explore import explore as run
        from hwgen.explore import save
        from hwgen.load import load

    with _stages("explore", out) as stage:
        stage("load")
        model, inputs = load(net, config.target, **asked)
        rows = run(model, inputs, config=config, points=points, progress=stage)
        save(rows, out, config, str(net))
    words = ["slowest", "its next step"]
    table = _table("cycles\na frame", "frames/s", *RESOURCES, *words, words=words)
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


@main.command()
@folder_argument
@input_option
@click.option(
    "--output", required=True, type=FILE, help="y.npy to write: float64 [N, ...]; y.npz, if there are several outputs."
)
@count_option
@simulator_option
@stall_option
@seed_option
@mode_option
@click.option(
    "--waves",
    type=FILE,
    metavar="FILE",
    help=(
        "waves.vcd to write: all signals, of memories the first 32 words on Verilator and none on Icarus. "
        "Large: take few frames."
    ),
)
@edited_option
def simulate(folder, sources, output, count, simulator, stall, seed, mode, waves, edited):
    """Run the emitted RTL in DIR on a batch and write what comes out.

    The outputs equal module.double()(x.double()) exactly. Verilog can do what a program can: simulate only a build of
    one whom you trust.
    """
    if not output.parent.is_dir() or not os.access(output if output.exists() else output.parent, os.W_OK):
        raise BadInput("--output cannot be written", str(output), "name a file in a folder of your own")
    with _imports():
        import numpy as np

        from hwgen.flow import read_manifest
        from hwgen.load import load_batch
        from hwgen.simulate import simulate as run

    if len(read_manifest(folder)["outputs"]) > 1 and output.suffix != ".npz":
        raise BadInput("the network has several outputs", str(output), "name a file *.npz")
    x, _ = load_batch(sources, count)
    with _stages("simulate", folder, f" on {simulator}"):
        options = {"stall": stall, "seed": seed, "mode": mode}
        y, done = run(folder, x, simulator=simulator, waves=waves, edited=edited, **options)
    with writing(output), output.open("wb") as file:
        np.savez(file, *y) if isinstance(y, tuple) else np.save(file, y)
    shapes = ", ".join(str(list(each.shape)) for each in (y if isinstance(y, tuple) else (y,)))
    click.echo(f"{output}: {shapes} float64, {done.cycles} cycles, the first frame after {done.latency}")


@main.command()
@folder_argument
@input_option
@count_option
@simulator_option
@stall_option
@seed_option
@mode_option
@edited_option
def verify(folder, sources, count, simulator, stall, seed, mode, edited):
    """Compare the RTL in DIR with the golden integers, frame by frame.

    Exits 0 when all are equal. When one differs, every stream is recorded and the first wrong layer, channel and pixel
    is named.
    """
    with _imports():
        from hwgen.load import load_batch
        from hwgen.verify import verify as compare

    x, labels = load_batch(sources, count)
    with _stages("verify", folder, f" on {simulator}"):
        options = {"stall": stall, "seed": seed, "mode": mode}
        result = compare(folder, x, labels=labels, simulator=simulator, edited=edited, **options)
    accuracy = f", accuracy {result['accuracy']:.2%}" if "accuracy" in result else ""
    if result["edited"]:
        click.echo(
            f"edited since the build: {', '.join(result['edited'])}; what they have for the board's XILINX did not run"
        )
    click.echo(
        f"{folder}: bit-exact {result['equal']} of {result['frames']} frames, {result['cycles']} cycles, "
        f"the first frame after {result['latency']} (predicted {result['predicted_latency']}){accuracy}"
    )
    for number, count in enumerate(result["modes"]):
        share = result["accuracy_of_modes"][number] if "accuracy_of_modes" in result else None
        click.echo(f"mode {number}: {count} frames" + ("" if share is None else f", accuracy {share:.2%}"))
    click.echo(f"compiled in {result['compile_seconds']:.1f} s, simulated in {result['run_seconds']:.1f} s")


@main.command()
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
    with _imports():
        from hwgen.faults import faults as run
        from hwgen.faults.table import HEAD, percent, tables
        from hwgen.load import load_batch

    x, _ = load_batch(sources, count)
    kinds = [kind.strip() for kind in where.split(",") if kind.strip()]
    with _stages("faults", folder) as stage:
        result = run(
            folder, x, where=kinds, flips=flips, seed=seed, jobs=jobs, engine=engine, edited=edited, progress=stage
        )
    for title, rows in tables(result).items():
        if title not in ("kind", "layer"):
            continue
        table = _table(title, *HEAD[1:], words=[title])
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


@main.command()
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
    "--router",
    type=click.Choice(["router1", "router2"]),
    default="router1",
    show_default=True,
    help="nextpnr only: router2 for large spatial layers, with which the other does not end.",
)
@edited_option
def synth(folder, tool, jobs, by_layer, memory, minutes, cache, mode, seeds, freq, router, edited):
    """Synthesize DIR for its board and count what it takes.

    yosys comes with hwgen. It is given every layer by itself, then the core and the AXI top in one piece each; a large
    network wants --by-layer. What did not change since it was counted, in any build, is not synthesized again. nextpnr,
    the extra hwgen[nextpnr], places and routes each layer and the core on an ECP5, which is not the board's device: for
    a clock that was routed, see docs/clock.md. For Vivado the project scripts are written in any case, and run if
    vivado is on PATH. Options are of yosys and nextpnr if they do not say otherwise.
    """
    with _imports():
        from hwgen.flow import read_build
        from hwgen.synth import nextpnr, table, vivado, yosys

    board = read_board(folder, read_build(folder, edited)[0])
    if tool == "vivado":
        for path in vivado.write_project(folder, board):
            click.echo(str(path))
        if shutil.which("vivado") is None:
            click.echo("vivado is not on PATH: the scripts were written, not run")
            return
    with _stages("synth", folder, f" with {tool}") as stage:
        if tool == "vivado":
            result = vivado.run(folder, mode)
        else:
            options = {"whole": not by_layer, "cache": cache, "memory": memory, "minutes": minutes}
            if tool == "nextpnr":
                result = nextpnr.place_and_route(folder, jobs, stage, seeds=seeds, mhz=freq, router=router, **options)
            else:
                result = yosys.synthesize(folder, jobs, progress=stage, **options)
    click.echo(table(result, board))


@main.command()
@folder_argument
@click.option("-o", "--out", required=True, type=FILE, help="File to write: net.qonnx. There must be none yet.")
@click.option("--nir", is_flag=True, help="A spiking network as NIR instead: net.nir, the extra hwgen[nir].")
@click.option(
    "--dt", type=float, help="With --nir: seconds of a time step, of which the file's time constants are made."
)
def export(folder, out, nir, dt):
    """Write the network of DIR as QONNX, for FINN, qonnx and others: the extra hwgen[onnx].

    Weights are floats behind Quant nodes, activations Quant or MultiThreshold nodes; each tensor has its name in
    golden.json and the same values. With --nir a spiking one is written for snnTorch, Norse, spikingjelly and others,
    and what that format does not hold is told.
    """
    if nir != (dt is not None):
        raise BadInput("--nir without --dt, or --dt alone", "--nir, --dt", "give both, as --nir --dt 1e-4")
    if nir:
        with _imports():
            from hwgen.export.nir import export as write_nir

        for note in write_nir(folder, out, dt):
            click.echo(f"not in the file: {note}")
        click.echo(f"{out}: NIR, {out.stat().st_size:,} bytes")
        return
    with _imports():
        from hwgen.export.qonnx import export as write

    for note in write(folder, out):
        click.echo(f"an executor in float32 rounds: {note}")
    click.echo(f"{out}: QONNX, {out.stat().st_size:,} bytes")


@main.command()
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
    with _imports():
        from hwgen import deploy as deploying

    known = deploying.deploy(folder, out, board, clock_mhz)
    for line in known["notes"]:
        click.echo(line)
    click.echo(
        f"{out}: {len(known['files'])} files for {known['board']['name']} at {known['clock_mhz']:g} MHz, BUILD_ID "
        f"{known['build_id']:#010x}"
    )


@main.command()
@folder_argument
def report(folder):
    """Gather what is known of the build in DIR into report.md and report.json, and show it; or of a kit what Vivado
    reported."""
    with _imports():
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
