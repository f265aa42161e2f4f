"""Networks with several inputs and outputs, and what the host does at each."""

import io
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from hwgen import BuildConfig, build, design, emit, flow, manifest, report, simulate, store, verify
from hwgen.cli import main
from hwgen.errors import BadInput, ToolFailed, UnsupportedLayer
from hwgen.ir import Graph, Input, Node, Output, TensorType
from hwgen.nn import ActQuant
from hwgen.ops.add import Add
from hwgen.ops.concat import Concat
from hwgen.ops.conv import Conv
from hwgen.ops.move import Move
from hwgen.ops.quantize import Quantize
from hwgen.pace import Pace, interval_of
from hwgen.passes import run_passes
from hwgen.qtype import QType
from hwgen.units.stream_fifo import StreamFifo
from tests.test_examples_rtl import behind_axi

MEAN, DEVIATION = np.array([[[0.485]], [[0.456]]]), np.array([[[0.229]], [[0.224]]])
SCALE, OFFSET = np.array([0.3, -1.7]), np.array([[[0.1]], [[0.2]], [[-0.9]]])  # of a channel, of a row


def several() -> Graph:
    """Two inputs, one normalized, one given with channels last and rounded half to even; the sum, scaled by channel,
    what is inside and an input come out."""
    kind = TensorType((2, 3, 4), QType(-8, 7), -2)
    last = np.arange(24).reshape(3, 4, 2).transpose(2, 0, 1).reshape(-1)
    back = np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0)
    conv = Conv(np.array([[[[1.0]], [[-0.5]]], [[[2.0]], [[1.0]]]]), np.array([0.25, 0.0]))
    return Graph(
        (
            Input("left", kind, (2, 3, 4), steps=(("sub", MEAN), ("div", DEVIATION))),
            Input("right", kind, (3, 4, 2), view=last, rounding="half_even"),
        ),
        (Node("conv", conv, ("right",)), Node("sum", Add(), ("left", "conv"))),
        (
            Output("sum", (3, 4, 2), view=back, host=("softmax", -1), scale=SCALE, offset=OFFSET),
            Output("conv", (24,)),
            Output("left", (2, 3, 4)),
        ),
    )


def module(left, right):
    """What `several` computes, in float64."""
    left = torch.floor((left - torch.from_numpy(MEAN)) / torch.from_numpy(DEVIATION) * 4 + 0.5).clamp(-8, 7) / 4
    x = (torch.round(right * 4).clamp(-8, 7) / 4).permute(0, 3, 1, 2)
    conv = torch.stack([x[:, 0] - 0.5 * x[:, 1] + 0.25, 2 * x[:, 0] + x[:, 1]], dim=1)
    total = (left + conv).permute(0, 2, 3, 1) * torch.from_numpy(SCALE) + torch.from_numpy(OFFSET)
    return torch.softmax(total, dim=-1), conv.flatten(1), left


def floats(*shapes, count=5, seed=1):
    dice = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(count, *shape, generator=dice).double() for shape in shapes)


def test_integers_of_several_inputs_and_outputs_equal_the_module():
    graph, x = several(), floats((2, 3, 4), (3, 4, 2))
    for which in (graph, run_passes(graph)):
        for got, want in zip(which.golden(*x), module(*x), strict=True):
            assert torch.equal(got, want)


@pytest.mark.parametrize(
    ("rounding", "levels"),
    [("half_up", [-2, -1, 0, 1, 2, 3, 0]), ("half_even", [-2, -2, 0, 0, 2, 2, 0]), ("floor", [-3, -2, -1, 0, 1, 2, 0])],
)
def test_ties_are_rounded_as_the_input_says(rounding, levels):
    x = torch.tensor([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, np.nextafter(0.5, 0)]]).double()
    end = Input("input", TensorType((7, 1, 1), QType(-8, 7), -1), (7,), rounding=rounding)
    assert end.quantize(x / 2).flatten().tolist() == levels


