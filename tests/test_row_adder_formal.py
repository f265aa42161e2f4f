"""All forms of row_adder.v, with LUT6_2 and CARRY8 or CARRY4 and without, equal the sum: proven, not sampled."""

import random

import pytest

from hwgen.share import share
from tests.proofs import yosys

ROW_ADDER = (share("rtl") / "row_adder.v").read_text()
CARRY_CHAIN = (share("rtl") / "carry_chain.v").read_text()

# operands have no bits in the columns that they lack
WRAPPER = """
module wrapper(input [{top}:0] a, input [{top}:0] b, input [{top}:0] c, input d, output [{bits}-1:0] sum);
    row_adder #({parameters}) dut(
        .a(a & {w}'d{A}), .b(b & {w}'d{B}), .c(c & {w}'d{C}), .d(d & 1'd{D}), .sum(sum));
endmodule
"""

SUM = """
module row_adder #(parameter W = 8, BITS = 8, ONE = 0, A = 0, B = 0, C = 0, D = 0, NOT_A = 0, NOT_B = 0, NOT_C = 0)
    (input [W-1:0] a, input [W-1:0] b, input [W-1:0] c, input d, output [BITS-1:0] sum);
    wire [W-1:0] x = a ^ NOT_A;
    wire [W-1:0] y = b ^ NOT_B;
    wire [W-1:0] z = c ^ NOT_C;
    wire [W+1:0] total = x + y + z + d + ONE;
    assign sum = total[BITS-1:0];
endmodule
"""


def case(seed):
    """Parameters of a row of random shape, from 1 to 19 columns; the sum as wide as it can get, or cut."""
    rng = random.Random(seed)
    w = rng.choice([1, 2, 3, 8, 9, 19])
    operands = {name: rng.getrandbits(w) | rng.getrandbits(w) for name in "ABC"}
    inverted = {f"NOT_{name}": columns & rng.getrandbits(w) for name, columns in operands.items()}
    one, fourth = rng.randint(0, 1), rng.randint(0, 1)
    total = sum(operands.values()) + one + fourth
    fits = min(total.bit_length(), w + 1)
    sent = carries(operands, w, fourth) >> w & 1
    bits = max(1, rng.choice([fits, fits - 1]) if not sent else w)
    return {"W": w, "BITS": bits, "ONE": one, "D": fourth} | operands | inverted


def carries(operands, w, fourth):
    """The columns that get a bit from the one below, and whether the last sends one, counted column by column."""
    sent = result = fourth
    for i in range(w):
        load = sum(columns >> i & 1 for columns in operands.values())
        sent = int(load == 3 or (load == 2 and sent))
        result |= sent << (i + 1)
    return result


def prove(folder, parameters, text=ROW_ADDER, family=1):
    script = []
    for form in ("gold", "gate"):
        w = parameters["W"]
        values = {
            name: value if name in ("W", "BITS", "ONE", "D") else f"{w}'d{value}" for name, value in parameters.items()
        }
        values |= {"XILINX": family} if form == "gate" else {}
        chosen = ", ".join(f".{name}({value})" for name, value in values.items())
        wrapper = WRAPPER.format(top=w - 1, w=w, bits=parameters["BITS"], parameters=chosen, **parameters)
        (folder / f"{form}.v").write_text((text + CARRY_CHAIN if form == "gate" else SUM) + wrapper)
        script += [
            "design -reset",
            "read_verilog +/xilinx/cells_sim.v",  # without -lib: the cells' behaviour counts
            f"read_verilog {form}.v",
            "hierarchy -check -top wrapper",
            "proc",
            "flatten",
            "opt_clean",
            *(["select -assert-min 1 w:*carry_i*"] if form == "gate" and family else []),
            f"rename -top {form}",
            f"design -stash {form}",
        ]
    script += [f"design -copy-from {form} -as {form} {form}" for form in ("gold", "gate")]
    script += ["miter -equiv -flatten gold gate miter", "hierarchy -top miter", "sat -verify -prove trigger 0 miter"]
    return yosys(folder, *script)


@pytest.mark.parametrize(
    ("seed", "family"), [*((seed, seed % 2) for seed in range(32)), *((seed, 2) for seed in range(0, 24, 3))]
)
def test_every_form_is_the_sum(seed, family, tmp_path):
    done = prove(tmp_path, case(seed), family=family)
    assert done.returncode == 0, str(case(seed)) + done.stdout[-2000:] + done.stderr
    assert "SUCCESS!" in done.stdout


@pytest.mark.parametrize(
    ("good", "bad", "family"),
    [
        ("16'h6996", "16'h6997", 1),
        ("IS_A & IS_C", "IS_A & ~IS_C", 1),
        ("SENT[i] ? sent[i]", "SENT[i] ? 1'b0", 1),
        ("? d :", "? 1'b0 :", 1),
        ("(x & z) | (y & z)", "(y & z)", 0),
        ("x ^ y ^ z", "x ^ y", 0),
        ("{1'b0, first, ONE[0]}", "{1'b0, first, 1'b0}", 0),
    ],
)
def test_a_wrong_form_is_refuted(good, bad, family, tmp_path):
    full = {name: 0x1FF for name in "ABC"} | {"NOT_A": 0, "NOT_B": 0, "NOT_C": 0}
    assert ROW_ADDER.count(good) == 1
    done = prove(tmp_path, {"W": 9, "BITS": 9, "ONE": 1, "D": 1} | full, ROW_ADDER.replace(good, bad), family)
    assert done.returncode != 0 and "model found: FAIL" in done.stdout


def test_columns_that_send_are_counted_as_the_carries_of_a_sum():
    for seed in range(200):
        p = case(seed)
        operands = {name: p[name] for name in "ABC"}
        two = (p["A"] & p["B"]) | (p["A"] & p["C"]) | (p["B"] & p["C"])
        three = p["A"] & p["B"] & p["C"]
        assert (two + three + p["D"]) ^ two ^ three == carries(operands, p["W"], p["D"])
