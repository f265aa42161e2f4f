"""Take what has no state before a StepsIn instead of behind it: it is computed once a sample, not in each time step."""

from dataclasses import replace

from hwgen.ir import Graph, Node
from hwgen.ops.steps import StepsIn


def delay_steps(graph: Graph) -> Graph:
    for steps in graph.nodes:
        if isinstance(steps.op, StepsIn):
            reader = graph.only_consumer(steps.name)
            if reader is not None and len(reader.inputs) == 1 and reader.op.frames == reader.op.multiple == 1:
                return delay_steps(_swapped(graph, steps, reader))
    return graph


def _swapped(graph: Graph, steps: Node, reader: Node) -> Graph:
    """Both keep their names."""
    nodes = []
    for node in graph.nodes:
        if node is reader:
            nodes += [replace(reader, inputs=steps.inputs), replace(steps, inputs=(reader.name,))]
        elif node is not steps:
            nodes.append(replace(node, inputs=tuple(steps.name if n == reader.name else n for n in node.inputs)))
    return replace(graph, nodes=tuple(nodes), outputs=graph.sending({reader.name: steps.name}))
