"""How many cycles a frame takes when units wait for each other: the network, row by row.

`Unit.cycles` is what a unit takes when its input is always there and its output always taken. But only some rows of memory stand
between two layers. Rows are sent by the network's input, by lanes and by additions, through units that hold nothing, into line
memories and FIFOs. A row starts when the rows that it reads are there and all who take it have room for it; it lasts as long as the
slowest unit on its way needs. It takes its room when it starts, though its first beat comes later: so this is rather too slow than
too fast, by a percent at most on the networks of docs/networks.md. What happens within a row is not seen: on frames of some tens of
clocks that can be a few of them, either way; nor that spatial layers in a chain may pad at different times, which can cost some rows.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from hwgen.units.add import Add
from hwgen.units.stream_fifo import StreamFifo
from hwgen.units.term_lanes import HANDOVER, Rows, TermLanes
from hwgen.units.unit import Unit

if TYPE_CHECKING:
    from hwgen.design import Design, Stream

MOST_FRAMES = 12  # until the time between two frames repeats; it nearly always does after three


def interval(design: Design) -> int:
    """Cycles between two frames in the long run."""
    slowest = max(placed.unit.cycles() for placed in design.placed)
    senders = _senders(design)
    ends: list[float] = []
    events: list[tuple[float, int]] = []
    now = 0.0
    while len(ends) < MOST_FRAMES:
        moved = True
        while moved:
            moved = False
            for i, sender in enumerate(senders):
                if sender.may_start():
                    heapq.heappush(events, (now + sender.start(now), i))
                    moved = True
        now, i = heapq.heappop(events)
        senders[i].finish(now)
        if i == len(senders) - 1 and senders[i].row == 0:
            ends.append(now)
            if len(ends) > 3 and abs(ends[-1] - 2 * ends[-2] + ends[-3]) < 0.5:
                break
    return max(slowest, ceil(ends[-1] - ends[-2] - 0.5))


@dataclass(eq=False)
class Ring:
    """The line memory of lanes: `written` rows since the start, padding with them; `used` slots, those of rows on their way
    with them."""

    rows: Rows
    written: int = 0
    used: int = 0

    def __post_init__(self):
        self._pad()

    def room(self, count: int) -> bool:
        # rows that padding makes at a frame's end come one by one
        return self.used + min(count, max(1, self.rows.ring - self.rows.step)) <= self.rows.ring

    def reserve(self, count: int) -> None:
        self.used += count

    def deliver(self, count: int) -> None:
        self.written += count
        self._pad()

    def holds(self, frame: int, row: int) -> bool:
        """Whether the window of an output row is there."""
        last = row == self.rows.out_rows - 1
        reach = self.rows.last_step if last else self.rows.need
        return self.written >= frame * self._all + row * self.rows.step + reach

    def free(self, row: int) -> None:
        self.used -= self.rows.last_step if row == self.rows.out_rows - 1 else self.rows.step
        self._pad()

    @property
    def _all(self) -> int:
        """Rows of a frame."""
        return self.rows.pad_top + self.rows.rows + self.rows.pad_bottom

    def _pad(self) -> None:
        def pads():
            inside = self.written % self._all - self.rows.pad_top
            return not 0 <= inside < self.rows.rows and self.room(1)

        while pads():
            self.written += 1
            self.used += 1


@dataclass(eq=False)
class Side:
    """A side of an addition: its FIFO's rows, and one on its way."""

    capacity: int = 1
    used: int = 0
    there: int = 0

    def room(self, count: int) -> bool:
        return self.used + count <= max(self.capacity, count)

    def reserve(self, count: int) -> None:
        self.used += count

    def deliver(self, count: int) -> None:
        self.there += count

    def holds(self, frame: int, row: int) -> bool:
        return self.there > 0

    def free(self, row: int) -> None:
        self.there -= 1
        self.used -= 1


