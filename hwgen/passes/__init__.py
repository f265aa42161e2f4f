"""Rewrites of the graph, Graph -> Graph, one file each, applied in order; none changes what the graph computes."""

from hwgen.errors import UnsupportedLayer
from hwgen.ir import Graph
from hwgen.passes.compose_moves import compose_moves
from hwgen.passes.concat_moves import concat_moves
from hwgen.passes.crop_layers import crop_layers
from hwgen.passes.drop_dead import drop_dead
from hwgen.passes.fold_moves import fold_moves
from hwgen.passes.fold_pad import fold_pad
from hwgen.passes.fold_scale import fold_scale
from hwgen.passes.merge_lookup import merge_lookup
from hwgen.passes.merge_quantize import merge_quantize
from hwgen.passes.pass_on import pass_on
from hwgen.passes.quantize_before_pool import quantize_before_pool
from hwgen.passes.sink_moves import sink_moves

MOVES = (drop_dead, compose_moves, concat_moves, sink_moves, compose_moves, crop_layers)
PASSES = (
    fold_scale,
    fold_pad,
    *MOVES * 2,
    compose_moves,
    fold_moves,
    merge_quantize,
    merge_lookup,
    quantize_before_pool,
    merge_quantize,
    drop_dead,
    pass_on,
)


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
