"""NIR files: what snnTorch, Norse and spikingjelly give of them is what is built, spike for spike; what a file does not
hold is asked for; hostile files are refused."""

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import hwgen
from hwgen.cli import main
from hwgen.errors import BadInput, HwgenError, OffGrid, UnsupportedLayer
from hwgen.export.nir import Writer
from hwgen.formats import read_network
from hwgen.formats.nir.asked import Asked
from hwgen.formats.nir.file import parse
from hwgen.formats.nir.reference import tensors
from hwgen.frontend import import_model
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant
from hwgen.passes import run_passes
from hwgen.verify import verify

FOLDER = Path(__file__).parent / "data" / "nir"
STEPS = 8
SPIKES = {"steps": STEPS, "dt": 1e-4, "reset": "subtract", "input_grid": "1", "weight_bits": 8}
# of each file of tests/nir_references.py, with all the bits that its leaks need
TOOLS = {
    "snntorch_subtract": {},
    "snntorch_zero": {"reset": "zero"},
    "norse_recurrent": {},
    "norse_if": {"reset": "zero", "dt": 1.0, "input_grid": "4"},
    "spikingjelly": {"reset": "zero", "fire": ">="},
}


def options(name: str) -> dict:
    return {"steps": STEPS, "dt": 1e-4, "reset": "subtract", "input_grid": "3,-2", "guard": 16} | TOOLS[name]


