"""Box sums before a convolution in the place of an average behind it: the same numbers of fewer terms, where that is
cheaper."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from random import Random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from hwgen import build, simulate
from hwgen.board import load_board
from hwgen.compress import Recipe, convert, prepare
from hwgen.compress.size import sizes
from hwgen.config import BuildConfig
from hwgen.errors import BadInput, DoesNotFit
from hwgen.explore import explore
from hwgen.frontend import import_model
from hwgen.ir import Graph, Op, Output, TensorType
from hwgen.nn import ActQuant, reciprocal
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.pace import interval_of
from hwgen.passes import boxed, run_passes
from hwgen.passes.box_before_conv import averaged, of_fewer_terms
from hwgen.qtype import QType
from hwgen.terms import term_table
from hwgen.weights import load_words
from tests.graphs import frames_of, graph_of
from tests.test_netlist import check_netlist

BOARD = load_board("zcu104")


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
    for number in range(50):
        graph, torchs = random_graph(Random(f"{seed}/{number}"))
        assert averaged(graph) == {"conv": "pool"}
        after, (one,) = boxed(graph, ["conv"]), graph.inputs
        x = frames_of(one.type, 3, seed=number)
        sums = dict(after.trace(x))
        want = by_torch(x.double() * 2.0**one.type.exponent, *torchs)
        got = sums["conv"].double() * 2.0 ** after.types()["conv"].exponent
        assert torch.equal(got, want) and torch.equal(sums["quant"], *graph.eval(x)), f"{seed}/{number}\n{after}"


KIND = TensorType((2, 9, 10), QType(-8, 7), -3)


def averaging(conv: Mapping = {}, pool: Mapping = {}, between: Op | None = None, window=(2, 2), worth=0.25) -> Graph:
    """A convolution of stride 2 with padding, an average pool, and a quantizer; `between` them may be another op."""
    weight = np.random.default_rng(1).integers(-3, 4, (3, 2, 3, 3)) / 4
    own = {"weight": weight, "bias": np.arange(3) - 1.0, "stride": (2, 2), "padding": (1, 1, 1, 1)}
    average = {"stride": (2, 2), "groups": 3, "activations_limited": False}
    nodes = [("conv", Conv(**(own | dict(conv))), ("x",))]
    nodes += [("middle", between, ("conv",))] if between else []
    nodes += [("pool", Conv(np.full((3, 1, *window), worth), np.zeros(3), **(average | dict(pool))), (nodes[-1][0],))]
    return graph_of(KIND, *nodes, ("quant", Quantize(-2, 0, 15), ("pool",)))


def read_twice() -> Graph:
    graph = averaging()
    return replace(graph, outputs=(*graph.outputs, Output("conv", graph.types()["conv"].shape)))


NOT_AVERAGED = {
    "clamped before": lambda: averaging(between=Quantize(-2, 0, 15)),
    "padded": lambda: averaging(pool={"padding": (0, 1, 0, 0)}),
    "dilated": lambda: averaging(pool={"dilation": (2, 2)}),
    "read twice": read_twice,
    # of 16 bits, times a reciprocal of six
    "no weights": lambda: averaging({"weight": np.full((3, 2, 3, 3), 2.0**15 + 1)}, window=(3, 3), worth=57 / 512),
}


@pytest.mark.parametrize("case", NOT_AVERAGED)
def test_no_other_average_is_taken_before_a_convolution(case):
    assert averaged(averaging()) and averaged(NOT_AVERAGED[case]()) == {}


def test_terms_fall_by_the_area_of_the_stride_or_nothing_is_done():
    graph = averaging({"stride": (1, 1)})
    assert of_fewer_terms(graph) == ["conv"]
    after = boxed(graph, ["conv"])
    count = [len(term_table(g["conv"].op.integers.reshape(3, -1))) for g in (graph, after)]
    pixels = [prod(g.types()["conv"].shape[1:]) for g in (graph, after)]
    assert count[0] == count[1] and pixels == [9 * 10, 4 * 5]
    few = np.zeros((3, 2, 3, 3))
    few[:, 0, 1, 1] = 1.0  # as many terms a pixel as it has outputs: less than both boxes
    assert averaged(averaging({"weight": few})) and of_fewer_terms(averaging({"weight": few})) == []


def undilated(box: Conv) -> Conv:
    return replace(box, dilation=(1, 1))


def padded(conv: Conv) -> Conv:
    return replace(conv, padding=(1, 1, 1, 1))


@pytest.mark.parametrize(("node", "change"), [("conv_rows", undilated), ("conv_columns", undilated), ("conv", padded)])
def test_a_wrong_box_gives_other_numbers(node, change):
    """Of a convolution of stride 2 with padding: a box of neighbours, and padding that is summed twice."""
    graph = averaging()
    after, x = boxed(graph, ["conv"]), frames_of(KIND)
    broken = replace(after[node], op=change(after[node].op))
    nodes = tuple(broken if old.name == node else old for old in after.nodes)
    want, right, wrong = (*graph.eval(x), *after.eval(x), *replace(after, nodes=nodes).eval(x))
    assert torch.equal(want, right) and not torch.equal(want, wrong)


def network(bits: int = 4) -> nn.Sequential:
    """Two convolutions, the second strided, with exact sums of more than 16 bits before an average."""
    torch.manual_seed(1)
    net = nn.Sequential(
        ActQuant(8, -8),
        nn.Conv2d(2, 6, 3, padding=1),
        nn.AvgPool2d(2),
        nn.ReLU(),
        ActQuant(bits, -2),
        nn.Conv2d(6, 12, 3, stride=2, padding=1),
        nn.AvgPool2d(2, 1),
        nn.ReLU(),
        ActQuant(bits, -1),
    )
    for layer in (net[1], net[5]):
        layer.weight.data = torch.randint(-1, 2, layer.weight.shape) * 2.0 ** torch.randint(-9, 1, layer.weight.shape)
        layer.bias.data = torch.randint(-8, 8, layer.bias.shape) / 64
    return net.eval()


X = torch.rand(3, 2, 10, 12) * 1.2 - 0.1


def test_wide_sums_before_an_average_need_no_quantizer():
    graph = run_passes(import_model(network(), (X[:1],)))
    types = graph.types()
    assert types["layer_1"].qtype.bits > 16
    assert torch.equal(graph.golden(X)[0], network().double()(X.double()))


@pytest.mark.sim
@pytest.mark.parametrize(("simulator", "engine"), [("icarus", "lanes"), ("verilator", "auto")])
def test_the_hardware_of_box_sums_equals_pytorch(simulator, engine, tmp_path):
    """Asked for by naming them, and loadable."""
    config = BuildConfig(engine=f"{engine},layer_1_rows=lanes,layer_5_*=lanes", lanes=6, loadable="layer_5")
    design = build(network(), (X[:1],), out=tmp_path / "net", config=config)
    names = [placed.unit.name for placed in design.placed]
    assert {"layer_1_rows", "layer_1_columns", "layer_1", "layer_5_rows", "layer_5"} <= set(names)
    y, _ = simulate(tmp_path / "net", X.numpy(), simulator=simulator, stall=0.3)
    assert np.array_equal(y, network().double()(X.double()).detach().numpy())
    loaded = load_words(tmp_path / "net", network(), (X[:1],))
    assert np.array_equal(loaded.writes, load_words(tmp_path / "net").writes)


@pytest.mark.sim
def test_the_netlist_of_box_sums_equals_the_golden_integers(tmp_path, monkeypatch):
    """Memories of at most 64 words, which become LUTs: yosys has no model of a block RAM's behaviour."""
    conv = Conv(np.array([[[[0.5, 0], [1, -1]]]]), np.ones(1))
    pool = Conv(np.full((1, 1, 2, 2), 0.25), np.zeros(1), (2, 2), activations_limited=False)
    x = TensorType((1, 5, 5), QType(-4, 3), 0)
    graph = boxed(graph_of(x, ("conv", conv, ("x",)), ("pool", pool, ("conv",))), ["conv"])
    check_netlist(tmp_path, monkeypatch, graph, lanes=1)


