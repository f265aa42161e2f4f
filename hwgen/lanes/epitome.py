"""A layer whose outputs share lists: weight[r * n + o, c] = weight[o, (c + r * step) mod channels] for r below `times`.

Kernels are patches of an epitome smaller than they are (EPIM: Wang et al., DAC 2024): here the first n, their input
channels turned. Lanes hold the lists of these n and walk them `times` times, the channel of each entry turned on
(rtl/term_sequencer.v).
"""

from dataclasses import dataclass, replace

import numpy as np

from hwgen.lanes.shifts import as_shift
from hwgen.ops.conv import Conv
from hwgen.stage import Stage


@dataclass(frozen=True)
class Epitome:
    """times -- that the lists of outputs / times are walked; step -- of the channels from one time to the next"""

    times: int
    step: int


def epitome_of(stage: Stage) -> Epitome | None:
    """That of most times, found by value; None where no two outputs share a list that way, or a host may write lists,
    or a frame choose them."""
    stage = as_shift(stage)
    if not isinstance(stage.op, Conv) or stage.loadable or stage.modes or stage.op.groups > 1:
        return None
    conv = stage.op
    return stage.once("epitome", lambda: _found(conv))


def _found(conv: Conv) -> Epitome | None:
    outputs, channels = conv.weight.shape[:2]
    sums = conv.weight.sum(axis=(1, 2, 3))  # most networks are told by these alone
    for times in (n for n in range(outputs, 1, -1) if outputs % n == 0 and channels > 1):
        alike = [(values.reshape(times, -1) == values.reshape(times, -1)[0]).all() for values in (sums, conv.bias)]
        if all(alike) and (step := _step(conv.weight.reshape(times, outputs // times, *conv.weight.shape[1:]))):
            return Epitome(times, step)
    return None


def _step(parts: np.ndarray) -> int | None:
    """By how many channels each of weights [times, n, channels, rows, columns] is turned beside the one before."""
    for step in range(1, parts.shape[2]):
        if (parts[1] == np.roll(parts[0], -step, axis=1)).all():
            turned = (np.roll(parts[0], -step * i, axis=1) for i in range(len(parts)))
            return step if all((one == own).all() for one, own in zip(turned, parts, strict=True)) else None
    return None


def first_of(stage: Stage) -> Stage:
    """The stage of the outputs whose lists there are: all, where none are shared."""
    epitome = epitome_of(stage)
    if epitome is None:
        return stage

    def made() -> Stage:
        conv = stage.op
        assert isinstance(conv, Conv)
        count = len(conv.weight) // epitome.times
        op = replace(conv, weight=conv.weight[:count], bias=conv.bias[:count])
        return replace(stage, op=op, y=replace(stage.y, shape=(count, *stage.y.shape[1:])))

    return stage.once("first of an epitome", made)