def recorded(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames, and the spikes that the tool gave."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return torch.from_numpy(file["x"]).double(), torch.from_numpy(file["y"]).double()


@pytest.mark.parametrize("name", TOOLS)
def test_the_spikes_are_the_tools(name):
    x, y = recorded(name)
    module, example = read_network(str(FOLDER / f"{name}.nir"), **options(name))
    graph = import_model(module, example)
    assert torch.equal(module(x), y)
    assert torch.equal(graph.golden(x)[0], y)
    assert torch.equal(tensors(str(FOLDER / f"{name}.nir"), Asked(**options(name)), x)["output"], y)


@pytest.mark.parametrize("what", [{"leak_tolerance": 0.3, "dt": 0.8e-4}, {"fire": ">"}, {"reset": "subtract"}])
def test_other_neurons_give_other_spikes(what):
    x, y = recorded("spikingjelly")
    module, _ = read_network(str(FOLDER / "spikingjelly.nir"), **options("spikingjelly") | what)
    assert not torch.equal(module(x), y)


@pytest.mark.sim
def test_a_file_built_gives_them_too(tmp_path):
    name, out = "norse_recurrent", tmp_path / "net"
    x, _ = recorded(name)
    hwgen.build(*read_network(str(FOLDER / f"{name}.nir"), **options(name)), out=out)
    assert verify(out, x[: 3 * STEPS], simulator="icarus", stall=0.3)["equal"] == 3 * STEPS


@pytest.mark.parametrize("name", ["norse_recurrent", "norse_if", "spikingjelly", "snntorch_zero"])
def test_an_export_read_again_gives_the_same_spikes(name, tmp_path):
    x, y = recorded(name)
    module, example = read_network(str(FOLDER / f"{name}.nir"), **options(name))
    writer = Writer(run_passes(import_model(module, example)), options(name)["dt"])
    (tmp_path / "net.nir").write_bytes(writer.content())
    again, _ = read_network(str(tmp_path / "net.nir"), **options(name))
    assert torch.equal(again(x), y)
    told = " ".join(writer.notes)
    assert f"--steps {STEPS}" in told and f"--reset {options(name)['reset']}" in told and "--input-grid" in told


def test_an_export_of_what_nir_has_not():
    net = nn.Sequential(ActQuant(4, 0), nn.ReLU(), nn.MaxPool1d(2))
    with pytest.raises(HwgenError, match="NIR has no"):
        Writer(import_model(net, (torch.zeros(1, 2, 4),)), 1e-4)


def test_how_many_spikes_differ_is_told(tmp_path):
    weight = np.random.default_rng(1).normal(size=(2, 3))
    path = written(tmp_path, chain(one("Linear", weight=weight), LIF))
    np.save(tmp_path / "x.npy", frames(3).numpy())
    arguments = ["--steps", STEPS, "--dt", "1e-4", "--reset", "subtract", "--input-grid", "1", "--weight-bits", "3"]
    run = CliRunner().invoke(main, ["import", path, "--input", str(tmp_path / "x.npy"), *map(str, arguments)])
    assert run.exit_code == 0, run.output
    told = [line for line in run.output.splitlines() if line.startswith("1: ") and "differ" in line]
    exact = tensors(path, Asked(**SPIKES), frames(3))["1"]
    module, _ = read_network(path, **SPIKES | {"weight_bits": 3})
    differ = int((module(frames(3)) != exact).sum())
    assert len(told) == 1 and told[0].startswith(f"1: {differ} of {exact.numel()} spikes") and differ > 0
    np.save(tmp_path / "x.npy", frames(3).numpy()[:-1])
    run = CliRunner().invoke(main, ["import", path, "--input", str(tmp_path / "x.npy"), *map(str, arguments)])
    assert run.exit_code == 1 and "--input" in run.output


# files made here


def chain(*nodes: tuple[str, dict], shape=(3,)) -> dict:
    """Nodes one behind the other, as {name: (kind, values)} and edges."""
    named = {"input": ("Input", {"shape": np.array(shape)})}
    named |= {str(n): node for n, node in enumerate(nodes)} | {"output": ("Output", {"shape": np.array([1])})}
    names = list(named)
    return {"nodes": named, "edges": list(pairwise(names))}


def put(group, graph: dict) -> None:
    group["type"] = "NIRGraph"
    group.create_dataset("edges", data=np.array(graph["edges"], dtype=object), dtype=h5py.string_dtype())
    for name, (kind, values) in graph["nodes"].items():
        node = group.create_group(f"nodes/{name}")
        if kind == "NIRGraph":
            put(node, values)
            continue
        node["type"] = kind
        for key, value in values.items():
            node[key] = value


def written(folder: Path, graph: dict, change=None) -> str:
    path = folder / "net.nir"
    with h5py.File(path, "w") as file:
        put(file.create_group("node"), graph)
        file["version"] = "1.0"
        if change:
            change(file)
    return str(path)


LINEAR = ("Linear", {"weight": np.array([[1.0, -2.0, 0.5], [0.25, 3.0, 1.0]])})
SQUARE = ("Linear", {"weight": np.array([[0.5, -1.0], [0.25, 0.75]])})
LIF = ("LIF", {"tau": np.array(4e-4), "r": np.array(4.0), "v_leak": np.array(0.0), "v_threshold": np.array(1.5)})


def one(kind: str, **values) -> tuple[str, dict]:
    return kind, {name: np.asarray(value) for name, value in values.items()}


def lif(**values) -> tuple[str, dict]:
    return one("LIF", **LIF[1] | values)


def read(folder: Path, graph: dict, change=None, **asked):
    given = {key: value for key, value in (SPIKES | asked).items() if value is not None}
    return read_network(written(folder, graph, change), **given)


def both(folder: Path, graph: dict, frames: torch.Tensor, **asked) -> tuple[torch.Tensor, torch.Tensor]:
    """What is built, its graph of integers too, and what the equations give in float64."""
    module, example = read(folder, graph, **asked)
    given = {key: value for key, value in (SPIKES | asked).items() if value is not None}
    y = module(frames).detach()
    assert torch.equal(import_model(module, example).golden(frames)[0], y)
    return y, tensors(str(folder / "net.nir"), Asked(**given), frames)["output"]


def frames(*shape: int, seed=1, share=0.5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(4 * STEPS, *shape, generator=generator) < share).double()


EXACT = {"guard": 16, "weight_bits": None}
CUBA = one("CubaLIF", tau_syn=2e-4, tau_mem=4e-4, r=4.0, w_in=2.0, v_leak=0.0, v_threshold=2.0)
IF = one("IF", r=1e4, v_threshold=1.25)


RESETS = ("subtract", "zero", "none")


@pytest.mark.parametrize(
    ("nodes", "reset"),
    [
        *[((LINEAR, LIF), reset) for reset in RESETS],
        *[((LINEAR, lif(v_threshold=[1.0, 2.5], r=[4.0, 2.0])), reset) for reset in RESETS],
        ((LINEAR, lif(v_leak=0.5)), "subtract"),
        *[((LINEAR, lif(v_leak=-0.25, v_reset=-0.25)), reset) for reset in RESETS],
        *[((LINEAR, CUBA), reset) for reset in RESETS],
        ((LINEAR, one("LI", tau=4e-4, r=2.0, v_leak=0.0)), None),
        ((LINEAR, one("CubaLI", tau_syn=2e-4, tau_mem=4e-4, r=2.0, w_in=1.0, v_leak=0.0)), None),
        ((LINEAR, one("I", r=5e3)), None),
        ((LINEAR, IF, SQUARE, one("LI", tau=2e-4, r=1.0, v_leak=0.0)), "zero"),
        ((IF, LINEAR, LIF), "subtract"),
    ],
)
def test_every_neuron_is_its_equation(nodes, reset, tmp_path):
    ours, theirs = both(tmp_path, chain(*nodes), frames(3), reset=reset, **EXACT)
    assert torch.equal(ours, theirs)
    assert theirs.abs().mean() > 0


def test_layers_are_their_float_twins(tmp_path):
    rng = np.random.default_rng(0)
    nodes = (
        one(
            "Conv2d",
            weight=rng.integers(-4, 5, (4, 1, 3, 3)) / 4,
            bias=np.arange(4) / 4,
            stride=[1, 1],
            padding=[1, 1],
            dilation=[1, 1],
            groups=2,
        ),
        IF,
        one("AvgPool2d", kernel_size=[3, 2], stride=[2, 2], padding=[1, 0]),
        one("Flatten", start_dim=1, end_dim=-1),
        one(
            "Conv1d",
            weight=rng.integers(-4, 5, (3, 4, 2)) / 4,
            bias=[0.0] * 3,
            stride=1,
            padding=0,
            dilation=1,
            groups=1,
        ),
        IF,
        one("Flatten", start_dim=0, end_dim=-1),
    )
    ours, theirs = both(tmp_path, chain(*nodes, shape=(2, 6, 6)), frames(2, 6, 6), **EXACT | {"weight_bits": 12})
    assert (ours != theirs).double().mean() < 0.01  # a sixth is in no grid


def recurrent(inside: bool) -> dict:
    """A loop, as nodes of the graph or of one within."""
    graph = chain(LINEAR, CUBA)
    if not inside:
        graph["nodes"]["w"] = SQUARE
        graph["edges"] += [("1", "w"), ("w", "1")]
        return graph
    names = {"in": ("Input", {"shape": np.array([2])}), "out": ("Output", {"shape": np.array([2])})}
    edges = [("in", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "out")]
    graph["nodes"]["1"] = ("NIRGraph", {"nodes": names | {"lif": CUBA, "w": SQUARE}, "edges": edges})
    return graph


@pytest.mark.parametrize("inside", [False, True])
def test_spikes_come_back(inside, tmp_path):
    ours, theirs = both(tmp_path, recurrent(inside), frames(3, share=0.8), **EXACT)
    assert torch.equal(ours, theirs) and 0 < ours.mean() < 1
    forward, _ = both(tmp_path, chain(LINEAR, CUBA), frames(3, share=0.8), **EXACT)
    assert not torch.equal(ours, forward)


def test_currents_of_several_layers_meet(tmp_path):
    graph = chain(LINEAR, LIF)
    graph["nodes"]["other"] = one("Affine", weight=[[3.0, 0.25, -1.0], [0.5, 1.0, 1.0]], bias=[0.5, -0.25])
    graph["edges"] += [("input", "other"), ("other", "1")]
    ours, theirs = both(tmp_path, graph, frames(3), **EXACT)
    assert torch.equal(ours, theirs)


def test_what_stands_for_the_files_numbers_is_told(tmp_path):
    weight = np.random.default_rng(0).normal(size=(2, 3))
    path = written(tmp_path, chain(one("Linear", weight=weight), lif(tau=1e-4 / 0.15, r=1 / 0.15)))
    arguments = ["--steps", "4", "--dt", "1e-4", "--reset", "zero", "--input-grid", "1", "--weight-bits", "6"]
    run = CliRunner().invoke(main, ["build", path, "-o", str(tmp_path / "b"), *arguments, "--leak-tolerance", "0.01"])
    assert run.exit_code == 0, run.output
    assert "1 - 2^-3 - 2^-5, not 0.85" in run.output
    assert any("weights are integers times" in line for line in read_manifest(tmp_path / "b")["substitutions"])


REFUSED = [
    ((LINEAR, LIF), {"steps": None}, "how many steps"),
    ((LINEAR, LIF), {"dt": None}, "how long a step"),
    ((LINEAR, LIF), {"reset": None}, "--reset"),
    ((LINEAR, LIF), {"input_grid": None}, "--input-grid"),
    ((LINEAR, LIF), {"steps": 0}, "--steps"),
    ((LINEAR, LIF), {"dt": -1.0}, "--dt"),
    ((LINEAR, LIF), {"reset": "hard"}, "subtract, zero, none"),
    ((LINEAR, LIF), {"input_grid": "many"}, "BITS,EXPONENT"),
    ((LINEAR, LIF), {"weight_bits": 99}, "--weight-bits"),
    ((LINEAR, LIF), {"guard": 99}, "--guard"),
    ((LINEAR, LIF), {"leak_tolerance": 2.0}, "--leak-tolerance"),
    ((LINEAR, LIF), {"fire": "="}, "--fire"),
    ((LINEAR, LIF), {"target": "tflite-reference"}, "target"),
    ((one("Linear", weight=np.full((2, 3), 0.1)), LIF), {"weight_bits": None}, "--weight-bits"),
    ((LINEAR, lif(tau=1e-4 / 0.15)), {}, "--leak-tolerance 0.000391"),
    ((LINEAR, lif(tau=5e-5)), {}, "check --dt"),
    ((LINEAR, lif(tau=[4e-4, 2e-4])), {}, "several tau"),
    ((LINEAR, lif(r=-1.0)), {}, "above 0"),
    ((LINEAR, lif(v_threshold=[[1.0, 2.0, 3.0]])), {}, "v_threshold"),
    ((LINEAR, lif(v_threshold=0.0)), {}, "threshold"),
    ((LINEAR, lif(v_threshold=np.nan)), {}, "threshold"),
    ((one("Linear", weight=np.full((2, 3), np.inf)), LIF), {}, "not finite"),
    ((one("Linear", weight=np.ones((2, 4))), LIF), {}, "[outputs, inputs]"),
    ((one("Affine", weight=np.ones((2, 3)), bias=np.ones(5)), LIF), {}, "bias"),
    ((LINEAR, one("Delay", delay=1.0)), {}, "a node of type Delay"),
    ((LINEAR, one("Flatten", start_dim=4, end_dim=-1)), {}, "start_dim"),
    ((one("SumPool2d", kernel_size=[2, 2], stride=[2, 2], padding=[0, 0]), LIF), {}, "channels, rows, columns"),
    ((one("Conv1d", weight=np.ones((2, 3))), LIF), {}, "[outputs, channels / groups, columns]"),
]


@pytest.mark.parametrize(("nodes", "asked", "said"), REFUSED)
def test_what_cannot_be_built_is_refused(nodes, asked, said, tmp_path):
    with pytest.raises(HwgenError) as caught:
        read(tmp_path, chain(*nodes), **asked)
    assert said in str(caught.value)


def test_all_that_is_missing_is_told_at_once(tmp_path):
    path = written(tmp_path, chain(one("Linear", weight=np.full((2, 3), 0.1)), LIF))
    run = CliRunner().invoke(main, ["build", path, "-o", str(tmp_path / "b")])
    assert run.exit_code == 1 and "Traceback" not in run.output
    for option in ("--steps", "--dt", "--reset", "--input-grid", "--weight-bits"):
        assert option in run.output
    assert not (tmp_path / "b").exists()


def test_options_are_for_files_that_lack_them(tmp_path):
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(nn.Linear(1, 1), (torch.zeros(1, 1),)), path)
    run = CliRunner().invoke(main, ["build", str(path), "-o", str(tmp_path / "b"), "--steps", "4"])
    assert run.exit_code == 1 and "--steps for a .pt2 file" in run.output


