"""Rewrites of the graph, Graph -> Graph, one file each, applied in order; none changes what the graph computes."""

from collections.abc import Collection
from dataclasses import replace

from hwgen.errors import UnsupportedLayer
from hwgen.ir import Graph, Node
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.passes.box_before_conv import box_before_conv
from hwgen.passes.compose_moves import compose_moves
from hwgen.passes.concat_moves import concat_moves
from hwgen.passes.crop_layers import crop_layers
from hwgen.passes.delay_steps import delay_steps
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
    delay_steps,
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
        graph = _on_its_grids(graph, rewrite(graph))
    for one in graph.inputs:
        if not graph.consumers(one.name) and not graph.is_output(one.name):
            raise UnsupportedLayer("no output depends on this input", one.name, "leave it out of the network")
    return graph


def boxed(graph: Graph, convs: Collection[str]) -> Graph:
    """A graph after all passes, with box sums before those convolutions: the same values."""
    return _on_its_grids(graph, box_before_conv(graph, convs)) if convs else graph


def _on_its_grids(before: Graph, after: Graph) -> Graph:
    """The rewritten graph, where what works on integers gets those that it got: fewer weights before it may have left
    them a coarser grid. Infers the type of each node."""
    old, types = {node.name: node for node in before.nodes}, before.types()
    new = {one.name: one.type for one in after.inputs}
    nodes: list[Node] = []
    for node in after.nodes:
        known = old.get(node.name)
        if known is not None and known.op is node.op and node.op.of_integers:
            (was,), (source,) = known.inputs, node.inputs
            exponent = types[was].exponent
            coarser = node.op.of_coarser(new[source].exponent - exponent) if new[source].exponent > exponent else None
            if coarser is not None:
                node = replace(node, op=coarser)
            elif new[source].exponent != exponent:
                grid = Node(after.unused(f"{node.name}_grid"), Quantize(exponent, -UNBOUNDED, UNBOUNDED), (source,))
                nodes.append(grid)
                new[grid.name] = grid.op.infer(new[source])
                node = replace(node, inputs=(grid.name,))
        nodes.append(node)
        new[node.name] = node.op.infer(*(new[name] for name in node.inputs))
    return replace(after, nodes=tuple(nodes))
