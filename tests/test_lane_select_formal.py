"""The LUT6_2 form of lane_select.v equals its behavioural form: proven, not sampled."""

import pytest

from hwgen.share import share
from tests.proofs import equal_forms

SELECT = (share("rtl") / "lane_select.v").read_text()
TABLE = "FF00F0F0_CCCCAAAA"


def prove(folder, bits, primitives, text=SELECT):
    parameters = {"X_W": bits, "STRIPES": 3, "LANES": 3, "FIRST_LEG": 0, "LEGS": 2, "PAD_VALUE": 1}
    return equal_forms(folder, "lane_select", SELECT, text, parameters, primitives, ("lut_i", 3 * -(-bits // 2)))


@pytest.mark.parametrize(("bits", "primitives"), [(1, 1), (4, 1), (7, 1), (7, 2)])
def test_primitives_equal_the_behavioural_form(bits, primitives, tmp_path):
    done = prove(tmp_path, bits, primitives)
    assert done.returncode == 0 and "SUCCESS!" in done.stdout, done.stdout[-2000:] + done.stderr


@pytest.mark.parametrize("bad", ["FF00F0F0_CCCCAAAB", "FF00F0F0_CCACAAAA", "FF00F0E0_CCCCAAAA", "FE00F0F0_CCCCAAAA"])
def test_a_wrong_table_is_refuted(bad, tmp_path):
    text = SELECT.replace(TABLE, bad)
    assert text != SELECT
    done = prove(tmp_path, 4, 1, text)
    assert done.returncode != 0 and "model found: FAIL" in done.stdout
