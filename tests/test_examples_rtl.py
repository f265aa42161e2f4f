"""The shipped networks in RTL: every digits test image and 1,000 MNIST images, bit for bit, with stalls and behind the
AXI border."""

import json
import shutil
from functools import cache

import numpy as np
import pytest
import torch
from bench_term_rom import check_sum

from hwgen import BuildConfig, build, simulate, verify
from hwgen.errors import Mismatch
from hwgen.flow import read_design
from hwgen.frontend import import_model
from hwgen.load import call
from hwgen.manifest import read_manifest
from hwgen.passes import run_passes
from hwgen.share import share
from hwgen.simulators import SIMULATORS, lint, run_cocotb

EXAMPLES = share("rtl").parent / "examples"


def program(example):
    return torch.export.load(EXAMPLES / example / f"{example}.pt2")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A function that gives (build, test images, labels) of an example, built once; its runs are left in the build."""

    @cache
    def once(example, **options):
        folder = tmp_path_factory.mktemp("examples") / example
        build(program(example), out=folder, config=BuildConfig(**options))
        return folder, *call(f"{EXAMPLES / example / 'model.py'}:test_data")

    return once


@pytest.mark.parametrize(("example", "images"), [("digits", 360), ("lenet5", 10_000)])
def test_golden_integers_equal_the_module_on_every_test_image(example, images):
    graph = run_passes(import_model(program(example)))
    x = torch.from_numpy(call(f"{EXAMPLES / example / 'model.py'}:test_data")[0])
    module = program(example).module().double()
    assert len(x) == images
    with torch.no_grad():
        for part in x.split(500):
            golden = graph.golden(part)[0]
            assert torch.equal(golden, module(part.double()))


@pytest.mark.sim
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_all_digits_are_exact_on_verilator(built, stall):
    folder, x, labels = built("digits")
    result = verify(folder, x, labels=labels, stall=stall)
    assert result["equal"] == result["frames"] == 360
    assert result["accuracy"] >= 0.97


@pytest.mark.sim
def test_digits_are_exact_on_icarus_with_stalls(built):
    """Few: a frame takes over two seconds."""
    folder, x, _ = built("digits")
    assert verify(folder, x[180:182], simulator="icarus", stall=0.2, seed=185)["equal"] == 2


@pytest.mark.sim
@pytest.mark.parametrize("stall", [0.0, 0.2])
def test_a_thousand_mnist_images_are_exact(built, stall):
    folder, x, labels = built("lenet5")
    result = verify(folder, x[:1000], labels=labels[:1000], stall=stall)
    assert result["equal"] == result["frames"] == 1000


@pytest.mark.sim
@pytest.mark.parametrize("lanes", [1, 4])
def test_outputs_are_the_module_s_in_float64_at_any_fold(built, lanes):
    folder, x, _ = built("digits", lanes=lanes)
    module = call(f"{EXAMPLES / 'digits/model.py'}:load")[0].double()
    y, _ = simulate(folder, x[:3])
    with torch.no_grad():
        assert np.array_equal(y, module(torch.from_numpy(x[:3]).double()).numpy())
    assert y.dtype == np.float64 and y.shape == (3, 10)


@pytest.mark.sim
def test_measured_interval_is_the_predicted_one(built):
    """Never slower, and within 1 % on both: what is left lies within a row."""
    for example in ("digits", "lenet5"):
        folder, x, _ = built(example)
        _, run = simulate(folder, x[:6])
        predicted = read_manifest(folder)["interval"]
        assert run.interval <= predicted <= 1.01 * run.interval


@pytest.mark.sim
def test_a_wrong_weight_is_found_and_located(built, tmp_path):
    """A ROM with signs turned over, its check sum mended: the comparison must name the layer."""
    sound, x, _ = built("digits", lanes=4)  # a single group: a word is a term
    folder = tmp_path / "digits"
    shutil.copytree(sound, folder, ignore=shutil.ignore_patterns("sim"))
    rom = folder / "rom/depthwise.hex"
    words = rom.read_text().split()
    bits = read_manifest(folder)["roms"]["rom/depthwise.hex"]["width"]
    # a single channel may be dark on a few images: so every term in the second half of the ROM is turned over
    half = len(words) // 2
    numbers = [int(word, 16) for word in words]
    changed = [n if i < half or n >> (bits - 4) & 1 else n ^ (1 << (bits - 3)) for i, n in enumerate(numbers)]
    core = folder / "rtl/digits_core.v"
    text = core.read_text()
    old, new = (f".CHECK(32'h{check_sum(numbers, bits):x})" for numbers in (numbers, changed))
    assert old in text
    core.write_text(text.replace(old, new))
    rom.write_text("".join(f"{n:0{len(words[0])}x}\n" for n in changed))
    with pytest.raises(
        Mismatch,
        match=r"first wrong layer depthwise \(stream quant3\), channel \d+, pixel row \d+ column \d+: "
        r"got -?\d+, want -?\d+",
    ):
        verify(folder, x[:4], edited=True)


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_emitted_top_works_behind_axi(tmp_path, simulator):
    from hwgen.nn import ActQuant

    torch.manual_seed(0)
    conv = torch.nn.Conv2d(2, 3, 3, padding=1, stride=2)
    conv.weight.data = (torch.randint(-3, 4, conv.weight.shape)) * 0.25
    conv.bias.data = torch.tensor([0.5, -1.0, 0.0])
    module = torch.nn.Sequential(ActQuant(4, -2), conv)
    folder = tmp_path / "small_net"
    build(module, (torch.zeros(1, 2, 6, 5),), out=folder)
    behind_axi(folder, tmp_path, simulator, torch.rand(8, 2, 6, 5) * 4)


@pytest.mark.sim
def test_a_spatial_top_takes_and_gives_whole_pixels_behind_axi(tmp_path):
    from hwgen.nn import ActQuant

    linear = torch.nn.Linear(6, 3)
    linear.weight.data = torch.arange(-9, 9).reshape(3, 6) * 0.5
    linear.bias.data = torch.tensor([0.5, -1.0, 0.0])
    folder = tmp_path / "flat_net"
    build(
        torch.nn.Sequential(ActQuant(4, -2, signed=True), linear, ActQuant(6, 0, signed=True)),
        (torch.zeros(1, 6),),
        out=folder,
        config=BuildConfig(engine="spatial"),
    )
    behind_axi(folder, tmp_path, "icarus", torch.rand(8, 6) * 4 - 2)


def behind_axi(folder, tmp_path, simulator, *x):
    """Runs sim/bench_top.py on the build's AXI top with the golden integers of x."""
    design, manifest = read_design(folder), read_manifest(folder)
    frames = design.graph.quantize_inputs(*x)
    words = {}
    for side, streams, values in (
        ("inputs", design.inputs, frames),
        ("outputs", design.outputs, design.graph.eval(*frames)),
    ):
        words |= {f"{side}_{n}": axi_words(*both) for n, both in enumerate(zip(streams, values, strict=True))}
    np.savez(tmp_path / "data.npz", **words)
    sources = [folder / path for path in manifest["sources"]]
    lint(sources, manifest["top"])
    run_cocotb(
        simulator=simulator,
        sources=sources,
        toplevel=manifest["top"],
        module="bench_top",
        build_dir=tmp_path / "sim",
        environment={"TOP_DATA": str(tmp_path / "data.npz")},
        cwd=folder,
    )


def axi_words(stream, values):
    """int64 [N, beats] of the AXI top: the activations of a beat in whole bytes, side by side."""
    words = stream.order.flatten(values)
    if stream.order.side == 1:
        return words
    width = next(n for n in (8, 16, 32, 64) if n >= stream.type.qtype.bits)
    assert width * stream.order.side < 63
    words = words.reshape(len(words), -1, stream.order.side) & ((1 << width) - 1)
    return (words << (np.arange(stream.order.side) * width)).sum(axis=2)


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        build(program("digits"), out=tmp_path / name / "digits")
    first, second = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()}
        for n in ("one", "two")
    )
    assert first == second
    assert json.loads(first[next(p for p in first if p.name == "hwgen.json")])["files"]
