"""Neurons whose spikes come back to them: module, golden integers and RTL are the same; and what is refused."""

from random import Random

import numpy as np
import pytest
import torch
from torch import nn

import hwgen
from hwgen.config import BuildConfig
from hwgen.errors import BadInput, HwgenError
from hwgen.flow import read_design
from hwgen.frontend import import_model
from hwgen.nn import ActQuant
from hwgen.nn_spiking import RecurrentLIF
from hwgen.store import dump
from hwgen.verify import verify


def random_net(seed: int) -> tuple[nn.Module, int, int]:
    """A module, its steps and its neurons: all orders, resets, comparisons, leaks and synapses."""
    random = Random(seed)
    units, steps, exponent = random.randint(1, 7), random.randint(1, 5), random.choice([-2, 0, 1])
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(-4, 5, (units, units), generator=generator) * 2.0**exponent
    levels = torch.randint(2, 14, (units,), generator=generator) * 2.0**exponent
    half_up = random.random() < 0.7
    leaks = [(), (1,), (3,), (1, 3), (2, 3)] + ([(2, 3, 5, 6)] if half_up else [])
    options = {
        "leak": random.choice(leaks),
        "threshold": random.choice([levels, float(levels[0])]),
        "reset": random.choice(["subtract", "zero", "none"]),
        "fire": random.choice([">", ">="]),
        "order": random.choice(["now", "late", "spiker"]),
        "guard": random.randint(0, 4),
        "rounding": "half_up" if half_up else "floor",
        "synapse": random.choice([None, *leaks]),
    }
    net = nn.Sequential(ActQuant(5, exponent, signed=True), RecurrentLIF(weight, steps, exponent, **options))
    return net.double().eval(), steps, units


def frames_for(steps: int, units: int, samples=6, seed=1) -> torch.Tensor:
    return torch.randn(samples * steps, units, generator=torch.Generator().manual_seed(seed)).double() * 6


@pytest.mark.parametrize("seed", range(8))
def test_the_golden_integers_are_the_modules(seed):
    net, steps, units = random_net(seed)
    x = frames_for(steps, units)
    graph = import_model(net, (x[:1],))
    assert torch.equal(graph.golden(x)[0], net(x))
    assert graph.frames == steps


def test_states_and_spikes_begin_anew_with_each_sample():
    net = RecurrentLIF(torch.full((2, 2), 3.0), 3, 0, threshold=2.0).double()
    x = torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 0.0]]).double()
    assert torch.equal(net(torch.cat([x, x])), torch.cat([net(x), net(x)]))
    # the first spike comes back to both, and so on
    assert net(x).tolist() == [[1, 0], [1, 1], [1, 1]]


def test_weights_learn():
    net = RecurrentLIF(torch.eye(3), 4, -4, threshold=1.0)
    net(torch.rand(8, 3)).sum().backward()
    assert net.weight.grad is not None and net.weight.grad.abs().sum() > 0


@pytest.mark.sim
def test_rows_in_step_and_a_build_read_again(tmp_path):
    torch.manual_seed(0)
    weight = torch.randint(-4, 5, (6, 6)).double()
    recurrent = RecurrentLIF(weight, 4, 0, threshold=9.0, synapse=(1,), leak=(2,), guard=2)
    net = nn.Sequential(ActQuant(3, 0), nn.Linear(4, 6), recurrent, nn.Linear(6, 3)).double().eval()
    with torch.no_grad():
        for layer in (net[1], net[3]):
            layer.weight.copy_(torch.randint(-2, 4, layer.weight.shape))
            layer.bias.zero_()
    x = torch.randint(0, 8, (24, 4)).double()
    design = hwgen.build(net, (x[:1],), out=tmp_path / "net", config=BuildConfig(lanes=3))
    assert dump(read_design(tmp_path / "net").graph) == dump(design.graph)
    result = verify(tmp_path / "net", x, simulator="icarus", stall=0.3, inside=True)
    assert result["equal"] == 24
    assert 0 < net[:3](x).mean() < 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RecurrentLIF(torch.ones(2, 3), 2, 0), "weights of shape"),
        (lambda: RecurrentLIF(torch.ones(2, 2), 2, 0)(torch.ones(2, 3)), "an input of shape"),
        (lambda: RecurrentLIF(torch.ones(2, 2), 2, 0)(torch.ones(3, 2)), "no whole samples"),
        (lambda: RecurrentLIF(torch.ones(2, 2), 2, 0, leak=(1, 2, 3)), "more than two shifts"),
    ],
)
def test_what_is_refused(make, said):
    with pytest.raises(BadInput, match=said):
        make()


def test_weights_off_the_grid_are_refused():
    net = nn.Sequential(ActQuant(4, 0), RecurrentLIF(torch.tensor([[0.1]]), 2, 0))
    with pytest.raises(HwgenError, match="power of two"):
        import_model(net, (torch.zeros(1, 1),))


def test_not_a_row_of_neurons():
    net = nn.Sequential(ActQuant(4, 0), nn.Conv1d(1, 1, 1, bias=False), nn.Flatten(), RecurrentLIF(torch.eye(5), 2, 0))
    net[1].weight.data.fill_(1.0)
    x = torch.arange(20.0).reshape(4, 1, 5).double() % 7
    graph = import_model(net.double().eval(), (x[:1],))
    assert np.array_equal(graph.golden(x)[0].numpy(), net(x).detach().numpy())
