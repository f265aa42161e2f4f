"""Schedules keep what they promise: the rate, the budget, and every bit."""

import copy
import re
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch
from networks import make_network
from torch import nn

from hwgen import simulate
from hwgen.board import Board, load_board
from hwgen.config import RESOURCES, BuildConfig
from hwgen.errors import BadInput, DoesNotFit, UnsupportedLayer
from hwgen.explore import explore
from hwgen.flow import build
from hwgen.frontend import import_model
from hwgen.ir import TensorType
from hwgen.lanes.entries import IMMEDIATE, Rounds
from hwgen.lanes.unit import TermLanes
from hwgen.load import load
from hwgen.lower import lower
from hwgen.manifest import read_manifest
from hwgen.menu import Menu
from hwgen.nn import ActQuant
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.pace import interval_of
from hwgen.passes import run_passes
from hwgen.qtype import QType
from hwgen.remedies import Remedies, advised
from hwgen.schedule import schedule
from hwgen.share import share
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.adder_graph import AdderGraph

BOARD = load_board("zcu104")


def network(channels: int = 6, size: int = 12) -> nn.Sequential:
    """Three layers of unlike work, on 4 bits."""
    torch.manual_seed(3)
    net = nn.Sequential(
        ActQuant(4, 0),
        nn.Conv2d(2, channels, 3, padding=1),
        ActQuant(4, 3),
        nn.Conv2d(channels, channels + 1, 3, padding=1, stride=2),
        ActQuant(4, 4),
        nn.Conv2d(channels + 1, 5, 1),
        ActQuant(4, 2),
    )
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = torch.randint(-1, 2, layer.weight.shape) * 2.0 ** torch.randint(
                0, 4, layer.weight.shape
            )
            layer.bias.data = torch.randint(-8, 8, layer.bias.shape).float()
    return net.eval()


X = torch.randint(0, 16, (1, 2, 12, 12), generator=torch.Generator().manual_seed(5)).float()


def measured(folder, module, x, frames=6) -> int:
    """The interval in simulation; every frame is compared."""
    x = x.repeat(frames, *[1] * (x.dim() - 1))
    y, run = simulate(folder, x.numpy(), simulator="icarus")
    assert np.array_equal(y, copy.deepcopy(module).double()(x.double()).detach().numpy())
    return run.interval


@pytest.mark.sim
@pytest.mark.parametrize("seed", range(8))
def test_a_random_network_is_as_fast_as_its_schedule_says(seed, tmp_path):
    """With a limit of lanes, a rate or a budget: never slower than predicted, never faster than the slowest unit."""
    random = Random(seed)
    net = make_network(random)
    limits = [{"lanes": random.choice([1, 4, 16, 64, 512])}, {"fps": 10.0 ** random.uniform(3, 5.5)}, {"budget": "5%"}]
    design = build(net.module, net.example, out=tmp_path / "net", config=BuildConfig(**random.choice(limits)))
    took = measured(tmp_path / "net", net.module, net.x[:1])
    assert max(placed.unit.cycles() for placed in design.placed) <= took <= interval_of(design)


@pytest.mark.sim
@pytest.mark.parametrize("engine", ["lanes", "spatial", "auto"])
def test_a_rate_is_met(engine, tmp_path):
    net, rate = network(), 5e5
    design = build(net, (X,), out=tmp_path / "net", config=BuildConfig(fps=rate, engine=engine))
    assert interval_of(design) <= BOARD.clock_mhz * 1e6 / rate
    assert measured(tmp_path / "net", net, X) <= interval_of(design)


def test_a_rate_that_is_just_missed_is_met_by_the_next_fold(tmp_path):
    """Units that wait for each other take a cycle more than asked, their slowest a tenth less: a margin just below it
    has another choice, where many that are near the rate all have the same."""
    model, inputs = load(str(share("rtl").parent / "examples/digits/digits.pt2"))
    config = BuildConfig(fps=BOARD.clock_mhz * 1e6 / 1001.5, engine="lanes", dsp=False)
    design = build(model, inputs, out=tmp_path / "net", config=config)
    assert 900 < interval_of(design) <= 1001


@pytest.mark.sim
def test_units_that_hold_each_other_up_are_predicted_to(tmp_path):
    """The slowest unit of the example takes less than the network does; the prediction no less."""
    model, inputs = load(str(share("rtl").parent / "examples/digits/digits.pt2"))
    design = build(model, inputs, out=tmp_path / "net", config=BuildConfig(fps=200_000))
    frames = np.random.default_rng(3).random((6, *design.graph.inputs[0].shape))
    took = simulate(tmp_path / "net", frames, simulator="icarus")[1].interval
    assert max(placed.unit.cycles() for placed in design.placed) < took <= interval_of(design) <= 1.1 * took


