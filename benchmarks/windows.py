"""Prices of rtl/window.v: random windows through yosys, and the FACTORS of hwgen/units/window.py that fit them best.

What was counted is in windows.json, by seed; `--more` counts others. The factors are fitted to the first FITTED; how
far the price in the code is off is printed of these and of the others.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

import click
import numpy as np
from scipy.optimize import least_squares

from benchmarks import counting
from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.tables import table, write_document
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.ir import TensorType
from hwgen.ops.conv import Conv
from hwgen.qtype import QType
from hwgen.share import share
from hwgen.stage import Stage
from hwgen.units import window

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("windows.json")
FITTED = 90
AT_ONCE = 15  # windows that yosys maps in one run
CLOSE = 5  # LUTs
HEAD = ("windows", "number", "LUT: price", "LUT: yosys", "error", "off on average", f"within {CLOSE} LUTs", "worst")


@dataclass(frozen=True)
class Case:
    """stage -- a convolution that reads the windows; pixels -- of a beat; ahead -- whether that it moves is decided a
    clock before"""

    stage: Stage
    pixels: int
    ahead: bool

    @property
    def instance(self) -> str:
        return f"window #({counting.given(window.parameters(self.stage, self.pixels, 0, self.ahead))})"

    @property
    def features(self) -> dict[str, int]:
        return window.features(self.stage, self.pixels, self.ahead)

    @property
    def says(self) -> int:
        """LUTs of its control, by the price in the code."""
        return window.control_luts(self.stage, self.pixels, self.ahead)

    @property
    def lines(self) -> float:
        """LUTs of its memory of rows."""
        return window.line_memory(self.stage, self.pixels, DEVICE)["LUT"]


def case(seed: int) -> Case:
    """The first of the draws that hwgen can build."""
    random = Random(seed)
    while True:
        stage, pixels = _stage(random), random.choice([1, 1, 1, 2, 4])
        if not window.trivial(stage) and window.obstacle(stage, pixels) is None:
            return Case(stage, pixels, random.random() < 0.4)


def _stage(random: Random) -> Stage:
    rows = random.choice([1, 4, 7, 8, 10, 12, 14, 16, 24, 28, 32, 48])
    columns = random.choice([4, 7, 8, 10, 12, 14, 16, 24, 28, 32, 48, 64, 96])
    whole = (rows, columns) if rows * columns <= 64 else (3, 3)
    high, wide = random.choice([(1, 1), (2, 2), (3, 3), (3, 3), (3, 3), (5, 5), (1, 3), (1, 5), whole])
    high, wide = min(high, rows), min(wide, columns)
    stride = random.choice([(1, 1), (1, 1), (1, 1), (2, 2), (min(3, high), min(3, wide))])
    pads = random.random() < 2 / 3 and high * wide < rows * columns
    pad = (high // 2 * pads, high // 2 * pads, wide // 2 * pads, wide // 2 * pads)
    bits, channels = random.choice([1, 2, 4, 8]), random.choice([1, 2, 3, 4])
    x = TensorType((channels, rows, columns), QType(0, (1 << bits) - 1), 0)
    op = Conv(np.ones((2, channels, high, wide)), np.zeros(2), stride=stride, padding=pad)
    return Stage.alone("layer", op, None, x)


def count(cases: list[Case]) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        instances = [one.instance for one in cases]
        found = counting.count_each(Path(folder), instances, sorted(share("rtl").glob("*.v")))
    return [one["LUT"] for one in found]


def summary(luts: list[float]) -> str:
    """The table of the windows that the factors are fitted to, and of the others."""
    cases = [case(seed) for seed in range(len(luts))]
    counted = np.array(luts) - [one.lines for one in cases]
    says = np.array([one.says for one in cases])
    found = []
    for what, some in (("fitted to", slice(FITTED)), ("others", slice(FITTED, None))):
        off = says[some] - counted[some]
        numbers = f"{says[some].sum():,g}", f"{counted[some].sum():,g}", f"{off.sum() / counted[some].sum():+.1%}"
        each = f"{np.abs(off).mean():.1f}", f"{np.mean(np.abs(off) <= CLOSE):.0%}", f"{off[np.abs(off).argmax()]:+g}"
        found.append((what, str(len(off)), *numbers, *each))
    return table(HEAD, found)


def fitted(luts: list[float]) -> dict[str, float]:
    cases = [case(seed) for seed in range(FITTED)]
    matrix = np.array([[one.features[name] for name in window.FACTORS] for one in cases], float)
    control = np.array(luts[:FITTED]) - [one.lines for one in cases]
    found = least_squares(lambda factors: matrix @ factors - control, list(window.FACTORS.values()), loss="soft_l1").x
    return dict(zip(window.FACTORS, found.tolist(), strict=True))


@click.command(help=__doc__)
@click.option("--more", default=0, help="Windows that are counted too, and kept.")
def main(more):
    luts = read(RESULTS).get("LUT", [])
    end = len(luts) + more
    for start in range(len(luts), end, AT_ONCE):
        luts += count([case(seed) for seed in range(start, min(start + AT_ONCE, end))])
        record(RESULTS, "LUT", luts)
    for name, factor in fitted(luts).items():
        click.echo(f"{name}: {factor:.2f}, in the code {window.FACTORS[name]}")
    text = summary(luts)
    write_document("windows", text, ROOT / "docs" / "synthesis.md")
    click.echo(text)


if __name__ == "__main__":
    main()
