"""Graph -> stages: which layers become a unit of their own, and which Quantize rides on which."""

from collections.abc import Callable
from dataclasses import dataclass

from hwgen.ir import Graph, Op, TensorType
from hwgen.ops.add import Add
from hwgen.ops.conv import Conv, identity
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.quantize import Quantize
from hwgen.units.layer import Layer


@dataclass(frozen=True, eq=False)
class Stage:
    """One unit to be: `result` names the tensor of the graph that it sends; `layer` is None for an addition."""

    result: str
    inputs: tuple[str, ...]
    types: tuple[TensorType, ...]
    y: TensorType
    layer: Layer | None
    quantize: Quantize | None = None


def lower(graph: Graph, loadable: Callable[[str], bool] = lambda layer: False) -> list[Stage]:
    """The stages of a graph after its passes, in order; every tensor that a stage reads is the input or another's
    result.

    loadable -- whether a layer with weights is, by its name
    """
    types = graph.types()
    stages = []
    fused = set()
    for node in graph.nodes:
        if node.name in fused:
            continue
        follower = graph.only_consumer(node.name)
        quantize = None
        result = node.name
        if isinstance(node.op, Conv | Add) and follower is not None and isinstance(follower.op, Quantize):
            quantize, result = follower.op, follower.name
            fused.add(follower.name)
        op = node.op
        if isinstance(op, Quantize):
            op, quantize = identity(types[node.name].shape[0]), node.op
        kinds = tuple(types[name] for name in node.inputs)
        if isinstance(op, Conv | MaxPool):
            stages.append(
                Stage(
                    result,
                    node.inputs,
                    kinds,
                    types[result],
                    Layer(
                        node.name,
                        op,
                        quantize,
                        kinds[0],
                        types[result],
                        has_weights(node.op) and loadable(node.name),
                    ),
                )
            )
        elif isinstance(op, Add):
            stages.append(Stage(result, node.inputs, kinds, types[result], None, quantize))
        else:
            raise TypeError(f"{node.name}: the passes left a {type(op).__name__}")
    if not stages:
        stages.append(passing("output", graph.input_name, graph.input_type))
    return stages


def has_weights(op: Op) -> bool:
    """Whether an op holds numbers that training finds: not a pool, whose channels are all alike."""
    if not isinstance(op, Conv):
        return False
    alike = op.groups == len(op.weight) and (op.weight == op.weight[:1]).all() and (op.bias == op.bias[:1]).all()
    return not alike or len(op.weight) == 1


def passing(result: str, source: str, kind: TensorType) -> Stage:
    """A stage that sends its input on, in the order of its own fold."""
    return Stage(result, (source,), (kind,), kind, Layer(result, identity(kind.shape[0]), None, kind, kind))
