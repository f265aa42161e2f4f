"""Weights are loaded into a build over AXI4-Lite, and what its hardware cannot hold is refused."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import hwgen
from hwgen import BuildConfig, build, load_words, simulate
from hwgen.errors import BadInput, DoesNotFit, HwgenError
from hwgen.flow import read_design
from hwgen.lanes.entries import IMMEDIATE
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant, AvgPool2d
from hwgen.simulators import lint, run_cocotb
from tests.networks import only
from tests.test_examples_rtl import axi_words

EXAMPLE = (torch.zeros(1, 2, 6, 6),)


def network(seed):
    """The same layers whatever the seed; but for seed 0 many weights are zero, and those of the first layer are small.

    The first network's weights are the largest, so all others fit its widths.
    """
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        ActQuant(4, -2),
        nn.Conv2d(2, 3, 3, padding=1),
        ActQuant(4, 0),
        nn.Conv2d(3, 3, 3, stride=2),
        nn.ReLU(),
        ActQuant(4, 1),
        AvgPool2d(2),
        ActQuant(5, 0),
        nn.Flatten(),
        nn.Linear(3, 2),
    )
    for layer in net:
        if hasattr(layer, "weight"):
            sign = torch.randint(0, 2, layer.weight.shape, generator=generator) * 2 - 1
            size = (
                torch.full(layer.weight.shape, 1.5)
                if seed == 0
                else torch.randint(0, 4, sign.shape, generator=generator) / 2
            )
            keep = torch.rand(layer.weight.shape, generator=generator) < (1.0 if seed == 0 else 0.5)
            layer.weight.data = sign * size * keep
            layer.bias.data = torch.randint(-8, 9, layer.bias.shape, generator=generator) * 0.25
            layer.bias.data[-1] = 2.25  # the finest grid of every set
    net[1].weight.data *= 0.5 if seed else 1.0
    return net.eval()


def built(folder, **options):
    build(network(0), EXAMPLE, out=folder, config=BuildConfig(**{"loadable": "*", "name": "net"} | options))
    return folder


def golden(net, x):
    return net.double()(x.double()).detach()


def coarse(seed):
    """No weight of the first layer on a finer grid than seed 0's: on a coarser one."""
    net = network(seed)
    net[1].weight.data = net[1].weight.data.mul(2).round().clamp(-1, 1)
    return net


RATE = {"fps": 1_000_000, "engine": "lanes"}


@pytest.mark.sim
@pytest.mark.parametrize(
    ("memory", "kind", "options"),
    [("bram", "lut", {"lanes": 3}), ("uram", "lut", {"lanes": 12}), ("bram", "mac", RATE), ("uram", "dsp", RATE)],
)
def test_weights_are_loaded_over_axi(tmp_path, monkeypatch, memory, kind, options):
    only(monkeypatch, kind)
    folder = built(tmp_path / "net", weights_in=memory, **options)
    design, manifest = read_design(folder), read_manifest(folder)
    assert {unit.fold.kind for unit in design.loadable} == {kind}
    x = torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(1)) * 4
    other = network(1) if kind == "lut" else coarse(1)
    sets = [load_words(folder), load_words(folder, other, EXAMPLE)]
    results = [
        torch.ldexp(golden(net, x), torch.tensor(-design.outputs[0].type.exponent)) for net in (network(0), other)
    ]
    np.savez(
        tmp_path / "data.npz",
        inputs_0=axi_words(design.inputs[0], design.graph.inputs[0].quantize(x)),
        outputs_0=np.stack([axi_words(design.outputs[0], y.long().reshape(3, 2, 1, 1)) for y in results]),
        checks=[[layer.check for layer in weights.layers] for weights in sets],
        writes_0=sets[0].writes,
        writes_1=sets[1].writes,
    )
    assert len(sets[0].layers) == 3
    sources = [folder / path for path in manifest["sources"]]
    lint(sources, manifest["top"])
    run_cocotb(
        simulator="icarus",
        sources=sources,
        toplevel=manifest["top"],
        module="bench_weights",
        build_dir=tmp_path / "sim",
        environment={
            "WEIGHTS_DATA": str(tmp_path / "data.npz"),
            "WEIGHTS_AT_START": str(int(memory == "bram")),
        },
        cwd=folder,
        timeout=600,
    )


@pytest.mark.sim
@pytest.mark.parametrize("memory", ["bram", "uram"])
def test_a_build_is_simulated_with_its_own_weights_loaded(tmp_path, memory):
    folder = built(tmp_path / "net", weights_in=memory)
    x = torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(2)) * 4
    y, _ = simulate(folder, x.numpy(), simulator="icarus", stall=0.2)
    assert np.array_equal(y, golden(network(0), x).numpy())


