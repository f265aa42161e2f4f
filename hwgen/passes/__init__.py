"""Rewrites of the graph, Graph -> Graph, one file each, applied in order; none changes what the graph computes."""

from hwgen.ir import Graph
from hwgen.passes.drop_dead import drop_dead
from hwgen.passes.fold_flatten import fold_flatten
from hwgen.passes.fold_pad import fold_pad
from hwgen.passes.fold_scale import fold_scale
from hwgen.passes.merge_quantize import merge_quantize
from hwgen.passes.quantize_before_pool import quantize_before_pool

PASSES = (fold_scale, fold_pad, fold_flatten, merge_quantize, quantize_before_pool, merge_quantize, drop_dead)


def run_passes(graph: Graph) -> Graph:
    """All passes in order; types are inferred after each, so that an illegal graph shows at once."""
    for rewrite in PASSES:
        graph = rewrite(graph)
        graph.types()
    return graph
