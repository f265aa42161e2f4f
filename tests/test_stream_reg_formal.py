"""The LUT6_2 form of stream_reg.v equals its behavioural form: proven for all words and stalls, not sampled."""

import pytest

from hwgen.share import share
from tests.proofs import both_forms, yosys

STREAM_REG, VOTED_REG = ((share("rtl") / f"{name}.v").read_text() for name in ("stream_reg", "voted_reg"))
INIT = "FF00F0F0_CCCCAAAA"


def prove(folder, width, gate=STREAM_REG):
    """With the registers of both forms equal, their outputs and their next registers are."""
    forms = "stream_reg", STREAM_REG + VOTED_REG, gate + VOTED_REG, {"DATA_W": width}, 1, ("lut_i", -(-width // 2))
    script = both_forms(folder, *forms)
    script += ["equiv_make gold gate equiv", "hierarchy -top equiv", "opt_clean"]
    return yosys(folder, *script, "equiv_simple", "equiv_induct", "equiv_status -assert")


@pytest.mark.parametrize("width", [1, 8, 13])
def test_primitives_equal_the_behavioural_form(width, tmp_path):
    done = prove(tmp_path, width)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "Equivalence successfully proven!" in done.stdout


@pytest.mark.parametrize("bad", ["FF00F0F0_CCCCAAAB", "FF00F0E0_CCCCAAAA", "FF00F0F0_CCACAAAA"])
def test_a_wrong_table_is_refuted(bad, tmp_path):
    text = STREAM_REG.replace(INIT, bad)
    assert text != STREAM_REG
    done = prove(tmp_path, 8, text)
    assert done.returncode != 0 and "unproven" in done.stdout
