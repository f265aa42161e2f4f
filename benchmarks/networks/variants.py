"""The networks with pruned, quantized weights: what `hwgen.build` takes.

There is no data and no training here: weights are drawn at random (He et al., ICCV 2015), so accuracy means nothing.
What the hardware sees is as in a trained network of the same numbers: the given share of each layer's weights, those of
least magnitude, is zero; batch norms have the statistics of a random batch and are folded; and the quantizers'
exponents are those of least squared error on that batch, as activations come out of the pruned, quantized layers.
"""

from dataclasses import dataclass

import torch
from torch import nn

from benchmarks.networks.topologies import TOPOLOGIES
from hwgen.compress import Recipe, convert, prepare
from hwgen.compress.formats import PowerOfTwo, Uniform
from hwgen.compress.methods import Magnitude
from hwgen.compress.prune import keep_greatest

FORMATS = {"pot4": PowerOfTwo(4), "uniform4": Uniform(4), "uniform8": Uniform(8)}
INPUT_BITS = 8  # of the network's input, whatever the other activations have


@dataclass(frozen=True)
class Variant:
    """A network: its topology, the zeros in hundredths, the weights' format, the activations' bits."""

    topology: str
    percent: int
    format: str
    bits: int

    def __str__(self) -> str:
        return f"{self.topology}-{self.format}-{self.percent}-a{self.bits}"

    def build(self, seed: int = 0) -> tuple[nn.Module, tuple[torch.Tensor]]:
        return network(self.topology, self.percent / 100, self.format, self.bits, seed)


VARIANTS = [
    Variant(topology, percent, format, bits)
    for topology in TOPOLOGIES
    for percent in (50, 80)
    for format in ("pot4", "uniform4")
    for bits in (8, 4)
]


def network(name: str, zeros: float, format: str, bits: int, seed: int = 0) -> tuple[nn.Module, tuple[torch.Tensor]]:
    """(module in eval mode, a tuple with one random frame): the topology `name` in the form that `hwgen.build` takes.

    zeros -- share of each layer's weights that is pruned, 0 to 1; a few more may round to zero
    format -- "pot4", "uniform4" or "uniform8", a power-of-two scale per layer, the first and last as the others
    bits -- of the activations, 1 to 8; the network's input has 8
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TOPOLOGIES[name].make()
        batch = frames(name, TOPOLOGIES[name].batch, seed)
        _initialize(model, zeros)
        _observe(model, batch)
    recipe = Recipe(
        weights=FORMATS[format],
        activation_bits=bits,
        input_bits=INPUT_BITS,
        pruning=Magnitude(zeros, scope="layer"),
        prune_until=0.0,
        quantize_from=0.0,
        break_even=False,
    )
    prepared = prepare(model, recipe).eval()
    prepared.step(1.0)
    with torch.no_grad():
        prepared(batch)
    return convert(prepared), (frames(name, 1, seed + 1),)


def frames(name: str, count: int, seed: int) -> torch.Tensor:
    """Random inputs float32 [count, *shape] of a topology, uniform over the input's range, on its grid."""
    topology = TOPOLOGIES[name]
    steps = 1 << (INPUT_BITS - (topology.least < 0))
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(int(topology.least * steps), steps, (count, *topology.shape), generator=generator) / steps


def _initialize(model: nn.Module, zeros: float) -> None:
    """He's normal weights without those of least magnitude; small random biases, shifts and scales."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            module.weight.data *= keep_greatest(module.weight, zeros)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
        if getattr(module, "bias", None) is not None:
            nn.init.normal_(module.bias, std=0.1)


@torch.no_grad()
def _observe(model: nn.Module, batch: torch.Tensor) -> None:
    """Gives the batch norms the statistics of a batch.

    Where pruning takes a whole filter its channel is constant, and normalizing what is left would make a gain that
    dwarfs the layer's others; in training weight decay makes it small. So no gain exceeds four times the median.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()(batch)
    for module in model.eval().modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_var.clamp_(min=module.running_var.median() / 16)
