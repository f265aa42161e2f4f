"""Break-even is where two costs meet; the lanes that are priced compute what they claim to."""

import re
import subprocess
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch import nn

import hwgen.lanes.price as lanes_price
from benchmarks.price import MAC_V, SHIFTER_V, break_even_table, format_table, mac, program_table, term
from hwgen.compress import Recipe, prepare, price
from hwgen.compress.formats import AdditivePowersOfTwo, Binary, PowerOfTwo, Ternary, Uniform
from hwgen.compress.methods import Magnitude
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.errors import BadInput
from hwgen.ir import TensorType
from hwgen.lanes.fold import Fold
from hwgen.lanes.unit import TermLanes
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.stream import Order

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/break_even.md"

NUMBERS = st.fixed_dictionaries(
    {
        "weight_bits": st.integers(1, 16),
        "terms_per_weight": st.floats(1, 8),
        "x_bits": st.integers(1, 16),
        "accumulator_bits": st.integers(1, 48),
        "address_bits": st.integers(0, 24),
        "legs": st.integers(1, 7),
    }
)


def costs(numbers, zeros):
    """LUTs times cycles and ROM bits of a million weights: (term, dense) of each."""
    weights, lane = 10**6, (numbers["x_bits"], numbers["accumulator_bits"], numbers["legs"])
    terms = weights * (1 - zeros) * numbers["terms_per_weight"]
    integer_bits = max(2, numbers["weight_bits"])
    work = terms * price.lane_luts(*lane), weights * price.mac_luts(integer_bits, *lane)
    entry = 4 + max(numbers["address_bits"], numbers["x_bits"])
    return work, (terms * entry, weights * numbers["weight_bits"])


@given(NUMBERS)
def test_costs_are_equal_at_the_ratio_and_the_dense_engine_wins_below(numbers):
    for i, ratio in enumerate(astuple(price.break_even(**numbers))):
        assert 0 <= ratio <= 1
        term, dense = costs(numbers, ratio)[i]
        if ratio > 0:
            assert term == pytest.approx(dense)
            for zeros in (0, ratio / 2, ratio * 0.999):
                term, dense = costs(numbers, zeros)[i]
                assert term > dense
        else:
            assert term <= dense * (1 + 1e-9)
        for zeros in ((1 + ratio) / 2, 1):
            term, dense = costs(numbers, zeros)[i]
            assert term <= dense


@given(NUMBERS, st.floats(0, 4))
def test_more_terms_a_weight_need_more_zeros(numbers, more):
    few = price.break_even(**numbers)
    many = price.break_even(**numbers | {"terms_per_weight": numbers["terms_per_weight"] + more})
    assert many.throughput >= few.throughput and many.memory >= few.memory


@given(NUMBERS, st.integers(0, 8))
def test_wider_addresses_need_more_zeros_in_memory_only(numbers, more):
    near = price.break_even(**numbers)
    far = price.break_even(**numbers | {"address_bits": numbers["address_bits"] + more})
    assert far.memory >= near.memory and far.throughput == near.throughput


@given(st.integers(1, 16), st.integers(1, 48), st.integers(1, 7))
def test_a_dense_lane_never_costs_less_than_a_term_lane(x_bits, accumulator_bits, legs):
    """Its accumulator is as wide or wider: where a weight is one term, any fraction of zeros pays."""
    least = price.lane_luts(x_bits, accumulator_bits, legs)
    assert price.shifter_luts(1, x_bits, accumulator_bits, legs) == least
    for bits in range(1, 16):
        assert least <= price.mac_luts(bits, x_bits, accumulator_bits, legs)
        assert price.mac_luts(bits, x_bits, accumulator_bits, legs) < price.mac_luts(
            bits + 1, x_bits, accumulator_bits, legs
        )
        assert least <= price.shifter_luts(bits, x_bits, accumulator_bits, legs)


