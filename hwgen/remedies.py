"""What would do instead: the options under which a network that is refused fits, found by trying them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from hwgen.board import Board
from hwgen.config import RESOURCES, BuildConfig
from hwgen.errors import DoesNotFit, HwgenError
from hwgen.ir import Graph
from hwgen.lower import lower
from hwgen.menu import Menu
from hwgen.pace import interval_of
from hwgen.schedule import schedule
from hwgen.stage import Stage

Change = tuple[str, dict]  # what a user writes, and the fields of BuildConfig that it sets
PIXELS = (2, 4)  # a cycle, that are tried for a rate
SLACKS = (1.0, 1.02, 1.05, 1.1, 1.2, 1.5)  # of the cycles of the slowest unit, which waits for others


def advised(error: DoesNotFit, graph: Graph, stages: list[Stage], config: BuildConfig, board: Board) -> DoesNotFit:
    """The refusal of a network that exceeds a board, a rate or a budget, with the options in its hint that would do.

    stages -- of the graph, as the config has them
    """
    found = Remedies(graph, config, board, {config.loadable: stages}).that_do()
    return DoesNotFit(error.what, error.at, ", or ".join([*found, error.hint])) if found else error


@dataclass
class Remedies:
    """Changes of a config that refuses a graph, and whether they would do.

    stages -- by what is loadable: lists that are made once serve several trials
    """

    graph: Graph
    config: BuildConfig
    board: Board
    stages: dict[str | None, list[Stage]]

    def that_do(self) -> list[str]:
        """One change where one does, else two together, else the rates that the fastest designs reach."""
        memory, others = list(_memory(self.config, self.board)), list(_others(self.config))
        both = [(f"{first} {second}", a | b) for (first, a), (second, b) in product(memory, others)]
        one = [*self._fewer_lanes(), *(text for text, change in (*others, *memory) if self.fits(**change))]
        return one or [text for text, change in both if self.fits(**change)] or list(self._in_reach())

    def _fewer_lanes(self) -> Iterator[str]:
        """The most lanes that fit, where neither a rate nor a budget chooses them."""
        if self.config.targets or not self.fits(lanes=1):
            return
        lanes = self.config.most_lanes // 2
        while lanes > 1 and not self.fits(lanes=lanes):
            lanes //= 2
        yield f"--lanes {max(1, lanes)}"

    def _in_reach(self) -> Iterator[str]:
        """Where a rate is out of reach, those of the fastest design as configured, and with all that is tried."""
        if not self.config.fps:
            return
        freed = {name: (text, value) for text, change in _others(self.config) for name, value in change.items()}
        own = self._fastest({})
        most = self._fastest({name: value for name, (_, value) in freed.items()}) if freed else None
        if own:
            yield f"--fps {own}"
        if most and most > (own or 0):
            texts = sorted((text for text, _ in freed.values()), key=lambda text: text.startswith("without"))
            yield " ".join([f"--fps {most}", *texts])

    def _fastest(self, change: dict) -> int | None:
        """The greatest rate of those tried, frames a second, that a design on the board reaches."""
        config = replace(self.config, **change)
        menu = Menu(self.graph, self.stages[config.loadable], config, self.board, dsp=config.dsp)
        limits = {name: self.board.resources[name] for name in RESOURCES}
        least = menu.fastest(limits)
        chosen = None if least is None else menu.smallest(least, limits)
        if least is None or chosen is None:
            return None
        intervals = sorted([*(least * slack for slack in SLACKS), interval_of(menu.placed(chosen))])
        rates = (int(config.hertz(self.board) / interval) for interval in intervals)
        return next((rate for rate in rates if rate and self.fits(**change, fps=rate)), None)

    def fits(self, **change) -> bool:
        """Whether `hwgen build` would take the network with a change of the config."""
        config = replace(self.config, **change)
        try:
            if config.loadable not in self.stages:
                self.stages[config.loadable] = self._lowered(config)
            return self._fits(config, self.stages[config.loadable])
        except HwgenError:
            return False

    def _lowered(self, config: BuildConfig) -> list[Stage]:
        """With all that is made of the weights made once, whether a host can replace them or not."""
        known = {stage.result: stage for stages in self.stages.values() for stage in stages if not stage.loadable}
        made = [known.get(stage.result, stage) for stage in lower(self.graph)]
        loads = [stage.loadable for stage in lower(self.graph, config.is_loadable)]
        return [stage.loading() if load else stage for stage, load in zip(made, loads, strict=True)]

    def _fits(self, config: BuildConfig, stages: list[Stage]) -> bool:
        """Less work than the schedule is, where that seeks the best rate of a budget."""
        menu = Menu(self.graph, stages, config, self.board, dsp=config.dsp)
        limits = {name: self.board.resources[name] for name in RESOURCES}
        if config.fps:
            chosen, _ = menu.met(config.interval(self.board), limits) or (None, 0)
        elif config.budget:
            limits |= config.limits(self.board)
            chosen = menu.sparing(np.inf, limits)
        else:
            chosen = schedule(self.graph, stages, config, self.board)
        takes = menu.placed(chosen).estimate() if chosen else {}
        return bool(chosen) and all(takes[name] <= n for name, n in limits.items())


def _memory(config: BuildConfig, board: Board) -> Iterator[Change]:
    """Lists in UltraRAM too."""
    if "uram" not in board.device.memories or not board.resources["URAM"] or config.weights_in == "auto":
        return
    if config.loadable is None:
        yield "--loadable '*' --weights-in auto", {"loadable": "*", "weights_in": "auto"}
    else:
        yield "--weights-in auto", {"weights_in": "auto"}


def _others(config: BuildConfig) -> Iterator[Change]:
    """More choice of units."""
    if not config.targets:
        yield "--budget 100%", {"budget": "100%"}
        return
    if config.lanes is not None:
        yield "without --lanes", {"lanes": None}
    if config.engine is not None:
        yield "--engine auto", {"engine": "auto"}
    if config.fps:
        yield from ((f"--pixels {n}", {"pixels": n}) for n in PIXELS if n > config.pixels)
