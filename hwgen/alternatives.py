"""Equal networks to choose from: rewrites that pay at some rates and not at others are tried, kept where they do."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hwgen import modes
from hwgen.board import Board
from hwgen.config import BuildConfig
from hwgen.design import Design, place
from hwgen.engines import Choice, Context
from hwgen.errors import BadInput, HwgenError
from hwgen.ir import Graph
from hwgen.lower import lower
from hwgen.pace import interval_of
from hwgen.passes import boxed
from hwgen.passes.box_before_conv import of_fewer_terms
from hwgen.schedule import schedule
from hwgen.split import parted, split_channels
from hwgen.stage import Stage
from hwgen.tiles import asked, tiled


@dataclass(frozen=True)
class Rewrite:
    """Of a layer, by a way of KINDS, with its numbers: plain values, which hwgen.json keeps."""

    kind: str
    layer: str
    numbers: tuple[int, ...] = ()

    def __call__(self, graph: Graph) -> Graph:
        """The graph after all passes, rewritten: equal in the values of all its outputs."""
        return KINDS[self.kind].apply(graph, self.layer, list(self.numbers))


@dataclass(frozen=True)
class Kind:
    """apply -- of a graph, a layer and numbers; ways -- of each layer that may be rewritten the numbers to try, at most
    one of which is kept; raises where the config asks for what cannot be"""

    apply: Callable[[Graph, str, list[int]], Graph]
    ways: Callable[[Graph, list[Stage], BuildConfig], Iterator[tuple[str, list[list[int]]]]]


# in the order in which they are applied
KINDS = {
    "boxes": Kind(
        lambda graph, layer, _: boxed(graph, [layer]),
        lambda graph, stages, config: ((layer, [[]]) for layer in of_fewer_terms(graph)),
    ),
    "tiles": Kind(
        lambda graph, layer, _: tiled(graph, layer),
        lambda graph, stages, config: asked(stages, config),
    ),
    "split": Kind(split_channels, lambda graph, stages, config: parted(stages, config)),
}
Place = list[Rewrite]
Kept = tuple[Rewrite | None, ...]  # of each place


def places(graph: Graph, stages: list[Stage], config: BuildConfig) -> list[Place]:
    """Where the network can be rewritten, and how: of each place at most one rewrite is kept."""
    return [
        [Rewrite(name, layer, tuple(numbers)) for numbers in each]
        for name, kind in KINDS.items()
        for layer, each in kind.ways(graph, stages, config)
    ]


def read_rewrite(entry: dict) -> Rewrite:
    """The rewrite whose fields hwgen.json holds; raises KeyError, TypeError for what is none."""
    return Rewrite(entry["kind"], entry["layer"], tuple(entry["numbers"]))


def rewritten(graph: Graph, rewrites: Sequence[Rewrite]) -> Graph:
    """The graph with all of them, which are of different places and in the order of KINDS."""
    for rewrite in rewrites:
        graph = rewrite(graph)
    return graph


@dataclass(frozen=True, eq=False)
class Plan:
    """A network as it would be built: what was rewritten, the graph, what is chosen for each stage, and the design."""

    rewrites: tuple[Rewrite, ...]
    graph: Graph
    choices: dict[str, Choice]
    design: Design
    board: Board

    @staticmethod
    def of(name: str, graph: Graph, stages: list[Stage], config: BuildConfig, board: Board) -> "Plan":
        """What `schedule` chooses. Raises as it does, and where the design exceeds the board."""
        choices = schedule(*_reckoned(graph, stages, config), config, board)
        context = Context.of(graph, stages, board.device, config.levels, config.protection)
        design = place(name, graph, stages, choices, context)
        weighted = {node.name for node in graph.nodes if node.op.has_weights}
        units = [placed.unit for placed in design.placed]
        config.check_loadable([unit.name for unit in units if unit.loads and unit.name in weighted])
        design.check_protected()
        design.check_fits(board)
        return Plan((), graph, choices, design, board)

    def switched(self, graphs: Sequence[Graph]) -> "Plan":
        """With what switches between the modes of a network; raises DoesNotFit where that exceeds the board."""
        design = modes.switched(self.design, graphs)
        design.check_fits(self.board)
        return replace(self, design=design)

    @cached_property
    def share(self) -> float:
        """What it takes of the board, summed over the resources."""
        return self.board.weight(self.design.estimate())

    @cached_property
    def interval(self) -> int:
        """Predicted cycles between two frames."""
        return interval_of(self.design)

    def rank(self, config: BuildConfig) -> tuple[float, ...]:
        """What is less is better: at a rate that is asked for the area; else the rate, and then the area."""
        return (self.share,) if config.fps else (self.interval, self.share)


def _reckoned(graph: Graph, stages: list[Stage], config: BuildConfig) -> tuple[Graph, list[Stage]]:
    """The network by whose cycles layers are scheduled: of fewer time steps, where its samples may end early."""
    if config.mean_steps is None:
        return graph, stages
    if not any(node.op.aborts for node in graph.nodes):
        raise BadInput(
            "no sample of the network ends early",
            "--mean-steps",
            "give hwgen.nn.StepsOut a margin, or leave it out",
        )
    shorter = graph.of_steps(config.mean_steps)
    return shorter, lower(shorter, config.is_loadable)


def best(name: str, graph: Graph, stages: list[Stage], config: BuildConfig, board: Board) -> Plan:
    """The network that reaches what is asked for at the least cost: none of the rewrites, all, and from the better of
    these on each place by itself.

    So what the network reaches as it came is reached, and a refusal is that of the network as it came. Raises as
    `Plan.of` does.
    graph, stages -- after all passes
    """
    known = places(graph, stages, config)

    def tried(kept: Kept) -> tuple[Plan, Kept] | HwgenError:
        rewrites = tuple(one for one in kept if one is not None)
        try:
            own = rewritten(graph, rewrites)
            plan = Plan.of(name, own, lower(own, config.is_loadable) if rewrites else stages, config, board)
        except HwgenError as error:
            return error
        return replace(plan, rewrites=rewrites), kept

    nothing, everything = (None,) * len(known), tuple(ways[0] for ways in known)
    found = [tried(kept) for kept in dict.fromkeys((nothing, everything))]
    now = _best(found, config)
    for i, ways in enumerate(known):
        for choice in (None, *ways):
            kept = everything if now is None else now[1]
            other = (*kept[:i], choice, *kept[i + 1 :])
            if choice != kept[i] and other not in (nothing, everything):
                now = _best([*([now] if now else ()), tried(other)], config)
    if now is None:
        # a layer that the config names may be there rewritten alone
        raise min((one for one in found if isinstance(one, HwgenError)), key=lambda error: isinstance(error, BadInput))
    return now[0]


def _best(found: Sequence[tuple[Plan, Kept] | HwgenError], config: BuildConfig) -> tuple[Plan, Kept] | None:
    plans = [one for one in found if not isinstance(one, HwgenError)]
    if len(plans) < 2:  # nothing to compare: the pace need not be known
        return plans[0] if plans else None
    return min(plans, key=lambda one: one[0].rank(config))
