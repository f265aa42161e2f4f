"""How a unit goes through a frame, row by row: what hwgen/pace.py runs, and hwgen/design.py joins."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import ClassVar

import numpy as np

# cycles from an output row's last term to a beat in the slots that it frees, with those from a row to its term
HANDOVER = 3


@dataclass(frozen=True)
class Rows:
    """How a memory of rows is walked, rtl/line_memory.v or a FIFO: a frame is padding rows, real rows, padding rows, in
    a ring of row slots."""

    rows: int
    pad_top: int
    pad_bottom: int
    out_rows: int
    step: int
    need: int  # rows that an output row waits for, but for a frame's last, which waits for last_step
    last_step: int
    ring: int

    def late(self, beats: int) -> int:
        """Cycles from a frame's last output row to the next frame's first one, while rows are taken that had no slot
        before; beats -- of a real row."""
        rows = np.arange(self.ring - self.last_step, self.need)
        real = (rows >= self.pad_top) & (rows < self.pad_top + self.rows)
        return int(np.where(real, beats, 1).sum()) + (HANDOVER if len(rows) else 0)


@dataclass(frozen=True)
class Step:
    """takes, sends -- whether a row; of -- the inputs of which one is taken, None: of all that the walk takes; cycles
    -- when nobody else is slower; beats -- of the row that is sent; quiet -- cycles in which none of them is, whoever
    takes them; rest -- cycles behind the last beat taken in which it must be given none, and rest_beats, how many it
    sends in these"""

    takes: bool
    sends: bool
    cycles: int
    beats: int = 1
    quiet: int = 0
    rest: int = 0
    rest_beats: int = 0
    of: tuple[int, ...] | None = None


@dataclass(eq=False)
class Ring:
    """The line memory of lanes, or a FIFO: rows `written` since the start; `free`, since when each slot without a row
    can be written.

    passes -- of a FIFO the cycles of a row that is written: it may be while the row before it in its slot is read
    filler, reader -- the walks that write it, and read it
    """

    rows: Rows
    handover: int = 0
    written: int = 0
    passes: int | None = field(default=None, kw_only=True)
    filler: Walk | None = field(default=None, kw_only=True)
    reader: Walk | None = field(default=None, kw_only=True)

    @property
    def parts(self) -> tuple[Ring, ...]:
        return (self,)

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
class Blocks(Ring):
    """A memory of blocks, rtl/gather.v: an output row waits for all of its block, which is given back with its last
    one. taken, sent -- rows of input and output of a block; rows.ring -- rows of input that it holds."""

    taken: int = 1
    sent: int = 1

    def holds(self, frame: int, row: int) -> bool:
        return self.written >= frame * self.rows.rows + (row // self.sent + 1) * self.taken

    def give(self, row: int, now: float) -> None:
        if (row + 1) % self.sent == 0:
            self.free.extend([now + self.handover] * self.taken)


@dataclass(eq=False)
class Turns(Ring):
    """No memory: steps of the next sample are begun when the sample before has ended, with its last row; rows.ring --
    steps of a sample."""

    def holds(self, frame: int, row: int) -> bool:
        return True

    def give(self, row: int, now: float) -> None:
        if row == self.rows.out_rows - 1:
            self.free.extend([now + self.handover] * self.rows.ring)


@dataclass(eq=False)
class Rings:
    """Two memories that are read together, a row of each for a row that is sent; the second passes rows on as a FIFO
    does."""

    first: Ring
    second: Ring
    filler: ClassVar[None] = None  # no row goes through both as it comes

    @property
    def parts(self) -> tuple[Ring, ...]:
        return self.first, self.second

    @property
    def passes(self) -> int | None:
        return self.second.passes

    def holds(self, frame: int, row: int) -> bool:
        return self.first.holds(frame, row) and self.second.holds(frame, row)

    def give(self, row: int, now: float) -> None:
        """now -- when the second may be written; the first is read until the row has passed."""
        self.first.give(row, now + (self.passes or 0))
        self.second.give(row, now)


@dataclass(eq=False)
class Walk:
    """steps -- of a frame
    fills, empties -- the memory that it writes, and reads
    lanes -- whether it is lanes at work: its next step may begin before those behind have taken its row
    sides -- the inputs of its unit that it takes; None: of the first walk, those that no other takes
    before, behind -- by its sides whose rows it takes, and who takes its own
    last -- whether it sends the network's output
    turn -- its frames in a turn of the network's border
    gap -- cycles at least from the last beat that it sends of a frame to the first of the next one, in which a reader
    may rest; behind a memory that goes on filling no reader's rest is in the way
    """

    steps: list[Step]
    fills: Ring | None = None
    empties: Ring | Rings | None = None
    lanes: bool = False
    sides: tuple[int, ...] | None = None
    before: dict[int, Walk] = field(default_factory=dict)
    behind: list[Walk] = field(default_factory=list)
    last: bool = False
    gap: float = inf
    number: int = 0
    turn: int = 1
    frame: int = 0
    at: int = 0  # the step
    row: int = 0  # the next one to send
    busy: bool = False

    def __post_init__(self):
        if self.fills is not None:
            self.fills.filler = self
        for ring in self.empties.parts if self.empties is not None else ():
            ring.reader = self

    def reads(self, senders: dict[int, Walk]) -> None:
        """Joins it to those whose rows it takes, by the number of the input. What is left of their gap when it has
        rested is part of its own."""
        self.before = senders
        for walk in senders.values():
            walk.behind.append(self)
        self.gap += max(0, min(walk.gap for walk in senders.values()) - self.steps[-1].rest)

    @property
    def step(self) -> Step:
        return self.steps[self.at]

    def idle(self, through: bool = False) -> bool:
        """Whether its next step could begin, were those around it at theirs; through -- also if it sends a row out of a
        FIFO that comes in meanwhile."""
        return (
            not self.busy
            and (self.fills is None or bool(self.fills.free))
            and (self.empties is None or self.is_there or (through and self.empties.passes is not None))
        )

    @property
    def is_there(self) -> bool:
        """Whether its memory holds what its next step reads."""
        assert self.empties is not None
        return self.empties.holds(self.frame, self.row)

    def givers(self) -> list[Walk]:
        """Whose rows its next step takes."""
        return self._givers(self.step)

    def _givers(self, step: Step) -> list[Walk]:
        return [walk for i, walk in self.before.items() if step.takes and (step.of is None or i in step.of)]

    @property
    def partners(self) -> list[Walk]:
        """Whom its next step needs: they must be at the step of the same row."""
        return self._partners[self.at]

    @cached_property
    def _partners(self) -> list[list[Walk]]:
        """By step, once all walks are joined."""
        return [[*self._givers(step), *(self.behind if step.sends else ())] for step in self.steps]

    @cached_property
    def around(self) -> list[Walk]:
        """It, and all whose steps may become possible as it begins one or ends it; once all walks are joined."""
        fillers = [ring.filler for ring in self.empties.parts] if self.empties is not None else []
        readers = [self.fills.reader] if self.fills is not None else []
        beside = [walk for walk in (*fillers, *readers) if walk is not None]
        return list(dict.fromkeys([self, *self.before.values(), *self.behind, *beside]))

    def start(self, now: float) -> float:
        """Returns in how many cycles the slot can be written that it takes."""
        self.busy = True
        return 0.0 if self.fills is None else max(0.0, self.fills.free.popleft() - now)

    def frees(self, now: float, cycles: float) -> bool:
        """Gives back the slot of a FIFO's row which it begins to send, and in how many cycles; whether it is one."""
        if self.empties is None or self.empties.passes is None or not self.step.sends:
            return False
        self.empties.give(self.row, now + max(0, cycles - self.empties.passes))
        return True

    def finish(self, now: float) -> None:
        if self.fills is not None:
            self.fills.written += 1
        if self.empties is not None and self.empties.passes is None and self.step.sends:
            self.empties.give(self.row, now)
        self.busy = False
        self.row += self.step.sends
        self.at += 1
        if self.at == len(self.steps):
            self.frame, self.row, self.at = self.frame + 1, 0, 0
