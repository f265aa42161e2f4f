"""Chooses the engine of every stage and its fold: for the rate of the lanes, for a rate asked for, or in a budget."""

from collections.abc import Mapping
from math import ceil

import numpy as np

from hwgen.board import Board
from hwgen.config import RESOURCES, BuildConfig
from hwgen.engines import Choice
from hwgen.errors import DoesNotFit
from hwgen.ir import Graph
from hwgen.menu import Menu
from hwgen.stage import Stage


def schedule(graph: Graph, stages: list[Stage], config: BuildConfig, board: Board) -> dict[str, Choice]:
    """The choice by each stage's result, and the input's by its own name.

    The network is as fast as --lanes lets the slowest layer be, or as --fps asks, or as the --budget allows; at that
    rate it takes the least of the board, by the sum of its shares of LUTs, memories and DSP slices. Neighbours that are
    equally slow hold each other up now and then (hwgen/pace.py), so every layer that can is a little faster than the
    slowest.

    Raises UnsupportedLayer for an engine that a layer cannot have, DoesNotFit for a rate or a budget that cannot be
    met.
    """
    menu = Menu(graph, stages, config, board, dsp=config.dsp and config.targets)
    whole = {name: board.resources[name] for name in RESOURCES}
    if config.fps:
        interval = config.interval(board)
        choices, took = menu.meeting(interval, whole)
        if choices is None:
            raise does_not_fit(menu)
        if took > interval:
            raise _too_slow(menu, interval, int(took))
        return choices
    if config.budget:
        return _within(menu, config.limits(board))
    options = menu.options(np.inf)
    if all(len(choices) == 1 for choices in options.values()):
        return {name: choices[0] for name, choices in options.items()}
    # the rate of the lanes, whatever else is allowed
    folded = Menu(graph, stages, config, board, auto="lanes")
    menu.least = folded.least
    fastest = folded.fastest({})
    choices = None if fastest is None else menu.smallest(fastest, {})
    assert choices is not None  # nothing limits the area
    return choices


def does_not_fit(menu: Menu) -> DoesNotFit:
    """Of a network that is too large at any rate."""
    what = f"it does not fit at any rate: it needs {_percent(menu.lacks(np.inf))}"
    return DoesNotFit(what, menu.board.name, "prune it")


def _too_slow(menu: Menu, interval: int, took: int) -> DoesNotFit:
    """Of a network that takes at least `took` cycles a frame, not `interval`."""
    config, name, least = menu.config, menu.board.name, max(menu.least.values())
    if least > interval:
        why = f"{menu.bottleneck}, which can be no faster than {least:,} cycles"
    else:
        why = f"{name}: {interval:,} cycles need {_percent(menu.lacks(interval))}"
    hertz = config.hertz(menu.board)
    return DoesNotFit(
        f"{config.fps:,.0f} frames/s are {interval:,} cycles a frame at {hertz / 1e6:g} MHz; "
        f"the least that {name} has room for is "
        f"{took:,}",
        why,
        "ask for less, or prune it",
    )


def _percent(lacks: Mapping[str, float]) -> str:
    of_each = [f"{share:.0%} of {name}" for name, share in lacks.items()]
    return ", ".join(of_each) or "units that do not wait for each other"


def _within(menu: Menu, budget: dict[str, int]) -> dict[str, Choice]:
    """The fastest design in a budget. Forks and FIFOs, which no edge prices, are found by placing it, and kept room
    for."""
    left: Mapping[str, float] = budget
    while chosen := menu.best(left):
        takes = menu.placed(chosen).estimate()
        over = {name: max(0, takes[name] - n) for name, n in budget.items()}
        if not any(over.values()):
            return chosen
        left = {name: left[name] - n for name, n in over.items()}
    chosen = menu.sparing(np.inf, budget)
    takes = {name: ceil(n) for name, n in menu.placed(chosen).estimate().items()}
    if all(takes[name] <= n for name, n in budget.items()):
        return chosen
    text = ", ".join(
        f"{name}={takes[name]} ({menu.board.share(name, takes[name]):.1%} of the board)" for name in budget
    )
    more = all(takes[name] <= menu.board.resources[name] for name in budget)
    least = ",".join(f"{name}={takes[name]}" for name in budget)
    hint = f"--budget {least}, or prune it" if more else "prune it"
    raise DoesNotFit("no choice of units is in the budget", f"the least that would do is {text}", hint)
