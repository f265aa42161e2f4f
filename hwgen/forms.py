"""Which of the forms of a network that give the same numbers is built: with box sums before a convolution, or with the
average behind it (hwgen/passes/box_before_conv.py)."""

from collections.abc import Iterator
from dataclasses import dataclass

from hwgen.board import Board
from hwgen.config import RESOURCES, BuildConfig
from hwgen.design import Design, place
from hwgen.engines import Choice, Context
from hwgen.errors import BadInput, HwgenError
from hwgen.ir import Graph
from hwgen.lower import lower
from hwgen.pace import interval_of
from hwgen.passes import boxed
from hwgen.passes.box_before_conv import of_fewer_terms
from hwgen.schedule import schedule
from hwgen.stage import Stage


@dataclass(frozen=True, eq=False)
class Form:
    """A network as it would be built: the convolutions that read box sums, the design, and the choices that made it."""

    boxes: frozenset[str]
    design: Design
    choices: dict[str, Choice]


def graphs(graph: Graph) -> Iterator[Graph]:
    """The graph, and where box sums leave fewer terms the one with all of them."""
    yield graph
    if convs := of_fewer_terms(graph):
        yield boxed(graph, convs)


def choose(name: str, graph: Graph, stages: list[Stage], config: BuildConfig, board: Board) -> Form:
    """The form that reaches what is asked for at the least cost: at a rate the smallest, else the fastest, of equally
    fast ones the smallest.

    All box sums and none are tried, and from the better on each convolution by itself. So a rate or a budget that the
    network meets without box sums is met, and a refusal is that of the network as it came.

    graph, stages -- after all passes, without box sums. Raises as `schedule` does, and DoesNotFit for a design that
    exceeds the board.
    """

    def cost(form: Form) -> tuple[float, ...]:
        takes = form.design.estimate()
        share = sum(takes[resource] / max(1, board.resources[resource]) for resource in RESOURCES)
        return (share,) if config.fps else (interval_of(form.design), share)

    def tried(boxes: frozenset[str]) -> Form | HwgenError:
        try:
            own = boxed(graph, sorted(boxes))
            return _made(name, boxes, own, lower(own, config.is_loadable) if boxes else stages, config, board)
        except HwgenError as error:
            return error

    convs = of_fewer_terms(graph)
    if not convs:
        return _made(name, frozenset(), graph, stages, config, board)
    both = tried(frozenset()), tried(frozenset(convs))
    found = [form for form in both if isinstance(form, Form)]
    if not found:
        # a layer that the config names may be there with box sums alone
        raise min((error for error in both if isinstance(error, HwgenError)), key=lambda e: isinstance(e, BadInput))
    best = min(found, key=cost)
    for conv in convs if len(convs) > 1 else ():
        other = tried(best.boxes ^ {conv})
        best = min(best, other, key=cost) if isinstance(other, Form) else best
    return best


def _made(
    name: str, boxes: frozenset[str], graph: Graph, stages: list[Stage], config: BuildConfig, board: Board
) -> Form:
    """Raises where what is asked for cannot be, or does not fit the board."""
    choices = schedule(graph, stages, config, board)
    design = place(name, graph, stages, choices, Context.of(graph, stages, board.device, config.levels))
    weighted = {node.name for node in graph.nodes if node.op.has_weights}
    units = [placed.unit for placed in design.placed]
    config.check_loadable([unit.name for unit in units if unit.loads and unit.name in weighted])
    design.check_fits(board)
    return Form(boxes, design, choices)
