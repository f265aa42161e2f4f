"""Functions that are two lines, one below zero and one from zero on, as arithmetic: rtl/two_lines.v."""

from dataclasses import dataclass
from math import frexp

import numpy as np

from hwgen.engines import engine
from hwgen.engines.beats import BeatEngine, Beats
from hwgen.lanes.price import clamp_luts
from hwgen.ops.lookup import Lookup as LookupOp
from hwgen.ops.quantize import UNBOUNDED, end_parameters
from hwgen.qtype import signed_width
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.terms import term_table
from hwgen.units.unit import BeatByBeat
from hwgen.verilog import signed64

LINE_BITS = 22  # of an activation of which a line is worked out
MULTIPLIER_BITS = 24  # of a line's factor
NO_BIAS = 2.0**52
MOST_BITS = 48  # of a product
NEGATED = 1.6  # LUTs of a bit that is negated on one side (python -m benchmarks.tables)


@dataclass(frozen=True)
class TwoLinesBeats(Beats):
    engine = "two_lines"


@engine
class TwoLinesEngine(BeatEngine[TwoLinesBeats]):
    name = "two_lines"
    choice = TwoLinesBeats
    passes_order = True

    def obstacle(self, stage):
        if not isinstance(stage.op, LookupOp):
            return "it is no function of one activation"
        return None if stage.once("lines", lambda: lines_of(stage)) else "it is no two lines"

    def unit(self, stage, choice, orders, context):
        return TwoLines(stage, orders[0])


@dataclass(frozen=True)
class Lines:
    """clamp((x * slopes[x >= 0] + starts[x >= 0]) >> drop, low, high)"""

    slopes: tuple[int, int]
    starts: tuple[int, int]
    drop: int
    low: int
    high: int

    def sums(self, low: int, high: int) -> list[int]:
        """What comes before the clamp, at the ends of both lines; low, high -- of the activations."""
        ends = [(0, low), (0, min(-1, high))] if low < 0 else []
        ends += [(1, max(0, low)), (1, high)] if high >= 0 else []
        return [self.slopes[side] * x + self.starts[side] for side, x in ends]


def lines_of(stage: Stage) -> Lines | None:
    """The two lines whose results are all those of a stage's table; None where there are none of MOST_BITS."""
    op, (low, high) = stage.op, (stage.x.qtype.low, stage.x.qtype.high)
    assert isinstance(op, LookupOp)
    x = np.arange(low, high + 1)
    levels = op.table[x - op.first]
    least, most = int(levels.min()), int(levels.max())
    found = [fit(x[side], levels[side], least, most) for side in (x < 0, x >= 0)]
    if None in found:
        return None
    (slope_below, start_below, below), (slope, start, above) = (one or (0, 0, 0) for one in found)
    drop = max(below, above)  # further zeros below change nothing
    slopes = slope_below << (drop - below), slope << (drop - above)
    starts = start_below << (drop - below), start << (drop - above)
    lines = Lines(slopes, starts, drop, least, most)
    return lines if signed_width(min(lines.sums(low, high)), max(lines.sums(low, high))) <= MOST_BITS else None


def fit(x: np.ndarray, levels: np.ndarray, low: int, high: int) -> tuple[int, int, int] | None:
    """(slope, start, drop) of a line of slope zero or a power of two, whose clamped results are `levels`; None where
    none does."""
    if len(x) < 2:
        return (0, int(levels[0]), 0) if len(x) else (0, 0, 0)
    inside = np.flatnonzero((levels > low) & (levels < high))
    if len(inside) > 1 and levels[inside[-1]] != levels[inside[0]]:
        rise = float(levels[inside[-1]] - levels[inside[0]]) / int(inside[-1] - inside[0])
    else:  # nearly from one end to the other at once, or never; a level that stays n long rises 1 / n each time
        steps = np.diff(levels)
        rise = float(steps[np.argmax(np.abs(steps))]) / max(1, len(inside))
    near = frexp(abs(rise))[1]
    sign = -1.0 if rise < 0 else 1.0
    slopes = 0.0, *(sign * 2.0 ** (near + step) for step in (0, -1, 1, -2, 2, -3))
    # first without the clamp: a line of which all results are at one end has no other bound
    ends = (-UNBOUNDED, UNBOUNDED), (low, high)
    found = (fit_line(x, levels, slope, *each) for each in ends for slope in slopes)
    return next((line for line in found if line is not None), None)


