"""Folded: a list of terms, added by lanes (hwgen/lanes/)."""

from dataclasses import replace

import numpy as np

from hwgen.devices import Device
from hwgen.engines import Engine, Limits, engine
from hwgen.lanes.epitome import epitome_of
from hwgen.lanes.fold import Fold, legal_groups, legal_lanes, takes
from hwgen.lanes.kinds import LaneKind, lane_kinds
from hwgen.lanes.rescale import scaler_of
from hwgen.lanes.shifts import as_shift
from hwgen.lanes.unit import TermLanes, work
from hwgen.stage import Stage
from hwgen.stream import Order

NEIGHBOURS = 4  # folds of a stage that are more than it needs, for the sake of its neighbours


@engine
class Lanes(Engine[Fold]):
    name = "lanes"
    families = ("lanes",)
    choice = Fold
    any_order = True
    by_mode = True

    def obstacle(self, stage):
        stage = as_shift(stage)
        if stage.op.window is None:
            return "it is neither a sum nor a maximum over a window"
        obstacles = [kind.refuses(stage) for kind in lane_kinds().values()]
        return None if None in obstacles else obstacles[0]

    def choices(self, stage, limits, sides):
        stage, found = as_shift(stage), list[Fold]()
        for kind in lane_kinds().values():
            if (not kind.slices or (limits.dsp and kind.name in limits.device.lanes)) and kind.refuses(stage) is None:
                for multiplier in _multipliers(stage, kind, limits):
                    folds = _all_folds(stage, kind, multiplier, limits)
                    found += folds if limits.cycles is None else _enough(stage, folds, limits)
        if stage.loadable:
            found += [replace(fold, memory=memory) for fold in found for memory in limits.memories[1:]]
        return found

    def takes_any_order(self, stage):
        return epitome_of(stage) is None  # which turns channels as they are numbered

    def reads(self, stage, i, choice, order):
        wanted = order if takes(stage, choice.lanes, order) else order.serial
        return wanted if self.takes_any_order(stage) else replace(wanted, channels=())

    def unit(self, stage, choice, orders, context):
        sort = stage.result in context.free
        return TermLanes(stage, choice, orders[0], context.device, sort, context.protect)


def _multipliers(stage: Stage, kind: LaneKind, limits: Limits) -> list[str]:
    """Where the sums of such lanes may be multiplied, as a fold has it."""
    slices = limits.dsp and "mac" in limits.device.lanes
    scaler = scaler_of(stage, kind.program(stage).sum_bits, "dsp") if slices else None
    return ["lut", "dsp"] if scaler is not None and scaler.slices else ["lut"]


def _all_folds(stage: Stage, kind: LaneKind, multiplier: str, limits: Limits) -> list[Fold]:
    lanes = legal_lanes(stage, limits.lanes)
    groups = legal_groups(stage, limits.lanes // lanes[-1])
    shapes = [*((n, 1) for n in lanes[:-1]), *((lanes[-1], n) for n in groups)]
    memory = limits.memories[0] if stage.loadable else "rom"
    return [Fold(*shape, kind.name, memory, multiplier) for shape in shapes]


def _enough(stage: Stage, folds: list[Fold], limits: Limits) -> list[Fold]:
    """The smallest folds that are fast enough, the smallest of these with all lanes of a row, those whose lists fill
    their memories best, and the fastest."""
    cycles = np.inf if limits.cycles is None else limits.cycles
    enough = [fold for fold in folds if _cycles_alone(stage, fold, limits.device) <= cycles]
    whole = [fold for fold in enough if fold.lanes == folds[-1].lanes]
    memories = limits.memories if stage.loadable else ["rom"]
    best = [
        min(enough, key=lambda fold: _share_of_memories(stage, replace(fold, memory=m), limits), default=folds[-1])
        for m in memories
    ]
    return list(dict.fromkeys([*enough[:NEIGHBOURS], *whole[:1], *best, folds[-1]]))


def _cycles_alone(stage: Stage, fold: Fold, device: Device) -> int:
    """Cycles of a frame that comes in raster order."""
    return stage.once(
        ("cycles", fold, device, stage.loadable), lambda: work(stage, fold, Order(stage.x.shape), device, sort=True)
    )


def _share_of_memories(stage: Stage, fold: Fold, limits: Limits) -> float:
    """The share of the board's memories that the stage takes, of a frame that comes in raster order."""

    def estimate() -> dict[str, float]:
        return TermLanes(stage, fold, Order(stage.x.shape), limits.device, True, limits.protect).estimate()

    takes = stage.once(("estimate", fold, limits.device, stage.loadable), estimate)
    return sum(takes.get(key, 0) / limits.have[key] for key in ("BRAM36", "URAM"))
