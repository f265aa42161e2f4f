"""hwgen import and what a build tells of requantizations: what was found, what is exact, and how much is not."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from hwgen import BuildConfig, report
from hwgen.cli import main
from hwgen.cli.terminal import console
from hwgen.errors import BadInput
from hwgen.found import bit_lengths, layers, multipliers, signed_digits, summary, told
from hwgen.frontend import read_model
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Rescale, Steps
from hwgen.passes import run_passes
from hwgen.target import Target

NETWORK = """
import torch
import hwgen.nn_affine
from torch import nn

SCALES = torch.tensor([0.0123, 0.0456, 0.0789]).double()


def levels(x, scale, zero, low, high):
    scale = torch.tensor([scale], dtype=torch.float32).to(x.dtype)
    zero = torch.tensor([float(zero)], dtype=x.dtype)
    return (torch.ops.hwgen.quantize_affine(x, scale, zero, 1, low, high, "half_even") - zero) * scale


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        dice = torch.Generator().manual_seed(1)
        integers = torch.randint(-127, 128, (3, 2, 3, 3), generator=dice).double()
        self.register_buffer("weight", integers * SCALES.reshape(3, 1, 1, 1))

    def forward(self, x):
        x = levels(x, 0.02, 128, 0, 255)
        y = torch.nn.functional.conv2d(x, self.weight, padding=1)
        return levels(y, 0.5, 0, 0, 255)


def get():
    return Net().eval(), (torch.zeros(1, 2, 4, 4).double(),)


class Hard(Net):
    def forward(self, x):
        x = torch.special.bessel_j0(levels(x, 0.02, 0, -128, 127))
        return torch.linalg.inv(levels(x, 0.5, 0, 0, 255))


def hard():
    return Hard().eval(), (torch.zeros(1, 2, 4, 4).double(),)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.py"
    path.write_text(NETWORK)
    return path


def cli(*arguments):
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, [str(each) for each in arguments])


def read(file, **target):
    from hwgen.load import load

    return read_model(*load(f"{file}:get"), Target(**target))


def test_what_is_found_is_shown(file, capfd, monkeypatch):
    monkeypatch.setattr(console, "width", 200)
    said = cli("import", f"{file}:get")
    assert said.exit_code == 0, said.output
    graph, notes = read(file)
    rows = layers(run_passes(graph), notes)
    assert [row.name for row in rows] == ["input", rows[1].name] and len(notes) == 1
    assert (rows[0].integers, rows[0].worth, rows[0].requantized) == ("-128..127", "0.02", "by the host, half even")
    assert (rows[1].op, rows[1].frame, rows[1].weights) == ("Conv 3x3", "3x4x4", "8 bits, 3 scales")
    assert (rows[1].integers, rows[1].worth) == ("0..255", "0.5")
    bits = bit_lengths(notes[0].op.multipliers)
    assert rows[1].requantized.startswith(f"{bits.min()} to {bits.max()} bits, at most ")
    assert rows[1].departs == f"0 of {notes[0].of:,}"
    table = said.output + capfd.readouterr().err
    for cell in (*rows[1].__dict__.values(), "exact: each of"):
        assert cell in " ".join(table.split()), cell


def test_a_near_multiplier_is_told_with_how_many_levels_it_misses(file, tmp_path):
    (exact,), (near,) = (read(file, near=bits)[1] for bits in (None, 6))
    assert bit_lengths(near.op.multipliers).max() <= 6 < bit_lengths(exact.op.multipliers).max()
    differing = 0
    for kind in range(3):
        low, high = ends(exact, kind)
        x = torch.arange(low, high + 1).reshape(1, 1, 1, -1).expand(1, 3, 1, -1)
        differing += int((exact.op.eval([], x) != near.op.eval([], x))[0, kind].sum())
    assert near.wrong == differing > 0
    said = cli("import", f"{file}:get", "--near", 6)
    line = f"NOT EXACT: {differing:,} of {near.of:,} accumulators get another level"
    assert said.exit_code == 0 and line in said.output
    built = cli("build", f"{file}:get", "-o", tmp_path / "net", "--near", 6)
    assert built.exit_code == 0 and line in built.output, built.output
    known = json.loads((tmp_path / "net" / "hwgen.json").read_text())
    (record,) = known["requantizations"]
    assert known["target"] == "exact" and record["not_as_target"] == differing and record["multiplier_bits"] <= 6
    values, text = report(tmp_path / "net")
    assert values["requantizations"] == known["requantizations"]
    assert "## Requantization" in text and line in text and f"| {differing} | 0 |" in text


def ends(note, kind):
    """The accumulators that can be reached, by the sums of weights."""
    dice = torch.Generator().manual_seed(1)
    weights = torch.randint(-127, 128, (3, 2, 3, 3), generator=dice)[kind].reshape(-1)
    positive, negative = int(weights.clamp(min=0).sum()), int(weights.clamp(max=0).sum())
    return positive * -128 + negative * 127, positive * 127 + negative * -128


def test_another_target_tells_where_it_parts_from_rational_arithmetic(file):
    said = cli("import", f"{file}:get", "--target", "onnxruntime")
    (note,) = read(file, rule="onnxruntime")[1]
    assert said.exit_code == 0 and f"each of {note.of:,} accumulators gets the level of onnxruntime" in said.output
    other = f"by onnxruntime {note.departs:,} of {note.of:,} accumulators get another level than by rational arithmetic"
    assert (other in said.output) == (note.departs > 0)


def test_all_that_stands_in_the_way_is_told(file):
    said = cli("import", f"{file}:hard")
    print(said.output)
    assert said.exit_code == 1


def test_a_network_of_hwgens_own_needs_no_requantization():
    said = cli("import", "examples/digits/digits.pt2")
    assert said.exit_code == 0 and "every requantization is a shift that rounds half up: exact" in said.output


@pytest.mark.parametrize("wrong", [{"target": "tensorrt"}, {"near": 0}, {"near": 41}, {"near": True}, {"near": "8"}])
def test_targets_that_are_none(wrong):
    with pytest.raises(BadInput):
        BuildConfig(**wrong)
    ((name, value),) = wrong.items()
    assert value is True or cli("import", "net.onnx", f"--{name}={value}").exit_code != 0


def test_quantizers_in_words():
    one = np.ones(1, np.int64)
    assert told(Quantize(3, 0, 15)) == "a shift, half up"
    assert told(Rescale(one, 4 * one, one, 3, 0, 15)) == "a shift, half even"
    assert told(Rescale(one, 4 * one, 0 * one, 3, 0, 15)) == "a shift, half up"
    assert told(Rescale(one, 5 * one, 0 * one, 3, 0, 15)) == "a shift and a bias"
    assert told(Rescale(np.array([7, 52]), one, 0 * one, 9, 0, 15)) == "3 to 6 bits, at most 3 digits, >> 9"
    assert told(Rescale(one, one, 0 * one, 9, 0, 15), (-3, 9)) == "2 to 4 bits, at most 2 digits, >> 9"
    assert told(Steps(np.zeros((2, 7), np.int64), 0)) == "7 thresholds"
    assert multipliers(Rescale(one, one, one, 1, 0, 1), (1, -4)).size == 0
    assert signed_digits(np.array([0, 1, 3, 5, 7, 11, 0b1010101])).tolist() == [0, 1, 2, 2, 2, 3, 4]
    assert summary([], "exact") == ["every requantization is a shift that rounds half up: exact"]
