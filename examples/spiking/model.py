"""Spiking networks for MNIST: two Linear layers of leaking neurons, by the coding of their input."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
from torch import nn

from examples.lenet5.model import test_data as images
from hwgen import spikes
from hwgen.nn import LIF, StepsIn, StepsOut

HERE = Path(__file__).parent
SEED = 17  # of the test images' spikes
EXPONENT = -5  # of the currents


def network(hidden: int = 128, steps: int = 5, coding: str = "direct", leak: tuple[int, ...] = (3,)) -> nn.Sequential:
    """Pixels [N, 1, 28, 28] from 0 to 255/256, or by other codings their spikes [N * steps, 1, 28, 28], to sums over
    all steps [N, 10]; the greatest is the digit.

    In direct coding the first layer is computed once a sample, and its currents are the same at every step.
    """
    first = OrderedDict(flatten=nn.Flatten(), linear1=nn.Linear(784, hidden))
    steps_in = OrderedDict(steps_in=StepsIn(steps)) if coding == "direct" else OrderedDict()
    neurons = OrderedDict(lif1=LIF(steps, EXPONENT, leak=leak), linear2=nn.Linear(hidden, 10))
    model = nn.Sequential(OrderedDict(**first, **steps_in, **neurons, steps_out=StepsOut(steps)))
    model.linear1.weight.data *= 2  # so that neurons fire before training
    model.linear2.weight.data *= 2 / steps
    return model


def encode(x: np.ndarray, coding: str, steps: int, seed: int = SEED) -> np.ndarray:
    """What pixels [n, 1, 28, 28] become for a network of that coding: themselves, or uint8 [n * steps, 1, 28, 28]."""
    if coding == "direct":
        return x
    return spikes.rate(x, steps, seed) if coding == "rate" else spikes.latency(x, steps, least=1 / 8)


def test_data() -> tuple[np.ndarray, np.ndarray]:
    """The 10,000 test images and their labels."""
    return images()
