"""Graph -> stages: which layers become a unit of their own, and which requantization rides on which."""

from collections.abc import Callable

from hwgen.ir import Graph, TensorType
from hwgen.ops.conv import identity
from hwgen.stage import Stage


def lower(graph: Graph, loadable: Callable[[str], bool] = lambda layer: False) -> list[Stage]:
    """The stages of a graph after its passes, in order; every tensor that a stage reads is an input or another's
    result.

    loadable -- whether a layer with weights is, by its name
    """
    types = graph.types()
    stages, riding = [], set()
    for node in graph.nodes:
        if node.name in riding:
            continue
        kinds = tuple(types[name] for name in node.inputs)
        result, quantize = node.name, node.op.requantization
        follower = graph.only_consumer(node.name)
        behind = None if follower is None else follower.op.requantization
        if behind is not None and follower is not None and node.op.carries(behind):
            result, quantize = follower.name, behind
            riding.add(result)
        can_load = node.op.has_weights and loadable(node.name)
        op = node.op.hardware(kinds[0])
        stages.append(Stage(node.name, op, quantize, node.inputs, kinds, result, types[result], can_load))
    return stages


def passing(result: str, source: str, kind: TensorType) -> Stage:
    """A stage that sends its input on, in the order of its own choice."""
    return Stage(result, identity(kind.shape[0]), None, (source,), (kind,), result, kind)
