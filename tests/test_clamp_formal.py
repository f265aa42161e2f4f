"""The LUT6_2 form of clamp.v equals its behavioural form: proven, not sampled."""

import pytest

from hwgen.share import share
from tests.proofs import equal_forms

CLAMP = (share("rtl") / "clamp.v").read_text()


def prove(folder, in_w, out_w, primitives, text=CLAMP):
    parameters = {"IN_W": in_w, "IN_SIGNED": 1, "OUT_W": out_w, "HIGH": (1 << out_w) - 1}
    return equal_forms(folder, "clamp", CLAMP, text, parameters, primitives, ("lut_i", -(-out_w // 2)))


@pytest.mark.parametrize(("in_w", "out_w", "primitives"), [(2, 1, 1), (12, 8, 1), (13, 7, 1), (13, 7, 2)])
def test_primitives_equal_the_behavioural_form(in_w, out_w, primitives, tmp_path):
    done = prove(tmp_path, in_w, out_w, primitives)
    assert done.returncode == 0 and "SUCCESS!" in done.stdout, done.stdout[-2000:] + done.stderr


@pytest.mark.parametrize("bad", ["FF0CFF0D_FF0AFF0A", "FF0CFF0C_FF0AFF0E", "FF0CFF0C_FF0AFE0A"])
def test_a_wrong_table_is_refuted(bad, tmp_path):
    text = CLAMP.replace("FF0CFF0C_FF0AFF0A", bad)
    assert text != CLAMP
    done = prove(tmp_path, 6, 4, 1, text)
    assert done.returncode != 0 and "model found: FAIL" in done.stdout