def loop(graph: dict, *edges: tuple[str, str]) -> dict:
    graph["edges"] += edges
    return graph


@pytest.mark.parametrize(
    ("graph", "error", "said"),
    [
        (loop(chain(LINEAR, LIF), ("1", "0")), UnsupportedLayer, "a loop"),
        (loop(chain(LINEAR, LIF), ("1", "nobody")), BadInput, "no node"),
        (chain(LINEAR, LIF) | {"edges": [("input", "0")]}, HwgenError, "nothing leads"),
        ({"nodes": {"0": LINEAR}, "edges": []}, BadInput, "no input"),
        (chain(LINEAR, LIF, shape=(0,)), BadInput, "shape"),
        (chain(LINEAR, LIF, shape=(1 << 20, 1 << 20)), BadInput, "shape"),
    ],
)
def test_broken_graphs(graph, error, said, tmp_path):
    with pytest.raises(error) as caught:
        read(tmp_path, graph)
    assert said in str(caught.value)


def soft(file):
    del file["node/nodes/0/weight"]
    file["node/nodes/0/weight"] = h5py.SoftLink("/version")


def external(file):
    del file["node/nodes/0/weight"]
    file["node/nodes/0/weight"] = h5py.ExternalLink("/etc/passwd", "/x")


def elsewhere(file):
    del file["node/nodes/0/weight"]
    file["node/nodes/0"].create_dataset("weight", (2, 3), "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file):
    del file["node/nodes/0/weight"]
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", (2, 3))
    file["node/nodes/0"].create_virtual_dataset("weight", layout)


def huge(file):
    del file["node/nodes/0/weight"]
    file["node/nodes/0"].create_dataset("weight", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024), compression="gzip")