def test_the_golden_graph_keeps_its_border(tmp_path):
    text, arrays = store.dump(several())
    (tmp_path / "golden.json").write_text(text)
    (tmp_path / "golden.npz").write_bytes(arrays)
    read = store.load(tmp_path)
    assert store.dump(read) == (text, arrays)
    x = floats((2, 3, 4), (3, 4, 2))
    assert all(torch.equal(a, b) for a, b in zip(read.golden(*x), several().golden(*x), strict=True))


WRONG = {
    "a view that names a place twice": lambda a, m: a["inputs.1.view"].put(0, 1),
    "a view beyond the frame": lambda a, m: a["outputs.0.view"].put(0, 24),
    "a view of another shape": lambda a, m: a.update({"outputs.0.view": a["outputs.0.view"].reshape(-1)}),
    "a view that is missing": lambda a, m: a.pop("inputs.1.view"),
    "a view of floats": lambda a, m: a.update({"inputs.1.view": a["inputs.1.view"].astype(float)}),
    "a step that is none": lambda a, m: m["inputs"][0].update(steps=["sub", "pow"]),
    "a step of another shape": lambda a, m: a.update({"inputs.0.steps.0": np.zeros((5, 2, 3, 4))}),
    "steps without arrays": lambda a, m: m["inputs"][1].update(steps=["sub"]),
    "a function that no host has": lambda a, m: m["outputs"][0].update(host=["sigmoid", 1]),
    "a dimension that is none": lambda a, m: m["outputs"][0].update(host=["softmax", 4]),
    "the batch's dimension": lambda a, m: m["outputs"][0].update(host=["softmax", -4]),
    "a rounding that is none": lambda a, m: m["inputs"][0].update(rounding="zero_first:half_even"),
    "a scale of another shape": lambda a, m: a.update({"outputs.0.scale": np.ones((5, 3, 4, 2))}),
    "a scale of integers": lambda a, m: a.update({"outputs.0.scale": np.ones(2, np.int64)}),
    "an offset that is missing": lambda a, m: a.pop("outputs.0.offset"),
    "an offset that is no number": lambda a, m: a["outputs.0.offset"].put(0, np.nan),
    "a scale that nothing says is there": lambda a, m: m["outputs"][0].update(scale=False),
    "two inputs of one name": lambda a, m: m["inputs"][1].update(name="left"),
    "no output": lambda a, m: m.update(outputs=[]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_border_that_is_none_is_refused(tmp_path, case):
    text, packed = store.dump(several())
    arrays, meanings = dict(np.load(io.BytesIO(packed))), json.loads(text)
    WRONG[case](arrays, meanings)
    (tmp_path / "golden.json").write_text(json.dumps(meanings))
    np.savez(tmp_path / "golden.npz", **arrays)
    with pytest.raises(BadInput, match="golden graph cannot be read"):
        store.load(tmp_path)


def test_an_input_that_no_output_depends_on_is_refused():
    graph = several()
    with pytest.raises(UnsupportedLayer, match="no output depends on this input") as raised:
        run_passes(Graph(graph.inputs, graph.nodes, (Output("left", (2, 3, 4)),)))
    assert raised.value.at == "right"


def test_a_network_that_computes_nothing():
    kind = TensorType((2, 1, 1), QType(0, 3), 0)
    ends = tuple(Input(name, kind, (2,)) for name in ("a", "b"))
    graph = run_passes(Graph(ends, (), tuple(Output(name, (2,)) for name in ("b", "a", "b"))))
    a, b = floats((2,), (2,))
    got = graph.golden(a, b)
    want = [x.add(0.5).floor().clamp(0, 3) for x in (b, a, b)]
    assert all(torch.equal(one, other) for one, other in zip(got, want, strict=True))


# in hardware


def built(graph: Graph, out, monkeypatch, **options):
    """A graph that no module was exported to, built."""
    monkeypatch.setattr(flow, "read_model", lambda *_: (graph, []))
    return flow.build(torch.nn.Identity(), out=out, config=BuildConfig(**options))


def exact(graph: Graph, folder, x, **options):
    """The run of a build, whose results are those of the graph."""
    y, run = simulate(folder, x, **options)
    y = y if isinstance(y, tuple) else (y,)
    for got, want in zip(y, graph.golden(*x), strict=True):
        assert np.array_equal(got, want.numpy())
    return run


def conv(rng, outputs, channels, side=1, stride=1):
    weight = rng.integers(-2, 3, (outputs, channels, side, side)).astype(np.float64)
    padding = (side // 2,) * 4
    return Conv(weight, rng.integers(-4, 5, outputs).astype(np.float64), (stride, stride), padding)


def kind(*shape, low=-8, high=7):
    return TensorType(shape, QType(low, high), 0)


def net(inputs, nodes, outputs):
    """A graph; inputs -- types by name; nodes -- op and sources by name; outputs -- names."""
    made = tuple(Node(name, op, tuple(sources)) for name, (op, *sources) in nodes.items())
    taken = tuple(Input(name, each, each.shape) for name, each in inputs.items())
    types = Graph(taken, made, ()).types()
    return Graph(taken, made, tuple(Output(name, types[name].shape) for name in outputs))


def crossed(seed=1):
    """Each of two inputs waits for the other: sums of one with little of the other and with much of it, and again."""
    rng = np.random.default_rng(seed)
    small = Quantize(3, -8, 7)
    return net(
        {"a": kind(2, 8, 6), "b": kind(2, 8, 6)},
        {
            "near": (conv(rng, 2, 2, 3), "b"),
            "low": (small, "near"),
            "far": (conv(rng, 2, 2, 5), "low"),
            "lower": (small, "far"),
            "early": (Add(), "a", "low"),
            "late": (Add(), "a", "lower"),
            "of_a": (conv(rng, 2, 2, 3), "a"),
            "back": (Add(), "of_a", "b"),
        },
        ["early", "late", "back"],
    )


def different(seed=2):
    """Three inputs of different shapes and rates: one is strided, one is a vector for every pixel."""
    rng = np.random.default_rng(seed)
    every = np.repeat(np.arange(3), 20).reshape(3, 4, 5)
    return net(
        {"image": kind(2, 8, 10, low=0, high=15), "map": kind(3, 4, 5), "vector": kind(3, 1, 1, low=-3, high=3)},
        {
            "strided": (conv(rng, 3, 2, 3, 2), "image"),
            "narrow": (Quantize(2, -8, 7), "strided"),
            "everywhere": (Move(every), "vector"),
            "shifted": (Add(), "map", "everywhere"),
            "joined": (Concat(0), "narrow", "shifted"),
            "mixed": (conv(rng, 4, 6), "joined"),
        },
        ["mixed", "shifted", "vector"],
    )


def rows(seed=3):
    """The rows of one input behind those of another, and of both the sum: the second waits for a whole frame."""
    rng = np.random.default_rng(seed)
    return net(
        {"a": kind(1, 4, 6), "b": kind(1, 4, 6)},
        {
            "behind": (Concat(1), "a", "b"),
            "sum": (Add(), "a", "b"),
            "seen": (conv(rng, 2, 1, 3), "behind"),
        },
        ["seen", "sum"],
    )


def twice(seed=4):
    """One tensor as two outputs, and nothing between one input and one output."""
    rng = np.random.default_rng(seed)
    return net({"a": kind(2, 3, 4), "b": kind(1, 2, 2)}, {"conv": (conv(rng, 3, 2, 3), "a")}, ["conv", "b", "conv"])


NETWORKS = {
    "several": several,
    "crossed": crossed,
    "different": different,
    "rows": rows,
    "twice": twice,
}


def frames_for(graph, count=6):
    return floats(*(one.shape for one in graph.inputs), count=count)


@pytest.mark.sim
@pytest.mark.parametrize("options", [{}, {"engine": "auto", "fps": 1e6}], ids=["lanes", "fast"])
@pytest.mark.parametrize("name", NETWORKS)
def test_several_inputs_and_outputs_in_rtl(tmp_path, monkeypatch, name, options):
    graph = NETWORKS[name]()
    made = built(graph, tmp_path / "net", monkeypatch, **options)
    x = tuple(8 * each for each in frames_for(graph)) if name != "several" else frames_for(graph)
    run = exact(graph, tmp_path / "net", x, simulator="icarus")
    assert run.interval is not None and run.interval <= interval_of(made)
    exact(graph, tmp_path / "net", x, simulator="icarus", stall=0.5, seed=1)


@pytest.mark.sim
def test_accuracy_is_of_what_the_host_makes_of_the_integers(tmp_path, monkeypatch):
    """The largest integer is another class, and so is the largest product without the offset."""
    scale, offset = np.array([1.0, 4.0, 2.0]), np.array([0.0, -9.0, 0.5])
    end = Output("input", (3,), scale=scale, offset=offset, host=("softmax", -1))
    built(Graph((Input("input", kind(3, 1, 1), (3,)),), (), (end,)), tmp_path / "net", monkeypatch)
    x = np.array([[5.0, 3, 3], [1, 4, 2]])
    done = verify(tmp_path / "net", x, labels=np.array([2, 1]), simulator="icarus")
    assert done["equal"] == 2 and done["accuracy"] == 1.0
    known, text = report(tmp_path / "net")
    assert (
        known["border"][1]["scale"] and "times golden.npz: outputs.0.scale; plus golden.npz: outputs.0.offset" in text
    )


@pytest.mark.sim
def test_several_inputs_and_outputs_on_verilator(tmp_path, monkeypatch):
    graph = several()
    built(graph, tmp_path / "net", monkeypatch)
    x = frames_for(graph, 20)
    exact(graph, tmp_path / "net", x)
    exact(graph, tmp_path / "net", x, stall=0.3)


@pytest.mark.sim
@pytest.mark.parametrize("name", ["crossed", "rows"])
def test_inputs_that_wait_for_each_other_stop_without_fifos(tmp_path, monkeypatch, name):
    """The prediction tells it, and so does the hardware."""
    graph = NETWORKS[name]()
    monkeypatch.setattr(design, "_depth", lambda *_: 0)
    with pytest.raises(AssertionError, match="all rows wait for each other"):
        built(graph, tmp_path / "net", monkeypatch)
    for module in (emit, manifest):
        monkeypatch.setattr(module, "pace_of", lambda _: Pace(1, 1))
    built(graph, tmp_path / "net", monkeypatch)
    with pytest.raises(ToolFailed, match="the network stopped"):
        exact(graph, tmp_path / "net", frames_for(graph), simulator="icarus")


def test_inputs_that_meet_once_need_no_fifo(tmp_path, monkeypatch):
    """The host waits, whatever is deeper."""
    rng = np.random.default_rng(5)
    graph = net(
        {"a": kind(2, 8, 6), "b": kind(2, 8, 6)},
        {"deep": (conv(rng, 2, 2, 5), "a"), "sum": (Add(), "deep", "b")},
        ["sum"],
    )
    made = built(graph, tmp_path / "net", monkeypatch)
    assert not [placed for placed in made.placed if isinstance(placed.unit, StreamFifo)]


def test_arrays_that_are_not_those_of_the_inputs(tmp_path, monkeypatch):
    built(several(), tmp_path / "net", monkeypatch)
    left, right = (each.numpy() for each in frames_for(several(), 3))
    for given, said, hint in (
        (left, "1 array is given for the inputs left, right", "one --input for each"),
        ([left, right, right], "3 arrays are given for the inputs left, right", "one --input for each"),
        ([right, left], "the input left has shape [3, 3, 4, 2]", "give [N, 2, 3, 4]"),
        ([left, right[:2]], "different numbers of frames: left 3, right 2", "as many of each"),
        ([left, right * np.nan], "holds NaN", "finite"),
        ({"left": left, "write": right}, "the arrays are called left, write", "call them left, right"),
    ):
        for verb in (simulate, verify):
            with pytest.raises(BadInput) as raised:
                verb(tmp_path / "net", given, simulator="icarus")
            assert said in raised.value.what and hint in raised.value.hint


@pytest.mark.sim
def test_the_command_line_takes_and_gives_several_arrays(tmp_path, monkeypatch):
    graph, folder = several(), tmp_path / "net"
    built(graph, folder, monkeypatch)
    x = frames_for(graph, 4)
    left, right = (each.numpy() for each in x)
    for name, each in (("left", left), ("right", right)):
        np.save(tmp_path / f"{name}.npy", each)
    np.savez(tmp_path / "named.npz", right=right, left=left)
    np.savez(tmp_path / "ordered.npz", left, right)
    (tmp_path / "data.py").write_text(
        f"import numpy as np\ndef get(): return dict(np.load({str(tmp_path / 'named.npz')!r})), [0, 1, 2, 3]\n"
    )
    both = [f"--input={tmp_path}/left.npy", f"--input={tmp_path}/right.npy"]
    for inputs in (both, *([f"--input={tmp_path}/{name}"] for name in ("named.npz", "ordered.npz", "data.py:get"))):
        said = cli("verify", str(folder), *inputs, "--count=3", "--simulator=icarus")
        assert said.exit_code == 0 and "bit-exact 3 of 3 frames" in said.output
        assert ("accuracy" in said.output) == ("data.py" in inputs[0])
    done = cli("simulate", str(folder), *both, f"--output={tmp_path}/y.npz", "--simulator=icarus")
    assert done.exit_code == 0
    with np.load(tmp_path / "y.npz") as y:
        for got, want in zip(y.values(), graph.golden(*x), strict=True):
            assert np.array_equal(got, want.numpy())
    wrong = cli("simulate", str(folder), *both, f"--output={tmp_path}/y.npy", "--simulator=icarus")
    assert wrong.exit_code == 1 and "several outputs" in wrong.output
    few = cli("verify", str(folder), both[0], "--simulator=icarus")
    assert few.exit_code == 1 and "1 array is given for the inputs left, right" in few.output
    more = cli("verify", str(folder), f"--input={tmp_path}/named.npz", both[0], "--simulator=icarus")
    assert more.exit_code == 1 and "it holds 2 arrays" in more.output


def cli(*arguments):
    return CliRunner().invoke(main, arguments)


class TwoHeads(torch.nn.Module):
    """An image from 0 to 255 and a vector; class shares, a map inside, and the vector on its grid."""

    def __init__(self):
        super().__init__()
        self.image, self.vector, self.map = ActQuant(6, -3, True), ActQuant(4, -2, True), ActQuant(5, -1, True)
        self.conv, self.score = torch.nn.Conv2d(2, 2, 3, padding=1), torch.nn.Linear(2, 3)
        dice = torch.Generator().manual_seed(1)
        for layer in (self.conv, self.score):
            layer.weight.data = torch.randint(-2, 3, layer.weight.shape, generator=dice) / 2
            layer.bias.data = torch.randint(-4, 5, layer.bias.shape, generator=dice) / 4
        self.register_buffer("mean", torch.tensor([0.485, 0.456]).reshape(2, 1, 1))

    def forward(self, image, vector):
        small = self.vector(vector)
        inside = self.map(self.conv(self.image((image / 255 - self.mean) / 0.225)))
        return torch.softmax(self.score(small), dim=-1), inside, small


@pytest.mark.sim
def test_a_module_of_two_inputs_and_three_outputs_from_build_to_report(tmp_path):
    module = TwoHeads().eval()
    dice = torch.Generator().manual_seed(2)
    image, vector = torch.randint(0, 256, (4, 2, 5, 6), generator=dice).float(), torch.randn(4, 2, generator=dice)
    build(module, (image[:1], vector[:1]), out=tmp_path / "net")
    y, _ = simulate(tmp_path / "net", [image, vector], simulator="icarus", stall=0.3)
    with torch.no_grad():
        wants = module.double()(image.double(), vector.double())
    for got, want in zip(y, wants, strict=True):
        assert np.array_equal(got, want.numpy())
    known, text = report(tmp_path / "net")
    assert [end["port"] for end in known["border"]] == ["s_axis", "s1_axis", "m_axis", "m1_axis", "m2_axis"]
    assert "div (golden.npz: inputs.0.steps.0); sub (golden.npz: inputs.0.steps.1); div" in text
    assert "| m_axis | " in text and "softmax over dimension -1" in text


@pytest.mark.sim
def test_the_top_of_several_streams_works_behind_axi(tmp_path, monkeypatch):
    built(several(), tmp_path / "net", monkeypatch)
    behind_axi(tmp_path / "net", tmp_path, "icarus", *floats((2, 3, 4), (3, 4, 2)))
