"""How many cycles a frame takes when units wait for each other: the network, row by row.

`Unit.cycles` is what a unit takes when its input is always there and its output always taken. But most units hold
nothing: they take a row while they send one, so a row goes through all of them at once, as fast as the slowest; and
while one of them is in the padding of its frame, those before it stand still. Only line memories and FIFOs part those
who fill them from those who empty them.

So the network is a set of walks, one for a unit that holds nothing, two for one that holds rows. A walk goes through a
frame in steps, and in each takes a row, or sends one, or both, or neither. A step begins when the walks before and
behind are at the step of the same row, when the rows that it reads are in memory, and when the row that it writes has
room there. It takes that room when it begins, though its first beat comes later; so this is rather too slow than too
fast. What happens within a row is seen only as far as `Step` of hwgen/walks.py says: that can be a few clocks a frame,
either way.
"""

import heapq
from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np

from hwgen.walks import Walk

MOST_FRAMES = 12  # until two frames take the same; nearly always the third and fourth do


class Walkable(Protocol):
    """What is paced: the walks of its units, joined, the cycles of the slowest of them alone, and the registers between
    its borders."""

    def walks(self) -> list[Walk]: ...

    def slowest(self) -> int: ...

    def registers(self) -> int: ...


@dataclass(frozen=True)
class Pace:
    """interval -- predicted cycles between two turns of the border in the long run, which are frames unless the network
    leaves time steps out: the slowest unit's, and what units add by waiting for each other; latency -- those from the
    first word of a turn into the empty network to the last word of its result"""

    interval: int
    latency: int


def interval_of(design: Walkable) -> int:
    """Predicted cycles between two frames in the long run."""
    return pace_of(design).interval


def pace_of(design: Walkable) -> Pace:
    """How fast a design is when its input is always there and its output always taken."""
    ends = _ends(design.walks())
    between = ends[-1] - ends[-2]
    if not _steady(ends):
        between = float(np.diff(ends)[-(MOST_FRAMES // 2) :].mean())
    return Pace(max(design.slowest(), ceil(between - 0.5)), ceil(ends[0]) + design.registers())


def _steady(ends: list[float]) -> bool:
    """Whether the last two frames took the same."""
    return len(ends) > 3 and abs(ends[-1] - 2 * ends[-2] + ends[-3]) < 0.5


def _ends(walks: list[Walk]) -> list[float]:
    """When the first frames end, until two take the same, MOST_FRAMES at most."""
    events: list[tuple[float, int]] = []
    ends: list[float] = []
    sending = [walk for walk in walks if walk.last]
    now, moved = 0.0, walks  # whose next steps may have become possible
    while len(ends) < MOST_FRAMES and not _steady(ends):
        _begin(moved, now, events)
        if not events:
            _begin(walks, now, events, through=True)
        assert events, "all rows wait for each other: a FIFO is too small, or hwgen/pace.py is wrong"
        now, moved = events[0][0], []
        while events and events[0][0] == now:
            walk = walks[heapq.heappop(events)[1]]
            walk.finish(now)
            moved += walk.around
        if len(ends) < min(walk.frame // walk.turn for walk in sending):
            ends.append(now)
    return ends


def _begin(moved: list[Walk], now: float, events: list[tuple[float, int]], through: bool = False) -> None:
    """Begins all steps that can begin now that those of `moved` may, and notes when they end; through -- also those
    that send a row out of a FIFO while it comes in."""
    while moved:
        left, moved = dict.fromkeys(moved), []
        while left:
            walk, _ = left.popitem()
            for together in _ready(walk, left, through):
                for member, cycles in _start(together, now).items():
                    heapq.heappush(events, (now + cycles, member.number))
                    if member.frees(now, cycles):
                        moved += member.around


def _ready(walk: Walk, left: dict[Walk, None], through: bool) -> list[list[Walk]]:
    """Those whose next steps can begin with that of a walk, in groups that go together: its own, and of those that fill
    meanwhile what these read. None, if one of them cannot; its own group is taken out of `left` then, as it cannot
    either."""
    groups, asked = [], [walk]
    for one in asked:
        if any(one in group for group in groups):
            continue
        group = _together(one, left if one is walk else {}, through)
        fillers = [member.empties.filler for member in group if member.empties and not member.is_there]
        if not group or None in fillers:
            return []
        groups.append(group)
        asked += [filler for filler in fillers if filler]
    return groups


def _together(walk: Walk, left: dict[Walk, None], through: bool) -> list[Walk]:
    """A walk whose next step can begin, its partners, theirs, and so on; none, if one of them cannot."""
    group, known = [walk], {walk}
    for member in group:
        if not member.idle(through):
            return []
        for other in member.partners:
            if member not in other.partners:
                return []
            if other not in known:
                known.add(other)
                group.append(other)
                left.pop(other, None)
    return group


def _rest(walk: Walk, cycles: dict[Walk, float]) -> float:
    """The cycles in which a walk must be given nothing: it sends meanwhile, perhaps to a slower reader."""
    step = walk.step
    behind = max((cycles[other] for other in walk.behind if step.sends and other in cycles), default=0.0)
    return step.rest + step.rest_beats * max(0.0, behind / step.beats - 1)


def _start(together: list[Walk], now: float) -> dict[Walk, float]:
    """The cycles until each ends: all of them with the slowest, but lanes run on."""
    cycles: dict[Walk, float] = {}
    own: dict[Walk, float] = {}
    late: dict[Walk, float] = {}  # when a first beat can be taken
    for walk in sorted(together, key=lambda walk: walk.number, reverse=True):
        step, slot = walk.step, walk.start(now)
        full = 0.0 if walk.fills is None or walk.fills.passes else slot  # a FIFO's slot is late for a last beat
        late[walk] = max((late[other] - step.quiet for other in walk.behind if step.sends), default=full)
        own[walk] = step.cycles + max(slot, late[walk])
        # which rests while nothing is sent
        behind = max((cycles[other] - _rest(other, cycles) for other in walk.behind if step.sends), default=0.0)
        # a slower reader makes each beat wait but the last
        cycles[walk] = max(own[walk], step.quiet + 1 + behind * (1 - 1 / step.beats)) if behind else own[walk]
    for walk in sorted(together, key=lambda walk: walk.number):
        for other in walk.givers():
            # what it must rest beyond the gap between two frames of its sender holds that up
            own[walk] = max(own[walk], own[other] + max(0, _rest(walk, cycles) - other.gap))
        cycles[walk] = max(cycles[walk], own[walk])
    slowest = max(cycles.values())
    return {walk: cycles[walk] if walk.lanes else slowest for walk in together}
