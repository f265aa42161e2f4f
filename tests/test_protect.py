"""Builds with --protect: the same integers, codes that repair, registers that tell, copies that synthesis keeps."""

import numpy as np
import pytest
import torch
from torch import nn

from hwgen import BuildConfig, build, simulate
from hwgen.errors import BadInput
from hwgen.flow import read_design, read_manifest
from hwgen.nn import ActQuant
from hwgen.protect import Protection, check_bits, hsiao
from hwgen.rom import Rom
from hwgen.simulators import SIMULATORS, lint

EXAMPLE = (torch.zeros(1, 2, 6, 6),)


def network() -> nn.Sequential:
    """A convolution, a pool and a Linear layer."""
    torch.manual_seed(3)
    net = nn.Sequential(
        ActQuant(3, -1),
        nn.Conv2d(2, 5, 3, padding=1),
        nn.ReLU(),
        ActQuant(4, -1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(45, 4),
    )
    for layer in (net[1], net[6]):
        layer.weight.data = torch.randint(-1, 2, layer.weight.shape) * 2.0 ** torch.randint(-2, 1, layer.weight.shape)
        layer.bias.data = torch.randint(-8, 8, layer.bias.shape) / 8
    return net.eval()


def frames(count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 2, 6, 6, generator=torch.Generator().manual_seed(seed)) * 4


@pytest.mark.parametrize("width", [*range(1, 30), 57, 58, 120])
def test_a_code_has_columns_of_odd_weight_and_no_two_alike(width):
    code = hsiao(width)
    columns = [tuple(column) for column in code.T]
    assert code.shape == (check_bits(width), width)
    assert len({*columns}) == width and all(sum(column) % 2 and sum(column) > 2 for column in columns)
    assert code.sum(axis=1).max() - code.sum(axis=1).min() <= 2, "rows nearly even as can be"


def test_words_are_coded_as_the_memory_holds_them():
    rom = Rom(np.array([[1, 0, 0, 1, 1], [0, 0, 0, 0, 0]], np.uint8))
    assert Protection.of("parity").coded(rom).bits.tolist() == [[1, 1, 0, 0, 1, 1], [0] * 6]
    coded = Protection.of("ecc").coded(rom)
    checks = hsiao(5)[:, [0, 1, 4]].sum(axis=1) % 2  # bits 0, 1 and 4 of the first word
    assert coded.bits[0].tolist() == [*checks[::-1], 1, 0, 0, 1, 1] and not coded.bits[1].any()
    assert Protection().coded(rom).bits.tolist() == rom.bits.tolist()


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("protect", ["parity", "ecc,tmr-control"])
def test_a_protected_build_gives_the_same_integers(protect, simulator, tmp_path):
    net = network()
    build(net, EXAMPLE, out=tmp_path / "net", config=BuildConfig(protect=protect))
    x = frames(3)
    y, _ = simulate(tmp_path / "net", x.numpy(), simulator=simulator, stall=0.3)
    with torch.no_grad():
        assert np.array_equal(y, net.double()(x.double()).numpy())


def test_all_modules_of_a_protected_build_are_clean(tmp_path):
    build(network(), EXAMPLE, out=tmp_path / "net", config=BuildConfig(protect="ecc,tmr-control", loadable="*"))
    manifest = read_manifest(tmp_path / "net")
    assert manifest["protected"] == [unit["name"] for unit in manifest["units"] if unit["module"] == "term_lanes"]
    lint([tmp_path / "net" / path for path in manifest["sources"]], manifest["top"])


def test_a_build_is_read_with_its_protection(tmp_path):
    build(network(), EXAMPLE, out=tmp_path / "net", config=BuildConfig(protect="parity,tmr-control"))
    design = read_design(tmp_path / "net")
    assert design.protect == Protection(parity=True, tmr=True)
    assert [unit.name for unit in design.watched] == read_manifest(tmp_path / "net")["protected"]


@pytest.mark.parametrize("protect", ["", "none,ecc", "parity, ecc", "ecc,all", None, 3])
def test_a_protection_that_there_is_not_is_refused(protect):
    with pytest.raises(BadInput, match="protect"):
        BuildConfig(protect=protect)
