"""Streams are registered so that no three layers stand still in one clock, and few bits are."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import nn

from hwgen.chains import registered
from hwgen.config import BuildConfig
from hwgen.frontend import import_model
from hwgen.nn import ActQuant
from hwgen.stream import Order
from hwgen.units.stream_fork import StreamFork
from hwgen.units.stream_reg import StreamReg
from hwgen.units.unit import Unit
from tests.graphs import scheduled
from tests.test_golden import weigh


@dataclass(frozen=True, eq=False)
class Layer(Unit):
    name: str
    instant: bool = True


def chain(*bits, instant=True):
    """Layers in a row; bits -- of the streams between them."""
    ends = ["in", *(f"s{i}" for i in range(len(bits))), "out"]
    places = [(Layer(f"u{i}", instant), [a], [b]) for i, (a, b) in enumerate(pairwise(ends))]
    return places, dict(zip(ends, (1, *bits, 1), strict=True))


@pytest.mark.parametrize(
    ("bits", "found"),
    [
        ((8,), set()),  # two layers
        ((9, 8), {"s1"}),
        ((8, 9), {"s0"}),
        ((8, 8), {"s1"}),
        ((24, 24, 64, 64, 480, 336), {"s1", "s3", "s5"}),
        ((1, 9, 1), {"s0", "s2"}),
    ],
)
def test_of_every_two_streams_of_a_chain_one_is_registered(bits, found):
    assert registered(*chain(*bits)) == found


def test_a_layer_with_a_registered_tready_ends_a_chain():
    assert registered(*chain(8, 8, 8, instant=False)) == set()
    places, bits = chain(8, 8, 8)
    places[2] = (Layer("held", False), *places[2][1:])
    assert registered(places, bits) == set()
    # but not one that goes on behind it
    places, bits = chain(9, 8, 8)
    places[0] = (Layer("held", False), *places[0][1:])
    assert registered(places, bits) == {"s1"}


def test_a_fork_is_registered_once_for_both_its_sides():
    """A layer, a fork to two layers, each before another."""
    fork = StreamFork("x_fork0", 8, Order((8, 1, 1)))
    places = [
        (Layer("a"), ["in"], ["x"]),
        (fork, ["x"], ["x_fork0_a", "x_fork0_b"]),
        (Layer("b"), ["x_fork0_a"], ["y"]),
        (Layer("c"), ["x_fork0_b"], ["z"]),
        (Layer("d"), ["y", "z"], ["out"]),
    ]
    bits = dict.fromkeys(("in", "x", "x_fork0_a", "x_fork0_b", "y", "z", "out"), 8)
    assert registered(places, bits) == {"x"}


class Residual(nn.Module):
    """Blocks of two convolutions beside their input."""

    def __init__(self, blocks=3):
        super().__init__()
        self.first = nn.Sequential(ActQuant(4, -2, True), weigh(nn.Conv2d(1, 3, 3, padding=1)), ActQuant(4, 2, True))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                weigh(nn.Conv2d(3, 3, 3, padding=1)),
                nn.ReLU(),
                ActQuant(4, 2),
                weigh(nn.Conv2d(3, 3, 1)),
                ActQuant(4, 2, True),
            )
            for _ in range(blocks)
        )
        self.sums = nn.ModuleList(ActQuant(4, 2, True) for _ in range(blocks))

    def forward(self, x):
        x = self.first(x)
        for block, total in zip(self.blocks, self.sums, strict=True):
            x = total(x + block(x))
        return x


def test_no_three_layers_of_a_residual_network_stand_still_in_one_clock():
    """Followed backwards from each layer's output, through forks; FIFOs of joins are registers too."""
    graph = import_model(Residual().eval(), (torch.zeros(1, 1, 5, 5),))
    design = scheduled(graph, BuildConfig(engine="spatial"))
    sender = {stream.name: placed for placed in design.placed for stream in placed.outputs}

    def stopped(stream):
        """How many layers a full reader of `stream` stops at once."""
        placed = sender.get(stream.name)
        if placed is None or isinstance(placed.unit, StreamReg):
            return 0
        more = [stopped(one) for one in placed.inputs] if placed.unit.instant else [0]
        return max(more) + (not isinstance(placed.unit, StreamFork))

    most = [
        stopped(stream) + placed.unit.instant
        for placed in design.placed
        for stream in placed.inputs
        if not isinstance(placed.unit, StreamFork)
    ]
    assert max(most) == 2
    registers = [placed for placed in design.placed if isinstance(placed.unit, StreamReg)]
    assert registers and all(placed.unit.bits == placed.inputs[0].bits for placed in registers)
