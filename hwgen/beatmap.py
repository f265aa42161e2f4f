"""A Move on a stream: which beat of its input each beat of its output is, and how hardware gets from one to the other.

What keeps the order of beats needs no memory: `Steps`, three loops. Anything else is read from a memory of the smallest
blocks that hold all that they need: `Blocks`, and each is read in a `Nest` of loops.
"""

from dataclasses import dataclass
from functools import cached_property
from math import gcd, prod

import numpy as np

from hwgen.ops.move import NOWHERE as ZERO
from hwgen.ops.move import separated
from hwgen.stream import Order

FREE = -2  # a lane without a pixel: it may carry anything
MOST_PLACES = 2048  # of a loop whose places are listed one by one
MOST_LOOPS = 6


@dataclass(frozen=True, eq=False)
class BeatMap:
    """Beat n that is sent is beat source[n] of those taken, or zeros where that is ZERO; its activation m is activation
    wires[m] of that beat, or zero where that is ZERO.

    taken, sent -- the orders of the streams
    """

    taken: Order
    sent: Order
    source: np.ndarray
    wires: tuple[int, ...]

    @staticmethod
    def of(index: np.ndarray, taken: Order, sent: Order) -> "BeatMap | None":
        """Of a Move's index; None where some beat holds activations of several, or not all choose alike."""
        comes = taken.indices()
        place = np.empty(prod(taken.shape), np.int64)
        place[comes[comes >= 0]] = np.flatnonzero(comes >= 0)
        leaves = sent.indices()
        wanted = np.where(leaves < 0, FREE, index.reshape(-1)[leaves])
        at = np.where(wanted < 0, wanted, place[np.maximum(wanted, 0)]).reshape(-1, sent.side)
        full = at >= 0
        beat, lane = at // taken.side, at % taken.side
        source, wires = _common(beat, full, 1), _common(lane, full, 0)
        if source is None or wires is None:
            return None
        # a zero is that of a whole beat, or of a wire that never carries anything
        carried = (source[:, None] >= 0) & (wires[None, :] >= 0)
        if (carried & (at == ZERO)).any():
            return None
        return BeatMap(taken, sent, source, tuple(wires.tolist()))

    @property
    def straight(self) -> bool:
        """Whether all activations of a beat stay where they are."""
        return self.wires == tuple(range(self.taken.side))

    @property
    def passes(self) -> bool:
        """Whether each beat that is taken is sent, in order."""
        return len(self.source) == self.taken.beats and bool((self.source == np.arange(self.taken.beats)).all())

    @cached_property
    def needs(self) -> np.ndarray:
        """For each beat that is sent, how many must have come, if none before it waits for a later one."""
        return np.maximum.accumulate(self.source + 1)

    @cached_property
    def steps(self) -> "Steps | None":
        """Three loops that keep the order of beats; None where it is not kept, or the loops' lists would be long."""
        most = MOST_PLACES if self.taken.beats > 1 else self.sent.beats
        found = None
        for dims in _dimensions(self.taken, self.sent):
            steps = Steps.of(self.source, *dims) if max(map(max, dims)) <= most else None
            if steps is not None and max(steps.counts) <= most and (found is None or steps.cycles < found.cycles):
                found = steps
            if found is not None and found.cycles == max(self.taken.beats, self.sent.beats):
                break
        return found

    @cached_property
    def blocks(self) -> "Blocks":
        return Blocks.of(self)


def _common(values: np.ndarray, full: np.ndarray, axis: int) -> np.ndarray | None:
    """The one value along an axis where `full`, ZERO where there is none; None where there are several."""
    low = np.where(full, values, np.iinfo(np.int64).max).min(axis=axis)
    high = np.where(full, values, ZERO).max(axis=axis)
    return None if (low < high).any() else high


def _grid(order: Order) -> tuple[int, int, int]:
    """Beats of a frame as rows, beats that bring another place of a row, and beats of such a place."""
    channels, rows, columns = order.shape
    if order.pixels and order.side > 1:
        return rows, columns // order.pixels, 1
    return rows, order.stripe if order.side > 1 else columns, channels


