"""Spiking neurons: module == golden == RTL at each step, membranes in as few bits as they need, whole samples."""

import random
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

import hwgen
from hwgen.ir import TensorType
from hwgen.nn import LIF, ActQuant
from hwgen.nn_spiking import FIRES, LEAK_ROUNDINGS, ORDERS, RESETS
from hwgen.ops.lif import Lif
from hwgen.qtype import QType

CHOICES = list(product(ORDERS, RESETS, FIRES, LEAK_ROUNDINGS))


def stepwise(lif: LIF, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What a LIF gives, spikes and membranes, by a loop over Python's integers: of one neuron, x [steps] in grid units.
    Written from the words of its docstring."""
    scale = 2**lif.guard
    level = round(float(lif.threshold) * 2.0 ** (lif.guard - lif.exponent))
    v, current = round(lif.start * 2.0 ** (lif.guard - lif.exponent)), 0
    spikes, membranes = [], []

    def leak(value, shifts):
        return value - sum((value + (2**k // 2 if lif.rounding == "half_up" else 0)) // 2**k for k in shifts)

    def s(value):
        return value > level or (lif.fire == ">=" and value == level)

    def reset(value):
        return {"subtract": value - level, "zero": 0, "none": value}[lif.reset]

    for each in x.tolist():
        current = leak(current, lif.synapse or ()) + each * scale if lif.synapse is not None else each * scale
        if lif.order == "now":
            u = leak(v, lif.leak) + current
            told, v = s(u), reset(u) if s(u) else u
        elif lif.order == "late":
            fired = s(v)
            v = leak(0 if fired and lif.reset == "zero" else v, lif.leak) + current
            v -= level if fired and lif.reset == "subtract" else 0
            told = s(v)
        else:
            told = s(v)
            v = (reset(v) if told else leak(v, lif.leak)) + current
        spikes.append(float(told))
        membranes.append(v / scale * 2.0**lif.exponent)
    return torch.tensor(spikes).double(), torch.tensor(membranes).double()


@pytest.mark.parametrize(("order", "reset", "fire", "rounding"), CHOICES)
def test_each_step_is_as_written(order, reset, fire, rounding):
    rng = random.Random(f"{order} {reset} {fire} {rounding}")
    for leak, synapse, guard, start in (
        ((), None, 0, 0.0),
        ((2,), (), 1, 0.5),
        ((1, 3), (2,), 2, 0.25),
        ((0,), None, 0, 0),
    ):
        lif = LIF(
            6,
            -2,
            leak=leak,
            order=order,
            reset=reset,
            fire=fire,
            rounding=rounding,
            synapse=synapse,
            guard=guard,
            start=start,
            threshold=1.5,
        )
        x = torch.tensor([[rng.randint(-9, 12) for _ in range(6)] for _ in range(8)])
        frames = (x / 4).double().reshape(-1, 1)
        wanted = [stepwise(lif, one) for one in x]
        assert torch.equal(lif(frames)[:, 0], torch.cat([spikes for spikes, _ in wanted]))
        assert torch.equal(lif.membranes(frames)[:, 0], torch.cat([membranes for _, membranes in wanted]))


def random_op(rng: random.Random) -> Lif:
    """A neuron on the grid of its currents."""
    leak = rng.choice([(), (0,), (1,), (2,), (3,), (6,), (1, 2), (2, 4), (1, 5)])
    level, at, order = rng.randint(1, 12), rng.random() < 0.5, rng.choice(ORDERS)
    start = rng.randint(-4, level if order == "now" or not at else level - 1)
    half_up, reset = rng.random() < 0.5, rng.choice(RESETS)
    return Lif(3, 0, leak, start, half_up, levels=np.array([level]), reset=reset, at=at, order=order)


def all_sequences(low: int, high: int, steps: int) -> torch.Tensor:
    """Every sequence of currents, as frames [sequences * steps, 1, 1, 1]."""
    return torch.cartesian_prod(*[torch.arange(low, high + 1)] * steps).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("seed", range(60))
def test_membranes_reach_their_ends_and_go_no_further(seed):
    rng = random.Random(seed)
    low = rng.choice([-8, -5, 0, 1])
    kind, op = TensorType((1, 1, 1), QType(low, low + rng.randint(6, 9)), 0), random_op(rng)
    x = all_sequences(kind.qtype.low, kind.qtype.high, op.steps)
    membranes = op._run(kind, x)[1].reshape(-1, op.steps)
    before = torch.cat([torch.full((len(membranes), 1), op.start), membranes[:, :-1]], 1)
    sums = op.neuron.leaked(before, op.leak) + x.reshape(-1, op.steps) if op.order == "now" else membranes
    read = membranes[:, :-1] if op.order == "spiker" else torch.cat([membranes, sums], 1)
    found = torch.cat([torch.full((len(x) // op.steps, 1), op.start), read], 1)
    assert (int(found.min()), int(found.max())) == op.reach(kind)
    finer = Lif(
        op.steps, -2, op.leak, 4 * op.start, op.half_up, levels=op.levels * 4, reset=op.reset, at=op.at, order=op.order
    )
    membranes = finer._run(kind, x)[1].reshape(-1, op.steps)[:, : op.steps - (op.order == "spiker")]
    low, high = finer.reach(kind)
    assert low <= int(membranes.min()) and int(membranes.max()) <= high


class Branches(nn.Module):
    """Neurons side by side, each an output."""

    def __init__(self, neurons):
        super().__init__()
        self.quant, self.neurons = ActQuant(4, 0, signed=True), nn.ModuleList(neurons)

    def forward(self, x):
        x = self.quant(x)
        return tuple(neuron(x) for neuron in self.neurons)


def neurons(count: int) -> list[LIF]:
    """Neurons of all kinds whose widths are those of what they reach."""
    rng, found = random.Random(3), []
    for order, reset, fire, rounding in rng.sample(CHOICES, count):
        level = rng.choice([3, 5, 9])
        leak = rng.choice([(), (1,), (2,), (3,), (1, 2)])
        found.append(
            LIF(
                3,
                0,
                leak=leak,
                threshold=level,
                order=order,
                reset=reset,
                fire=fire,
                rounding=rounding,
                start=level // 2,
            )
        )
    return found


@pytest.mark.sim
@pytest.mark.parametrize("features", [1, 3])
def test_hardware_has_the_bits_that_it_needs_and_not_one_more(features, tmp_path):
    """All sequences of a few currents, its ends among them, in each neuron of a frame of one beat, and of three."""
    model = Branches(neurons(16)).double()
    design = hwgen.build(model, (torch.zeros(1, features),), out=tmp_path / "net")
    x = torch.cartesian_prod(*[torch.tensor([-8, 0, 3, 7])] * 3).reshape(-1, 1).repeat(1, features).double()
    with torch.no_grad():
        wanted = [y.numpy() for y in model(x)]
    sent, _ = hwgen.simulate(tmp_path / "net", x, simulator="icarus", stall=0.2)
    assert all(np.array_equal(one, two) for one, two in zip(sent, wanted, strict=True))

    core = tmp_path / "net/rtl/net_core.v"
    text = core.read_text()
    for bits in range(3, 10):
        text = text.replace(f".W({bits})", f".W(~{bits - 1})")
    core.write_text(text.replace(".W(~", ".W("))
    sent, _ = hwgen.simulate(tmp_path / "net", x, simulator="icarus", edited=True)
    same = [i for i, pair in enumerate(zip(sent, wanted, strict=True)) if np.array_equal(*pair)]
    assert not same, [str(design.graph[design.outputs[i].tensor].op) for i in same]