def test_the_hardware_of_uram_does_not_know_the_weights(tmp_path):
    texts = []
    for seed in (1, 2):
        design = build(
            network(seed),
            EXAMPLE,
            out=tmp_path / "net",
            config=BuildConfig(loadable="*", weights_in="uram", name="net"),
        )
        assert {unit.name for unit in design.loadable} == {"layer_1", "layer_3", "layer_9"}
        assert not [unit for unit in design.loadable if unit.files()]
        texts.append(
            {
                unit.name: {k: v for k, v in unit.parameters().items() if k in ("TERMS", "CHECK", "FILE")}
                for unit in design.loadable
            }
        )
    assert texts[0] == texts[1]


def test_layers_are_chosen_by_name_and_others_are_fixed(tmp_path):
    folder = built(tmp_path / "net", loadable="layer_3, layer_9")
    assert read_manifest(folder)["loadable"] == ["layer_3", "layer_9"]
    with pytest.raises(BadInput, match="the weight is not that of the build"):
        load_words(folder, network(1), EXAMPLE)
    mixed = network(1)
    mixed[1] = network(0)[1]
    assert [layer.name for layer in load_words(folder, mixed, EXAMPLE).layers] == ["layer_3", "layer_9"]
    assert read_design(folder).placed[0].unit.parameters()["LOAD"] == 0


def test_lists_are_those_that_a_build_would_hold(tmp_path):
    """Where the other network is built with the same widths, its own list is what is loaded."""
    folder = built(tmp_path / "net")
    again = load_words(folder, network(0), EXAMPLE)
    assert np.array_equal(again.writes, load_words(folder).writes)
    for unit, layer in zip(read_design(folder).loadable, again.layers, strict=True):
        words = [int(line, 16) for line in (folder / unit.rom_path).read_text().split()]
        assert len(words) == layer.capacity and not any(words[layer.words :])
        mine = again.writes[again.writes[:, 0] != 0x4C]
        start = int(np.flatnonzero(mine[:, 0] == 0x50)[layer.layer])
        assert mine[start, 1] == layer.words
        assert mine[start + 1 : start + 1 + layer.words, 1].tolist() == words[: layer.words]  # words of one piece


def test_a_list_of_distances_and_halves_is_coded_as_the_build_s(tmp_path, monkeypatch):
    """Other weights with smaller constants and fewer bits keep the hardware's widths; the same give its own list."""
    only(monkeypatch, "mac")
    generator = torch.Generator().manual_seed(3)
    net = nn.Sequential(ActQuant(8, 0), nn.Linear(96, 40), ActQuant(8, 9)).eval()
    net[1].weight.data = torch.randint(-127, 128, (40, 96), generator=generator).float()
    net[1].bias.data = torch.randint(-5000, 5000, (40,), generator=generator).float()
    example = (torch.zeros(1, 96),)
    design = build(net, example, out=tmp_path / "net", config=BuildConfig(loadable="*", fps=300_000, engine="lanes"))
    (unit,) = design.loadable
    immediates = np.count_nonzero(unit.program.flags & IMMEDIATE)
    assert unit.entries.gaps and unit.entries.immediate.sum() > immediates
    own = load_words(tmp_path / "net")
    assert np.array_equal(load_words(tmp_path / "net", net, example).writes, own.writes)
    net[1].weight.data = torch.randint(-3, 4, (40, 96), generator=generator).float()
    net[1].bias.data = torch.randint(-50, 50, (40,), generator=generator).float()
    (layer,) = load_words(tmp_path / "net", net, example).layers
    assert layer.bits == own.layers[0].bits and layer.words < own.layers[0].words


def refusal(folder, change):
    net = network(1)
    change(net)
    with pytest.raises(HwgenError) as raised:
        load_words(folder, net, EXAMPLE)
    return raised.value


def test_what_the_hardware_cannot_hold_is_refused(tmp_path):
    folder = built(tmp_path / "net")
    for layer, scale, said in (
        (1, 8.0, "times as large as the build's"),
        (9, 0.125, "on a grid of"),
    ):
        error = refusal(folder, lambda net, layer=layer, scale=scale: net[layer].weight.data.mul_(scale))
        assert isinstance(error, DoesNotFit) and said in error.what and error.at == f"layer_{layer}"

    def widest(net):
        net[3].weight.data = torch.full_like(net[3].weight, 1.5)
        net[3].bias.data[:] = 1000.25

    error = refusal(folder, widest)
    assert isinstance(error, DoesNotFit) and "bits, the build has" in error.what and error.at == "layer_3"


