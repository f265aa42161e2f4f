"""Builds whose lanes are of one kind, for comparisons: hwgen itself takes whichever are least."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from hwgen.engines.lanes import Lanes


@contextmanager
def lanes_of(kind: str, folds: Mapping[str, tuple[int, int]] | None = None) -> Iterator[None]:
    """Within it stages have lanes of a kind ("lut", "dsp", "mac") alone, those that can.

    folds -- (lanes, groups) by a stage's result: the only ones that it may have, or the nearest that is possible
    """
    choices = Lanes.choices

    def of_kind(self, stage, limits, sides):
        wanted = folds.get(stage.result) if folds else None
        if wanted:
            limits = replace(limits, cycles=None)
        found = choices(self, stage, replace(limits, dsp=True), sides)
        found = [fold for fold in found if fold.kind == kind] or choices(self, stage, limits, sides)
        if wanted:
            found.sort(key=lambda fold: (abs(fold.size - wanted[0] * wanted[1]), abs(fold.lanes - wanted[0])))
            return found[:1]
        return found

    with patch.object(Lanes, "choices", of_kind):
        yield