def huge_chunks(file):
    del file["node/nodes/0/weight"]
    file["node/nodes/0"].create_dataset("weight", (2, 3), "f4", chunks=(1 << 14, 1 << 14), maxshape=(None, None))


def in_itself(file):
    file["node/nodes/again"] = file["node"]


def objects(file):
    del file["node/nodes/0/weight"]
    file["node/nodes/0"].create_dataset("weight", (2, 3), dtype=h5py.vlen_dtype(np.float32))


def complex_numbers(file):
    del file["node/nodes/0/weight"]
    file["node/nodes/0/weight"] = np.ones((2, 3), np.complex64)


def no_type(file):
    del file["node/nodes/0/type"]


def typed_by_a_number(file):
    no_type(file)
    file["node/nodes/0/type"] = 7


def long_name(file):
    no_type(file)
    file["node/nodes/0/type"] = "L" * 100_000


def nothing(file):
    del file["node"]


def edges_of_three(file):
    del file["node/edges"]
    file["node"].create_dataset("edges", data=np.full((2, 3), "input", dtype=object), dtype=h5py.string_dtype())


def szip(file):
    del file["node/nodes/0/weight"]
    file["node/nodes/0"].create_dataset("weight", (2, 3), "f4", chunks=(2, 3), compression="lzf")


