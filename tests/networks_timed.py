"""Random networks of time steps: neurons of all kinds, beginning and ending anywhere, for tests and tests/fuzz.py."""

from random import Random

import torch
from torch import nn

from hwgen.nn import LI, LIF, ActQuant, StepsIn, StepsOut
from hwgen.nn_spiking import RecurrentLIF
from hwgen.nn_spiking.neuron import FIRES, LEAK_ROUNDINGS, ORDERS, RESETS

EXPONENT = -3  # of all currents
LEAKS = ((), (0,), (1,), (2,), (4,), (6,), (1, 2), (2, 5))


class Beside(nn.Module):
    """The sum of two layers of one input."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return self.first(x) + self.second(x)


def neuron(random: Random, steps: int, channels: int, recurrent: bool = False) -> LIF:
    guard = random.choice((0, 0, 1, 3))
    levels = [random.randint(1, 24) * 2.0 ** (EXPONENT - guard) for _ in range(channels)]
    options = {
        "leak": random.choice(LEAKS),
        "threshold": torch.tensor(levels) if random.random() < 0.3 else levels[0],
        "reset": random.choice(RESETS),
        "fire": random.choice(FIRES),
        "order": random.choice(ORDERS),
        "guard": guard,
        "rounding": random.choice(LEAK_ROUNDINGS),
        "start": random.choice((0.0, 0.0, -0.5)),
        "synapse": random.choice((None, None, (), (1,), (2, 3))),
    }
    if not recurrent:
        return LIF(steps, EXPONENT, **options)
    back = [[random.randint(-9, 9) * 2.0**EXPONENT for _ in range(channels)] for _ in range(channels)]
    return RecurrentLIF(torch.tensor(back), steps, EXPONENT, **options)


def weighed(random: Random, layer: nn.Linear | nn.Conv2d) -> nn.Module:
    generator = torch.Generator().manual_seed(random.getrandbits(32))
    shape = layer.weight.shape
    exponents = torch.randint(-3, 1, shape, generator=generator)
    layer.weight.data = torch.randint(-1, 2, shape, generator=generator) * 2.0**exponents
    assert layer.bias is not None
    layer.bias.data = torch.randint(-8, 9, layer.bias.shape, generator=generator) / 8
    return layer


def timed(random: Random) -> tuple[torch.Tensor, nn.Module]:
    """A batch of six samples, and a network of up to six steps."""
    steps, channels = random.choice((1, 2, 3, 6)), random.randint(1, 4)
    shape = random.choice(((channels,), (channels, random.randint(1, 5), random.randint(2, 5))))
    planar, direct = len(shape) > 1, random.random() < 0.7
    modules: list[nn.Module] = [ActQuant(random.choice((1, 3, 5)), -2, signed=random.random() < 0.5)]
    where = random.randint(0, 1) if direct else 2  # before the first layer, or behind it
    for number in range(random.randint(1, 3)):
        modules += [StepsIn(steps)] * (direct and where == 0 and number == 0)
        outputs = random.randint(1, 6)
        if planar and random.random() < 0.4:
            modules.append(nn.Flatten())
            planar, channels = False, channels * shape[1] * shape[2]
        kernel = random.choice((1, 3))
        layer = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2) if planar else nn.Linear(channels, outputs)
        modules.append(weighed(random, layer))
        modules += [StepsIn(steps)] * (direct and where == 1 and number == 0)
        recurrent = not planar and random.random() < 0.3
        neurons = [neuron(random, steps, outputs, recurrent) for _ in range(2)]
        modules.append(Beside(*neurons) if random.random() < 0.2 else neurons[0])
        channels = outputs
    if random.random() < 0.4:
        modules.append(LI(steps, EXPONENT, leak=random.choice(LEAKS), guard=random.randint(0, 2)))
    if direct and random.random() < 0.8:
        several = not planar and channels > 1
        margin = random.choice((None, 0.0, 1.0, 4.0)) if several or planar else None
        how = "sum" if margin is not None else random.choice(("sum", "last"))
        modules.append(StepsOut(steps, how, margin))
    x = torch.rand(
        (6 if direct else 6 * steps), *shape, generator=torch.Generator().manual_seed(random.getrandbits(32))
    )
    return x * 6 - 2, nn.Sequential(*modules)
