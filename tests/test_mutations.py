"""The checks bite: one thing broken in hardware or terms, and a bench or the data comparison fails."""

import json
import re
import shutil
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import nn

from hwgen.config import BuildConfig
from hwgen.errors import ToolFailed
from hwgen.flow import build, read_manifest
from hwgen.nn import ActQuant
from hwgen.program import IMMEDIATE, NEGATE, check_sum
from hwgen.share import share
from hwgen.simulate import simulate
from hwgen.simulators import run_cocotb

pytestmark = pytest.mark.sim

# (bench, index into its CONFIGS, file, text, text instead)
MUTANTS = {
    "subtraction one too little": ("pe", 1, "pe", "result = result - x", "result = result + ~x"),
    "bits below lost": ("pe", 1, "pe", "shift ? below_extended[F:1] : below_q", "below_q"),
    "signed maximum taken as unsigned": ("pe_max", 2, "pe_max", "(SIGNED != 0) ?", "1'b0 ?"),
    "no clamp at HIGH": ("requantize", 1, "requantize", "above ? HIGH_BITS[OUT_W-1:0] : ", ""),
    "no clamp at HIGH of all ones": (
        "requantize",
        0,
        "requantize",
        "!value[63] && |(value & ~HIGH_BITS)",
        "1'b0",
    ),
    "half of the addition's rounding lost": ("add", 0, "add", " + CONSTANT", ""),
    "neighbour's lane off by one": (
        "lane_select",
        0,
        "lane_select",
        "word[(l+FIRST_LEG+k)",
        "word[(l+FIRST_LEG+k+1)",
    ),
    "ring never full": ("line_memory", 0, "line_memory", "used_q != RING[USED_W-1:0]", "1'b1"),
    "columns past the end not filled": ("line_memory", 0, "line_memory", "if (FILL != 0)", "if (0)"),
    "short ignored": ("serializer", 1, "serializer", "short_q <= is_short", "short_q <= 1'b0"),
    "a gap between loads": ("serializer", 1, "serializer", "full = busy_q && !leaves", "full = busy_q"),
    "padding rows read": ("term_sequencer", 0, "term_sequencer", " || padding_1", ""),
    "rows given back too early": (
        "term_sequencer",
        0,
        "term_sequencer",
        "freed_1 = row_ends ?",
        "freed_1 = issue_1 && wrap_1q && stripe_column_q == 0 ?",
    ),
    "a row started too early": (
        "term_sequencer",
        0,
        "term_sequencer",
        "issue_1 = enable && valid_1q && row_ready",
        "issue_1 = enable && valid_1q",
    ),
    "old operand kept after reset": ("term_lanes", 3, "term_lanes", "rst || rst_q ||", "rst ||"),
    "sum kept for the next output": (
        "term_lanes",
        3,
        "term_lanes",
        "rst || rst_q || (enable && last_4q)",
        "rst || rst_q",
    ),
}


def run_bench(name, index, folder, sources):
    bench = import_module(f"bench_{name}")
    config = bench.CONFIGS[index]
    if hasattr(bench, "prepare"):
        bench.prepare(folder, config)
    run_cocotb(
        simulator="icarus",
        sources=sources,
        toplevel=name,
        module=bench.__name__,
        build_dir=folder / "build",
        parameters=config,
        environment={"BENCH_CONFIG": json.dumps(config)},
        cwd=folder,
        timeout=120,
    )


@pytest.mark.parametrize("bench, index", sorted({mutant[:2] for mutant in MUTANTS.values()}))
def test_the_bench_passes_unchanged(bench, index, tmp_path):
    run_bench(bench, index, tmp_path, sorted(share("rtl").glob("*.v")))


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_bench_fails_on(mutant, tmp_path):
    bench, index, file, text, instead = MUTANTS[mutant]
    shutil.copytree(share("rtl"), tmp_path / "rtl")
    path = tmp_path / "rtl" / f"{file}.v"
    assert text in path.read_text(), f"{file}.v no longer holds {text!r}: give the mutant its new text"
    path.write_text(path.read_text().replace(text, instead))
    with pytest.raises(ToolFailed, match="tests failed"):
        run_bench(bench, index, tmp_path, sorted((tmp_path / "rtl").glob("*.v")))


class Tiny(nn.Module):
    """A convolution between two grids; without bias its immediates are the halves of the rounding."""

    def __init__(self, rounded: bool):
        super().__init__()
        self.quantize = ActQuant(4, 0, signed=True)
        self.conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.round = ActQuant(4, 3, signed=True) if rounded else nn.Identity()
        choices = torch.tensor([0.0, 1, -1, 2, -3, 4, -8])
        chosen = torch.randint(len(choices), self.conv.weight.shape, generator=torch.Generator().manual_seed(1))
        self.conv.weight.data = choices[chosen]

    def forward(self, x):
        return self.round(self.conv(self.quantize(x)))


