"""term_rom ends a simulation whose file does not hold the words that the build wrote, on both simulators."""

import json

import bench_term_rom as bench
import pytest

from hwgen.errors import ToolFailed
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