HOSTILE = [soft, external, elsewhere, virtual, huge, huge_chunks, in_itself, objects, complex_numbers, no_type]
HOSTILE += [typed_by_a_number, long_name, nothing, edges_of_three, szip]


@pytest.mark.parametrize("change", HOSTILE)
def test_hostile_files_are_refused(change, tmp_path):
    with pytest.raises(BadInput):
        read(tmp_path, chain(LINEAR, LIF), change)


def test_damaged_files_are_refused_or_read(tmp_path):
    """Bytes changed, or a file cut short: an error of ours, or a graph; never another exception."""
    whole = Path(written(tmp_path, chain(LINEAR, LIF))).read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for n in range(80):
        content = bytearray(whole[: rng.integers(0, len(whole))] if n % 5 == 0 else whole)
        for _ in range(rng.integers(1, 30)):
            if content:
                content[rng.integers(len(content))] = rng.integers(256)
        (tmp_path / "bad.nir").write_bytes(content)
        try:
            parse(str(tmp_path / "bad.nir"))
        except HwgenError:
            refused += 1
    assert refused > 20


def test_a_leak_off_the_grid_names_the_nearest(tmp_path):
    with pytest.raises(OffGrid) as caught:
        read(tmp_path, chain(LINEAR, lif(tau=1e-4 / 0.15)))
    assert "0.849609, 1 - 2^-3 - 2^-6 - 2^-7 - 2^-9" in str(caught.value)
    read(tmp_path, chain(LINEAR, lif(tau=1e-4 / 0.15)), leak_tolerance=0.000391)
