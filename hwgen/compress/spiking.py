"""From a network of ReLUs to one of neurons that spike: the same weights, and thresholds from the activations.

After Diehl et al. (IJCNN 2015) and Rueckauer et al. (Frontiers in Neuroscience, 2017): a ReLU becomes a neuron that
integrates without a leak and is reset by subtraction, its bias a constant current, its threshold a percentile of what
the ReLU gave. A membrane that starts at half the threshold rounds its count of spikes to the nearest, as the quantizer
does that networks for few steps are trained with (Bu et al., ICLR 2022): hwgen.compress trains with just that one, so
`to_spiking(convert(prepared), data, steps)` is theirs.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

import hwgen.nn
from hwgen.compress.activations import LearnedActQuant
from hwgen.compress.prepared import Prepared
from hwgen.compress.rewrite import baked, rewrite
from hwgen.compress.trace import MOVES, WEIGHTED, argument, call_counts, call_of, module_of, new_name, operands, trace
from hwgen.errors import BadInput, UnsupportedLayer
from hwgen.grids import require_int

MOST_STEPS = 1024
SAMPLES = 1_000_000  # of a layer's activations, from which a percentile is taken
QUANTIZERS = (hwgen.nn.ActQuant, LearnedActQuant)


def to_spiking(
    model: nn.Module,
    data: Iterable[Any],
    steps: int,
    *,
    percentile: float = 0.999,
    bits: int = 8,
    every_step: bool = False,
) -> fx.GraphModule:
    """The spiking network of `model`: [N, ...] in; out the last layer's sums over all steps, [N, C], or with
    `every_step` what it gives at each, [N * steps, C], for early exit (hwgen.spikes).

    model       a network of convolutions, Linear layers, ReLUs, average pools and what only moves numbers, in float or
                from `compress.convert`. It stays as it is
    data        batches of inputs, or (inputs, labels), on which activations are looked at; of a network whose ReLUs
                all have quantizers none is needed
    steps       of a sample, 1 to 1024
    percentile  of a ReLU's activations: its neurons' threshold. Where a quantizer follows, its greatest level is
    bits        of a threshold, 4 to 15; currents are rounded to the threshold's grid

    The input goes into every step, and the layers before the first neurons are computed once. Weights are not touched:
    a spike stands for the threshold of its layer, which divides the thresholds and biases behind. So the result is
    steps / threshold times the network's, where the neurons are exact. A quantizer of T = 2^b - 1 levels becomes
    neurons that, for a current that is the same at each of T steps and on their grid, spike as often as its level says.
    `prepare` and `fit` train the result on, with surrogate gradients.

    Raises UnsupportedLayer for what has no spiking form (a max pool of spikes: use average pools and train again), and
    BadInput for arguments outside these, activations that are all zero, and the like.
    """
    require_int("steps", steps, 1, MOST_STEPS, "to_spiking")
    require_int("bits", bits, 4, 15, "to_spiking")
    if not 0 < percentile <= 1:
        raise BadInput(f"percentile = {percentile!r}", "to_spiking", "use a part from 0, excluded, to 1, as 0.999")
    if isinstance(model, Prepared):
        raise BadInput("the network is still being compressed", "to_spiking", "call compress.convert() first")
    network = trace(baked(model)).eval()
    for obstacle in rewrite(network, bits, None):
        raise obstacle
    again = [name for name, count in call_counts(network).items() if count > 1 and _weighted(network, name)]
    if again:
        raise UnsupportedLayer("the layer is called twice", str(again[0]), "give each call weights of its own")
    neurons = _neurons(network)
    if not neurons:
        raise UnsupportedLayer("there is no ReLU behind a layer", type(model).__name__, "use ReLU as the activation")
    greatest = _greatest(network, neurons, data, percentile)
    _Conversion(network, steps, bits, greatest).run(every_step)
    return network.requires_grad_()  # for those who train on


def _weighted(network: fx.GraphModule, name) -> bool:
    return isinstance(network.get_submodule(str(name)), WEIGHTED)


def _neurons(network: fx.GraphModule) -> list[fx.Node]:
    """The ReLUs, and the quantizers without one that cut what is below zero of a layer's sums."""
    found: list[fx.Node] = []
    for node in network.graph.nodes:
        of_sums = any(isinstance(module_of(network, n), WEIGHTED) for n in _behind(network, node))
        if call_of(network, node) in ("relu", "relu6") or (_unsigned(network, node) and of_sums):
            found.append(node)
    return found


def _behind(network: fx.GraphModule, node: fx.Node) -> list[fx.Node]:
    """What a node reads, before pools and moves."""
    reads = operands(node)
    while len(reads) == 1 and call_of(network, reads[0]) in MOVES | {"avgpool", "adaptiveavgpool"}:
        reads = operands(reads[0])
    return reads


def _unsigned(network: fx.GraphModule, node: fx.Node) -> bool:
    module = module_of(network, node)
    return isinstance(module, QUANTIZERS) and not bool(module.signed)


def _top(module: Any) -> float:
    """The greatest level of a quantizer."""
    return ((1 << module.bits) - 1) * 2.0**module.exponent


