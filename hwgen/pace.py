"""How many cycles a frame takes when units wait for each other: the network, row by row.

`Unit.cycles` is what a unit takes when its input is always there and its output always taken. But most units hold nothing: they take
a row while they send one, so a row goes through all of them at once, as fast as the slowest; and while one of them is in the padding
of its frame, those before it stand still. Only line memories and FIFOs part those who fill them from those who empty them.

So the network is a set of walks, one for a unit that holds nothing, two for one that holds rows. A walk goes through a frame in
steps, and in each takes a row, or sends one, or both, or neither. A step begins when the walks before and behind are at the step of
the same row, when the rows that it reads are in memory, and when the row that it writes has room there. It takes that room when it
begins, though its first beat comes later; so this is rather too slow than too fast. What happens within a row is seen only as far
as `Step` says: that can be a few clocks a frame, either way.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from hwgen.units.stream_fifo import StreamFifo
from hwgen.units.stream_fork import StreamFork
from hwgen.units.term_lanes import HANDOVER, Rows, TermLanes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwgen.design import Design, Placed, Stream

MOST_FRAMES = 12  # until two frames take the same; nearly always the third and fourth do


def interval(design: Design) -> int:
    """Cycles between two frames in the long run."""
    walks = _walks(design)
    events: list[tuple[float, int]] = []
    ends: list[float] = []
    slowest = max(placed.unit.cycles() for placed in design.placed)
    now = 0.0
    while len(ends) < MOST_FRAMES:
        for together in _ready(walks):
            for walk, cycles in _start(together, now).items():
                heapq.heappush(events, (now + cycles, walk.number))
        assert events, "all rows wait for each other: a FIFO is too small, or hwgen/pace.py is wrong"
        now = events[0][0]
        while events and events[0][0] == now:
            walk = walks[heapq.heappop(events)[1]]
            walk.finish(now)
            if walk.last and walk.at == 0:
                ends.append(now)
        if len(ends) > 3 and abs(ends[-1] - 2 * ends[-2] + ends[-3]) < 0.5:
            return max(slowest, ceil(ends[-1] - ends[-2] - 0.5))
    return max(slowest, ceil(np.diff(ends)[-(MOST_FRAMES // 2) :].mean() - 0.5))


@dataclass(frozen=True)
class Step:
    """takes, sends -- whether a row; cycles -- when nobody else is slower; beats -- of the row that is sent; quiet -- cycles in which
    none of them is, whoever takes them"""

    takes: bool
    sends: bool
    cycles: int
    beats: int = 1
    quiet: int = 0


@dataclass(eq=False)
class Ring:
    """The line memory of lanes, or a FIFO: rows `written` since the start; `free`, since when each slot without a row can be written."""

    rows: Rows
    handover: int = 0
    written: int = 0

    def __post_init__(self):
        self.free = deque([0.0] * self.rows.ring)

    def holds(self, frame: int, row: int) -> bool:
        """Whether all is there that an output row reads."""
        rows = self.rows
        reach = rows.last_step if row == rows.out_rows - 1 else rows.need
        return self.written >= frame * (rows.pad_top + rows.rows + rows.pad_bottom) + row * rows.step + reach

    def give(self, row: int, now: float) -> None:
        """Back what an output row no longer needs."""
        count = self.rows.last_step if row == self.rows.out_rows - 1 else self.rows.step
        self.free.extend([now + self.handover] * count)


@dataclass(eq=False)
class Walk:
    """steps -- of a frame
    fills, empties -- the memory that it writes, and reads
    lanes -- whether it is lanes at work: its next step may begin before those behind have taken its row
    before, behind -- whose rows it takes, and who takes its own
    last -- whether it sends the network's output
    """

    steps: list[Step]
    fills: Ring | None = None
    empties: Ring | None = None
    lanes: bool = False
    before: list[Walk] = field(default_factory=list)
    behind: list[Walk] = field(default_factory=list)
    last: bool = False
    number: int = 0
    frame: int = 0
    at: int = 0  # the step
    row: int = 0  # the next one to send
    busy: bool = False

    @property
    def step(self) -> Step:
        return self.steps[self.at]

    def idle(self) -> bool:
        """Whether its next step could begin, were those around it at theirs."""
        return (
            not self.busy
            and (self.fills is None or bool(self.fills.free))
            and (self.empties is None or self.empties.holds(self.frame, self.row))
        )

    def partners(self) -> list[Walk]:
        """Whom its next step needs."""
        return [*(self.before if self.step.takes else ()), *(self.behind if self.step.sends else ())]

    def meets(self, idle: set[Walk]) -> bool:
        """Whether its partners are at the step of the same row."""
        return all(other in idle and self in other.partners() for other in self.partners())

    def start(self, now: float) -> float:
        """Returns its own cycles, those until its slot can be written among them."""
        self.busy = True
        late = 0.0 if self.fills is None else max(0.0, self.fills.free.popleft() - now)
        return self.step.cycles + late

    def finish(self, now: float) -> None:
        if self.fills is not None:
            self.fills.written += 1
        if self.empties is not None and self.step.sends:
            self.empties.give(self.row, now)
        self.busy = False
        self.row += self.step.sends
        self.at += 1
        if self.at == len(self.steps):
            self.frame, self.row, self.at = self.frame + 1, 0, 0


def _ready(walks: list[Walk]) -> Iterator[list[Walk]]:
    """Those whose next steps can begin, in groups that go together."""
    idle = {walk for walk in walks if walk.idle()}
    while lonely := {walk for walk in idle if not walk.meets(idle)}:
        idle -= lonely
    for walk in walks:
        group = [walk] if walk in idle else []
        for member in group:
            idle.discard(member)
            found = dict.fromkeys(other for other in member.partners() if other in idle)
            group += found
            idle -= found.keys()
        if group:
            yield group


def _start(together: list[Walk], now: float) -> dict[Walk, float]:
    """The cycles until each ends: all of them with the slowest, but lanes run on."""
    cycles: dict[Walk, float] = {}
    for walk in sorted(together, key=lambda walk: walk.number, reverse=True):
        own, step = walk.start(now), walk.step
        behind = max((cycles[other] for other in walk.behind if step.sends), default=0.0)
        # a slower reader makes each beat wait but the last
        cycles[walk] = max(own, step.quiet + 1 + behind * (1 - 1 / step.beats)) if behind else own
    slowest = max(cycles.values())
    return {walk: cycles[walk] if walk.lanes else slowest for walk in together}


def _walks(design: Design) -> list[Walk]:
    """In the order of the design."""
    beats = _row_beats(design.input)
    first = Walk([Step(False, True, beats, beats)] * design.input.order.shape[1])
    walks, senders = [first], {design.input.name: first}
    for placed in design.placed:
        before = [senders[stream.name] for stream in placed.inputs]
        if isinstance(placed.unit, StreamFork) or (isinstance(placed.unit, StreamFifo) and not _capacity(placed)):
            senders |= {stream.name: before[0] for stream in placed.outputs}
            continue
        own = _of_unit(placed)
        own[0].before = before
        for walk in before:
            walk.behind.append(own[0])
        senders[placed.outputs[0].name] = own[-1]
        walks += own
    senders[design.output.name].last = True
    for number, walk in enumerate(walks):
        walk.number = number
    return walks


def _of_unit(placed: Placed) -> list[Walk]:
    """The walk that takes its input, and the one that sends its output, if that is another."""
    unit, rows = placed.unit, placed.inputs[0].order.shape[1]
    taken, sent = _row_beats(placed.inputs[0]), _row_beats(placed.outputs[0])
    if isinstance(unit, TermLanes):
        ring, padding = Ring(unit.rows, HANDOVER), Step(False, False, 1)
        fill = [padding] * unit.rows.pad_top + [Step(True, False, taken)] * rows + [padding] * unit.rows.pad_bottom
        cycles = unit.out_order.stripe * unit.rounds.cycles
        first = max(0, int(unit.rounds.lengths[0]) - unit.fold.groups)  # cycles before the first result
        empty = [Step(False, False, first), Step(False, True, cycles - first, sent)] * unit.rows.out_rows
        return [Walk(fill, fills=ring), Walk(empty, empties=ring, lanes=True)]
    if isinstance(unit, StreamFifo):
        # a row that is on its way through takes no room
        ring = Ring(Rows(rows, 0, 0, rows, 1, 1, 1, 1 + _capacity(placed)))
        return [
            Walk([Step(True, False, taken)] * rows, fills=ring),
            Walk([Step(False, True, sent, sent)] * rows, empties=ring),
        ]
    slots = unit.sends().reshape(-1, sent)
    spacing = int(slots[0, 1] - slots[0, 0]) if sent > 1 else 1
    quiet = max(0, taken - sent * max(1, spacing))
    sends = {int(slot) // taken for slot in slots[:, sent // 2]}  # the row in which most of an output row falls
    count = max(rows, max(sends) + 1)
    cycles = [max(taken, sent)] * count
    cycles[-1] += unit.empty_slots - (count - rows) * taken
    return [Walk([Step(i < rows, i in sends, cycles[i], sent, quiet) for i in range(count)])]


def _row_beats(stream: Stream) -> int:
    return stream.order.beats // stream.order.shape[1]


def _capacity(placed: Placed) -> int:
    """Whole rows that a FIFO holds."""
    return (placed.unit.depth + 1) // _row_beats(placed.inputs[0])