@pytest.mark.parametrize(("legs", "bits"), [(1, 4), (3, 8), (5, 8)])
def test_a_term_lane_costs_what_the_unit_says_of_one_more(legs, bits):
    """Of a layer of 1, 3 or 5 tap columns whose results have as many bits as its activations."""
    kind = QType(0, (1 << bits) - 1)
    x = TensorType((8, 4, 32), kind, 0)
    weights = np.ones((8, 8, 1, legs)) * np.resize([1, -1], (8, 1, 1))
    op = Conv(weights, np.zeros(8), padding=(0, 0, legs // 2, legs // 2))
    quantize = Quantize(0, kind.low, kind.high)
    unit = TermLanes(
        Stage.alone("layer", op, quantize, x), Fold(32), Order(x.shape), DEVICE
    )  # a column a lane: as many legs as taps
    assert unit.windows.legs == legs and unit.program.drop == unit.program.below == 0
    lanes = lanes_price._exact(unit) - lanes_price._line_luts(unit) + lanes_price._requantize_luts(unit)
    expected = lanes / 32
    assert price.lane_luts(bits, unit.program.accumulator, legs) == expected


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (Uniform(4), (4, 11 / 7, 7, False)),  # 1 2 3=4-1 4 5 6 7=8-1: 1 1 2 1 2 2 2 terms
        (PowerOfTwo(4), (4, 1, 64, True)),
        (AdditivePowersOfTwo(4), (4, 10 / 7, 10, False)),
        (Ternary(), (2, 1, 1, True)),
        (Binary(), (1, 1, 1, True)),
    ],
)
def test_arguments_of_a_format(weights, expected):
    names = ("weight_bits", "terms_per_weight", "greatest", "powers_of_two")
    known = price.format_arguments(weights.magnitudes())
    assert known == dict(zip(names, expected, strict=True))
    # what weight_bits alone imply
    if not isinstance(weights, AdditivePowersOfTwo):
        numbers = {"x_bits": 8, "accumulator_bits": 16, "address_bits": 8}
        assert price.break_even(**known, **numbers) == price.break_even(**known | {"greatest": None}, **numbers)


def test_a_layer_has_the_bits_of_its_window():
    conv = nn.Conv2d(6, 16, (5, 3), dilation=(1, 2), groups=2)
    assert price.layer_address_bits(conv) == 3 + 3 + 3  # 5 rows, 5 columns, 6 channels
    assert price.layer_accumulator_bits(conv, 4) == 4 + 6  # 45 weights an output
    assert price.layer_address_bits(nn.Conv1d(8, 1, 7)) == 3 + 3
    assert price.layer_address_bits(nn.Linear(400, 3)) == 9
    weights = {"weight_bits": 8, "terms_per_weight": 2.5}
    assert price.layer_break_even(conv, input_bits=4, **weights) == price.break_even(
        x_bits=4, accumulator_bits=10, address_bits=9, **weights
    )


GOOD = {"weight_bits": 4, "terms_per_weight": 1.5, "x_bits": 8, "accumulator_bits": 16, "address_bits": 8}


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight_bits": 0},
        {"weight_bits": 17},
        {"weight_bits": 4.0},
        {"weight_bits": True},
        {"terms_per_weight": 0.5},
        {"terms_per_weight": float("nan")},
        {"terms_per_weight": float("inf")},
        {"terms_per_weight": "2"},
        {"terms_per_weight": 1.5, "powers_of_two": True},
        {"terms_per_weight": 1, "powers_of_two": True, "greatest": 6},
        {"terms_per_weight": 1, "powers_of_two": True, "weight_bits": 16},
        {"greatest": 0},
        {"greatest": 1 << 16},
        {"x_bits": 17},
        {"accumulator_bits": 49},
        {"address_bits": -1},
        {"legs": 8},
    ],
)
def test_a_number_out_of_range_is_bad_input(wrong):
    with pytest.raises(BadInput):
        price.break_even(**GOOD | wrong)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.BatchNorm2d(1), nn.LazyLinear(3), None])
def test_a_layer_that_is_none_of_ours_is_bad_input(layer):
    with pytest.raises(BadInput):
        price.layer_break_even(layer, weight_bits=4, terms_per_weight=1.0, input_bits=8)


@pytest.mark.parametrize("magnitudes", [(), (0,), (-1, 0, 1), (0, 1 << 16)])
def test_magnitudes_of_no_format_are_bad_input(magnitudes):
    with pytest.raises(BadInput):
        price.format_arguments(magnitudes)