@pytest.mark.sim
def test_dense_weights_of_8_bits_are_multiplied(tmp_path):
    """An entry a weight: a high rate takes less of the board (a low one is about even), and every bit is as before. The
    first list has distances, and immediates in halves."""
    generator = torch.Generator().manual_seed(6)
    fine = ActQuant(16, 11, signed=True)
    net = nn.Sequential(ActQuant(8, 0), nn.Linear(96, 40), nn.ReLU(), ActQuant(8, 9), nn.Linear(40, 6), fine)
    for layer in (net[1], net[4]):
        layer.weight.data = torch.randint(-127, 128, layer.weight.shape, generator=generator).float()
        layer.bias.data = torch.randint(-5000, 5000, layer.bias.shape, generator=generator).float()
    x = torch.randint(0, 256, (1, 96), generator=generator).float()
    rate = {"fps": 500_000, "engine": "lanes"}
    design = build(net, (x,), out=tmp_path / "net", config=BuildConfig(**rate))
    without = build(net, (x,), out=tmp_path / "without", config=BuildConfig(**rate, dsp=False))
    assert {unit["kind"] for unit in read_manifest(tmp_path / "net")["choices"].values() if "kind" in unit} >= {"mac"}
    first = next(placed.unit for placed in design.placed if isinstance(placed.unit, TermLanes))
    assert first.entries.gaps and first.entries.immediate.sum() > np.count_nonzero(first.program.flags & IMMEDIATE)
    shares = [sum(n / BOARD.resources[name] for name, n in d.estimate().items()) for d in (design, without)]
    assert shares[0] < shares[1] and without.estimate()["DSP"] == 0
    assert measured(tmp_path / "net", net, x) <= interval_of(design)


def test_a_layer_that_is_fast_enough_stays_small(tmp_path):
    """Without a rate or a budget: as fast as the slowest layer's lanes allow, no other layer larger than that needs."""
    design = build(network(), (X,), out=tmp_path / "net", config=BuildConfig(lanes=16))
    units = {placed.unit.name: placed.unit for placed in design.placed if isinstance(placed.unit, TermLanes)}
    slowest = max(units.values(), key=lambda unit: unit.cycles())
    for unit in units.values():
        smaller = [f for f in (1, 2, 4, 8) if f < unit.fold.size]
        assert unit is slowest or not smaller or 2 * unit.cycles() > slowest.cycles(), f"{unit.name}: {unit.fold}"
    assert len({unit.fold.size for unit in units.values()}) > 1