@torch.no_grad()
def _greatest(network: fx.GraphModule, neurons: list[fx.Node], data, percentile: float) -> dict[fx.Node, float]:
    """What a spike of each layer stands for: its quantizer's greatest level, else the percentile of its activations."""
    found: dict[fx.Node, float] = {}
    for node in neurons:
        at = node if _unsigned(network, node) else _only_reader(node)
        if at is not None and _unsigned(network, at):
            found[node] = _top(module_of(network, at))
    seen: dict[fx.Node, list[Tensor]] = {node: [] for node in neurons if node not in found}

    class Looking(fx.Interpreter):
        def run_node(self, n):
            value = super().run_node(n)
            if n in seen:
                seen[n].append(value.flatten()[:: value.numel() // 100_000 | 1])  # an odd step meets all columns
            return value

    if seen:
        for batch in data:
            Looking(network).run(batch[0] if isinstance(batch, tuple | list) else batch)
    for node, parts in seen.items():
        if not parts:
            raise BadInput("there is no batch to take thresholds from", str(node.target), "give data")
        values = torch.cat(parts)
        value = torch.quantile(values[:: len(values) // SAMPLES + 1], percentile).item()
        if not 0 < value < math.inf:
            raise BadInput(
                f"the {percentile} percentile of the activations is {value}",
                str(node.target),
                "give other data, or a greater percentile",
            )
        found[node] = value
    return found


def _only_reader(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


@dataclass
class _Conversion:
    """Walks through the network once. unit -- what 1 of a tensor stands for; stepped -- tensors of a frame a step;
    spikes -- those whose numbers are spikes, or their averages, with how many were averaged."""

    network: fx.GraphModule
    steps: int
    bits: int
    greatest: dict[fx.Node, float]
    unit: dict[fx.Node, float] = field(default_factory=dict)
    stepped: set[fx.Node] = field(default_factory=set)
    averaged: dict[fx.Node, int] = field(default_factory=dict)

    def run(self, every_step: bool) -> None:
        graph = self.network.graph
        for node in list(graph.nodes):
            if node.op == "output":
                self._end(node, every_step)
            elif node in self.greatest:
                self._neuron(node)
            elif not any(read in self.stepped for read in operands(node)):
                self.unit[node] = 1.0  # before the first neurons everything stays as it is
            else:
                self._other(node)
        graph.eliminate_dead_code()
        self.network.delete_all_unused_submodules()
        graph.lint()
        self.network.recompile()

    def _call(self, module: nn.Module, read: fx.Node, behind: fx.Node, name: str) -> fx.Node:
        """A new call of `module` on `read`, behind a node."""
        name = new_name(self.network, name)
        self.network.add_submodule(name, module)
        with self.network.graph.inserting_after(behind):
            return self.network.graph.call_module(name, (read,))

    def _step(self, node: fx.Node) -> fx.Node:
        """The tensor with a frame for each step."""
        if node in self.stepped:
            return node
        made = self._call(hwgen.nn.StepsIn(self.steps), node, node, "steps_in")
        self._know(made, self.unit[node])
        return made

    def _know(self, node: fx.Node, unit: float, averaged: int | None = None) -> None:
        self.unit[node] = unit
        self.stepped.add(node)
        if averaged is not None:
            self.averaged[node] = averaged

    def _neuron(self, node: fx.Node) -> None:
        read = self._step(operands(node)[0])
        threshold = self.greatest[node] / self.unit[read]
        exponent = math.ceil(math.log2(threshold)) - self.bits
        half = math.floor(threshold * 2.0 ** -(exponent + 1) + 0.5) * 2.0**exponent
        for layer in self._layers(read):
            _round(layer.bias, exponent)
        module = hwgen.nn.LIF(self.steps, exponent, threshold=2 * half, fire=">=", start=half)
        made = self._call(module, read, node, f"spikes_{node.name.strip('_')}")
        node.replace_all_uses_with(made)
        self._know(made, 2 * half * self.unit[read], averaged=1)

    def _layers(self, node: fx.Node) -> list[Any]:
        """The layers whose sums a tensor has, moved, averaged and added."""
        module = module_of(self.network, node)
        if isinstance(module, WEIGHTED):
            return [module]
        if node in self.averaged or node.op == "placeholder":
            return []
        return [layer for read in operands(node) for layer in self._layers(read)]

    def _other(self, node: fx.Node) -> None:
        """A call that reads what has a frame for each step."""
        call, module, reads = call_of(self.network, node), module_of(self.network, node), operands(node)
        self._holds_samples(node)
        if isinstance(module, WEIGHTED):
            if module.bias is not None:
                module.bias = nn.Parameter(module.bias.detach() / self.unit[reads[0]])
            self._know(node, self.unit[reads[0]])
        elif isinstance(module, QUANTIZERS) and reads[0] in self.averaged:
            node.replace_all_uses_with(reads[0])
        elif call in ("avgpool", "adaptiveavgpool"):
            self._pool(node, reads[0])
        elif (call in MOVES and len(reads) == 1) or call in ("add", "cat"):
            self._join(node, reads, call)
        else:
            hints = {"maxpool": "use average pools and train again, or a max pool before the first ReLU"}
            what = f"{call or node.name} has no form for spikes"
            raise UnsupportedLayer(
                what,
                str(node.target),
                hints.get(call, "to_spiking takes convolutions, Linear, ReLU, average pools and moves"),
            )

    def _holds_samples(self, node: fx.Node) -> None:
        """A size that a call is given must be of what has a frame for each step."""
        sizes = [n for n in node.all_input_nodes if n not in operands(node)]
        for root in [read for size in sizes for read in size.all_input_nodes]:
            if root not in self.stepped:
                raise UnsupportedLayer(
                    "its shape holds the count of samples, not of frames", str(node.target), "use torch.flatten(x, 1)"
                )

    def _pool(self, node: fx.Node, read: fx.Node) -> None:
        """An average of sums goes on as sums; that of spikes is put on its grid, exactly."""
        if read not in self.averaged:
            self._know(node, self.unit[read])
            return
        count = self.averaged[read] * _window(self.network, node)
        if count & (count - 1) or count > 1 << 15:
            raise UnsupportedLayer(f"an average of {count} spikes", str(node.target), "use pools of 2^n pixels")
        shift = count.bit_length() - 1
        made = self._call(hwgen.nn.ActQuant(shift + 1, -shift), node, node, f"counts_{node.name}")
        node.replace_all_uses_with(made, delete_user_cb=lambda user: user is not made)
        self._know(made, self.unit[read], averaged=count)

    def _join(self, node: fx.Node, reads: list[fx.Node], call: str) -> None:
        for read in reads:
            if read not in self.stepped:
                node.replace_input_with(read, self._step(read))
        units = [self.unit[read] for read in operands(node)]
        if max(units) != min(units):
            raise UnsupportedLayer(
                f"{call} of spikes that stand for {', '.join(f'{unit:g}' for unit in units)}",
                str(node.target),
                "only tensors of the same threshold can be joined",
            )
        spikes = call != "add" and all(read in self.averaged for read in operands(node))
        self._know(node, units[0], max(self.averaged[read] for read in operands(node)) if spikes else None)

    def _end(self, node: fx.Node, every_step: bool) -> None:
        for read in operands(node):
            if read not in self.stepped:
                raise UnsupportedLayer("an output that no neuron makes", read.name, "leave it out")
            if read not in self.averaged:
                for layer in self._layers(read):
                    _round(layer.bias, None if layer.bias is None else _grid(layer.bias, self.bits))
            if not every_step:
                node.replace_input_with(read, self._call(hwgen.nn.StepsOut(self.steps), read, read, "steps_out"))


def _window(network: fx.GraphModule, node: fx.Node) -> int:
    """The pixels that an average pool takes."""
    module = module_of(network, node)
    kernel = getattr(module, "kernel_size", None) or argument(node, "kernel_size", 1)
    if kernel is None or "adaptive" in call_of(network, node):
        raise UnsupportedLayer("an average pool without a window", str(node.target), "use AvgPool1d or AvgPool2d")
    if isinstance(kernel, int):
        name = type(module).__name__ if module is not None else getattr(node.target, "__name__", "")
        return kernel ** int(re.sub(r"\D", "", name))
    return math.prod(kernel)


def _grid(values: Tensor, bits: int) -> int:
    """The exponent at which the greatest of the values has `bits` bits."""
    top = values.abs().max().item()
    return math.floor(math.log2(top)) + 1 - bits if top else 0


@torch.no_grad()
def _round(values: Tensor | None, exponent: int | None) -> None:
    if values is not None and exponent is not None:
        values.copy_(torch.round(values * 2.0**-exponent) * 2.0**exponent)


class SpikeLoss:
    """A loss for `fit` that also pays for spikes: loss(outputs, y) + strength * the mean spikes of a neuron and sample.

    network   the `Prepared` whose neurons are looked at, as they compute
    strength  of the spikes in the loss
    Call `close()` before `convert`.
    """

    def __init__(
        self,
        network: nn.Module,
        strength: float,
        loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
    ):
        self.strength, self.loss = strength, loss
        self.counts: list[tuple[Tensor, int]] = []  # of each layer: all spikes, and its neurons and samples
        neurons = [module for module in network.modules() if isinstance(module, hwgen.nn.LIF)]
        if not neurons:
            raise BadInput("there are no neurons that spike", type(network).__name__, "use another loss")
        self.hooks = [network.register_forward_pre_hook(lambda module, inputs: self.counts.clear())]
        self.hooks += [module.register_forward_hook(self._count) for module in neurons]

    def _count(self, module: Any, inputs, output: Tensor) -> None:
        self.counts.append((output.sum(), output.numel() // module.steps))

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        spikes = sum(count for count, _ in self.counts) / sum(neurons for _, neurons in self.counts)
        return self.loss(outputs, y) + self.strength * spikes

    def close(self) -> None:
        for hook in self.hooks:
            hook.remove()