MAC_BENCH = """
module bench;
    reg clk = 0, clear = 1;
    reg signed [5:0] weight;
    reg [3:0] x;
    reg [2:0] one, two, negate;
    wire signed [19:0] sum;
    integer w, d, i, expected = 0;
    mac #(.X_W(4), .DIGITS(3), .W(20)) dut (
        .clk(clk), .clear(clear), .enable(1'b1), .x(x), .one(one), .two(two), .negate(negate), .sum(sum));
    wire [6:0] padded = {weight, 1'b0};
    initial begin
        one = 0; two = 0; negate = 0; x = 0;
        #1 clk = 1; #1 clk = 0; clear = 0;
        for (w = -32; w < 32; w = w + 1) for (i = 0; i < 16; i = i + 1) begin
            weight = w; x = i; #1;
            expected = expected + w * i;
            for (d = 0; d < 3; d = d + 1) begin
                one[d] = padded[2*d] ^ padded[2*d+1];
                two[d] = padded[2*d+2] ? !padded[2*d+1] && !padded[2*d] : padded[2*d+1] && padded[2*d];
                negate[d] = padded[2*d+2];
                expected = expected - (padded[2*d+2] ? 1 << (2*d) : 0);
            end
            #1 if (sum !== expected) begin $display("WRONG %0d * %0d", w, i); $finish; end
            clk = 1; #1 clk = 0;
        end
        $display("RIGHT"); $finish;
    end
endmodule
"""

SHIFTER_BENCH = """
module bench;
    reg clk = 0, clear = 1, nonzero = 0, negate = 0;
    reg [3:0] x = 0, shift = 0;
    wire signed [23:0] sum;
    integer code, i, expected = 0;
    shifter #(.X_W(4), .SHIFTS(7), .W(24)) dut (
        .clk(clk), .clear(clear), .enable(1'b1), .x(x), .nonzero(nonzero), .negate(negate), .shift(shift), .sum(sum));
    initial begin
        #1 clk = 1; #1 clk = 0; clear = 0;
        for (code = 0; code < 32; code = code + 1) for (i = 0; i < 16; i = i + 1) if ((code & 7) < 7) begin
            x = i; shift = code & 7; nonzero = code >> 3; negate = code >> 4;
            expected = expected + (negate ? -1 - nonzero * (i << shift) : nonzero * (i << shift));
            #1 if (sum !== expected) begin $display("WRONG %0d, %0d", code, i); $finish; end
            clk = 1; #1 clk = 0;
        end
        $display("RIGHT"); $finish;
    end
endmodule
"""


@pytest.mark.parametrize("text", [MAC_V + MAC_BENCH, SHIFTER_V + SHIFTER_BENCH], ids=["mac", "shifter"])
def test_the_dense_lanes_compute(text, tmp_path):
    """Weight times activation, exactly, less the ones of the complements."""
    (tmp_path / "bench.v").write_text(text)
    subprocess.run(["iverilog", "-g2005", "-o", "bench", "bench.v"], cwd=tmp_path, check=True)
    assert (
        subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout == "RIGHT\n"
    )


@pytest.mark.parametrize("lane", [term(2, 10), mac(4, 2, 10)], ids=["term", "mac"])
def test_the_price_list_is_as_near_to_yosys_as_the_document_says(lane):
    worst = float(re.search(r"Worst error of the price list: ([\d.]+)%", DOCUMENT.read_text())[1]) / 100
    assert abs(lane.price / lane.measure() - 1) <= worst + 0.0005  # printed to a tenth of a percent


@pytest.mark.parametrize("table", [format_table, break_even_table, program_table])
def test_the_document_has_the_printed_table(table):
    console = Console(width=200)
    with console.capture() as printed:
        console.print(table())
    lines = [line.rstrip() for line in printed.get().splitlines() if line.strip()]
    assert "\n".join(lines) in DOCUMENT.read_text()


@pytest.mark.parametrize(("zeros", "break_even", "pruned"), [(0.05, True, 0), (0.05, False, 20), (0.5, True, 200)])
def test_zeros_that_do_not_pay_are_not_made(zeros, break_even, pruned):
    """8-bit integers in a Linear of 400 inputs pay from 11 % zeros."""
    recipe = Recipe(weights=Uniform(8), pruning=Magnitude(zeros), break_even=break_even)
    prepared = prepare(nn.Sequential(nn.Linear(400, 1)), recipe)
    prepared.step(1.0)
    assert int((~prepared.layers["0"].grid.keeps()).sum()) == pruned
