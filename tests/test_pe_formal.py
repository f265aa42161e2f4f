"""The forms of pe.v with LUT6_2 and CARRY8 or CARRY4 equal its behavioural form: proven, not sampled."""

import pytest

from hwgen.share import share
from tests.proofs import yosys

PE = (share("rtl") / "pe.v").read_text()
CARRY_CHAIN = (share("rtl") / "carry_chain.v").read_text()
INIT = 0xCA3535CA_CACACACA  # O6 above, O5 below
# O5 counts only where O6 is 0: elsewhere the carry passes by
COUNTING_BITS = [bit for bit in range(64) if bit >= 32 or not INIT >> (bit + 32) & 1]

# With the accumulators of both forms equal, every sum and every next accumulator is equal, for any input.
PROOF = [
    "equiv_make gold gate equiv",
    "hierarchy -top equiv",
    "opt_clean",
    "equiv_simple",
    "equiv_induct",
    "equiv_status -assert",
]

# From zero, no input within 4 clocks makes the sums differ; -falsify: an error when that holds.
REFUTATION = [
    "miter -equiv -flatten gold gate miter",
    "hierarchy -top miter",
    "sat -falsify -prove trigger 0 -set-init-zero -seq 4 miter",
]


CARRY = {1: "gen_ultrascale", 2: "gen_series7"}


def compared(folder, gate, parameters, ending, primitives=1):
    """Runs `ending` on gold, the behavioural form, and gate, the `primitives` of the text `gate`."""
    script = []
    for form, text, number in (("gold", PE, 0), ("gate", gate, primitives)):
        (folder / f"{form}.v").write_text(text + CARRY_CHAIN)
        chosen = parameters | {"XILINX": number}
        script += [
            "design -reset",
            "read_verilog +/xilinx/cells_sim.v",  # without -lib: the cells' behaviour counts
            f"read_verilog {form}.v",
            "hierarchy -check -top pe " + " ".join(f"-chparam {name} {n}" for name, n in chosen.items()),
            "proc",
            "flatten",
            "opt_clean",
            *([f"select -assert-min {parameters['W']} w:*lut_i*"] if number else []),
            *([f"select -assert-min 1 w:*{CARRY[number]}*carry_i*"] if number else []),
            f"rename -top {form}",
            f"design -stash {form}",
        ]
    script += [f"design -copy-from {form} -as {form} {form}" for form in ("gold", "gate")]
    return yosys(folder, *script, *ending)


@pytest.mark.parametrize(
    ("primitives", "width", "below"),
    [
        *((1, width, below) for width in (2, 8, 13, 20) for below in (0, 3)),
        (2, 2, 3),
        (2, 8, 0),
        (2, 13, 3),
        (2, 20, 0),
    ],
)
def test_primitives_equal_the_behavioural_form(primitives, width, below, tmp_path):
    done = compared(tmp_path, PE, {"W": width, "F": below}, PROOF, primitives)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "Equivalence successfully proven!" in done.stdout


@pytest.mark.parametrize("bit", COUNTING_BITS[::7])
def test_a_flipped_bit_of_the_lookup_table_is_refuted(bit, tmp_path):
    text = PE.replace("64'hCA3535CA_CACACACA", f"64'h{INIT ^ (1 << bit):X}")
    assert text != PE
    parameters = {"W": 9, "F": 0}
    unproven = compared(tmp_path, text, parameters, PROOF)
    assert unproven.returncode != 0 and "unproven $equiv cells" in unproven.stderr + unproven.stdout
    refuted = compared(tmp_path, text, parameters, REFUTATION)
    assert refuted.returncode == 0, refuted.stdout[-2000:] + refuted.stderr
    assert "model found: FAIL" in refuted.stdout
