"""Box sums before a convolution in the place of an average behind it: the same numbers of fewer terms, where that is
cheaper."""

from random import Random

import numpy as np
import pytest
import torch
from torch.nn import functional

from hwgen.ir import Graph, TensorType
from hwgen.nn import reciprocal
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.passes import boxed
from hwgen.passes.box_before_conv import averaged, of_fewer_terms
from hwgen.qtype import QType
from hwgen.terms import term_table
from tests.graphs import frames_of, graph_of


def random_graph(random: Random) -> tuple[Graph, tuple]:
    """x -> conv -> pool -> quant, and what torch needs to compute the same: weight, bias, stride, padding, dilation and
    groups of the convolution, then window, stride and weight of the pool. None has no pixels."""
    rng = np.random.default_rng(random.getrandbits(32))
    while True:
        groups, dims = random.choice((1, 1, 1, 2, 3)), random.choice((1, 2, 2, 2))

        def two(*of, least=1, dims=dims):
            return (random.choice(of) if dims == 2 else least, random.choice(of))

        channels, outputs = groups * random.randint(1, 3), groups * random.randint(1, 3)
        kernel, stride, dilation = two(1, 2, 3, 4, 5), two(1, 1, 2, 3), two(1, 1, 2, 3)
        window, step, sides = two(1, 2, 2, 3, 4), two(1, 2, 2, 3, 4), (*two(0, 1, 2, 3, least=0), *two(0, 1, 2))
        padding = (sides[0], sides[2] if dims == 2 else 0, sides[1], sides[3])
        weight = rng.choice([-1, 1], (outputs, channels // groups, *kernel)) * 2.0 ** rng.integers(-4, 1)
        weight *= (
            2.0 ** rng.integers(-3, 3, weight.shape) if random.random() < 0.7 else rng.integers(0, 127, weight.shape)
        )
        weight *= rng.random(weight.shape) < random.choice((0.2, 0.5, 1.0))
        bias = np.round(rng.normal(0, 8, outputs)) * 2.0 ** random.randint(-12, 2) * random.choice((0, 1, 1))
        count = window[0] * window[1]
        numerator, f = reciprocal(count, random.choice((2, 4, 8)))
        scale = random.choice((1.0, numerator * 2.0**-f))
        signed, bits = random.random() < 0.5, random.choice((1, 4, 8))
        low = -(1 << bits - 1) if signed else random.choice((0, 0, 3))
        kind = TensorType(
            (channels, random.randint(1, 17) if dims == 2 else 1, random.randint(1, 17)),
            QType(low, low + (1 << bits) - 1),
            random.randint(-8, 2),
        )
        conv = Conv(weight, bias, stride, padding, dilation, groups, path="conv")
        pool = Conv(
            np.full((outputs, 1, *window), scale),
            np.zeros(outputs),
            step,
            groups=outputs,
            path="pool",
            activations_limited=False,
        )
        shape = pool.infer(conv.infer(kind)).shape if min(conv.infer(kind).shape) > 0 else (0,)
        if min(shape) > 0 and window != (1, 1):
            break
    exact = conv.out_exponent(kind)
    quant = Quantize(exact + random.randint(-1, 6), 0, 15)
    graph = graph_of(kind, ("conv", conv, ("x",)), ("pool", pool, ("conv",)), ("quant", quant, ("pool",)))
    return graph, (weight, bias, stride, padding, dilation, groups, window, step, scale)


def by_torch(x: torch.Tensor, weight, bias, stride, padding, dilation, groups, window, step, scale) -> torch.Tensor:
    """The exact sums of the pool in float64."""
    top, bottom, left, right = padding
    x = functional.pad(x, (left, right, top, bottom))
    y = functional.conv2d(x, torch.from_numpy(weight), torch.from_numpy(bias), stride, 0, dilation, groups)
    return functional.avg_pool2d(y, window, step, divisor_override=1) * scale


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_keep_their_numbers(seed):
    rewritten = 0
    for number in range(60):
        graph, torchs = random_graph(Random(f"{seed}/{number}"))
        found = averaged(graph)
        assert found == {"conv": "pool"}
        after = boxed(graph, found)
        (one,) = graph.inputs
        x = frames_of(one.type, 3, seed=number)
        sums = {name: value for name, value in after.trace(x)}
        exponent = after.types()["conv"].exponent
        want = by_torch(x.double() * 2.0**one.type.exponent, *torchs)
        assert torch.equal(sums["conv"].double() * 2.0**exponent, want), f"{seed}/{number}\n{after}"
        assert torch.equal(sums["quant"], *graph.eval(x)), f"{seed}/{number}\n{after}"
        rewritten += 1
    assert rewritten == 60
