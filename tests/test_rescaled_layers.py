"""Layers whose sums are requantized by any factor or any thresholds: moved before a max pool, and in spatial layers."""

import numpy as np
import pytest
import torch

from hwgen.ir import TensorType
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.rescale import Rescale, Steps
from hwgen.passes import run_passes
from hwgen.qtype import QType
from tests.graphs import frames_of, graph_of

X = TensorType((3, 5, 6), QType(-100, 120), 0)


def rescale(multipliers, biases, ties, shift, low, high):
    return Rescale(*(np.array(values, np.int64) for values in (multipliers, biases, ties)), shift, low, high)


@pytest.mark.parametrize(
    ("op", "first"),
    [
        (rescale([3, 11, 5], [1, 5, -9], [0, 0, 0], 3, -9, 40), True),
        (rescale([1], [2], [1], 2, -9, 40), True),
        (Steps(np.sort(np.random.default_rng(1).integers(-100, 120, (3, 6))), -2), True),
        (rescale([3, -11, 5], [1, 5, -9], [0, 0, 0], 3, -9, 40), False),
    ],
    ids=("factors", "half even", "thresholds", "a negative factor"),
)
def test_what_keeps_the_order_comes_before_a_max_pool(op, first):
    pool = MaxPool((2, 2), (2, 2), (0, 0, 0, 0))
    graph = graph_of(X, ("pool", pool, ("x",)), ("y", op, ("pool",)))
    after, x = run_passes(graph), frames_of(X)
    assert isinstance(after.nodes[0].op, MaxPool) != first
    assert torch.equal(graph.eval(x)[0], after.eval(x)[0])
