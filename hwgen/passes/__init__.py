"""Rewrites of the graph, Graph -> Graph, one file each, applied in order; none changes what the graph computes."""

from hwgen.errors import UnsupportedLayer
from hwgen.ir import Graph
from hwgen.passes.drop_dead import drop_dead
from hwgen.passes.fold_move import fold_move
from hwgen.passes.fold_pad import fold_pad
from hwgen.passes.fold_scale import fold_scale
from hwgen.passes.merge_quantize import merge_quantize
from hwgen.passes.pass_on import pass_on
from hwgen.passes.quantize_before_pool import quantize_before_pool

PASSES = (pass_on, fold_scale, fold_pad, fold_move, merge_quantize, quantize_before_pool, merge_quantize, drop_dead)


def run_passes(graph: Graph) -> Graph:
    """All passes in order; types are inferred after each, so that an illegal graph shows at once.

    Raises UnsupportedLayer for an input that no output depends on.
    """
    for rewrite in PASSES:
        graph = rewrite(graph)
        graph.types()
    for one in graph.inputs:
        if not graph.consumers(one.name) and not graph.is_output(one.name):
            raise UnsupportedLayer("no output depends on this input", one.name, "leave it out of the network")
    return graph
