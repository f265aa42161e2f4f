"""The approximate multiplier, as yosys maps it: its products, and that its protection is still there and works."""

import numpy as np
import pytest

from benchmarks.adam import A, B, Gates, mitchell, read

MAP = ["synth -flatten -noabc"]


def test_bits_that_are_computed_twice_are_zero_where_one_is_wrong(tmp_path):
    gates = Gates(read(tmp_path, (5, 1), MAP))
    right = mitchell(5)
    assert (gates.products() == right).all()
    (highest,) = {gates.module["netnames"]["u.gen_twice.once"]["bits"][4]}
    stuck = gates.products((highest, 1))
    twice = (np.maximum(A, B) >= 2) & (np.maximum(A, B) < 32)  # an adder is idle and there is a bit to compute again
    assert (stuck[twice] == right[twice]).all(), "a one that is wrong is sent"
    assert (stuck[~twice] > right[~twice]).any()


@pytest.mark.parametrize("value", [0, 1])
def test_a_stuck_net_in_one_of_three_multipliers_is_not_seen(tmp_path, value):
    gates = Gates(read(tmp_path, (5, 2), MAP))
    right = mitchell(5)
    nets = sorted(gates.nets("u_1.sum"))
    assert len(nets) == 6
    assert all((gates.products((net, value)) == right).all() for net in nets)
    votes = {net for net in gates.module["ports"]["p"]["bits"] if isinstance(net, int)}
    assert any((gates.products((net, value)) != right).any() for net in votes), "the vote itself is not protected"
