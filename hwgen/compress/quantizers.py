"""Where quantizers go: behind every tensor of floats that a call computes with, once."""

import itertools
import math
from collections.abc import Set
from typing import Any

from torch import fx, nn

import hwgen.nn
from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.modules import Affine, Normalize, Shares, Steps
from hwgen.compress.pools import takes_sums
from hwgen.compress.recipe import Recipe
from hwgen.compress.rewrite import of_host
from hwgen.compress.trace import (
    CLAMPS,
    FUNCTIONS,
    MOVES,
    ON_GRID,
    PICKS,
    SCALARS,
    SUMS,
    WEIGHTED,
    argument,
    call_of,
    module_of,
    new_name,
    operands,
)

DIVISIONS = {"div", "divide", "truediv"}
JOINS = {"cat", "concat", "concatenate", "stack"}


def insert_quantizers(network: fx.GraphModule, recipe: Recipe, input_bits: dict[fx.Node, int | None]) -> None:
    """Puts a LearnedActQuant behind every tensor that must be integers and is not quantized already.

    Such are what a layer, a sum, a product or a function of one activation reads, and the function's result; numbers
    that only move, or are chosen among, are quantized where they are made. Quantizers of tensors that are joined share
    their exponent. input_bits -- of layers that have their own
    """
    plan = _Plan(network)
    for place, asking in plan.places().items():
        of_network = plan.of_input(place)
        bits = input_bits.get(asking) or (recipe.input_bits if of_network else recipe.activation_bits)
        signed = None if of_network else not plan.never_negative(place)
        _insert(network, place, LearnedActQuant(bits, signed, learned=not of_network))
    for node in list(network.graph.nodes):
        module = module_of(network, node)
        if isinstance(module, Normalize | Shares | Steps):
            _connect(network, node, module, recipe)
        elif call_of(network, node) in JOINS:
            _share(network, node)
    network.recompile()


def _insert(network: fx.GraphModule, place: fx.Node, module: LearnedActQuant) -> fx.Node:
    name = new_name(network, f"quant_{place.name.strip('_')}")
    network.add_submodule(name, module)
    with network.graph.inserting_after(place):
        quantizer = network.graph.call_module(name)
    place.replace_all_uses_with(quantizer)
    quantizer.args = (place,)
    return quantizer


def _quantizers_of(network: fx.GraphModule, node: fx.Node) -> list[nn.Module]:
    """The quantizers of the numbers that a node gives, behind moves and choices; anything else stands for itself."""
    if call_of(network, node) in MOVES | PICKS:
        return [q for operand in operands(node) for q in _quantizers_of(network, operand)]
    return [module_of(network, node) or nn.Identity()]


def _connect(network: fx.GraphModule, node: fx.Node, module: Any, recipe: Recipe) -> None:
    """The quantizer that a norm or a softmax reads tells it its grid; one of its own, if there is not just one."""
    found = list(dict.fromkeys(_quantizers_of(network, operands(node)[0])))
    if len(found) != 1 or not isinstance(found[0], LearnedActQuant | hwgen.nn.ActQuant):
        own = LearnedActQuant(recipe.activation_bits, True, learned=True)
        name = new_name(network, f"quant_{node.name}")
        network.add_submodule(name, own)
        with network.graph.inserting_before(node):
            node.args = (network.graph.call_module(name, (operands(node)[0],)),)
        found = [own]
    module.source = found
    if isinstance(module, Shares) and isinstance(found[0], LearnedActQuant):
        found[0].least = max(found[0].least, module.least)


def _share(network: fx.GraphModule, node: fx.Node) -> None:
    found = [q for operand in operands(node) for q in _quantizers_of(network, operand)]
    learned = [q for q in dict.fromkeys(found) if isinstance(q, LearnedActQuant) and q.log2_scale.requires_grad]
    for one, other in itertools.pairwise(learned):
        one.share(other)


