"""Spiking neurons: module == golden == RTL at each step, membranes in as few bits as they need, whole samples."""

import random
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

import hwgen
from hwgen.config import BuildConfig
from hwgen.errors import BadInput, HwgenError, Mismatch, UnsupportedLayer
from hwgen.frontend import import_model
from hwgen.ir import TensorType
from hwgen.manifest import read_manifest
from hwgen.nn import LI, LIF, ActQuant, StepsIn, StepsOut
from hwgen.nn_spiking.neuron import FIRES, LEAK_ROUNDINGS, ORDERS, RESETS
from hwgen.ops.lif import Lif
from hwgen.pace import interval_of
from hwgen.passes import run_passes
from hwgen.qtype import QType
from hwgen.report import report
from hwgen.simulators import run_cocotb
from tests.networks import Fork
from tests.test_top import packed

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


@pytest.mark.parametrize("seed", range(40))
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
def test_hardware_has_the_bits_that_it_needs_and_not_one_more(tmp_path):
    """All sequences of a few currents, its ends among them."""
    features = 3  # beats of a frame: the least with registers between
    model = Branches(neurons(8)).double()
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


def on_grid(layer):
    """A layer with weights of powers of two, some zero."""
    with torch.no_grad():
        exponents = torch.randint(-3, 1, layer.weight.shape)
        layer.weight.copy_(torch.randint(-1, 2, layer.weight.shape) * 2.0**exponents)
        layer.bias.copy_(torch.randint(-8, 9, layer.bias.shape) / 8)
    return layer


LEVELS = [1.0, 0.5, 2.0, 1.0, 0.25]


def direct() -> nn.Sequential:
    """Frames that become four time steps behind the first layer, and one again at the end."""
    torch.manual_seed(2)
    return nn.Sequential(
        ActQuant(4, -3),
        StepsIn(4),
        on_grid(nn.Conv2d(2, 3, 3)),
        LIF(4, -3, leak=(3,), guard=2, rounding="half_up", order="late"),
        nn.Flatten(),
        on_grid(nn.Linear(12, 5)),
        LIF(
            4,
            -3,
            leak=(1, 2),
            threshold=torch.tensor([1.0, 0.5, 2.0, 1.0, 0.25]),
            synapse=(1,),
            reset="zero",
            fire=">=",
        ),
        StepsOut(4),
    )


def coded() -> nn.Sequential:
    """Spikes of three time steps for each sample, of which the last membrane is sent."""
    torch.manual_seed(3)
    return nn.Sequential(
        ActQuant(1, 0),
        on_grid(nn.Linear(6, 5)),
        LIF(3, -3, leak=(2,), order="spiker"),
        on_grid(nn.Linear(5, 3)),
        LI(3, -3, leak=(2,), guard=1, synapse=()),
        StepsOut(3, "last"),
    )


@pytest.mark.sim
@pytest.mark.parametrize(("module", "frame", "engine"), [(direct, (2, 4, 4), "lanes"), (coded, (6,), "spatial")])
def test_networks_of_time_steps_in_hardware(module, frame, engine, tmp_path):
    model = module()
    steps = 1 if module is direct else 3
    config = BuildConfig(engine=engine)
    design = hwgen.build(model, (torch.zeros(steps, *frame),), out=tmp_path / "net", config=config)
    x = torch.rand(12 * steps, *frame) * 1.5
    with torch.no_grad():
        wanted = model.double()(x.double()).numpy()
    assert len(wanted) == 12 and wanted.any()
    sent, _ = hwgen.simulate(tmp_path / "net", x, simulator="icarus", stall=0.3)
    assert np.array_equal(sent, wanted)
    result = hwgen.verify(tmp_path / "net", x, labels=np.zeros(12, int), simulator="icarus", inside=True)
    kept = [name for name in result["inside"] if name.endswith("_kept")]
    assert len(kept) == 3 and all(result["inside"].values())
    assert result["equal"] == 12 * steps and result["interval"] <= interval_of(design)
    beats = {end["name"]: end["beats"] for end in (*_manifest(tmp_path)["inputs"], *_manifest(tmp_path)["outputs"])}
    assert beats["input"] == (32 if module is direct else steps)  # unfolded, a frame is one beat
    assert ("3 frames at a time" in report(tmp_path / "net")[1]) == (module is coded)


