"""Drop what reaches no output."""

from dataclasses import replace

from hwgen.ir import Graph


def drop_dead(graph: Graph) -> Graph:
    live = {output.name for output in graph.outputs}
    for node in reversed(graph.nodes):
        if node.name in live:
            live.update(node.inputs)
    return replace(graph, nodes=tuple(node for node in graph.nodes if node.name in live))
