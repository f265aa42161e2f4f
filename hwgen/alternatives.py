"""Equal networks to choose from: rewrites that pay at some rates and not at others are tried, kept where they do."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hwgen.board import Board
from hwgen.config import RESOURCES, BuildConfig
from hwgen.design import Design, place
from hwgen.engines import Choice, Context
from hwgen.errors import BadInput, HwgenError
from hwgen.ir import Graph
from hwgen.lower import lower
from hwgen.pace import interval_of
from hwgen.schedule import schedule
from hwgen.stage import Stage

# of one place in the network, ways to rewrite it of which at most one is kept; each gives a graph that is equal in all
# values of the outputs
Place = Sequence[Callable[[Graph], Graph]]
Proposer = Callable[[Graph, list[Stage], BuildConfig], Iterator[Place]]


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
        """What `schedule` chooses; raises as it does, and where that exceeds the board."""
        choices = schedule(graph, stages, config, board)
        plan = Plan(graph, stages, choices, Context.of(graph, stages, board.device, config.levels), board)
        plan._design.check_fits(board)
        return plan

    def placed(self, name: str) -> Design:
        return replace(self._design, name=name)

    @cached_property
    def _design(self) -> Design:
        return place("", self.graph, self.stages, self.choices, self.context)

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
    better by it, and never where it then could not be built. So a layer that the config names and that is there in some
    of them alone asks for one of these. Raises as `Plan.of` does where nothing can be built.

    stages -- of the graph
    """
    first = _tried(graph, stages, config, board)
    plan, refusals = (first, []) if isinstance(first, Plan) else (None, [first])
    now = graph
    for proposer in proposers:
        for ways in list(proposer(now, stages if now is graph else lower(now, config.is_loadable), config)):
            for way in ways:
                new = way(now)
                one = _tried(new, lower(new, config.is_loadable), config, board)
                if isinstance(one, HwgenError):
                    refusals.append(one)
                elif plan is None or one.rank(config) < plan.rank(config):
                    plan = one
            now = now if plan is None else plan.graph
    if plan is None:
        raise min(refusals, key=lambda refusal: isinstance(refusal, BadInput))  # the first that is about hardware
    return plan


def _tried(graph: Graph, stages: list[Stage], config: BuildConfig, board: Board) -> Plan | HwgenError:
    """The plan of a graph, or why there is none."""
    try:
        return Plan.of(graph, stages, config, board)
    except HwgenError as refusal:
        return refusal