@pytest.mark.sim
def test_a_membrane_that_nobody_reads_is_compared(tmp_path):
    model = nn.Sequential(ActQuant(4, -2), LIF(3, -2, leak=(2,), order="spiker"), nn.Linear(4, 2), ActQuant(2, 0))
    model[2].weight.data.zero_()
    model[2].bias.data.fill_(1.0)
    hwgen.build(model, (torch.zeros(3, 4),), out=tmp_path / "net")
    x = torch.rand(9, 4) * 3
    assert hwgen.verify(tmp_path / "net", x, simulator="icarus", inside=True)["inside"]["layer_1_kept"] == 36
    path = tmp_path / "net/rtl/lif.v"
    path.write_text(path.read_text().replace("? less_b[W:1] : left_a", "? less_b[W:1] : kept_n"))
    assert hwgen.verify(tmp_path / "net", x, simulator="icarus", edited=True)["equal"] == 9
    with pytest.raises(Mismatch, match="not all inside: first wrong layer layer_1 "):
        hwgen.verify(tmp_path / "net", x, simulator="icarus", edited=True, inside=True)


def _manifest(folder) -> dict:
    return read_manifest(folder / "net")


@pytest.mark.sim
def test_the_border_takes_whole_samples(tmp_path):
    """The host's frames are turns of three time steps, of which one frame comes back; resets in mid-sample too."""
    model = coded()
    design = hwgen.build(model, (torch.zeros(3, 6),), out=tmp_path / "net")
    q = design.graph.quantize_inputs(torch.rand(24, 6))[0]
    words = [design.inputs[0].order.flatten(q), design.outputs[0].order.flatten(design.graph.eval(q)[0])]
    bits = [stream.type.qtype.bits for stream in (design.inputs[0], design.outputs[0])]
    of_turns = [packed(each.reshape(8, -1, 1), n) for each, n in zip(words, bits, strict=True)]
    np.savez(tmp_path / "data.npz", inputs_0=of_turns[0], outputs_0=of_turns[1])
    run_cocotb(
        simulator="icarus",
        sources=sorted((tmp_path / "net/rtl").glob("*.v")),
        toplevel="net_top",
        module="bench_top",
        build_dir=tmp_path / "build",
        environment={"TOP_DATA": str(tmp_path / "data.npz")},
        cwd=tmp_path / "net",
        timeout=600,
    )


@pytest.mark.sim
def test_a_constant_current_spikes_as_often_as_a_quantizer_rounds_down(tmp_path):
    """Without a leak and with a reset by subtraction: clip(floor(T * a), 0, T) spikes of T steps (Bu et al.)."""
    model = nn.Sequential(ActQuant(6, -4, signed=True), StepsIn(3), LIF(3, -4, fire=">="), StepsOut(3))
    hwgen.build(model, (torch.zeros(1, 8),), out=tmp_path / "net")
    a = torch.arange(-32, 32).double() / 16
    sent, _ = hwgen.simulate(tmp_path / "net", a.reshape(8, 8), simulator="icarus")
    assert np.array_equal(sent.reshape(-1), (3 * a).floor().clamp(0, 3).numpy())


@pytest.mark.sim
def test_a_sample_ends_where_the_greatest_sum_is_far_enough_ahead(tmp_path):
    torch.manual_seed(5)
    model = nn.Sequential(
        ActQuant(4, -3),
        on_grid(nn.Linear(5, 7)),
        StepsIn(6),
        LIF(6, -3, leak=(3,), order="late"),
        on_grid(nn.Linear(7, 4)),
        LIF(6, -3),
        StepsOut(6, margin=1.0),
    )
    design = hwgen.build(model, (torch.zeros(1, 5),), out=tmp_path / "net")
    x = torch.rand(40, 5).double() * 2
    with torch.no_grad():
        wanted, whole = model.double()(x).numpy(), model[:-1](x).unflatten(0, (40, 6)).sum(1).numpy()
    assert 2 < (wanted == whole).all(1).sum() < 38
    sent, _ = hwgen.simulate(tmp_path / "net", x, simulator="icarus", stall=0.3)
    assert np.array_equal(sent, wanted)
    sent, run = hwgen.simulate(tmp_path / "net", x, simulator="icarus")
    assert np.array_equal(sent, wanted) and np.diff(run.ended).mean() < np.diff(run.ended).max() <= interval_of(design)
    path = tmp_path / "net/rtl/steps_out.v"
    path.write_text(path.read_text().replace("apart_q > $signed", "apart_q >= $signed"))
    with pytest.raises(Mismatch, match="stream layer_6"):
        hwgen.verify(tmp_path / "net", x, simulator="icarus", edited=True)