def fit_line(x: np.ndarray, levels: np.ndarray, slope: float, low: int, high: int) -> tuple[int, int, int] | None:
    """The (multiplier, bias, shift) of least shift with clamp((multiplier * x + bias) >> shift, low, high) ==
    clamp(levels, low, high) for all x, int64; None if no multiplier of MULTIPLIER_BITS bits has it.

    slope -- of the levels before they were rounded: the multiplier is the nearest to it, or one beside that; each x
    then bounds the bias from below, from above, or both
    """
    clipped = np.clip(levels, low, high).astype(np.float64)
    over, under = levels > low, levels < high
    floats = x.astype(np.float64)

    def at(shift: int) -> tuple[int, int, int] | None:
        nearest = round(slope * 2**shift)
        for multiplier in (nearest, nearest - 1, nearest + 1):
            product = multiplier * floats  # exact: below 2^53
            bottom = (clipped * 2.0**shift - product)[over].max(initial=-NO_BIAS)
            top = ((clipped + 1) * 2.0**shift - product)[under].min(initial=NO_BIAS) - 1
            if bottom <= top and abs(multiplier) < 1 << MULTIPLIER_BITS:
                return multiplier, _roundest(int(bottom), int(top)), shift
        return None

    # with a shift that does any greater one does, until the multiplier is too wide
    most = range(MULTIPLIER_BITS + LINE_BITS, 0, -1)
    widest = next((n for n in most if abs(slope) * 2.0**n + 2 < 1 << MULTIPLIER_BITS), 0)
    first, last = 0, widest
    while first < last:
        middle = (first + last) // 2
        first, last = (first, middle) if at(middle) else (middle + 1, last)
    return at(first)


def _roundest(low: int, high: int) -> int:
    """The number from low to high with the most zeros at its end."""
    for zeros in range(62, -1, -1):
        candidate = -(-low >> zeros) << zeros
        if candidate <= high:
            return candidate
    return low


@dataclass(frozen=True, eq=False)
class TwoLines(BeatByBeat):
    """order -- of its input and its output"""

    stage: Stage
    order: Order
    module = "two_lines"

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def lines(self) -> Lines:
        lines = self.stage.once("lines", lambda: lines_of(self.stage))
        assert lines is not None
        return lines

    def note(self):
        return f"{self.name}: {self.stage.op}, {self.stage.x} -> {self.stage.y}"

    @property
    def ends(self) -> dict[str, int]:
        """LOW and HIGH of the clamp, where a sum may pass them."""
        lines, x = self.lines, self.stage.x.qtype
        sums = [value >> lines.drop for value in lines.sums(x.low, x.high)]
        return {
            "LOW": lines.low if min(sums) < lines.low else -UNBOUNDED,
            "HIGH": lines.high if max(sums) > lines.high else UNBOUNDED - 1,
        }

    @property
    def bits(self) -> int:
        x, lines = self.stage.x.qtype, self.lines
        sums = lines.sums(x.low, x.high)
        return max(signed_width(min(sums), max(sums)), x.bits, lines.drop + 1)

    def parameters(self):
        x, lines = self.stage.x.qtype, self.lines
        return {
            "N": self.order.side,
            "X_W": x.bits,
            "X_SIGNED": int(x.signed),
            "W": self.bits,
            "SLOPE_BELOW": signed64(lines.slopes[0]),
            "SLOPE": signed64(lines.slopes[1]),
            "START_BELOW": signed64(lines.starts[0]),
            "START": signed64(lines.starts[1]),
            "DROP": lines.drop,
            "OUT_W": self.stage.y.qtype.bits,
            **end_parameters(self.ends),
        }

    def estimate(self):
        lines, y = self.lines, self.stage.y.qtype
        more = len(term_table(np.array([lines.slopes]))) - sum(slope != 0 for slope in lines.slopes)
        low, high = self.ends.values()
        luts = clamp_luts(self.bits - lines.drop, y.bits, low, high) + more * self.bits
        if min(lines.slopes) < 0:
            luts += NEGATED * self.bits
        elif lines.starts != (0, 0) or 0 not in lines.slopes:  # else it is the activation, or zero
            luts += self.bits - lines.drop
        return {"LUT": round(2 + self.order.side * luts), "BRAM36": 0}