@dataclass(eq=False)
class Sender:
    """What sends rows; takers -- each with its rows that are whole after so many of the sender's."""

    unit: Unit | None
    rows: int
    cycles: float = 0.0  # of a row
    behind: int = 0  # cycles more of a frame's last row, in which units that it passes take nothing
    sources: list[Ring | Side] = field(default_factory=list)
    takers: list[tuple[Ring | Side, list[int]]] = field(default_factory=list)
    frame: int = 0
    row: int = 0
    busy: bool = False
    finished: float = 0.0

    def _counts(self) -> list[tuple[Ring | Side, int]]:
        return [(taker, whole[self.row + 1] - whole[self.row]) for taker, whole in self.takers]

    def may_start(self) -> bool:
        return (
            not self.busy
            and all(source.holds(self.frame, self.row) for source in self.sources)
            and all(taker.room(count) for taker, count in self._counts() if count)
        )

    def start(self, now: float) -> float:
        """Returns the cycles until `finish`."""
        self.busy = True
        waited = not isinstance(self.unit, Add) and now > self.finished
        for taker, count in self._counts():
            taker.reserve(count)
        if isinstance(self.unit, Add):  # passes on what comes, beat by beat
            self._deliver()
        return self.cycles + HANDOVER * waited + self.behind * (self.row == self.rows - 1)

    def finish(self, now: float) -> None:
        self.finished = now
        if not isinstance(self.unit, Add):
            self._deliver()
        self.busy = False
        self.row = (self.row + 1) % self.rows
        self.frame += self.row == 0

    def _deliver(self) -> None:
        for taker, count in self._counts():
            taker.deliver(count)
        for source in self.sources:
            source.free(self.row)


def _senders(design: Design) -> list[Sender]:
    """In the order of the design; the last one sends the network's output."""
    readers = {stream.name: (placed, i) for placed in design.placed for i, stream in enumerate(placed.inputs)}
    taking: dict[tuple[str, int], Ring | Side] = {}
    first = Sender(None, design.input.order.shape[1], design.input.order.beats / design.input.order.shape[1])
    senders = [(first, design.input)]
    for placed in design.placed:
        unit = placed.unit
        if isinstance(unit, TermLanes):
            taking[unit.instance, 0] = Ring(unit.rows)
            cycles = -(-unit.layer.y.shape[2] // unit.fold.lanes) * unit.rounds.cycles
        elif isinstance(unit, Add):
            taking |= {(unit.instance, i): Side() for i in range(2)}
            cycles = unit.order.beats / unit.order.shape[1]
        else:
            continue
        sources = [taking[unit.instance, i] for i in range(len(placed.inputs))]
        senders.append((Sender(unit, unit.out_order.shape[1], cycles, sources=sources), placed.outputs[0]))

    def follow(sender: Sender, stream: Stream, whole: np.ndarray) -> None:
        if stream.name not in readers:
            return
        placed, i = readers[stream.name]
        unit, taker = placed.unit, taking.get((placed.unit.instance, i))
        if taker is not None:
            sender.takers.append((taker, whole.tolist()))
            sender.cycles = max(sender.cycles, stream.order.beats / sender.rows)
            return
        taken = stream.order.beats // stream.order.shape[1]
        if isinstance(unit, StreamFifo):
            end, port = readers[placed.outputs[0].name]
            taking[end.unit.instance, port].capacity += (unit.depth + 1) // taken
        if isinstance(sender.unit, TermLanes):
            sender.cycles = max(sender.cycles, (unit.cycles() - unit.empty_slots) / sender.rows)
            sender.behind = max(sender.behind, unit.empty_slots)
        else:  # what its rows pass, it goes on feeding meanwhile
            sender.cycles = max(sender.cycles, unit.cycles() / sender.rows)
        for out in placed.outputs:
            sent = out.order.beats // out.order.shape[1]
            follow(sender, out, np.searchsorted(unit.needs(), whole * taken, side="right") // sent)

    for sender, stream in senders:
        follow(sender, stream, np.arange(sender.rows + 1))
    return [sender for sender, _ in senders]
