"""The CARRY8 form and the CARRY4 form of carry_chain.v equal its behavioural form: proven, not sampled."""

import pytest

from hwgen.share import share
from tests.proofs import yosys

CARRY_CHAIN = (share("rtl") / "carry_chain.v").read_text()
BITS = {1: 8, 2: 4}  # of a primitive


def prove(folder, width, primitives, text=CARRY_CHAIN):
    script = []
    for form, number in (("gold", 0), ("gate", primitives)):
        (folder / f"{form}.v").write_text(text if number else CARRY_CHAIN)
        script += [
            "design -reset",
            "read_verilog +/xilinx/cells_sim.v",  # without -lib: the cells' behaviour counts
            f"read_verilog {form}.v",
            f"hierarchy -check -top carry_chain -chparam W {width} -chparam XILINX {number}",
            *([f"select -assert-count {-(-width // BITS[number])} */c:*.carry_i"] if number else []),
            "proc",
            "flatten",
            "opt_clean",
            f"rename -top {form}",
            f"design -stash {form}",
        ]
    script += [f"design -copy-from {form} -as {form} {form}" for form in ("gold", "gate")]
    script += ["miter -equiv -flatten gold gate miter", "hierarchy -top miter", "sat -verify -prove trigger 0 miter"]
    return yosys(folder, *script)


@pytest.mark.parametrize("primitives", [1, 2])
@pytest.mark.parametrize("width", [1, 4, 8, 9, 21])
def test_primitives_equal_the_behavioural_form(width, primitives, tmp_path):
    done = prove(tmp_path, width, primitives)
    assert done.returncode == 0 and "SUCCESS!" in done.stdout, done.stdout[-2000:] + done.stderr


@pytest.mark.parametrize(
    ("primitives", "good", "bad"),
    [
        (1, ".CI((i == 0) ? carry_in : sent)", ".CI(sent)"),
        (2, ".CYINIT((i == 0) ? carry_in : 1'b0)", ".CYINIT(carry_in)"),
        (2, "carry[PART*i-1]", "carry[PART*i-2]"),
    ],
)
def test_a_wrong_carry_is_refuted(primitives, good, bad, tmp_path):
    assert CARRY_CHAIN.count(good) == 1
    done = prove(tmp_path, 9, primitives, CARRY_CHAIN.replace(good, bad))
    assert done.returncode != 0 and "model found: FAIL" in done.stdout
