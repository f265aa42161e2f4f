"""What units and the border say that they take, against what yosys counted of them."""

import json
from statistics import mean

import numpy as np
import pytest

from benchmarks import border, estimates, neurons, windows
from benchmarks.pot_vs_uniform import __main__ as pot
from benchmarks.spatial.__main__ import read
from hwgen.flow import read_design


@pytest.mark.parametrize(
    "name", ["LeNet-5, 16 accumulators", "shared lists", "digits, spatial", "two convolutions, spatial"]
)
def test_prices_are_still_those_of_the_units_that_yosys_counted(name, tmp_path):
    counted = read(estimates.RESULTS)[name]
    estimates.build_network(name, tmp_path / "net")
    have = {placed.unit.name: placed.unit.estimate() for placed in read_design(tmp_path / "net").placed}
    assert have.keys() == counted.keys()
    off = [have[unit]["LUT"] / one["counted"]["LUT"] - 1 for unit, one in counted.items()]
    assert mean(abs(one) for one in off) < 0.07 and max(map(abs, off)) < 0.25
    total = sum(one["LUT"] for one in have.values()), sum(one["counted"]["LUT"] for one in counted.values())
    assert abs(total[0] / total[1] - 1) < 0.03
    assert all(have[unit]["BRAM36"] == one["counted"]["BRAM36"] for unit, one in counted.items())


def test_the_price_of_the_border_knows_what_a_border_has():
    counted = read(border.RESULTS)
    off = [case.estimate() / counted[border.name(case)]["LUT"] - 1 for case in border.CASES]
    assert np.median(np.abs(off)) < 0.02 and np.mean(np.abs(off) < 0.07) > 0.9
    plain = border.Case()
    more = [{"layers": 1}, {"port": 64}, {"watched": 1}, {"modes": 2}, {"streams": (2, 1)}, {"streams": (1, 2)}]
    assert all(border.Case(**one).estimate() > plain.estimate() for one in more)
    assert border.Case(layers=1, load_stream=True).estimate() > border.Case(layers=1).estimate()
    assert border.Case(watched=1, tmr=1).estimate() > border.Case(watched=1).estimate()


def test_the_price_of_windows():
    """Of those that it was not fitted to, too."""
    luts = read(windows.RESULTS)["LUT"]
    cases = [windows.case(seed) for seed in range(len(luts))]
    off = np.array([one.says for one in cases]) - np.array([n - one.lines for one, n in zip(cases, luts, strict=True)])
    others = off[windows.FITTED :]
    assert len(others) >= 90 and np.mean(np.abs(others) <= windows.CLOSE) > 0.8 and np.abs(others).max() < 30


def test_the_price_of_neurons_whose_spikes_come_back():
    """The table is of the price as it is, of sizes that it was not fitted to."""
    text = neurons.DOCUMENT.read_text().partition("<!-- made by benchmarks.neurons.recurrent -->")[2]
    rows = [line.strip("| ").split(" | ") for line in text.partition("<!-- end")[0].strip().splitlines()[2:]]
    says = [neurons.comes_back(*each).estimate()["LUT"] for each in neurons.RECURRENT]
    assert says == [int(row[6]) for row in rows]
    off = np.array(says) / [int(row[5]) for row in rows] - 1
    assert np.median(np.abs(off)) < 0.08 and np.abs(off).max() < 0.12


def test_a_case_whose_netlist_is_the_same_is_not_counted_again(tmp_path, monkeypatch):
    case = pot.Case("convolution", 50, 4, "dsp", "pot4")
    monkeypatch.setattr(pot, "_counted", lambda *given: {"counted": {"LUT": 1}})
    first = pot.run(case, tmp_path / "first", None, {})
    assert first["counted"] == {"LUT": 1}
    monkeypatch.setattr(pot, "_counted", lambda *given: {"counted": {"LUT": 2}})
    assert pot.run(case, tmp_path / "same", None, json.loads(json.dumps(first))) == first
    other = first | {"sources": "another"}
    assert pot.run(case, tmp_path / "other", None, other)["counted"] == {"LUT": 2}
