"""What a network costs before any choice of hardware: parameters, multiply-accumulates, terms."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from hwgen.compress.formats import digits
from hwgen.frontend import import_model
from hwgen.ops.conv import Conv
from hwgen.passes import run_passes


@dataclass(frozen=True)
class Size:
    """Of the layers with weights, pools left out.

    parameters -- weights and biases; zeros -- share of the weights
    macs -- multiply-accumulates of a frame, zeros counted; products with padding too
    terms -- signed powers of two of all weights; terms_per_frame -- each for every pixel that it makes
    """

    parameters: int
    zeros: float
    macs: int
    terms: int
    terms_per_frame: int


def count(model: nn.Module, inputs: tuple[torch.Tensor]) -> Size:
    """The size of a module that `hwgen.build` takes."""
    layers = {name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    graph = run_passes(import_model(model, inputs))
    types = graph.types()
    weights = nonzero = macs = terms = terms_per_frame = 0
    for node in graph.nodes:
        if isinstance(node.op, Conv) and node.op.path in layers:
            integers = node.op.integers
            pixels = types[node.name].shape[1] * types[node.name].shape[2]
            own = int(digits(integers).sum())
            weights, nonzero = weights + integers.size, nonzero + int(np.count_nonzero(integers))
            macs, terms, terms_per_frame = macs + integers.size * pixels, terms + own, terms_per_frame + own * pixels
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Size(parameters, 1 - nonzero / weights, macs, terms, terms_per_frame)
