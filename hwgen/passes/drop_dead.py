"""Drop what does not reach the output."""

from dataclasses import replace

from hwgen.ir import Graph


def drop_dead(graph: Graph) -> Graph:
    live = {graph.output_name}
    for node in reversed(graph.nodes):
        if node.name in live:
            live.update(node.inputs)
    return replace(graph, nodes=tuple(node for node in graph.nodes if node.name in live))
