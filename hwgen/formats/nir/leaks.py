"""Leaks as sums of powers of two, at most four."""

from hwgen.errors import OffGrid
from hwgen.nn_spiking.neuron import MAX_TERMS, shifts_of


def shifts(share: float, tolerance: float, at: str, what: str) -> tuple[int, ...]:
    """The shifts of the leak that takes `share` of a state with each step, within a tolerance: as few as will do.
    Raises OffGrid where none is near enough.

    what -- how the share is made, for the message: dt / tau
    """
    if not 0 < share <= 1 + tolerance:
        raise OffGrid(
            f"{what} = {share:.6g}: a state that keeps {1 - share:.6g} of itself",
            at,
            "a time constant is at least a step: check --dt",
        )
    found = [shifts_of(min(share, 1.0), terms) for terms in range(1, MAX_TERMS + 1)]
    near = [shift for shift in found if abs(worth(shift) - share) <= tolerance]
    if near:
        return near[0]
    best = min(found, key=lambda shift: abs(worth(shift) - share))
    raise OffGrid(
        f"a state keeps {1 - share:.6g} of itself with each step ({what} = {share:.6g}), which is not 1 less "
        f"{MAX_TERMS} powers of two: the nearest is {1 - worth(best):.6g}, {formula(best)}",
        at,
        f"give --leak-tolerance {_up(abs(worth(best) - share))} to build that, or train with a leak of this form",
    )


def worth(found: tuple[int, ...]) -> float:
    """The share that such a leak takes."""
    return sum(2.0**-shift for shift in found)


def formula(found: tuple[int, ...]) -> str:
    return "1" + "".join(f" - 2^-{shift}" for shift in found)


def _up(distance: float) -> str:
    """A tolerance a little above a distance, in few digits."""
    return f"{distance * 1.001 + 1e-9:.3g}"
