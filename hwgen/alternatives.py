"""Equal networks to choose from: rewrites that pay at some rates and not at others are tried, kept where they do."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from hwgen.board import Board
from hwgen.config import RESOURCES, BuildConfig
from hwgen.design import Design, place
from hwgen.engines import Choice, Context
from hwgen.errors import DoesNotFit
from hwgen.ir import Graph
from hwgen.lower import lower
from hwgen.pace import interval_of
from hwgen.schedule import schedule
from hwgen.stage import Stage

# of one place in the network, ways to rewrite it of which at most one is kept; each gives a graph that is equal in all
# values of the outputs
Place = Sequence[Callable[[Graph], Graph]]
Proposer = Callable[[list[Stage], BuildConfig], Iterator[Place]]


@dataclass(frozen=True, eq=False)
class Plan:
    """A graph, its stages, what is chosen for each, and what that comes to."""

    graph: Graph
    stages: list[Stage]
    choices: dict[str, Choice]
    context: Context
    board: Board

    @staticmethod
    def of(graph: Graph, stages: list[Stage], config: BuildConfig, board: Board) -> "Plan":
        """What `schedule` chooses; raises as it does."""
        choices = schedule(graph, stages, config, board)
        return Plan(graph, stages, choices, Context.of(graph, stages, board.device, config.levels), board)

    def placed(self, name: str) -> Design:
        return place(name, self.graph, self.stages, self.choices, self.context)

    @cached_property
    def _design(self) -> Design:
        return self.placed("")

    @cached_property
    def interval(self) -> int:
        """Predicted cycles between two frames."""
        return interval_of(self._design)

    @cached_property
    def share(self) -> float:
        """What it takes of the board, summed over the resources."""
        takes = self._design.estimate()
        return sum(self.board.share(name, takes[name]) for name in RESOURCES)

    def rank(self, config: BuildConfig) -> tuple[float, ...]:
        """What is less is better: at a rate that is asked for the area; else the rate, and then the area."""
        return (self.share,) if config.fps else (self.interval, self.share)


def best(graph: Graph, stages: list[Stage], config: BuildConfig, board: Board, proposers: Sequence[Proposer]) -> Plan:
    """The best plan that is found of a graph and its rewrites, place by place: a rewrite is kept where the network is
    better by it, and never where it then could not be built. Raises as `schedule` does where nothing can be.

    stages -- of the graph
    """
    plan, error = None, None
    try:
        plan = Plan.of(graph, stages, config, board)
    except DoesNotFit as refusal:
        error = refusal
    now = graph
    for proposer in proposers:
        for ways in list(proposer(stages if now is graph else lower(now, config.is_loadable), config)):
            found = [_tried(way(now), config, board) for way in ways]
            for one in found:
                if one is not None and (plan is None or one.rank(config) < plan.rank(config)):
                    plan = one
            now = now if plan is None else plan.graph
    if plan is None:
        assert error is not None
        raise error
    return plan


def _tried(graph: Graph, config: BuildConfig, board: Board) -> Plan | None:
    """The plan of a rewritten graph; None where there is none."""
    try:
        return Plan.of(graph, lower(graph, config.is_loadable), config, board)
    except DoesNotFit:
        return None
