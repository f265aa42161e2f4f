"""Where box sums before convolutions (hwgen/passes/box_before_conv.py) are tried in the place of averages behind them."""

from collections.abc import Iterator
from functools import partial

from hwgen.alternatives import Place
from hwgen.config import BuildConfig
from hwgen.ir import Graph
from hwgen.passes import boxed
from hwgen.passes.box_before_conv import averaged, of_fewer_terms
from hwgen.stage import Stage


def box_sums(graph: Graph, stages: list[Stage], config: BuildConfig) -> Iterator[Place]:
    """Those of all convolutions that have fewer terms by them; then each convolution the other way."""
    convs = of_fewer_terms(graph)
    if convs:
        yield [lambda now: boxed(graph, convs)]
    for conv in convs if len(convs) > 1 else ():
        yield [partial(_the_other_way, graph, conv)]


def _the_other_way(graph: Graph, conv: str, now: Graph) -> Graph:
    """A graph that is `now` but for the box sums of one convolution; graph -- without any."""
    names = {node.name for node in now.nodes}
    has = {name for name, pool in averaged(graph).items() if pool not in names}
    return boxed(graph, sorted(has ^ {conv}))


def with_and_without(graph: Graph) -> Iterator[Graph]:
    """A graph, and where box sums leave fewer terms the one with all of them."""
    yield graph
    if convs := of_fewer_terms(graph):
        yield boxed(graph, convs)
