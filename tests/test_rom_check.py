"""A ROM's words are written as they are meant, and term_rom ends a simulation whose file does not hold them, on both
simulators."""

import json

import bench_term_rom as bench
import numpy as np
import pytest

from hwgen.errors import ToolFailed
from hwgen.rom import Rom
from hwgen.share import share
from hwgen.simulators import SIMULATORS, run_cocotb

CONFIG = bench.CONFIGS[1]
MESSAGE = "rom/words.hex does not hold the 6 words this build wrote"


def another_bit(words):
    return [words[0], words[1] ^ 16, *words[2:]]


def two_words_swapped(words):
    return [words[1], words[0], *words[2:]]


def one_word_short(words):
    return words[:-1]


def another_file(words):
    return [word ^ 0xFF for word in words]


@pytest.fixture(scope="module", params=SIMULATORS)
def built(request, tmp_path_factory):
    """A function that runs the bench in a folder, built once, and its log; with the right file it passes."""
    build_dir = tmp_path_factory.mktemp("build")

    def run(folder, rebuild=False):
        run_cocotb(
            simulator=request.param,
            sources=[share("rtl") / "term_rom.v"],
            toplevel="term_rom",
            module=bench.__name__,
            build_dir=build_dir,
            parameters=CONFIG,
            environment={"BENCH_CONFIG": json.dumps(CONFIG)},
            rebuild=rebuild,
            cwd=folder,
            timeout=120,
        )

    folder = tmp_path_factory.mktemp("right")
    bench.prepare(folder, CONFIG)
    run(folder, rebuild=True)
    return run, build_dir / "run.log"


@pytest.mark.sim
@pytest.mark.parametrize("change", [another_bit, two_words_swapped, one_word_short, another_file])
def test_wrong_words_end_the_simulation(built, change, tmp_path):
    bench.prepare(tmp_path, CONFIG)
    words = [int(line, 16) for line in (tmp_path / CONFIG["FILE"]).read_text().split()]
    (tmp_path / CONFIG["FILE"]).write_text("".join(f"{word:x}\n" for word in change(words)))
    run, log = built
    with pytest.raises(ToolFailed):
        run(tmp_path)
    assert MESSAGE in log.read_text()


@pytest.mark.sim
def test_a_missing_file_ends_the_simulation(built, tmp_path):
    run, log = built
    with pytest.raises(ToolFailed):
        run(tmp_path)
    assert MESSAGE in log.read_text()


@pytest.mark.parametrize("widths", [(1,), (1, 3), (4, 28), (1, 31, 1), (63, 1, 0), (1, *[20] * 13), (63,) * 5])
@pytest.mark.parametrize("depth", [1, 300])
def test_words_of_any_width(widths, depth):
    """Text and check sum are those of plain integers; a field of a negative value holds its two's complement."""
    rng = np.random.default_rng(sum(widths))
    columns = [rng.integers(-(1 << max(width - 1, 0)), 1 << max(width - 1, 0), depth) for width in widths]
    columns[0] = np.full(depth, -1)
    words = [0] * depth
    for column, width in zip(columns, widths, strict=True):
        words = [word << width | int(value) % (1 << width) for word, value in zip(words, column, strict=True)]
    rom = Rom.of_fields(list(zip(columns, widths, strict=True)))
    assert (rom.depth, rom.width) == (depth, sum(widths))
    assert [int(line, 16) for line in rom.text().splitlines()] == words
    assert {len(line) for line in rom.text().splitlines()} == {-(-sum(widths) // 4)} and rom.text()[-1] == "\n"
    assert rom.check == bench.check_sum(words, sum(widths))
