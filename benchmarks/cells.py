"""Products of computed matrices and recurrent cells: what their units say that they take, and what yosys counts."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks import counting
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.grids import limits
from hwgen.ir import Op, TensorType
from hwgen.nn_recurrent import GATES
from hwgen.ops.matmul import MatMul as MatMulOp
from hwgen.ops.quantize import Quantize
from hwgen.ops.recurrent import Recurrent as RecurrentOp
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.units.matmul import MatMul
from hwgen.units.recurrent import Recurrent
from hwgen.units.unit import Unit

# K, rows, columns of a, columns of b; bits of a, b and a result; columns in step, whether in DSP slices
PRODUCTS = (
    ((8, 1, 16, 16), (8, 8, 8), 1, False),
    ((8, 1, 16, 16), (8, 8, 8), 4, False),
    ((8, 1, 16, 16), (8, 8, 8), 4, True),
    ((16, 2, 32, 32), (8, 8, 8), 8, True),
    ((32, 1, 32, 16), (8, 4, 8), 2, False),
    ((32, 1, 32, 16), (4, 4, 6), 16, False),
    ((64, 4, 64, 64), (8, 8, 8), 16, True),
    ((12, 1, 20, 6), (6, 10, 8), 3, True),
)
# kind, units, steps, rows in step, whether in DSP slices, bits of a weight; bits of gate, function, state, hidden state
CELLS = (
    ("lstm", 16, 20, 1, False, 8, (8, 8, 16, 8)),
    ("lstm", 16, 20, 4, False, 4, (8, 8, 16, 8)),
    ("lstm", 32, 28, 4, True, 8, (8, 8, 16, 8)),
    ("lstm", 64, 28, 16, True, 8, (10, 9, 12, 8)),
    ("gru", 16, 20, 1, False, 8, (8, 8, 2, 8)),
    ("gru", 32, 20, 6, True, 6, (8, 8, 2, 8)),
    ("gru", 20, 20, 3, False, 4, (6, 6, 2, 6)),
    ("rnn", 16, 20, 1, False, 8, (8, 8, 2, 8)),
    ("rnn", 32, 20, 8, True, 8, (8, 8, 2, 8)),
)


def stage(name: str, op: Op, quantize: Quantize | None, *kinds: TensorType) -> Stage:
    exact = op.infer(*kinds)
    y = exact if quantize is None else quantize.infer(exact)
    return Stage(name, op, quantize, tuple("ab"[: len(kinds)]), kinds, name, y)


def product(sizes: tuple[int, ...], bits: tuple[int, ...], lanes: int, slices: bool) -> MatMul:
    k, rows, a_columns, b_columns = sizes
    a = TensorType((k, rows, a_columns), QType(*limits(bits[0], True)), 0)
    b = TensorType((k, rows, b_columns), QType(*limits(bits[1], True)), 0)
    quantize = Quantize((bits[0] + bits[1]) // 2, *limits(bits[2], True))
    return MatMul(stage("product", MatMulOp(), quantize, a, b), lanes, slices, DEVICE)


def cell(kind: str, units: int, steps: int, lanes: int, slices: bool, bits: int, formats: tuple[int, ...]) -> Recurrent:
    rng, gates = np.random.default_rng(1), GATES[kind]
    low, high = limits(bits, True)
    weight = rng.integers(low, high + 1, (units * gates, units)) * 2.0 ** (1 - bits)
    gate, function, state, hidden = formats
    numbers = (gate, 4 - gate, function, state, 4 - state, hidden, 1 - hidden)
    bias = rng.integers(-16, 16, units) if kind == "gru" else np.zeros(units, np.int64)
    x = TensorType((units * gates, 1, steps), QType(*limits(gate + 2, True)), 2 - gate)
    return Recurrent(stage("cell", RecurrentOp(kind, weight, bias, *numbers), None, x), lanes, slices, DEVICE)


def count(unit: Unit, widths: dict[str, int]) -> dict[str, float]:
    """What yosys counts of a unit; widths -- of its streams, by their prefixes."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in unit.files().items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        parameters = unit.parameters() | {"XILINX": 1}
        given = counting.given(parameters)
        ports, pins = ["input wire clk", "input wire rst"], [".clk(clk)", ".rst(rst)"]
        for prefix, bits in widths.items():
            into, out = ("output", "input") if prefix in unit.gives else ("input", "output")
            ports += [f"{into} wire [{bits - 1}:0] {prefix}_tdata", f"{into} wire {prefix}_tvalid"]
            ports.append(f"{out} wire {prefix}_tready")
            pins += [f".{prefix}_{end}({prefix}_{end})" for end in ("tdata", "tvalid", "tready")]
        (folder / "wrapped.v").write_text(
            f"module wrapped ({', '.join(ports)});\n{unit.module} #({given}) u ({', '.join(pins)});\nendmodule\n"
        )
        return counting.count(folder, "wrapped", ["wrapped.v"])


@click.command(help=__doc__)
def main():
    shown = Table("unit", "LUT: estimate", "yosys", "error", "BRAM36", "yosys", "DSP", "yosys", box=MARKDOWN)
    for case in PRODUCTS:
        unit = product(*case)
        a, b = unit.stage.types
        widths = {"a_axis": a.qtype.bits, "b_axis": b.qtype.bits, "m_axis": unit.stage.y.qtype.bits}
        says, found = unit.estimate(), count(unit, widths)
        shown.add_row(f"{unit.module} {case}", *_cells(says, found))
    for case in CELLS:
        unit = cell(*case)
        widths = {"s_axis": unit.stage.x.qtype.bits, "m_axis": unit.stage.y.qtype.bits}
        shown.add_row(f"{unit.module} {case}", *_cells(unit.estimate(), count(unit, widths)))
    Console(width=140).print(shown)


def _cells(says: dict[str, float], found: dict[str, float]) -> list[str]:
    cells = [f"{says['LUT']:g}", f"{found['LUT']:g}", f"{says['LUT'] / found['LUT'] - 1:+.0%}"]
    return cells + [f"{of.get(name, 0):g}" for name in ("BRAM36", "DSP") for of in (says, found)]


if __name__ == "__main__":
    main()
