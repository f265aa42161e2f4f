"""What only moves activations: what hwgen/units/resample.py and gather.py say that it takes, and what yosys counts."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks import counting
from hwgen.board import load_board
from hwgen.engines import Context
from hwgen.engines.move import MoveBeats, MoveEngine
from hwgen.ir import TensorType
from hwgen.ops.move import Move
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.units.unit import Unit

BITS = 8  # of an activation
WRAPPER = """module wrapped (
    input wire clk, input wire rst, input wire [{taken}:0] s, input wire s_valid, output wire s_ready,
    output wire [{sent}:0] m, output wire m_valid, input wire m_ready
);
    {module} #({parameters}) u_moved (
        .clk(clk), .rst(rst), .s_axis_tdata(s), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
        .m_axis_tdata(m), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
    );
endmodule
"""


def _reflected(index: np.ndarray) -> np.ndarray:
    return np.pad(index, ((0, 0), (1, 1), (1, 1)), mode="reflect")


def _shuffled(index: np.ndarray) -> np.ndarray:
    return np.random.default_rng(1).permutation(index.reshape(-1)).reshape(index.shape)


def _pixel_shuffled(index: np.ndarray) -> np.ndarray:
    channels, rows, columns = index.shape
    parts = index.reshape(channels // 4, 2, 2, rows, columns)
    return parts.transpose(0, 3, 1, 4, 2).reshape(channels // 4, 2 * rows, 2 * columns)


# name: shape, numpy's view of the places, how the stream comes
CASES = {
    "view": ((16, 8, 8), lambda p: p.reshape(16, 1, 64), MoveBeats()),
    "crop": ((16, 28, 28), lambda p: p[:, 2:-2, 2:-2], MoveBeats()),
    "crop of pixels": ((16, 28, 28), lambda p: p[:, 2:-2, 2:-2], MoveBeats(1, 1, 1)),
    "half of the channels": ((32, 14, 14), lambda p: p[:16], MoveBeats()),
    "half of the channels, pixels": ((32, 14, 14), lambda p: p[:16], MoveBeats(1, 1, 1)),
    "last column": ((24, 1, 100), lambda p: p[:, :, -1:], MoveBeats()),
    "every second row, lanes": ((8, 16, 16), lambda p: p[:, ::2], MoveBeats(4)),
    "zeros around": ((16, 14, 14), lambda p: np.pad(p, ((0, 0), (1, 1), (1, 1)), constant_values=-1), MoveBeats()),
    "zeros around pixels": (
        (16, 14, 14),
        lambda p: np.pad(p, ((0, 0), (1, 1), (1, 1)), constant_values=-1),
        MoveBeats(1, 1, 1),
    ),
    "nearest, twice": ((16, 14, 14), lambda p: p.repeat(2, 1).repeat(2, 2), MoveBeats()),
    "nearest, twice, pixels": ((16, 14, 14), lambda p: p.repeat(2, 1).repeat(2, 2), MoveBeats(1, 1, 2)),
    "transposed": ((16, 1, 64), lambda p: p.transpose(2, 1, 0), MoveBeats()),
    "large, transposed": ((64, 1, 196), lambda p: p.transpose(2, 1, 0), MoveBeats()),
    "flipped": ((8, 14, 14), lambda p: p[:, :, ::-1], MoveBeats()),
    "pixel shuffle": ((16, 8, 8), _pixel_shuffled, MoveBeats()),
    "channel shuffle": (
        (32, 14, 14),
        lambda p: p.reshape(2, 16, 14, 14).swapaxes(0, 1).reshape(32, 14, 14),
        MoveBeats(),
    ),
    "expanded over a frame": ((64, 1, 1), lambda p: p.repeat(14, 1).repeat(14, 2), MoveBeats()),
    "reflected": ((8, 14, 14), _reflected, MoveBeats()),
    "any permutation": ((16, 8, 8), _shuffled, MoveBeats()),
    "any permutation of 48": ((48, 1, 1), _shuffled, MoveBeats()),
}


def unit(name: str, board: str) -> Unit:
    shape, view, choice = CASES[name]
    index = view(np.arange(int(np.prod(shape))).reshape(shape))
    stage = Stage.alone(
        "moved", Move(index), None, TensorType(shape, QType(-(1 << (BITS - 1)), (1 << (BITS - 1)) - 1), 0)
    )
    return MoveEngine().unit(stage, choice, [choice.order(shape)], Context(load_board(board).device, 1))


def count(moved: Unit, sides: tuple[int, int]) -> dict[str, float]:
    """What yosys counts of it; sides -- activations in a beat in, and in one out."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in moved.files().items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        given = counting.given(moved.parameters())
        taken, sent = (BITS * side - 1 for side in sides)
        text = WRAPPER.format(taken=taken, sent=sent, module=moved.module, parameters=given)
        (folder / "wrapped.v").write_text(text)
        return counting.count(folder, "wrapped", ["wrapped.v"])


@click.command(help=__doc__)
@click.option("--only", default="", help="Cases whose name holds this.")
def main(only):
    shown = Table("move", "module", "LUT: estimate", "yosys", "BRAM36: estimate", "yosys", box=MARKDOWN)
    for name in CASES:
        if only in name:
            moved = unit(name, "zcu104")
            says, parameters = moved.estimate(), moved.parameters()
            found = count(moved, (parameters["N"], parameters["M"]))
            cells = name, moved.module, says["LUT"], found["LUT"], says["BRAM36"], found["BRAM36"]
            shown.add_row(*(f"{cell:g}" if isinstance(cell, int | float) else cell for cell in cells))
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