FRAMES = torch.randint(-8, 8, (3, 2, 4, 5), generator=torch.Generator().manual_seed(2)).float()


def built(folder, rounded):
    model = Tiny(rounded).eval()
    build(model, (FRAMES[:1],), out=folder, config=BuildConfig(lanes=1, name="tiny"))
    return folder, model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return built(tmp_path_factory.mktemp("tiny") / "build", rounded=True)


def differing(folder, model, x=FRAMES):
    """How many of the network's results are not those of the module."""
    result, _ = simulate(folder, x.numpy(), simulator="icarus")
    return int(np.count_nonzero(result != model.double()(x.double()).detach().numpy()))


def change_rom(source, target, change, check=True):
    """Copies a build with change(words, payload bits) done to its ROM, and CHECK set to match if `check`."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("sim"))
    ((rom, shape),) = read_manifest(source)["roms"].items()
    words = [int(line, 16) for line in (source / rom).read_text().split()]
    changed = change(list(words), shape["width"] - 4)
    assert changed != words and len(changed) == len(words)
    (target / rom).write_text("".join(f"{word:x}\n" for word in changed))
    if check:
        core = target / "rtl/tiny_core.v"
        old, new = (f".CHECK(32'h{check_sum(numbers, shape['width']):x})" for numbers in (words, changed))
        assert old in core.read_text()
        core.write_text(core.read_text().replace(old, new))


def without_halves(words, bits):
    return [word >> bits << bits if word >> bits & IMMEDIATE else word for word in words]


def first_term(words, bits):
    return next(i for i, word in enumerate(words) if not word >> bits & IMMEDIATE)


def one_sign_turned(words, bits):
    words[first_term(words, bits)] ^= NEGATE << bits
    return words


def one_term_dropped(words, bits):
    """An immediate zero in its place, with its shift and its end."""
    i = first_term(words, bits)
    words[i] = ((words[i] >> bits) & ~NEGATE | IMMEDIATE) << bits
    return words


def test_the_network_is_right_unchanged(tiny):
    folder, model = tiny
    assert differing(folder, model) == 0


@pytest.mark.parametrize("change", [without_halves, one_sign_turned, one_term_dropped])
def test_the_network_is_wrong_with(change, tiny, tmp_path):
    folder, model = tiny
    change_rom(folder, tmp_path / "build", change)
    assert differing(tmp_path / "build", model) > 0


def test_a_changed_rom_alone_ends_the_simulation(tiny, tmp_path):
    folder, model = tiny
    change_rom(folder, tmp_path / "build", one_sign_turned, check=False)
    with pytest.raises(ToolFailed):
        differing(tmp_path / "build", model)
    log = tmp_path / "build/sim/icarus/build/run.log"
    assert "does not hold" in log.read_text()


def worst_frames(model):
    """For each output the two frames that drive a pixel of it to its greatest and to its least sum."""
    frames = []
    for weight in model.conv.weight.detach():
        for sign in (1, -1):
            frame = torch.zeros(FRAMES.shape[1:])
            frame[:, :3, :3] = torch.where(weight * sign > 0, 7.0, -8.0)
            frames.append(frame)
    return torch.stack(frames)


def test_accumulators_hold_the_worst_case_and_not_a_bit_more(tmp_path):
    folder, model = built(tmp_path / "build", rounded=False)
    x = worst_frames(model)
    positive, negative = (
        (model.conv.weight.detach() * sign).clamp(min=0).sum(dim=(1, 2, 3)).double() for sign in (1, -1)
    )
    assert differing(folder, model, x) == 0
    result, _ = simulate(folder, x.numpy(), simulator="icarus")
    for output in range(len(positive)):
        p, n = float(positive[output]), float(negative[output])
        assert result[2 * output, output].max() == 7 * p + 8 * n
        assert result[2 * output + 1, output].min() == -8 * p - 7 * n

    narrow = tmp_path / "narrow"
    shutil.copytree(folder, narrow, ignore=shutil.ignore_patterns("sim"))
    core = narrow / "rtl/tiny_core.v"
    (bits,) = re.findall(r"\.W\((\d+)\)", core.read_text())
    core.write_text(core.read_text().replace(f".W({bits})", f".W({int(bits) - 1})"))
    assert differing(narrow, model, x) > 0
