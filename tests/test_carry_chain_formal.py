"""The CARRY8 form and the CARRY4 form of carry_chain.v equal its behavioural form: proven, not sampled."""

import pytest

from hwgen.share import share
from tests.proofs import equal_forms

CARRY_CHAIN = (share("rtl") / "carry_chain.v").read_text()
BITS = {1: 8, 2: 4}  # of a primitive


def prove(folder, width, primitives, text=CARRY_CHAIN):
    cells = "carry_i", -(-width // BITS[primitives])
    return equal_forms(folder, "carry_chain", CARRY_CHAIN, text, {"W": width}, primitives, cells)


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
