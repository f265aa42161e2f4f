"""Weights are loaded into a build over AXI4-Lite, and what its hardware cannot hold is refused."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import hwgen
from hwgen import BuildConfig, build, load_words, simulate
from hwgen.errors import BadInput, DoesNotFit, HwgenError
from hwgen.flow import read_design, read_manifest
from hwgen.nn import ActQuant, AvgPool2d
from hwgen.simulators import lint, run_cocotb
from tests.test_examples_rtl import axi_words, behind_axi

EXAMPLE = (torch.zeros(1, 2, 6, 6),)


def network(seed, dense=0.5, scale=1.0):
    """The same layers whatever the seed; two thirds of the weights of any seed that is not 0 are zero.

    The first network's weights are the largest, so all others fit its widths.
    """
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        ActQuant(4, -2),
        nn.Conv2d(2, 5, 3, padding=1),
        ActQuant(4, 0),
        nn.Conv2d(5, 4, 3, stride=2),
        nn.ReLU(),
        ActQuant(4, 1),
        AvgPool2d(2),
        ActQuant(5, 0),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    for layer in net:
        if hasattr(layer, "weight"):
            sign = torch.randint(0, 2, layer.weight.shape, generator=generator) * 2 - 1
            size = torch.full(layer.weight.shape, 1.5) if seed == 0 else torch.randint(0, 4, sign.shape, generator=generator) / 2
            keep = torch.rand(layer.weight.shape, generator=generator) < (1.0 if seed == 0 else dense)
            layer.weight.data = sign * size * keep * scale
            layer.bias.data = torch.randint(-8, 9, layer.bias.shape, generator=generator) * 0.25
            layer.bias.data[0] = 2.25
    return net.eval()


def built(folder, **options):
    build(network(0), EXAMPLE, out=folder, config=BuildConfig(**{"loadable": "*", "name": "net"} | options))
    return folder


def golden(seed, x):
    return network(seed).double()(x.double()).detach()


@pytest.mark.sim
@pytest.mark.parametrize(("memory", "lanes"), [("bram", 3), ("uram", 12)])
def test_weights_are_loaded_over_axi(tmp_path, memory, lanes):
    folder = built(tmp_path / "net", weights_in=memory, lanes=lanes)
    design, manifest = read_design(folder), read_manifest(folder)
    x = torch.rand(5, 2, 6, 6, generator=torch.Generator().manual_seed(1)) * 4
    sets = [load_words(folder), load_words(folder, network(1), EXAMPLE)]
    results = [torch.ldexp(golden(seed, x), torch.tensor(-design.output.type.exponent)) for seed in (0, 1)]
    np.savez(
        tmp_path / "data.npz",
        inputs=axi_words(design.input, design.graph.quantize_input(x)),
        outputs=np.stack([axi_words(design.output, y.long().reshape(5, 3, 1, 1)) for y in results]),
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
