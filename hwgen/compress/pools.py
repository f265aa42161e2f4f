"""Average pools right behind convolutions, whose exact sums they take: hwgen then sums windows before the convolution,
which has as many terms of fewer pixels (hwgen/passes/box_before_conv.py)."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, fx, nn

import hwgen.nn
from hwgen.compress.trace import CLAMPS, argument, call_of, module_of, operands
from hwgen.errors import BadInput

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
ACTIVATIONS = CLAMPS | {"leakyrelu", "elu", "gelu", "silu", "hardswish"}


def reorder_pools(network: fx.GraphModule) -> None:
    """Moves each average pool before the activation that it reads, where that reads a convolution and neither has
    another reader: another function, which training makes up for. Raises BadInput where there is none."""
    pools = [node for node in network.graph.nodes if is_average(network, node) and _may_go_first(network, node)]
    if not pools:
        raise BadInput(
            "no average pool reads the activation of a convolution", "reorder_pools", "leave it out of the recipe"
        )
    for pool in pools:
        (activation,) = operands(pool)
        (conv,) = operands(activation)
        pool.replace_all_uses_with(activation)
        pool.replace_input_with(activation, conv)
        activation.replace_input_with(conv, pool)
        pool.append(activation)
        activation.meta = {**activation.meta, **{key: pool.meta[key] for key in ("shape",) if key in pool.meta}}
    network.recompile()


def is_average(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is an average pool."""
    return isinstance(module_of(network, node), hwgen.nn.AvgPool2d) or call_of(network, node) in (
        "avgpool",
        "adaptiveavgpool",
    )


def takes_sums(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is an average pool of a convolution's exact sums."""
    reads = operands(node)
    return is_average(network, node) and len(reads) == 1 and isinstance(module_of(network, reads[0]), CONVOLUTIONS)


def pool_of(network: fx.GraphModule, conv: fx.Node) -> Callable[[Tensor], Tensor] | None:
    """The average pool that alone reads a convolution, as a function of its result; None where there is none, or one
    that pads, which box sums cannot take the place of."""
    readers = list(conv.users)
    if len(readers) != 1 or not takes_sums(network, readers[0]):
        return None
    (node,), module = readers, module_of(network, readers[0])
    padding: Any = getattr(module, "padding", 0) if module is not None else argument(node, "padding", 3, 0)
    if padding not in (0, (0,), [0], (0, 0), [0, 0]):
        return None
    if module is not None:
        return module
    call: Any = node.target if callable(node.target) else None
    return None if call is None else lambda sums: call(sums, *node.args[1:], **node.kwargs)


def _may_go_first(network: fx.GraphModule, pool: fx.Node) -> bool:
    reads = operands(pool)
    if len(reads) != 1 or call_of(network, reads[0]) not in ACTIVATIONS or len(reads[0].users) != 1:
        return False
    before = operands(reads[0])
    return len(before) == 1 and isinstance(module_of(network, before[0]), CONVOLUTIONS) and len(before[0].users) == 1