def test_more_speed_takes_more_area_and_a_limit_of_the_rate_none_too_much(tmp_path):
    """Along the frontier the area falls with the rate, and each point is what build makes at that rate."""
    rows = explore(network(), (X,), config=BuildConfig(engine="lanes", lanes=512), points=5)
    share = [sum(row[name] / BOARD.resources[name] for name in RESOURCES) for row in rows]
    intervals = [row["interval"] for row in rows]
    assert intervals == sorted(intervals) and share == sorted(share, reverse=True) and len(rows) > 2
    for row in rows:
        config = BuildConfig(fps=row["fps"], lanes=512, engine="lanes")
        design = build(network(), (X,), out=tmp_path / "net", config=config)
        if interval_of(design) == row["interval"]:  # else one that is faster was smaller
            assert {name: row[name] for name in RESOURCES} == design.estimate()
    middle = rows[len(rows) // 2]
    config = BuildConfig(fps=0.9 * middle["fps"], lanes=512, engine="lanes")
    design = build(network(), (X,), out=tmp_path / "net", config=config)
    assert sum(n / BOARD.resources[name] for name, n in design.estimate().items()) <= share[len(rows) // 2]


@pytest.mark.parametrize("seed", range(10))
def test_a_budget_is_kept_or_refused_with_the_least_that_would_do(seed, tmp_path):
    """Of lookup tables, or of several resources."""
    random = Random(seed)
    budget = {"LUT": int(10 ** random.uniform(2, 4))}
    if seed > 5:
        budget |= {"BRAM36": random.randrange(4), "DSP": random.randrange(8)}

    def built():
        config = BuildConfig(budget=",".join(f"{name}={n}" for name, n in budget.items()))
        return build(network(), (X,), out=tmp_path / "net", config=config)

    try:
        design = built()
    except DoesNotFit as error:
        assert not (tmp_path / "net").exists()
        least = {name: int(n) for name, n in re.findall(r"(\w+)=(\d+) ", error.at)}
        assert list(least) == list(budget) and any(least[name] > n for name, n in budget.items())
        budget = least
        design = built()
    assert all(design.estimate()[name] <= n for name, n in budget.items())


def menu(net, x, board=BOARD, **options) -> Menu:
    graph, config = run_passes(import_model(net, (x,))), BuildConfig(**options)
    return Menu(graph, lower(graph, config.is_loadable), config, board, dsp=True)


def one_linear(inputs: int, outputs: int) -> tuple[nn.Module, torch.Tensor]:
    net = nn.Sequential(ActQuant(4, 0), nn.Linear(inputs, outputs), ActQuant(4, 6)).eval()
    net[1].weight.data = torch.randint(-1, 2, (outputs, inputs), generator=torch.Generator().manual_seed(1)).float()
    net[1].bias.data.zero_()
    return net, torch.zeros(1, inputs)


def a_board(**resources: int) -> Board:
    return replace(BOARD, resources=BOARD.resources | resources)


def test_what_lacks_is_named():
    """One layer's list does not fit in block RAM, or not at the rate."""
    for blocks, fps, said in (
        (1, 1e3, r"(?s)it does not fit at any rate: it needs \d+% of BRAM36"),
        (5, 1e6, r"(?s)has room for is \d+\n.*at:   zcu104: 250 cycles need \d+% of BRAM36"),
    ):
        ready = menu(*one_linear(64, 128), a_board(BRAM36=blocks), engine="lanes", fps=fps)
        with pytest.raises(DoesNotFit, match=said):
            schedule(ready.graph, ready.stages, ready.config, ready.board)


MEMORY = "--loadable '*' --weights-in auto"


@pytest.mark.parametrize(
    ("resources", "config", "does", "does_not"),
    [
        ({"BRAM36": 8}, {}, ["--budget 100%", MEMORY], []),
        ({"BRAM36": 8, "URAM": 0}, {}, ["--lanes 8", "--budget 100%"], [MEMORY]),
        ({"BRAM36": 8}, {"loadable": "*"}, ["--budget 100%", "--weights-in auto"], [MEMORY]),
        ({"LUT": 900, "URAM": 0}, {"lanes": 64}, ["--lanes 16", "--budget 100%"], ["--lanes 32"]),
        ({"BRAM36": 1}, {"engine": "lanes", "fps": 1e3}, ["--engine auto", MEMORY], ["--pixels 2", "--budget 100%"]),
        ({"LUT": 3000}, {"engine": "lanes", "fps": 1e6, "lanes": 1}, ["without --lanes"], ["--engine auto", MEMORY]),
        ({"BRAM36": 1, "LUT": 900}, {"engine": "lanes"}, [f"{MEMORY} --budget 100%"], []),
        ({"BRAM36": 1, "LUT": 900, "URAM": 0}, {}, [], [MEMORY, "--budget 100%"]),
    ],
)
def test_a_refusal_names_the_options_that_do(resources, config, does, does_not):
    net, x = one_linear(64, 128)
    board, config = a_board(**resources), BuildConfig(**config)
    graph = run_passes(import_model(net, (x,)))
    stages = lower(graph, config.is_loadable)
    assert not Remedies(graph, config, board, {config.loadable: stages}).fits()
    said = advised(DoesNotFit("what", "at", "prune it"), graph, stages, config, board).hint.split(", or ")
    assert said[-1] == "prune it" and set(does) <= set(said) and not set(does_not) & set(said)
    assert does or said == ["prune it"]


@pytest.mark.parametrize("config", [{}, {"engine": "lanes", "lanes": 2}, {"pixels": 4}])
def test_a_rate_that_no_option_reaches_is_refused_with_rates_that_build(config, tmp_path):
    """Each as it is written; and a tenth more is refused."""
    with pytest.raises(DoesNotFit) as raised:
        build(network(), (X,), out=tmp_path / "net", config=BuildConfig(fps=1e8, **config))
    *said, last, _ = raised.value.hint.split(", or ")
    assert last == "ask for less" and len(said) == (1 if config == {"pixels": 4} else 2)
    rates = []
    for text in said:
        words = text.removesuffix(" without --lanes").split()
        options = dict(zip(words[::2], words[1::2], strict=True))
        given = config | ({"lanes": None} if text.endswith("without --lanes") else {})
        given |= {"engine": options["--engine"]} if "--engine" in options else {}
        given |= {"pixels": int(options["--pixels"])} if "--pixels" in options else {}
        rates.append(int(options["--fps"]))
        design = build(network(), (X,), out=tmp_path / "net", config=BuildConfig(fps=rates[-1], **given))
        assert interval_of(design) <= BOARD.clock_mhz * 1e6 / rates[-1]
        with pytest.raises(DoesNotFit):
            build(network(), (X,), out=tmp_path / "more", config=BuildConfig(fps=1.1 * rates[-1], **given))
    assert rates == sorted(set(rates))


@pytest.mark.parametrize("values", [[-1, 1], [1], [-8, 0, 0, 0, 2], [-1, 0, 1]])
def test_what_adders_take_at_least_is_less_than_what_they_take(values):
    """Of dense weights, of equal ones, and of few."""
    weight = np.random.default_rng(1).choice(values, (16, 16, 3, 3)).astype(float)
    conv, x = Conv(weight, np.zeros(16), padding=(1,) * 4), TensorType((16, 8, 8), QType(0, 15), 0)
    unit = AdderGraph(Stage.alone("layer", conv, Quantize(4, 0, 15), x), Order(x.shape).by_pixels(1), 3, BOARD.device)
    assert not unit.counted
    least = unit.bound()
    taken = unit.estimate()
    assert unit.counted and unit.bound() == taken and 0 < least["LUT"] < taken["LUT"]
    assert least["BRAM36"] == taken["BRAM36"]


def test_a_slower_network_never_needs_more_memory():
    """A list of one group would leave most of an UltraRAM's width empty."""
    net = nn.Sequential(ActQuant(4, 0), nn.Linear(512, 256), ActQuant(4, 6)).eval()
    net[1].weight.data = torch.randint(-1, 2, (256, 512), generator=torch.Generator().manual_seed(1)).float()
    net[1].bias.data.zero_()
    ready = menu(net, torch.zeros(1, 512), engine="lanes", loadable="*", weights_in="uram", fps=1.0)
    blocks = []
    for interval in (2_000, 8_000, 32_000, np.inf):
        chosen = ready.sparing(interval, {"URAM": 0})
        blocks.append(ready.placed(chosen).estimate()["URAM"])
    assert blocks == sorted(blocks, reverse=True) and blocks[-1] < len(net[1].weight.data.nonzero()) / 4096


def test_a_greater_budget_is_never_slower(tmp_path):
    intervals = []
    for luts in (950, 1500, 4800):  # the AXI border among them
        design = build(network(), (X,), out=tmp_path / str(luts), config=BuildConfig(budget=f"LUT={luts},BRAM=100%"))
        intervals.append(interval_of(design))
    assert intervals == sorted(intervals, reverse=True) and intervals[0] > intervals[-1]


def test_a_rate_that_is_out_of_reach_is_refused_with_what_is_in_reach(tmp_path):
    with pytest.raises(DoesNotFit, match=r"(?s)the least that zcu104 has room for is \d+.*can be no faster than \d+"):
        build(network(), (X,), out=tmp_path / "net", config=BuildConfig(fps=1e8))
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize(
    ("choices", "word"),
    [
        ({"fps": 0}, "fps = 0"),
        ({"fps": True}, "fps = True"),
        ({"clock": -1.0}, "clock = -1.0"),
        ({"fps": 5, "budget": "10%"}, "give one"),
        ({"budget": ""}, "budget = ''"),
        ({"budget": "60"}, "'60' is no budget"),
        ({"budget": "FF=3"}, "'FF=3' is no budget"),
        ({"budget": "LUT=-3"}, "'LUT=-3' is no budget"),
        ({"lanes": 0}, "lanes = 0"),
    ],
)
def test_what_makes_no_sense_is_refused(choices, word):
    with pytest.raises(BadInput, match=word):
        BuildConfig(**choices)


def test_rounds_hold_every_channel_once_and_sorting_only_shortens():
    lengths = np.random.default_rng(1).integers(1, 40, 37)
    for groups in (1, 2, 5, 36, 37):
        own, sorted_ = (Rounds.of(lengths, groups, sort) for sort in (False, True))
        assert own.channels == () and sorted(sorted_.places) == list(range(37))
        assert sorted_.lengths.sum() <= own.lengths.sum() and sorted_.final == own.final
        for rounds in (own, sorted_):
            assert (rounds.lengths[rounds.places // groups] >= lengths).all()
        if groups > 1:
            assert [sorted_.places[channel] for channel in sorted_.channels] == list(range(37))


def test_an_engine_that_a_layer_cannot_have_is_refused_with_its_obstacle(tmp_path):
    """By auto it goes to another engine."""
    net = nn.Sequential(ActQuant(4, 0), nn.Conv2d(1, 2, 1, padding=1), ActQuant(4, 0)).eval()
    net[1].weight.data.fill_(1.0)
    net[1].bias.data.zero_()
    x = torch.zeros(1, 1, 4, 4)
    why = r"(?s)--engine spatial is not possible: its first window holds nothing but padding.*at:   layer_1.*=lanes"
    with pytest.raises(UnsupportedLayer, match=why):
        build(net, (x,), out=tmp_path / "net", config=BuildConfig(engine="spatial"))
    build(net, (x,), out=tmp_path / "net", config=BuildConfig(engine="auto"))
