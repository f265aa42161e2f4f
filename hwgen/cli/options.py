"""Arguments and options of several verbs."""

import functools
from pathlib import Path

import click

from hwgen.config import MEMORIES, MOST_NEAR
from hwgen.protect import NONE
from hwgen.simulators import SIMULATORS
from hwgen.target import EXACT, TARGETS

FILE = click.Path(dir_okay=False, path_type=Path)


FOLDER = click.Path(file_okay=False, path_type=Path)


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


class Mode(click.ParamType):
    """A number, or random."""

    name = "mode"

    def convert(self, value, param, ctx):
        return int(value) if value.isdecimal() else value


mode_option = click.option(
    "--mode",
    type=Mode(),
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
            "--mean-steps",
            type=int,
            help="Where samples of time steps may end early: by how many steps layers are scheduled. Default: by all.",
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
