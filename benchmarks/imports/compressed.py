"""The same networks in powers of two, by hwgen.compress."""

import torch
from torch import nn

from benchmarks.imports.networks import digits, make
from hwgen.compress import Recipe, convert, fit, prepare
from hwgen.compress.formats import PowerOfTwo
from hwgen.compress.methods import Magnitude
from hwgen.compress.recipe import Training

EPOCHS = 12
RECIPE = Recipe(
    weights=PowerOfTwo(4),
    activation_bits=8,
    pruning=Magnitude(zeros=0.5),
    break_even=False,
    training=Training(epochs=EPOCHS, rate=3e-3, grid_rate=2e-3),
)


def powers_of_two(name: str) -> tuple[nn.Module, nn.Module]:
    """A network of benchmarks.imports.networks in 4-bit powers of two, half of the weights zero, with activations of 8
    bits; and the float network that it was."""
    x, y, *_ = digits()
    batches = list(zip(x.split(50), y.split(50), strict=True))
    torch.manual_seed(0)
    network = make(name, epochs=8)
    prepared = prepare(network, RECIPE, (x[:1],))
    fit(prepared, batches, batches[:4], show=lambda line: None)
    return convert(prepared).eval(), network