def test_layers_are_scheduled_by_the_mean_of_steps(tmp_path):
    """Where samples end early a layer before their steps has less time than if all had all."""
    layers = ActQuant(4, -3), on_grid(nn.Linear(40, 16)), StepsIn(20), LIF(20, -3), on_grid(nn.Linear(16, 4))
    model = nn.Sequential(*layers, StepsOut(20, margin=1.0))
    found = {}
    for mean in (None, 5):
        config = BuildConfig(lanes=16, mean_steps=mean)
        design = hwgen.build(model, (torch.zeros(1, 40),), out=tmp_path / f"of{mean}", config=config)
        found[mean] = {placed.unit.name: placed.cycles for placed in design.placed}, interval_of(design)
    assert found[5][0]["layer_1"] <= 5 * 16 < found[None][0]["layer_1"] <= 20 * 16
    assert found[5][1] >= 20 * 16  # what is predicted is the most
    config = BuildConfig(mean_steps=5)
    with pytest.raises(BadInput, match="no sample of the network ends early"):
        hwgen.build(model[:-1], (torch.zeros(1, 40),), out=tmp_path / "other", config=config)


def test_the_gradient_of_a_sum_that_ends_early_is_that_of_its_steps():
    x = torch.tensor([[1.0, 0], [2, 0], [5, 0], [0, 0], [0, 1], [0, 1]], requires_grad=True)
    y = StepsOut(3, margin=2.0)(x)
    y.sum().backward()
    assert y.tolist() == [[3, 0], [0, 2]] and x.grad.tolist() == [[1, 1]] * 2 + [[0, 0]] + [[1, 1]] * 3


def test_one_step_is_a_threshold_and_samples_do_not_see_each_other():
    x = torch.randn(9, 4).double()
    assert torch.equal(LIF(1, -4, leak=(2,), threshold=0.5)(x), (x.mul(16).add(0.5).floor() > 8).double())
    lif = LIF(3, -4, leak=(2,))
    assert torch.equal(lif(x), torch.cat([lif(x[i : i + 3]) for i in (0, 3, 6)]))


def test_layers_without_a_state_are_computed_once_a_sample():
    graph = run_passes(import_model(direct(), (torch.zeros(1, 2, 4, 4),)))
    rates = {type(node.op).__name__: graph.rates[node.name] for node in graph.nodes[:3]}
    assert rates == {"Conv": 1, "Quantize": 1, "StepsIn": 4}
    x = torch.rand(6, 2, 4, 4).double()
    assert torch.equal(graph.golden(x)[0], direct().double()(x)) and (graph.turn, graph.frames) == (1, 1)
    graph = import_model(coded(), (torch.zeros(3, 6),))
    assert (graph.turn, graph.frames, graph.turns["input"], graph.turns[graph.outputs[0].name]) == (3, 3, 3, 1)


def test_the_export_has_one_node_for_each():
    program = torch.export.export(direct(), (torch.zeros(1, 2, 4, 4),))
    names = [str(node.target) for node in program.graph.nodes if "hwgen" in str(node.target)]
    kinds = ("act_quant", "steps_in", "lif", "lif", "steps_out")
    assert names == [f"hwgen.{name}.default" for name in kinds]


