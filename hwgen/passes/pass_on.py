"""A network that computes nothing sends its inputs through an identity, so that there is a unit."""

from dataclasses import replace

from hwgen.ir import Graph, Node
from hwgen.ops.conv import identity


def pass_on(graph: Graph) -> Graph:
    if graph.nodes:
        return graph
    sent = [one for one in graph.inputs if graph.is_output(one.name)]
    passed = {one.name: f"{one.name}_passed" for one in sent}
    nodes = tuple(Node(passed[one.name], identity(one.type.shape[0]), (one.name,)) for one in sent)
    return replace(graph, nodes=nodes, outputs=graph.sending(passed))
