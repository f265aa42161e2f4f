"""What README.md says that engines take is what they take now, to the LUT."""

from pathlib import Path

import pytest

from benchmarks import depths, estimates, lanes, lenet5, windows
from benchmarks.netlist import synthesize
from benchmarks.pot_vs_uniform import tables
from benchmarks.pot_vs_uniform.__main__ import cases, read_results
from benchmarks.spatial import __main__ as spatial
from benchmarks.spatial.tables import DOCUMENT
from hwgen import BuildConfig, build
from hwgen.load import load

README = (Path(__file__).parent.parent / "README.md").read_text()


def row(made_by: str, first: str) -> list[str]:
    """The cells behind the first one, of a row of the table that benchmarks.MADE_BY wrote."""
    table = README.partition(f"<!-- made by benchmarks.{made_by} -->")[2].partition(f"<!-- end of {made_by} -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    found = [cells[1:] for cells in rows if cells[0] == first]
    assert len(found) == 1, f"README.md has {len(found)} rows {first!r} of benchmarks.{made_by}"
    return found[0]


@pytest.mark.parametrize("name", ["lut-8", "dsp-8"])
def test_the_row_of_lanes_is_what_they_take(name, tmp_path):
    unit = lanes.engine(tmp_path / "conv", name, lanes.LANES)
    what, *have = lanes.cells(lanes.words_of(name), lanes.LANES, unit["counts"], unit["cycles"], unit["useful"])
    assert dict(zip(lanes.HEAD[1:], have, strict=True)) == dict(zip(lanes.HEAD[1:], row("lanes", what), strict=True))


def test_the_core_of_lenet5_is_what_it_takes(tmp_path):
    program, _ = load(str(lenet5.EXAMPLE / "lenet5.pt2"))
    build(program, out=tmp_path / "lenet5", config=BuildConfig(lanes=16, name="lenet5"))
    counts = synthesize(tmp_path / "lenet5").counts
    have = [f"{counts[key]:g}" for key in lenet5.COUNTS]
    names = lenet5.HEAD[1 : 1 + len(have)]
    assert dict(zip(names, have, strict=True)) == dict(zip(names, row("lenet5", "16")[: len(have)], strict=True))


def test_powers_of_two_against_uniform_are_the_results_of_the_command():
    _, _, rest = tables.DOCUMENT.read_text().partition("<!-- made by benchmarks.pot_vs_uniform -->\n")
    assert rest.partition("<!-- end of pot_vs_uniform -->")[0] == tables.text(read_results())
    assert f"<!-- made by benchmarks.pot_vs_uniform -->\n{tables.where(read_results())}<!--" in README
    assert set(read_results()) == {str(case) for case in cases()}
    assert all("sources" in found for found in read_results().values() if "counted" in found)


def test_spatial_layers_against_others_are_the_results_of_the_command():
    known = spatial.read(spatial.RESULTS)
    _, _, rest = DOCUMENT.read_text().partition("<!-- made by benchmarks.spatial -->\n")
    assert rest.partition("<!-- end of spatial -->")[0] == spatial.tables(known)
    assert f"<!-- made by benchmarks.spatial.means -->\n{spatial.means(known)}<!--" in README


def test_windows_are_the_results_of_the_command():
    text = (windows.ROOT / "docs" / "synthesis.md").read_text().partition("<!-- made by benchmarks.windows -->\n")[2]
    assert text.partition("<!-- end of windows -->")[0] == windows.summary(spatial.read(windows.RESULTS)["LUT"])


def test_networks_that_are_estimated_are_there():
    assert set(estimates.OTHERS) <= set(depths.NETWORKS)