def one_convolution() -> nn.Module:
    torch.manual_seed(1)
    net = nn.Sequential(ActQuant(4, -4), nn.Conv2d(4, 32, 3, padding=1), nn.AvgPool2d(2), nn.ReLU(), ActQuant(4, -2))
    weight = net[1].weight
    weight.data = torch.randint(-1, 2, weight.shape) * 2.0 ** torch.randint(-3, 1, weight.shape)
    net[1].bias.data.zero_()
    return net.eval()


ONE = torch.zeros(1, 4, 12, 12)


@pytest.mark.parametrize(
    ("options", "boxes"),
    [({"lanes": 4}, True), ({"fps": 250e6 / 2000}, True), ({"fps": 250e6 / 160}, False)],
)
def test_the_form_is_chosen_that_is_cheaper_at_what_is_asked(options, boxes, tmp_path):
    """The fastest where no rate is asked for, else the smallest that reaches it: no rate is refused for box sums."""

    def built(layer: str | None) -> tuple[bool, float, float]:
        """Whether it has box sums, its cycles, and its share of the board; a layer that one form has asks for it."""
        engine = layer and f"*={own},{layer}={own}"
        design = build(one_convolution(), (ONE,), out=tmp_path / "net", config=BuildConfig(engine=engine, **options))
        share = sum(n / BOARD.resources[name] for name, n in design.estimate().items() if n)
        return "layer_1_rows" in design.graph.types(), interval_of(design), share

    own = "lanes" if "lanes" in options else "auto"
    has, took, share = built(None)
    assert has == boxes
    for other in (False, True):
        try:
            form, *costs = built("layer_1_rows" if other else "layer_2")
        except DoesNotFit:
            assert other != has
            continue
        assert form == other
        assert share <= costs[1] if "fps" in options else took <= costs[0]


