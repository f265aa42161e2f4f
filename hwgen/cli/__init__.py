"""The command line: one file per verb, and what an error and Ctrl-C print."""

import logging
import signal
import sys
import threading

import click

from hwgen.cli.build import build
from hwgen.cli.compress import compress
from hwgen.cli.deploy import deploy
from hwgen.cli.explore import explore
from hwgen.cli.export import export
from hwgen.cli.faults import faults
from hwgen.cli.import_ import import_
from hwgen.cli.report import report
from hwgen.cli.simulate import simulate
from hwgen.cli.synth import synth
from hwgen.cli.terminal import console
from hwgen.cli.verify import verify
from hwgen.cli.weights import weights
from hwgen.errors import HwgenError

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


for verb in (build, compress, deploy, explore, export, faults, import_, report, simulate, synth, verify, weights):
    main.add_command(verb)