def test_leak_and_threshold_are_learned():
    torch.manual_seed(0)
    lif = LIF(5, -4, leak=(2,), guard=4, trainable=("leak", "threshold"))
    teacher = LIF(5, -4, leak=(4,), threshold=0.75, guard=4)
    x = torch.rand(200, 20)
    optimizer = torch.optim.Adam(lif.parameters(), lr=0.03)
    losses = []
    for _ in range(40):
        loss = (lif(x).unflatten(0, (-1, 5)).sum(1) - teacher(x).unflatten(0, (-1, 5)).sum(1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 4 and lif.leak > (2,) and 0.65 < float(lif.threshold.detach()) < 0.85


def imported(layer: nn.Module):
    return import_model(nn.Sequential(ActQuant(4, 0), layer), (torch.zeros(1, 2),))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: LIF(0, 0), "steps = 0"),
        (lambda: LIF(2, 0, leak=(1, 2, 3)), "more than two shifts"),
        (lambda: LIF(2, 0, leak=(1, 2, 3, 4, 5), rounding="half_up"), "leak = "),
        (lambda: LIF(2, 0, leak=(2, 2)), "leak = "),
        (lambda: LIF(2, 0, leak=(17,)), "leak = 17"),
        (lambda: LIF(2, 0, threshold=0.3), "not on the grid"),
        (lambda: LIF(2, 0, threshold=-1.0), "threshold = -1.0"),
        (lambda: LIF(2, 0, threshold=torch.ones(2, 2)), "threshold = "),
        (lambda: LIF(2, 0, reset="soft"), "reset = 'soft'"),
        (lambda: LIF(2, 0, trainable=("leak",)), "leak = ()"),
        (lambda: LI(2, 0, trainable=("threshold",)), "trainable = 'threshold'"),
        (lambda: LIF(2, 0, start=1e30), "start = 1e+30"),
        (lambda: LIF(3, 0)(torch.zeros(4, 2)), "4 frames are no whole samples of 3 steps"),
        (lambda: LIF(3, 0)(torch.zeros(3, 2, dtype=torch.int64)), "dtype torch.int64"),
        (lambda: StepsOut(3)(torch.zeros(4, 2)), "4 frames are no whole samples of 3 steps"),
        (lambda: StepsOut(3, "mean"), "how = 'mean'"),
        (lambda: StepsOut(3, "last", 1.0), "margin = 1.0"),
        (lambda: StepsOut(3, margin=-1.0), "margin = -1.0"),
        (lambda: import_model(coded(), (torch.zeros(1, 6),)), "an example of 1 frames"),
        (lambda: imported(LIF(2, 0, start=2.0, order="late")), "start = 2 fires"),
        (lambda: imported(LIF(2, 0, threshold=torch.ones(3))), "3 thresholds"),
        (lambda: import_model(StepsIn(2), (torch.zeros(1, 2),)), "never meets a quantizer"),
    ],
)
def test_errors_name_what_is_wrong(make, what):
    with pytest.raises(HwgenError) as error:
        make()
    assert what in str(error.value)


def test_joins_and_batches_of_time_steps_are_checked(tmp_path):
    joined = nn.Sequential(ActQuant(4, 0), Fork(StepsIn(2), nn.Identity()))
    with pytest.raises(UnsupportedLayer, match="it joins 2 frames of layer_1_branches_0 and 1 frames of input"):
        hwgen.build(joined, (torch.zeros(1, 2),), out=tmp_path / "joined")
    for ends in ([StepsOut(3, margin=1.0)], [StepsIn(3), StepsIn(2), StepsOut(6, margin=1.0)]):
        with pytest.raises(UnsupportedLayer, match="do not begin and end with one StepsIn and one StepsOut"):
            hwgen.build(nn.Sequential(ActQuant(4, 0), *ends), (torch.zeros(3, 2),), out=tmp_path / "joined")
    inside = nn.Sequential(ActQuant(4, 0), StepsIn(2), LIF(2, 0), on_grid(nn.Linear(2, 2)), StepsOut(2, margin=1.0))
    config = BuildConfig(loadable="*")
    with pytest.raises(UnsupportedLayer, match="resets layer_3, which is loadable"):
        hwgen.build(inside, (torch.zeros(1, 2),), out=tmp_path / "joined", config=config)
    hwgen.build(coded(), (torch.zeros(3, 6),), out=tmp_path / "net")
    for call in (hwgen.simulate, hwgen.verify):
        with pytest.raises(BadInput, match="4 frames are no whole samples"):
            call(tmp_path / "net", torch.zeros(4, 6))
    with pytest.raises(BadInput, match="modes, and time steps"):
        hwgen.build(coded(), (torch.zeros(3, 6),), out=tmp_path / "modes", modes=[(coded(), (torch.zeros(3, 6),))])
    assert not (tmp_path / "joined").exists() and not (tmp_path / "modes").exists()