def test_the_frontier_has_the_cheaper_form_at_each_rate():
    rows = explore(one_convolution(), (ONE,), points=6)
    forms = ["layer_1_rows" in [layer["layer"] for layer in row["layers"]] for row in rows]
    assert not forms[0] and True in forms
    intervals = [row["interval"] for row in rows]
    assert intervals == sorted(intervals)


def averages(function: bool = False) -> nn.Module:
    """Two blocks of a convolution, an activation and an average pool; the second pool and activation may be
    functions."""

    class Functions(nn.Module):
        def forward(self, x):
            return functional.avg_pool2d(functional.leaky_relu(x, 0.125), (2, 2), stride=1)

    torch.manual_seed(1)
    behind = [Functions()] if function else [nn.ReLU6(), nn.AvgPool2d(2)]
    first = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2)]
    return nn.Sequential(*first, nn.Conv2d(8, 16, 3, padding=1), *behind, nn.Flatten(), nn.LazyLinear(3)).eval()


@pytest.mark.parametrize("function", [False, True])
def test_a_recipe_moves_average_pools_before_activations(function):
    net, x = averages(function), torch.rand(8, 1, 8, 8)
    net(x)
    pixels, terms = {}, {}
    for reorder in (False, True):
        prepared = prepare(net, Recipe(reorder_pools=reorder, quantize_from=0.0), (x[:1],))
        prepared.quantize()
        prepared(x)
        pixels[reorder] = [layer.pixels for layer in prepared.layers.values()]
        network = convert(prepared)
        graph = run_passes(import_model(network, (x[:1],)))
        found = of_fewer_terms(graph)
        assert len(found) == (2 if reorder else 0)
        want = network.double()(x.double())
        assert torch.equal(graph.golden(x)[0], want) and torch.equal(boxed(graph, found).golden(x)[0], want)
        terms[reorder] = sizes(network.float(), (x[:1],))
        assert prepared.terms_per_frame() == terms[reorder][-1].terms_per_frame
    assert pixels[False] == [64, 16, 1] and pixels[True] == [16, 9 if function else 4, 1]
    assert [row.terms for row in terms[False]] == [row.terms for row in terms[True]]


def test_a_recipe_says_where_no_pool_can_be_moved():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Conv2d(2, 2, 1))
    with pytest.raises(BadInput, match="no average pool reads the activation of a convolution"):
        prepare(net, Recipe(reorder_pools=True))