class _Plan:
    """What each call does to numbers on a grid, and which tensors must so be on one."""

    def __init__(self, network: fx.GraphModule):
        self.network = network
        self.nodes = [node for node in network.graph.nodes if node.op != "output"]
        self.calls = {node: call_of(network, node) for node in self.nodes}
        for node in self.nodes:
            if self.calls[node] in DIVISIONS and not isinstance(node.args[0], fx.Node):
                self.calls[node] = "reciprocal"
        self.roots: dict[fx.Node, fx.Node] = {}  # of a function of one activation: that activation
        self.inside: dict[fx.Node, set[fx.Node]] = {}  # and the calls between
        for node in self.nodes:
            root = self._root(node)
            if root is not None:
                self.roots[node] = root
                self.inside[node] = self._between(node, root)

    # functions of one activation, which may be composed of several calls

    def _is(self, node: fx.Node, *sets: Set[str]) -> bool:
        return any(self.calls[node] in one for one in sets) and not isinstance(module_of(self.network, node), ON_GRID)

    def _chain(self, node: fx.Node) -> list[fx.Node]:
        """The node, and what it is an elementwise function of, step by step."""
        if node in self.roots:
            return [node, *self._chain(self.roots[node])]
        reads = operands(node)
        if len(reads) == 1 and self._is(node, CLAMPS, SCALARS):
            return [node, *self._chain(reads[0])]
        return [node]

    def _root(self, node: fx.Node) -> fx.Node | None:
        reads = operands(node)
        if self._is(node, FUNCTIONS) and len(reads) == 1:
            root = reads[0]
            while root in self.roots or (self._is(root, SCALARS) and len(operands(root)) == 1):
                root = self.roots[root] if root in self.roots else operands(root)[0]
            return root
        if self._is(node, CLAMPS, SCALARS) and len(reads) == 1:
            return self.roots.get(reads[0])
        if self._is(node, SCALARS) and len(reads) == 2:
            one, other = (self._chain(read) for read in reads)
            common = next((n for n in one if n in other), None)
            of_functions = any(n in self.roots for n in reads)
            if common is not None and (of_functions or self.calls[node] not in ("add", "sub")):
                return common
        return None

    def _between(self, node: fx.Node, root: fx.Node) -> set[fx.Node]:
        found: set[fx.Node] = set()
        stack = [node]
        while stack:
            for read in operands(stack.pop()):
                if read is not root and read not in found:
                    found.add(read)
                    stack.append(read)
        return found

    def _covered(self, node: fx.Node) -> bool:
        """Whether only functions of one activation read the node, as a part of themselves."""
        return bool(node.users) and all(node in self.inside.get(user, ()) for user in node.users)

    # which tensors

    def _asks(self, node: fx.Node) -> list[fx.Node]:
        """The tensors that must be integers because of `node`, which may be one of them."""
        module = module_of(self.network, node)
        if node in self.roots:
            return [] if self._covered(node) else [self.roots[node], node]
        if isinstance(module, (*WEIGHTED, Affine, Normalize, Shares, Steps)):
            return operands(node)
        if isinstance(module, hwgen.nn.AvgPool2d) or self._is(node, SUMS):
            reads = [] if takes_sums(self.network, node) else operands(node)
            return [*reads, *([node] if self._averages_oddly(node) else [])]
        if self._is(node, SCALARS) and not of_host(self.network, node) and not self._covered(node):
            return [*operands(node), *([node] if self._scales(node) else [])]
        return []

    def _scales(self, node: fx.Node) -> bool:
        """Whether a number that is no power of two multiplies a tensor."""
        if self.calls[node] not in ("mul", "multiply", *DIVISIONS) or len(operands(node)) > 1:
            return False
        factor = next((a for a in node.args if not isinstance(a, fx.Node)), 3)
        return not isinstance(factor, int | float) or factor == 0 or math.frexp(abs(factor))[0] != 0.5

    def _averages_oddly(self, node: fx.Node) -> bool:
        """Whether a node averages over a number of pixels that is no power of two, as far as shapes are known."""
        read, made = operands(node)[0].meta.get("shape"), node.meta.get("shape")
        if self.calls[node] in ("adaptiveavgpool", "mean") and read and made:
            count = math.prod(read) // max(1, math.prod(made))
        elif self.calls[node] == "avgpool" and not isinstance(module_of(self.network, node), hwgen.nn.AvgPool2d):
            module = module_of(self.network, node)
            kernel = getattr(module, "kernel_size", None) or argument(node, "kernel_size", 1)
            count = math.prod(kernel) if isinstance(kernel, tuple | list) else kernel ** (len(read or "    ") - 2)
        else:
            return False
        return count & (count - 1) != 0

    def places(self) -> dict[fx.Node, fx.Node]:
        """Behind which nodes a quantizer goes, each with the first call that asks for it, in that one's order."""
        asking = [(node, tensor) for node in self.nodes for tensor in self._asks(node)]
        asking += [(out, t) for out in self.network.graph.nodes if out.op == "output" for t in self._raw(out)]
        asked = {source for _, tensor in asking for source in self._sources(tensor, set())}
        found: dict[fx.Node, fx.Node] = {}
        for node, tensor in asking:
            for place in self._sources(tensor, asked):
                found.setdefault(place, node)
        return found

    def _raw(self, output: fx.Node) -> list[fx.Node]:
        """What of the network's output is its input, moved."""
        return [t for t in operands(output) if all(s.op == "placeholder" for s in self._sources(t, set()))]

    def _sources(self, node: fx.Node, asked: set[fx.Node]) -> list[fx.Node]:
        """Where the numbers of `node` are made, before moves, and before choices among what is `asked` for already;
        none of what is on a grid."""
        if isinstance(module_of(self.network, node), ON_GRID):
            return []
        if self._is(node, MOVES) and not self._takes_apart(node):
            return [s for operand in operands(node) for s in self._sources(operand, asked)]
        if self._is(node, PICKS):
            before = [s for operand in operands(node) for s in self._sources(operand, asked)]
            return before if all(s in asked for s in before) else [node]
        return [node]

    def _takes_apart(self, node: fx.Node) -> bool:
        """Whether a node may be one of several results of a call that is not known."""
        if self.calls[node] not in ("getitem", "getattr"):
            return False
        (read,) = operands(node)[:1]
        known = (*WEIGHTED, *ON_GRID, Affine, hwgen.nn.AvgPool2d)
        calls = (MOVES, PICKS, CLAMPS, SCALARS, SUMS, FUNCTIONS)
        return not (
            read.op == "placeholder" or isinstance(module_of(self.network, read), known) or self._is(read, *calls)
        )

    # what a quantizer must hold

    def of_input(self, node: fx.Node) -> bool:
        """Whether the numbers are the network's input, or the greatest or averages of it."""
        if of_host(self.network, node) or isinstance(module_of(self.network, node), LearnedActQuant):
            return node.op == "placeholder" or self.of_input(operands(node)[0])
        averages = self._is(node, MOVES, PICKS) or self.calls[node] in ("avgpool", "adaptiveavgpool")
        return averages and bool(operands(node)) and all(map(self.of_input, operands(node)))

    def never_negative(self, node: fx.Node) -> bool:
        module = module_of(self.network, node)
        if isinstance(module, LearnedActQuant):
            return module.may_be_signed is False
        if isinstance(module, hwgen.nn.ActQuant):
            return not module.signed
        if isinstance(module, Shares):
            return True
        call, reads = self.calls.get(node, ""), operands(node)
        if call in NEVER_NEGATIVE or (call == "mul" and len(reads) == 2 and reads[0] is reads[1]):
            return True
        if call in ("hardtanh", "clamp", "clip"):
            least = getattr(module, "min_val", None) if module is not None else argument(node, "min", 1)
            return isinstance(least, int | float) and least >= 0
        keeps = self._is(node, MOVES, PICKS) or call in ("avgpool", "adaptiveavgpool", "mean", "sum", "upsample")
        several = call in ("add", "mul", "div", "truediv", "matmul", "bmm") and len(reads) == 2
        return (keeps or several) and bool(reads) and all(map(self.never_negative, reads))


NEVER_NEGATIVE = {"relu", "relu6", "sigmoid", "hardsigmoid", "softmax", "abs", "absolute", "square", "exp", "softplus"}