def test_too_many_terms_are_refused(tmp_path):
    folder = tmp_path / "net"
    sparse = nn.Sequential(ActQuant(4, 0), nn.Linear(64, 12), ActQuant(8, 2, signed=True)).eval()
    dense = (torch.arange(12 * 64).reshape(12, 64) % 2) * 2.0 - 1.0
    sparse[1].weight.data = dense * (torch.arange(12) == 0)[:, None]
    sparse[1].bias.data[:] = 1.0
    example = (torch.zeros(1, 64),)
    build(sparse, example, out=folder, config=BuildConfig(loadable="*", lanes=1))
    capacity = load_words(folder).layers[0].capacity
    sparse[1].weight.data = dense
    with pytest.raises(DoesNotFit, match=f"words, the memory {capacity}"):
        load_words(folder, sparse, example)


def test_smaller_weights_are_lifted_to_the_build_s_exponents(tmp_path):
    """The highest power of two is wired into the results' place; a network without it takes more shifts. The AXI bench
    runs it."""
    folder = built(tmp_path / "net")
    first = read_design(folder).loadable[0].program
    own = build(network(1), EXAMPLE, out=tmp_path / "own", config=BuildConfig(loadable="*")).loadable[0].program
    assert own.below - own.drop < first.below - first.drop
    assert len(load_words(folder, network(1), EXAMPLE).layers) == 3


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("dsp", lambda net: net[1].weight.data.mul_(0.5), "bits below the results, the build's"),
        ("mac", lambda net: net[1].weight.data.mul_(0.5), "bits below the results, the build's"),
        ("mac", lambda net: net[1].weight.data.mul_(torch.eye(3) * 4), "its weights have 5 bits, the build's 3"),
        ("mac", lambda net: net[1].bias.data.sub_(64.0), "a constant of its sums is -"),
        ("mac", lambda net: net[1].bias.data.add_(64.0), "bits, the build has"),
    ],
)
def test_what_exact_sums_cannot_hold_is_refused(tmp_path, monkeypatch, kind, change, said):
    only(monkeypatch, kind)
    folder, net = built(tmp_path / "net", **RATE), coarse(1)
    net[1].weight.data = network(0)[1].weight.data
    assert len(load_words(folder, net, EXAMPLE).layers) == 3
    change(net)
    with pytest.raises(DoesNotFit) as raised:
        load_words(folder, net, EXAMPLE)
    assert said in raised.value.what and raised.value.at == "layer_1"


@pytest.mark.parametrize("change", ["kernel", "quantizer", "layers", "input"])
def test_another_topology_is_refused(tmp_path, change):
    folder, net, example = built(tmp_path / "net"), network(1), EXAMPLE
    if change == "kernel":
        net[1] = nn.Conv2d(2, 3, 1)
        net[1].weight.data.fill_(0.5)
        net[1].bias.data.fill_(0.0)
        example = (torch.zeros(1, 2, 6, 6),)
    if change == "quantizer":
        net[2] = ActQuant(4, 1)
    if change == "layers":
        net[6] = nn.MaxPool2d(2)
    if change == "input":
        net[0] = ActQuant(3, -2)
    with pytest.raises(BadInput):
        load_words(folder, net, example)


def test_options_are_checked(tmp_path):
    for options, said in (
        ({"loadable": "nothing*"}, "no layer with weights on lanes matches 'nothing*'"),
        ({"loadable": "layer_6"}, "no layer with weights on lanes matches 'layer_6'"),  # a pool
        ({"loadable": "layer_1", "engine": "layer_1=spatial"}, "matches 'layer_1'"),
        ({"loadable": ""}, "loadable = ''"),
        ({"weights_in": "flash"}, "weights_in = 'flash'"),
    ):
        with pytest.raises(BadInput) as raised:
            built(tmp_path / "net", **options)
        assert said in raised.value.what
    built(tmp_path / "net", loadable=None)
    with pytest.raises(BadInput, match="no layer of the build can be loaded"):
        load_words(tmp_path / "net")


def test_the_file_holds_the_writes_and_the_json_tells_the_rest(tmp_path):
    folder = built(tmp_path / "net")
    weights = hwgen.load_words(folder, network(1), EXAMPLE)
    weights.save(tmp_path / "new.bin")
    pairs = np.frombuffer((tmp_path / "new.bin").read_bytes(), "<u4").reshape(-1, 2)
    assert np.array_equal(pairs, weights.writes) and set(pairs[:, 0].tolist()) == {0x4C, 0x50, 0x54}
    told = json.loads((tmp_path / "new.json").read_text())
    assert told["writes"] == len(pairs)
    top = (folder / "rtl/net_top.v").read_text()
    assert f".BUILD_ID(32'd{told['build_id']})" in top
    starts = np.flatnonzero(pairs[:, 0] == 0x4C).tolist()
    for layer, start, end in zip(told["layers"], starts, [*starts[1:], len(pairs)], strict=True):
        values = pairs[start + 1 : end, 1].tolist()
        assert pairs[start, 1] == layer["layer"] and values[0] == layer["words"]
        assert sum(sum(values[: i + 1]) for i in range(len(values))) % (1 << 32) == layer["check"]