def _dimensions(taken: Order, sent: Order) -> list[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """How the beats of both may be counted in three loops."""
    merges = (
        lambda r, c, k: (r, c, k),
        lambda r, c, k: (1, r * c, k),
        lambda r, c, k: (1, r, c * k),
        lambda r, c, k: (1, 1, r * c * k),
    )
    return [(merge(*_grid(taken)), merge(*_grid(sent))) for merge in merges]


@dataclass(frozen=True, eq=False)
class Steps:
    """Three loops, the outermost first: whether a step at a place of each may take a beat, may send one, and whether
    that is zero; bool [places, 3]. taken, sent -- of each loop, the beats that it would take and send by itself."""

    loops: tuple[np.ndarray, np.ndarray, np.ndarray]
    taken: tuple[int, int, int]
    sent: tuple[int, int, int]

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(len(loop) for loop in self.loops)

    @property
    def cycles(self) -> int:
        return prod(self.counts)

    @staticmethod
    def of(source: np.ndarray, taken: tuple[int, int, int], sent: tuple[int, int, int]) -> "Steps | None":
        """taken, sent -- beats of three loops each."""
        lines = separated(source.reshape(sent), taken)
        if lines is None:
            return None
        loops = []
        for i in range(3):
            loop = _loop(lines[i], taken[i], once=prod(taken[i + 1 :]) > 1)
            if loop is None:
                return None
            loops.append(loop)
        return Steps((loops[0], loops[1], loops[2]), taken, sent)


def _loop(line: np.ndarray, count: int, once: bool) -> np.ndarray | None:
    """The places of a loop that sends `line`, of `count` that come; None if its order is another. once -- none is sent
    several times."""
    kept = line[line >= 0]
    if (np.diff(kept) < (1 if once else 0)).any():
        return None
    left_out = np.setdiff1d(np.arange(count), kept)
    # a zero comes right behind what was sent before it
    when = np.concatenate([np.maximum.accumulate(line), left_out])
    next_one = np.full(len(line), count)
    is_kept = np.flatnonzero(line >= 0)
    next_one[is_kept[:-1]] = kept[1:]
    kinds = np.zeros((len(when), 3), bool)
    kinds[: len(line), 0] = (line >= 0) & (next_one != line)
    kinds[: len(line), 1] = True
    kinds[: len(line), 2] = line < 0
    kinds[len(line) :, 0] = True
    return kinds[np.argsort(when, kind="stable")]


@dataclass(frozen=True, eq=False)
class Blocks:
    """count -- blocks of a frame; taken, sent -- beats of one; order -- which beat of a block each is that is sent"""

    count: int
    taken: int
    sent: int
    order: np.ndarray

    @staticmethod
    def of(beats: BeatMap) -> "Blocks":
        """The smallest of two beats and more of which each needs but itself, that are whole rows of both frames, or of
        which whole ones are a row."""
        taken, sent, source = beats.taken.beats, beats.sent.beats, beats.source
        rows = beats.taken.shape[1], beats.sent.shape[1]
        counts = [n for n in _divisors(gcd(taken, sent)) if taken // n > 1]
        for count in reversed(counts):
            whole = rows[0] % count == rows[1] % count == 0
            part = rows[0] == rows[1] and count % rows[0] == 0
            parts = source.reshape(count, -1)
            first = np.arange(count)[:, None] * (taken // count)
            inside = (parts < 0) | ((parts >= first) & (parts < first + taken // count))
            own = np.where(parts < 0, ZERO, parts - first)
            if (whole or part) and inside.all() and (own == own[0]).all():
                return Blocks(count, taken // count, sent // count, own[0])
        raise AssertionError("a frame of one beat needs no memory")

    @cached_property
    def nest(self) -> "Nest":
        return Nest.of(self.order)


def _divisors(n: int) -> list[int]:
    small = [i for i in range(1, int(n**0.5) + 1) if n % i == 0]
    return sorted({*small, *(n // i for i in small)})


@dataclass(frozen=True, eq=False)
class Nest:
    """A sequence as runs: each begins at starts[r], or is zeros where that is ZERO, and goes through loops, the
    innermost first, of counts[i] rounds, each steps[i] further."""

    starts: np.ndarray
    counts: tuple[int, ...]
    steps: tuple[int, ...]

    @staticmethod
    def of(order: np.ndarray) -> "Nest":
        """The longest runs that loops from the inside to the outside give."""
        starts, counts, steps = order, [], []
        while len(starts) > 1 and len(counts) < MOST_LOOPS:
            found = _innermost(starts)
            if found is None:
                break
            count, step = found
            counts.append(count)
            steps.append(step)
            starts = starts[::count]
        if not counts:
            counts, steps = [1], [0]
        return Nest(starts, tuple(counts), tuple(steps))

    def places(self) -> np.ndarray:
        """The sequence."""
        inside = np.zeros(1, np.int64)
        for count, step in zip(self.counts, self.steps, strict=True):
            inside = (np.arange(count)[:, None] * step + inside).reshape(-1)
        return np.where(self.starts[:, None] < 0, ZERO, self.starts[:, None] + inside).reshape(-1)


def _innermost(starts: np.ndarray) -> tuple[int, int] | None:
    """The rounds of the longest loop of which a sequence consists, and its step; None if there is none."""
    there = np.flatnonzero(starts >= 0)
    for count in reversed(_divisors(len(starts))[1:]):
        parts = starts.reshape(-1, count)
        zeros = parts < 0
        if (zeros != zeros[:, :1]).any():
            continue
        if not len(there):
            return count, 0
        whole = parts[~zeros[:, 0]]
        step = int(whole[0, 1] - whole[0, 0])
        if (np.diff(whole, axis=1) == step).all():
            return count, step
    return None
