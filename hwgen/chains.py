"""Where streams are registered between units, so that a full output does not stop a whole network in one clock.

Most units take a beat only where what they send is taken in the same clock: their s_axis_tready, and the enable of all
their registers, is a function of m_axis_tready. In a row of such units it runs from the last to the first.
"""

from collections import Counter
from collections.abc import Sequence

from hwgen.units.stream_fork import StreamFork
from hwgen.units.unit import Unit

MOST = 2  # layers that a ready or an enable crosses at most: three lookup tables with a window's

Place = tuple[Unit, Sequence[str], Sequence[str]]  # a unit, the names of its streams in and out
Path = tuple[str, ...]  # streams from a unit to one behind it, through forks


def registered(places: Sequence[Place], bits: dict[str, int], levels: int = MOST) -> set[str]:
    """The streams to register, so that no more than MOST units stand still in one clock, and no more than there are
    levels of adders between registers.

    bits -- of a beat of each stream; levels -- of adders, at least 1: where these are few the clock shall be fast

    Each path through so many units asks for one of its streams. The one is taken that has the fewest bits for the paths
    that it cuts, the last of such, until all are cut (greedy covering: Chvatal 1979).
    """
    paths = _paths(places, min(MOST, levels))
    found: set[str] = set()
    while paths:
        count = Counter(name for path in paths for name in set(path))
        order = {name: i for i, name in enumerate(bits)}
        best = min(count, key=lambda name: (bits[name] / count[name], -order[name]))
        found.add(best)
        paths = [path for path in paths if best not in path]
    return found


def _paths(places: Sequence[Place], most: int) -> list[Path]:
    """Of all `most` + 1 units behind each other the streams between the first and the last, where all but the first
    hand on at once that they are stopped. A fork is no unit: it has no registers."""
    sender = {name: place for place in places for name in place[2]}

    def behind(name: str, units: int, path: Path) -> list[Path]:
        """Paths whose last stream is `name`, from that many units before."""
        if name not in sender:
            return []  # of the host, behind a register
        unit, inputs, _ = sender[name]
        path = (name, *path)
        if isinstance(unit, StreamFork):
            return behind(inputs[0], units, path)
        if units == 1:
            return [path]
        return [found for one in inputs for found in behind(one, units - 1, path)] if unit.instant else []

    ends = [name for unit, inputs, _ in places if unit.instant and not isinstance(unit, StreamFork) for name in inputs]
    return [path for name in ends for path in behind(name, most, ())]
